import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, ReasonCode } from '@recado/protocol'
import { type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

function one(options: WorldOptions = {}): { world: World; a: TestClient } {
  const world = new World(options)
  const a = world.client('a')
  a.connected()
  return { world, a }
}

describe('matching', () => {
  const cases: [filter: string, topic: string, matches: boolean][] = [
    ['a/b', 'a/b', true],
    ['a/b', 'a/B', false],
    ['a/b', 'a/b/', false],
    ['a/+', 'a/b', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+', 'a/b/c', false],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['#', 'a', true],
    ['#', '$SYS/a', false],
    ['+/a', '$SYS/a', false],
    ['$SYS/#', '$SYS/a', true],
    ['$SYS/+', '$SYS/a', true],
    ['+/+', '/a', true],
    ['/+', '/a', true],
    ['+', '/a', false],
    ['+/#', '$x', false],
    [' ', ' ', true],
  ]
  for (const [filter, topic, matches] of cases) {
    test(`${filter} and ${topic}: ${matches} [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT-4.7.3-4]`, () => {
      const { world, a } = one()
      a.subscribe(filter)
      for (let i = 0; i < 2; i++) {
        world.publish({ topic })
        assert.equal(a.takePayloads().length, matches ? 1 : 0)
      }
    })
  }

  for (const routeCacheMax of [65_536, 0, 3])
    test(`a route follows every change of subscriptions, routeCacheMax ${routeCacheMax}`, () => {
      const { world, a } = one({ limits: { routeCacheMax } })
      for (const topic of ['1', '2', '3', '4']) world.publish({ topic })
      const b = world.client('b')
      b.connected()
      const publish = (): [number, number] => {
        world.publish({ topic: 'x/y' })
        return [a.takePayloads().length, b.takePayloads().length]
      }
      assert.deepEqual(publish(), [0, 0])
      a.subscribe('x/y')
      assert.deepEqual(publish(), [1, 0])
      b.subscribe('x/+')
      assert.deepEqual(publish(), [1, 1])
      a.subscribe('#')
      assert.deepEqual(publish(), [1, 1])
      a.unsubscribe('x/y')
      assert.deepEqual(publish(), [1, 1])
      a.unsubscribe('#')
      assert.deepEqual(publish(), [0, 1])
      b.drop()
      a.subscribe('x/y')
      assert.deepEqual(publish(), [1, 0])
    })

  for (const routeCacheMax of [0, 1, 3]) {
    test(`routeCacheMax ${routeCacheMax} changes nothing but time`, () => {
      const { world, a } = one({ limits: { routeCacheMax } })
      a.subscribe('t/+')
      a.subscribe('t/3')
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 10; i++) world.publish({ topic: `t/${i}`, payload: `${i}` })
        assert.equal(a.takePayloads().length, 10)
      }
    })
  }
})

describe('overlapping subscriptions', () => {
  test('a message comes once, at the highest QoS, with all Subscription Identifiers [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]', () => {
    const { world, a } = one()
    a.subscribe('t/#', { qos: 0, identifier: 1 })
    a.subscribe('t/a', { qos: 2, identifier: 2 })
    a.subscribe('+/a', { qos: 1 })
    a.subscribe('#', { qos: 1, identifier: 268_435_455 })
    a.subscribe('other', { qos: 1, identifier: 9 })
    world.publish({ topic: 't/a', qos: 2 })
    const { qos, properties } = a.takePublish()
    assert.equal(qos, 2)
    assert.deepEqual(
      properties.subscriptionIdentifiers?.sort((x, y) => x - y),
      [1, 2, 268_435_455],
    )
    a.hasNothing()
  })

  test('none has an identifier: none is sent', () => {
    const { world, a } = one()
    a.subscribe('t')
    a.subscribe('#')
    world.publish({ topic: 't' })
    assert.deepEqual(a.takePublish().properties, {})
  })

  test('Retain As Published of any of them counts', () => {
    const { world, a } = one()
    a.subscribe('t', { retainAsPublished: true })
    a.subscribe('#', { retainAsPublished: false })
    world.publish({ topic: 't', payload: 'x', retain: true })
    assert.equal(a.takePublish().retain, true)
  })

  test('a Shared Subscription beside is delivered by itself (4.8.2)', () => {
    const { world, a } = one()
    a.subscribe('t', { identifier: 1 })
    a.subscribe('$share/g/t', { identifier: 2 })
    world.publish({ topic: 't' })
    const identifiers = [a.takePublish(), a.takePublish()].map(({ properties }) => properties.subscriptionIdentifiers)
    assert.deepEqual(identifiers, [[1], [2]])
    a.hasNothing()
  })

  test('two Shared Subscriptions of different names are delivered each', () => {
    const { world, a } = one()
    a.subscribe('$share/g/t')
    a.subscribe('$share/h/t')
    a.subscribe('$share/h/+')
    world.publish({ topic: 't' })
    assert.equal(a.takePayloads().length, 3)
  })

  test('identifiers outlive the connection with the session', () => {
    const { world } = one()
    const b = world.client('b')
    const properties = { sessionExpiryIntervalSeconds: 60 }
    b.connected({ cleanStart: false, properties })
    b.subscribe('t', { identifier: 3 })
    b.drop()
    world.publish({ topic: 't', qos: 1 })
    b.connected({ cleanStart: false, properties })
    assert.deepEqual(b.takePublish().properties.subscriptionIdentifiers, [3])
  })
})

