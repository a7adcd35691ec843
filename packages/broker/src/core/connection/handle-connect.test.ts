import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, Disconnect, Pingreq, Puback, ReasonCode } from '@recado/protocol'
import type { Authorizer, ConnectDecision, ConnectRequest } from '../../ports.ts'
import { PENDING } from '../../ports.ts'
import { type TestClient, World, will } from '../../testing/mod.ts'

/** A refused CONNECT: CONNACK with this code (by version), nothing else, closed. */
function isRefused(client: TestClient, reasonCode: number): Connack {
  const connack = client.take(Connack)
  assert.equal(connack.reasonCode, reasonCode)
  assert.equal(connack.sessionPresent, false)
  client.hasNothing()
  assert.ok(client.isClosed)
  return connack
}

describe('session', () => {
  test('a first CONNECT has no session; CONNACK is the first packet [MQTT-3.2.0-1] [MQTT-3.2.2-3] [MQTT-3.1.4-5] [MQTT-3.1.2-6]', () => {
    const world = new World()
    for (const version of [3, 4, 5] as const) {
      assert.equal(world.client(`${version}`, { version }).connected({ cleanStart: false }).sessionPresent, false)
    }
  })

  test('Clean Start 0 finds the session again, with its subscriptions [MQTT-3.1.2-5] [MQTT-3.2.2-3]', () => {
    const world = new World()
    for (const version of [4, 5] as const) {
      const a = world.client(`a${version}`, { version })
      const properties = version === 5 ? { sessionExpiryIntervalSeconds: 100 } : {}
      a.connected({ cleanStart: false, properties })
      a.subscribe('t')
      a.disconnect()
      assert.equal(a.connected({ cleanStart: false, properties }).sessionPresent, true)
      world.publish({ topic: 't', payload: 'x' })
      assert.deepEqual(a.takePayloads(), ['x'])
    }
  })

  test('3.1 keeps its session but has no Session Present flag', () => {
    const world = new World()
    const a = world.client('a', { version: 3 })
    a.connected({ cleanStart: false })
    a.subscribe('t')
    a.disconnect()
    assert.equal(a.connected({ cleanStart: false }).sessionPresent, false)
    world.publish({ topic: 't', payload: 'x' })
    assert.deepEqual(a.takePayloads(), ['x'])
  })

  test('Clean Start 1 ends the old session and begins a new one [MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-3.1.4-4]', () => {
    const world = new World()
    for (const version of [3, 4, 5] as const) {
      const a = world.client(`a${version}`, { version })
      a.connected({
        cleanStart: false,
        properties: version === 5 ? { sessionExpiryIntervalSeconds: 0xffff_ffff } : {},
      })
      a.subscribe('t', { qos: 1 })
      a.drop()
      world.publish({ topic: 't', payload: 'x', qos: 1 })
      assert.equal(a.connected({ cleanStart: true }).sessionPresent, false)
      a.hasNothing()
      world.publish({ topic: 't', payload: 'y' })
      a.hasNothing()
    }
    assert.equal(world.eventsOf('session.ended').filter(({ why }) => why === 'clean-start').length, 3)
  })

  test('Clean Start 1 with a Session Expiry Interval begins a session that lasts (3.1.2.4)', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ cleanStart: true, properties: { sessionExpiryIntervalSeconds: 100 } })
    a.drop()
    assert.equal(a.connected({ cleanStart: false }).sessionPresent, true)
  })

  test('the Client Identifier decides whose session it is [MQTT-3.1.3-2]', () => {
    const world = new World()
    const properties = { sessionExpiryIntervalSeconds: 100 }
    world.client('a').connected({ cleanStart: false, properties })
    assert.equal(world.client('A').connected({ cleanStart: false, properties }).sessionPresent, false)
  })
})

