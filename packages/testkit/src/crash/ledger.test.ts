import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePayload, encodePayload, Inbox, type Receipt, Stream, type Violations } from './ledger.ts'

const receipt: Receipt = { connection: 1, packetId: 1, dup: false }
const none: Violations = { lost: 0, duplicatesQos2: 0, disordered: 0, corrupted: 0, unknown: 0 }

function world(qos: 1 | 2): {
  stream: Stream
  inbox: Inbox
  violations: Violations
  receive(...numbers: number[]): void
} {
  const stream = new Stream(7, 'a/b', qos)
  const violations = { ...none }
  const inbox = new Inbox('s', violations, () => undefined)
  inbox.subscribe(stream, 2)
  stream.sent = 5
  for (let number = 1; number <= 4; number++) stream.acknowledge(number)
  const receive = (...numbers: number[]): void => {
    for (const number of numbers) inbox.handle('a/b', encodePayload(7, number), receipt)
  }
  return { stream, inbox, violations, receive }
}

test('what is acknowledged and comes once, in order, is even', () => {
  const { inbox, violations, receive } = world(2)
  receive(1, 2, 3, 4)
  assert.equal(inbox.missing(), 0)
  inbox.settle()
  assert.deepEqual(violations, none)
  assert.equal(inbox.received, 4)
})

test('what is not acknowledged may come or not', () => {
  const { inbox, violations, receive } = world(1)
  receive(1, 2, 3, 4, 5)
  inbox.settle()
  assert.deepEqual(violations, none)
})

test('an acknowledged message that does not come is lost, and counted once', () => {
  const { stream, inbox, violations, receive } = world(1)
  receive(1, 3)
  assert.equal(inbox.missing(), 2)
  inbox.settle()
  inbox.settle()
  assert.deepEqual(violations, { ...none, lost: 2 })
  stream.sent = 6
  stream.acknowledge(6)
  assert.equal(inbox.missing(), 1)
})

test('QoS 1 may come again, at any time', () => {
  const { inbox, violations, receive } = world(1)
  receive(1, 2, 1, 2, 3, 4, 1)
  inbox.settle()
  assert.deepEqual(violations, none)
  assert.equal(inbox.repeats, 3)
})

test('QoS 2 may not come again, unless its publisher lost its session', () => {
  const { stream, violations, receive } = world(2)
  receive(1, 1)
  assert.deepEqual(violations, { ...none, duplicatesQos2: 1 })
  stream.mayRepeat(2)
  receive(3, 2, 2)
  assert.deepEqual(violations, { ...none, duplicatesQos2: 1 })
})

test('a QoS 2 stream that is subscribed at QoS 1 may come again', () => {
  const { stream, violations } = world(2)
  const inbox = new Inbox('lower', violations, () => undefined)
  inbox.subscribe(stream, 1)
  for (let n = 0; n < 2; n++) inbox.handle('a/b', encodePayload(7, 1), receipt)
  assert.deepEqual(violations, none)
})

test('a first receipt after that of a later message is out of order', () => {
  const { violations, receive } = world(1)
  receive(1, 3, 2, 4)
  assert.deepEqual(violations, { ...none, disordered: 1 })
})

test('messages that nobody sent and payloads that were changed are found', () => {
  const { inbox, violations, receive } = world(1)
  receive(6)
  inbox.handle('a/c', encodePayload(7, 1), receipt)
  inbox.handle('a/b', encodePayload(8, 1), receipt)
  assert.deepEqual(violations, { ...none, unknown: 3 })
  const changed = encodePayload(7, 1)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  inbox.handle('a/b', changed, receipt)
  inbox.handle('a/b', encodePayload(7, 1).subarray(0, 30), receipt)
  inbox.handle('a/b', new Uint8Array(3), receipt)
  assert.deepEqual(violations, { ...none, unknown: 3, corrupted: 3 })
})

test('payloads of all lengths tell their stream and number', () => {
  for (let number = 1; number <= 400; number++) {
    assert.deepEqual(decodePayload(encodePayload(12, number)), { stream: 12, number })
  }
})

test('a stream counts an acknowledgement once and grows as it is used', () => {
  const stream = new Stream(1, 't', 1)
  for (let number = 1; number <= 10_000; number++) {
    stream.acknowledge(number)
    stream.acknowledge(number)
  }
  assert.equal(stream.acknowledged, 10_000)
  assert.equal(stream.isAcknowledged(9_999), true)
  assert.equal(stream.isAcknowledged(10_001), false)
})
