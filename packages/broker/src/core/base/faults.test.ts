/**
 * A fault of the core ends one connection or one piece of work, and nothing that was acknowledged is lost.
 *
 * Every public method of the core's classes is made to throw, one at a time and once, at several of its calls in a
 * scene in which everything happens: clients of all kinds, the disk, timers, Wills, a restart. `play` has the
 * conditions that must hold then.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Packet,
  Pingreq,
  Pingresp,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Receiver,
  Sender,
  TopicAliasReceiver,
} from '@recado/protocol'
import { MemoryStore } from '../../adapters/memory-store.ts'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import { SimStore } from '../../testing/sim-store.ts'
import { SimTransport } from '../../testing/sim-transport.ts'
import { delivered, subscriptionTo, type TestClient, will } from '../../testing/test-client.ts'
import { AcknowledgementLine } from '../connection/acknowledgement-line.ts'
import { Connection } from '../connection/connection.ts'
import { Connections } from '../connection/connections.ts'
import { Outbox } from '../connection/outbox.ts'
import { ReadGate } from '../connection/read-gate.ts'
import { BatchWriter } from '../journal/batch-writer.ts'
import { Delivery } from '../journal/delivery.ts'
import { Journal } from '../journal/journal.ts'
import { RowWriter } from '../journal/message-records.ts'
import { MessageRow } from '../journal/message-row.ts'
import { ReceivedIds } from '../journal/received-ids.ts'
import { RowNumbers } from '../journal/row-numbers.ts'
import { TimeNotes } from '../journal/time-notes.ts'
import { Intake } from '../routing/intake.ts'
import { RetainedMessages, RetainedWalk } from '../routing/retained.ts'
import { Router } from '../routing/router.ts'
import { SharedGroup } from '../routing/shared-group.ts'
import { Backlog } from '../session/backlog.ts'
import { Inflight } from '../session/inflight.ts'
import { Queue } from '../session/queue.ts'
import { Session } from '../session/session.ts'
import { Sessions } from '../session/sessions.ts'
import { Subscriptions } from '../session/subscriptions.ts'
import { Wills } from '../session/wills.ts'
import { Message } from './message.ts'
import { PayloadBlocks } from './payload-blocks.ts'
import { TimerWheel } from './timer-wheel.ts'
import { Turn } from './turn.ts'

const FAULT = new Error('a fault that was put in')

type When = 'before' | 'after'
type Methods = Record<string, (...args: unknown[]) => unknown>
type AnyClass = { readonly name: string; readonly prototype: object }

const classes: readonly AnyClass[] = [
  ...[AcknowledgementLine, Backlog, BatchWriter, Connection, Connections, Delivery, Inflight, Intake, Journal],
  ...[Message, MessageRow, Outbox, PayloadBlocks, Queue, ReadGate, ReceivedIds, Receiver, RetainedMessages],
  ...[RetainedWalk, Router, RowNumbers, RowWriter, Sender, Session, Sessions, SharedGroup, Subscriptions],
  ...[TimeNotes, TimerWheel, TopicAliasReceiver, Turn, Wills],
]
/** Classes that the core calls. A disk that cannot be read at the start is no fault of ours: then there is no start. */
const adapters: readonly AnyClass[] = [MemoryStore, SimStore, SimTransport]

/** Called by tests, not by the broker; or they are what contains faults. */
const NOT_INJECTED = new Set([
  'constructor',
  'Connection.fault',
  'Session.fault',
  'ReadGate.fault',
  'AcknowledgementLine.fault',
  'Connections.connect',
  'Connections.recheck',
  'Connections.shutDown',
  'Sessions.remove',
  // Called by the test.
  ...['step', 'flush', 'crash'].map((name) => `SimStore.${name}`),
  ...['start', 'receive', 'drop', 'block', 'drain'].map((name) => `SimTransport.${name}`),
  // The first line of every input from outside, which sets three numbers.
  'Turn.begin',
  'Turn.beginChunk',
])

/** Numbers of the calls of a method that throw. */
const CALLS = [1, 2, 5, 13, 34]

