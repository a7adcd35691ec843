/* `answers`: what Mosquitto says where MQTT leaves a choice, beside what we say. Its packets are compared in `as-mosquitto.peer.test.ts`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connack, Disconnect, Puback, ReasonCode, Subscribe } from '@recado/protocol'
import { subscriptionTo, type TestClient, World, type WorldOptions } from '../../testing/mod.ts'
import type { Answers } from '../base/options.ts'

const all: readonly Answers[] = ['recado', 'mosquitto-2.0', 'mosquitto-2.1']

function client(answers: Answers, options: WorldOptions = {}, clientId = 'c'): TestClient {
  const client = new World({ answers, ...options }).client(clientId, { version: 5 })
  client.connected()
  return client
}

/** Reason Codes of the packets that are left, '' for one that has none. */
const codes = (client: TestClient): (number | string)[] =>
  client.takeAll().map((packet) => ('reasonCode' in packet ? (packet.reasonCode as number) : ''))

test('2.0 tells no reason for an error in an acknowledgement; we and 2.1 do', () => {
  const told = all.map((answers) => {
    const one = client(answers)
    // PUBACK with a property that it may not have.
    one.sendBytes(Buffer.from('4006000100020121', 'hex'))
    return codes(one)
  })
  assert.deepEqual(told, [[0x81], [], [0x81]])
})

test('a CONNECT of 5.0 that is malformed has no answer in 2.0', () => {
  const told = all.map((answers) => {
    const one = new World({ answers }).client('c', { version: 5 })
    one.open()
    // U+0000 in the Client Identifier.
    one.sendBytes(Buffer.from('101000044d5154540502003c000003610062', 'hex'))
    return one.takeAll().length
  })
  assert.deepEqual(told, [1, 0, 1])
})

test('a Will with a malformed topic has no answer in either', () => {
  const told = all.map((answers) => {
    const one = new World({ answers }).client('c', { version: 5 })
    one.open()
    // U+0000 in the Will Topic.
    one.sendBytes(Buffer.from('101700044d5154540506003c0000016300000361006200016d', 'hex'))
    return codes(one)
  })
  assert.deepEqual(told, [[0x81], [], []])
})

test('too many levels end the connection as Mosquitto; with us the packet is refused', () => {
  const topic = '/'.repeat(201)
  const told = all.map((answers) => {
    const publisher = client(answers, { limits: { topicLevelsMax: 201 } })
    publisher.publish({ topic, qos: 1 })
    const subscriber = client(answers, { limits: { topicLevelsMax: 201 } })
    subscriber.send(new Subscribe(1, [subscriptionTo(topic)]))
    return [publisher.takeAll()[0], subscriber.takeAll()[0]].map((packet) =>
      packet instanceof Disconnect ? packet.reasonCode : packet?.constructor.name,
    )
  })
  assert.deepEqual(told, [
    ['Puback', 'Suback'],
    [ReasonCode.ProtocolError, ReasonCode.MalformedPacket],
    [ReasonCode.MalformedPacket, ReasonCode.MalformedPacket],
  ])
})

test('any client may publish the state of a bridge, and none to $share', () => {
  for (const answers of ['mosquitto-2.0', 'mosquitto-2.1'] as const) {
    const one = client(answers)
    one.publish({ topic: '$SYS/broker/connection/other/state', qos: 1 })
    one.publish({ topic: '$SYS/broker/connection/other', qos: 1 })
    one.publish({ topic: '$share/g/a', qos: 1 })
    assert.deepEqual(codes(one), [0x10, 0x87, 0x87])
  }
  const own = client('recado')
  own.publish({ topic: '$SYS/broker/connection/other/state', qos: 1 })
  assert.equal(own.take(Puback).reasonCode, 0x87)
})

