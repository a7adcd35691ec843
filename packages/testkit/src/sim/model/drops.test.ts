import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../broker-config.ts'
import { makePlan } from '../plans/make.ts'
import { policyOf } from '../plans/policy.ts'
import { checkDrop } from './drops.ts'
import { Model } from './model.ts'
import { Expectation, ModelConnection, ModelSession } from './state.ts'

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
  const session = new ModelSession('a', true, 0, 60)
  model.sessions.set('a', session)
  const listener = model.settings.listeners[0]!
  const before = new ModelConnection('a#1', 0, 0, listener)
  before.state = 'closed'
  session.connection = new ModelConnection('a#2', 0, 0, listener)
  model.rights.set('a', 't', true, 0)
  const inFlight = (payload: string, packetId: number, begunSeq: number): Expectation => {
    const publication = model.newPublication('t', payload, 1, false, '', null, session, '')
    const expectation = new Expectation(publication, session, 1, false, '', 0, null, null)
    Object.assign(expectation, { progress: 'sent', wasSent: true, packetId, begunSeq, sentOn: before })
    session.add(expectation)
    session.flight.set(packetId, expectation)
    return expectation
  }
  // After a restart the table of flights is not in their order.
  const later = inFlight('later', 8, 20)
  const earlier = inFlight('earlier', 7, 10)
  checkDrop(model, 'a', 't', 1, 'not-authorized')
  assert.deepEqual([earlier.progress, later.progress], ['done', 'sent'])
  assert.deepEqual([...session.flight.keys()], [8])
  assert.deepEqual(model.violations, [])
})
