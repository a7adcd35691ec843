import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsOf } from '../broker-config.ts'
import { makePlan } from '../plans/make.ts'
import { policyOf } from '../plans/policy.ts'
import { crash } from './crash.ts'
import { deliver } from './deliveries.ts'
import { checkDrop } from './drops.ts'
import { findNew } from './look-alikes.ts'
import { Model } from './model.ts'
import { checkRight } from './rights.ts'
import { Expectation, GroupDue, ModelConnection, ModelSession, type Publication } from './state.ts'
import { withdraw } from './subscriptions.ts'
import type { PublishPacket } from './types.ts'

/** A model with members of `$share/g/t`, and a message that waits for the first of them. */
function world() {
  const { broker } = makePlan(1)
  const settings = settingsOf(
    broker,
    policyOf(() => broker),
  )
  const model = new Model(settings, 0, () => {})
  const open = (session: ModelSession, name: string): ModelConnection => {
    const connection = new ModelConnection(name, 0, 0, model.settings.listeners[0]!)
    connection.state = 'open'
    connection.session = session
    session.connection = connection
    return connection
  }
  const member = (clientId: string): ModelSession => {
    model.seq++
    const session = new ModelSession(clientId, true, model.seq, 60)
    session.subscriptions.push({
      topicFilter: '$share/g/t',
      shareName: 'g',
      filter: 't',
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      identifier: 0,
      fromSeq: model.seq,
      isPromised: true,
      toSeq: Number.POSITIVE_INFINITY,
      isEndPromised: false,
    })
    model.sessions.set(clientId, session)
    return session
  }
  const owe = (group: GroupDue, session: ModelSession): Expectation => {
    const expectation = new Expectation(group.publication, session, 1, false, '', ++model.seq, group, null)
    session.add(expectation)
    return expectation
  }
  const publish = (payload: string, publisher: ModelSession): GroupDue => {
    model.seq++
    const group = new GroupDue(model.newPublication('t', payload, 1, false, '', null, publisher, ''), 'g', 't')
    model.groups.push(group)
    return group
  }
  const send = (expectation: Expectation, connection: ModelConnection, packetId: number): void => {
    model.seq++
    const { seq } = model
    Object.assign(expectation, { progress: 'sent', wasSent: true, packetId, begunSeq: seq, sentSeq: seq })
    expectation.sentOn = connection
    expectation.session.flight.set(packetId, expectation)
    if (expectation.group !== null) expectation.group.takenBy = expectation
  }
  const find = (connection: ModelConnection, { topic, payload }: Publication): Expectation | string | null => {
    model.seq++
    const packet: PublishPacket = {
      type: 'PUBLISH',
      topic,
      topicAlias: 0,
      payload,
      qos: 1,
      retain: false,
      dup: false,
      packetId: 9,
      expirySeconds: null,
      passedOn: '',
      identifiers: [],
    }
    let why = ''
    const found = findNew(model, connection, connection.session!, packet, (_, text) => {
      why ||= text
    })
    return why === '' ? found : why
  }
  return { model, open, member, owe, publish, send, find }
}

test('a later member gets what waited for a session that expires, and that session ends in the same turn', () => {
  const { model, open, member, owe, publish, find } = world()
  const gone = member('gone')
  gone.mayExpireAtMs = 1_000
  const group = publish('m', gone)
  owe(group, gone)
  const connection = open(member('later'), 'later#1')
  assert.match(String(find(connection, group.publication)), /not subscribed at that time/)
  model.nowMs = 1_000
  const found = find(connection, group.publication)
  assert.ok(found instanceof Expectation && found.session.clientId === 'later')
  found.progress = 'done'
  group.takenBy = found
  model.sessionExpired('gone')
  model.turnEnded()
  assert.deepEqual(model.violations, [])
})

test('a session whose time is over and that stays keeps what waits for it', () => {
  const { model, open, member, owe, publish, find } = world()
  const gone = member('gone')
  gone.mayExpireAtMs = 1_000
  const group = publish('m', gone)
  owe(group, gone)
  const connection = open(member('later'), 'later#1')
  model.nowMs = 1_000
  find(connection, group.publication)
  model.turnEnded()
  assert.deepEqual(
    model.violations.map(({ text }) => text),
    ['t waited for gone, has gone to another member, and no session ends'],
  )
})

test('a later member gets what waits for a subscription that is withdrawn', () => {
  const { model, open, member, owe, publish, find } = world()
  const away = member('away')
  const group = publish('m', away)
  owe(group, away)
  const connection = open(member('later'), 'later#1')
  assert.match(String(find(connection, group.publication)), /not subscribed at that time/)
  open(away, 'away#2')
  assert.match(String(find(connection, group.publication)), /not subscribed at that time/)
  away.subscriptions[0]!.toSeq = ++model.seq
  const found = find(connection, group.publication)
  assert.ok(found instanceof Expectation && found.session.clientId === 'later')
})

