import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Pubcomp, Publish, Pubrec, Pubrel, ReasonCode } from '@recado/protocol'
import { type Authorizer, Table } from '../../ports.ts'
import { DiskWorld } from '../../testing/disk-world.ts'
import { stateOf } from '../../testing/state.ts'
import { type Delivered, delivered, type TestClient, will } from '../../testing/test-client.ts'
import { World, type WorldOptions } from '../../testing/world.ts'

const ON = { delayedPublish: true } as const

/** A publisher, and a client that watches all topics. */
function two(options: WorldOptions = {}, version: 3 | 4 | 5 = 5): { world: World; a: TestClient; watch: TestClient } {
  const world = new World({ ...ON, ...options })
  const watch = world.client('watch')
  watch.connected({ keepAliveSeconds: 0 })
  watch.acknowledges = true
  watch.subscribe('#', { qos: 2 })
  const a = world.client('a', { version })
  a.connected({ keepAliveSeconds: 0 })
  return { world, a, watch }
}

/** A broker with a disk, a publisher, and a client with a durable subscription to all topics. */
function durable(options: WorldOptions = {}): { world: DiskWorld; a: TestClient; watch: TestClient } {
  const world = new DiskWorld({ ...ON, ...options })
  const watch = world.durable('watch', '#')
  watch.acknowledges = true
  return { world, a: world.durable('a'), watch }
}

function takeAll(client: TestClient): Delivered[] {
  const publishes = client.takeAll().filter((packet): packet is Publish => packet instanceof Publish)
  return publishes.map(delivered)
}

function maybePuback(client: TestClient): Puback | null {
  return client.takeAll().find((packet): packet is Puback => packet instanceof Puback) ?? null
}

function back(world: DiskWorld): TestClient {
  const watch = world.client('watch')
  watch.acknowledges = true
  world.connected(watch)
  world.settle()
  return watch
}

function rows(world: DiskWorld): number {
  let count = 0
  world.disk.scanKeys(Table.Delayed, () => count++)
  return count
}

