/**
 * Each change of a session from one connection to the next, with messages in each state, and a crash before it, after it or not at all: what was
 * acknowledged arrives, at QoS 2 once, nothing throws, and nothing is left behind.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ConnectOptions, type Packet, Puback, Pubcomp, Publish, Pubrec, Pubrel, type QoS } from '@recado/protocol'
import { Table } from '../../ports.ts'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import { delivered, type TestClient } from '../../testing/test-client.ts'

/** Messages that the application of the client `s` has seen, over all its connections, as a client keeps them. */
class Application {
  readonly messages: Map<string, { qos: QoS; times: number }> = new Map()
  readonly #held: Set<number> = new Set()

  /** A CONNACK without a session. */
  forget(): void {
    this.#held.clear()
  }

  /** Hears one packet. The answer to it; null: none. */
  hear(packet: Packet): Packet | null {
    if (packet instanceof Pubrel) {
      this.#held.delete(packet.packetId)
      return new Pubcomp(packet.packetId)
    }
    if (!(packet instanceof Publish)) return null
    const isHeld = packet.qos === 2 && this.#held.has(packet.packetId)
    if (packet.qos === 2) this.#held.add(packet.packetId)
    if (!isHeld) {
      const { payload } = delivered(packet)
      const { times } = this.messages.get(payload) ?? { times: 0 }
      this.messages.set(payload, { qos: packet.qos, times: times + 1 })
    }
    if (packet.qos === 0) return null
    return packet.qos === 1 ? new Puback(packet.packetId) : new Pubrec(packet.packetId)
  }
}

class Scene {
  world: DiskWorld = new DiskWorld({ limits: { anonymousQueueMessagesMax: 100_000 } })
  readonly app: Application = new Application()
  s: TestClient
  readonly #p: TestClient
  /** Payloads by packet id, until they are acknowledged. */
  readonly #pending: Map<number, string> = new Map()
  readonly acknowledged: Set<string> = new Set()