function methodsOf({ prototype }: AnyClass): string[] {
  return Object.getOwnPropertyNames(prototype).filter(
    (name) => name !== 'constructor' && typeof Object.getOwnPropertyDescriptor(prototype, name)?.value === 'function',
  )
}

/** Makes the `at`-th call of a method throw, before it does anything or when it has done all. */
function inject({ prototype }: AnyClass, name: string, at: number, when: When): { undo(): void; wasThrown(): boolean } {
  const methods = prototype as Methods
  const original = methods[name]!
  let calls = 0
  methods[name] = function (this: unknown, ...args: unknown[]) {
    const isIt = ++calls === at
    if (isIt && when === 'before') throw FAULT
    const result = original.apply(this, args)
    if (isIt) throw FAULT
    return result
  }
  return {
    undo: () => {
      methods[name] = original
    },
    wasThrown: () => calls >= at,
  }
}

/** A publisher that keeps what it was promised, and a subscriber's payloads. */
class Ledger {
  readonly acknowledged: Set<string> = new Set()
  readonly received: Set<string> = new Set()
  readonly #pending: Map<string, Map<number, string>> = new Map()

  publish(client: TestClient, topic: string, payload: string, qos: 1 | 2, retain = false): void {
    if (client.isClosed) return
    const packetId = client.publish({ topic, payload, qos, retain })
    const pending = this.#pending.get(client.clientId) ?? new Map<number, string>()
    this.#pending.set(client.clientId, pending.set(packetId, payload))
  }

  /** Acknowledgements that have come in, and messages; everything is answered. */
  read(client: TestClient): void {
    for (const packet of client.takeAll()) {
      const answer = this.#hear(client, packet)
      if (answer !== null && !client.isClosed) client.send(answer)
    }
  }

  #hear(client: TestClient, packet: Packet): Packet | null {
    if (packet instanceof Publish) {
      this.received.add(delivered(packet).payload)
      if (packet.qos === 0) return null
      return packet.qos === 1 ? new Puback(packet.packetId) : new Pubrec(packet.packetId)
    }
    if (packet instanceof Pubrel) return new Pubcomp(packet.packetId)
    if (packet instanceof Puback || packet instanceof Pubrec) {
      const payload = this.#pending.get(client.clientId)?.get(packet.packetId)
      if (payload !== undefined && packet.reasonCode < 0x80) this.acknowledged.add(payload)
      if (packet instanceof Pubrec && packet.reasonCode < 0x80) return new Pubrel(packet.packetId)
    }
    return null
  }
}

interface Outcome {
  /** Error that a callback of the world has let through: a process would have ended. */
  readonly escaped: unknown
  readonly wasThrown: boolean
  readonly isBroken: boolean
  /** Connections of clients that are not there any more, and had not gone by themselves. */
  readonly lost: readonly string[]
  readonly faults: number
}

/**
 * Scene that does one step after the other; an error from the broker is kept, and the other steps are done all the
 * same.
 */
class Scene {
  world: DiskWorld
  readonly ledger: Ledger = new Ledger()
  escaped: unknown = null

  constructor() {
    this.world = new DiskWorld()
  }

  do(step: (world: DiskWorld) => void): void {
    try {
      step(this.world)
    } catch (error) {
      // A client of the test that has been disconnected, or was not answered.
      if (error !== FAULT && (error as { code?: string }).code === 'ERR_ASSERTION') return
      this.escaped ??= error
    }
  }
}

