import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DetailedPeerCertificate } from 'node:tls'
import { Findings } from './findings.ts'
import { checkClock, judgeCertificates } from './network.ts'

const NOW = Date.UTC(2026, 5, 1)
const DAY = 86_400_000

function certificate(name: string, fromDays: number, toDays: number, more: object = {}): DetailedPeerCertificate {
  const at = (days: number): string => new Date(NOW + days * DAY).toUTCString()
  return {
    subject: { CN: name },
    subjectaltname: `DNS:${name}`,
    valid_from: at(fromDays),
    valid_to: at(toDays),
    ...more,
  } as unknown as DetailedPeerCertificate
}

function judged(given: DetailedPeerCertificate, host: string, authorizationError: string | null = null): string[] {
  const findings = new Findings(() => undefined)
  judgeCertificates(given, { host, authorizationError, now: NOW }, findings)
  return findings.all.map(({ state, text }) => `${state}: ${text}`)
}

test('a chain is judged by dates, names, keys and trust', () => {
  const root = certificate('root', -1_000, 1_000)
  assert.deepEqual(judged(certificate('a.example', -10, 100, { issuerCertificate: root }), 'a.example'), [
    'ok: the certificate "a.example" is valid for 100 days',
    'ok: the certificate "root" is valid for 1000 days',
  ])
  assert.deepEqual(judged(certificate('a.example', -100, -2.5), 'a.example', 'certificate has expired'), [
    'fault: the certificate "a.example" has expired 3 days ago',
  ])
  assert.deepEqual(judged(certificate('a.example', -100, 29.5), 'a.example'), [
    'warning: the certificate "a.example" expires in 29 days',
  ])
  assert.deepEqual(judged(certificate('a.example', 1, 100), 'a.example'), [
    'fault: the certificate "a.example" is valid only from 2026-06-02T00:00:00.000Z on',
  ])
  assert.deepEqual(judged(certificate('a.example', -1, 100), 'b.example'), [
    'fault: the certificate is not for b.example: it has DNS:a.example',
    'ok: the certificate "a.example" is valid for 100 days',
  ])
  assert.deepEqual(
    judged(certificate('a.example', -1, 100, { bits: 1_024 }), 'a.example', 'unable to verify the first certificate'),
    [
      'ok: the certificate "a.example" is valid for 100 days',
      'warning: the RSA key of the certificate "a.example" has only 1024 bits',
      'fault: the chain of certificates is not trusted: unable to verify the first certificate',
    ],
  )
  assert.deepEqual(judged({} as DetailedPeerCertificate, 'a.example'), [
    'note: the server presents no certificate (pre-shared keys)',
  ])
})

test('a certificate that has issued itself ends the chain', () => {
  const own = certificate('a.example', -1, 100)
  own.issuerCertificate = own
  assert.equal(judged(own, 'a.example').length, 1)
})

test('a clock that is too early is a fault', () => {
  const findings = new Findings(() => undefined)
  checkClock(findings, Date.UTC(2000, 0, 1))
  checkClock(findings, NOW)
  assert.deepEqual(
    findings.all.map(({ text }) => text),
    ['this machine says that it is 2000-01-01T00:00:00.000Z'],
  )
})