describe('No Local', () => {
  test('own messages do not come back, those of others do [MQTT-3.8.3-3]', () => {
    const { world, a } = one()
    const b = world.client('b')
    b.connected()
    a.subscribe('t', { noLocal: true })
    a.publish({ topic: 't', payload: 'mine' })
    b.publish({ topic: 't', payload: 'theirs' })
    world.publish({ topic: 't', payload: 'broker' })
    assert.deepEqual(a.takePayloads(), ['theirs', 'broker'])
  })

  test('own messages to nobody else are answered 0x10', () => {
    const { a } = one()
    a.subscribe('t', { noLocal: true })
    a.publish({ topic: 't', qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.NoMatchingSubscribers)
  })

  test('overlapping with and without, in any order: own messages come by those without', () => {
    const filters = ['t', '+', '#']
    for (const noLocal of [
      [true, false, false],
      [false, true, false],
      [false, false, true],
      [true, true, false],
      [true, false, true],
      [false, true, true],
    ]) {
      const { world, a } = one()
      filters.forEach((filter, i) => {
        a.subscribe(filter, { noLocal: noLocal[i]!, qos: i as 0 | 1 | 2, identifier: i + 1 })
      })
      const without = [0, 1, 2].filter((i) => !noLocal[i])
      a.publish({ topic: 't', qos: 2 })
      a.received.reverse() // PUBLISH or PUBREC first
      const publish = a.received.find(({ type }) => type === 3)
      assert.ok(publish !== undefined)
      a.received.splice(0, a.received.length, publish)
      const own = a.takePublish()
      assert.equal(own.qos, Math.max(...without))
      assert.deepEqual(
        own.properties.subscriptionIdentifiers?.sort(),
        without.map((i) => i + 1),
      )
      world.publish({ topic: 't', qos: 2 })
      const other = a.takePublish()
      assert.equal(other.qos, 2)
      assert.deepEqual(other.properties.subscriptionIdentifiers?.sort(), [1, 2, 3])
      a.hasNothing()
    }
  })

  test('all with No Local: own messages do not come', () => {
    const { a } = one()
    a.subscribe('t', { noLocal: true })
    a.subscribe('#', { noLocal: true })
    a.publish({ topic: 't' })
    a.hasNothing()
  })
})

test('messages of one publisher keep their order, per QoS, on their way to one subscriber [MQTT-4.6.0-5] [MQTT-4.6.0-6]', () => {
  const { world, a } = one()
  a.subscribe('#')
  a.acknowledges = true
  const p = world.client('p')
  p.connected()
  for (const qos of [0, 1, 2] as const) {
    p.send(...Array.from({ length: 50 }, (_, i) => p.makePublish({ topic: `t/${i % 3}`, payload: `${i}`, qos })))
    assert.deepEqual(
      a.takePayloads(),
      Array.from({ length: 50 }, (_, i) => `${i}`),
    )
  }
})

test('nothing of a client that is gone stays in the router', () => {
  const { world, a } = one()
  for (let i = 0; i < 10; i++) {
    const b = world.client(`b${i}`)
    b.connected()
    for (const filter of ['t', 't/+', '#', `own/${i}`, '$share/g/t', '$share/g/#']) b.subscribe(filter)
    b.drop()
  }
  assert.equal(world.metric('subscriptions'), 0)
  assert.equal(world.core.router.filterCount, 0)
  world.publish({ topic: 't' })
  a.hasNothing()
})

describe('subscription bombs', () => {
  /** Every mixture of `+` and the name's own levels: the most filters that one name can match. */
  const mixtures = (depth: number): string[] =>
    Array.from({ length: 1 << depth }, (_, m) =>
      Array.from({ length: depth }, (_, level) => ((m >> level) & 1 ? '+' : 'a')).join('/'),
    )

  test('thousands of overlapping filters are one message with all identifiers, each once [MQTT-3.3.4-4]', () => {
    const { world, a } = one({ limits: { subscriptionsMax: 5_000 } })
    const filters = mixtures(12)
    for (const [i, filter] of filters.entries())
      a.subscribe(filter, { identifier: i + 1, noLocal: i % 2 === 1, qos: 0 })
    const b = world.client('b')
    b.connected()
    const topic = Array.from({ length: 12 }, () => 'a').join('/')
    b.publish({ topic })
    const identifiers = a.takePublish().properties.subscriptionIdentifiers!
    assert.equal(identifiers.length, 4_096)
    assert.equal(new Set(identifiers).size, 4_096)
    a.hasNothing()
    // To itself only by those without No Local
    a.publish({ topic })
    assert.equal(a.takePublish().properties.subscriptionIdentifiers!.length, 2_048)
  })

  test('remembered topics are bounded in bytes: by their own length and by how many they reach', () => {
    const { world } = one({ limits: { routeCacheBytesMax: 20_000 } })
    for (let i = 0; i < 50; i++) {
      const client = world.client(`s${i}`)
      client.connected()
      client.subscribe('#')
      client.subscribe('$x/+')
    }
    const { router } = world.core
    for (let i = 0; i < 200; i++) {
      world.publish({ topic: `t/${i}` })
      assert.ok(router.routeBytes <= 20_000 && router.routeBytes > 0, `${router.routeBytes}`)
    }
    world.publish({ topic: 'x'.repeat(30_000) })
    assert.ok(router.routeBytes <= 20_000)
    for (let i = 0; i < 50; i++) world.client(`s${i}`).connected()
    assert.equal(router.routeBytes, 0, 'the subscriptions have changed')
  })

  test('topics that come once are not remembered beyond a number, and each reaches its subscribers', () => {
    const { world, a } = one()
    a.subscribe('t/+')
    const { router } = world.core
    const publishFrom = (first: number, count: number): number => {
      for (let i = first; i < first + count; i++) world.publish({ topic: `t/${i}` })
      return router.routeBytes
    }
    const full = publishFrom(0, 4_096)
    assert.equal(publishFrom(10_000, 5_000), full)
    assert.equal(a.takePayloads().length, 9_096)
    // What comes again is remembered.
    assert.ok(publishFrom(14_900, 100) > full)
    assert.equal(a.takePayloads().length, 100)
  })

  test('a client that is gone gets nothing by a topic that is not remembered, and its place is taken', () => {
    const { world, a } = one({ limits: { routeCacheMax: 0 } })
    const b = world.client('b')
    for (const client of [a, b]) {
      if (client === b) b.connected()
      client.subscribe('t/+')
    }
    world.publish({ topic: 't/1' })
    b.drop()
    world.publish({ topic: 't/2' })
    const c = world.client('c')
    c.connected()
    c.subscribe('t/+', { identifier: 7 })
    world.publish({ topic: 't/3' })
    assert.equal(a.takePayloads().length, 3)
    assert.deepEqual(c.takePublish().properties, { subscriptionIdentifiers: [7] })
    c.hasNothing()
  })

  test('a change of rights forgets all routes, and what they took', () => {
    const { world } = one()
    const publishAll = (): void => {
      for (let i = 0; i < 100; i++) world.publish({ topic: `t/${i}` })
    }
    publishAll()
    const { routeBytes } = world.core.router
    for (let i = 0; i < 5; i++) {
      world.core.recheck()
      assert.equal(world.core.router.routeBytes, 0)
      publishAll()
    }
    assert.equal(world.core.router.routeBytes, routeBytes)
  })
})