test('whoever subscribes without the right to receive is a subscriber all the same', () => {
  const authorizer = { publish: () => 0, subscribe: () => 0, mayReceive: () => false }
  const told = all.map((answers) => {
    const one = client(answers, { authorizer })
    one.subscribe('t')
    one.takeAll()
    one.publish({ topic: 't', qos: 1 })
    return one.take(Puback).reasonCode
  })
  assert.deepEqual(told, [0x10, 0, 0])
})

test('a message that expires in the queue has had a Packet Identifier in Mosquitto', () => {
  const ids = all.map((answers) => {
    const world = new World({ answers })
    const one = world.client('c', { version: 5 })
    const connect = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 100 } }
    one.connected(connect)
    one.subscribe('t', { qos: 1 })
    one.takeAll()
    one.drop()
    const publisher = world.client('p', { version: 5 })
    publisher.connected()
    publisher.publish({ topic: 't', payload: 'first', qos: 1, properties: { messageExpiryIntervalSeconds: 1 } })
    publisher.publish({ topic: 't', payload: 'second', qos: 1 })
    world.advance(2_000)
    const again = world.client('c', { version: 5 })
    again.connected(connect)
    return again.takePublish().packetId
  })
  assert.deepEqual(ids, [1, 2, 2])
})

test('an empty Client Identifier that is refused, and one session too many, have codes of their own', () => {
  const told = all.map((answers) => {
    const world = new World({ answers, allowEmptyClientId: false, limits: { sessionsMax: 1 } })
    const nameless = world.client('', { version: 5 })
    nameless.connect({ clientId: '' })
    world.client('a', { version: 5 }).connected()
    const second = world.client('b', { version: 5 })
    second.connect()
    return [nameless.take(Connack).reasonCode, second.take(Connack).reasonCode]
  })
  assert.deepEqual(told, [
    [ReasonCode.ClientIdentifierNotValid, ReasonCode.QuotaExceeded],
    [ReasonCode.UnspecifiedError, ReasonCode.ServerBusy],
    [ReasonCode.UnspecifiedError, ReasonCode.ServerBusy],
  ])
})

test('2.1 says nothing to one client too many, nor to one whose Will is a command', () => {
  const told = all.map((answers) => {
    const world = new World({ answers, limits: { connectionsMax: 1 } })
    world.client('a', { version: 5 }).connected()
    const second = world.client('b', { version: 5 })
    second.connect()
    const other = new World({ answers }).client('c', { version: 5 })
    const will = {
      topic: '$CONTROL/dynamic-security/v1',
      payload: Buffer.from('x'),
      qos: 0,
      retain: false,
      properties: {},
    }
    other.connect({ will: will as never })
    return [second.takeAll().length, other.takeAll().length]
  })
  assert.deepEqual(told, [
    [1, 1],
    [1, 1],
    [0, 0],
  ])
})

test('2.1 has Server Keep Alive in front of the other properties of CONNACK', () => {
  const order = all.map((answers) => {
    const one = new World({ answers, limits: { keepAliveSecondsMax: 60 } }).client('c', { version: 5 })
    const { properties } = one.connected({ keepAliveSeconds: 61 })
    return Object.keys(properties).slice(0, 2)
  })
  const alias = 'topicAliasMaximum'
  const keepAlive = 'serverKeepAliveSeconds'
  assert.deepEqual(order, [
    [alias, keepAlive],
    [alias, keepAlive],
    [keepAlive, alias],
  ])
})

test('a Topic Name with a wildcard, and a Packet Identifier of 0, have codes of their own', () => {
  const told = all.map((answers) =>
    // PUBLISH to a/#, SUBSCRIBE and UNSUBSCRIBE with 0, PUBACK with 0.
    ['30060003612f230078', '820700000000016100', 'a206000000000161', '40020000'].map((hex) => {
      const one = client(answers)
      one.sendBytes(Buffer.from(hex, 'hex'))
      return codes(one)[0]
    }),
  )
  assert.deepEqual(told, [
    [0x90, 0x82, 0x82, 0x82],
    [0x82, 0x81, 0x81, undefined],
    [0x81, 0x81, 0x81, 0x82],
  ])
})