test('what waits for a subscription that is withdrawn has no order with another member', () => {
  const { model, open, member, owe, publish } = world()
  const [away, other] = [member('away'), member('other')]
  open(away, 'away#1')
  const group = publish('m', away)
  const [owed, inherited] = [owe(group, away), owe(group, other)]
  const taken = publish('n', away)
  const own = owe(taken, other)
  taken.takenBy = own
  withdraw(model, 'away', '$share/g/t', 0x87)
  assert.ok(owed.isRedistributed && inherited.isRedistributed)
  assert.ok(!own.isRedistributed)
  assert.deepEqual(model.violations, [])
})

test('what went to another member is in flight to the first one again when the disk did not learn of it', () => {
  for (const isKnown of [false, true]) {
    const { model, open, member, owe, publish, send, find } = world()
    const first = member('first')
    const before = open(first, 'first#1')
    const group = publish('m', first)
    group.publication.isAcknowledged = true
    const shared = owe(group, first)
    send(shared, before, 1)
    before.state = 'closed'
    model.flushedSeq = model.seq
    open(first, 'first#2')
    withdraw(model, 'first', '$share/g/t', 0x87)
    const inherited = find(open(member('later'), 'later#1'), group.publication)
    assert.ok(inherited instanceof Expectation)
    group.takenBy = inherited
    if (isKnown) model.flushedSeq = model.seq
    crash(model)
    assert.equal(shared.isOpen, !isKnown)
  }
})

test('what waited for a withdrawn member is there again when the disk did not learn that it went on', () => {
  for (const isKnown of [false, true]) {
    const { model, member, open, owe, publish } = world()
    const [first, other] = [member('first'), member('other')]
    open(first, 'first#1')
    const group = publish('m', first)
    group.publication.isAcknowledged = true
    const [waiting, inherited] = [owe(group, first), owe(group, other)]
    model.flushedSeq = model.seq
    withdraw(model, 'first', '$share/g/t', 0x87)
    group.takenBy = inherited
    if (isKnown) model.flushedSeq = model.seq
    crash(model)
    assert.equal(waiting.isOpen, !isKnown)
  }
})

test('a message in flight goes on although its subscription, which ended, has been made again', () => {
  for (const isReplaced of [false, true]) {
    const { model, open, member, owe, publish, send, find } = world()
    const first = member('first')
    const before = open(first, 'first#1')
    const group = publish('m', first)
    send(owe(group, first), before, 1)
    before.state = 'closed'
    const [subscription] = first.subscriptions
    subscription!.toSeq = ++model.seq
    if (!isReplaced) model.seq++
    first.subscriptions.push({ ...subscription!, fromSeq: model.seq, toSeq: Number.POSITIVE_INFINITY })
    open(first, 'first#2')
    const found = find(open(member('later'), 'later#1'), group.publication)
    assert.equal(found instanceof Expectation, !isReplaced, String(found))
  }
})

test('what another member inherits is not dropped', () => {
  const { model, open, member, owe, publish, send, find } = world()
  const away = member('away')
  const before = open(away, 'away#1')
  const group = publish('m', away)
  const shared = owe(group, away)
  const own = new Expectation(publish('own', away).publication, away, 1, false, '', ++model.seq, null, null)
  away.add(own)
  send(shared, before, 1)
  send(own, before, 2)
  before.state = 'closed'
  open(away, 'away#2')
  away.subscriptions[0]!.toSeq = ++model.seq
  const connection = open(member('later'), 'later#1')
  checkDrop(model, 'away', 't', 1, 'not-authorized')
  assert.deepEqual([shared.progress, own.progress], ['sent', 'done'])
  const found = find(connection, group.publication)
  assert.ok(found instanceof Expectation && found.session.clientId === 'later')
  assert.deepEqual(model.violations, [])
})

test('a PUBLISH that was written before its session ended may leave after what the next member got', () => {
  const { model, open, member, owe, publish, send, find } = world()
  const [one, other] = [member('one'), member('other')]
  const [ofOne, ofOther] = [open(one, 'one#1'), open(other, 'other#1')]
  const group = publish('m', one)
  const [first, second] = [owe(group, one), owe(group, other)]
  send(second, ofOther, 1)
  assert.match(String(find(ofOne, group.publication)), /another member of \$share\/g has got it/)
  model.endSession(one)
  // That one has got it before.
  assert.match(String(find(ofOne, group.publication)), /another member of \$share\/g has got it/)
  send(second, ofOther, 1)
  assert.equal(find(ofOne, group.publication), first)
})

