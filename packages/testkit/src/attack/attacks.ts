/**
 * The attacks by clients: each keeps a broker busy in one way for a given time, from this process, over loopback.
 *
 * `attacker.ts` runs one in a process of its own. All are bounded: a fixed number of connections, and writing stops
 * while the kernel accepts no more. The table shows `count` as the size of the attack.
 */
import { setTimeout as after } from 'node:timers/promises'
import {
  type Attack,
  connected,
  end,
  greeted,
  many,
  PAYLOAD,
  pump,
  repeat,
  waitToTheEnd,
  whenClosed,
} from './attack.ts'
import { layerAttacks } from './layer-attacks.ts'
import { storageAttacks } from './storage-attacks.ts'
import {
  bytesOf,
  connectBytes,
  DISCONNECT,
  PINGREQ,
  publishBytes,
  subscribeBytes,
  unsubscribeBytes,
  Wire,
} from './wire.ts'

/** Every mixture of `+` and `a` over the levels. */
const mixtures = (depth: number): string[] =>
  Array.from({ length: 1 << depth }, (_, m) =>
    Array.from({ length: depth }, (_each, level) => ((m >> level) & 1 ? '+' : 'a')).join('/'),
  )

export const attacks: readonly Attack[] = [
  {
    name: 'connect-churn',
    doc: 'CONNECT and DISCONNECT without end, 16 at a time',
    run: (run) =>
      repeat(run, 16, async (i) => {
        const wire = await greeted(run.port, connectBytes(`churn-${i}`))
        wire.write(DISCONNECT)
        await whenClosed(wire)
      }),
  },
  {
    name: 'half-open',
    doc: '1,000 connections that say nothing',
    async run(run) {
      const wires: Wire[] = []
      for (let i = 0; i < 1_000 && run.goesOn(); i++) {
        wires.push(new Wire(run.port))
        run.count()
        if (i % 50 === 49) await after(5)
      }
      await waitToTheEnd(run)
      end(wires)
    },
  },
  {
    name: 'slow-loris',
    doc: '500 connections, each a byte of its CONNECT or PUBLISH every 50 ms',
    async run(run) {
      const wires = await connected(run, 250, 'loris')
      for (let i = 0; i < 250; i++) wires.push(new Wire(run.port))
      const hello = connectBytes('loris-of-bytes')
      const publish = publishBytes('loris', new Uint8Array(2_000))
      for (let at = 0; run.goesOn(); at++) {
        for (const [i, wire] of wires.entries()) {
          const bytes = i < 250 ? publish : hello
          if (at < bytes.length) wire.write(bytes.subarray(at, at + 1))
          run.count()
        }
        await after(50)
      }
      end(wires)
    },
  },
  {
    name: 'publish-flood',
    doc: '4 clients that publish at QoS 0 as fast as they can',
    async run(run) {
      const wires = await connected(run, 4, 'flood')
      const bytes = many(publishBytes('flood/a', PAYLOAD), 200)
      await pump(run, wires, () => bytes, 'flood', 200)
      end(wires)
    },
  },
  {
    name: 'tiny-packets',
    doc: '4 clients that send PINGREQ as fast as they can and do not read',
    async run(run) {
      const wires = (await connected(run, 4, 'tiny')).map((wire) => wire.stopReading())
      const bytes = many(PINGREQ, 8_000)
      await pump(run, wires, () => bytes, 'tiny', 8_000)
      end(wires)
    },
  },
  {
    name: 'qos2-state',
    doc: '8 clients (3.1.1) that send QoS 2 and never PUBREL',
    async run(run) {
      const wires: Wire[] = []
      for (let i = 0; i < 8; i++) {
        const wire = new Wire(run.port, null, 4)
        wire.write(connectBytes(`qos2-${i}`, { protocolVersion: 4, cleanStart: false }))
        wires.push(wire)
      }
      let id = 0
      const next = (): Uint8Array =>
        Buffer.concat(
          Array.from({ length: 100 }, () => {
            id = (id % 65_535) + 1
            return Buffer.from([0x34, 14, 0, 5, 0x71, 0x2f, 0x61, 0x2f, 0x62, id >> 8, id & 0xff, 1, 2, 3, 4, 5])
          }),
        )
      await pump(run, wires, next, 'qos2', 100)
      end(wires)
    },
  },
  {
    name: 'subscription-bomb',
    doc: '2 clients with 4,096 mixtures of + each, one that changes a wildcard, one that publishes what all match',
    async run(run) {
      const [a, b, c, d] = (await connected(run, 4, 'bomb')) as [Wire, Wire, Wire, Wire]
      const filters = mixtures(12)
      for (const wire of [a, b])
        for (let i = 0; i < filters.length; i += 256)
          wire.write(subscribeBytes(1 + i, filters.slice(i, i + 256), 1 + i))
      await after(500)
      const topic = Array.from({ length: 12 }, () => 'a').join('/')
      const change = Buffer.concat([subscribeBytes(9, ['x/+']), unsubscribeBytes(10, ['x/+'])])
      const publish = publishBytes(topic, PAYLOAD)
      await pump(run, [c, d], (round) => (round % 2 === 0 ? change : publish), 'bomb')
      end([a, b, c, d])
    },
  },
  {
    name: 'million-filters',
    doc: '4 clients that subscribe to new filters without end',
    async run(run) {
      const wires = await connected(run, 4, 'filters')
      let n = 0
      const next = (): Uint8Array =>
        subscribeBytes(
          1,
          Array.from({ length: 500 }, () => `f/${n++}/+/x`),
        )
      await pump(run, wires, next, 'filters', 500)
      end(wires)
    },
  },
  {
    name: 'retained-flood',
    doc: '2 clients that retain 512 bytes on new topics without end',
    async run(run) {
      const wires = await connected(run, 2, 'retain')
      const payload = new Uint8Array(512)
      let n = 0
      const next = (): Uint8Array =>
        Buffer.concat(Array.from({ length: 50 }, () => publishBytes(`r/${n % 97}/${n++}`, payload, 0, 0, true)))
      await pump(run, wires, next, 'retain', 50)
      end(wires)
    },
  },
  {
    name: 'retained-walk',
    doc: '50,000 retained messages, and clients that subscribe to all of them a hundred times in a packet and do not read',
    async run(run) {
      const [publisher] = (await connected(run, 1, 'walk-p')) as [Wire]
      for (let n = 0; n < 50_000 && run.goesOn(); n += 100) {
        const bytes = Array.from({ length: 100 }, (_, i) => publishBytes(`w/${n % 97}/${n + i}`, PAYLOAD, 0, 0, true))
        if (!publisher.write(Buffer.concat(bytes)))
          await new Promise((resolve) => publisher.socket.once('drain', resolve))
      }
      const wires = (await connected(run, 8, 'walk')).map((wire) => wire.stopReading())
      const filters = Array.from({ length: 100 }, (_, i) => ['w/#', 'w/+/+', '+/+/#', '+/+/x', 'w/+/x'][i % 5]!)
      const bytes = Buffer.concat([subscribeBytes(1, filters), unsubscribeBytes(2, [...new Set(filters)])])
      await pump(run, wires, () => bytes, 'walk', 100)
      end([publisher, ...wires])
    },
  },
  {
    name: 'will-storm',
    doc: '300 clients with Wills that are all cut at once, again and again',
    async run(run) {
      const will = { topic: 'will/storm', payload: PAYLOAD, qos: 1 as const, retain: false, properties: {} }
      while (run.goesOn()) {
        const wires = await connected(run, 300, 'will', { will })
        for (const wire of wires) wire.socket.resetAndDestroy()
        await after(20)
      }
    },
  },
  {
    name: 'takeover-storm',
    doc: '16 clients that fight for one Client Identifier',
    run: (run) =>
      repeat(run, 16, async () => {
        const wire = await greeted(run.port, connectBytes('the-same'))
        await Promise.race([whenClosed(wire), after(200)])
        wire.destroy()
      }),
  },
  {
    name: 'half-packets',
    doc: '100 clients with 1 MB each of a packet of 256 MB',
    async run(run) {
      const wires = await connected(run, 100, 'half')
      const start = Buffer.concat([Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x78]), new Uint8Array(60_000)])
      const more = new Uint8Array(64_000)
      for (let i = 0; i < 16 && run.goesOn(); i++) {
        for (const wire of wires) {
          wire.write(i === 0 ? start : more)
          run.count()
        }
        await after(100)
      }
      await waitToTheEnd(run)
      end(wires)
    },
  },
  {
    name: 'property-bomb',
    doc: 'PUBLISH and SUBSCRIBE with millions of empty User Properties and one-character filters',
    async run(run) {
      const wires = await connected(run, 2, 'props')
      const count = 2_000_000
      const properties = many(Buffer.from([0x26, 0, 0, 0, 0]), 20_000)
      const length = 5 * count
      const varint = (value: number): number[] =>
        value < 128 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 128))]
      const head = Buffer.from([0x30, ...varint(3 + varint(length).length + length), 0, 1, 0x70, ...varint(length)])
      const filters = many(Buffer.from([0, 1, 0x61, 0]), 25_000)
      const subscribe = Buffer.from([0x82, ...varint(3 + 4 * count), 0, 1, 0])
      while (run.goesOn()) {
        for (const [i, wire] of wires.entries()) {
          if (wire.isClosed) {
            wires[i] = await greeted(run.port, connectBytes(`props-${i}`))
            continue
          }
          wire.write(i === 0 ? head : subscribe)
          const piece = i === 0 ? properties : filters
          const total = i === 0 ? length : 4 * count
          for (let sent = 0; sent < total && !wire.isClosed && run.goesOn(); sent += piece.length) {
            run.count()
            if (!wire.write(piece)) await Promise.race([after(1_000), new Promise((r) => wire.socket.once('drain', r))])
          }
        }
        await after(10)
      }
      end(wires)
    },
  },
  {
    name: 'slow-readers',
    doc: '20 clients that subscribe to a flood and do not read',
    async run(run) {
      const readers = await connected(run, 20, 'deaf')
      for (const reader of readers) reader.write(subscribeBytes(1, ['deaf/#'], 0, 1))
      await after(200)
      for (const reader of readers) reader.stopReading()
      const [publisher] = (await connected(run, 1, 'deaf-p')) as [Wire]
      const bytes = many(publishBytes('deaf/a', new Uint8Array(1_000)), 20)
      await pump(run, [publisher], () => bytes, 'deaf-p', 20)
      end([publisher, ...readers])
    },
  },
  {
    name: 'queue-flood',
    doc: '20 sessions that are away and a client that fills their queues at QoS 1',
    async run(run) {
      const away = await connected(run, 20, 'away', {
        cleanStart: false,
        properties: { sessionExpiryIntervalSeconds: 600 },
      })
      for (const wire of away) wire.write(subscribeBytes(1, ['away/#'], 0, 1))
      await after(200)
      for (const wire of away) wire.write(DISCONNECT)
      await after(100)
      let id = 0
      const payload = new Uint8Array(1_000)
      const next = (): Uint8Array =>
        Buffer.concat(
          Array.from({ length: 20 }, () => {
            id = (id % 60_000) + 1
            return publishBytes('away/a', payload, 1, id)
          }),
        )
      // 3.1.1 has no Receive Maximum: everything is sent that the kernel accepts
      const publisher = new Wire(run.port, null, 4)
      publisher.write(connectBytes('away-p', { protocolVersion: 4 }))
      const v4 = (): Uint8Array => withoutProperties(next())
      await pump(run, [publisher], v4, 'away-p', 20)
      end([publisher])
    },
  },
  {
    name: 'garbage',
    doc: 'random bytes on new connections, 16 at a time',
    run: (run) =>
      repeat(run, 16, async (i) => {
        const wire = new Wire(run.port)
        const bytes = new Uint8Array(200)
        for (let at = 0; at < bytes.length; at++) bytes[at] = (i * 7919 + at * 104_729 + (i >> 3) * at) & 0xff
        if (i % 2 === 0) wire.write(connectBytes(`garbage-${i}`))
        wire.write(bytes)
        await Promise.race([whenClosed(wire), after(300)])
        wire.destroy()
      }),
  },
  {
    name: 'alias-and-id-abuse',
    doc: 'Topic Aliases that were not granted, packet ids used twice, acknowledgements of nothing',
    run: (run) =>
      repeat(run, 8, async (i) => {
        const wire = await greeted(run.port, connectBytes(`abuse-${i}`))
        const bad = [
          Buffer.from([0x30, 8, 0, 1, 0x61, 3, 0x23, 0xff, 0xff, 0]),
          Buffer.from([0x30, 7, 0, 0, 3, 0x23, 0, 5, 0x61]),
          Buffer.from([0x40, 2, 0, 9, 0x50, 2, 0, 9, 0x70, 2, 0, 9, 0x62, 2, 0, 9]),
          many(bytesOf(5), 1),
          Buffer.from([0x34, 6, 0, 1, 0x61, 0, 7, 0, 0x34, 6, 0, 1, 0x61, 0, 7, 0]),
        ]
        wire.write(bad[i % bad.length]!)
        await Promise.race([whenClosed(wire), after(20)])
        wire.destroy()
      }),
  },
  ...storageAttacks,
  ...layerAttacks,
]

/** Converts PUBLISH packets of 3.1.1, all of one size, to 5.0 with an empty Property Length. */
function withoutProperties(bytes: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = (bytes[at + 1]! & 0x7f) | (bytes[at + 2]! << 7)
    const topicLength = (bytes[at + 3]! << 8) | bytes[at + 4]!
    const properties = at + 5 + topicLength + 2
    const rest = length - 1
    pieces.push(Uint8Array.of(bytes[at]!, (rest & 0x7f) | 0x80, rest >> 7))
    pieces.push(bytes.subarray(at + 3, properties), bytes.subarray(properties + 1, at + 3 + length))
    at += 3 + length
  }
  return Buffer.concat(pieces)
}