/** `watch` begins to count calls. */
function play(watch: () => { undo(): void; wasThrown(): boolean }): Outcome {
  const scene = new Scene()
  const { ledger } = scene
  const w = scene.world
  // Bystanders, of whom one is away: whatever happens, they get what was acknowledged.
  const b = w.durable('b', 'b/#')
  w.durable('away', 'b/#', 't/#').drop()
  const c = w.client('c')
  w.connected(c, { cleanStart: true })
  w.settle()
  const gone = new Set<string>()
  const fault = watch()
  const clients: TestClient[] = [b, c]
  const join = (clientId: string, options: Parameters<TestClient['connect']>[0] = DURABLE, version: 4 | 5 = 5) => {
    const client = scene.world.client(clientId, { version })
    scene.do((world) => {
      client.connect(options)
      world.settle()
    })
    clients.push(client)
    return client
  }
  const subscribe = (client: TestClient, topicFilter: string): void =>
    scene.do((world) => void world.subscribed(client, topicFilter, subscriptionTo(topicFilter)))
  const readAll = (): void => {
    for (let i = 0; i < 4; i++) {
      scene.do((world) => world.settle())
      for (const client of clients) scene.do(() => ledger.read(client))
    }
  }
  const publish = (client: TestClient, topic: string, payload: string, qos: 1 | 2, retain = false): void =>
    scene.do(() => ledger.publish(client, topic, payload, qos, retain))

  const s = join('s')
  subscribe(s, 't/+')
  subscribe(s, '$share/g/t/#')
  const m = join('m', { cleanStart: true })
  subscribe(m, '$share/g/t/#')
  const old = join('old', { cleanStart: false }, 4)
  subscribe(old, 't/#')
  const p = join('p', { ...DURABLE, will: will({ topic: 't/will', payload: 'will', qos: 1, retain: true }) })
  const q = join('q', { cleanStart: true }, 4)
  for (const [i, client] of [p, q, c].entries()) {
    publish(client, 't/a', `one ${i}`, 1)
    publish(client, 't/b', `two ${i}`, 2)
    publish(client, 't/r', `kept ${i}`, 1, true)
    publish(client, 'b/x', `for b ${i}`, 2)
  }
  scene.do((world) => world.settle())
  for (const client of clients) scene.do(() => ledger.read(client))
  const late = join('late')
  subscribe(late, 't/#')
  scene.do(() => void s.drop())
  gone.add('s')
  publish(c, 't/a', 'while s is away', 2)
  publish(c, 'b/x', 'while s is away for b', 1)
  readAll()
  scene.do(() => void p.drop())
  gone.add('p')
  scene.do(() => m.disconnect())
  gone.add('m')
  readAll()
  join('s', { ...DURABLE, properties: { sessionExpiryIntervalSeconds: 3600, receiveMaximum: 1 } })
  readAll()
  scene.do((world) => world.advance(5_000))
  scene.do(() => scene.world.core.removeSession('old'))
  gone.add('old')
  readAll()
  const wasThrown = fault.wasThrown()
  fault.undo()

  // From here on nothing goes wrong any more. Bystanders that are still there are served.
  const { faults } = scene.world.core.context
  const lost = clients.filter((client) => client.isClosed && !gone.has(client.clientId)).map(({ clientId }) => clientId)
  if (!faults.isBroken) {
    for (const [i, client] of [b, c].entries()) {
      if (client.isClosed) continue
      scene.do(() => client.send(new Pingreq()))
      assert.ok(
        client.received.some((packet) => packet instanceof Pingresp),
        `${client.clientId} is not served`,
      )
      publish(client, 'b/y', `afterwards ${i}`, 1)
    }
    readAll()
  }
  const outcome = {
    escaped: scene.escaped,
    wasThrown,
    isBroken: faults.isBroken,
    lost,
    faults: scene.world.metric('coreFaults'),
  }
  // All come back, after a crash as well, and have what was acknowledged.
  for (const client of clients) if (!client.isClosed) client.drop()
  scene.world.settle()
  const again = scene.world.crash()
  for (const clientId of ['b', 'away']) {
    const client = again.client(clientId)
    const { sessionPresent } = again.connected(client)
    assert.ok(sessionPresent, `the session of ${clientId} is lost`)
    const own = new Ledger()
    for (let i = 0; i < 30; i++) {
      again.settle()
      own.read(client)
    }
    const before = clientId === 'b' ? ledger.received : new Set<string>()
    for (const payload of ledger.acknowledged) {
      if (clientId === 'b' && !/for b|afterwards/.test(payload)) continue
      assert.ok(own.received.has(payload) || before.has(payload), `${clientId} does not get "${payload}"`)
    }
  }
  return outcome
}

