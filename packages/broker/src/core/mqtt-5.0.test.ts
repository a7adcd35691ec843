/* Statements of MQTT 5.0 that belong to no single file: a whole broker answers, packet by packet. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  Auth,
  Connack,
  Disconnect,
  encode,
  NO_PROPERTIES,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  ReasonCode,
  Suback,
  Subscribe,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import { subscriptionTo, will } from '../testing/test-client.ts'
import { World } from '../testing/world.ts'

const QOS: readonly QoS[] = [0, 1, 2]
const kept = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 3_600 } }

describe('CONNECT', () => {
  test('a protocol name that is not MQTT is answered with 0x84, and the connection closes [MQTT-3.1.2-1]', () => {
    const a = new World().client('a').open()
    a.sendBytes(Uint8Array.of(0x10, 17, 0, 4, 0x4d, 0x51, 0x54, 0x58, 5, 2, 0, 60, 0, 0, 4, 0x61, 0x62, 0x63, 0x64))
    const [answer] = a.takeAll()
    assert.ok(answer === undefined || (answer instanceof Connack && answer.reasonCode === 0x84))
    assert.ok(a.isClosed)
  })

  test('Clean Start 0 without a session makes one, which is there the next time [MQTT-3.1.2-6] [MQTT-3.2.2-3]', () => {
    const world = new World()
    const a = world.client('a')
    assert.equal(a.connected(kept).sessionPresent, false)
    a.subscribe('t')
    a.drop()
    assert.equal(a.connected(kept).sessionPresent, true)
    world.publish({ topic: 't', payload: 'still subscribed' })
    assert.deepEqual(a.takePayloads(), ['still subscribed'])
  })

  test('a Will is kept from CONNECT on and belongs to the session [MQTT-3.1.2-7] [MQTT-3.1.2-9]', () => {
    const world = new World()
    const watcher = world.client('watcher')
    watcher.connected()
    watcher.subscribe('will/+')
    const a = world.client('a')
    const properties = { willDelayIntervalSeconds: 30 }
    a.connected({ ...kept, will: will({ topic: 'will/a', payload: 'gone', qos: 1, properties }) })
    a.drop()
    watcher.hasNothing()
    // The session ends before its delay: the Will goes with it (3.1.3.2.2).
    a.connected({ cleanStart: true })
    assert.deepEqual(watcher.takePayloads(), ['gone'])
  })

  test('the User Properties of a Will are published in their order [MQTT-3.1.3-10]', () => {
    const world = new World()
    const watcher = world.client('watcher')
    watcher.connected()
    watcher.subscribe('w')
    const userProperties: [string, string][] = [
      ['b', '1'],
      ['a', '2'],
      ['b', '3'],
      ['a', '1'],
    ]
    const a = world.client('a')
    a.connected({ will: will({ topic: 'w', properties: { userProperties } }) })
    a.drop()
    assert.deepEqual(watcher.takePublish().properties.userProperties, userProperties)
  })

  for (const version of [3, 4, 5] as ProtocolVersion[]) {
    test(`version ${version}: Client Identifiers of 1 to 23 letters and digits are taken [MQTT-3.1.3-5] [MQTT-3.1.1:3.1.3-5]`, () => {
      const world = new World()
      const letters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
      const ids = [...letters, ...letters.match(/.{1,23}/g)!]
      for (const clientId of ids) {
        const client = world.client(clientId, { version })
        client.connected()
      }
      assert.equal(world.core.sessions.size, ids.length)
    })
  }

  test('a CONNECT that is not of the right form ends the connection [MQTT-3.1.4-1]', () => {
    const world = new World()
    for (const bytes of [
      Uint8Array.of(0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 3, 0, 60, 0, 0, 0), // the reserved flag
      Uint8Array.of(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 60, 0, 0), // no Client Identifier
      Uint8Array.of(0x11, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 60, 0, 0, 0), // flags in the header
    ]) {
      const a = world.client('a').open().sendBytes(bytes)
      assert.ok(a.isClosed)
      assert.ok(a.takeAll().every((packet) => packet instanceof Connack && packet.reasonCode >= 0x80))
    }
    assert.equal(world.core.sessions.size, 0)
  })

  test('a refusal with a code that CONNACK has not got is 0x80 [MQTT-3.2.2-8]', () => {
    const authenticator = {
      authenticate: (_request: unknown, decide: (decision: { reasonCode: ReasonCode }) => void): void =>
        decide({ reasonCode: ReasonCode.NoMatchingSubscribers }),
    }
    const a = new World({ authenticator }).client('a')
    assert.equal(a.connect().take(Connack).reasonCode, ReasonCode.UnspecifiedError)
    assert.ok(a.isClosed)
  })

  test('without Server Keep Alive the Keep Alive of the client holds [MQTT-3.2.2-22]', () => {
    const world = new World()
    const a = world.client('a')
    assert.equal(a.connected({ keepAliveSeconds: 10 }).properties.serverKeepAliveSeconds, undefined)
    world.advance(14_900)
    assert.equal(a.isClosed, false)
    world.advance(200)
    a.isDisconnectedWith(ReasonCode.KeepAliveTimeout)
  })

  test('until CONNACK a client that authenticates by AUTH may send nothing else [MQTT-3.1.2-30]', () => {
    const enhancedAuthenticator = {
      methods: ['m'],
      step: (_step: unknown, answer: (a: { reasonCode: ReasonCode }) => void): void =>
        answer({ reasonCode: ReasonCode.ContinueAuthentication }),
    }
    const world = new World({ enhancedAuthenticator })
    const a = world.client('a')
    a.connect({ properties: { authenticationMethod: 'm' } }).take(Auth)
    a.publish({ topic: 't', payload: 'too early' })
    assert.ok(a.isClosed)
    assert.equal(world.metric('messagesReceived'), 0)
  })

  test('without Authentication Method there is no AUTH and none in CONNACK [MQTT-4.12.0-6]', () => {
    const enhancedAuthenticator = { methods: ['m'], step: (): void => assert.fail('nobody asked for it') }
    const a = new World({ enhancedAuthenticator }).client('a')
    const { properties } = a.connected()
    assert.equal(properties.authenticationMethod, undefined)
    assert.equal(properties.authenticationData, undefined)
    a.hasNothing()
  })
})

describe('Packet Identifiers and acknowledgements', () => {
  test('SUBACK and UNSUBACK have the Packet Identifier of their request [MQTT-2.2.1-6]', () => {
    const a = new World().client('a')
    a.connected()
    a.send(new Subscribe(4_711, [subscriptionTo('t')], NO_PROPERTIES))
    assert.equal(a.take(Suback).packetId, 4_711)
    a.send(new Unsubscribe(65_535, ['t']))
    assert.equal(a.take(Unsuback).packetId, 65_535)
  })

  test('QoS 0 has no Packet Identifier and no answer, QoS 1 PUBACK, QoS 2 PUBREC [MQTT-2.2.1-2] [MQTT-3.3.4-1] [MQTT-4.3.3-8]', () => {
    const a = new World().client('a')
    a.connected()
    a.subscribe('t', { qos: 0 })
    assert.equal(a.publish({ topic: 't', payload: 'zero' }), 0)
    assert.deepEqual([...encode(a.take(Publish), 5)], [0x30, 8, 0, 1, 0x74, 0, 0x7a, 0x65, 0x72, 0x6f])
    a.hasNothing()
    a.unsubscribe('t')
    a.publish({ topic: 'u', qos: 1, packetId: 17 })
    assert.equal(a.take(Puback).packetId, 17)
    a.publish({ topic: 'u', qos: 2, packetId: 18 })
    assert.equal(a.take(Pubrec).packetId, 18)
    a.hasNothing()
  })

  test('acknowledgements of the broker have no Reason String and no User Properties, so they never grow too large [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]', () => {
    const authorizer = {
      publish: (_client: unknown, topic: string): number => (topic === 'no' ? ReasonCode.NotAuthorized : 0),
      subscribe: (_client: unknown, { topicFilter }: { topicFilter: string }): number =>
        topicFilter === 'no' ? ReasonCode.NotAuthorized : 0,
    }
    const a = new World({ authorizer }).client('a')
    a.connected()
    a.subscribe('t')
    a.unsubscribe('nothing')
    for (const topic of ['no', 't']) {
      a.publish({ topic, qos: 1 })
      a.send(new Pubrel(a.publish({ topic, qos: 2 })))
    }
    a.send(new Subscribe(9, [subscriptionTo('no')], NO_PROPERTIES), new Unsubscribe(10, ['a', 'b/#']))
    const answers = a.takeAll().filter((packet) => !(packet instanceof Publish))
    assert.ok(answers.length >= 8)
    for (const packet of answers) {
      assert.equal('properties' in packet && packet.properties.reasonString, undefined, packet.constructor.name)
      assert.equal('properties' in packet && packet.properties.userProperties, undefined, packet.constructor.name)
    }
  })

  test('AUTH loses a Reason String that makes it too large, and has no User Properties [MQTT-3.15.2-2] [MQTT-3.15.2-3]', () => {
    const enhancedAuthenticator = {
      methods: ['m'],
      step: (_step: unknown, answer: (a: { reasonCode: ReasonCode; reasonString: string }) => void): void =>
        answer({ reasonCode: ReasonCode.ContinueAuthentication, reasonString: 'x'.repeat(200) }),
    }
    const world = new World({ enhancedAuthenticator })
    for (const [maximumPacketSize, reasonString] of [
      [100, undefined],
      [1_000, 'x'.repeat(200)],
    ] as const) {
      const a = world.client(`a${maximumPacketSize}`)
      a.connect({ properties: { authenticationMethod: 'm', maximumPacketSize } })
      const { properties } = a.take(Auth)
      assert.equal(properties.reasonString, reasonString)
      assert.equal(properties.userProperties, undefined)
    }
  })

  test('a PUBACK or PUBREC of 0x80 or more acknowledges: nothing is sent again [MQTT-4.4.0-2]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected(kept)
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'one', qos: 1 })
    a.send(new Puback(a.takePublish().packetId, ReasonCode.ImplementationSpecificError))
    world.publish({ topic: 't', payload: 'two', qos: 2 })
    a.send(new Pubrec(a.takePublish().packetId, ReasonCode.QuotaExceeded))
    a.hasNothing()
    a.drop()
    a.connected(kept)
    a.hasNothing()
  })
})

describe('PUBLISH to subscribers', () => {
  test('QoS 1 and 2 go out with a new Packet Identifier and DUP 0 [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-4.3.2-1] [MQTT-4.3.3-1]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    const b = world.client('b')
    b.connected()
    for (const qos of [1, 2] as const) b.publish({ topic: 't', payload: 'x', qos, dup: true })
    const seen = [a.takePublish(), a.takePublish()]
    assert.deepEqual(
      seen.map(({ qos, dup }) => [qos, dup]),
      [
        [1, false],
        [2, false],
      ],
    )
    assert.notEqual(seen[0]!.packetId, seen[1]!.packetId)
    assert.ok(seen.every(({ packetId }) => packetId > 0))
  })

  test('a QoS 2 message is unacknowledged until PUBREC, its PUBREL until PUBCOMP [MQTT-4.3.3-3] [MQTT-4.3.3-5]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected(kept)
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'x', qos: 2 })
    const { packetId } = a.takePublish()
    a.drop()
    a.connected(kept)
    assert.deepEqual(
      [a.take(Publish)].map(({ packetId: id, dup }) => [id, dup]),
      [[packetId, true]],
    )
    a.send(new Pubrec(packetId))
    assert.equal(a.take(Pubrel).packetId, packetId)
    a.drop()
    a.connected(kept)
    assert.equal(a.take(Pubrel).packetId, packetId)
    a.send(new Pubcomp(packetId)).hasNothing()
    a.drop()
    a.connected(kept)
    a.hasNothing()
  })

  test('a QoS 2 message that has been sent does not expire any more [MQTT-4.3.3-7]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected(kept)
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'x', qos: 2, properties: { messageExpiryIntervalSeconds: 1 } })
    const { packetId } = a.takePublish()
    a.drop()
    world.advance(5_000)
    a.connected(kept)
    const again = a.takePublish()
    assert.deepEqual([again.packetId, again.dup, again.payload], [packetId, true, 'x'])
  })

  test('the flow of a received QoS 2 message goes on though it has expired [MQTT-4.3.3-13]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    const packetId = a.publish({ topic: 't', qos: 2, properties: { messageExpiryIntervalSeconds: 1 } })
    a.take(Pubrec)
    world.advance(5_000)
    a.publish({ topic: 't', qos: 2, packetId, dup: true })
    assert.equal(a.take(Pubrec).reasonCode < 0x80, true)
    a.send(new Pubrel(packetId))
    assert.equal(a.take(Pubcomp).packetId, packetId)
  })

  test('a message is added to the session of everybody who subscribes, there or away [MQTT-4.5.0-1]', () => {
    const world = new World()
    const clients = ['here', 'away', 'elsewhere'].map((clientId) => world.client(clientId))
    for (const client of clients) client.connected(kept)
    clients[0]!.subscribe('t/+', { qos: 1 })
    clients[1]!.subscribe('t/#', { qos: 2 })
    clients[2]!.subscribe('u')
    clients[1]!.drop()
    const publisher = world.client('publisher')
    publisher.connected()
    publisher.publish({ topic: 't/1', payload: 'for two', qos: 1 })
    assert.equal(publisher.take(Puback).reasonCode, 0)
    assert.deepEqual(clients[0]!.takePayloads(), ['for two'])
    clients[2]!.hasNothing()
    clients[1]!.connected(kept)
    assert.deepEqual(clients[1]!.takePayloads(), ['for two'])
  })

  test('what a subscriber gets matches one of its Topic Filters [MQTT-3.3.2-3]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    for (const filter of ['a/+/c', 'x/#', 'exact', '+/two']) a.subscribe(filter)
    const topics = ['a/b/c', 'a/c', 'a/b/c/d', 'x', 'x/y/z', 'exact', 'exact/no', 'one/two', 'two', '$SYS/two', 'A/b/c']
    for (const topic of topics) world.publish({ topic, payload: topic })
    assert.deepEqual(a.takePayloads(), ['a/b/c', 'x', 'x/y/z', 'exact', 'one/two'])
  })

  for (const published of QOS) {
    for (const granted of QOS) {
      const least = Math.min(published, granted)
      test(`published at QoS ${published}, granted ${granted}: delivered at ${least} [MQTT-3.8.4-8] [MQTT-3.1.1:3.8.4-6]`, () => {
        for (const version of [4, 5] as const) {
          const world = new World()
          const a = world.client('a', { version })
          a.connected()
          assert.equal(a.subscribe('t', { qos: granted }), granted)
          world.publish({ topic: 't', qos: published })
          assert.equal(a.takePublish().qos, least)
        }
      })
    }
  }
})

describe('SUBSCRIBE and UNSUBSCRIBE', () => {
  test('a SUBSCRIBE that replaces a subscription brings retained messages again and loses nothing [MQTT-3.8.4-4] [MQTT-3.8.4-3]', () => {
    const world = new World()
    world.publish({ topic: 't', payload: 'retained', qos: 1, retain: true })
    const a = world.client('a')
    a.connected()
    a.subscribe('t', { qos: 1 })
    assert.deepEqual(a.takePayloads(), ['retained'])
    const b = world.client('b')
    b.connected()
    world.together(() => {
      b.publish({ topic: 't', payload: 'before', qos: 1 })
      a.send(new Subscribe(77, [subscriptionTo('t', { qos: 1, retainHandling: 0 })], NO_PROPERTIES))
      b.publish({ topic: 't', payload: 'after', qos: 1 })
    })
    const payloads = a
      .takeAll()
      .filter((packet) => packet instanceof Publish)
      .map(({ payload }) => new TextDecoder().decode(payload))
    assert.deepEqual(payloads.sort(), ['after', 'before', 'retained'])
  })

  test('after UNSUBSCRIBE no new message comes [MQTT-3.10.4-2]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected(kept)
    a.subscribe('t/#')
    a.unsubscribe('t/#')
    world.publish({ topic: 't/1', qos: 1 })
    a.hasNothing()
    a.drop()
    world.publish({ topic: 't/1', qos: 1 })
    a.connected(kept)
    a.hasNothing()
  })

  test('several Topic Filters in one UNSUBSCRIBE are each deleted, with one UNSUBACK [MQTT-3.10.4-6] [MQTT-3.11.3-1]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    for (const filter of ['a', 'b', 'c']) a.subscribe(filter)
    a.send(new Unsubscribe(5, ['a', 'none', 'c']))
    assert.deepEqual(a.take(Unsuback).reasonCodes, [0, ReasonCode.NoSubscriptionExisted, 0])
    a.hasNothing()
    for (const topic of ['a', 'b', 'c']) world.publish({ topic, payload: topic })
    assert.deepEqual(a.takePayloads(), ['b'])
  })
})

describe('flow control', () => {
  test('no more than Receive Maximum, from the first message of a connection on [MQTT-4.9.0-1]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ ...kept, properties: { ...kept.properties, receiveMaximum: 2 } })
    a.subscribe('t')
    a.drop()
    for (const payload of ['1', '2', '3']) world.publish({ topic: 't', payload, qos: 1 })
    a.connected({ ...kept, properties: { ...kept.properties, receiveMaximum: 1 } })
    assert.deepEqual(a.takePayloads(), ['1'])
  })

  test('at Receive Maximum everything but PUBLISH of QoS 1 and 2 is sent and answered as ever [MQTT-3.3.4-10] [MQTT-4.9.0-3]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { receiveMaximum: 1 } })
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'fills it', qos: 2 })
    const { packetId } = a.takePublish()
    world.publish({ topic: 't', payload: 'waits', qos: 1 })
    a.hasNothing()
    assert.ok(a.send(new Pingreq()).take(Pingresp) instanceof Pingresp)
    assert.equal(a.subscribe('u'), 2)
    assert.equal(a.unsubscribe('u'), 0)
    a.publish({ topic: 'elsewhere', qos: 1, packetId: 9 })
    assert.equal(a.take(Puback).packetId, 9)
    a.publish({ topic: 'elsewhere', qos: 2, packetId: 10 })
    a.take(Pubrec)
    a.send(new Pubrel(10)).take(Pubcomp)
    world.publish({ topic: 't', payload: 'QoS 0' })
    assert.deepEqual(a.takePayloads(), ['QoS 0'])
    a.send(new Pubrec(packetId)).take(Pubrel)
    a.send(new Pubcomp(packetId))
    assert.deepEqual(a.takePayloads(), ['waits'])
  })
})

describe('errors', () => {
  test('a Malformed Packet and a Protocol Error end the connection, with the Reason Code where there is one [MQTT-4.13.1-1] [MQTT-4.13.2-1]', () => {
    for (const [bytes, reasonCode] of [
      [Uint8Array.of(0x36, 2, 0, 0), ReasonCode.MalformedPacket], // QoS 3
      [Uint8Array.of(0x82, 3, 0, 1, 0), ReasonCode.ProtocolError], // SUBSCRIBE of nothing
    ] as const) {
      const a = new World().client('a')
      a.connected()
      a.sendBytes(bytes)
      a.isDisconnectedWith(reasonCode)
      const b = new World().client('b', { version: 4 })
      b.connected()
      b.sendBytes(reasonCode === ReasonCode.MalformedPacket ? bytes : Uint8Array.of(0x82, 2, 0, 1))
      b.isDisconnectedWith(reasonCode)
    }
  })

  test('DISCONNECT and what belongs to it are the last that a client gets [MQTT-3.14.0-1] [MQTT-3.14.4-1] [MQTT-3.14.4-2]', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    const again = world.client('a')
    world.together(() => {
      again.connect()
      world.publish({ topic: 't', qos: 1 })
    })
    assert.equal(a.takeAll().at(-1) instanceof Disconnect, true)
    assert.ok(a.isClosed)
  })
})
