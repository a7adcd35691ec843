import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from './errors.ts'
import { Receiver } from './receiver.ts'

const tooMany = (error: unknown): boolean => error instanceof ProtocolError && error.reasonCode === 0x93

test('a QoS 2 PUBLISH is new once until PUBREL, with DUP or without [MQTT-4.3.3-10]', () => {
  const receiver = new Receiver(10)
  assert.equal(receiver.handlePublish(1, 2, false), true)
  assert.equal(receiver.handlePublish(1, 2, true), false)
  receiver.acknowledged(1, 2, false)
  assert.equal(receiver.handlePublish(1, 2, false), false)
  assert.equal(receiver.unacknowledged, 1)
  assert.equal(receiver.has(1), true)
  assert.equal(receiver.handlePubrel(1), true)
  assert.equal(receiver.has(1), false)
  assert.equal(receiver.unacknowledged, 0)
})

test('after PUBCOMP the identifier stands for a new message [MQTT-4.3.3-12]', () => {
  const receiver = new Receiver(10)
  receiver.handlePublish(1, 2, false)
  receiver.handlePubrel(1)
  assert.equal(receiver.handlePublish(1, 2, true), true)
})

test('after a PUBREC of 0x80 or above the identifier stands for a new message [MQTT-4.3.3-9]', () => {
  const receiver = new Receiver(1)
  receiver.handlePublish(1, 2, false)
  receiver.acknowledged(1, 2, true)
  assert.equal(receiver.unacknowledged, 0)
  assert.equal(receiver.handlePublish(1, 2, true), true)
})

test('a QoS 1 PUBLISH is new whatever its identifier and DUP [MQTT-4.3.2-5]', () => {
  const receiver = new Receiver(10)
  assert.equal(receiver.handlePublish(1, 1, false), true)
  assert.equal(receiver.handlePublish(1, 1, true), true)
  assert.equal(receiver.unacknowledged, 2)
  receiver.acknowledged(1, 1, false)
  receiver.acknowledged(1, 1, true)
  assert.equal(receiver.unacknowledged, 0)
  assert.deepEqual(receiver.ids(), [])
})

test('PUBREL for an unknown identifier is told apart and changes nothing', () => {
  const receiver = new Receiver(10)
  receiver.handlePublish(2, 1, false)
  assert.equal(receiver.handlePubrel(2), false)
  assert.equal(receiver.unacknowledged, 1)
})

test('one PUBLISH more than the Receive Maximum is refused with 0x93 [MQTT-3.3.4-7]', () => {
  const receiver = new Receiver(2)
  receiver.handlePublish(1, 2, false)
  receiver.handlePublish(2, 1, false)
  assert.throws(() => receiver.handlePublish(3, 1, false), tooMany)
  assert.throws(() => receiver.handlePublish(3, 2, false), tooMany)
  assert.equal(receiver.has(3), false)
  // A PUBLISH sent again on this connection uses no more quota
  assert.equal(receiver.handlePublish(1, 2, true), false)
  receiver.acknowledged(2, 1, false)
  assert.equal(receiver.handlePublish(3, 2, false), true)
})

test('PUBREC alone gives no quota back: PUBCOMP does [MQTT-3.3.4-7]', () => {
  const receiver = new Receiver(1)
  receiver.handlePublish(1, 2, false)
  receiver.acknowledged(1, 2, false)
  assert.throws(() => receiver.handlePublish(2, 2, false), tooMany)
})

test('a new connection starts with the whole quota and the identifiers still held (section 4.9)', () => {
  const receiver = new Receiver(2)
  receiver.handlePublish(1, 2, false)
  receiver.handlePublish(2, 2, false)
  receiver.resume()
  assert.equal(receiver.unacknowledged, 0)
  assert.deepEqual(receiver.ids().sort(), [1, 2])
  // One is published again and counts; the other is only released and does not count
  assert.equal(receiver.handlePublish(1, 2, true), false)
  assert.equal(receiver.unacknowledged, 1)
  assert.equal(receiver.handlePubrel(2), true)
  assert.equal(receiver.unacknowledged, 1)
  assert.equal(receiver.handlePublish(3, 2, false), true)
  assert.throws(() => receiver.handlePublish(4, 2, false), tooMany)
  assert.equal(receiver.handlePubrel(1), true)
  assert.equal(receiver.unacknowledged, 1)
})

test('a restored identifier is a duplicate when it comes again [MQTT-4.3.3-10]', () => {
  const receiver = new Receiver(1)
  receiver.restore(5)
  receiver.restore(6)
  assert.equal(receiver.unacknowledged, 0)
  assert.equal(receiver.handlePublish(5, 2, true), false)
  assert.throws(() => receiver.handlePublish(6, 2, true), tooMany)
  assert.equal(receiver.handlePubrel(6), true)
})

test('clear forgets everything', () => {
  const receiver = new Receiver(1)
  receiver.handlePublish(1, 2, false)
  receiver.clear()
  assert.equal(receiver.unacknowledged, 0)
  assert.equal(receiver.handlePublish(1, 2, false), true)
})

test('does what lists of identifiers do under any sequence of packets [MQTT-4.3.3-10] [MQTT-3.3.4-7]', () => {
  const step = fc.record({
    do: fc.constantFrom('publish1', 'publish1', 'publish2', 'publish2', 'ack1', 'fail2', 'pubrel', 'resume'),
    id: fc.integer({ min: 1, max: 6 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 100 }), (maximum, steps) => {
      const receiver = new Receiver(maximum)
      let held: number[] = []
      let counted2: number[] = []
      let counted1: number[] = []
      for (const { do: what, id } of steps) {
        const full = counted1.length + counted2.length >= maximum
        if (what === 'publish1') {
          if (full) assert.throws(() => receiver.handlePublish(id, 1, false), tooMany)
          else {
            assert.equal(receiver.handlePublish(id, 1, false), true)
            counted1.push(id)
          }
        } else if (what === 'publish2') {
          if (counted2.includes(id)) assert.equal(receiver.handlePublish(id, 2, true), false)
          else if (full) assert.throws(() => receiver.handlePublish(id, 2, true), tooMany)
          else {
            assert.equal(receiver.handlePublish(id, 2, false), !held.includes(id))
            counted2.push(id)
            if (!held.includes(id)) held.push(id)
          }
        } else if (what === 'ack1') {
          if (counted1.length === 0) continue
          receiver.acknowledged(counted1.shift()!, 1, false)
        } else if (what === 'resume') {
          receiver.resume()
          counted1 = []
          counted2 = []
        } else {
          if (what === 'fail2') receiver.acknowledged(id, 2, true)
          else assert.equal(receiver.handlePubrel(id), held.includes(id))
          held = held.filter((other) => other !== id)
          counted2 = counted2.filter((other) => other !== id)
        }
        assert.equal(receiver.unacknowledged, counted1.length + counted2.length)
        assert.deepEqual(receiver.ids().sort(), [...held].sort())
        assert.equal(receiver.has(id), held.includes(id))
      }
    }),
    { numRuns: 1000 },
  )
})
