import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeliveryRights } from './rights.ts'

test('a right that is another at this moment was allowed and denied at it', () => {
  const rights = new DeliveryRights()
  rights.set('a', 't', true, 10)
  assert.equal(rights.hasChangedAt('a', 't', 10), true)
  assert.equal(rights.hasChangedAt('a', 't', 11), false)
  assert.equal(rights.hasChangedAt('a', 'u', 10), false)
  rights.set('a', 't', true, 12)
  assert.equal(rights.hasChangedAt('a', 't', 12), false, 'denied again is no change')
})

test('a user to whom nothing is denied leaves, and the rights are those of the next one from this moment', () => {
  const rights = new DeliveryRights()
  rights.set('a', 't', true, 10)
  rights.isUser('a', 'free', 20)
  assert.equal(rights.hasChangedAt('a', 't', 20), true)
  rights.isUser('a', '', 30)
  assert.equal(rights.hasChangedAt('a', 't', 30), true)
  assert.equal(rights.mayReceive('a', 't'), false)
})