test('the scene plays without a fault, and everything that it publishes is acknowledged', () => {
  const { escaped, lost, faults } = play(() => ({ undo: () => {}, wasThrown: () => false }))
  assert.equal(escaped, null)
  assert.deepEqual(lost, [])
  assert.equal(faults, 0)
})

/** Harm after this call has thrown; null when there is none, `undefined` when there is no such call. */
function harmOf(each: AnyClass, name: string, at: number, when: When): string | null | undefined {
  let fault: ReturnType<typeof inject> | null = null
  try {
    const { wasThrown, escaped, faults, lost, isBroken } = play(() => {
      fault = inject(each, name, at, when)
      return fault
    })
    if (!wasThrown) return undefined
    if (escaped !== null) return `gets out of the core: ${(escaped as Error).stack}`
    if (faults === 0) return 'is not counted'
    return lost.length > 1 && !isBroken ? `ends the connections of ${lost}` : null
  } catch (error) {
    return (error as Error).message
  } finally {
    ;(fault as { undo(): void } | null)?.undo()
  }
}

/** A disk with sessions that wait for messages, are in the middle of flows, and have Wills; and what was acknowledged. */
function fullDisk(): { world: DiskWorld; acknowledged: string[] } {
  const world = new DiskWorld()
  for (const clientId of ['away', 'busy', 'other']) world.durable(clientId, 't/#', '$share/g/t/#')
  const p = world.client('p')
  world.connected(p, { ...DURABLE, will: will({ topic: 't/will', payload: 'will', qos: 1 }) })
  const acknowledged: string[] = []
  for (let i = 0; i < 6; i++) {
    acknowledged.push(`m${i}`)
    p.publish({ topic: 't/a', payload: `m${i}`, qos: i % 2 === 0 ? 1 : 2, retain: i === 5 })
    world.settle()
  }
  return { world, acknowledged }
}

describe('a fault at the start passes over one row, and nothing is lost for good', () => {
  for (const each of classes) {
    test(each.name, (context) => {
      const harms: string[] = []
      let played = 0
      for (const name of methodsOf(each)) {
        if (NOT_INJECTED.has(`${each.name}.${name}`)) continue
        for (const at of [1, 2, 3, 5]) {
          const { world, acknowledged } = fullDisk()
          const fault = inject(each, name, at, 'before')
          let harm: string | null = null
          try {
            const again = world.crash()
            fault.undo()
            if (!fault.wasThrown()) break
            played++
            again.settle()
            const c = again.client('c')
            again.connected(c, { cleanStart: true })
            c.send(new Pingreq()).take(Pingresp)
            // The next start has no fault.
            const then = again.crash()
            for (const clientId of ['away', 'busy', 'other']) {
              const client = then.client(clientId)
              assert.ok(then.connected(client).sessionPresent, `the session of ${clientId} is lost`)
              const ledger = new Ledger()
              for (let i = 0; i < 10; i++) {
                then.settle()
                ledger.read(client)
              }
              for (const payload of acknowledged) {
                assert.ok(ledger.received.has(payload), `${clientId} does not get ${payload}`)
              }
            }
          } catch (error) {
            harm = (error as Error).message
          } finally {
            fault.undo()
          }
          if (harm !== null) harms.push(`${name}, call ${at}: ${harm}`)
        }
      }
      assert.deepEqual(harms, [])
      context.diagnostic(`${played} faults`)
    })
  }
})

describe('a fault that is thrown once ends one connection or one piece of work', () => {
  for (const each of [...classes, ...adapters]) {
    test(each.name, (context) => {
      const harms: string[] = []
      let played = 0
      for (const name of methodsOf(each)) {
        if (NOT_INJECTED.has(`${each.name}.${name}`)) continue
        for (const when of ['before', 'after'] as const) {
          for (const at of CALLS) {
            const harm = harmOf(each, name, at, when)
            if (harm === undefined) break
            played++
            if (harm !== null) harms.push(`${name}, ${when} call ${at}: ${harm}`)
          }
        }
      }
      assert.deepEqual(harms, [])
      assert.ok(played > 0, 'no method is called in the scene')
      context.diagnostic(`${played} faults`)
    })
  }
})
