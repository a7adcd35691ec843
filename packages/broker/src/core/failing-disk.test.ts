/** docs/durability.md, "When something is wrong", on a disk that fails: who is told what, and when. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, Puback, Pubrec, ReasonCode, Suback, Subscribe } from '@recado/protocol'
import { DiskWorld, DURABLE } from '../testing/disk-world.ts'
import { subscriptionTo, will } from '../testing/test-client.ts'

const FULL = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })

/** A durable session waits for `t/#`, and the disk is full: it is known already, or with the next batch. */
function full(isKnown: boolean): DiskWorld {
  const world = new DiskWorld()
  world.durable('s', 't/#').drop()
  world.settle()
  world.disk.failure = FULL
  if (!isKnown) return world
  world.publish({ topic: 'r', payload: 'x', qos: 1, retain: true })
  world.settle()
  assert.equal(world.eventsOf('store.failed').length, 1)
  return world
}

describe('a disk that is known to be full', () => {
  for (const [what, fields] of [
    ['for a durable session', { topic: 't/1', qos: 1 }],
    ['with RETAIN', { topic: 'u', qos: 1, retain: true }],
    ['with RETAIN, at QoS 2', { topic: 'u', qos: 2, retain: true }],
    ['for a durable session, at QoS 2', { topic: 't/1', qos: 2 }],
    ['with RETAIN and for a durable session', { topic: 't/1', qos: 1, retain: true }],
  ] as const) {
    test(`5.0: a message ${what} is refused at once, and nobody gets it`, () => {
      const world = full(true)
      const p = world.client('p')
      p.connected()
      p.publish({ payload: 'm', ...fields })
      const { reasonCode } = fields.qos === 1 ? p.take(Puback) : p.take(Pubrec)
      assert.equal(reasonCode, ReasonCode.QuotaExceeded)
      world.disk.failure = null
      world.advance(1_000)
      world.settle()
      assert.equal(world.core.retained.get(fields.topic), undefined)
      const back = world.client('s')
      back.acknowledges = true
      world.connected(back)
      assert.deepEqual(back.takePayloads(), [])
    })

    test(`3.1.1: a message ${what} is not acknowledged, and taken when it comes again`, () => {
      const world = full(true)
      const p = world.client('p', { version: 4 })
      p.connected()
      const packetId = p.publish({ payload: 'm', ...fields })
      p.hasNothing()
      world.disk.failure = null
      world.advance(1_000)
      world.settle()
      p.hasNothing()
      p.publish({ payload: 'm', ...fields, packetId, dup: true })
      world.settle()
      fields.qos === 1 ? p.take(Puback) : p.take(Pubrec)
    })
  }

  test('everything else goes on', () => {
    const world = full(true)
    const [a, b] = [world.client('a'), world.client('b')]
    a.connected()
    b.connected()
    b.acknowledges = true
    b.subscribe('x')
    for (const qos of [0, 1, 2] as const) a.publish({ topic: 'x', payload: `${qos}`, qos })
    assert.equal(a.take(Puback).reasonCode, 0)
    assert.equal(a.take(Pubrec).reasonCode, 0)
    assert.deepEqual(b.takePayloads(), ['0', '1', '2'])
  })

  test('a SUBSCRIBE of a durable session is refused', () => {
    const world = full(true)
    const s = world.client('s')
    s.connect(DURABLE).take(Connack)
    s.send(new Subscribe(7, [subscriptionTo('y')]))
    assert.deepEqual(s.take(Suback).reasonCodes, [ReasonCode.QuotaExceeded])
  })

  test('a Will is published all the same, and is on disk when that works again', () => {
    const world = new DiskWorld()
    world.durable('s', 't/#').drop()
    const x = world.client('x')
    world.connected(x, { will: will({ topic: 't/w', payload: 'gone', qos: 1, retain: true }) })
    const watch = world.client('watch')
    watch.connected()
    watch.subscribe('t/#')
    world.disk.failure = FULL
    world.publish({ topic: 'r', payload: 'x', qos: 1, retain: true })
    world.settle()
    x.drop()
    assert.deepEqual(watch.takePayloads(), ['gone'])
    world.disk.failure = null
    world.advance(1_000)
    world.settle()
    const next = world.crash()
    const back = next.client('s')
    back.acknowledges = true
    next.connected(back)
    assert.deepEqual(back.takePayloads(), ['gone'])
    assert.equal(next.metric('willsPublished'), 0)
  })
})

