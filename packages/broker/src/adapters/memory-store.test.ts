import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeSuite } from '../testing/store-suite.ts'
import { memory } from './memory-store.ts'

storeSuite('memory', async () => {
  const store = memory()
  return { store, dispose: () => store.close() }
})

test('memory says that it is not persistent', () => {
  assert.equal(memory().isPersistent, false)
})
