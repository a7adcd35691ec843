import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstOf } from './access.ts'
import type { AuthenticationSource } from './hooks.ts'
import type { ClientInfo, ConnectDecision, ConnectRequest } from './ports.ts'

const request = {} as ConnectRequest
const client = {} as ClientInfo
const never: AuthenticationSource = { authenticate: () => assert.fail('is asked') }

test('firstOf asks until one does not say null, at once or later', async () => {
  const none: AuthenticationSource = { authenticate: () => null }
  const lateNone: AuthenticationSource = { authenticate: () => Promise.resolve(null) }
  assert.equal(firstOf(none, { authenticate: () => false }, never).authenticate(request), false)
  assert.equal(await firstOf(lateNone, none, { authenticate: async () => true }, never).authenticate(request), true)
  assert.equal(await firstOf(none, lateNone).authenticate(request), null)
})

test('firstOf gives each credential back to the source that it is of', async () => {
  const source = (name: string, valid: boolean): AuthenticationSource => ({
    authenticate: ({ clientId }) => (clientId === name ? { credential: name } : null),
    isStillValid: (_, credential) => {
      assert.equal(credential, name)
      return valid
    },
  })
  const both = firstOf(source('a', true), source('b', false))
  const credential = (clientId: string): unknown =>
    (both.authenticate({ clientId } as ConnectRequest) as ConnectDecision).credential
  assert.equal(both.isStillValid?.(client, credential('a')), true)
  assert.equal(both.isStillValid?.(client, credential('b')), false)
  assert.equal(both.isStillValid?.(client, undefined), true)
})

test('firstOf asks all about a credential that is none of theirs, as of SCRAM beside a password file', () => {
  const valid = (answer: boolean): AuthenticationSource => ({ authenticate: () => null, isStillValid: () => answer })
  assert.equal(firstOf(valid(true), never, valid(true)).isStillValid?.(client, 'x'), true)
  assert.equal(firstOf(valid(true), valid(false)).isStillValid?.(client, 'x'), false)
})

test('an answer that is no boolean is passed on, so that the broker refuses and reports it: a promise is no yes', () => {
  const late = Promise.resolve(true) as never
  const source: AuthenticationSource = { authenticate: () => null, isStillValid: () => late }
  assert.equal(firstOf(source).isStillValid?.(client, 'x'), late)
})
