/** The error when LMDB is not installed; `tools/pack.test.mjs` has the case itself, in a project without it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lmdbError } from './stores.ts'

const failure = (message: string, code: string): Error => Object.assign(new Error(message), { code })

test('a package that is not installed is named, with the command that installs it', () => {
  const cause = failure(
    "Cannot find package 'lmdb' imported from /app/adapters/lmdb-environment.js",
    'ERR_MODULE_NOT_FOUND',
  )
  const error = lmdbError(cause)
  assert.equal(error.code, 'ERR_MQTT_STORE_PACKAGE')
  assert.match(
    error.message,
    /^A store on the disk needs LMDB, and the package lmdb is not installed: npm install lmdb@3\./,
  )
  assert.equal(error.cause, cause)
})

test('a package without a binary for this system is told apart, with what it says itself', () => {
  const error = lmdbError(failure('No native build was found for platform=sunos', 'MODULE_NOT_FOUND'))
  assert.match(error.message, /cannot be loaded \(No native build was found for platform=sunos\)/)
  assert.match(error.message, /npm install lmdb@3, with its optional dependencies/)
})
