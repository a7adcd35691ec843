import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { Connack, Connect, Decoder, encode, Pingreq } from '@recado/protocol'
import { type Broker, createBroker } from '../broker.ts'
import type { ListenerHandle, ListenOptions } from '../broker-options.ts'
import type { PipelineOptions } from '../listener-pipeline.ts'
import type { BrokerEvents } from '../ports.ts'
import { TestAuthority } from '../testing/certificates.ts'
import { openPipeline } from '../testing/listener-pipeline.ts'
import { type ListenForTest, transportSuite } from '../testing/transport-suite.ts'
import { clientFrame, upgradeRequest, WebSocketPeer } from '../testing/websocket-peer.ts'
import { http, type ListenerProtocol } from './http-protocol.ts'

const authority = new TestAuthority('test authority')
const { cert, key } = authority.issue('localhost', { altNames: ['127.0.0.1'] })

const on =
  (options: PipelineOptions): ListenForTest =>
  async (accept) => {
    const pipeline = await openPipeline({ ...options, webSocket: true }, accept)
    const address = options.path === undefined ? { port: pipeline.port } : { path: options.path }
    return {
      address,
      close: () => pipeline.close(),
      connect() {
        const raw =
          options.tls === undefined
            ? createConnection({ host: '127.0.0.1', ...address })
            : connectTls({ host: '127.0.0.1', ca: authority.cert, ...address })
        return new WebSocketPeer(raw) as unknown as Socket
      },
      reset(peer) {
        const raw = (peer as unknown as WebSocketPeer).socket as unknown as { _handle: { _parent?: Handle } & Handle }
        ;(raw._handle._parent ?? raw._handle).reset(() => {})
      },
    }
  }
interface Handle {
  reset(done: () => void): void
}

transportSuite('WebSocket on the handle of TCP', on({ port: 0, transport: 'handle' }))
transportSuite('WebSocket on net.Socket', on({ port: 0, transport: 'socket' }), { connections: 300 })
transportSuite('WebSocket on a unix socket', on({ path: join(tmpdir(), `recado-ws-${process.pid}.sock`) }), {
  connections: 300,
})
transportSuite('WebSocket on TLS', on({ port: 0, tls: { cert, key } }), { connections: 100, isTls: true })
const protocol = (): ListenerProtocol => http((_request, response) => response.end())
transportSuite('WebSocket beside HTTP', on({ port: 0, protocol: protocol() }), { connections: 100 })
transportSuite('WebSocket beside HTTP on TLS', on({ port: 0, tls: { cert, key }, protocol: protocol() }), {
  connections: 100,
  isTls: true,
})

/** A broker with one WebSocket listener, gone with the test. */
async function serving(
  options: ListenOptions,
  use: (o: { broker: Broker; listener: ListenerHandle; failures: string[]; open: () => Socket }) => Promise<void>,
): Promise<void> {
  const failures: string[] = []
  const note = ({ why }: BrokerEvents['connection.failed']): void => {
    failures.push(why)
  }
  const broker = createBroker({ observer: { 'connection.failed': note } })
  const listener = await broker.listen({ port: 0, webSocket: true, ...options })
  const open = (): Socket => createConnection({ port: listener.port, host: '127.0.0.1' }).on('error', () => {})
  try {
    await use({ broker, listener, failures, open })
  } finally {
    await broker.close({ timeoutMs: 100 })
  }
}

/** Reads until the end. */
async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks)
}

const connectPacket = encode(
  new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId: 'a' }),
  5,
)