describe('Client Identifier', () => {
  test('5.0 without one is assigned a unique one and told it [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]', () => {
    const world = new World()
    const ids = [1, 2].map(() => world.client('').connected().properties.assignedClientIdentifier)
    assert.ok(ids[0]?.startsWith('auto-'))
    assert.notEqual(ids[0], ids[1])
    assert.ok(world.core.sessions.get(ids[1]!))
  })

  test('5.0 with one is assigned none', () => {
    const world = new World()
    assert.equal(world.client('a').connected().properties.assignedClientIdentifier, undefined)
  })

  test('5.0 without one may ask for a session that lasts and finds it under the assigned one', () => {
    const world = new World({ assignedClientIdPrefix: 'x-' })
    const properties = { sessionExpiryIntervalSeconds: 100 }
    const a = world.client('')
    const assigned = a.connected({ cleanStart: false, properties }).properties.assignedClientIdentifier!
    assert.ok(assigned.startsWith('x-'))
    a.drop()
    assert.equal(world.client(assigned).connected({ cleanStart: false, properties }).sessionPresent, true)
  })

  test('3.1.1 may leave it out with Clean Session 1 only [MQTT-3.1.1:3.1.3-6] [MQTT-3.1.1:3.1.3-8]', () => {
    const world = new World()
    world.client('', { version: 4 }).connected({ cleanStart: true })
    isRefused(world.client('', { version: 4 }).connect({ cleanStart: false }), 2)
  })

  test('3.1 may never leave it out', () => {
    const world = new World()
    isRefused(world.client('', { version: 3 }).connect({ cleanStart: true }), 2)
  })

  test('with allowEmptyClientId off nobody may: 0x85 [MQTT-3.1.3-8]', () => {
    const world = new World({ allowEmptyClientId: false })
    isRefused(world.client('').connect(), ReasonCode.ClientIdentifierNotValid)
    isRefused(world.client('', { version: 4 }).connect(), 2)
  })

  test('a control character in Client Identifier or User Name is refused (1.5.4)', () => {
    const world = new World()
    for (const version of [4, 5] as const) {
      for (const bad of ['\n', '\u007f', '\u009f', '\ufdd0', '\ufffe', '\u{1ffff}', '\u{10fffe}']) {
        isRefused(
          world.client(`a${bad}b`, { version }).connect(),
          version === 5 ? ReasonCode.ClientIdentifierNotValid : 2,
        )
        const code = version === 5 ? ReasonCode.BadUserNameOrPassword : 4
        isRefused(world.client('a', { version }).connect({ username: `u${bad}` }), code)
      }
    }
    assert.equal(world.metric('connectionsRefused'), 28)
  })
})

describe('the Reason String of a refusal', () => {
  test('says more than the Reason Code, or is not there', () => {
    const reasonStrings = [
      [{ reasonCode: ReasonCode.NotAuthorized, reasonString: 'not authorized' }, undefined],
      [{ reasonCode: ReasonCode.NotAuthorized, reasonString: 'the door is closed' }, 'the door is closed'],
    ] as const
    for (const [decision, expected] of reasonStrings) {
      const world = new World({ authenticator: { authenticate: (_, decide) => decide({ ...decision }) } })
      assert.equal(world.client('a').connect().take(Connack).properties.reasonString, expected)
    }
    const a = new World().client('a')
    a.connected()
    a.sendBytes(Uint8Array.of(0x36, 0))
    const { reasonString } = a.isDisconnectedWith(ReasonCode.MalformedPacket)!.properties
    assert.equal(reasonString, 'PUBLISH has QoS 3', 'without the name of the Reason Code that stands beside it')
  })
})

describe('a login that is not decided in time', () => {
  test('is told to come later: it is the broker that is late', () => {
    for (const version of [4, 5] as const) {
      const world = new World({ authenticator: { authenticate: () => {} }, limits: { connectTimeoutMs: 1_000 } })
      const a = world.client('a', { version }).connect()
      world.advance(1_300)
      isRefused(a, version === 5 ? ReasonCode.ServerBusy : 3)
    }
  })
})

