import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../broker-config.ts'
import { makePlan } from '../plans/make.ts'
import { policyOf } from '../plans/policy.ts'
import { checkDrop } from './drops.ts'
import { Model } from './model.ts'
import { keepBirth } from './sparkplug.ts'
import { Expectation, GroupDue, ModelConnection, ModelSession, type Publication } from './state.ts'
import type { PublishPacket } from './types.ts'

/** A model with a session of `a`, whose client has connected again. */
function world() {
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
  return { model, session, before }
}

test('of the messages in flight that are given up the first that was begun is meant', () => {
  const { model, session, before } = world()
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

test('what is in flight expires when its client is no member of the Shared Subscription any more', () => {
  for (const [isShared, isMember, isRight] of [
    [true, false, true],
    [true, true, false],
    [false, false, false],
  ] as const) {
    const { model, session, before } = world()
    const publication = model.newPublication('t', 'm', 1, false, '', 1, session, '')
    const group = isShared ? new GroupDue(publication, 'g', 't') : null
    const expectation = new Expectation(publication, session, 1, false, '', 0, group, null)
    Object.assign(expectation, { progress: 'sent', wasSent: true, packetId: 1, sentOn: before })
    session.add(expectation)
    session.flight.set(1, expectation)
    if (isMember) session.subscriptions.push({ filter: 't', toSeq: Number.POSITIVE_INFINITY } as never)
    checkDrop(model, 'a', 't', 1, 'expired')
    assert.equal(expectation.progress, 'sent', 'its time is not over')
    model.nowMs = 1_000
    checkDrop(model, 'a', 't', 1, 'expired')
    assert.equal(expectation.progress, isRight ? 'done' : 'sent')
  }
})

test('a subscriber does not get the certificate of a birth while memory is short', () => {
  const { model, session } = world()
  const birth = model.newPublication('spBv1.0/g/NBIRTH/n', 'b', 1, false, '', null, session, '')
  model.current = birth
  keepBirth(model, birth)
  const { topic } = birth.certificate!
  checkDrop(model, 'a', topic, 1, 'memory-full')
  assert.equal(model.violations.length, 1, 'memory is not short')
  model.memory.level = 2
  checkDrop(model, 'a', topic, 1, 'memory-full')
  checkDrop(model, 'a', birth.topic, 1, 'memory-full')
  assert.equal(model.violations.length, 1)
  checkDrop(model, 'a', 'another', 1, 'memory-full')
  assert.equal(model.violations.length, 2, 'it is not being published')
})

test('a delayed message that has expired is the one at its QoS', () => {
  const { model, session } = world()
  const packet = { qos: 0, expirySeconds: 1 } as PublishPacket
  model.delayed.add({ isAcknowledged: true } as Publication, packet, { seconds: 1, topic: 't' }, session)
  const publication = model.newPublication('t', 'm', 1, false, '', 1, session, '')
  session.add(new Expectation(publication, session, 1, false, '', 0, null, null))
  model.nowMs = 2_000
  checkDrop(model, 'a', 't', 1, 'expired')
  assert.equal(model.delayed.size, 1)
  checkDrop(model, 'a', 't', 0, 'expired')
  assert.equal(model.delayed.size, 0)
  assert.deepEqual(model.violations, [])
})

test('QoS 0 that may have been sent before a crash is dropped when its client is back, and explains nothing else', () => {
  for (const [seq, isBack, isRight] of [
    [1, true, true],
    [9, true, false],
    [1, false, false],
  ] as const) {
    const { model, session } = world()
    model.settings = { ...model.settings, queueQoS0: true }
    const publication = model.newPublication('t', 'm', 0, false, '', null, session, '')
    session.add(new Expectation(publication, session, 0, false, '', seq, null, null))
    session.crashSeqs.push(5)
    session.connection!.isConnackSent = true
    if (!isBack) session.connection = null
    checkDrop(model, 'a', 't', 0, 'offline-qos0')
    assert.equal(model.violations.length === 0, isRight)
    if (isRight) assert.equal(session.drops.size, 0)
  }
})
