import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sequence } from './order.ts'
import { Expectation, GroupDue, ModelSession, Publication } from './state.ts'

/** Messages of one publisher to one session. */
function stream() {
  const session = new ModelSession('a', true, 0, 60)
  let index = 0
  return (payload: string, { share = '', isRedistributed = false } = {}): Expectation => {
    const publication = new Publication({
      index: ++index,
      topic: 't',
      payload,
      qos: 1,
      retain: false,
      passedOn: '',
      expiresAtMs: Number.POSITIVE_INFINITY,
      publisher: session,
      username: '',
      hasSource: false,
      publisherId: 'p',
      seq: index,
      atMs: 0,
    })
    const group = share === '' ? null : new GroupDue(publication, share, 't')
    const expectation = new Expectation(publication, session, 1, false, '', index, group, null)
    expectation.isRedistributed = isRedistributed
    session.add(expectation)
    return expectation
  }
}

/** Verdicts of `Sequence` on each, in the order of sending. */
function judged(...sent: Expectation[]): boolean[] {
  const sequence = new Sequence()
  return sent.map((each) => {
    const isRight = sequence.add(each)
    each.progress = 'sent'
    return isRight
  })
}

test('a message after a later one is out of order', () => {
  const message = stream()
  const [a, b] = [message('a'), message('b')]
  assert.deepEqual(judged(a, b), [true, true])
  assert.deepEqual(judged(b, a), [true, false])
})

test('of two messages with the same contents either one may have come first', () => {
  const message = stream()
  const [a, b, c, again] = [message('a'), message('b'), message('c'), message('a')]
  // Taken for the second a, then the first: told apart the other way round it is in order.
  assert.deepEqual(judged(again, b, c, a), [true, true, true, true])
})

test('the same contents are no excuse when no way to tell them apart is in order', () => {
  const message = stream()
  const [a, b, again, c] = [message('a'), message('b'), message('a'), message('c')]
  assert.deepEqual(judged(c, a, again, b), [true, false, false, false])
})

test('a Shared Subscription is a stream of its own, and what another member had has no order', () => {
  const message = stream()
  const [shared, own, inherited] = [
    message('a', { share: 'g' }),
    message('b'),
    message('c', { share: 'g', isRedistributed: true }),
  ]
  assert.deepEqual(judged(inherited, own, shared), [true, true, true])
})

test('what looks the same and is still to come may have come', () => {
  const message = stream()
  const [a, b, again] = [message('a'), message('b'), message('a')]
  assert.deepEqual(judged(again, b), [true, true])
  assert.equal(a.progress, 'pending')
})
