import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, encode, Puback, ReasonCode, Suback, Subscribe } from '@recado/protocol'
import { subscriptionTo, type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

const MiB = 1024 * 1024
const LIMIT = 100 * MiB

/** Memory that a test sets; what is garbage goes when it is collected. */
class SimMemory {
  used = 10 * MiB
  garbage = 0
  collections = 0
  usedBytes(): number {
    return this.used + this.garbage
  }
  /** Duration of a collection in milliseconds. */
  tookMs = 0

  collect(): number {
    this.collections++
    this.garbage = 0
    return this.tookMs
  }
}

function one(options: WorldOptions = {}): { world: World; memory: SimMemory; a: TestClient; b: TestClient } {
  const memory = new SimMemory()
  const world = new World({ processMemory: memory, limits: { memoryBytesMax: LIMIT, ...options.limits }, ...options })
  const [a, b] = ['a', 'b'].map((name) => world.client(name)) as [TestClient, TestClient]
  a.connected({ keepAliveSeconds: 0 })
  b.connected({ keepAliveSeconds: 0 })
  a.subscribe('live', { qos: 1 })
  a.acknowledges = true
  return { world, memory, a, b }
}

/** Sets what is used, and lets the guard notice. */
function use(world: World, memory: SimMemory, share: number): number {
  memory.used = share * LIMIT
  world.advance(11_000)
  return world.metric('memoryLevel')
}

/** Messages between those who are there are never touched. */
function isServed(a: TestClient, b: TestClient): void {
  b.publish({ topic: 'live', payload: 'x', qos: 1 })
  assert.equal(b.take(Puback).reasonCode, 0)
  assert.deepEqual(a.takePayloads(), ['x'])
}

test('levels come at 80, 90 and 100 % and go 5 % below: no flapping', () => {
  const { world, memory } = one()
  const levels = [0.79, 0.81, 0.77, 0.74, 0.91, 0.86, 0.84, 1.01, 0.96, 0.94, 0.5].map((share) =>
    use(world, memory, share),
  )
  assert.deepEqual(levels, [0, 1, 1, 0, 2, 2, 1, 3, 3, 2, 0])
  assert.deepEqual(
    world.eventsOf('memory.level').map(({ level }) => level),
    [1, 0, 2, 1, 3, 2, 0],
  )
})

test('garbage is no reason: it is collected before a level is entered, for a twentieth of the time at most', () => {
  const { world, memory } = one()
  memory.tookMs = 500
  for (let i = 0; i < 100; i++) {
    memory.garbage = 85 * MiB
    world.advance(1_000)
    assert.equal(world.metric('memoryLevel'), 0)
  }
  assert.ok(memory.collections >= 8 && memory.collections <= 11, `${memory.collections}`)
})

test('without anybody connected it does not wake up', () => {
  const { world, a, b } = one()
  a.drop()
  b.drop()
  world.advance(1_000)
  const before = world.clock.alarms
  world.advance(3_600_000)
  assert.ok(world.clock.alarms - before <= 1)
})

describe('level 1: nothing new is begun', () => {
  test('sessions that outlive their connection, subscriptions and retained topics are refused with 0x97', () => {
    const { world, memory, a, b } = one()
    const old = world.client('old')
    old.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } })
    old.drop()
    b.publish({ topic: 'kept', payload: '1', retain: true })
    assert.equal(use(world, memory, 0.85), 1)
    const fresh = world.client('new').connect({ properties: { sessionExpiryIntervalSeconds: 100 } })
    assert.equal(fresh.take(Connack).reasonCode, ReasonCode.QuotaExceeded)
    old.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } })
    world.client('transient').connected()
    a.send(
      new Subscribe(
        a.packetId(),
        ['more', 'live'].map((filter) => subscriptionTo(filter, { qos: 1 })),
      ),
    )
    assert.deepEqual(a.take(Suback).reasonCodes, [ReasonCode.QuotaExceeded, 1])
    b.publish({ topic: 'new', payload: '1', retain: true, qos: 1 })
    assert.equal(b.take(Puback).reasonCode, ReasonCode.QuotaExceeded)
    b.publish({ topic: 'kept', payload: '2', retain: true, qos: 1 })
    assert.equal(b.take(Puback).reasonCode, ReasonCode.NoMatchingSubscribers)
    assert.equal(world.metric('dropped.memory-full'), 1)
    assert.equal(world.metric('refusedForMemory'), 2)
    isServed(a, b)
  })
})

