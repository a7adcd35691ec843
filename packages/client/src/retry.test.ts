import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionError, ReasonCode } from '@recado/protocol'
import { ConnectionRefusedError, DisconnectedError, KeepAliveError, TlsError, UnreachableError } from './errors.ts'
import { mayRetry } from './retry.ts'

const tls = (code?: string): TlsError => new TlsError('x', { cause: Object.assign(new Error('x'), code && { code }) })
const refused = (reasonCode: ReasonCode): ConnectionRefusedError =>
  new ConnectionRefusedError(reasonCode, reasonCode, {})

test('a TLS handshake that was broken off is tried again; a bad certificate only where a good one was before', () => {
  for (const code of [undefined, 'ECONNRESET', 'EPIPE']) assert.equal(mayRetry(tls(code), {}, false), true)
  for (const code of ['CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'EPROTO']) {
    assert.equal(mayRetry(tls(code), {}, false), false)
    assert.equal(mayRetry(tls(code), {}, true), true)
  }
})

test('refused credentials are final, unless a function may find others for a server that knew us', () => {
  const credentials = (): object => ({})
  for (const code of [ReasonCode.NotAuthorized, ReasonCode.BadUserNameOrPassword]) {
    assert.equal(mayRetry(refused(code), {}, true), false)
    assert.equal(mayRetry(refused(code), { credentials }, false), false)
    assert.equal(mayRetry(refused(code), { credentials }, true), true)
  }
  assert.equal(mayRetry(refused(ReasonCode.Banned), { credentials }, true), false)
})

test('other servers are looked for only where they are named, and everything else is tried again', () => {
  const moved = (serverReference?: string): DisconnectedError =>
    new DisconnectedError(ReasonCode.ServerMoved, serverReference === undefined ? {} : { serverReference })
  assert.equal(mayRetry(moved(), {}, true), false)
  assert.equal(mayRetry(moved('other'), {}, true), true)
  assert.equal(mayRetry(new OptionError('x'), {}, true), false)
  for (const error of [new UnreachableError('x'), new KeepAliveError('x'), refused(ReasonCode.ServerBusy)]) {
    assert.equal(mayRetry(error, {}, false), true)
    assert.equal(mayRetry(error, { reconnect: false }, true), false)
    assert.equal(mayRetry(error, { reconnect: { retry: () => false } }, true), false)
  }
})

test('errors say what to do', () => {
  assert.match(refused(ReasonCode.BadUserNameOrPassword).message, /check username and password, or credentials$/)
  assert.match(new DisconnectedError(ReasonCode.SessionTakenOver, {}).message, /give each client its own$/)
})