describe('upgrade', () => {
  test('who was refused and does not close its side still counts as a connection from there', async () => {
    const broker = createBroker({ limits: { connectionsPerAddressMax: 1 } })
    const { port } = await broker.listen({ port: 0, webSocket: true })
    const lingering = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
    lingering.write('GET /\r\n\r\n')
    await once(lingering.resume(), 'end')
    const second = createConnection({ port, host: '127.0.0.1' }).on('error', () => {})
    second.write(upgradeRequest())
    assert.equal((await all(second)).length, 0)
    lingering.destroy()
    await broker.close({ timeoutMs: 100 })
  })

  test('the rate of new connections counts before it: some wait and are served then, those that would wait too long are closed', () =>
    serving({ limits: { listenerConnectionsPerSecondMax: 20, connectTimeoutMs: 1_000 } }, async ({ open }) => {
      const sockets = Array.from({ length: 60 }, open)
      const answers = await Promise.all(
        sockets.map(async (socket) => {
          socket.write(upgradeRequest())
          const answer = await Promise.race([
            new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(String(bytes).slice(9, 12)))),
            // Not by `once`, to which a reset would be a failure.
            new Promise<string>((resolve) => socket.once('close', () => resolve('closed'))),
          ])
          socket.destroy()
          return answer
        }),
      )
      const upgraded = answers.filter((answer) => answer === '101').length
      assert.equal(answers.filter((answer) => answer === 'closed').length, 60 - upgraded)
      assert.ok(upgraded > 20 && upgraded < 60, `${upgraded} upgraded`)
    }))

  test('any path, the subprotocol mqtt before mqttv3.1, and the key that RFC 6455 gives as an example [MQTT-6.0.0-4]', () =>
    serving({}, async ({ open }) => {
      for (const [path, offered, chosen] of [
        ['/mqtt', 'mqtt', 'mqtt'],
        ['/', 'mqttv3.1, mqtt', 'mqtt'],
        ['/any/where?x=1', 'x, mqttv3.1', 'mqttv3.1'],
      ] as const) {
        const socket = open()
        socket.write(upgradeRequest([], path).replace('Protocol: mqtt', `Protocol: ${offered}`))
        const [answer] = await once(socket, 'data')
        assert.match(String(answer), /^HTTP\/1\.1 101 Switching Protocols\r\n/)
        assert.match(String(answer), /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/)
        assert.match(String(answer), new RegExp(`Sec-WebSocket-Protocol: ${chosen}\\r\\n`))
        assert.doesNotMatch(String(answer), /Extensions/i)
        socket.destroy()
      }
    }))

  test('what is not a WebSocket for MQTT gets an answer, its end, and a line for the operator', () =>
    serving({ webSocket: { path: '/mqtt', origins: ['https://a.example'], headerBytesMax: 1000 } }, async (served) => {
      const good = upgradeRequest(['Origin: https://a.example'])
      const cases: [request: string, status: number, why: RegExp][] = [
        ['hello\r\n\r\n', 400, /not HTTP/],
        ['GET / HTTP/1.1\r\nno colon\r\n\r\n', 400, /malformed/],
        ['GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n', 426, /the request asks for no WebSocket; this is an MQTT broker/],
        [good.replace('GET', 'POST'), 405, /the method POST/],
        [good.replace('HTTP/1.1', 'HTTP/1.0'), 505, /HTTP\/1\.0/],
        [good.replace('/mqtt ', '/other '), 404, /path \/other/],
        [good.replace('Version: 13', 'Version: 8'), 426, /another version/],
        [good.replace('Key: dGhl', 'Key: '), 400, /Sec-WebSocket-Key/],
        [good.replace('Protocol: mqtt', 'Protocol: mqttx'), 400, /subprotocol mqtt is not offered/],
        [good.replace('a.example', 'b.example'), 403, /origin https:\/\/b\.example is not allowed/],
        [upgradeRequest(), 403, /origin unknown/],
        [good.replace('Host', `X: ${'x'.repeat(1000)}\r\nHost`), 431, /longer than 1000 bytes/],
        ['x'.repeat(2000), 431, /longer than 1000 bytes/],
      ]
      for (const [request, status, why] of cases) {
        const socket = served.open()
        socket.write(request)
        assert.match(String(await all(socket)), new RegExp(`^HTTP/1\\.1 ${status} `), request)
        assert.match(served.failures.pop() ?? '', why)
      }
      assert.deepEqual(served.failures, [])
    }))

  test('a request in pieces, with the first frames behind it', () =>
    serving({}, async ({ open }) => {
      const bytes = Buffer.concat([Buffer.from(upgradeRequest()), clientFrame(2, connectPacket)])
      for (const size of [1, 7, 100, bytes.length]) {
        const socket = open().setNoDelay(true)
        for (let at = 0; at < bytes.length; at += size) {
          socket.write(bytes.subarray(at, at + size))
          await new Promise((resolve) => setImmediate(resolve))
        }
        const reader = new Replies(socket)
        assert.equal((await reader.connack()).reasonCode, 0)
        socket.destroy()
      }
    }))

  test('a client that sends half a request is cut off after the connect timeout', () =>
    serving({ limits: { connectTimeoutMs: 50 } }, async ({ open, failures }) => {
      const socket = open()
      socket.write('GET /mqtt HTTP/1.1\r\n')
      await all(socket)
      assert.match(failures[0]!, /the WebSocket upgrade was not complete within 50 ms/)
    }))

  test('so is one that sends no CONNECT: the upgrade does not begin the time anew', () =>
    serving({ limits: { connectTimeoutMs: 300 } }, async ({ open }) => {
      const socket = open()
      socket.write(upgradeRequest())
      assert.match(String(await all(socket)), /101/)
    }))
})