describe('level 2: nothing more is kept', () => {
  for (const overflow of ['reject', 'drop-oldest', 'drop-newest'] as const) {
    test(`${overflow}: a message that would have to wait is refused, those that wait stay`, () => {
      const { world, memory, a, b } = one({ overflow })
      const away = world.client('away')
      away.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } })
      away.subscribe('t', { qos: 1 })
      away.drop()
      b.publish({ topic: 't', payload: 'before', qos: 1 })
      b.take(Puback)
      assert.equal(use(world, memory, 0.95), 2)
      b.publish({ topic: 't', payload: 'refused', qos: 1 })
      assert.equal(b.take(Puback).reasonCode, ReasonCode.QuotaExceeded)
      assert.equal(world.metric('dropped.memory-full'), 1)
      b.publish({ topic: 't', payload: 'x', retain: true, qos: 0 })
      isServed(a, b)
      assert.equal(use(world, memory, 0.5), 0)
      b.publish({ topic: 't', payload: 'after', qos: 1 })
      assert.equal(b.take(Puback).reasonCode, 0)
      away.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } })
      assert.deepEqual(away.takePayloads(), ['before', 'after'])
    })
  }

  test('new connections are refused with 0x89; who takes over a connection is let in', () => {
    const { world, memory, a, b } = one()
    assert.equal(use(world, memory, 0.95), 2)
    assert.equal(world.client('c').connect().take(Connack).reasonCode, ReasonCode.ServerBusy)
    world.client('b').connected()
    assert.ok(b.isClosed)
    assert.ok(!a.isClosed)
  })

  test('before 5.0 a publisher cannot be told: its message is dropped and counted', () => {
    const { world, memory } = one()
    const away = world.client('away')
    away.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1_000 } })
    away.subscribe('t', { qos: 1 })
    away.drop()
    const old = world.client('old', { version: 4 })
    old.connected({ keepAliveSeconds: 0 })
    use(world, memory, 0.95)
    old.publish({ topic: 't', qos: 1 })
    old.take(Puback)
    assert.equal(world.metric('dropped.memory-full'), 1)
  })
})

describe('level 3: who holds most goes', () => {
  test('those with most bytes waiting, as many as make room, and more at the next look; others stay', () => {
    const { world, memory, a, b } = one()
    const half = world.client('half')
    half.connected({ keepAliveSeconds: 0 })
    const bytes = encode(half.makePublish({ topic: 't', payload: new Uint8Array(10 * MiB) }), 5)
    half.sendBytes(bytes.subarray(0, 8 * MiB))
    const smaller = world.client('smaller')
    smaller.connected({ keepAliveSeconds: 0 })
    smaller.sendBytes(bytes.subarray(0, MiB))
    memory.used = 1.01 * LIMIT
    world.advance(250)
    assert.equal(world.metric('memoryLevel'), 3)
    assert.ok(half.isClosed)
    assert.ok(!smaller.isClosed)
    world.advance(250)
    assert.ok(smaller.isClosed)
    world.advance(60_000)
    assert.ok(!a.isClosed && !b.isClosed)
    assert.equal(world.metric('connectionsShed'), 2)
    isServed(a, b)
  })
})

test('without a limit nobody looks', () => {
  const memory = new SimMemory()
  const world = new World({ processMemory: memory })
  world.client('a').connected({ keepAliveSeconds: 0 })
  memory.used = 1e12
  world.advance(60_000)
  assert.equal(world.metric('memoryLevel'), 0)
  assert.equal(memory.collections, 0)
})
