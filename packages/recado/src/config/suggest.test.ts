import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editDistance, suggest } from './suggest.ts'

test('the distance counts insertions, removals, replacements and swaps', () => {
  assert.equal(editDistance('port', 'port'), 0)
  assert.equal(editDistance('prt', 'port'), 1)
  assert.equal(editDistance('ports', 'port'), 1)
  assert.equal(editDistance('pert', 'port'), 1)
  assert.equal(editDistance('prot', 'port'), 1)
  assert.equal(editDistance('', 'port'), 4)
})

test('only a close name is suggested', () => {
  assert.equal(suggest('listner', ['listener', 'port']), 'listener')
  assert.equal(suggest('LISTENER', ['listener']), 'listener')
  assert.equal(suggest('frobnicate', ['listener', 'port']), null)
  assert.equal(suggest('x'.repeat(100_000), ['listener']), null)
})
