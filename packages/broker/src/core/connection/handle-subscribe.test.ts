import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  Pingreq,
  Publish,
  ReasonCode,
  Suback,
  Subscribe,
  type Subscription,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import { type Authorizer, PENDING } from '../../ports.ts'
import { subscriptionTo, type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

function one(options: WorldOptions & { version?: 3 | 4 | 5 } = {}): { world: World; a: TestClient } {
  const { version = 5, ...rest } = options
  const world = new World(rest)
  const a = world.client('a', { version })
  a.connected()
  return { world, a }
}

const authorizing = (subscribe: Authorizer['subscribe']): Authorizer => ({ publish: () => 0, subscribe })

describe('SUBSCRIBE', () => {
  test('SUBACK has the packet id and a Reason Code for each filter, in order [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1]', () => {
    for (const version of [3, 4, 5] as const) {
      const { a } = one({ version })
      const subscriptions = ([2, 0, 1] as const).map((qos, i) => subscriptionTo(`t/${i}`, { qos }))
      a.send(new Subscribe(321, subscriptions))
      const suback = a.take(Suback)
      assert.equal(suback.packetId, 321)
      assert.deepEqual(suback.reasonCodes, [2, 0, 1])
    }
  })

  test('Maximum QoS lowers what is granted [MQTT-3.8.4-7] [MQTT-3.2.2-10]', () => {
    const { world, a } = one({ limits: { maximumQoS: 1 } })
    assert.equal(a.subscribe('t', { qos: 2 }), 1)
    world.publish({ topic: 't', qos: 2 })
    assert.equal(a.takePublish().qos, 1)
  })

  test('the same filter again replaces the subscription [MQTT-3.8.4-3]', () => {
    const { world, a } = one()
    a.subscribe('t', { qos: 2, identifier: 1 })
    a.subscribe('t', { qos: 0, identifier: 2 })
    assert.equal(world.metric('subscriptions'), 1)
    world.publish({ topic: 't', qos: 1 })
    const { qos, properties } = a.takePublish()
    assert.deepEqual({ qos, properties }, { qos: 0, properties: { subscriptionIdentifiers: [2] } })
    a.hasNothing()
  })

  test('what is not a Topic Filter ends the connection, and nothing of its packet is done [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.13.1-1]', () => {
    const bad = [
      'a#',
      'a/#/b',
      'a+',
      'a+/b',
      '+a/b',
      '$share/g',
      '$share//t',
      '$share/a+/t',
      '$share/+/t',
      '$share/#/t',
    ]
    for (const filter of [...bad, '$share/g/', '$share/g/a#']) {
      for (const version of [3, 4, 5] as const) {
        const { world, a } = one({ version })
        a.send(new Subscribe(1, [subscriptionTo('good'), subscriptionTo(filter)]))
        a.isDisconnectedWith(ReasonCode.MalformedPacket)
        assert.equal(world.eventsOf('subscription.made').length, 0, filter)
        const { a: b } = one({ version })
        b.subscribe('good')
        b.send(new Unsubscribe(1, ['good', filter]))
        b.isDisconnectedWith(ReasonCode.MalformedPacket)
      }
    }
  })

  test('a filter that is not taken does not spoil the others [MQTT-3.8.4-6]', () => {
    const { world, a } = one({ limits: { topicLevelsMax: 3 } })
    a.send(new Subscribe(1, [subscriptionTo('a'), subscriptionTo('a/b/c/d'), subscriptionTo('b', { qos: 1 })]))
    assert.deepEqual(a.take(Suback).reasonCodes, [2, ReasonCode.TopicFilterInvalid, 1])
    world.publish({ topic: 'b', payload: 'x' })
    assert.deepEqual(a.takePayloads(), ['x'])
  })

  test('SUBACK comes before the messages that the subscription brings', () => {
    const { world, a } = one()
    world.publish({ topic: 't', payload: 'retained', retain: true })
    a.send(new Subscribe(1, [subscriptionTo('t')]), a.makePublish({ topic: 't', payload: 'own' }))
    assert.deepEqual(
      a.takeAll().map(({ type }) => type),
      [9, 3, 3],
    )
  })

  test('what is not offered has its own Reason Code in SUBACK', () => {
    const { a } = one({ sharedSubscriptions: false, wildcardSubscriptions: false })
    assert.equal(a.subscribe('$share/g/t'), ReasonCode.SharedSubscriptionsNotSupported)
    assert.equal(a.subscribe('t/#'), ReasonCode.WildcardSubscriptionsNotSupported)
    assert.equal(a.subscribe('+/t'), ReasonCode.WildcardSubscriptionsNotSupported)
    assert.equal(a.subscribe('t'), 2)
  })

  test('before 5.0 what is not offered is 0x80 [MQTT-3.1.1:3.9.3-2] [MQTT-3.1.1:3.8.3-2]', () => {
    const { a } = one({ version: 4, wildcardSubscriptions: false })
    assert.equal(a.subscribe('t/#'), 0x80)
  })

  test('a Subscription Identifier where they are not available: 0xA1', () => {
    const { a } = one({ subscriptionIdentifiers: false })
    a.send(new Subscribe(1, [subscriptionTo('t')], { subscriptionIdentifiers: [1] }))
    a.isDisconnectedWith(ReasonCode.SubscriptionIdentifiersNotSupported)
  })

  test('No Local on a Shared Subscription is a Protocol Error [MQTT-3.8.3-4]', () => {
    const { a } = one()
    const filter = new TextEncoder().encode('$share/g/t')
    a.sendBytes(Uint8Array.of(0x82, 6 + filter.length, 0, 1, 0, 0, filter.length, ...filter, 0b100))
    a.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('subscriptionsMax: 0x97, but replacing one is allowed, and after UNSUBSCRIBE there is room', () => {
    const { world, a } = one({ limits: { subscriptionsMax: 2 } })
    assert.deepEqual([a.subscribe('1'), a.subscribe('2'), a.subscribe('3')], [2, 2, ReasonCode.QuotaExceeded])
    assert.equal(a.subscribe('2', { qos: 1 }), 1)
    assert.equal(world.metric('subscriptionsRefused'), 1)
    a.unsubscribe('1')
    assert.equal(a.subscribe('3'), 2)
  })

  test('topicLevelsMax and topicBytesMax bound a Topic Filter: 0x8F', () => {
    const { a } = one({ limits: { topicLevelsMax: 3, topicBytesMax: 10 } })
    assert.equal(a.subscribe('a/b/c'), 2)
    assert.equal(a.subscribe('a/b/c/d'), ReasonCode.TopicFilterInvalid)
    assert.equal(a.subscribe('0123456789'), 2)
    assert.equal(a.subscribe('01234567890'), ReasonCode.TopicFilterInvalid)
    assert.equal(a.subscribe('ääääää'), ReasonCode.TopicFilterInvalid, 'bytes, not characters')
  })

  test('a SUBACK larger than the Maximum Packet Size of the client is not sent: 0x95 [MQTT-3.1.2-24]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { maximumPacketSize: 50 } })
    a.send(
      new Subscribe(
        1,
        Array.from({ length: 60 }, (_, i) => subscriptionTo(`${i}`)),
      ),
    )
    a.isDisconnectedWith(ReasonCode.PacketTooLarge)
  })
})

describe('UNSUBSCRIBE', () => {
  test('ends the delivery; UNSUBACK says what there was [MQTT-3.10.4-1] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1]', () => {
    const { world, a } = one()
    a.subscribe('a')
    a.subscribe('b')
    a.send(new Unsubscribe(9, ['a', 'nope', 'b/#', 'b']))
    const unsuback = a.take(Unsuback)
    assert.equal(unsuback.packetId, 9)
    assert.deepEqual(unsuback.reasonCodes, [0, ReasonCode.NoSubscriptionExisted, ReasonCode.NoSubscriptionExisted, 0])
    world.publish({ topic: 'a' })
    world.publish({ topic: 'b' })
    a.hasNothing()
    assert.equal(world.metric('subscriptions'), 0)
  })

  test('before 5.0 UNSUBACK comes even when there was nothing [MQTT-3.1.1:3.10.4-5]', () => {
    const { a } = one({ version: 4 })
    a.send(new Unsubscribe(9, ['nope']))
    assert.equal(a.take(Unsuback).packetId, 9)
  })

  test('compares character by character, not by what matches [MQTT-3.10.4-1]', () => {
    const { world, a } = one()
    a.subscribe('a/#')
    assert.equal(a.unsubscribe('a/b'), ReasonCode.NoSubscriptionExisted)
    world.publish({ topic: 'a/b', payload: 'x' })
    assert.deepEqual(a.takePayloads(), ['x'])
  })

  test('messages in flight are completed [MQTT-3.10.4-3]', () => {
    const world = new World()
    const a = world.client('a')
    const properties = { sessionExpiryIntervalSeconds: 60 }
    a.connected({ cleanStart: false, properties })
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'x', qos: 1 })
    a.take(Publish)
    a.unsubscribe('t')
    a.drop().connected({ cleanStart: false, properties })
    assert.equal(a.takePublish().dup, true)
  })

  test('a Shared Subscription is ended by its whole filter', () => {
    const { world, a } = one()
    a.subscribe('$share/g/t')
    assert.equal(a.unsubscribe('t'), ReasonCode.NoSubscriptionExisted)
    assert.equal(a.unsubscribe('$share/h/t'), ReasonCode.NoSubscriptionExisted)
    assert.equal(a.unsubscribe('$share/g/t'), 0)
    world.publish({ topic: 't' })
    a.hasNothing()
  })
})

