import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stampedPayload } from './sparkplug.ts'

test('an NDEATH has the time of its publication, and one that is empty stays empty', () => {
  const topic = 'spBv1.0/g/NDEATH/n'
  assert.equal(stampedPayload(topic, '\x08\x01\x18\x05', 3), '\x08\x03\x18\x05')
  assert.equal(stampedPayload(topic, '', 3), '')
  assert.equal(stampedPayload('spBv1.0/g/NDATA/n', '\x08\x01', 3), '\x08\x01')
})
