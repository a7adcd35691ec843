import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInThisContext } from 'node:vm'
import { Connack, Puback, Pubrec, ReasonCode } from '@recado/protocol'
import { World, will } from '../../testing/mod.ts'
import { limitTable, resolveLimits } from './limits.ts'

test('every limit has a default within its bounds, a unit and a meaning', () => {
  for (const [name, limit] of Object.entries(limitTable)) {
    assert.ok(limit.default >= limit.min && limit.default <= limit.max, name)
    assert.ok(Number.isInteger(limit.default), name)
    assert.ok(limit.unit.length > 0 && limit.doc.length > 20, name)
  }
})

test('without a choice all have their defaults', () => {
  const limits = resolveLimits()
  for (const [name, limit] of Object.entries(limitTable))
    assert.equal(limits[name as keyof typeof limits], limit.default)
})

test('a choice within the bounds is taken, `undefined` is no choice', () => {
  const limits = resolveLimits({ connectionsMax: 5, sessionsMax: undefined as unknown as number })
  assert.equal(limits.connectionsMax, 5)
  assert.equal(limits.sessionsMax, limitTable.sessionsMax.default)
})

test('limits are fields for V8, read without a search, with and without a choice', () => {
  setFlagsFromString('--allow-natives-syntax')
  const hasFields = runInThisContext('(object) => %HasFastProperties(object)') as (object: object) => boolean
  assert.equal(hasFields(resolveLimits()), true)
  assert.equal(hasFields(resolveLimits({ ...resolveLimits(), connectionsMax: 5 })), true)
  const { core } = new World({ limits: { connectionsMax: 5 } })
  core.reconfigure({ limits: resolveLimits({ connectionsMax: 7 }) })
  for (const read of [core.limits, core.options, core.settings.limits, core.metrics, core.metrics.dropped]) {
    assert.equal(hasFields(read), true)
  }
})

test('out of bounds, not whole or not a number: an error that names limit, value and bounds', () => {
  for (const value of [-1, 0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 70_000, '5' as unknown as number]) {
    assert.throws(() => resolveLimits({ receiveMaximum: value }), {
      code: 'ERR_MQTT_LIMIT',
      message: /receiveMaximum.*1 to 65535/,
    })
  }
})

test('an unknown name: an error that names those that there are', () => {
  assert.throws(() => resolveLimits({ conectionsMax: 1 } as object), {
    code: 'ERR_MQTT_LIMIT',
    message: /conectionsMax.*connectionsMax/,
  })
})