describe('authorizer', () => {
  test('is asked for each filter; a refusal stands in SUBACK (0x80 before 5.0) and makes no subscription', () => {
    for (const version of [4, 5] as const) {
      const asked: string[] = []
      const { world, a } = one({
        version,
        authorizer: authorizing((client, subscription) => {
          asked.push(`${client.clientId} ${subscription.topicFilter}`)
          return subscription.topicFilter === 'no' ? ReasonCode.NotAuthorized : 0
        }),
      })
      a.send(new Subscribe(1, [subscriptionTo('no'), subscriptionTo('yes')]))
      assert.deepEqual(a.take(Suback).reasonCodes, [version === 5 ? ReasonCode.NotAuthorized : 0x80, 2])
      assert.deepEqual(asked, ['a no', 'a yes'])
      world.publish({ topic: 'no' })
      a.hasNothing()
    }
  })

  test('may lower the QoS', () => {
    const { a } = one({
      authorizer: authorizing((_, subscription) => {
        subscription.qos = 0
        return 0
      }),
    })
    assert.equal(a.subscribe('t', { qos: 2 }), 0)
  })

  test('a Reason Code that SUBACK does not have becomes one that it has', () => {
    const { a } = one({ authorizer: authorizing(() => ReasonCode.BadUserNameOrPassword) })
    assert.ok(a.subscribe('t') >= 0x80)
    assert.ok(!a.isClosed)
  })

  test('decisions that take time are asked for one by one, and what follows waits for the last', () => {
    const waiting: { subscription: Subscription; decide: (reasonCode: number) => void }[] = []
    const { world, a } = one({
      authorizer: authorizing((_, subscription, decide) => {
        if (subscription.topicFilter === 'now') return 0
        waiting.push({ subscription, decide })
        return PENDING
      }),
    })
    a.send(
      new Subscribe(
        1,
        ['1', 'now', '2', '3'].map((filter) => subscriptionTo(filter)),
      ),
      new Pingreq(),
      new Unsubscribe(2, ['1']),
    )
    for (const [i, code] of [0, ReasonCode.NotAuthorized, 0].entries()) {
      a.hasNothing()
      assert.equal(waiting.length, i + 1)
      world.together(() => waiting[i]!.decide(code))
    }
    assert.deepEqual(a.take(Suback).reasonCodes, [2, 2, ReasonCode.NotAuthorized, 2])
    assert.deepEqual(
      a.takeAll().map(({ type }) => type),
      [13, 11],
    )
  })

  test('a client that is gone before the decision has no subscription', () => {
    let decide: (reasonCode: number) => void = () => {}
    const { world, a } = one({
      authorizer: authorizing((_c, _s, d) => {
        decide = d
        return PENDING
      }),
    })
    a.send(new Subscribe(1, [subscriptionTo('t')]))
    a.drop()
    world.together(() => decide(0))
    assert.equal(world.metric('subscriptions'), 0)
  })
})

test('observers are told of subscriptions made, refused and ended', () => {
  const { world, a } = one({ limits: { topicLevelsMax: 2 } })
  a.subscribe('t', { qos: 1 })
  a.subscribe('a/b/c')
  a.unsubscribe('t')
  assert.deepEqual(
    world.eventsOf('subscription.made').map(({ topicFilter, reasonCode }) => [topicFilter, reasonCode]),
    [
      ['t', 1],
      ['a/b/c', ReasonCode.TopicFilterInvalid],
    ],
  )
  assert.deepEqual(
    world.eventsOf('subscription.ended').map(({ topicFilter }) => topicFilter),
    ['t'],
  )
})