describe('a message to $delayed/SECONDS/topic', () => {
  test('is published to the topic when the seconds are over, and not before', () => {
    const { world, a, watch } = two()
    a.publish({ topic: '$delayed/5/lamp/on', payload: 'yes', qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.Success)
    world.advance(4_900)
    assert.deepEqual(watch.takePayloads(), [])
    world.advance(300)
    assert.deepEqual(
      takeAll(watch).map(({ topic, payload, qos }) => [topic, payload, qos]),
      [['lamp/on', 'yes', 1]],
    )
    world.advance(60_000)
    assert.deepEqual(watch.takePayloads(), [])
    assert.equal(world.metric('delayedPublished'), 1)
    assert.equal(world.metric('delayedMessages'), 0)
    assert.equal(world.metric('delayedBytes'), 0)
  })

  test('is like any other when the option is not set', () => {
    const { world, a, watch } = two({ delayedPublish: false })
    watch.subscribe('$delayed/#')
    a.publish({ topic: '$delayed/5/t', payload: 'now' })
    assert.deepEqual(takeAll(watch)[0]?.topic, '$delayed/5/t')
    world.advance(10_000)
    assert.deepEqual(watch.takePayloads(), [])
  })

  test('comes by the time when it is due, and in the order of publication at one time', () => {
    const { world, a, watch } = two()
    a.publish({ topic: '$delayed/3/t', payload: 'late' })
    for (let i = 0; i < 600; i++) a.publish({ topic: '$delayed/1/t', payload: `${i}` })
    world.advance(1_300)
    assert.deepEqual(
      watch.takePayloads(),
      Array.from({ length: 600 }, (_, i) => `${i}`),
    )
    world.advance(2_000)
    assert.deepEqual(watch.takePayloads(), ['late'])
  })

  test('is retained when it is published, with a Topic Alias, properties and the mount point', () => {
    const world = new World(ON)
    const a = world.client('a', { settings: { mountPoint: 'm/' } })
    a.connected({ keepAliveSeconds: 0 })
    const properties = { topicAlias: 1, contentType: 'text/x' }
    a.publish({ topic: '$delayed/1/t', payload: '1', retain: true, properties })
    a.publish({ topic: '', payload: '2', properties: { topicAlias: 1 } })
    assert.equal(world.core.retained.get('m/t'), undefined)
    world.advance(1_200)
    assert.equal(world.core.retained.get('m/t')?.properties.contentType, 'text/x')
    assert.equal(world.metric('delayedPublished'), 2)
  })

  test('has its Message Expiry Interval from the time when it is due', () => {
    const { world, a, watch } = two()
    a.publish({ topic: '$delayed/10/t', payload: 'x', properties: { messageExpiryIntervalSeconds: 3 } })
    world.advance(10_200)
    const [received] = takeAll(watch)
    assert.equal(received?.properties.messageExpiryIntervalSeconds, 3)
  })

  test('is not sent to its publisher that asked for No Local [MQTT-3.8.3-3]', () => {
    const { world, a } = two()
    a.subscribe('t', { noLocal: true })
    a.subscribe('u')
    a.publish({ topic: '$delayed/1/t', payload: 't' })
    a.publish({ topic: '$delayed/1/u', payload: 'u' })
    world.advance(1_200)
    assert.deepEqual(a.takePayloads(), ['u'])
  })

  test('at QoS 2 is published once, though the client repeats it [MQTT-4.3.3-10]', () => {
    const { world, a, watch } = two()
    a.publish({ topic: '$delayed/1/t', payload: 'x', qos: 2, packetId: 7 })
    a.take(Pubrec)
    a.publish({ topic: '$delayed/1/t', payload: 'x', qos: 2, packetId: 7, dup: true })
    a.take(Pubrec)
    a.send(new Pubrel(7))
    a.take(Pubcomp)
    world.advance(1_200)
    assert.deepEqual(watch.takePayloads(), ['x'])
  })
})

describe('is refused', () => {
  for (const topic of ['$delayed/', '$delayed/5', '$delayed/5/', '$delayed/x/t', '$delayed/-1/t', '$delayed/1.5/t']) {
    test(`${topic}, which has no delay or no topic: 0x90`, () => {
      const { world, a } = two()
      a.publish({ topic, payload: 'x', qos: 1 })
      assert.equal(a.take(Puback).reasonCode, ReasonCode.TopicNameInvalid)
      a.publish({ topic, payload: 'x', qos: 2 })
      assert.equal(a.take(Pubrec).reasonCode, ReasonCode.TopicNameInvalid)
      a.publish({ topic, payload: 'x' })
      assert.equal(world.metric('dropped.delayed-limit'), 3)
    })
  }

  test('a delay of a delay: 0x90', () => {
    const { a } = two()
    a.publish({ topic: '$delayed/1/$delayed/1/t', qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.TopicNameInvalid)
  })

  test('over the number, the bytes or the seconds: 0x97, and before MQTT 5.0 it is dropped and counted', () => {
    for (const [limits, topic] of [
      [{ delayedMessagesMax: 1 }, '$delayed/2/t'],
      [{ delayedBytesMax: 1_100 }, '$delayed/2/t'],
      [{ delaySecondsMax: 5 }, '$delayed/6/t'],
    ] as const) {
      for (const version of [3, 4, 5] as const) {
        const { world, a, watch } = two({ limits }, version)
        a.publish({ topic: '$delayed/1/t', payload: 'first', qos: 1 })
        a.take(Puback)
        a.publish({ topic, payload: 'x'.repeat(100), qos: 1 })
        assert.equal(a.take(Puback).reasonCode, version === 5 ? ReasonCode.QuotaExceeded : 0)
        assert.equal(world.metric('dropped.delayed-limit'), 1)
        world.advance(7_000)
        assert.deepEqual(watch.takePayloads(), ['first'])
      }
    }
  })

  test('the share of others: from half of the room on no client may have more than what is free', () => {
    const { world, a } = two({ limits: { delayedMessagesMax: 10 } })
    for (let i = 0; i < 10; i++) a.publish({ topic: '$delayed/9/t' })
    assert.equal(world.metric('delayedMessages'), 6)
    const b = world.client('b')
    b.connected()
    b.publish({ topic: '$delayed/9/t', qos: 1 })
    assert.equal(b.take(Puback).reasonCode, ReasonCode.Success)
  })

  test('a Will to it: 0x90 in CONNACK', () => {
    const world = new World(ON)
    const connack = world.client('a').connect({ will: will({ topic: '$delayed/5/t' }) })
    void connack
    assert.equal(world.eventsOf('connection.refused')[0]?.reasonCode, ReasonCode.TopicNameInvalid)
  })
})

describe('rights', () => {
  const only = (topics: Set<string>): Authorizer => ({
    publish: (_client, topic) => (topics.has(topic) ? 0 : ReasonCode.NotAuthorized),
    subscribe: () => 0,
    mayPublish: (_client, topic) => topics.has(topic),
  })

  test('are those of the real topic, when it is published and again when it is due', () => {
    const topics = new Set(['t'])
    const { world, a, watch } = two({ authorizer: only(topics) })
    a.publish({ topic: '$delayed/1/u', qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.NotAuthorized)
    a.publish({ topic: '$delayed/1/t', payload: 'x', qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.Success)
    topics.delete('t')
    world.advance(1_200)
    assert.deepEqual(watch.takePayloads(), [])
    assert.equal(world.metric('dropped.not-authorized'), 2)
  })

  for (const topic of ['$SYS/broker/x', '$CONTROL/x']) {
    test(`give nobody ${topic}`, () => {
      const { a } = two()
      a.publish({ topic: `$delayed/1/${topic}`, qos: 1 })
      assert.equal(a.take(Puback).reasonCode, ReasonCode.NotAuthorized)
    })
  }
})

describe('on a disk', () => {
  test('it is acknowledged when it is safe, and published once after a crash, at its time', () => {
    const first = durable()
    first.a.publish({ topic: '$delayed/60/t', payload: 'x', qos: 1 })
    assert.equal(maybePuback(first.a), null)
    first.world.settle()
    first.a.take(Puback)
    const world = first.world.crash(10_000)
    const watch = back(world)
    assert.deepEqual(watch.takePayloads(), [])
    world.advance(60_000)
    world.settle()
    assert.deepEqual(watch.takePayloads(), ['x'])
    assert.equal(rows(world), 0)
    const later = world.crash()
    later.advance(120_000)
    assert.deepEqual(back(later).takePayloads(), [])
  })

  test('it is published at once after a start that is too late', () => {
    const first = durable()
    first.a.publish({ topic: '$delayed/60/t', payload: 'x', qos: 1 })
    first.world.settle()
    const world = first.world.crash(3_600_000, ON)
    world.advance(200)
    world.settle()
    assert.equal(world.metric('delayedPublished'), 1)
  })

  test('what has expired since it was due is dropped after a start, and counted', () => {
    const first = durable()
    first.a.publish({ topic: '$delayed/60/t', qos: 1, properties: { messageExpiryIntervalSeconds: 5 } })
    first.world.settle()
    const world = first.world.crash(120_000)
    world.advance(200)
    world.settle()
    assert.equal(world.metric('dropped.expired'), 1)
    assert.equal(rows(world), 0)
  })

  test('a crash while it is published does not lose it, and publishes it once when its batch is there', () => {
    for (const inFlight of ['lost', 'durable'] as const) {
      const first = durable()
      first.watch.drop()
      first.a.publish({ topic: '$delayed/1/t', payload: 'x', qos: 1 })
      first.world.settle()
      first.world.advance(1_300)
      assert.equal(first.world.metric('delayedPublished'), 1)
      const world = first.world.crash(0, ON, inFlight)
      world.advance(200)
      world.settle()
      assert.deepEqual(back(world).takePayloads(), ['x'], inFlight)
    }
  })

  test('a crash between PUBREC and PUBREL does not publish it twice [MQTT-4.3.3-10]', () => {
    const first = durable()
    first.a.publish({ topic: '$delayed/60/t', payload: 'x', qos: 2, packetId: 3 })
    first.world.settle()
    first.a.take(Pubrec)
    const world = first.world.crash()
    const a = world.client('a')
    world.connected(a)
    a.publish({ topic: '$delayed/60/t', payload: 'x', qos: 2, packetId: 3, dup: true })
    world.settle()
    a.take(Pubrec)
    assert.equal(world.metric('delayedMessages'), 1)
  })

  test('an orderly restart knows all about it', () => {
    const { world, a } = durable()
    a.publish({ topic: '$delayed/60/t', payload: 'x', qos: 2, retain: true, properties: { contentType: 'c' } })
    world.settle()
    assert.deepEqual(stateOf(world.crash().core).delayed, stateOf(world.core).delayed)
  })

  test('while the disk fails it is refused: 0x97, and before MQTT 5.0 it is not acknowledged', () => {
    for (const version of [4, 5] as const) {
      const world = new DiskWorld(ON)
      const a = world.client('a', { version })
      world.connected(a)
      world.disk.failure = new Error('no space')
      a.publish({ topic: '$delayed/60/before', qos: 1 })
      world.settle()
      const refusal = maybePuback(a)
      assert.equal(refusal?.reasonCode ?? null, version === 5 ? ReasonCode.QuotaExceeded : null)
      a.publish({ topic: '$delayed/60/t', qos: 1 })
      world.settle()
      assert.equal(maybePuback(a)?.reasonCode ?? null, version === 5 ? ReasonCode.QuotaExceeded : null)
      assert.equal(world.metric('dropped.store-failed'), 1)
    }
  })

  test('one that is cancelled is published by nobody, and gone from the disk', () => {
    const { world, a, watch } = durable()
    a.publish({ topic: '$delayed/1/t', qos: 1 })
    world.settle()
    const [delayed] = [...world.core.delayed.values()]
    world.core.turn.begin()
    assert.equal(world.core.delayed.cancel(delayed!.number), true)
    assert.equal(world.core.delayed.cancel(delayed!.number), false)
    world.settle()
    world.advance(2_000)
    assert.deepEqual(watch.takePayloads(), [])
    assert.equal(rows(world), 0)
    assert.equal(world.metric('delayedBytes'), 0)
  })
})

test('A damaged row is passed over, and the others are published', () => {
  const { world, a } = durable()
  a.publish({ topic: '$delayed/1/t', payload: 'x', qos: 1 })
  world.settle()
  world.disk.write(
    () => world.disk.put(Table.Delayed, 1_000, 0, 0, Uint8Array.of(1, 2, 3)),
    () => {},
  )
  world.settle()
  const next = world.crash()
  assert.equal(next.eventsOf('store.row-damaged')[0]?.table, Table.Delayed)
  next.advance(2_000)
  next.settle()
  assert.deepEqual(back(next).take(Publish).topic, 't')
})