describe('what CONNACK announces (3.2.2.3)', () => {
  test('limits at their greatest are not announced, Topic Alias Maximum and Receive Maximum are', () => {
    const { properties } = new World({ limits: { packetBytesMax: 268_435_460 } }).client('a').connected()
    assert.deepEqual(properties, { topicAliasMaximum: 10, receiveMaximum: 1000 })
  })

  test('by default a packet of 16 MiB is the largest, and clients are told', () => {
    assert.equal(new World().client('a').connected().properties.maximumPacketSize, 16 * 1024 * 1024)
  })

  test('a broker without limits announces nothing', () => {
    const limits = { topicAliasMaximum: 0, receiveMaximum: 65_535, packetBytesMax: 268_435_460 }
    assert.deepEqual(new World({ limits }).client('a').connected().properties, {})
  })

  test('what is limited or not available is announced [MQTT-3.2.2-9]', () => {
    const world = new World({
      limits: {
        maximumQoS: 1,
        retainedMessagesMax: 0,
        packetBytesMax: 1000,
        receiveMaximum: 7,
        topicAliasMaximum: 3,
        keepAliveSecondsMax: 30,
        sessionExpirySecondsMax: 60,
      },
      wildcardSubscriptions: false,
      sharedSubscriptions: false,
      subscriptionIdentifiers: false,
    })
    const { properties } = world
      .client('a')
      .connected({ keepAliveSeconds: 31, properties: { sessionExpiryIntervalSeconds: 61 } })
    assert.deepEqual(properties, {
      topicAliasMaximum: 3,
      maximumPacketSize: 1000,
      receiveMaximum: 7,
      maximumQoS: 1,
      retainAvailable: false,
      wildcardSubscriptionAvailable: false,
      sharedSubscriptionAvailable: false,
      subscriptionIdentifierAvailable: false,
      sessionExpiryIntervalSeconds: 60,
      serverKeepAliveSeconds: 30,
    })
  })

  test('a Session Expiry Interval within the limit is not repeated', () => {
    const world = new World({ limits: { sessionExpirySecondsMax: 60 } })
    const { properties } = world.client('a').connected({ properties: { sessionExpiryIntervalSeconds: 60 } })
    assert.equal(properties.sessionExpiryIntervalSeconds, undefined)
  })

  test('3.1.1 is told nothing', () => {
    assert.deepEqual(new World().client('a', { version: 4 }).connected().properties, {})
  })

  test('Response Information goes only to who asks for it [MQTT-3.1.2-28]', () => {
    const authenticator = {
      authenticate: (_: ConnectRequest, decide: (d: ConnectDecision) => void) =>
        decide({ responseInformation: 'reply/a' }),
    }
    const world = new World({ authenticator })
    const asked = world.client('a').connected({ properties: { requestResponseInformation: true } })
    assert.equal(asked.properties.responseInformation, 'reply/a')
    assert.equal(world.client('b').connected().properties.responseInformation, undefined)
    const not = world.client('c').connected({ properties: { requestResponseInformation: false } })
    assert.equal(not.properties.responseInformation, undefined)
  })
})

describe('Server Keep Alive', () => {
  test('5.0 with a longer Keep Alive, or none, is held to the limit and told so (3.1.2.10)', () => {
    for (const keepAliveSeconds of [0, 11, 65_535]) {
      const world = new World({ limits: { keepAliveSecondsMax: 10 } })
      const a = world.client('a')
      assert.equal(a.connected({ keepAliveSeconds }).properties.serverKeepAliveSeconds, 10)
      world.advance(14_900)
      assert.ok(!a.isClosed)
      world.advance(400)
      a.isDisconnectedWith(ReasonCode.KeepAliveTimeout)
    }
  })

  test('5.0 within the limit is told nothing', () => {
    const world = new World({ limits: { keepAliveSecondsMax: 10 } })
    const { properties } = world.client('a').connected({ keepAliveSeconds: 10 })
    assert.equal(properties.serverKeepAliveSeconds, undefined)
  })

  test('3.1.1 cannot be told: it is refused', () => {
    const world = new World({ limits: { keepAliveSecondsMax: 10 } })
    isRefused(world.client('a', { version: 4 }).connect({ keepAliveSeconds: 11 }), 2)
    isRefused(world.client('a', { version: 4 }).connect({ keepAliveSeconds: 0 }), 2)
    world.client('a', { version: 4 }).connected({ keepAliveSeconds: 10 })
  })
})

