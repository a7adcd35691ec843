import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../broker-config.ts'
import { makePlan } from '../plans/make.ts'
import { policyOf } from '../plans/policy.ts'
import { checkDrop } from './drops.ts'
import { Model } from './model.ts'
import { Expectation, Life, Link } from './state.ts'

test('of the messages in flight that are given up the first that was begun is meant', () => {
  const { broker } = makePlan(1)
  const model = new Model(
    settingsOf(
      broker,
      policyOf(() => broker),
    ),
    0,
    () => {},
  )
  const life = new Life('a', true, 0, 60)
  model.lives.set('a', life)
  const listener = model.settings.listeners[0]!
  const before = new Link('a#1', 0, 0, listener)
  before.state = 'closed'
  life.link = new Link('a#2', 0, 0, listener)
  model.rights.set('a', 't', true, 0)
  const inFlight = (payload: string, packetId: number, begunSeq: number): Expectation => {
    const instance = model.newInstance('t', payload, 1, false, '', null, life, '')
    const expectation = new Expectation(instance, life, 1, false, '', 0, null, null)
    Object.assign(expectation, { progress: 'sent', wasSent: true, packetId, begunSeq, sentOn: before })
    life.add(expectation)
    life.flight.set(packetId, expectation)
    return expectation
  }
  // After a restart the table of flights is not in their order.
  const later = inFlight('later', 8, 20)
  const earlier = inFlight('earlier', 7, 10)
  checkDrop(model, 'a', 't', 1, 'not-authorized')
  assert.deepEqual([earlier.progress, later.progress], ['done', 'sent'])
  assert.deepEqual([...life.flight.keys()], [8])
  assert.deepEqual(model.violations, [])
})
