/** The numbers in brackets are conformance statements of Sparkplug 3.0. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, ReasonCode } from '@recado/protocol'
import fc from 'fast-check'
import { DiskWorld } from '../../testing/disk-world.ts'
import { will } from '../../testing/test-client.ts'
import { World } from '../../testing/world.ts'
import { withTimestamp } from './sparkplug.ts'

const ON = { sparkplugAware: true } as const

function kept(world: World, topic: string): string | undefined {
  const message = world.core.retained.get(`$sparkplug/certificates/${topic}`)
  return message === undefined ? undefined : new TextDecoder().decode(message.payload)
}

describe('a birth certificate', () => {
  for (const topic of ['spBv1.0/g/NBIRTH/n', 'spBv1.0/g/DBIRTH/n/d']) {
    test(`${topic} is kept, retained, and passed on as it is [tck-id-conformance-mqtt-aware-store] [tck-id-conformance-mqtt-aware-nbirth-mqtt-topic] [tck-id-conformance-mqtt-aware-nbirth-mqtt-retain] [tck-id-conformance-mqtt-aware-dbirth-mqtt-topic] [tck-id-conformance-mqtt-aware-dbirth-mqtt-retain]`, () => {
      const world = new World(ON)
      const host = world.client('host')
      host.connected()
      host.subscribe('spBv1.0/#')
      const early = world.client('early')
      early.connected()
      early.subscribe('$sparkplug/certificates/#')
      const node = world.client('node')
      node.connected()
      node.publish({ topic, payload: 'one' })
      node.publish({ topic, payload: 'two' })
      assert.deepEqual(host.takePayloads(), ['one', 'two'])
      assert.equal(world.core.retained.get(topic), undefined)
      assert.equal(kept(world, topic), 'two')
      assert.deepEqual(early.takePayloads(), ['one', 'two'])
      const late = world.client('late')
      late.connected()
      late.subscribe('$sparkplug/certificates/spBv1.0/g/#')
      const { topic: at, retain } = late.takePublish()
      assert.deepEqual([at, retain], [`$sparkplug/certificates/${topic}`, true])
      assert.equal(world.metric('birthsKept'), 2)
    })
  }

  for (const topic of [
    'spBv1.0/g/NDATA/n',
    'spBv1.0/g/NBIRTH',
    'spBv1.0/g/NBIRTH/n/d',
    'spBv1.0/g/DBIRTH/n',
    'x/g/NBIRTH/n',
  ]) {
    test(`is not ${topic}`, () => {
      const world = new World(ON)
      const node = world.client('node')
      node.connected()
      node.publish({ topic, payload: 'x' })
      assert.equal(world.metric('retainedMessages'), 0)
    })
  }

  test('is not kept when its publisher may not publish it, nor without the option', () => {
    const topic = 'spBv1.0/g/NBIRTH/n'
    for (const options of [
      { ...ON, authorizer: { publish: () => ReasonCode.NotAuthorized, subscribe: () => 0 } },
      {},
    ]) {
      const world = new World(options)
      const node = world.client('node')
      node.connected()
      node.publish({ topic, payload: 'x' })
      assert.equal(kept(world, topic), undefined)
    }
  })

  test('is published by the broker only: 0x87 for a client, also as a Will', () => {
    const world = new World(ON)
    const a = world.client('a')
    a.connected()
    a.publish({ topic: '$sparkplug/certificates/spBv1.0/g/NBIRTH/n', payload: 'forged', retain: true, qos: 1 })
    assert.equal(a.take(Puback).reasonCode, ReasonCode.NotAuthorized)
    world.client('b').connect({ will: will({ topic: '$sparkplug/certificates/spBv1.0/g/NBIRTH/n' }) })
    assert.equal(world.eventsOf('connection.refused')[0]?.reasonCode, ReasonCode.NotAuthorized)
  })

  test('is there after a crash', () => {
    const first = new DiskWorld(ON)
    const node = first.durable('node')
    node.publish({ topic: 'spBv1.0/g/NBIRTH/n', payload: 'x' })
    first.settle()
    assert.equal(kept(first.crash(), 'spBv1.0/g/NBIRTH/n'), 'x')
  })
})

describe('an NDEATH that is published as a Will', () => {
  test('has the time of its publication [tck-id-conformance-mqtt-aware-ndeath-timestamp]', () => {
    const world = new World(ON)
    const host = world.client('host')
    host.connected()
    host.subscribe('spBv1.0/#')
    const node = world.client('node')
    // Timestamp 5; a metric, which stays as it is.
    const payload = String.fromCharCode(0x08, 5, 0x12, 2, 0x20, 7)
    node.connected({ will: will({ topic: 'spBv1.0/g/NDEATH/n', payload }) })
    node.drop()
    const received = new TextEncoder().encode(host.takePublish().payload)
    const expected = withTimestamp(new TextEncoder().encode(payload), world.clock.nowMs())!
    assert.equal(received.length > payload.length, true)
    assert.deepEqual(new TextDecoder().decode(expected), new TextDecoder().decode(received))
  })

  test('stays as it is when it is empty: that is none of Sparkplug, and Mosquitto leaves it so', () => {
    const world = new World(ON)
    const host = world.client('host')
    host.connected()
    host.subscribe('spBv1.0/#')
    const node = world.client('node')
    node.connected({ will: will({ topic: 'spBv1.0/g/NDEATH/n', payload: '' }) })
    node.drop()
    assert.equal(host.takePublish().payload, '')
  })
})

describe('the timestamp of a payload', () => {
  test('is replaced, and all other fields stay', () => {
    assert.deepEqual(
      withTimestamp(Uint8Array.of(0x12, 1, 0xff, 0x08, 0x80, 0x01, 0x18, 3), 300),
      Uint8Array.of(0x08, 0xac, 0x02, 0x12, 1, 0xff, 0x18, 3),
    )
    assert.deepEqual(withTimestamp(new Uint8Array(0), 1), Uint8Array.of(0x08, 1))
  })

  test('of what is no protocol buffer is left alone', () => {
    for (const bytes of [[0x12, 5, 1], [0x0b], [0x08], [0x00, 1], [0x09, 1, 2], [0x80]])
      assert.equal(withTimestamp(Uint8Array.from(bytes), 1), null)
  })

  test('never throws, whatever the bytes are, and is the same when it is set again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(), (bytes, timeMs) => {
        const once = withTimestamp(bytes, timeMs)
        if (once !== null) assert.deepEqual(withTimestamp(once, timeMs), once)
      }),
    )
  })
})