  constructor() {
    this.s = this.world.durable('s', 't/#')
    this.#p = this.world.client('p')
    this.world.connected(this.#p, { cleanStart: true })
  }

  publish(payload: string, qos: QoS, topic = 't/a', retain = false): void {
    this.#pending.set(this.#p.publish({ topic, payload, qos, retain }), payload)
  }

  settle(): void {
    this.world.settle()
    for (const packet of this.#p.takeAll()) {
      if (!(packet instanceof Puback || packet instanceof Pubrec)) continue
      this.acknowledged.add(this.#pending.get(packet.packetId)!)
      if (packet instanceof Pubrec) this.#p.send(new Pubrel(packet.packetId))
    }
  }

  /** `s` hears what has come, and does not answer, but for the packets that `answers` says. */
  hear(answers: (packet: Packet) => boolean = () => false): void {
    for (const packet of this.s.takeAll()) {
      const answer = this.app.hear(packet)
      if (answer !== null && answers(packet) && !this.s.isClosed) this.s.send(answer)
    }
  }

  /** `s` reads and answers until nothing more comes. */
  drain(): void {
    for (let quiet = 0; quiet < 4; ) {
      this.settle()
      quiet = this.s.received.length === 0 ? quiet + 1 : 0
      this.hear(() => true)
    }
  }

  connect(options: Partial<ConnectOptions>, version: 4 | 5 = 5): void {
    this.hear()
    this.s = this.world.client('s', { version })
    if (!this.world.connected(this.s, options).sessionPresent) this.app.forget()
  }

  crash(): void {
    this.settle()
    this.world = this.world.crash()
  }
}

const isQoS2 = (packet: Packet): boolean => packet instanceof Publish && packet.qos === 2

/** States of messages when the session changes. */
const states: Record<string, (scene: Scene) => void> = {
  'waiting in memory': (scene) => {
    scene.s.drop()
    for (let i = 0; i < 3; i++) scene.publish(`q${i}`, i as QoS)
    scene.settle()
  },
  'waiting on the disk only': (scene) => {
    scene.s.drop()
    for (let part = 0; part < 5; part++) {
      scene.world.together(() => {
        for (let i = 0; i < 250; i++) scene.publish(`q${part}.${i}`, i % 50 === 0 ? 2 : 1)
      })
      scene.settle()
    }
  },
  'in flight': (scene) => {
    scene.publish('one', 1)
    scene.publish('two', 2)
    scene.settle()
    scene.hear()
  },
  'received, with PUBREL on its way': (scene) => {
    scene.publish('one', 2)
    scene.publish('two', 2)
    scene.settle()
    scene.hear(isQoS2)
    scene.settle()
    scene.hear()
  },
  'received, with a PUBREL that waits for the disk': (scene) => {
    scene.publish('one', 2)
    scene.settle()
    scene.hear(isQoS2)
  },
  'on its way to the disk before it is sent': (scene) => {
    scene.publish('one', 2)
    scene.publish('two', 2)
  },
  'being written': (scene) => {
    scene.publish('one', 1)
    scene.publish('two', 2)
    scene.world.advance(5)
    scene.hear()
  },
  'retained, of which some have been sent': (scene) => {
    for (let i = 0; i < 8; i++) scene.publish(`r${i}`, i % 2 === 0 ? 1 : 2, `r/${i}`, true)
    scene.settle()
    scene.connect({ ...DURABLE, properties: { sessionExpiryIntervalSeconds: 3600, receiveMaximum: 2 } })
    scene.world.subscribed(scene.s, 'r/#')
    // Those that have not been sent yet are not promised, should the broker end.
    scene.acknowledged.clear()
  },
  'inherited from another member of a Shared Subscription': (scene) => {
    scene.s.drop()
    const other = scene.world.durable('other', '$share/g/u')
    scene.publish('one', 1, 'u')
    scene.publish('two', 1, 'u')
    scene.settle()
    other.drop()
    scene.connect(DURABLE)
    scene.world.subscribed(scene.s, '$share/g/u')
    scene.world.core.removeSession('other')
    scene.settle()
  },
}

const kept = (properties: ConnectOptions['properties']): Partial<ConnectOptions> => ({
  cleanStart: false,
  properties: { sessionExpiryIntervalSeconds: 3600, ...properties },
})

/** Changes, with the next connection or with the end of this one. `isOver`: after a crash the session is over. */
const changes: Record<string, { change(scene: Scene): void; isOver?: boolean }> = {
  'the client takes over its connection': { change: (scene) => scene.connect(DURABLE) },
  'the session is wanted no longer than the connection': {
    change: (scene) => scene.connect({ cleanStart: false }),
    isOver: true,
  },
  'the session is wanted for longer': {
    change: (scene) => scene.connect(kept({ sessionExpiryIntervalSeconds: 100_000 })),
  },
  'DISCONNECT changes the expiry': {
    change: (scene) => {
      scene.hear()
      if (!scene.s.isClosed) scene.s.disconnect(0, { sessionExpiryIntervalSeconds: 60 })
      scene.connect(DURABLE)
    },
  },
  'the client speaks 3.1.1': { change: (scene) => scene.connect({ cleanStart: false }, 4) },
  'the Receive Maximum is 1': { change: (scene) => scene.connect(kept({ receiveMaximum: 1 })) },
  'the Maximum Packet Size is small': { change: (scene) => scene.connect(kept({ maximumPacketSize: 60 })) },
  'all of it, one after the other': {
    change: (scene) => {
      scene.connect(kept({ receiveMaximum: 1 }))
      scene.connect({ cleanStart: false }, 4)
      scene.connect(kept({ receiveMaximum: 3, topicAliasMaximum: 5 }))
      scene.hear()
      scene.s.drop()
      scene.connect(kept({ maximumPacketSize: 100 }))
      scene.connect({ cleanStart: false })
    },
    isOver: true,
  },
}

type Crash = 'no crash' | 'a crash before it' | 'a crash after it'

function play(state: string, change: string, crash: Crash): void {
  const scene = new Scene()
  states[state]!(scene)
  if (crash === 'a crash before it') scene.crash()
  const { change: makeChange, isOver = false } = changes[change]!
  assert.ok(scene.acknowledged.size > 0 || /retained|way to the disk|waits for the disk|written/.test(state))
  makeChange(scene)
  assert.equal(scene.world.metric('coreFaults'), 0)
  if (crash === 'a crash after it') {
    scene.hear()
    scene.crash()
    scene.connect(DURABLE)
    if (isOver) {
      assert.equal(scene.world.metric('queuedMessages') + scene.world.metric('inflight'), 0)
      return
    }
  }
  scene.drain()
  for (const payload of scene.acknowledged) assert.ok(scene.app.messages.has(payload), `"${payload}" does not arrive`)
  for (const [payload, { qos, times }] of scene.app.messages) {
    if (qos === 2) assert.equal(times, 1, `"${payload}" arrives ${times} times at QoS 2`)
  }
  const { world } = scene
  assert.equal(world.metric('coreFaults'), 0)
  assert.equal(world.metric('queuedMessages') + world.metric('inflight'), 0)
  world.advance(1_000)
  scene.settle()
  for (const table of [Table.Messages, Table.Flights]) {
    let rows = 0
    world.disk.scanKeys(table, () => rows++)
    assert.equal(rows, 0, `rows of table ${table}`)
  }
}

for (const change of Object.keys(changes)) {
  describe(`when ${change}`, () => {
    for (const state of Object.keys(states)) {
      for (const crash of ['no crash', 'a crash before it', 'a crash after it'] as const) {
        test(`messages ${state}, ${crash}`, () => play(state, change, crash))
      }
    }
  })
}
