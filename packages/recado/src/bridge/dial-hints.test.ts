import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hintFor } from '@recado/client/low-level'
import { dialFailure, isOfTls } from './dial-hints.ts'

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

test('what a server says in TLS about our certificate is told in words, without the numbers of OpenSSL', () => {
  for (const [code, text, pattern] of [
    [
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      '802C05F08E7F0000:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/a.c:1601:SSL alert number 116\n',
      /^the connection broke: tlsv13 alert certificate required \(.*bridge_certfile, with its key as bridge_keyfile\)$/,
    ],
    [
      'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
      'error:05800074:x509 certificate routines::key values mismatch',
      /^the connection broke: key values mismatch \(the key in bridge_keyfile .*\)$/,
    ],
  ] as const) {
    const error = new Error(`the connection broke: ${text}`, { cause: Object.assign(new Error(text), { code }) })
    assert.match(dialFailure(error), pattern)
    assert.equal(isOfTls(error), true)
  }
  assert.equal(isOfTls(new Error('stopped')), false)
})

test('a server that closes in the middle of the handshake speaks no TLS, it seems', () => {
  const cause = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  const failed = new Error('TLS handshake with mqtts://hub:1883 failed: read ECONNRESET', { cause })
  assert.match(dialFailure(failed), /does not speak TLS, it seems: use the TLS port/)
})

test('other remedies stay as they are, and so does an error without one', () => {
  assert.match(dialFailure(failure('ECONNREFUSED')), /\(nothing listens there: .*\)$/)
  assert.equal(dialFailure(new Error('stopped')), 'stopped')
})