describe('Maximum Packet Size of the client', () => {
  test('a CONNACK that does not fit is not sent; the connection is closed [MQTT-3.1.2-24]', () => {
    const world = new World()
    const a = world.client('a').connect({ properties: { maximumPacketSize: 4 } })
    a.hasNothing()
    assert.ok(a.isClosed)
    // One without properties fits: it can say why.
    isRefused(world.client('a').connect({ properties: { maximumPacketSize: 5 } }), ReasonCode.PacketTooLarge)
    assert.equal(world.core.sessions.size, 0)
  })

  test('the Reason String of a refusal is left out when it does not fit [MQTT-3.2.2-19]', () => {
    const authenticator = {
      authenticate: (_: ConnectRequest, decide: (d: ConnectDecision) => void) =>
        decide({ reasonCode: ReasonCode.Banned, reasonString: 'x'.repeat(100) }),
    }
    const world = new World({ authenticator })
    const short = isRefused(world.client('a').connect({ properties: { maximumPacketSize: 50 } }), ReasonCode.Banned)
    assert.equal(short.properties.reasonString, undefined)
    const long = isRefused(world.client('a').connect(), ReasonCode.Banned)
    assert.equal(long.properties.reasonString, 'x'.repeat(100))
  })

  test('User Properties of CONNACK are left out when they do not fit [MQTT-3.2.2-20]', () => {
    for (const reasonCode of [0, ReasonCode.NotAuthorized]) {
      const authenticator = {
        authenticate: (_: ConnectRequest, decide: (d: ConnectDecision) => void) =>
          decide({ reasonCode, userProperties: [['name', 'x'.repeat(100)]] }),
      }
      const world = new World({ authenticator })
      const a = world.client('a').connect({ properties: { maximumPacketSize: 50 } })
      const connack = a.take(Connack)
      assert.equal(connack.reasonCode, reasonCode)
      assert.equal(connack.properties.userProperties, undefined)
    }
  })
})

describe('Will', () => {
  test('a Will of a QoS that is not offered is refused with 0x9B [MQTT-3.2.2-12]', () => {
    const world = new World({ limits: { maximumQoS: 1 } })
    isRefused(world.client('a').connect({ will: will({ topic: 'w', qos: 2 }) }), ReasonCode.QoSNotSupported)
    world.client('a').connected({ will: will({ topic: 'w', qos: 1 }) })
  })

  test('a Will with RETAIN where that is not available is refused with 0x9A [MQTT-3.2.2-13]', () => {
    const world = new World({ limits: { retainedMessagesMax: 0 } })
    isRefused(world.client('a').connect({ will: will({ topic: 'w', retain: true }) }), ReasonCode.RetainNotSupported)
  })

  test('a Will Topic over the limit is refused with 0x90', () => {
    const world = new World({ limits: { topicLevelsMax: 2 } })
    isRefused(world.client('a').connect({ will: will({ topic: 'a/b/c' }) }), ReasonCode.TopicNameInvalid)
  })

  test('the authorizer is asked for the Will', () => {
    const asked: string[] = []
    const authorizer: Authorizer = {
      publish: (client, topic, qos, retain) => {
        asked.push(`${client.clientId} ${client.username} ${topic} ${qos} ${retain}`)
        return topic === 'no' ? ReasonCode.NotAuthorized : 0
      },
      subscribe: () => 0,
    }
    const world = new World({ authorizer })
    const connect = { username: 'ada' }
    isRefused(world.client('a').connect({ ...connect, will: will({ topic: 'no' }) }), ReasonCode.NotAuthorized)
    world.client('a').connected({ ...connect, will: will({ topic: 'yes', qos: 1, retain: true }) })
    assert.deepEqual(asked, ['a ada no 0 false', 'a ada yes 1 true'])
  })

  test('a late decision on the Will after a late authentication holds back what follows', () => {
    let authenticated: (decision: ConnectDecision) => void = () => {}
    let authorized: (reasonCode: number) => void = () => {}
    const world = new World({
      authenticator: {
        authenticate: (_, d) => {
          authenticated = d
        },
      },
      authorizer: {
        publish: (_client, _topic, _qos, _retain, d) => {
          authorized = d
          return PENDING
        },
        subscribe: () => 0,
      },
    })
    const a = world.client('a').connect({ will: will({ topic: 'w' }) })
    a.send(new Pingreq())
    world.together(() => authenticated({}))
    a.hasNothing()
    assert.ok(!a.isClosed)
    world.together(() => authorized(0))
    assert.deepEqual(
      a.takeAll().map(({ type }) => type),
      [2, 13],
    )
  })
})

