import assert from 'node:assert/strict'
import { test } from 'node:test'
import { giveBack } from './look-alikes.ts'
import { Expectation, GroupDue, ModelSession, Publication } from './state.ts'

/** A world of messages that look the same, with an event number that grows. */
function world() {
  let seq = 0
  const publish = (expiresAtMs = Number.POSITIVE_INFINITY): Publication =>
    new Publication({
      index: ++seq,
      topic: 't',
      payload: 'same',
      qos: 1,
      retain: false,
      passedOn: '',
      expiresAtMs,
      publisher: null,
      username: '',
      hasSource: false,
      publisherId: 'p',
      seq,
      atMs: 0,
    })
  const session = (clientId: string): ModelSession => new ModelSession(clientId, true, 0, 60)
  const owe = (session: ModelSession, group: GroupDue | null, publication: Publication): Expectation => {
    const expectation = new Expectation(publication, session, 1, false, '', publication.seq, group, null)
    session.add(expectation)
    return expectation
  }
  const send = (expectation: Expectation): void => {
    expectation.progress = 'sent'
    expectation.wasSent = true
    expectation.sentSeq = ++seq
    expectation.begunSeq = seq
    if (expectation.group !== null) expectation.group.takenBy = expectation
  }
  const crash = (session: ModelSession): void => {
    session.crashSeqs.push(++seq)
    for (const list of session.expectations.values())
      for (const each of list) if (each.progress === 'sent') each.mayComeAgain = true
  }
  return { publish, session, owe, send, crash }
}

test('a member that has a look-alike open may have got that one', () => {
  const { publish, session, owe, send } = world()
  const [a, b] = [session('a'), session('b')]
  const message = publish()
  const [h, g] = [new GroupDue(message, 'h', '#'), new GroupDue(message, 'g', 't')]
  const [ofA, other, ofB] = [owe(a, h, message), owe(a, g, message), owe(b, h, message)]
  send(ofA)
  assert.equal(giveBack(ofB), true)
  assert.equal(g.takenBy, other)
  assert.equal(h.takenBy, null)
})

test('what a member seems to have got for one subscription may have been a third message', () => {
  const { publish, session, owe, send } = world()
  const [a, b] = [session('a'), session('b')]
  const first = publish()
  const [h1, g1] = [new GroupDue(first, 'h', '#'), new GroupDue(first, 'g', 't')]
  const [h1OfA, g1OfA, h1OfB] = [owe(a, h1, first), owe(a, g1, first), owe(b, h1, first)]
  send(h1OfA)
  const second = publish()
  const [h2, g2] = [new GroupDue(second, 'h', '#'), new GroupDue(second, 'g', 't')]
  const [, g2OfA, h2OfB] = [owe(a, h2, second), owe(a, g2, second), owe(b, h2, second)]
  // The model takes this for the earlier one.
  send(g1OfA)
  send(h2OfB)
  assert.equal(giveBack(h1OfB), true)
  assert.equal(h1.takenBy, null)
  assert.equal(g1.takenBy, g1OfA)
  assert.equal(g2.takenBy, g2OfA)
})

test('two that were sent before the same crash are two', () => {
  const { publish, session, owe, send, crash } = world()
  const [a, b] = [session('a'), session('b')]
  const message = publish()
  const group = new GroupDue(message, 'g', 't')
  const [own, shared, ofB] = [owe(a, null, message), owe(a, group, message), owe(b, group, message)]
  send(own)
  send(shared)
  crash(a)
  assert.equal(giveBack(ofB), false)
  assert.equal(group.takenBy, shared)
})

test('one that was sent before a crash and one that was sent after it may be the same', () => {
  const { publish, session, owe, send, crash } = world()
  const [a, b] = [session('a'), session('b')]
  const message = publish()
  const group = new GroupDue(message, 'g', 't')
  const [own, shared, ofB] = [owe(a, null, message), owe(a, group, message), owe(b, group, message)]
  send(own)
  crash(a)
  send(shared)
  assert.equal(giveBack(ofB), true)
  assert.equal(group.takenBy, null)
  assert.equal(own.wasSent, true)
})

test('a message that the client was told to expire at another time is not the one that it got', () => {
  const { publish, session, owe, send } = world()
  const [a, b] = [session('a'), session('b')]
  const [first, second] = [publish(1_000), publish(2_000)]
  const group = new GroupDue(first, 'g', 't')
  const [shared, later, ofB] = [owe(a, group, first), owe(a, null, second), owe(b, group, first)]
  shared.told = { seconds: 1, nowMs: 100, sinceMs: 100 }
  send(shared)
  // Its event is later than both publications, and by its look it could be either of them.
  assert.equal(giveBack(ofB), false)
  assert.deepEqual([shared.progress, later.progress], ['sent', 'pending'])
  // A client before MQTT 5.0 sees no expiry.
  shared.told = null
  assert.equal(giveBack(ofB), true)
  assert.deepEqual([shared.progress, later.progress], ['pending', 'sent'])
})
