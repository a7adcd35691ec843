/** Cases of runs in which the model demanded one of two outcomes where nobody could tell which it must be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../broker-config.ts'
import { makePlan } from '../plans/make.ts'
import { policyOf } from '../plans/policy.ts'
import { checkAnswer } from './answers.ts'
import { checkDrop } from './drops.ts'
import { handlePublish } from './flows.ts'
import { findNew, findResent } from './look-alikes.ts'
import { Model } from './model.ts'
import { checkSettled } from './settled.ts'
import { Expectation, ModelConnection, ModelSession, type Publication, type Subscription } from './state.ts'
import { handleSubscribe } from './subscriptions.ts'
import type { ConnectIn, FilterIn, PublishPacket, Version } from './types.ts'

const PUBLISH: PublishPacket = {
  type: 'PUBLISH',
  topic: 't',
  topicAlias: 0,
  payload: 'm',
  qos: 1,
  retain: false,
  dup: false,
  packetId: 1,
  expirySeconds: null,
  passedOn: '',
  identifiers: [],
}

function world() {
  const { broker } = makePlan(1)
  const settings = settingsOf(
    broker,
    policyOf(() => broker),
  )
  const model = new Model({ ...settings, asksSources: true, isPersistent: true, mayPublish: () => true }, 0, () => {})
  const session = new ModelSession('a', true, 0, 60)
  model.sessions.set('a', session)
  let connections = 0
  const connect = (version: Version): ModelConnection => {
    const connection = new ModelConnection(`a#${++connections}`, 0, 0, model.settings.listeners[0]!)
    connection.connect = { version, clientId: 'a', receiveMaximum: 65_535, wantsProblems: true } as ConnectIn
    connection.connectedSeq = ++model.seq
    connection.state = 'open'
    connection.session = session
    session.connection = connection
    return connection
  }
  const publish = (): Publication => {
    model.seq++
    return model.newPublication('t', 'm', 1, false, '', null, session, '')
  }
  const owe = (publication: Publication, identifiers = ''): Expectation => {
    const expectation = new Expectation(publication, session, 1, false, identifiers, model.seq, null, null)
    session.add(expectation)
    return expectation
  }
  return { model, session, connect, publish, owe }
}

test('a Will that is due only if its session has expired comes after a delayed message that is due', () => {
  const { model, session } = world()
  const will = { topic: 't', payload: 'w', qos: 1, retain: false, delaySeconds: 60, expirySeconds: null, passedOn: '' }
  model.wills.lost(session, { ...will, qos: 1 }, 'somebody')
  session.mayExpireAtMs = 1_000
  model.delayed.add({ isAcknowledged: true } as Publication, PUBLISH, { seconds: 1, topic: 't' }, session)
  model.sources.set('a', 't', true, 0)
  model.nowMs = 2_000
  checkDrop(model, 'a', 't', 1, 'not-authorized')
  assert.deepEqual([model.delayed.size, model.wills.waiting], [0, 1])
  checkDrop(model, 'a', 't', 1, 'not-authorized')
  assert.deepEqual([model.delayed.size, model.wills.waiting], [0, 0])
  assert.deepEqual(model.violations, [])
})

test('a slow reader may get the refusal of a failing disk when that works again', () => {
  const refusal = (blockedSinceMs: number, publishedMs: number): number => {
    const { model, connect } = world()
    const connection = connect(5)
    connection.isConnackSent = true
    connection.blockedSinceMs = blockedSinceMs
    model.recoveredMs = 50
    model.nowMs = publishedMs
    handlePublish(model, connection, connection.session!, PUBLISH, true)
    model.nowMs = Math.max(90, publishedMs)
    checkAnswer(model, connection, { type: 'PUBACK', packetId: 1, reasonCode: 0x97, hasProblems: false })
    return model.violations.length
  }
  assert.equal(refusal(20, 10), 0)
  assert.equal(refusal(-1, 10), 1, 'nothing held it up')
  assert.equal(refusal(60, 10), 1, 'held up later only')
  assert.equal(refusal(20, 60), 1, 'published later')
})

test('what is retained is not meant when its publisher has lost the right to it, and a look-alike waits in the queue', () => {
  const { model, connect, publish, session } = world()
  const connection = connect(5)
  const earlier = model.newPublication('t', 'earlier', 1, true, '', null, session, '')
  const publication = publish()
  const subscription = {
    topicFilter: 't',
    shareName: null,
    filter: 't',
    qos: 1,
    noLocal: false,
    retainAsPublished: true,
    identifier: 0,
    fromSeq: 0,
    isPromised: true,
    toSeq: Number.POSITIVE_INFINITY,
    isEndPromised: false,
  } as const
  const live = new Expectation(publication, session, 1, true, '', ++model.seq, null, null)
  const retained = new Expectation(publication, session, 1, true, '', ++model.seq, null, subscription)
  for (const each of [live, retained, new Expectation(earlier, session, 1, true, '', 0, null, null)]) session.add(each)
  model.sources.set('a', 't', true, 10)
  retained.askedMs = 20
  model.nowMs = 20
  const found = findNew(model, connection, session, { ...PUBLISH, retain: true }, (_, why) => assert.fail(why))
  assert.equal(found, live)
})

test('of two that a 3.1.1 client was sent, and that come again to 5.0, the one that looks so had the identifier', () => {
  const { model, connect, publish, owe, session } = world()
  const before = connect(4)
  const publication = publish()
  const [plain, numbered] = [owe(publication), owe(publication, '2')]
  for (const [i, each] of [plain, numbered].entries())
    Object.assign(each, { progress: 'done', wasSent: true, packetId: i + 3, sentSeq: ++model.seq, sentOn: before })
  for (const each of [plain, numbered]) each.mayComeAgain = true
  session.crashSeqs.push(++model.seq)
  session.isV5 = false
  const connection = connect(5)
  const resent = (packetId: number, identifiers: number[]): Expectation | null =>
    findResent(model, connection, session, { ...PUBLISH, dup: true, packetId, identifiers }, (_, why) =>
      assert.fail(why),
    )
  assert.equal(resent(3, [2]), numbered)
  assert.equal(resent(4, []), plain)
})

test('a QoS 2 message that a crash may have lost comes again with properties that 3.1.1 could not have', () => {
  const { model, connect, session } = world()
  const packet = { ...PUBLISH, qos: 2 } as const
  handlePublish(model, connect(4), session, packet, true)
  const { publication } = session.held.get(1)!
  session.held.get(1)!.isUncertain = true
  handlePublish(model, connect(5), session, { ...packet, dup: true, passedOn: '{"a":1}' }, true)
  assert.deepEqual(
    ['', '{"a":1}', '{"b":1}'].map((each) => publication.isPassedOnWith(each)),
    [true, true, false],
  )
})

test('what seems to have been published again may have been what a subscription that is replaced had asked for', () => {
  for (const isAlike of [true, false]) {
    const { model, connect, publish, session } = world()
    const connection = connect(5)
    connection.isConnackSent = true
    const replaced = { topicFilter: 't', shareName: null, filter: 't', isEndPromised: false } as Subscription
    const retained = new Expectation(publish(), session, 1, true, '', model.seq, null, replaced)
    const again = new Expectation(publish(), session, 1, isAlike, '', model.seq, null, null)
    for (const each of [retained, again]) session.add(each)
    Object.assign(again, { progress: 'sent', wasSent: true, packetId: 1, sentSeq: ++model.seq, sentOn: connection })
    session.flight.set(1, again)
    model.owe(connection, { type: 'SUBACK', packetId: 9, ended: [replaced], reasonCodes: [1] })
    checkAnswer(model, connection, { type: 'SUBACK', packetId: 9, reasonCodes: [1], hasProblems: false })
    assert.deepEqual([retained.progress, again.progress], isAlike ? ['sent', 'pending'] : ['cancelled', 'sent'])
    assert.equal(session.flight.get(1), isAlike ? retained : again)
    assert.equal(again.isOptional, isAlike, 'one of the two has come')
    assert.deepEqual(model.violations, [])
  }
})

test('what a subscription is to get of what is retained goes on with the one that takes its place', () => {
  const [asBefore, asNow] = ['7', '']
  for (const [identifier, came] of [
    [7, asBefore],
    [0, asBefore],
    [0, asNow],
  ] as const) {
    const { model, connect, publish, session } = world()
    const connection = connect(5)
    const publication = publish()
    model.retained.set('t', [{ seq: 0, publication, by: publication, isPromised: true }])
    const subscribe = (identifier: number, retainHandling: 0 | 2): void => {
      model.seq++
      const filter = { topicFilter: 't', qos: 1, noLocal: false, retainAsPublished: false, retainHandling } as const
      handleSubscribe(model, connection, session, { type: 'SUBSCRIBE', packetId: 9, identifier, filters: [filter] })
    }
    const find = (identifiers: string, why: string[] = []): Expectation | null =>
      findNew(
        model,
        connection,
        session,
        { ...PUBLISH, retain: true, identifiers: identifiers === '' ? [] : [Number(identifiers)] },
        (_, text) => why.push(text),
      )
    subscribe(7, 0)
    subscribe(identifier, 2)
    assert.equal(find(came)?.identifiers, came)
    const packet = { ...PUBLISH, retain: true, identifiers: came === '' ? [] : [7] }
    connection.isConnackSent = true
    model.send(connection, packet)
    assert.deepEqual(model.violations, [])
    // It comes once, whichever of the two it was.
    const why: string[] = []
    assert.equal(find(identifier === 7 ? '7' : came === asNow ? asBefore : asNow, why), null)
    assert.equal(why.length, 1)
  }
})

test('a drop of a retained message explains nothing but that message, whatever its subscription became', () => {
  const { model, connect, publish, owe, session } = world()
  const connection = connect(5)
  connection.isConnackSent = true
  const kept = publish()
  kept.isAcknowledged = true
  model.retained.set('t', [{ seq: 0, publication: kept, by: kept, isPromised: true }])
  const subscribe = (qos: 0 | 1, retainHandling: 0 | 2): void => {
    model.seq++
    const filter = { topicFilter: 't', qos, noLocal: false, retainAsPublished: false, retainHandling } as const
    handleSubscribe(model, connection, session, { type: 'SUBSCRIBE', packetId: 9, identifier: 0, filters: [filter] })
  }
  subscribe(0, 0)
  subscribe(1, 2)
  const message = publish()
  message.isAcknowledged = true
  owe(message)
  connection.owed.length = 0
  // The retained message as the first subscription wanted it, and the other one.
  session.drops.set('t\n0', 1)
  session.drops.set('t\n1', 1)
  checkSettled(model)
  assert.deepEqual(model.violations, [])
  session.drops.delete('t\n1')
  checkSettled(model)
  assert.equal(model.violations.length, 1)
})

test('what came for a subscription that was replaced may have been what another one had asked for (seed 40016041)', () => {
  // Subscription Identifiers of what comes; the last one fits nothing that is left.
  for (const [came, isRight] of [
    [['', '2'], true],
    [['', ''], true],
    [['4', '2'], true],
    [['4', ''], true],
    [['4', '4'], false],
    [['2', '2'], false],
    [['', '2', '4'], false],
    [['', '', ''], false],
  ] as const) {
    const { model, connect, session } = world()
    const connection = connect(5)
    connection.isConnackSent = true
    const publication = model.newPublication('a/b', 'm', 0, true, '', null, session, '')
    model.retained.set('a/b', [{ seq: 0, publication, by: publication, isPromised: true }])
    const subscribe = (topicFilter: string, identifier: number, retainHandling: 0 | 1): void => {
      model.seq++
      const filter = { topicFilter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling } as const
      handleSubscribe(model, connection, session, { type: 'SUBSCRIBE', packetId: 9, identifier, filters: [filter] })
    }
    subscribe('#', 4, 0)
    subscribe('a/#', 0, 0)
    subscribe('a/#', 2, 1)
    subscribe('#', 0, 1)
    for (const identifier of came) {
      const identifiers = identifier === '' ? [] : [Number(identifier)]
      model.send(connection, { ...PUBLISH, topic: 'a/b', qos: 0, packetId: 0, retain: true, identifiers })
    }
    assert.equal(model.violations.length === 0, isRight, `${came.join(', ')}: ${model.violations[0]?.text}`)
  }
})

test('a Topic Filter that stands twice in a SUBSCRIBE goes on with what is retained (seed 70018067)', () => {
  // Retain Handling of the second one, QoS of what comes.
  for (const [retainHandling, came, isRight] of [
    [2, [1], true],
    [1, [1], true],
    [0, [1], true],
    [2, [0], false],
    [0, [0], false],
    [2, [1, 1], false],
    [0, [1, 1], false],
  ] as const) {
    const { model, connect, session } = world()
    const connection = connect(5)
    connection.isConnackSent = true
    const publication = model.newPublication('t', 'm', 1, true, '', null, session, '')
    model.retained.set('t', [{ seq: 0, publication, by: publication, isPromised: true }])
    const filter = { topicFilter: 't', noLocal: false, retainAsPublished: false }
    const filters: FilterIn[] = [
      { ...filter, qos: 0, retainHandling: 0 },
      { ...filter, qos: 1, retainHandling },
    ]
    model.receive(connection, { type: 'SUBSCRIBE', packetId: 9, identifier: 0, filters }, true)
    model.send(connection, { type: 'SUBACK', packetId: 9, reasonCodes: [0, 1], hasProblems: false })
    for (const [i, qos] of came.entries())
      model.send(connection, { ...PUBLISH, qos, packetId: qos === 0 ? 0 : i + 1, retain: true })
    assert.equal(model.violations.length === 0, isRight, `${retainHandling} ${came}: ${model.violations[0]?.text}`)
  }
})

test('what seems to have come for a subscription that was replaced may have come for the next one (seed 70016557)', () => {
  // Number of times that the message comes at QoS 2.
  for (const [times, isRight] of [
    [0, false],
    [1, true],
  ] as const) {
    const { model, connect, session } = world()
    const connection = connect(5)
    connection.isConnackSent = true
    const publication = model.newPublication('t', 'm', 2, true, '', null, session, '')
    publication.isAcknowledged = true
    model.retained.set('t', [{ seq: 0, publication, by: publication, isPromised: true }])
    const subscribe = (qos: 1 | 2, retainHandling: 0 | 2): void => {
      const filter = { topicFilter: 't', qos, noLocal: false, retainAsPublished: false, retainHandling }
      model.receive(connection, { type: 'SUBSCRIBE', packetId: 9, identifier: 0, filters: [filter] }, true)
      model.send(connection, { type: 'SUBACK', packetId: 9, reasonCodes: [qos], hasProblems: false })
    }
    subscribe(2, 0)
    subscribe(2, 0)
    // Of the first one, which is on its way to the disk, or the second one.
    for (let i = 1; i <= times; i++) {
      model.send(connection, { ...PUBLISH, qos: 2, packetId: i, retain: true })
      model.receive(connection, { type: 'PUBREC', packetId: i, reasonCode: 0x80, hasProblems: false }, true)
    }
    subscribe(1, 2)
    checkSettled(model)
    assert.equal(model.violations.length === 0, isRight, model.violations[0]?.text)
  }
})

test('what was dropped for a slow reader and is published once more has come as what it is now (seed 70026195)', () => {
  // Contents of what comes the second time.
  for (const [came, isRight] of [
    [['m', 'n', 'o'], true],
    [['m', 'n', 'm', 'o'], true],
    [['m', 'o', 'n'], true],
    [['m', ['n', 'n'], 'o'], false],
  ] as const) {
    const { model, connect, session } = world()
    model.settings = { ...model.settings, queueQoS0: false }
    model.hasQueuedQoS0 = false
    const connection = connect(5)
    connection.isConnackSent = true
    const filter = { topicFilter: 't', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 2 } as const
    model.receive(connection, { type: 'SUBSCRIBE', packetId: 9, identifier: 0, filters: [filter] }, true)
    model.send(connection, { type: 'SUBACK', packetId: 9, reasonCodes: [0], hasProblems: false })
    const publish = (payload: string): void => {
      model.seq++
      const publication = model.newPublication('t', payload, 1, false, '', null, session, '')
      model.accept(publication, 't', null)
    }
    const send = (payload: string): void =>
      model.send(connection, { ...PUBLISH, payload, qos: 0, packetId: 0, retain: false })
    for (const payload of ['m', 'n', 'o']) {
      if (payload === 'n') {
        connection.blockedSinceMs = 0
        checkDrop(model, 'a', 't', 0, 'slow-reader')
      }
      publish(payload)
      if (payload !== 'n') send(payload)
      model.turnEnded()
    }
    connection.blockedSinceMs = -1
    for (const payloads of came.map((each) => [each].flat())) {
      publish(payloads[0]!)
      for (const payload of payloads) send(payload)
      model.turnEnded()
    }
    assert.equal(model.violations.length === 0, isRight, `${came}: ${model.violations[0]?.text}`)
  }
})