/** Reader of a server's frames on a WebSocket. */
class Replies {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #isOpen = false
  constructor(socket: Socket) {
    this.#socket = socket
  }
  async frame(): Promise<{ opcode: number; payload: Buffer }> {
    for (;;) {
      if (!this.#isOpen) {
        const end = this.#bytes.indexOf('\r\n\r\n')
        if (end >= 0) {
          this.#isOpen = true
          this.#bytes = this.#bytes.subarray(end + 4)
        }
      }
      if (this.#isOpen && this.#bytes.length >= 2) {
        // Short answers only.
        const end = 2 + this.#bytes[1]!
        if (this.#bytes.length >= end) {
          const frame = { opcode: this.#bytes[0]! & 0x0f, payload: this.#bytes.subarray(2, end) }
          this.#bytes = this.#bytes.subarray(end)
          return frame
        }
      }
      const [chunk] = (await once(this.#socket, 'data')) as [Buffer]
      this.#bytes = Buffer.concat([this.#bytes, chunk])
    }
  }
  async connack(): Promise<Connack> {
    const decoder = new Decoder({ role: 'client', protocolVersion: 5 })
    decoder.push((await this.frame()).payload)
    const packet = decoder.read()
    assert.ok(packet instanceof Connack)
    return packet
  }
}

describe('frames', () => {
  /** Upgraded, and CONNACK received. */
  async function connected(open: () => Socket): Promise<{ socket: Socket; replies: Replies }> {
    const socket = open()
    socket.write(upgradeRequest())
    socket.write(clientFrame(2, connectPacket))
    const replies = new Replies(socket)
    assert.equal((await replies.connack()).reasonCode, 0)
    return { socket, replies }
  }

  test('a ping is answered with its payload, also in the middle of a fragmented packet', () =>
    serving({}, async ({ open }) => {
      const { socket, replies } = await connected(open)
      const ping = encode(new Pingreq(), 5)
      socket.write(clientFrame(2, ping.subarray(0, 1), false))
      socket.write(clientFrame(9, Buffer.from('are you there?')))
      assert.deepEqual(await replies.frame(), { opcode: 10, payload: Buffer.from('are you there?') })
      socket.write(clientFrame(0, ping.subarray(1)))
      const { opcode, payload } = await replies.frame()
      assert.deepEqual([opcode, ...payload], [2, 0xd0, 0])
      socket.destroy()
    }))

  test('of many pings that come together the last is answered: each answer would be a write of its own', () =>
    serving({}, async ({ open }) => {
      const { socket, replies } = await connected(open)
      const pings = Array.from({ length: 90 }, (_, i) => clientFrame(9, Uint8Array.of(i)))
      socket.write(Buffer.concat(pings))
      let pongs = 0
      for (let last = -1; last !== 89; pongs++) {
        const { opcode, payload } = await replies.frame()
        assert.equal(opcode, 10)
        last = payload[0]!
      }
      assert.ok(pongs < 45, `${pongs} pongs`)
      socket.destroy()
    }))

  test('a Close is answered with its code, and then the connection ends', () =>
    serving({}, async ({ open, failures }) => {
      const { socket, replies } = await connected(open)
      socket.write(Buffer.concat([clientFrame(2, encode(new Pingreq(), 5)), clientFrame(8, Uint8Array.of(0x03, 0xe9))]))
      // What the end of the turn would have said comes too late, as after the end of a TCP connection.
      const close = await replies.frame()
      assert.equal(close.opcode, 8)
      assert.deepEqual([...close.payload], [0x03, 0xe9])
      socket.resume()
      if (!socket.closed) await once(socket, 'close')
      assert.deepEqual(failures, [])
    }))

  test('DISCONNECT of the broker is followed by a Close 1000', () =>
    serving({}, async ({ open, broker }) => {
      const { socket, replies } = await connected(open)
      const closing = broker.close({ timeoutMs: 1000 })
      assert.equal((await replies.frame()).payload[0], 0xe0)
      assert.deepEqual(await replies.frame(), { opcode: 8, payload: Buffer.of(0x03, 0xe8) })
      socket.destroy()
      await closing
    }))

  test('a mistake ends the connection with its code, and is told of [MQTT-6.0.0-1]', () =>
    serving({}, async ({ open, failures }) => {
      const unmasked = Uint8Array.of(0x82, 0)
      const reserved = clientFrame(2, new Uint8Array(1))
      reserved[0]! |= 0x40
      const cases: [bytes: Uint8Array, code: number, why: RegExp][] = [
        [clientFrame(1, Buffer.from('text')), 1003, /a text frame/],
        [unmasked, 1002, /not masked/],
        [reserved, 1002, /reserved bit/],
        [clientFrame(0, new Uint8Array(1)), 1002, /no message before it/],
        [clientFrame(3, new Uint8Array(1)), 1002, /unknown opcode 3/],
        [clientFrame(9, new Uint8Array(1), false), 1002, /control frame is fragmented/],
        [clientFrame(9, new Uint8Array(126)), 1002, /too long/],
        [Buffer.concat([clientFrame(2, connectPacket, false), clientFrame(2, connectPacket)]), 1002, /within another/],
        [clientFrame(8, new Uint8Array(1)), 1002, /half a code/],
        [Buffer.concat(new Array<Uint8Array>(500).fill(clientFrame(10, new Uint8Array(0)))), 1008, /without payload/],
        [clientFrame(8, Uint8Array.of(0x03, 0xed)), 1002, /code 1005/],
        [clientFrame(8, Uint8Array.of(0x03, 0xe8, 0xff)), 1007, /not UTF-8/],
        [Uint8Array.of(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), 1002, /highest bit/],
        [Uint8Array.of(0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), 1009, /2\^53/],
      ]
      for (const [bytes, code, why] of cases) {
        const socket = open()
        socket.write(Buffer.concat([Buffer.from(upgradeRequest()), bytes]))
        const replies = new Replies(socket)
        const { opcode, payload } = await replies.frame()
        assert.deepEqual([opcode, payload.readUInt16BE(0)], [8, code], String(why))
        socket.destroy()
        while (failures.length === 0) await new Promise((resolve) => setImmediate(resolve))
        assert.match(failures.pop()!, why)
      }
    }))
})
