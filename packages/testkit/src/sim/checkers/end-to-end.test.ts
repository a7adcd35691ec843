import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../broker-config.ts'
import { Model } from '../model/model.ts'
import { Expectation, ModelSession } from '../model/state.ts'
import { makePlan } from '../plans/make.ts'
import { policyOf } from '../plans/policy.ts'
import { EndToEndChecker } from './end-to-end.ts'

test('a QoS 2 message of a session that has ended may reach its application late, and again in the next session (seed 80013653)', () => {
  for (const [connections, isRight] of [
    ['a#1 a#2', true],
    ['a#2 a#1', true],
    ['a#1 a#1', false],
    ['a#2 a#2', false],
    ['a#2 a#1 a#2', false],
  ] as const) {
    const { broker } = makePlan(1)
    const settings = settingsOf(
      broker,
      policyOf(() => broker),
    )
    const model = new Model(settings, 0, () => {})
    const checker = new EndToEndChecker(model)
    for (const name of ['a#1', 'a#2']) {
      const session = new ModelSession('a', true, ++model.seq, 60)
      model.sessions.set('a', session)
      model.sessionOf.set(name, session)
      const publication = model.newPublication('t', 'm', 2, false, '', null, null, '')
      session.add(new Expectation(publication, session, 2, false, '', model.seq, null, null))
    }
    for (const connection of connections.split(' '))
      checker.received('a', { topic: 't', payload: 'm', qos: 2, isNewSession: false, by: 0, connection })
    assert.equal(model.violations.length === 0, isRight, connections)
  }
})