test('what was sent before a crash comes again, though another member seems to have got it', () => {
  for (const isAlike of [true, false]) {
    const { model, open, member, owe, publish, send, find } = world()
    const [first, other] = [member('first'), member('other')]
    const group = publish('m', first)
    const [shared, ofOther] = [owe(group, first), owe(group, other)]
    send(shared, open(first, 'first#1'), 1)
    shared.mayComeAgain = true
    first.crashSeqs.push(++model.seq)
    // The other one has a subscription of its own besides, and has got one of two that look the same.
    if (isAlike) other.add(new Expectation(group.publication, other, 1, false, '', model.seq, null, null))
    send(ofOther, open(other, 'other#1'), 2)
    const found = find(open(first, 'first#2'), group.publication)
    if (isAlike) assert.equal(found, shared)
    else assert.match(String(found), /another member of/)
  }
})

test('what a session that ends may have had for another of its Shared Subscriptions is given to others too', () => {
  const { model, open, member, owe, publish, send } = world()
  const [gone, other] = [member('gone'), member('other')]
  const [group, later] = [publish('m', gone), publish('n', gone)]
  const second = new GroupDue(group.publication, 'g', '#')
  const [ofGone, ofOther] = [owe(group, gone), owe(group, other)]
  const [, secondOfOther] = [owe(second, gone), owe(second, other)]
  const laterOfOther = owe(later, other)
  send(ofGone, open(gone, 'gone#1'), 1)
  send(secondOfOther, open(other, 'other#1'), 1)
  model.endSession(gone)
  // The other one may have had `group` and get `second` now, or the other way round: late, and out of order.
  assert.deepEqual(
    [ofOther, secondOfOther, laterOfOther].map((each) => each.isRedistributed),
    [true, true, false],
  )
})

test('what has gone to other members stays theirs when its client subscribes again, or leaves', () => {
  for (const isWithdrawn of [true, false])
    for (const leaves of [true, false]) {
      const { model, open, member, owe, publish, send, find } = world()
      const [first, other] = [member('first'), member('other')]
      const group = publish('m', first)
      const [shared, ofOther] = [owe(group, first), owe(group, other)]
      const before = open(first, 'first#1')
      send(shared, before, 1)
      before.state = 'closed'
      const back = open(first, 'first#2')
      const subscription = { ...first.subscriptions[0]!, toSeq: Number.POSITIVE_INFINITY }
      if (isWithdrawn) {
        withdraw(model, 'first', '$share/g/t', 0x87)
        first.subscriptions.push(subscription)
      }
      if (leaves) model.endConnection(back, null)
      const found = find(open(other, 'other#1'), group.publication)
      if (isWithdrawn) assert.equal(found, ofOther)
      else assert.match(String(found), /another member of/)
    }
})

test('a message for a member that comes once more after a crash waits at QoS 0 while its subscriptions are reviewed', () => {
  for (const isReviewed of [true, false]) {
    const { model, member } = world()
    const first = member('first')
    const publication = model.newPublication('t', 'm', 0, false, '', null, first, '')
    deliver(model, publication)
    model.isReviewed = () => isReviewed
    deliver(model, publication)
    assert.deepEqual(
      publication.expectations.map((each) => each.mayWait),
      [isReviewed],
    )
  }
})

test('what was written to a slow reader before its subscription was withdrawn leaves when that reads again (seed 40011490)', () => {
  for (const [blockedMs, withdrawnMs, isRight] of [
    [100, 200, true],
    [300, 200, false],
    [-1, 200, false],
  ] as const) {
    const { model, open, member, publish } = world()
    const session = member('slow')
    session.subscriptions[0] = { ...session.subscriptions[0]!, topicFilter: 't', shareName: null }
    const connection = open(session, 'slow#1')
    const { publication } = publish('m', session)
    const expectation = new Expectation(publication, session, 1, false, '', ++model.seq, null, null)
    session.add(expectation)
    connection.blockedSinceMs = blockedMs
    model.nowMs = withdrawnMs
    withdraw(model, 'slow', 't', 0x87)
    model.nowMs = 400
    const why = checkRight(model, connection, session, expectation, false)
    assert.equal(why, isRight ? null : 'its subscription has been withdrawn')
  }
})

test('what a withdrawn member gives up comes to a later one that waits for the same message at another QoS (seed 40014637)', () => {
  const { model, open, member, owe, publish, send, find } = world()
  const first = member('first')
  const group = publish('m', first)
  const { publication } = group
  const shared = owe(group, first)
  const before = open(first, 'first#1')
  send(shared, before, 1)
  before.state = 'closed'
  const second = member('second')
  const own = new Expectation(publication, second, 2, false, '', ++model.seq, null, null)
  second.add(own)
  const connection = open(second, 'second#1')
  assert.equal(find(connection, publication), own, 'it is compared with that one, and is wrong')
  open(first, 'first#2')
  first.subscriptions[0]!.toSeq = ++model.seq
  const found = find(connection, publication)
  assert.ok(found instanceof Expectation && found !== own && found.group === group && found.session === second)
})
