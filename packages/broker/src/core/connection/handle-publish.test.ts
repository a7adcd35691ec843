import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Pingreq, Pingresp, Puback, Pubcomp, Publish, Pubrec, Pubrel, ReasonCode } from '@recado/protocol'
import { type Authorizer, PENDING } from '../../ports.ts'
import { type TestClient, World, type WorldOptions } from '../../testing/mod.ts'

/** A publisher, and a subscriber to everything that acknowledges. */
function pair(options: WorldOptions & { version?: 3 | 4 | 5 } = {}): { world: World; p: TestClient; s: TestClient } {
  const { version = 5, ...rest } = options
  const world = new World(rest)
  const p = world.client('p', { version })
  p.connected()
  const s = world.client('s')
  s.connected()
  s.subscribe('#')
  s.acknowledges = true
  return { world, p, s }
}

const authorizing = (publish: Authorizer['publish']): Authorizer => ({ publish, subscribe: () => 0 })

describe('QoS', () => {
  test('QoS 0 is not answered', () => {
    const { p, s } = pair()
    p.publish({ topic: 't', payload: 'x' })
    p.hasNothing()
    assert.deepEqual(s.takePayloads(), ['x'])
  })

  test('QoS 1 is answered with PUBACK, in order of the PUBLISHes [MQTT-4.3.2-4] [MQTT-4.6.0-2]', () => {
    for (const version of [3, 4, 5] as const) {
      const { p } = pair({ version })
      const sent = [5, 3, 900, 65_535, 1]
      p.send(...sent.map((packetId) => p.makePublish({ topic: 't', qos: 1, packetId })))
      assert.deepEqual(
        p.takeAll().map((packet) => (packet as Puback).packetId),
        sent,
      )
    }
  })

  test('QoS 1 sent twice is delivered twice, with DUP not passed on [MQTT-4.3.2-5] [MQTT-3.3.1-3]', () => {
    const { p, s } = pair()
    p.publish({ topic: 't', payload: 'x', qos: 1, packetId: 1 })
    p.publish({ topic: 't', payload: 'x', qos: 1, packetId: 1, dup: true })
    assert.deepEqual([s.takePublish().dup, s.takePublish().dup], [false, false])
  })

  test('QoS 2 is delivered once, however often it is sent before PUBREL [MQTT-4.3.3-10] [MQTT-4.3.3-12]', () => {
    const { world, p, s } = pair()
    for (const dup of [false, true, false]) {
      p.publish({ topic: 't', payload: 'x', qos: 2, packetId: 1, dup })
      assert.equal(p.take(Pubrec).packetId, 1)
    }
    assert.deepEqual(s.takePayloads(), ['x'])
    assert.equal(world.metric('duplicatesReceived'), 2)
    p.send(new Pubrel(1))
    assert.equal(p.take(Pubcomp).packetId, 1)
    p.publish({ topic: 't', payload: 'y', qos: 2, packetId: 1 })
    assert.deepEqual(s.takePayloads(), ['y'])
  })

  test('a PUBREL for an unknown packet id is answered with PUBCOMP [MQTT-4.3.3-11]', () => {
    const { world, p } = pair()
    p.send(new Pubrel(9))
    assert.equal(p.take(Pubcomp).packetId, 9)
    assert.equal(world.metric('unknownPacketIds'), 1)
  })

  test('the same packet id may be in use both ways [MQTT-2.2.1-5]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'down', qos: 2 })
    const { packetId } = a.takePublish()
    a.publish({ topic: 'u', payload: 'up', qos: 2, packetId })
    assert.equal(a.take(Pubrec).packetId, packetId)
    a.send(new Pubrec(packetId))
    assert.equal(a.take(Pubrel).packetId, packetId)
    a.send(new Pubrel(packetId))
    assert.equal(a.take(Pubcomp).packetId, packetId)
    a.send(new Pubcomp(packetId))
    assert.equal(world.metric('inflight'), 0)
  })
})