describe('takeover', () => {
  test('a second connection sends the first away with 0x8E [MQTT-3.1.4-3]', () => {
    const world = new World()
    const first = world.client('a')
    first.connected()
    world.client('a').connected()
    const disconnect = first.isDisconnectedWith(ReasonCode.SessionTakenOver)
    assert.ok(disconnect?.properties.reasonString)
    assert.equal(world.metric('sessionsTakenOver'), 1)
    assert.equal(world.metric('clients'), 1)
    assert.equal(world.metric('sessions'), 1)
  })

  test('before 5.0 the first connection is just closed [MQTT-3.1.1:3.1.4-2]', () => {
    const world = new World()
    const first = world.client('a', { version: 4 })
    first.connected()
    world.client('a', { version: 4 }).connected()
    first.isDisconnectedWith(0)
  })

  test('a session that lasts is taken over with what was in flight, in order', () => {
    const world = new World()
    const properties = { sessionExpiryIntervalSeconds: 100 }
    const first = world.client('a')
    first.connected({ cleanStart: false, properties })
    first.subscribe('t')
    for (const payload of ['1', '2']) world.publish({ topic: 't', payload, qos: 1 })
    first.takeAll()
    const second = world.client('a')
    assert.equal(second.connected({ cleanStart: false, properties }).sessionPresent, true)
    assert.deepEqual(second.takePayloads(), ['1', '2'])
    first.isDisconnectedWith(ReasonCode.SessionTakenOver)
  })

  test('what the first connection still sends has no effect', () => {
    const world = new World()
    const first = world.client('a')
    first.connected()
    first.transport.lingers = true
    const b = world.client('b')
    b.connected()
    b.subscribe('#')
    world.client('a').connected()
    first.publish({ topic: 't', payload: 'late' })
    b.hasNothing()
    world.advance(5_200)
    assert.ok(first.isClosed, 'cut when it does not close')
    assert.equal(world.metric('clients'), 2)
  })

  test('a session that ends with its connection is not present after a takeover [MQTT-3.1.2-23]', () => {
    const world = new World()
    world.client('a').connected()
    assert.equal(world.client('a').connected({ cleanStart: false }).sessionPresent, false)
  })

  test('a client that connects again when all places are taken gets its own place', () => {
    const world = new World({ limits: { connectionsMax: 1 } })
    world.client('a').connected()
    world.client('a').connected()
  })

  test('a takeover while the first is waiting for its authentication', () => {
    const decides: ((decision: ConnectDecision) => void)[] = []
    const world = new World({
      authenticator: {
        authenticate: (_, d) => {
          decides.push(d)
        },
      },
    })
    const first = world.client('a').connect()
    const second = world.client('a').connect()
    world.together(() => decides[1]!({}))
    second.take(Connack)
    world.together(() => decides[0]!({}))
    first.take(Connack)
    second.isDisconnectedWith(ReasonCode.SessionTakenOver)
    assert.equal(world.metric('clients'), 1)
  })
})

test('a version that is unknown is answered 0x84 in the nearest known way [MQTT-3.1.2-2]', () => {
  const connectOf = (name: string, level: number): Uint8Array => {
    const body = [0, name.length, ...new TextEncoder().encode(name), level, 2, 0, 60, 0, 0, 1, 97]
    return Uint8Array.of(0x10, body.length, ...body)
  }
  const world = new World()
  isRefused(world.client('a', { version: 5 }).open().sendBytes(connectOf('MQTT', 6)), 0x84)
  isRefused(world.client('a', { version: 4 }).open().sendBytes(connectOf('MQTT', 2)), 1)
  isRefused(world.client('a', { version: 4 }).open().sendBytes(connectOf('HTTP', 4)), 1)
})

test('a second CONNECT is a Protocol Error [MQTT-3.1.0-2]', () => {
  const world = new World()
  const a = world.client('a')
  a.connected()
  a.connect()
  a.isDisconnectedWith(ReasonCode.ProtocolError)
  const b = world.client('b', { version: 4 })
  b.connected()
  b.connect()
  b.isDisconnectedWith(0)
})

test('a packet before CONNECT closes the connection without an answer [MQTT-3.1.0-1]', () => {
  const world = new World()
  for (const packet of [new Pingreq(), new Disconnect(), new Puback(1)]) {
    const a = world.client('a').open().send(packet)
    a.hasNothing()
    assert.ok(a.isClosed)
  }
})

test('of clients whose authentication takes time no more get in than are allowed', () => {
  const decisions: (() => void)[] = []
  const world = new World({
    limits: { connectionsMax: 1 },
    authenticator: { authenticate: (_request, decide) => decisions.push(() => decide({})) },
  })
  const first = world.client('first').connect()
  const second = world.client('second').connect()
  for (const decide of decisions) decide()
  world.run()
  assert.equal(first.take(Connack).reasonCode, 0)
  assert.equal(second.take(Connack).reasonCode, ReasonCode.ServerBusy)
})
