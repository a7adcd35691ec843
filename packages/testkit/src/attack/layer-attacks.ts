/**
 * Attacks on the layers below MQTT, and on the log: TLS handshakes, WebSocket upgrades and frames, PROXY headers, peers
 * that have vanished, names that contain log lines.
 *
 * Each is made on a listener with that layer, beside an honest pair there and one on plain TCP. Those that hold
 * connections open wait at the end until the broker has ended every one of them.
 */
import { Duplex } from 'node:stream'
import { setTimeout as after } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { deflateRawSync } from 'node:zlib'
import { clientFrame, upgradeRequest } from '@recado/broker/testing'
import { Disconnect, encode, ReasonCode } from '@recado/protocol'
import {
  type Attack,
  ENDING_MS,
  end,
  holdOpen,
  many,
  PAYLOAD,
  type Run,
  repeat,
  waitToTheEnd,
  whenClosed,
} from './attack.ts'
import { cut } from './netns.ts'
import { connectBytes, PacketType, PINGREQ, publishBytes, subscribeBytes, Wire } from './wire.ts'

const FIN = 0x80
const RSV1 = 0x40
const Opcode = { Continuation: 0, Binary: 2, Ping: 9 } as const
const NOTHING = new Uint8Array(0)

/** Text that would be a line of its own in the log. `run.ts` looks for it. */
export const FORGED_LINE = '1700000001: FORGED'
const BREAKS: readonly string[] = ['\n', '\r\n', '\r', '\u2028', '\u0085', '\u001b[2K\r', '\u202e', '\u009b1A']

/** ClientHello as Node sends it, for both versions of TLS. */
function clientHello(): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const into = new Duplex({
      read() {},
      write(chunk: Uint8Array, _encoding, done) {
        resolve(new Uint8Array(chunk))
        done()
      },
    })
    connectTls({ socket: into, servername: 'localhost', rejectUnauthorized: false }).on('error', () => {})
  })
}

/** Writes one of the bytes; nothing when they are over. */
function drip(wire: Wire, bytes: Uint8Array, at: number): void {
  if (at < bytes.length) wire.write(bytes.subarray(at, at + 1))
}

const request: Uint8Array = Buffer.from(upgradeRequest())
const V2_SIGNATURE = '0d0a0d0a000d0a515549540a'
const TLV = { Authority: 0x02, Ssl: 0x20, SslVersion: 0x21, SslCommonName: 0x22 } as const

const tlv = (type: number, value: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(type, value.length >> 8, value.length & 0xff), value])

/**
 * Returns a PROXY header of version 2 with an IPv4 address and these values; `length` is the length that it claims.
 */
function proxyHeader(values: Uint8Array, length = 12 + values.length): Uint8Array {
  const head = Buffer.from(`${V2_SIGNATURE}2111${length.toString(16).padStart(4, '0')}c0000207c00002019c40075b`, 'hex')
  return Buffer.concat([head, values])
}

/** Connects client after client of 3.1.1 and 5.0 with such a line in everything that might be logged. */
function injectLines(run: Run, hello: (text: string) => Uint8Array): Promise<void> {
  return repeat(run, 8, async (i) => {
    const text = `x${BREAKS[i % BREAKS.length]}${FORGED_LINE}`
    const protocolVersion = i % 3 === 0 ? 4 : 5
    const will = { topic: `will/${text}`, payload: PAYLOAD, qos: 0 as const, retain: false, properties: {} }
    const wire = new Wire(run.port)
    wire.write(hello(text))
    const names = [{ clientId: text }, { username: text }, { will }, {}][(i >> 3) % 4]!
    wire.write(connectBytes(`injector-${i}`, { protocolVersion, ...names }))
    if (protocolVersion === 5) {
      wire.write(subscribeBytes(1, [`s/${text}`]))
      wire.write(publishBytes(`p/${text}`, Buffer.from(text)))
      if (i % 2 === 0) {
        wire.write(encode(new Disconnect(ReasonCode.DisconnectWithWillMessage, { reasonString: text }), 5))
      }
    }
    await Promise.race([whenClosed(wire).then(() => run.ended()), after(30)])
    wire.socket.resetAndDestroy()
  })
}

