import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_PROPERTIES, Puback, Publish } from '@recado/protocol'
import { World } from '../../testing/mod.ts'
import { Message } from './message.ts'

const borrowed = (bytes: Uint8Array): Message =>
  Message.fromPublish(Publish.of({ topic: 't', payload: bytes }), 't', null, 0)

describe('keep', () => {
  test('a kept payload does not change with the chunk that it came in, nor hold on to it', () => {
    for (const chunk of [new Uint8Array(100_000), Buffer.alloc(100_000)]) {
      const publish = new Publish('t', 0, false, false, 0, NO_PROPERTIES, null, chunk, 50, 53)
      chunk.set([1, 2, 3], 50)
      const message = Message.fromPublish(publish, 't', null, 0).keep()
      chunk.fill(9)
      assert.deepEqual([...message.payload], [1, 2, 3])
      assert.ok(message.buffer.buffer !== chunk.buffer)
      assert.ok(message.buffer.buffer.byteLength < 100_000)
    }
  })

  test('copies once', () => {
    const message = borrowed(Uint8Array.of(1, 2))
    const { buffer } = message.keep()
    assert.equal(message.keep().buffer, buffer)
  })

  test('what belongs to the message is not copied', () => {
    const payload = Uint8Array.of(1)
    const message = Message.of({ topic: 't', payload, qos: 0, retain: false, properties: {} }, null, 0)
    assert.equal(message.keep().buffer, payload)
  })
})

test('a kept message has its properties as bytes only, and gives them back as they were', () => {
  const userProperties: [string, string][] = Array.from({ length: 1_000 }, () => ['', 'ä'])
  const properties = { contentType: 'x', correlationData: Uint8Array.of(1, 2), userProperties }
  const message = Message.fromPublish(Publish.of({ topic: 't', payload: new Uint8Array(1), properties }), 't', null, 0)
  const before = message.sizeBytes
  message.keep()
  assert.deepEqual(message.properties, properties)
  assert.notEqual(message.properties.userProperties, userProperties)
  assert.equal(message.sizeBytes, before)
})

test('sizeBytes counts the bytes of the properties that are passed on', () => {
  const payload = new Uint8Array(10)
  const userProperties: [string, string][] = [['name', 'value']]
  const properties = { userProperties, topicAlias: 7, messageExpiryIntervalSeconds: 9 }
  const message = Message.fromPublish(Publish.of({ topic: 't', payload, properties }), 't', null, 0)
  assert.equal(message.sizeBytes, 1 + 10 + (5 + 4 + 5))
})

test('sizeBytes counts topic bytes (not characters) and payload', () => {
  const message = Message.of(
    { topic: 'ä/b', payload: new Uint8Array(10), qos: 0, retain: false, properties: {} },
    null,
    0,
  )
  assert.equal(message.sizeBytes, 14)
})

describe('Message Expiry Interval', () => {
  test('a message that waited is sent with what is left of it, in whole seconds [MQTT-3.3.2-6]', () => {
    const world = new World()
    const a = world.client('a')
    const connect = { cleanStart: false, keepAliveSeconds: 0, properties: { sessionExpiryIntervalSeconds: 1000 } }
    a.connected(connect)
    a.subscribe('t')
    a.drop()
    world.publish({ topic: 't', qos: 1, properties: { messageExpiryIntervalSeconds: 100 } })
    world.advance(40_000)
    a.connected(connect)
    assert.equal(a.takePublish().properties.messageExpiryIntervalSeconds, 60)
    world.advance(10_000)
    a.drop()
    a.connected(connect)
    assert.equal(a.takePublish().properties.messageExpiryIntervalSeconds, 50, 'sent again')
  })

  test('a message that expired while it waited is not sent, and is counted [MQTT-3.3.2-5]', () => {
    const world = new World()
    const a = world.client('a')
    const connect = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } }
    a.connected(connect)
    a.subscribe('t')
    a.drop()
    for (const seconds of [10, 30, 10])
      world.publish({
        topic: 't',
        payload: `${seconds}`,
        qos: 1,
        properties: { messageExpiryIntervalSeconds: seconds },
      })
    world.publish({ topic: 't', payload: 'never', qos: 1 })
    world.advance(10_000)
    a.connected(connect)
    assert.deepEqual(a.takePayloads(), ['30', 'never'])
    assert.equal(world.metric('dropped.expired'), 2)
  })

  test('also behind a closed window', () => {
    const world = new World()
    const a = world.client('a')
    a.connected({ properties: { receiveMaximum: 1 }, keepAliveSeconds: 0 })
    a.subscribe('t')
    world.publish({ topic: 't', payload: 'first', qos: 1 })
    world.publish({ topic: 't', payload: 'expires', qos: 1, properties: { messageExpiryIntervalSeconds: 1 } })
    world.publish({ topic: 't', payload: 'last', qos: 1 })
    const { packetId } = a.takePublish()
    world.advance(1_000)
    a.send(new Puback(packetId))
    assert.equal(a.takePublish().payload, 'last')
  })

  test('what is delivered at once has the whole interval; 3.1.1 gets none', () => {
    const world = new World()
    const a = world.client('a')
    a.connected()
    a.subscribe('t')
    const old = world.client('old', { version: 4 })
    old.connected()
    old.subscribe('t')
    world.publish({ topic: 't', properties: { messageExpiryIntervalSeconds: 7 } })
    assert.equal(a.takePublish().properties.messageExpiryIntervalSeconds, 7)
    assert.deepEqual(old.takePublish().properties, {})
  })

  test('the longest interval is passed on as it is, whatever fraction of a millisecond the clock shows', () => {
    const longest = Uint8Array.of(5, 2, 0xff, 0xff, 0xff, 0xff)
    const fieldOf = (message: Message, nowMs: number): Uint8Array => message.propertyField(nowMs, null, 0)
    for (let i = 0; i < 1_000; i++) {
      const nowMs = 1_795_944_697_000 + i * 7.123
      const properties = { messageExpiryIntervalSeconds: 0xffff_ffff }
      const message = Message.of(
        { topic: 't', payload: new Uint8Array(0), qos: 0, retain: false, properties },
        null,
        nowMs,
      )
      assert.deepEqual(fieldOf(message, nowMs), longest)
      const publish = Publish.of({ topic: 't', properties })
      assert.deepEqual(fieldOf(Message.fromPublish(publish, 't', null, nowMs), nowMs), longest)
    }
    const imported = Message.restored(Publish.of({ topic: 't' }), 9e15)
    assert.deepEqual(fieldOf(imported, 0), longest)
  })

  test('a message without one never expires', () => {
    const message = Message.of(
      { topic: 't', payload: new Uint8Array(0), qos: 0, retain: false, properties: {} },
      null,
      0,
    )
    assert.equal(message.isExpired(Number.MAX_SAFE_INTEGER), false)
  })
})

test('the properties of a message are encoded once for all who get the same', () => {
  const message = Message.of(
    { topic: 't', payload: new Uint8Array(0), qos: 0, retain: false, properties: { contentType: 'x' } },
    null,
    0,
  )
  assert.equal(message.propertyField(1, null, 0), message.propertyField(2, null, 0))
  assert.notEqual(message.propertyField(1, [1], 0), message.propertyField(1, null, 0))
})
