import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FarLineage } from './far-lineage.ts'

test('a session that is known from the last connection needs nothing released, also after a restart', () => {
  const lineage = new FarLineage()
  assert.equal(lineage.accepted('a', '', false, false, null), true)
  const note = lineage.note('a', '')
  assert.equal(new FarLineage().accepted('a', '', true, true, note), false)
  assert.equal(lineage.accepted('a', '', true, true, note), false)
  assert.equal(lineage.mustRelease(1), false)
})

test('a session at another address, or of a broker that has lost its own, has each identifier released once', () => {
  const lineage = new FarLineage()
  lineage.accepted('a', '', false, false, null)
  assert.equal(lineage.accepted('b', '', true, true, lineage.note('a', '')), true)
  assert.deepEqual([lineage.mustRelease(7), lineage.mustRelease(7)], [true, false])
  assert.deepEqual([lineage.takePubcomp(7), lineage.takePubcomp(7)], [true, false])
  const note = lineage.note('b', '')
  assert.equal(lineage.accepted('b', '', true, true, note), false)
  assert.deepEqual([lineage.mustRelease(7), lineage.mustRelease(8)], [false, true])
  // Released, but not answered: once more on the next connection.
  lineage.accepted('b', '', true, true, note)
  assert.equal(lineage.mustRelease(8), true)
  // A new process does not know which ones have been released.
  const next = new FarLineage()
  assert.equal(next.accepted('b', '', true, true, note), false)
  assert.equal(next.mustRelease(7), true)
  assert.equal(new FarLineage().accepted('b', '', true, false, note), true)
})

test('behind a CONNECT that was not answered the session may be a new one, without subscriptions', () => {
  const lineage = new FarLineage()
  assert.equal(lineage.noteAsked(null), null)
  lineage.accepted('a', '1 b/#', false, false, null)
  const asked = lineage.noteAsked(lineage.note('a', '1 b/#'))
  const next = new FarLineage()
  assert.equal(next.accepted('a', '1 b/#', true, true, asked), false)
  assert.deepEqual([next.isInDoubt, next.hadSubscriptions, next.hasSubscriptions], [true, true, false])
  next.accepted('a', '1 b/#', true, true, next.note('a', '1 b/#'))
  assert.deepEqual([next.isInDoubt, next.hasSubscriptions], [false, true])
})

test('the remote broker has the subscriptions while its session is there and the lines are the same', () => {
  const lineage = new FarLineage()
  lineage.accepted('a', '1 b/#', false, false, null)
  assert.equal(lineage.hasSubscriptions, false)
  const note = lineage.note('a', '1 b/#')
  lineage.accepted('a', '1 b/#', true, true, note)
  assert.equal(lineage.hasSubscriptions, true)
  lineage.accepted('a', '2 b/#', true, true, note)
  assert.equal(lineage.hasSubscriptions, false)
  lineage.accepted('a', '1 b/#', true, true, 'nonsense')
  assert.equal(lineage.hasSubscriptions, false)
})
