/**
 * Promises of every transport over a real socket, as tests: the contract of `Transport` and `TransportHandler` in
 * ports.ts, one sentence a test.
 *
 * Each transport's own test file runs the suite with a way to listen. The peer is a plain `net.Socket`, or an object of
 * the listener that speaks its language and looks like one. Nothing here waits for time: "nothing happens" means that
 * it has not happened after round trips on another connection.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Transport, TransportHandler } from '../ports.ts'
import type { SocketAddress } from './socket-client.ts'

/** A listener under test. */
export interface ListenerUnderTest {
  readonly address: SocketAddress
  close(): Promise<void>
  /** A peer that connects. Default: a plain socket. */
  connect?(): Socket
  /** Resets the connection of a peer. Default: as a plain socket does. */
  reset?(peer: Socket): void
}

/** Starts listening; each connection goes to `accept`, null refuses it. */
export type ListenForTest = (accept: (transport: Transport) => TransportHandler | null) => Promise<ListenerUnderTest>

export interface TransportSuiteOptions {
  /** Number of connections that are opened and closed in search of leaks. */
  connections?: number
  /**
   * TLS is between the transport and the kernel: small writes may have to wait although the peer reads, and a peer that is
   * destroyed may have left bytes of TLS unread, which resets the connection.
   */
  isTls?: boolean
  /** Reason why it cannot run here. */
  skip?: string | false
}

const MIB = 1024 * 1024
const OVERWRITTEN = 0xaa

/** Byte `i` of what is sent: no period that divides a buffer's size, so that a lost or doubled block shows. */
const byteAt = (i: number): number => (i * 7 + (i >>> 8) * 13 + (i >>> 16) * 31) & 0xff
function pattern(from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = byteAt(from + i)
  return bytes
}

/** Checks the pattern as it comes; keeps nothing. */
class Check {
  length = 0
  firstWrong = -1
  add(chunk: Uint8Array): void {
    for (let i = 0; i < chunk.length && this.firstWrong < 0; i++) {
      if (chunk[i] !== byteAt(this.length + i)) this.firstWrong = this.length + i
    }
    this.length += chunk.length
  }
  assertComplete(length: number): void {
    assert.equal(this.firstWrong, -1, 'position of the first wrong byte')
    assert.equal(this.length, length)
  }
}

/** The broker's end of a connection. */
class End implements TransportHandler {
  readonly transport: Transport
  readonly received: Check = new Check()
  drains = 0
  readonly closes: (Error | null)[] = []
  isPaused = false
  readonly wrongs: string[] = []
  onChunk: (chunk: Uint8Array) => void = () => {}
  onDrained: () => void = () => {}
  readonly #fillBytes: number
  #wake: () => void = () => {}

  constructor(transport: Transport, fillBytes: number) {
    this.transport = transport
    this.#fillBytes = fillBytes
  }

  onData(chunk: Uint8Array): void {
    if (this.isPaused) this.wrongs.push('onData while paused')
    if (this.closes.length > 0) this.wrongs.push('onData after onClose')
    this.received.add(chunk)
    this.onChunk(chunk)
    this.#wake()
  }

  /** Memory for the next chunk; null: none. */
  nextRead: Uint8Array | null = null

  onDrain(): void {
    if (this.closes.length > 0) this.wrongs.push('onDrain after onClose')
    this.drains++
    this.onDrained()
    this.#wake()
  }

  onClose(error: Error | null): void {
    this.closes.push(error)
    this.#wake()
  }

  pause(): void {
    this.isPaused = true
    this.transport.pause()
  }

