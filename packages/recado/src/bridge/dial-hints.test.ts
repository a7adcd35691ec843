import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hintFor } from '@recado/client/low-level'
import { dialFailure } from './dial-hints.ts'

function failure(code: string): Error {
  const cause = Object.assign(new Error('cause'), { code })
  return new Error(`cannot connect to hub:8883: cause${hintFor(cause)}`, { cause })
}

test('remedies name options of mosquitto.conf, and never those of the client library', () => {
  for (const [code, option] of [
    ['SELF_SIGNED_CERT_IN_CHAIN', 'bridge_cafile'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'bridge_insecure true'],
    ['EADDRNOTAVAIL', 'bridge_bind_address'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'bridge_cafile'],
  ] as const) {
    const text = dialFailure(failure(code))
    assert.match(text, /^cannot connect to hub:8883: cause \([^()]+\)$/)
    assert.ok(text.includes(option), text)
    assert.doesNotMatch(text, /tls\.|localAddress|mqtts?:\/\//)
  }
})

test('other remedies stay as they are, and so does an error without one', () => {
  assert.match(dialFailure(failure('ECONNREFUSED')), /\(nothing listens there: .*\)$/)
  assert.equal(dialFailure(new Error('stopped')), 'stopped')
})
