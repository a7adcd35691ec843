/**
 * Attacks on stored data: one host that may connect without a login makes the broker hold as much as it can, in memory
 * and on disk.
 *
 * Each alternates between the size that a broker without limits accepts and the largest that Recado accepts by default,
 * so that refusing the one does not end the attack. `count` is the number of packets, connections or sessions.
 */
import { setTimeout as after } from 'node:timers/promises'
import { encode, Puback, Publish, Pubrel } from '@recado/protocol'
import { type Attack, connected, end, greeted, many, type Run, repeat, waitToTheEnd } from './attack.ts'
import { connectBytes, DISCONNECT, PINGREQ, publishBytes, subscribeBytes, unsubscribeBytes, Wire } from './wire.ts'

/** Bytes of properties that Recado refuses by default, and bytes that it accepts. */
const HUGE_PROPERTY_BYTES = 455_000
const LARGE_PROPERTY_BYTES = 60_000
const SESSIONS_MAX = 20_000

/** Makes User Properties of so many bytes. */
function userProperties(bytes: number): [string, string][] {
  const properties: [string, string][] = []
  for (let left = bytes; left > 0; left -= 60_000) properties.push(['p', 'x'.repeat(Math.min(left, 60_000) - 6)])
  return properties
}

const of = (i: number): number => (i % 2 === 0 ? LARGE_PROPERTY_BYTES : HUGE_PROPERTY_BYTES)

/** Encodes a PUBLISH with User Properties instead of a payload; at QoS 1 each has an identifier of its own. */
function heavyPublish(topic: string, bytes: number, qos: 0 | 1, packetId: number, retain: boolean): Uint8Array {
  const properties = { userProperties: userProperties(bytes) }
  return encode(Publish.of({ topic, payload: Uint8Array.of(1), qos, packetId, retain, properties }), 5)
}

const drained = (wire: Wire): Promise<unknown> =>
  Promise.race([after(1_000), new Promise((resolve) => wire.socket.once('drain', resolve))])

/**
 * Writes the packets that `make` returns, one by one as the kernel accepts them, on one connection that is reopened
 * when it is closed.
 */
async function write(run: Run, name: string, make: (i: number) => Uint8Array): Promise<void> {
  let wire = await greeted(run.port, connectBytes(name))
  for (let i = 0; run.goesOn(); i++) {
    if (wire.isClosed) {
      run.ended()
      wire = await greeted(run.port, connectBytes(name))
    }
    run.count()
    if (!wire.write(make(i))) await drained(wire)
    else if (i % 16 === 15) await after(0)
  }
  wire.destroy()
}

/** Leaves sessions behind: each client connects, subscribes to its own name, and disconnects. */
async function leave(run: Run, names: readonly string[], more: object = {}): Promise<void> {
  for (let at = 0; at < names.length && run.goesOn(); at += 50) {
    const some = names.slice(at, at + 50)
    const wires = await Promise.all(
      some.map((name) =>
        greeted(
          run.port,
          connectBytes(name, { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 600 }, ...more }),
        ),
      ),
    )
    for (const [i, wire] of wires.entries()) wire.write(subscribeBytes(1, [some[i]!], 0, 1))
    await after(20)
    for (const wire of wires) wire.write(DISCONNECT)
  }
}