  resume(): void {
    this.isPaused = false
    this.transport.resume()
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async closed(): Promise<Error | null> {
    await this.until(() => this.closes.length > 0)
    // A second call would come in a later turn.
    for (let i = 0; i < 3; i++) await turn()
    assert.equal(this.closes.length, 1, 'onClose is called once')
    assert.deepEqual(this.wrongs, [])
    return this.closes[0]!
  }

  /** Writes until a write has to wait, for the peer to read. */
  fill(): number {
    const piece = new Uint8Array(256 * 1024)
    let isTaken = true
    for (let bytes = 0; bytes < 256 * MIB; ) {
      if (!isTaken && bytes >= this.#fillBytes) return bytes
      bytes += piece.length
      // Each of its own: what waits may not be written to.
      isTaken = this.transport.write(piece.slice()) && isTaken
    }
    throw new Error('no write has to wait')
  }
}

/** A listener, and connections to it with both their ends. */
class Bench {
  address: SocketAddress = { port: 0 }
  close: () => Promise<void> = async () => {}
  connect: (() => Socket) | undefined
  reset: (peer: Socket) => void = (peer) => peer.resetAndDestroy()
  /** More than the kernel takes where a small write may have to wait for something else. */
  fillBytes: number = 0
  accepting: (transport: Transport) => End | null = (transport) => this.endOf(transport)
  readonly #ends: End[] = []
  readonly #peers: Socket[] = []
  #wake: () => void = () => {}

  accept(transport: Transport): TransportHandler | null {
    const end = this.accepting(transport)
    if (end === null) return null
    this.#ends.push(end)
    this.#wake()
    return end
  }

  endOf(transport: Transport): End {
    return new End(transport, this.fillBytes)
  }

  peer(): Socket {
    const peer =
      this.connect?.() ??
      createConnection('path' in this.address ? this.address : { host: '127.0.0.1', ...this.address })
    // What a peer gets is the tests' to judge; a reset is often what is wanted.
    peer.on('error', () => {})
    this.#peers.push(peer)
    return peer
  }

  async open(): Promise<{ end: End; peer: Socket }> {
    const peer = this.peer()
    await once(peer, 'connect')
    while (this.#ends.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return { end: this.#ends.shift()!, peer }
  }

  /** Waits until all bytes on other connections have arrived. */
  async settle(): Promise<void> {
    const { end, peer } = await this.open()
    end.onChunk = (chunk) => end.transport.write(chunk)
    for (let i = 0; i < 5; i++) {
      peer.write('?')
      await once(peer, 'data')
    }
    peer.destroy()
    await end.closed()
  }

  /** Forgets peers that are closed and need no closing at the end. */
  forgetPeers(): void {
    this.#peers.length = 0
  }

  async dispose(): Promise<void> {
    for (const peer of this.#peers) peer.destroy()
    await this.close()
  }
}

/** Reads all and checks the pattern; with a pause after every chunk. */
function readSlowly(peer: Socket): Check {
  const check = new Check()
  peer.on('data', (chunk) => {
    check.add(chunk)
    peer.pause()
    setImmediate(() => peer.resume())
  })
  return check
}

async function until(peer: Socket, isSo: () => boolean): Promise<void> {
  while (!isSo()) await once(peer, 'data')
}

const codeOf = (error: Error | null): unknown => (error as NodeJS.ErrnoException | null)?.code

export function transportSuite(name: string, listen: ListenForTest, options: TransportSuiteOptions = {}): void {
  const test = (sentence: string, body: (bench: Bench) => Promise<void>): void => {
    it(sentence, { timeout: 60_000 }, async () => {
      const bench = new Bench()
      const { address, close, connect, reset } = await listen((transport) => bench.accept(transport))
      bench.address = address
      bench.close = close
      bench.connect = connect
      if (reset !== undefined) bench.reset = reset
      if (options.isTls) bench.fillBytes = 16 * MIB
      try {
        await body(bench)
      } finally {
        await bench.dispose()
      }
    })
  }

  describe(`transport: ${name}`, { skip: options.skip ?? false }, () => {
    test('bytes arrive in order where the handler gives memory for some of them', async (bench) => {
      const { end, peer } = await bench.open()
      const memory = [new Uint8Array(100_000), new Uint8Array(5_000), undefined, new Uint8Array(1)]
      let chunks = 0
      end.onChunk = () => {
        end.nextRead = memory[chunks++ % memory.length] ?? null
      }
      for (let i = 0; i < 64; i++) peer.write(pattern(i * 65_537, 65_537))
      await end.until(() => end.received.length >= 64 * 65_537)
      end.received.assertComplete(64 * 65_537)
    })

    test('bytes arrive in order, whatever the size of the pieces [MQTT-4.2.0-1]', async (bench) => {
      for (const size of [1, 2, 3, 7, 64, 1000, 1460, 16_384, 65_535, 65_536, 65_537, 300_000]) {
        const { end, peer } = await bench.open()
        const count = Math.max(3, Math.min(500, Math.ceil(MIB / size)))
        for (let i = 0; i < count; i++) peer.write(pattern(i * size, size))
        await end.until(() => end.received.length >= size * count)
        end.received.assertComplete(size * count)
        peer.destroy()
        const error = await end.closed()
        if (!options.isTls) assert.equal(error, null)
      }
    })

    test('10 MiB arrive exactly at a broker that pauses at every chunk', async (bench) => {
      const { end, peer } = await bench.open()
      end.onChunk = () => {
        end.pause()
        setImmediate(() => end.resume())
      }
      peer.end(pattern(0, 10 * MIB))
      assert.equal(await end.closed(), null)
      end.received.assertComplete(10 * MIB)
    })

    test('10 MiB arrive exactly at a slow peer, from a buffer that is used again as soon as write allows', async (bench) => {
      const { end, peer } = await bench.open()
      const check = readSlowly(peer)
      const slab = new Uint8Array(96 * 1024)
      let sent = 0
      let held = 0
      const pump = (): void => {
        while (sent < 10 * MIB) {
          const length = Math.min(slab.length, 10 * MIB - sent)
          slab.set(pattern(sent, length))
          sent += length
          if (!end.transport.write(slab.subarray(0, length))) {
            held++
            return
          }
          slab.fill(OVERWRITTEN)
        }
      }
      end.onDrained = () => {
        slab.fill(OVERWRITTEN)
        pump()
      }
      pump()
      await until(peer, () => check.length >= 10 * MIB)
      check.assertComplete(10 * MIB)
      await end.until(() => end.drains === held)
      assert.ok(held > 0, 'the peer was slow enough')
      peer.destroy()
      await end.closed()
      assert.equal(end.drains, held)
    })

    test('10 MiB in one write arrive exactly at a slow peer', async (bench) => {
      const { end, peer } = await bench.open()
      const check = readSlowly(peer)
      end.transport.write(pattern(0, 10 * MIB))
      await until(peer, () => check.length >= 10 * MIB)
      check.assertComplete(10 * MIB)
      assert.equal(end.transport.bufferedBytes, 0)
    })

    test('bytes go both ways at once', async (bench) => {
      const { end, peer } = await bench.open()
      const check = readSlowly(peer)
      end.transport.write(pattern(0, 4 * MIB))
      peer.write(pattern(0, 4 * MIB))
      await Promise.all([until(peer, () => check.length >= 4 * MIB), end.until(() => end.received.length >= 4 * MIB)])
      check.assertComplete(4 * MIB)
      end.received.assertComplete(4 * MIB)
    })

    test('after write has returned true the buffer may be used again', async (bench) => {
      const { end, peer } = await bench.open()
      const check = new Check()
      peer.on('data', (chunk) => check.add(chunk))
      const slab = new Uint8Array(512)
      for (let i = 0; i < 200; i++) {
        slab.set(pattern(i * 512, 512))
        if (!end.transport.write(slab)) {
          assert.ok(options.isTls, 'a small write to a peer that reads is taken at once')
          const { drains } = end
          await end.until(() => end.drains > drains)
        }
        slab.fill(OVERWRITTEN)
        if (i % 10 === 0) await turn()
      }
      await until(peer, () => check.length >= 200 * 512)
      check.assertComplete(200 * 512)
      assert.equal(end.transport.bufferedBytes, 0)
      if (!options.isTls) assert.equal(end.drains, 0)
    })

    test('writeAll sends thousands of pieces in their order, empty ones too', async (bench) => {
      const { end, peer } = await bench.open()
      const check = readSlowly(peer)
      const pieces: Uint8Array[] = []
      let length = 0
      for (let i = 0; i < 5_000; i++) {
        pieces.push(pattern(length, i % 700))
        length += i % 700
      }
      if (end.transport.writeAll(pieces)) for (const piece of pieces) piece.fill(OVERWRITTEN)
      await until(peer, () => check.length >= length)
      check.assertComplete(length)
    })

    test('writeAll of one piece, of none, and a write of nothing', async (bench) => {
      const { end, peer } = await bench.open()
      assert.equal(end.transport.writeAll([]), true)
      assert.equal(end.transport.write(new Uint8Array(0)), true)
      const isTaken = end.transport.writeAll([pattern(0, 10)])
      assert.ok(isTaken || options.isTls)
      const check = readSlowly(peer)
      await until(peer, () => check.length >= 10)
      check.assertComplete(10)
      if (isTaken) assert.equal(end.drains, 0)
    })

    test('a write that has to wait is counted until it is gone, and drains once', async (bench) => {
      const { end, peer } = await bench.open()
      peer.pause()
      const bytes = end.fill()
      assert.ok(end.transport.bufferedBytes > 0)
      assert.equal(end.drains, 0)
      let arrived = 0
      peer.on('data', (chunk) => {
        arrived += chunk.length
      })
      peer.resume()
      await end.until(() => end.drains > 0)
      assert.equal(end.transport.bufferedBytes, 0)
      await until(peer, () => arrived >= bytes)
      await bench.settle()
      assert.equal(end.drains, 1)
    })

    test('writes behind one that waits keep their order, and together drain once', async (bench) => {
      const { end, peer } = await bench.open()
      peer.pause()
      let sent = 0
      const write = (length: number): boolean => {
        const isTaken = end.transport.write(pattern(sent, length))
        sent += length
        return isTaken
      }
      while (write(256 * 1024));
      assert.equal(write(1000), false)
      const pieces = [pattern(sent, 10), pattern(sent + 10, 90)]
      assert.equal(end.transport.writeAll(pieces), false)
      sent += 100
      const check = readSlowly(peer)
      peer.resume()
      await until(peer, () => check.length >= sent)
      check.assertComplete(sent)
      await end.until(() => end.drains > 0)
      await bench.settle()
      assert.equal(end.drains, 1)
    })

    test('a reset by the peer is an error, told once', async (bench) => {
      if ('path' in bench.address) return
      const { end, peer } = await bench.open()
      bench.reset(peer)
      assert.equal(codeOf(await end.closed()), 'ECONNRESET')
    })

    test('a reset in the middle of a write is an error, told once, and nothing drains', async (bench) => {
      const { end, peer } = await bench.open()
      peer.pause()
      end.fill()
      // With unread bytes a unix socket is reset by its close, too.
      if ('path' in bench.address) peer.destroy()
      else bench.reset(peer)
      assert.match(String(codeOf(await end.closed())), /^(ECONNRESET|EPIPE)$/)
      // TLS may have taken a first part before.
      if (!options.isTls) assert.equal(end.drains, 0)
      assert.equal(end.transport.bufferedBytes, 0)
    })

    test('writing to a peer that is gone ends in one onClose', async (bench) => {
      const { end, peer } = await bench.open()
      end.pause()
      peer.destroy()
      await once(peer, 'close')
      for (let i = 0; i < 1_000 && end.closes.length === 0; i++) {
        end.transport.write(pattern(0, 1000))
        await turn()
      }
      // None when the peer's end is seen before the write fails, which a pause does not rule out.
      assert.match(String(codeOf(await end.closed())), /^(ECONNRESET|EPIPE|undefined)$/)
    })

    test('after the end of the peer all that waits is sent before the connection closes', async (bench) => {
      const { end, peer } = await bench.open()
      peer.pause()
      let sent = 0
      for (let isTaken = true; isTaken; sent += 256 * 1024) {
        isTaken = end.transport.write(pattern(sent, 256 * 1024))
      }
      // `end` alone; `createConnection` would destroy when both sides have ended, which is what we wait for.
      peer.end(pattern(0, 1000))
      await end.until(() => end.received.length === 1000)
      const check = readSlowly(peer)
      peer.resume()
      await once(peer, 'end')
      check.assertComplete(sent)
      assert.equal(await end.closed(), null)
      end.received.assertComplete(1000)
    })

    test('end sends everything, then the end, and closes when the peer ends', async (bench) => {
      const { end, peer } = await bench.open()
      peer.pause()
      end.transport.write(pattern(0, 8 * MIB))
      end.transport.end()
      const check = readSlowly(peer)
      peer.resume()
      await once(peer, 'end')
      check.assertComplete(8 * MIB)
      assert.equal(await end.closed(), null)
    })

    test('end closes a transport that is paused', async (bench) => {
      const { end, peer } = await bench.open()
      end.transport.pause()
      peer.write('not read')
      end.transport.write(pattern(0, 100))
      end.transport.end()
      const check = readSlowly(peer)
      await once(peer, 'end')
      check.assertComplete(100)
      assert.equal(await end.closed(), null)
      assert.equal(end.received.length, 0)
    })

    test('after end nothing is written, nothing is handed over, and a second end is nothing', async (bench) => {
      const { end, peer } = await bench.open()
      peer.removeAllListeners('end')
      const check = readSlowly(peer)
      end.transport.write(pattern(0, 10))
      end.transport.end()
      end.transport.end()
      assert.equal(end.transport.write(pattern(10, 10)), true)
      assert.equal(end.transport.writeAll([pattern(10, 10), pattern(20, 10)]), true)
      for (let i = 0; i < 10; i++) peer.write(pattern(0, 50_000))
      end.transport.pause()
      end.transport.resume()
      assert.equal(await end.closed(), null)
      check.assertComplete(10)
      assert.equal(end.received.length, 0)
    })

    test('after end a peer that sends on without end is cut off', async (bench) => {
      const { end, peer } = await bench.open()
      peer.on('error', () => {})
      end.transport.end()
      const flood = setInterval(() => {
        if (peer.writableLength < MIB) peer.write(pattern(0, 200_000))
      }, 1)
      await end.closed()
      clearInterval(flood)
      assert.equal(end.received.length, 0)
    })

    test('destroy closes at once and without an error: in onData, in onDrain, in a write, after end, twice', async (bench) => {
      const moments: ((end: End, peer: Socket) => void)[] = [
        (end) => end.transport.destroy(),
        (end) => {
          end.transport.destroy()
          end.transport.destroy()
        },
        (end, peer) => {
          end.onChunk = () => end.transport.destroy()
          peer.write(pattern(0, MIB))
        },
        (end, peer) => {
          end.onDrained = () => end.transport.destroy()
          peer.pause()
          end.fill()
          peer.resume()
        },
        (end, peer) => {
          peer.pause()
          end.fill()
          end.transport.destroy()
        },
        (end) => {
          end.transport.write(pattern(0, 10))
          end.transport.end()
          end.transport.destroy()
        },
        (end, peer) => {
          peer.pause()
          end.fill()
          end.transport.end()
          end.transport.destroy()
        },
        (end) => {
          end.transport.pause()
          end.transport.destroy()
          end.transport.resume()
          end.transport.end()
        },
      ]
      for (const [i, moment] of moments.entries()) {
        const { end, peer } = await bench.open()
        moment(end, peer)
        assert.equal(await end.closed(), null, `moment ${i}`)
        peer.destroy()
      }
    })

    test('what is asked of a transport before it is accepted holds', async (bench) => {
      bench.accepting = (transport) => {
        transport.pause()
        const end = bench.endOf(transport)
        end.isPaused = true
        return end
      }
      const { end, peer } = await bench.open()
      peer.write(pattern(0, 100))
      bench.accepting = (transport) => bench.endOf(transport)
      await bench.settle()
      assert.equal(end.received.length, 0)
      end.resume()
      await end.until(() => end.received.length === 100)
      bench.accepting = (transport) => {
        const ending = bench.endOf(transport)
        transport.write(pattern(0, 50))
        transport.end()
        return ending
      }
      const ending = await bench.open()
      const check = readSlowly(ending.peer)
      assert.equal(await ending.end.closed(), null)
      check.assertComplete(50)
    })

    test('a transport that is refused is closed', async (bench) => {
      bench.accepting = () => null
      const peer = bench.peer()
      peer.resume()
      await once(peer, 'close')
    })

    test('pause really stops onData, and nothing is lost', async (bench) => {
      const { end, peer } = await bench.open()
      end.pause()
      peer.write(pattern(0, 100))
      await bench.settle()
      assert.equal(end.received.length, 0)
      end.resume()
      await end.until(() => end.received.length === 100)
      // In the middle of a long read: the recorder reports an onData while paused.
      end.onChunk = () => {
        if (end.received.length < 100 + MIB) end.pause()
      }
      for (let i = 0; i < 20; i++) peer.write(pattern(100 + i * 200_000, 200_000))
      await end.until(() => end.isPaused)
      await bench.settle()
      assert.deepEqual(end.wrongs, [])
      end.onChunk = () => {}
      end.resume()
      await end.until(() => end.received.length >= 100 + 4_000_000)
      end.received.assertComplete(100 + 4_000_000)
    })

    test('calls after the close are harmless', async (bench) => {
      const { end, peer } = await bench.open()
      peer.destroy()
      const error = await end.closed()
      if (!options.isTls) assert.equal(error, null)
      const { transport } = end
      assert.equal(transport.write(pattern(0, 10)), true)
      assert.equal(transport.writeAll([pattern(0, 10), pattern(0, 10)]), true)
      transport.pause()
      transport.resume()
      transport.end()
      transport.destroy()
      assert.equal(transport.bufferedBytes, 0)
      await bench.settle()
      assert.equal(await end.closed(), error)
      assert.equal(end.drains, 0)
    })

    test('it knows its peer and its listener', async (bench) => {
      const { end, peer } = await bench.open()
      assert.equal(end.transport.remoteAddress, 'path' in bench.address ? '' : `127.0.0.1:${peer.localPort}`)
      assert.notEqual(end.transport.listener, '')
    })

    const connections = options.connections ?? 1_000
    test(`${connections} connections opened and closed leave no handle and no memory`, async (bench) => {
      setFlagsFromString('--expose-gc')
      const gc = runInNewContext('gc') as () => void
      const handles = (): number =>
        process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCPSocket') || kind.startsWith('Pipe'))
          .length
      const memory = async (): Promise<number> => {
        for (let i = 0; i < 3; i++) {
          await turn()
          gc()
        }
        const { heapUsed, external } = process.memoryUsage()
        return heapUsed + external
      }
      const ways: ((end: End, peer: Socket) => void)[] = [
        (_, peer) => peer.end(),
        (end) => end.transport.end(),
        (end) => end.transport.destroy(),
        (_, peer) => peer.destroy(),
        (end, peer) => {
          end.transport.write(pattern(0, MIB))
          peer.destroy()
        },
      ]
      const round = async (count: number): Promise<void> => {
        const open: { end: End; peer: Socket }[] = []
        for (let i = 0; i < count; i++) open.push(await bench.open())
        await Promise.all(
          open.map(async ({ end, peer }, i) => {
            peer.resume()
            ways[i % ways.length]!(end, peer)
            await end.closed()
            if (!peer.closed) await once(peer, 'close')
          }),
        )
        bench.forgetPeers()
      }
      await round(100)
      const handlesBefore = handles()
      // A leak shows every time; caches that fill and code that is compiled on the way, once.
      let growth = Number.POSITIVE_INFINITY
      for (let time = 0; time < 3 && growth >= 300 * connections; time++) {
        const before = await memory()
        for (let i = 0; i < connections; i += 100) await round(100)
        growth = (await memory()) - before
      }
      assert.equal(handles(), handlesBefore)
      assert.ok(growth < 300 * connections, `memory has grown by ${growth} bytes, three times`)
    })
  })
}