export const layerAttacks: readonly Attack[] = [
  {
    name: 'tls-slow-handshake',
    doc: '2,000 connections to a TLS listener that stop in the middle of their ClientHello, or send a byte of it every 50 ms',
    layer: 'tls',
    async run(run) {
      const hello = await clientHello()
      await holdOpen(run, {
        connections: 2_000,
        open: () => new Wire(run.port),
        feed(wire, i, age) {
          if (i % 4 === 0) drip(wire, hello, age)
          else if (age === 0) wire.write(hello.subarray(0, hello.length >> 1))
        },
      })
    },
  },
  {
    name: 'tls-handshake-storm',
    doc: 'the same ClientHello without end, 32 at a time: the broker signs, the attacker computes nothing',
    layer: 'tls',
    async run(run) {
      const hello = await clientHello()
      await repeat(run, 32, async () => {
        const wire = new Wire(run.port)
        wire.write(hello)
        let isAnswered = false
        const answered = new Promise<void>((resolve) =>
          wire.socket.once('data', () => {
            isAnswered = true
            resolve()
          }),
        )
        await Promise.race([answered, whenClosed(wire)])
        if (!isAnswered) run.ended()
        wire.destroy()
      })
    },
  },
  {
    name: 'tls-renegotiation',
    doc: '8 clients of TLS 1.2 that ask for another handshake on their connection, again and again',
    layer: 'tls',
    run: (run) =>
      repeat(run, 8, async () => {
        const socket = connectTls({
          port: run.port,
          host: '127.0.0.1',
          rejectUnauthorized: false,
          maxVersion: 'TLSv1.2',
        })
        let isOver = false
        const over = new Promise<void>((resolve) =>
          socket
            .on('error', () => {})
            .once('close', () => {
              isOver = true
              resolve()
            }),
        )
        await Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), over])
        while (!isOver && run.goesOn()) {
          const done = new Promise<boolean>((resolve) => {
            socket.renegotiate({ rejectUnauthorized: false }, (error) => resolve(error === null))
          })
          const isDone = await Promise.race([done, over.then(() => false), after(500).then(() => false)])
          if (!isDone) break
          run.count()
        }
        await Promise.race([over, after(500)])
        if (isOver) run.ended()
        socket.destroy()
      }),
  },
  {
    name: 'ws-slow-upgrade',
    doc: '1,000 connections to a WebSocket listener: a byte of the request every 50 ms, headers without end, half a frame after the upgrade',
    layer: 'websocket',
    async run(run) {
      const half = clientFrame(Opcode.Binary, connectBytes('half-a-frame'))
      await holdOpen(run, {
        connections: 1_000,
        open: () => new Wire(run.port),
        feed(wire, i, age) {
          if (i % 3 === 0) drip(wire, request, age)
          else if (i % 3 === 1)
            wire.write(age === 0 ? request.subarray(0, -2) : Buffer.from(`X-${age}: ${'x'.repeat(500)}\r\n`))
          else if (age === 0) wire.write(Buffer.concat([request, half.subarray(0, half.length >> 1)]))
        },
      })
    },
  },
  {
    name: 'ws-frame-flood',
    doc: '4 WebSocket clients as fast as they can: PUBLISH in frames of one byte, pings of 125 bytes within a message, empty parts of a message that never ends',
    layer: 'websocket',
    async run(run) {
      const publish = publishBytes('flood/frames', new Uint8Array(16))
      const bytes = many(
        Buffer.concat([...publish].map((byte) => clientFrame(Opcode.Binary, Uint8Array.of(byte)))),
        300,
      )
      const pings = Buffer.concat([
        clientFrame(Opcode.Binary, PINGREQ.subarray(0, 1), false),
        many(clientFrame(Opcode.Ping, new Uint8Array(125)), 400),
        clientFrame(Opcode.Continuation, PINGREQ.subarray(1)),
      ])
      const empty = many(clientFrame(Opcode.Continuation, NOTHING, false), 8_000)
      const floods = [bytes, bytes, pings, empty]
      const frames = [300 * publish.length, 300 * publish.length, 402, 8_000]
      const openOne = (i: number): Wire => {
        const wire = new Wire(run.port)
        if (i < 2) wire.stopReading()
        wire.write(Buffer.concat([request, clientFrame(Opcode.Binary, connectBytes(`frames-${i}`))]))
        if (i === 3) wire.write(clientFrame(Opcode.Binary, NOTHING, false))
        return wire
      }
      const wires = floods.map((_, i) => openOne(i))
      const blocked = new WeakSet<Wire>()
      while (run.goesOn()) {
        for (const [i, wire] of wires.entries()) {
          if (wire.isClosed) {
            run.ended()
            wires[i] = openOne(i)
          } else if (!blocked.has(wire)) {
            run.count(frames[i])
            if (wire.write(floods[i]!)) continue
            blocked.add(wire)
            wire.socket.once('drain', () => blocked.delete(wire))
          }
        }
        await after(1)
      }
      // Those without payload are ended even when there is little of it
      for (const i of [2, 3]) {
        const wire = wires[i]!
        wire.write(floods[i]!)
        await Promise.race([whenClosed(wire), after(ENDING_MS)])
        if (wire.isClosed) run.ended()
        else run.left(1)
      }
      end(wires)
    },
  },
  {
    name: 'ws-compressed',
    doc: 'frames that would be 10 MB each by permessage-deflate, which was asked for and not agreed, 16 clients at a time',
    layer: 'websocket',
    async run(run) {
      const bomb = clientFrame(Opcode.Binary, deflateRawSync(new Uint8Array(10_000_000)))
      bomb[0] = FIN | RSV1 | Opcode.Binary
      const hello = Buffer.from(upgradeRequest(['Sec-WebSocket-Extensions: permessage-deflate']))
      await repeat(run, 16, async (i) => {
        const wire = new Wire(run.port)
        wire.write(Buffer.concat([hello, clientFrame(Opcode.Binary, connectBytes(`bomb-${i}`)), bomb]))
        await Promise.race([whenClosed(wire), after(2_000)])
        if (wire.isClosed) run.ended()
        else run.left(1)
        wire.destroy()
      })
    },
  },
  {
    name: 'proxy-endless',
    doc: '1,000 connections whose PROXY header never ends: a byte every 50 ms, one that promises 8,000 bytes more, one that promises 64 KB',
    layer: 'proxy',
    isOurs: true,
    run: (run) =>
      holdOpen(run, {
        connections: 1_000,
        open: () => new Wire(run.port),
        feed(wire, i, age) {
          if (i % 10 === 0) {
            if (age === 0) wire.write(proxyHeader(NOTHING, 0xffff))
          } else if (i % 2 === 0) drip(wire, proxyHeader(new Uint8Array(500), 8_000), age)
          else if (age === 0) wire.write(proxyHeader(new Uint8Array(4_000), 8_000))
        },
      }),
  },
  {
    name: 'vanished',
    doc: '300 subscribers with a Keep Alive of 2 s, to what somebody publishes, that neither read nor write any more and do not close',
    layer: 'tcp',
    async run(run) {
      let granted = 0
      const publisher = new Wire(run.port)
      publisher.write(connectBytes('vanished-p'))
      let id = 0
      await holdOpen(run, {
        connections: 300,
        open(i) {
          const wire: Wire = new Wire(run.port, (packet) => {
            if (packet.type !== PacketType.SUBACK) return
            granted++
            if (run.goesOn()) wire.stopReading()
          })
          wire.write(connectBytes(`vanished-${i}`, { keepAliveSeconds: 2 }))
          wire.write(subscribeBytes(1, ['vanished/#'], 0, 1))
          return wire
        },
        feed(wire, i) {
          // At the end read only to see whether the broker has closed the connection
          if (!run.goesOn() && wire.socket.isPaused()) wire.socket.resume()
          if (i !== 0 || granted === 0 || !run.goesOn()) return
          id = (id % 60_000) + 1
          publisher.write(publishBytes('vanished/a', new Uint8Array(1_000), 1, id))
        },
      })
      end([publisher])
    },
  },
  {
    name: 'vanished-host',
    doc: '300 subscribers with a Keep Alive of 2 s on another machine whose cable is cut; 20 of them are owed what the honest pairs say',
    layer: 'tcp',
    isElsewhere: true,
    async run(run) {
      const waiting = new Set<Wire>()
      for (let i = 0; i < 300; i++) {
        const wire: Wire = new Wire({ port: run.port, host: run.host, layer: 'tcp' }, (packet) => {
          if (packet.type === PacketType.SUBACK) waiting.delete(wire)
        })
        wire.write(connectBytes(`vanished-host-${i}`, { keepAliveSeconds: 2 }))
        wire.write(subscribeBytes(1, [i < 20 ? 'bystander/#' : 'nothing/#'], 0, 1))
        waiting.add(wire)
        run.count()
        // Not all at once: they are to be clients before they vanish. On a busy machine the first have timed out by then.
        while (i % 50 === 49 && [...waiting].some((each) => !each.isClosed)) await after(5)
      }
      cut(run.device)
      await waitToTheEnd(run)
    },
  },
  {
    name: 'log-injection',
    doc: 'line ends and escapes with a forged line behind them in Client Identifiers, user names, topics, Wills and reason strings, 8 clients at a time',
    layer: 'tcp',
    run: (run) => injectLines(run, () => NOTHING),
  },
  {
    name: 'log-injection-proxy',
    doc: 'the same, and in the common name, server name and version of TLS in a PROXY header',
    layer: 'proxy',
    config: ['use_identity_as_username true'],
    isOurs: true,
    run: (run) =>
      injectLines(run, (text) => {
        const value = Buffer.from(text)
        const ssl = Buffer.concat([
          Uint8Array.of(3, 0, 0, 0, 0),
          tlv(TLV.SslVersion, value),
          tlv(TLV.SslCommonName, value),
        ])
        return proxyHeader(Buffer.concat([tlv(TLV.Authority, value), tlv(TLV.Ssl, ssl)]))
      }),
  },
]