describe('messages that were on their way when the disk failed', () => {
  test('5.0, QoS 1: refused when it fails, in order, and whoever waits for them has them all the same', () => {
    const world = full(false)
    const p = world.client('p')
    p.connected()
    const first = p.publish({ topic: 't/1', payload: 'a', qos: 1 })
    const second = p.publish({ topic: 'nobody', payload: 'b', qos: 1 })
    const third = p.publish({ topic: 'u', payload: 'c', qos: 1, retain: true })
    p.hasNothing()
    world.together(() => world.disk.step())
    const acks = [p.take(Puback), p.take(Puback), p.take(Puback)]
    assert.deepEqual(
      acks.map(({ packetId, reasonCode }) => [packetId, reasonCode]),
      [
        [first, ReasonCode.QuotaExceeded],
        [second, ReasonCode.NoMatchingSubscribers],
        [third, ReasonCode.QuotaExceeded],
      ],
    )
    world.disk.failure = null
    world.advance(1_000)
    world.settle()
    p.hasNothing()
    const back = world.client('s')
    back.acknowledges = true
    world.connected(back)
    assert.deepEqual(back.takePayloads(), ['a'])
  })

  test('5.0, QoS 2: answered when the disk works again, for who gets them must get them once; what comes later is answered at once', () => {
    const world = full(false)
    const p = world.client('p')
    p.connected()
    const first = p.publish({ topic: 't/1', payload: 'a', qos: 2 })
    world.together(() => world.disk.step())
    p.hasNothing()
    const later = p.publish({ topic: 't/2', payload: 'b', qos: 1 })
    const ack = p.take(Puback)
    assert.deepEqual([ack.packetId, ack.reasonCode], [later, ReasonCode.QuotaExceeded])
    p.publish({ topic: 't/2', payload: 'c', qos: 2 })
    // Behind the first: PUBRECs keep their order. [MQTT-4.6.0-3]
    p.hasNothing()
    world.disk.failure = null
    world.advance(1_000)
    world.settle()
    assert.deepEqual([p.take(Pubrec).packetId, p.take(Pubrec).reasonCode], [first, ReasonCode.QuotaExceeded])
  })

  test('3.1.1: acknowledged when the disk works again', () => {
    const world = full(false)
    const p = world.client('p', { version: 4 })
    p.connected()
    p.publish({ topic: 't/1', payload: 'a', qos: 1 })
    world.together(() => world.disk.step())
    p.hasNothing()
    world.disk.failure = null
    world.advance(1_000)
    world.settle()
    p.take(Puback)
  })

  test('an acknowledgement that was refused is not given again', () => {
    const world = full(false)
    const [p, q] = [world.client('p'), world.client('q', { version: 4 })]
    p.connected()
    q.connected()
    p.publish({ topic: 't/1', payload: 'a', qos: 1, packetId: 1 })
    q.publish({ topic: 't/1', payload: 'b', qos: 1, packetId: 1 })
    world.together(() => world.disk.step())
    assert.equal(p.take(Puback).reasonCode, ReasonCode.QuotaExceeded)
    world.disk.failure = null
    p.publish({ topic: 'x', qos: 1, packetId: 1 })
    assert.equal(p.take(Puback).reasonCode, ReasonCode.NoMatchingSubscribers)
    world.advance(1_000)
    world.settle()
    p.hasNothing()
    assert.equal(q.take(Puback).packetId, 1)
  })
})

describe('before MQTT 5.0 nothing is acknowledged that has been refused for its topic', () => {
  for (const version of [3, 4] as const) {
    for (const qos of [1, 2] as const) {
      test(`version ${version}, QoS ${qos}: a topic with too many levels closes the connection`, () => {
        const world = new DiskWorld({ limits: { topicLevelsMax: 3 } })
        const p = world.client('p', { version })
        p.connected()
        p.publish({ topic: 'a/b/c/d', qos, retain: true })
        assert.ok(p.isClosed)
        p.hasNothing()
        assert.equal(world.metric('dropped.topic-over-limit'), 1)
        assert.equal(world.metric('retainedMessages'), 0)
      })
    }
  }

  test('5.0: 0x90, and the connection stays', () => {
    const world = new DiskWorld({ limits: { topicLevelsMax: 3 } })
    const p = world.client('p')
    p.connected()
    p.publish({ topic: 'a/b/c/d', qos: 1 })
    assert.equal(p.take(Puback).reasonCode, ReasonCode.TopicNameInvalid)
    assert.equal(p.isClosed, false)
  })
})
