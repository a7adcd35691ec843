/* Statements of MQTT 3.1.1, whose numbers are its own: a whole broker and clients of version 4, packet by packet. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  Connack,
  Connect,
  encode,
  Pingreq,
  Pingresp,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  type QoS,
  Suback,
  Subscribe,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import { subscriptionTo, type TestClient, will } from '../testing/test-client.ts'
import { World, type WorldOptions } from '../testing/world.ts'

const kept = { cleanStart: false }

function worldWith(...clientIds: string[]): { world: World; clients: TestClient[] } {
  const world = new World()
  return { world, clients: clientIds.map((clientId) => world.client(clientId, { version: 4 })) }
}

function one(options: WorldOptions = {}): { world: World; a: TestClient } {
  const world = new World(options)
  return { world, a: world.client('a', { version: 4 }) }
}

describe('sessions', () => {
  test('Clean Session 0: the session is kept after the connection, and the next one goes on with it [MQTT-3.1.1:3.1.2-4] [MQTT-3.1.1:3.2.2-2] [MQTT-3.1.1:3.2.2-3] [MQTT-3.1.1:3.1.4-3] [MQTT-3.1.1:4.1.0-1]', () => {
    const { world, a } = one()
    assert.equal(a.connected(kept).sessionPresent, false)
    a.subscribe('t')
    a.drop()
    world.advance(24 * 3_600_000)
    assert.equal(a.connected(kept).sessionPresent, true)
    world.publish({ topic: 't', payload: 'still subscribed' })
    assert.deepEqual(a.takePayloads(), ['still subscribed'])
  })

  test('QoS 1 and 2 that match its subscriptions wait for a client that is away [MQTT-3.1.1:3.1.2-5] [MQTT-3.1.1:4.5.0-1]', () => {
    const { world, a } = one()
    a.connected(kept)
    a.subscribe('t')
    a.drop()
    for (const qos of [0, 1, 2] as QoS[]) world.publish({ topic: 't', payload: `${qos}`, qos })
    world.publish({ topic: 'other', payload: 'no', qos: 1 })
    a.connected(kept)
    assert.deepEqual(a.takePayloads(), ['1', '2'])
  })

  test('Clean Session 1 discards the session, and the new one ends with its connection [MQTT-3.1.1:3.1.2-6] [MQTT-3.1.1:3.2.2-1]', () => {
    const { world, a } = one()
    a.connected(kept)
    a.subscribe('t')
    a.drop()
    assert.equal(a.connected({ cleanStart: true }).sessionPresent, false)
    world.publish({ topic: 't', qos: 1 })
    a.hasNothing()
    a.subscribe('u')
    a.drop()
    assert.equal(world.core.sessions.size, 0)
    assert.equal(a.connected(kept).sessionPresent, false)
    world.publish({ topic: 'u', qos: 1 })
    a.hasNothing()
  })

  test('retained messages are no part of a session, and stay when it ends [MQTT-3.1.1:3.1.2-7]', () => {
    const { clients } = worldWith('a', 'b')
    const [a, b] = clients as [TestClient, TestClient]
    a.connected({ cleanStart: true })
    a.publish({ topic: 't', payload: 'stays', qos: 1, retain: true })
    a.disconnect()
    b.connected()
    b.subscribe('t')
    assert.deepEqual(b.takePayloads(), ['stays'])
  })

  test('the Client Identifier says whose session it is, which lasts as long as its connection at least [MQTT-3.1.1:3.1.3-2] [MQTT-3.1.1:4.1.0-2] [MQTT-3.1.1:3.1.4-4]', () => {
    const { world, clients } = worldWith('a', 'b')
    const [a, b] = clients as [TestClient, TestClient]
    for (const client of [a, b]) {
      assert.equal(client.connected({ cleanStart: true, keepAliveSeconds: 0 }).reasonCode, 0)
      client.subscribe(client.clientId)
    }
    world.advance(30 * 24 * 3_600_000)
    world.publish({ topic: 'a', payload: 'for a', qos: 1 })
    assert.deepEqual(a.takePayloads(), ['for a'])
    b.hasNothing()
  })

  test('whoever is connected with the same Client Identifier is disconnected [MQTT-3.1.1:3.1.4-2]', () => {
    const { clients } = worldWith('a', 'a')
    const [first, second] = clients as [TestClient, TestClient]
    first.connected()
    second.connected()
    first.isDisconnectedWith(0)
    assert.equal(second.isClosed, false)
  })
})

describe('CONNECT', () => {
  test('a Will is published when the connection ends without DISCONNECT, once [MQTT-3.1.1:3.1.2-8] [MQTT-3.1.1:3.1.2-10] [MQTT-3.1.1:3.14.4-3]', () => {
    const { clients } = worldWith('watcher', 'a')
    const [watcher, a] = clients as [TestClient, TestClient]
    watcher.connected()
    watcher.subscribe('will')
    const lost = { will: will({ topic: 'will', payload: 'lost', qos: 1 }) }
    a.connected(lost)
    a.drop()
    assert.deepEqual(watcher.takePayloads(), ['lost'])
    a.connected(lost)
    a.disconnect()
    watcher.hasNothing()
  })

  test('a Will with RETAIN is kept for later subscribers, one without is not [MQTT-3.1.1:3.1.2-16] [MQTT-3.1.1:3.1.2-17]', () => {
    const { clients } = worldWith('a', 'b', 'late')
    const [a, b, late] = clients as [TestClient, TestClient, TestClient]
    a.connected({ will: will({ topic: 'will/kept', payload: 'kept', retain: true }) })
    b.connected({ will: will({ topic: 'will/gone', payload: 'gone' }) })
    a.drop()
    b.drop()
    late.connected()
    late.subscribe('will/#')
    assert.deepEqual(late.takePayloads(), ['kept'])
  })

  test('a client without a Will leaves none, however it goes [MQTT-3.1.1:3.1.2-12]', () => {
    const { world, clients } = worldWith('watcher', 'a')
    const [watcher, a] = clients as [TestClient, TestClient]
    watcher.connected()
    watcher.subscribe('#')
    a.connected(kept)
    a.drop()
    a.connected(kept)
    a.sendBytes(Uint8Array.of(0xf0, 0))
    watcher.hasNothing()
    assert.equal(world.metric('willsPublished'), 0)
  })

  test('an empty Client Identifier is given a unique one with Clean Session 1, and refused with 0x02 without [MQTT-3.1.1:3.1.3-6] [MQTT-3.1.1:3.1.3-8] [MQTT-3.1.1:3.1.3-9] [MQTT-3.1.1:3.2.2-4] [MQTT-3.1.1:3.2.2-5]', () => {
    const { world, clients } = worldWith('', '', '')
    const [a, b, c] = clients as [TestClient, TestClient, TestClient]
    a.connected({ cleanStart: true })
    b.connected({ cleanStart: true })
    assert.equal(a.isClosed, false)
    assert.equal(world.core.sessions.size, 2)
    const { sessionPresent, reasonCode } = c.connect({ cleanStart: false }).take(Connack)
    assert.deepEqual([sessionPresent, reasonCode], [false, 2])
    c.hasNothing()
    assert.ok(c.isClosed)
  })

  test('what follows a refused CONNECT is not processed [MQTT-3.1.1:3.1.4-5]', () => {
    const { world, clients } = worldWith('')
    const [refused] = clients as [TestClient]
    const connect = new Connect({ protocolVersion: 4, cleanStart: false, keepAliveSeconds: 60, clientId: '' })
    refused.open().send(connect, refused.makePublish({ topic: 't', payload: 'x', retain: true }))
    assert.ok(refused.isClosed)
    assert.equal(world.metric('messagesReceived'), 0)
  })

  test('where no return code fits, the connection closes without CONNACK [MQTT-3.1.1:3.2.2-6] [MQTT-3.1.1:3.1.4-1]', () => {
    for (const bytes of [
      Uint8Array.of(0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 3, 0, 60, 0, 1, 0x61), // the reserved flag
      Uint8Array.of(0x10, 10, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60), // no Client Identifier
    ]) {
      const { a } = one()
      a.open().sendBytes(bytes)
      assert.ok(a.isClosed)
      a.hasNothing()
    }
  })

  test('a protocol level that is not known is answered with 0x01 [MQTT-3.1.1:3.1.2-2]', () => {
    const { a } = one()
    a.open().sendBytes(Uint8Array.of(0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 2, 2, 0, 60, 0, 1, 0x61))
    assert.equal((a.received.shift() as { reasonCode: number }).reasonCode, 1)
    assert.ok(a.isClosed)
  })
})

describe('PUBLISH', () => {
  test('the sender of QoS 1: a new Packet Identifier, DUP 0, unacknowledged until PUBACK [MQTT-3.1.1:4.3.2-1] [MQTT-3.1.1:2.3.1-4] [MQTT-3.1.1:4.4.0-1]', () => {
    const { world, a } = one()
    a.connected(kept)
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'one', qos: 1 })
    world.publish({ topic: 't', payload: 'two', qos: 1 })
    const [first_, two] = [a.takePublish(), a.takePublish()]
    assert.deepEqual([first_.dup, two.dup], [false, false])
    assert.notEqual(first_.packetId, two.packetId)
    a.send(new Puback(first_.packetId))
    a.drop()
    a.connected(kept)
    const again = a.takePublish()
    assert.deepEqual([again.payload, again.packetId, again.dup], ['two', two.packetId, true])
    a.hasNothing()
  })

  test('the receiver of QoS 1: PUBACK, and after it the same Packet Identifier is a new message [MQTT-3.1.1:4.3.2-2]', () => {
    const { clients } = worldWith('a', 'b')
    const [a, b] = clients as [TestClient, TestClient]
    b.connected()
    b.subscribe('t')
    a.connected()
    for (let i = 0; i < 2; i++) {
      a.publish({ topic: 't', payload: `${i}`, qos: 1, packetId: 5, dup: i > 0 })
      assert.equal(a.take(Puback).packetId, 5)
    }
    assert.deepEqual(b.takePayloads(), ['0', '1'])
  })

  test('the sender of QoS 2: unacknowledged until PUBREC, then PUBREL until PUBCOMP, and no PUBLISH again [MQTT-3.1.1:4.3.3-1]', () => {
    const { world, a } = one()
    a.connected(kept)
    a.subscribe('t')
    world.publish({ topic: 't', qos: 2 })
    const first = a.takePublish()
    assert.equal(first.dup, false)
    a.drop()
    a.connected(kept)
    const again = a.takePublish()
    assert.deepEqual([again.packetId, again.dup, again.qos], [first.packetId, true, 2])
    a.send(new Pubrec(first.packetId))
    assert.equal(a.take(Pubrel).packetId, first.packetId)
    a.drop()
    a.connected(kept)
    assert.equal(a.take(Pubrel).packetId, first.packetId)
    a.send(new Pubcomp(first.packetId))
    a.drop()
    a.connected(kept)
    a.hasNothing()
  })

  test('the receiver of QoS 2: PUBREC, delivered once until PUBREL, then PUBCOMP [MQTT-3.1.1:4.3.3-2]', () => {
    const { clients } = worldWith('a', 'b')
    const [a, b] = clients as [TestClient, TestClient]
    b.connected()
    b.subscribe('t')
    a.connected(kept)
    a.publish({ topic: 't', payload: 'once', qos: 2, packetId: 5 })
    assert.equal(a.take(Pubrec).packetId, 5)
    a.drop()
    a.connected(kept)
    a.publish({ topic: 't', payload: 'once', qos: 2, packetId: 5, dup: true })
    assert.equal(a.take(Pubrec).packetId, 5)
    assert.equal(a.send(new Pubrel(5)).take(Pubcomp).packetId, 5)
    assert.deepEqual(b.takePayloads(), ['once'])
    a.publish({ topic: 't', payload: 'another', qos: 2, packetId: 5 })
    a.take(Pubrec)
    assert.deepEqual(b.takePayloads(), ['another'])
  })

  test('QoS 0 has no answer, QoS 1 PUBACK, QoS 2 PUBREC; what goes on has DUP 0 and at QoS 0 no Packet Identifier [MQTT-3.1.1:3.3.4-1] [MQTT-3.1.1:3.3.1-3] [MQTT-3.1.1:2.3.1-5] [MQTT-3.1.1:4.3.1-1] [MQTT-3.1.1:4.8.0-1]', () => {
    const { clients } = worldWith('a', 'b')
    const [a, b] = clients as [TestClient, TestClient]
    b.connected()
    b.subscribe('t')
    a.connected()
    a.publish({ topic: 't', payload: '0', qos: 0 })
    a.hasNothing()
    a.publish({ topic: 't', payload: '1', qos: 1, packetId: 11, dup: true })
    assert.equal(a.take(Puback).packetId, 11)
    a.publish({ topic: 't', payload: '2', qos: 2, packetId: 12, dup: true })
    assert.equal(a.take(Pubrec).packetId, 12)
    assert.deepEqual([...encode(b.take(Publish), 4)], [0x30, 4, 0, 1, 0x74, 0x30])
    assert.deepEqual([b.takePublish().dup, b.takePublish().dup], [false, false])
  })

  test('what a subscriber gets matches one of its Topic Filters, character by character [MQTT-3.1.1:3.3.2-3] [MQTT-3.1.1:4.7.1-2] [MQTT-3.1.1:4.7.1-3] [MQTT-3.1.1:4.7.2-1] [MQTT-3.1.1:4.7.3-4]', () => {
    const { world, a } = one()
    a.connected()
    for (const filter of ['a/+/c', 'x/#', '+/two', 'é']) a.subscribe(filter)
    // The last one is é as two characters: it looks the same and is another topic.
    for (const topic of ['a/b/c', 'A/b/c', 'a//c', 'x', 'x/y', 'one/two', '$SYS/two', 'é', 'e\u0301'])
      world.publish({ topic, payload: topic })
    assert.deepEqual(a.takePayloads(), ['a/b/c', 'a//c', 'x', 'x/y', 'one/two', 'é'])
    for (const filter of ['a/#/b', 'a#', '+a', 'a/b+']) {
      const b = world.client('b', { version: 4 })
      b.connected()
      b.send(new Subscribe(1, [subscriptionTo(filter)]))
      b.isDisconnectedWith(0)
    }
  })

  test('a retained message is replaced by the next, also by one of QoS 0, and comes with RETAIN 1 to new subscriptions only [MQTT-3.1.1:3.3.1-5] [MQTT-3.1.1:3.3.1-6] [MQTT-3.1.1:3.3.1-7] [MQTT-3.1.1:3.3.1-8] [MQTT-3.1.1:3.3.1-9]', () => {
    const { clients } = worldWith('a', 'old', 'new')
    const [a, old, fresh] = clients as [TestClient, TestClient, TestClient]
    a.connected()
    old.connected()
    old.subscribe('t')
    a.publish({ topic: 't', payload: 'first', qos: 1, retain: true })
    a.publish({ topic: 't', payload: 'second', qos: 0, retain: true })
    for (const payload of ['first', 'second']) {
      const { payload: seen, retain } = old.takePublish()
      assert.deepEqual([seen, retain], [payload, false])
    }
    fresh.connected()
    fresh.subscribe('t')
    const { payload, retain, qos } = fresh.takePublish()
    assert.deepEqual([payload, retain, qos], ['second', true, 0])
    fresh.hasNothing()
  })

  test('an empty payload with RETAIN removes the retained message and is itself not kept; without RETAIN nothing changes [MQTT-3.1.1:3.3.1-10] [MQTT-3.1.1:3.3.1-11] [MQTT-3.1.1:3.3.1-12]', () => {
    const { world, clients } = worldWith('a', 'b')
    const [a, b] = clients as [TestClient, TestClient]
    a.connected()
    b.connected()
    a.publish({ topic: 't', payload: 'kept', retain: true })
    a.publish({ topic: 't', payload: 'passing' })
    a.publish({ topic: 't', payload: '' })
    b.subscribe('t')
    assert.deepEqual(b.takePayloads(), ['kept'])
    a.publish({ topic: 't', payload: '', retain: true })
    assert.equal(b.takePublish().payload, '')
    assert.equal(world.metric('retainedMessages'), 0)
    b.subscribe('t')
    b.hasNothing()
  })

  test('overlapping subscriptions: the message comes at the highest of their QoS [MQTT-3.1.1:3.3.5-1]', () => {
    const { world, a } = one()
    a.connected()
    a.subscribe('t/#', { qos: 0 })
    a.subscribe('t/+', { qos: 2 })
    a.subscribe('t/1', { qos: 1 })
    world.publish({ topic: 't/1', qos: 2 })
    assert.equal(a.takePublish().qos, 2)
    a.hasNothing()
  })

  test('messages of a client come in their order, for each QoS [MQTT-3.1.1:4.6.0-5] [MQTT-3.1.1:4.6.0-6]', () => {
    const { clients } = worldWith('a', 'b')
    const [a, b] = clients as [TestClient, TestClient]
    b.connected()
    b.subscribe('t')
    b.acknowledges = true
    a.connected()
    for (let i = 0; i < 50; i++) a.publish({ topic: 't', payload: String(i), qos: ((i % 2) + 1) as QoS })
    const seen = b
      .takeAll()
      .filter((packet) => packet instanceof Publish)
      .map((publish) => [publish.qos, Number(new TextDecoder().decode(publish.payload))] as const)
    for (const qos of [1, 2]) {
      const numbers = seen.filter(([level]) => level === qos).map(([, number]) => number)
      assert.equal(numbers.length, 25)
      assert.deepEqual(
        numbers,
        [...numbers].sort((x, y) => x - y),
      )
    }
  })
})

describe('SUBSCRIBE, UNSUBSCRIBE and PINGREQ', () => {
  test('SUBACK has the Packet Identifier and a return code for each Topic Filter in their order [MQTT-3.1.1:3.8.4-1] [MQTT-3.1.1:3.8.4-2] [MQTT-3.1.1:3.8.4-4] [MQTT-3.1.1:3.8.4-5] [MQTT-3.1.1:3.9.3-1] [MQTT-3.1.1:2.3.1-7]', () => {
    const authorizer = {
      publish: (): number => 0,
      subscribe: (_client: unknown, { topicFilter }: { topicFilter: string }): number =>
        topicFilter === 'no' ? 0x87 : 0,
    }
    const { a } = one({ authorizer })
    a.connected()
    const filters = [subscriptionTo('a', { qos: 1 }), subscriptionTo('no'), subscriptionTo('b', { qos: 0 })]
    a.send(new Subscribe(1_234, filters))
    const suback = a.take(Suback)
    assert.equal(suback.packetId, 1_234)
    assert.deepEqual(suback.reasonCodes, [1, 0x80, 0])
    a.hasNothing()
  })

  test('the same Topic Filter again replaces the subscription, and retained messages come again [MQTT-3.1.1:3.8.4-3]', () => {
    const { world, a } = one()
    world.publish({ topic: 't', payload: 'kept', retain: true })
    a.connected()
    a.subscribe('t', { qos: 0 })
    assert.deepEqual(a.takePayloads(), ['kept'])
    a.subscribe('t', { qos: 1 })
    assert.deepEqual(a.takePayloads(), ['kept'])
    world.publish({ topic: 't', qos: 2 })
    assert.equal(a.takePublish().qos, 1)
    a.hasNothing()
  })

  test('UNSUBACK has the Packet Identifier, and delivery that has begun is completed [MQTT-3.1.1:3.10.4-1] [MQTT-3.1.1:3.10.4-2] [MQTT-3.1.1:3.10.4-3] [MQTT-3.1.1:3.10.4-4] [MQTT-3.1.1:3.10.4-6]', () => {
    const { world, a } = one()
    a.connected(kept)
    a.subscribe('t')
    a.subscribe('u')
    world.publish({ topic: 't', payload: 'begun', qos: 2 })
    const { packetId } = a.takePublish()
    a.send(new Unsubscribe(99, ['t', 'nothing', 'T']))
    assert.equal(a.take(Unsuback).packetId, 99)
    a.hasNothing()
    world.publish({ topic: 't', qos: 1 })
    world.publish({ topic: 'u', payload: 'still', qos: 0 })
    assert.deepEqual(a.takePayloads(), ['still'])
    a.send(new Pubrec(packetId))
    assert.equal(a.take(Pubrel).packetId, packetId)
    a.send(new Pubcomp(packetId))
    a.hasNothing()
  })

  test('PINGREQ is answered with PINGRESP [MQTT-3.1.1:3.12.4-1]', () => {
    const { a } = one()
    a.connected()
    a.send(new Pingreq()).take(Pingresp)
  })

  test('silence for one and a half times the Keep Alive closes the connection [MQTT-3.1.1:3.1.2-24]', () => {
    const { world, a } = one()
    a.connected({ keepAliveSeconds: 4 })
    world.advance(5_900)
    assert.equal(a.isClosed, false)
    world.advance(200)
    assert.ok(a.isClosed)
  })
})

describe('errors', () => {
  test('a violation of the protocol closes the connection [MQTT-3.1.1:4.8.0-1] [MQTT-3.1.1:3.1.0-2] [MQTT-3.1.1:2.2.2-2]', () => {
    for (const bytes of [
      Uint8Array.of(0x36, 2, 0, 0), // QoS 3
      Uint8Array.of(0x80, 6, 0, 1, 0, 1, 0x61, 0), // flags of SUBSCRIBE
      Uint8Array.of(0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 1, 0x61), // a second CONNECT
    ]) {
      const { a } = one()
      a.connected()
      a.sendBytes(bytes)
      a.isDisconnectedWith(0)
    }
  })

  test('an error of our own while a packet is handled closes that connection, and no other [MQTT-3.1.1:4.8.0-2]', () => {
    const authorizer = {
      publish: (_client: unknown, topic: string): number => {
        if (topic === 'boom') throw new Error('a hook that fails')
        return 0
      },
      subscribe: (): number => 0,
    }
    const world = new World({ authorizer })
    const a = world.client('a', { version: 4 })
    const b = world.client('b', { version: 4 })
    a.connected()
    b.connected()
    a.publish({ topic: 'boom', qos: 1 })
    assert.ok(a.isClosed)
    assert.equal(world.eventsOf('core.failed').length, 1)
    b.send(new Pingreq()).take(Pingresp)
  })
})