test('a Topic Name over topicLevelsMax or topicBytesMax: 0x90, counted, nobody gets it', () => {
  for (const [limits, topic] of [
    [{ topicLevelsMax: 2 }, 'a/b/c'],
    [{ topicBytesMax: 4 }, 'abcde'],
    [{ topicBytesMax: 4 }, 'äbcd'],
  ] as const) {
    const world = new World({ limits })
    const a = world.client('a')
    a.connected()
    a.subscribe('#')
    a.publish({ topic, qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.TopicNameInvalid)
    a.publish({ topic, qos: 0 })
    a.hasNothing()
    assert.equal(world.metric('dropped.topic-over-limit'), 2)
    a.publish({ topic: 'a/b', payload: 'x' })
    assert.deepEqual(a.takePayloads(), ['x'])
  }
})

test('a Topic Name of 201 levels, which has 200 slashes, is within the limit, as it is in Mosquitto', () => {
  const world = new World()
  const a = world.client('a')
  a.connected()
  assert.equal(a.subscribe('/'.repeat(200)), 2)
  assert.equal(a.subscribe('/'.repeat(201)), ReasonCode.TopicFilterInvalid)
  a.publish({ topic: '/'.repeat(200), payload: 'x' })
  assert.deepEqual(a.takePayloads(), ['x'])
})

test('a payload over payloadBytesMax goes to nobody, its flow is completed, 5.0 is told 0x97', () => {
  const world = new World({ limits: { payloadBytesMax: 1 } })
  const [sub, pub] = [world.client('sub'), world.client('pub')]
  const old = world.client('old', { version: 4 })
  for (const client of [sub, pub, old]) client.connected()
  sub.subscribe('#')
  for (const payload of [new Uint8Array(2), new Uint8Array(65_000), new Uint8Array(66_000)]) {
    pub.publish({ topic: 'a', payload, qos: 1, retain: true })
    assert.equal(pub.take(Puback).reasonCode, ReasonCode.QuotaExceeded)
    pub.publish({ topic: 'a', payload, qos: 2 })
    assert.equal(pub.take(Pubrec).reasonCode, ReasonCode.QuotaExceeded)
    pub.publish({ topic: 'a', payload })
    old.publish({ topic: 'a', payload, qos: 1 })
    old.take(Puback)
  }
  sub.hasNothing()
  assert.ok(!pub.isClosed && !old.isClosed)
  assert.equal(world.metric('dropped.payload-over-limit'), 12)
  assert.equal(world.metric('retainedMessages'), 0)
  pub.publish({ topic: 'a', payload: 'x' })
  assert.deepEqual(sub.takePayloads(), ['x'])
})

test('a Will over payloadBytesMax is refused with 0x95 before anything is kept of it', () => {
  const world = new World({ limits: { payloadBytesMax: 1 } })
  const a = world.client('a').connect({ will: will({ topic: 'w', payload: 'xx' }) })
  assert.equal(a.take(Connack).reasonCode, ReasonCode.PacketTooLarge)
  assert.equal(world.metric('dropped.payload-over-limit'), 1)
  world.client('a').connected({ will: will({ topic: 'w', payload: 'x' }) })
})

test('a packet limit of 20 bytes is kept to the byte', () => {
  const world = new World({ limits: { packetBytesMax: 20 } })
  const a = world.client('a')
  a.connected({ keepAliveSeconds: 0 })
  // Fixed header 2, topic 3, packet id 2, Property Length 1.
  a.publish({ topic: 't', payload: new Uint8Array(12), qos: 1 })
  a.take(Puback)
  a.publish({ topic: 't', payload: new Uint8Array(13), qos: 1 })
  a.isDisconnectedWith(ReasonCode.PacketTooLarge)
})

test('Client Identifier and User Name over nameBytesMax are refused, counted, and not logged', () => {
  const world = new World({ limits: { nameBytesMax: 23 } })
  const long = 'ä'.repeat(12)
  assert.equal(world.client(long).connect().take(Connack).reasonCode, ReasonCode.ClientIdentifierNotValid)
  const byName = world.client('a').connect({ username: long })
  assert.equal(byName.take(Connack).reasonCode, ReasonCode.BadUserNameOrPassword)
  assert.equal(world.metric('namesTooLong'), 2)
  assert.ok(world.eventsOf('connection.refused').every(({ clientId }) => clientId.length <= 1))
  world.client('x'.repeat(23)).connected({ username: 'y'.repeat(23) })
})

test('a Topic Filter over filterBytesMax: 0x8F; a Topic Name may be longer', () => {
  const world = new World({ limits: { filterBytesMax: 10 } })
  const a = world.client('a')
  a.connected()
  assert.equal(a.subscribe('a'.repeat(11)), ReasonCode.TopicFilterInvalid)
  assert.equal(a.subscribe('a/#'), 2)
  a.publish({ topic: `a/${'b'.repeat(1_000)}`, payload: 'x' })
  assert.deepEqual(a.takePayloads(), ['x'])
})

test('before login a packet of connectBytesMax is the largest, also a PUBLISH in the middle of an authentication', () => {
  const world = new World({ limits: { connectBytesMax: 100 } })
  const a = world.client('a').open()
  a.sendBytes(Uint8Array.of(0x10, 100))
  assert.ok(a.isClosed)
  assert.equal(world.metric('packetsTooLarge'), 1)
  const b = world.client('b')
  b.connected()
  b.publish({ topic: 't', payload: new Uint8Array(10_000), qos: 1 })
  b.take(Puback)
})