export const storageAttacks: readonly Attack[] = [
  {
    name: 'unfinished-publish',
    doc: '8 clients, each with 200 MB of a PUBLISH of 256 MB, or 15 MB of one of 16 MB, that never end',
    run: async (run) => {
      const chunk = new Uint8Array(250_000)
      const once = async (i: number): Promise<void> => {
        const isHuge = i % 2 === 0
        const wire = await greeted(run.port, connectBytes(`unfinished-${i}`))
        // 268,435,455 or 16,000,000 bytes, QoS 0, topic x, no properties.
        const length = isHuge ? [0xff, 0xff, 0xff, 0x7f] : [0x80, 0xc8, 0xd0, 0x07]
        wire.write(Uint8Array.from([0x30, ...length, 0, 1, 0x78, 0]))
        for (let sent = 0; sent < (isHuge ? 200e6 : 15e6) && !wire.isClosed && run.goesOn(); sent += chunk.length)
          if (!wire.write(chunk)) await drained(wire)
        while (!wire.isClosed && run.goesOn()) await after(20)
        if (wire.isClosed) run.ended()
        wire.destroy()
      }
      await repeat(run, 8, once)
    },
  },
  {
    name: 'half-connect',
    doc: '600 connections with 510 KB, or 60 KB, of a CONNECT that never ends',
    run: async (run) => {
      const wires: Wire[] = []
      for (let i = 0; i < 600 && run.goesOn(); i++) {
        const wire = new Wire(run.port)
        const isHuge = i % 2 === 1
        // 520,000 or 65,000 bytes.
        wire.write(Uint8Array.from(isHuge ? [0x10, 0xc0, 0xde, 0x1f] : [0x10, 0xe8, 0xfb, 0x03]))
        wire.write(Uint8Array.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 60, 0, 0xff, 0xff]))
        wire.write(new Uint8Array(isHuge ? 510_000 : 60_000).fill(0x61))
        wires.push(wire)
        run.count()
        if (i % 20 === 19) await after(10)
      }
      await waitToTheEnd(run)
      run.ended(wires.filter(({ isClosed }) => isClosed).length)
      end(wires)
    },
  },
  {
    name: 'will-hoard',
    doc: 'clients with Wills of 455 KB, or 60 KB, of User Properties, 2,000 at most',
    run: async (run) => {
      const wires: Wire[] = []
      for (let i = 0; i < 2_000 && run.goesOn(); i++) {
        const properties = { userProperties: userProperties(of(i)) }
        const will = { topic: 'will/hoard', payload: Uint8Array.of(1), qos: 1 as const, retain: false, properties }
        const wire = new Wire(run.port)
        if (!wire.write(connectBytes(`will-hoard-${i}`, { will }))) await drained(wire)
        wires.push(wire)
        run.count()
        if (i % 10 === 9) await after(5)
      }
      await waitToTheEnd(run)
      run.ended(wires.filter(({ isClosed }) => isClosed).length)
      end(wires)
    },
  },
  {
    name: 'session-hoard',
    doc: '300 sessions that are away, and a client (3.1.1) that sends each messages of 60 KB of its own at QoS 1',
    run: async (run) => {
      const names = Array.from({ length: 300 }, (_, i) => `hoard-${i}`)
      await leave(run, names)
      const payload = new Uint8Array(60_000)
      const wire = new Wire(run.port, null, 4)
      wire.write(connectBytes('hoard-p', { protocolVersion: 4 }))
      for (let i = 0; run.goesOn() && !wire.isClosed; i++) {
        const packet = Publish.of({ topic: names[i % 300]!, payload, qos: 1, packetId: 1 + (i % 60_000) })
        run.count()
        if (!wire.write(encode(packet, 4))) await drained(wire)
      }
      wire.destroy()
    },
  },
  {
    name: 'property-messages',
    doc: 'a client that publishes 83,333 empty User Properties, or 13,000, in a packet as fast as it can',
    run: (run) => {
      const empty = (n: number): Uint8Array => {
        const properties = { userProperties: Array.from({ length: n }, () => ['', ''] as [string, string]) }
        return encode(Publish.of({ topic: 'props', payload: new Uint8Array(1), properties }), 5)
      }
      const [few, many] = [empty(13_000), empty(83_333)]
      return write(run, 'property-messages', (i) => (i % 50 === 49 ? many : few))
    },
  },
  {
    name: 'long-filters',
    doc: '4 clients that subscribe to new filters of 64 KB, or 4 KB, without end',
    run: async (run) => {
      const one = (name: string): Promise<void> =>
        write(run, name, (i) => {
          const filters = Array.from({ length: i % 2 === 0 ? 40 : 4 }, (_, k) => {
            const start = `${name}/${i}/${k}/`
            return start.padEnd(i % 2 === 0 ? 4_090 : 65_000, 'x')
          })
          return subscribeBytes(1 + (i % 60_000), filters)
        })
      await Promise.all(Array.from({ length: 4 }, (_, i) => one(`long-${i}`)))
    },
  },
  {
    name: 'endless-sessions',
    doc: `clients that come with a session that never expires, subscribe and go, ${SESSIONS_MAX.toLocaleString('en-US')} at most`,
    run: async (run) => {
      for (let i = 0; i < SESSIONS_MAX && run.goesOn(); i += 50) {
        const names = Array.from({ length: 50 }, (_, k) => `endless-${i + k}-`.padEnd(i % 100 === 0 ? 20 : 4_000, 'x'))
        await leave(run, names, { properties: { sessionExpiryIntervalSeconds: 0xffff_ffff } })
        run.count(50)
      }
    },
  },
  {
    name: 'retained-properties',
    doc: 'a client that retains one byte with 60 KB, or 455 KB, of User Properties on new topics without end',
    run: (run) =>
      write(run, 'retained-properties', (i) => heavyPublish(`rp/${i}`, i % 20 === 19 ? of(1) : of(0), 0, 0, true)),
  },
  {
    name: 'queue-properties',
    doc: 'a session that is away, and a client that sends it one byte with 60 KB, or 455 KB, of User Properties at QoS 1',
    run: async (run) => {
      await leave(run, ['queue-properties'])
      await write(run, 'queue-properties-p', (i) =>
        heavyPublish('queue-properties', i % 20 === 19 ? of(1) : of(0), 1, 1 + (i % 900), false),
      )
    },
  },
  {
    name: 'stray-acknowledgements',
    doc: '4 clients that send PUBREL and PUBACK for what nobody has sent as fast as they can',
    run: async (run) => {
      const bytes = many(Buffer.concat([encode(new Pubrel(7), 5), encode(new Puback(9), 5)]), 4_000)
      const one = async (name: string): Promise<void> => {
        while (run.goesOn()) {
          const wire = (await connected(run, 1, name))[0]
          if (wire === undefined) return
          while (run.goesOn() && !wire.isClosed) {
            run.count(8_000)
            if (!wire.write(bytes)) await drained(wire)
            else await after(0)
          }
          if (wire.isClosed) run.ended()
          wire.destroy()
        }
      }
      await Promise.all(Array.from({ length: 4 }, (_, i) => one(`stray-${i}`)))
    },
  },
  {
    name: 'all-at-once',
    doc: '60 clients, each with a SUBSCRIBE of 85,000 Topic Filters, or 9,900, an UNSUBSCRIBE of 9,900, or 2,000 packets, whose last bytes come at the same time',
    run: async (run) => {
      const same = (count: number): string[] => Array.from({ length: count }, () => 'a/b')
      const bombs = [
        subscribeBytes(1, same(9_900)),
        unsubscribeBytes(2, same(9_900)),
        subscribeBytes(3, same(85_000)),
        Buffer.concat([
          ...Array.from({ length: 900 }, (_, i) => publishBytes('x', new Uint8Array(1), 2, i + 1)),
          many(PINGREQ, 1_100),
        ]),
      ]
      const ready = async (name: string, bomb: Uint8Array): Promise<Wire> => {
        const wire = await greeted(run.port, connectBytes(name))
        if (!wire.write(bomb.subarray(0, -1))) await drained(wire)
        return wire
      }
      while (run.goesOn()) {
        const wires = await Promise.all(
          Array.from({ length: 60 }, (_, i) => ready(`at-once-${i}`, bombs[i % bombs.length]!)),
        )
        for (const [i, wire] of wires.entries()) wire.write(bombs[i % bombs.length]!.subarray(-1))
        run.count(wires.length)
        await after(300)
        run.ended(wires.filter(({ isClosed }) => isClosed).length)
        end(wires)
      }
    },
  },
  {
    name: 'alias-hoard',
    doc: 'clients that set 10 Topic Aliases for topics of 64,900 bytes, or 3,000, and stay, 2,000 at most',
    run: async (run) => {
      const wires: Wire[] = []
      for (let i = 0; i < 2_000 && run.goesOn(); i++) {
        const wire = await greeted(run.port, connectBytes(`alias-hoard-${i}`))
        for (let topicAlias = 1; topicAlias <= 10; topicAlias++) {
          const topic = `alias/${i}/${topicAlias}/`.padEnd(i % 2 === 0 ? 64_900 : 3_000, 'x')
          const packet = Publish.of({
            topic,
            payload: new Uint8Array(1),
            qos: 0,
            packetId: 0,
            properties: { topicAlias },
          })
          if (!wire.write(encode(packet, 5))) await drained(wire)
        }
        wires.push(wire)
        run.count()
      }
      await waitToTheEnd(run)
      run.ended(wires.filter(({ isClosed }) => isClosed).length)
      end(wires)
    },
  },
  {
    name: 'own-slow-readers',
    doc: 'clients that publish messages of 60 KB at QoS 1 to a topic of their own and never read, 600 at most',
    run: async (run) => {
      const wires: Wire[] = []
      const payload = new Uint8Array(60_000)
      for (let i = 0; i < 600 && run.goesOn(); i++) {
        const wire = (await greeted(run.port, connectBytes(`own-slow-${i}`))).stopReading()
        wire.write(subscribeBytes(1, [`own-slow/${i}`], 0, 1))
        for (let packetId = 1; packetId <= 150 && !wire.isClosed && run.goesOn(); packetId++)
          if (!wire.write(publishBytes(`own-slow/${i}`, payload, 1, packetId)))
            await Promise.race([after(20), drained(wire)])
        wires.push(wire)
        run.count()
      }
      await waitToTheEnd(run)
      run.ended(wires.filter(({ isClosed }) => isClosed).length)
      end(wires)
    },
  },
]