describe('Reason Codes', () => {
  test('0x10 when nobody subscribes, in PUBACK and PUBREC (3.4.2.1)', () => {
    const world = new World()
    const p = world.client('p')
    p.connected()
    p.publish({ topic: 't', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, ReasonCode.NoMatchingSubscribers)
    p.publish({ topic: 't', qos: 2 })
    const { reasonCode, packetId } = p.take(Pubrec)
    assert.equal(reasonCode, ReasonCode.NoMatchingSubscribers)
    p.send(new Pubrel(packetId))
    assert.equal(p.take(Pubcomp).reasonCode, 0)
  })

  test('a failing PUBREC ends the flow: the packet id may be used again at once [MQTT-4.3.3-9]', () => {
    const { p, s } = pair({ authorizer: authorizing((_, topic) => (topic === 'no' ? ReasonCode.NotAuthorized : 0)) })
    p.publish({ topic: 'no', qos: 2, packetId: 7 })
    assert.equal(p.take(Pubrec).reasonCode, ReasonCode.NotAuthorized)
    p.publish({ topic: 'yes', payload: 'x', qos: 2, packetId: 7 })
    assert.equal(p.take(Pubrec).reasonCode, 0)
    assert.deepEqual(s.takePayloads(), ['x'])
  })

  test('not authorized: 0x87, nobody gets it, counted (3.3.4)', () => {
    const { world, p, s } = pair({ authorizer: authorizing(() => ReasonCode.NotAuthorized) })
    p.publish({ topic: 't', qos: 0 })
    p.publish({ topic: 't', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, ReasonCode.NotAuthorized)
    p.publish({ topic: 't', qos: 2 })
    assert.equal(p.take(Pubrec).reasonCode, ReasonCode.NotAuthorized)
    s.hasNothing()
    assert.equal(world.metric('dropped.not-authorized'), 3)
  })

  test('before 5.0 there is no way to say no: it is acknowledged, and nobody gets it [MQTT-3.1.1:3.3.5-2]', () => {
    const { world, p, s } = pair({ version: 4, authorizer: authorizing(() => ReasonCode.NotAuthorized) })
    p.publish({ topic: 't', qos: 1 })
    p.take(Puback)
    p.publish({ topic: 't', qos: 2, packetId: 5 })
    p.take(Pubrec)
    p.send(new Pubrel(5)).take(Pubcomp)
    s.hasNothing()
    assert.equal(world.metric('dropped.not-authorized'), 2)
  })

  test('a Reason Code that PUBACK does not have becomes one that it has', () => {
    const { p } = pair({ authorizer: authorizing(() => ReasonCode.BadUserNameOrPassword) })
    p.publish({ topic: 't', qos: 1 })
    assert.ok(p.take(Puback).reasonCode >= 0x80)
    p.publish({ topic: 't', qos: 2 })
    assert.ok(p.take(Pubrec).reasonCode >= 0x80)
  })
})

describe('Receive Maximum of the broker', () => {
  test('one QoS 2 message too many: 0x93 [MQTT-3.3.4-7]', () => {
    const { p } = pair({ limits: { receiveMaximum: 2 } })
    for (const packetId of [1, 2]) {
      p.publish({ topic: 't', qos: 2, packetId })
      p.take(Pubrec)
    }
    p.publish({ topic: 't', qos: 2, packetId: 3 })
    p.isDisconnectedWith(ReasonCode.ReceiveMaximumExceeded)
  })

  test('acknowledged messages do not count: QoS 1, a finished QoS 2, one that was refused', () => {
    const { p } = pair({
      limits: { receiveMaximum: 1 },
      authorizer: authorizing((_, topic) => (topic === 'no' ? ReasonCode.NotAuthorized : 0)),
    })
    for (let i = 0; i < 3; i++) {
      p.publish({ topic: 't', qos: 1 })
      p.take(Puback)
      p.publish({ topic: 'no', qos: 2 })
      p.take(Pubrec)
      p.send(new Pubrel(p.publish({ topic: 't', qos: 2 })))
      p.take(Pubrec)
      p.take(Pubcomp)
    }
  })

  test('a duplicate does not count again', () => {
    const { p } = pair({ limits: { receiveMaximum: 1 } })
    p.publish({ topic: 't', qos: 2, packetId: 1 })
    p.publish({ topic: 't', qos: 2, packetId: 1, dup: true })
    p.take(Pubrec)
    p.take(Pubrec)
    p.hasNothing()
  })

  test('3.1.1 does not know it', () => {
    const { p } = pair({ version: 4, limits: { receiveMaximum: 1 } })
    for (const packetId of [1, 2, 3]) p.publish({ topic: 't', qos: 2, packetId })
    assert.equal(p.takeAll().length, 3)
  })

  test('a new connection begins with a whole quota (4.9)', () => {
    const world = new World({ limits: { receiveMaximum: 1 } })
    const p = world.client('p')
    const properties = { sessionExpiryIntervalSeconds: 60 }
    p.connected({ cleanStart: false, properties })
    p.publish({ topic: 't', qos: 2, packetId: 1 })
    p.take(Pubrec)
    p.drop().connected({ cleanStart: false, properties })
    p.publish({ topic: 't', qos: 2, packetId: 1, dup: true })
    p.take(Pubrec)
    p.publish({ topic: 't', qos: 2, packetId: 2 })
    p.isDisconnectedWith(ReasonCode.ReceiveMaximumExceeded)
  })
})

describe('what is not offered', () => {
  test('a QoS above Maximum QoS: 0x9B [MQTT-3.2.2-11]', () => {
    const { p } = pair({ limits: { maximumQoS: 1 } })
    p.publish({ topic: 't', qos: 1 })
    p.take(Puback)
    p.publish({ topic: 't', qos: 2 })
    p.isDisconnectedWith(ReasonCode.QoSNotSupported)
  })

  test('RETAIN where it is not available: 0x9A [MQTT-3.2.2-14]', () => {
    const { p } = pair({ limits: { retainedMessagesMax: 0 } })
    p.publish({ topic: 't', retain: true })
    p.isDisconnectedWith(ReasonCode.RetainNotSupported)
  })

  test('clients may not publish to $SYS', () => {
    const { world, p } = pair()
    const s = world.client('sys')
    s.connected()
    s.subscribe('$SYS/#')
    p.publish({ topic: '$SYS/broker/uptime', payload: 'lie', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, ReasonCode.NotAuthorized)
    s.hasNothing()
    world.publish({ topic: '$SYS/broker/uptime', payload: 'true' })
    assert.deepEqual(s.takePayloads(), ['true'])
  })
})

describe('Topic Alias from the client', () => {
  const alias = (topicAlias: number): object => ({ properties: { topicAlias } })

  test('an alias stands for its topic from then on, and is not passed on [MQTT-3.3.2-7] [MQTT-3.3.2-12]', () => {
    const { p, s } = pair()
    p.publish({ topic: 'first', payload: '1', ...alias(1) })
    p.publish({ topic: '', payload: '2', ...alias(1) })
    p.publish({ topic: 'second', payload: '3', ...alias(1) })
    p.publish({ topic: '', payload: '4', ...alias(1) })
    const got = Array.from({ length: 4 }, () => s.takePublish())
    assert.deepEqual(
      got.map(({ topic, payload }) => `${topic} ${payload}`),
      ['first 1', 'first 2', 'second 3', 'second 4'],
    )
    for (const { properties } of got) assert.deepEqual(properties, {})
  })

  test('each connection has its own', () => {
    const { world, p, s } = pair()
    const q = world.client('q')
    q.connected()
    p.publish({ topic: 'p', ...alias(1) })
    q.publish({ topic: 'q', ...alias(1) })
    p.publish({ topic: '', ...alias(1) })
    s.take(Publish)
    s.take(Publish)
    assert.equal(s.takePublish().topic, 'p')
  })

  test('an alias does not outlive its connection [MQTT-3.3.2-7]', () => {
    const { p } = pair()
    p.publish({ topic: 'p', ...alias(1) })
    p.drop().connected()
    p.publish({ topic: '', ...alias(1) })
    p.isDisconnectedWith(ReasonCode.ProtocolError)
  })

  test('an alias above the Topic Alias Maximum: 0x94 [MQTT-3.3.2-9]', () => {
    const { p } = pair({ limits: { topicAliasMaximum: 2 } })
    p.publish({ topic: 't', ...alias(2) })
    p.publish({ topic: 't', ...alias(3) })
    p.isDisconnectedWith(ReasonCode.TopicAliasInvalid)
  })

  test('an alias where none are allowed: 0x94', () => {
    const { p } = pair({ limits: { topicAliasMaximum: 0 } })
    p.publish({ topic: 't', ...alias(1) })
    p.isDisconnectedWith(ReasonCode.TopicAliasInvalid)
  })

  test('an alias is remembered even when its PUBLISH is refused', () => {
    const { p, s } = pair({
      authorizer: authorizing((_c, _t, qos) => (qos === 1 ? ReasonCode.NotAuthorized : 0)),
    })
    p.publish({ topic: 'secret', qos: 1, ...alias(1) })
    p.publish({ topic: '', payload: 'x', ...alias(1) })
    assert.equal(s.takePublish().topic, 'secret')
  })

  test('the authorizer sees the real topic', () => {
    const asked: string[] = []
    const { p } = pair({
      authorizer: authorizing((_, topic) => {
        asked.push(topic)
        return 0
      }),
    })
    p.publish({ topic: 'real', ...alias(1) })
    p.publish({ topic: '', ...alias(1) })
    assert.deepEqual(asked, ['real', 'real'])
  })
})

describe('properties that are passed on', () => {
  test('all of the message, unaltered and in order [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]', () => {
    const properties = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'reply/here',
      correlationData: Uint8Array.of(0, 1, 255),
      userProperties: [
        ['b', '1'],
        ['a', '2'],
        ['b', '1'],
      ] as [string, string][],
    }
    for (const qos of [0, 1, 2] as const) {
      const { p, s } = pair()
      p.publish({ topic: 't', payload: 'x', qos, properties })
      const got = s.takePublish().properties
      assert.deepEqual({ ...got, correlationData: Uint8Array.from(got.correlationData!) }, properties)
    }
  })

  test('request and response, with Response Topic and Correlation Data (4.10)', () => {
    const { world, p } = pair()
    p.subscribe('reply/p')
    const service = world.client('service')
    service.connected()
    service.subscribe('request')
    p.publish({
      topic: 'request',
      payload: '?',
      properties: { responseTopic: 'reply/p', correlationData: Uint8Array.of(7) },
    })
    const request = service.takePublish()
    service.publish({
      topic: request.properties.responseTopic!,
      payload: '!',
      properties: { correlationData: request.properties.correlationData! },
    })
    const response = p.takePublish()
    assert.equal(response.payload, '!')
    assert.deepEqual([...response.properties.correlationData!], [7])
  })

  test('3.1.1 gets the message without them', () => {
    const { world, p } = pair()
    const old = world.client('old', { version: 4 })
    old.connected()
    old.subscribe('t')
    p.publish({ topic: 't', payload: 'x', properties: { contentType: 'a', messageExpiryIntervalSeconds: 9 } })
    assert.deepEqual(old.takePublish().properties, {})
  })
})

describe('asynchronous authorizer', () => {
  function waiting(): { options: WorldOptions; decide: ((reasonCode: number) => void)[]; topics: string[] } {
    const decide: ((reasonCode: number) => void)[] = []
    const topics: string[] = []
    return {
      decide,
      topics,
      options: {
        authorizer: authorizing((_client, topic, _qos, _retain, d) => {
          if (topic === 'free') return 0
          topics.push(topic)
          decide.push(d)
          return PENDING
        }),
      },
    }
  }

  test('pauses only that connection and keeps its order', () => {
    const { options, decide, topics } = waiting()
    const { world, p, s } = pair(options)
    const q = world.client('q')
    q.connected()
    p.send(
      p.makePublish({ topic: 'a', payload: '1', qos: 1 }),
      p.makePublish({ topic: 'free', payload: '2', qos: 1 }),
      new Pingreq(),
      p.makePublish({ topic: 'b', payload: '3', qos: 1 }),
    )
    p.send(p.makePublish({ topic: 'free', payload: '4', qos: 0 }))
    q.publish({ topic: 'free', payload: 'other' })
    assert.deepEqual(s.takePayloads(), ['other'])
    p.hasNothing()
    assert.deepEqual(topics, ['a'])
    world.together(() => decide[0]!(0))
    assert.deepEqual(s.takePayloads(), ['1', '2'])
    assert.deepEqual(topics, ['a', 'b'])
    assert.equal(p.take(Puback).reasonCode, 0)
    p.take(Puback)
    p.take(Pingresp)
    p.hasNothing()
    world.together(() => decide[1]!(ReasonCode.NotAuthorized))
    assert.equal(p.take(Puback).reasonCode, ReasonCode.NotAuthorized)
    assert.deepEqual(s.takePayloads(), ['4'])
  })

  test('payload, topic and properties survive the wait', () => {
    const { options, decide } = waiting()
    const { world, p, s } = pair(options)
    const properties = { correlationData: Uint8Array.of(1, 2, 3), contentType: 'c', userProperties: [['k', 'v']] }
    p.publish({ topic: 'a', payload: 'payload', qos: 1, properties: properties as object })
    p.publish({ topic: 'free', payload: 'x'.repeat(100) })
    world.together(() => decide[0]!(0))
    const got = s.takePublish()
    assert.equal(got.topic, 'a')
    assert.equal(got.payload, 'payload')
    assert.deepEqual([...got.properties.correlationData!], [1, 2, 3])
    assert.deepEqual(got.properties.userProperties, [['k', 'v']])
  })

  test('a decision for a client that is gone has no effect', () => {
    const { options, decide } = waiting()
    const { world, p, s } = pair(options)
    p.publish({ topic: 'a', qos: 1 })
    p.drop()
    world.together(() => decide[0]!(0))
    s.hasNothing()
  })

  test('keep alive does not end a connection that is not read', () => {
    const { options, decide } = waiting()
    const { world, p, s } = pair(options)
    p.drop().connected({ keepAliveSeconds: 10 })
    s.disconnect()
    p.publish({ topic: 'a', qos: 1 })
    for (let i = 0; i < 5; i++) {
      world.advance(9_000)
      p.send(new Pingreq())
    }
    assert.ok(!p.isClosed)
    world.together(() => decide[0]!(0))
    p.take(Puback)
    for (let i = 0; i < 5; i++) p.take(Pingresp)
    world.advance(14_000)
    assert.ok(!p.isClosed)
    world.advance(1_300)
    p.isDisconnectedWith(ReasonCode.KeepAliveTimeout)
  })

  test('several QoS 2 messages that wait are delivered once each', () => {
    const { options, decide } = waiting()
    const { world, p, s } = pair(options)
    p.publish({ topic: 'a', payload: '1', qos: 2, packetId: 1 })
    p.publish({ topic: 'a', payload: '1', qos: 2, packetId: 1, dup: true })
    world.together(() => decide[0]!(0))
    assert.equal(decide.length, 1)
    p.take(Pubrec)
    p.take(Pubrec)
    assert.deepEqual(s.takePayloads(), ['1'])
  })
})

test('an authorizer that throws is our bug: the connection ends with 0x83 and somebody is told', () => {
  const { world, p } = pair({
    authorizer: authorizing(() => {
      throw new Error('oops')
    }),
  })
  const q = world.client('q')
  q.connected()
  p.publish({ topic: 't' })
  p.isDisconnectedWith(ReasonCode.ImplementationSpecificError)
  assert.equal(world.eventsOf('core.failed').length, 1)
  q.send(new Pingreq()).take(Pingresp)
})

test('message.published is told of every accepted message with its publisher', () => {
  const { world, p } = pair()
  p.publish({ topic: 't', payload: 'x', qos: 1 })
  const [event] = world.eventsOf('message.published')
  assert.equal(event?.client?.clientId, 'p')
  assert.equal(event?.message.topic, 't')
})
