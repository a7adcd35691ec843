import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, ReasonCode } from '@recado/protocol'
import { World } from '../testing/mod.ts'
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
