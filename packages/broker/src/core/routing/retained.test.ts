import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encode, Puback, Publish, ReasonCode, Subscribe } from '@recado/protocol'
import { subscriptionTo, type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

function one(options: WorldOptions = {}): { world: World; a: TestClient } {
  const world = new World(options)
  const a = world.client('a')
  a.connected({ keepAliveSeconds: 0 })
  a.acknowledges = true
  return { world, a }
}

function retain(world: World, topic: string, payload: string, qos: 0 | 1 | 2 = 0, expiry?: number): void {
  const properties = expiry === undefined ? {} : { messageExpiryIntervalSeconds: expiry }
  world.publish({ topic, payload, qos, retain: true, properties })
}

test('the last message of a topic is kept and given to who subscribes, with RETAIN 1 [MQTT-3.3.1-5] [MQTT-3.1.1:3.3.1-6] [MQTT-3.1.1:3.3.1-8]', () => {
  const { world, a } = one()
  retain(world, 't', '1', 1)
  retain(world, 't', '2', 1)
  a.subscribe('t', { qos: 1 })
  const { payload, retain: isRetained, qos } = a.takePublish()
  assert.deepEqual({ payload, isRetained, qos }, { payload: '2', isRetained: true, qos: 1 })
  a.hasNothing()
  assert.equal(world.metric('retainedMessages'), 1)
})

test('a message without RETAIN neither is kept nor replaces one [MQTT-3.3.1-8]', () => {
  const { world, a } = one()
  retain(world, 't', 'kept')
  world.publish({ topic: 't', payload: 'passing' })
  a.subscribe('t')
  assert.deepEqual(a.takePayloads(), ['kept'])
})

test('an empty payload removes it, and is passed on [MQTT-3.3.1-6] [MQTT-3.3.1-7]', () => {
  const { world, a } = one()
  retain(world, 't', 'x')
  a.subscribe('t')
  a.takeAll()
  retain(world, 't', '')
  assert.equal(a.takePublish().payload, '')
  assert.equal(world.metric('retainedMessages'), 0)
  assert.equal(world.metric('retainedBytes'), 0)
  a.unsubscribe('t')
  a.subscribe('t')
  a.hasNothing()
})

describe('wildcards', () => {
  const matches = (filter: string): string[] => {
    const { world, a } = one()
    for (const topic of ['a', 'a/b', 'a/b/c', 'a//c', '/a', 'b/b', '$x/b']) retain(world, topic, topic)
    a.subscribe(filter)
    return a.takePayloads().sort()
  }
  const expected: Record<string, string[]> = {
    '#': ['/a', 'a', 'a//c', 'a/b', 'a/b/c', 'b/b'],
    'a/#': ['a', 'a//c', 'a/b', 'a/b/c'],
    '+/b': ['a/b', 'b/b'],
    'a/+/c': ['a//c', 'a/b/c'],
    '+/+': ['/a', 'a/b', 'b/b'],
    '/+': ['/a'],
    '$x/#': ['$x/b'],
    '$x/+': ['$x/b'],
    '+': ['a'],
    'a/b/#': ['a/b', 'a/b/c'],
    'no/#': [],
  }
  for (const [filter, topics] of Object.entries(expected)) {
    test(`${filter} brings ${topics.join(' ') || 'nothing'} [MQTT-4.7.2-1]`, () =>
      assert.deepEqual(matches(filter), topics))
  }
})

describe('Retain Handling', () => {
  test('0 sends at every SUBSCRIBE [MQTT-3.3.1-9]', () => {
    const { world, a } = one()
    retain(world, 't', 'x')
    for (let i = 0; i < 2; i++) {
      a.subscribe('t', { retainHandling: 0 })
      assert.deepEqual(a.takePayloads(), ['x'])
    }
  })

  test('1 sends when the subscription is new only [MQTT-3.3.1-10]', () => {
    const { world, a } = one()
    retain(world, 't', 'x')
    a.subscribe('t', { retainHandling: 1 })
    assert.deepEqual(a.takePayloads(), ['x'])
    a.subscribe('t', { retainHandling: 1 })
    a.hasNothing()
    a.unsubscribe('t')
    a.subscribe('t', { retainHandling: 1 })
    assert.deepEqual(a.takePayloads(), ['x'])
  })

  test('1 and 2 take nothing away that an earlier SUBSCRIBE to the same filter is owed [MQTT-3.8.4-4]', () => {
    for (const retainHandling of [1, 2] as const) {
      const world = new World()
      const a = world.client('a')
      a.connected({ keepAliveSeconds: 0, properties: { receiveMaximum: 1 } })
      for (const topic of ['t/1', 't/2', 't/3']) retain(world, topic, 'x', 1)
      a.subscribe('t/#', { qos: 1, retainHandling: 0 })
      const topics: string[] = []
      const { topic, packetId } = a.takePublish()
      topics.push(topic)
      a.subscribe('t/#', { qos: 1, retainHandling })
      a.acknowledges = true
      a.send(new Puback(packetId))
      for (let i = 0; i < 2; i++) topics.push(a.takePublish().topic)
      assert.deepEqual(topics.sort(), ['t/1', 't/2', 't/3'])
      a.hasNothing()
    }
  })

  test('a client that subscribes again and again has one list of retained messages to come for each filter', () => {
    for (const retainHandling of [0, 1, 2] as const) {
      const world = new World()
      const a = world.client('a')
      a.connected({ keepAliveSeconds: 0, properties: { receiveMaximum: 1 } })
      for (const topic of ['t/1', 't/2']) retain(world, topic, 'x', 1)
      a.subscribe('t/#', { qos: 1, retainHandling: 0 })
      a.takePublish()
      const session = world.core.sessions.get('a')!
      for (let i = 0; i < 100; i++) {
        const before = session.subscriptions.get('t/#')!
        a.subscribe('t/#', { qos: 1, retainHandling })
        assert.equal(before.successor, null, 'nothing keeps those that were replaced')
        assert.equal(session.retainedWalks, 1)
      }
    }
  })

  test('2 never sends [MQTT-3.3.1-11]', () => {
    const { world, a } = one()
    retain(world, 't', 'x')
    a.subscribe('t', { retainHandling: 2 })
    a.hasNothing()
  })

  test('a Shared Subscription never gets any (4.8.2)', () => {
    const { world, a } = one()
    retain(world, 't', 'x')
    a.subscribe('$share/g/t')
    a.hasNothing()
  })

  test('3.1.1 gets them at every SUBSCRIBE', () => {
    const { world } = one()
    const old = world.client('old', { version: 4 })
    old.connected()
    retain(world, 't', 'x')
    for (let i = 0; i < 2; i++) {
      old.subscribe('t')
      assert.equal(old.takePublish().retain, true)
    }
  })
})

test('Retain As Published 0: RETAIN is 0 in what is passed on; 1: as it was [MQTT-3.3.1-12] [MQTT-3.3.1-13]', () => {
  const { world, a } = one()
  a.subscribe('0', { retainAsPublished: false })
  a.subscribe('1', { retainAsPublished: true })
  for (const [topic, isRetained, expected] of [
    ['0', true, false],
    ['0', false, false],
    ['1', true, true],
    ['1', false, false],
  ] as const) {
    world.publish({ topic, payload: 'x', retain: isRetained })
    assert.equal(a.takePublish().retain, expected)
  }
})

test('the Subscription Identifier goes with a retained message', () => {
  const { world, a } = one()
  retain(world, 't', 'x')
  a.subscribe('t', { identifier: 5 })
  assert.deepEqual(a.takePublish().properties.subscriptionIdentifiers, [5])
})

describe('expiry', () => {
  test('an expired message is not sent and is gone [MQTT-3.3.2-5]', () => {
    const { world, a } = one()
    retain(world, 't', 'x', 0, 10)
    world.advance(10_000)
    a.subscribe('t')
    a.hasNothing()
    assert.equal(world.metric('retainedMessages'), 0)
    assert.equal(world.metric('dropped.expired'), 1)
  })

  test('the interval is counted down [MQTT-3.3.2-6]', () => {
    const { world, a } = one()
    retain(world, 't', 'x', 0, 10)
    world.advance(7_000)
    a.subscribe('t')
    assert.equal(a.takePublish().properties.messageExpiryIntervalSeconds, 3)
  })

  test('expired messages are let go although nobody asks for them', () => {
    const { world } = one()
    for (let i = 0; i < 100; i++) retain(world, `${i}`, 'x', 0, i < 50 ? 10 : 200)
    world.advance(120_000)
    assert.equal(world.metric('retainedMessages'), 50)
    world.advance(200_000)
    assert.equal(world.metric('retainedMessages'), 0)
    assert.equal(world.metric('retainedBytes'), 0)
  })

  test('a broker without expiring messages does not wake up for them', () => {
    const { world } = one()
    retain(world, 't', 'x')
    world.advance(1_000)
    const before = world.clock.alarms
    world.advance(3_600_000)
    assert.ok(world.clock.alarms - before <= 1)
  })
})

describe('limits', () => {
  test('retainedMessagesMax: one more is passed on but not kept, the publisher is told 0x97', () => {
    const { world, a } = one({ limits: { retainedMessagesMax: 2 } })
    const p = world.client('p')
    p.connected()
    a.subscribe('#')
    const codes = ['1', '2', '3', '2'].map((topic) => {
      p.publish({ topic, payload: topic, qos: 1, retain: true })
      return p.take(Puback).reasonCode
    })
    assert.deepEqual(codes, [0, 0, ReasonCode.QuotaExceeded, 0])
    assert.deepEqual(a.takePayloads(), ['1', '2', '3', '2'])
    assert.equal(world.metric('retainedMessages'), 2)
    assert.equal(world.metric('dropped.retained-limit'), 1)
  })

  test('removing one makes room', () => {
    const { world } = one({ limits: { retainedMessagesMax: 1 } })
    retain(world, 'a', 'x')
    retain(world, 'a', '')
    retain(world, 'b', 'x')
    assert.equal(world.metric('dropped.retained-limit'), 0)
  })

  test('retainedBytesMax counts topics and payloads, and 512 for each message; the old message stays when the new one is too large', () => {
    const { world, a } = one({ limits: { retainedBytesMax: 20 + 512 } })
    retain(world, 't', '123456789')
    assert.equal(world.metric('retainedBytes'), 10)
    retain(world, 'u', '1234567890')
    assert.equal(world.metric('dropped.retained-limit'), 1)
    retain(world, 't', '1'.repeat(20))
    assert.equal(world.metric('dropped.retained-limit'), 2)
    retain(world, 't', '1'.repeat(19))
    assert.equal(world.metric('retainedBytes'), 20)
    a.subscribe('#')
    assert.deepEqual(a.takePayloads(), ['1'.repeat(19)])
  })
})

describe('many', () => {
  test('more than the client takes at a time come in the end, at each QoS', () => {
    for (const qos of [0, 1, 2] as const) {
      const world = new World({ limits: { outputBytesMax: 4096, inflightMax: 10, queueMessagesMax: 5 } })
      const a = world.client('a')
      a.connected({ properties: { receiveMaximum: 7 } })
      a.acknowledges = true
      for (let i = 0; i < 300; i++) retain(world, `t/${i}`, `${i} ${'x'.repeat(100)}`, qos)
      a.subscribe('t/#', { qos })
      assert.equal(a.takePayloads().length, 300)
      assert.equal(world.metric('dropped.queue-full'), 0)
      assert.equal(world.metric('dropped.slow-reader'), 0)
    }
  })

  test('one that is replaced while it waits is sent once, as the new one', () => {
    const { world } = one()
    const a = world.client('slow')
    a.connected({ properties: { receiveMaximum: 1 } })
    retain(world, 'a', '1', 1)
    retain(world, 'b', 'old', 1)
    retain(world, 'c', '3', 1)
    a.subscribe('+', { qos: 1 })
    const first = a.takePublish()
    retain(world, 'b', 'new', 1)
    a.acknowledges = true
    a.send(new Puback(first.packetId))
    const rest = a.takePayloads().sort()
    assert.deepEqual([first.payload, ...rest].sort(), ['1', '3', 'new'])
  })

  test('an UNSUBSCRIBE ends what still waits', () => {
    const { world } = one()
    const a = world.client('slow')
    a.connected({ properties: { receiveMaximum: 1 } })
    for (let i = 0; i < 10; i++) retain(world, `t/${i}`, `${i}`, 1)
    a.subscribe('t/#', { qos: 1 })
    const { packetId } = a.takePublish()
    a.unsubscribe('t/#')
    a.acknowledges = true
    a.send(new Puback(packetId))
    a.hasNothing()
  })

  test('what waits when the connection is lost comes on the next one', () => {
    const { world } = one()
    const a = world.client('slow')
    const properties = { receiveMaximum: 1, sessionExpiryIntervalSeconds: 60 }
    a.connected({ cleanStart: false, properties })
    for (let i = 0; i < 5; i++) retain(world, `t/${i}`, `${i}`, 1)
    a.subscribe('t/#', { qos: 1 })
    a.drop()
    a.received.length = 0
    a.acknowledges = true
    a.connected({ cleanStart: false, properties })
    assert.deepEqual(a.takePayloads().sort(), ['0', '1', '2', '3', '4'])
  })
})

describe('many retained messages', () => {
  test('a filter that goes past all topics is worked off in steps; others are served in between', () => {
    const { world, a } = one()
    for (let i = 0; i < 20_000; i++) retain(world, `${i}/x`, 'r')
    const b = world.client('b')
    b.connected()
    b.subscribe('live')
    const order: string[] = []
    let turns = 0
    const tick = (): void => {
      turns++
      world.core.turn.begin()
      if (turns < 20) world.clock.defer(tick)
      if (turns === 3) b.transport.receive(encode(b.makePublish({ topic: 'live', payload: 'now' }), 5))
      if (b.received.length > 0) order.push('b', ...b.takePayloads())
    }
    world.clock.defer(tick)
    // `+/y` matches none of 20,000: 2,000 looks a turn
    a.send(new Subscribe(a.packetId(), [subscriptionTo('+/y'), subscriptionTo('1/x')]))
    assert.deepEqual(order, ['b', 'now'])
    assert.deepEqual(
      a.takeAll().map((packet) => packet.constructor.name),
      ['Suback', 'Publish'],
    )
    assert.ok(turns > 8)
  })

  test('a hundred filters that match everything hold no list: what a slow reader gets is looked for when it reads', () => {
    const { world, a } = one()
    for (let i = 0; i < 3_000; i++) retain(world, `t/${i}`, 'x'.repeat(1_000))
    a.block()
    a.send(
      new Subscribe(
        a.packetId(),
        Array.from({ length: 100 }, (_, i) => subscriptionTo(i === 0 ? '#' : `+/${'#'}`)),
      ),
    )
    a.send(new Subscribe(a.packetId(), [subscriptionTo('t/+')]))
    assert.ok(a.transport.bufferedBytes < 3 * 1024 * 1024, `${a.transport.bufferedBytes} bytes wait`)
    world.publish({ topic: 't/5', payload: 'new' })
    a.drain()
    const payloads = a.takeAll().filter((packet) => packet instanceof Publish).length
    // `#`, `+/#` (its last subscription of a hundred) and `t/+`, each everything once; and the new message
    assert.ok(payloads >= 3 * 3_000 - 3 && payloads <= 3 * 3_000 + 1, `${payloads}`)
  })

  test('what is retained after SUBSCRIBE comes once, as an ordinary message', () => {
    const { world, a } = one()
    for (let i = 0; i < 3_000; i++) retain(world, `t/${i}`, 'x'.repeat(1_000))
    a.block()
    a.send(new Subscribe(a.packetId(), [subscriptionTo('t/+')]))
    retain(world, 't/2999', 'later', 1)
    retain(world, 't/new', 'later', 1)
    a.drain()
    const publishes = a.takeAll().filter((packet) => packet instanceof Publish)
    const later = publishes.filter(({ payload }) => payload.length === 5)
    assert.deepEqual(
      later.map(({ topic, retain: isRetained }) => [topic, isRetained]),
      [
        ['t/2999', false],
        ['t/new', false],
      ],
    )
    assert.equal(publishes.length, 3_001)
  })
})
