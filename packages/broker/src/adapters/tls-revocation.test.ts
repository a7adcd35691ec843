import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { TestAuthority } from '../testing/certificates.ts'
import { derOf } from './tls-der.ts'
import { RevocationLists } from './tls-revocation.ts'

const root = new TestAuthority('root')
const inner = new TestAuthority('inner', { issuer: root })
const good = inner.issue('good')
const bad = inner.issue('bad')
const now = Date.now()
const authorities = [root, inner].map(({ cert }) => new X509Certificate(cert))
const check = (lists: string[], { cert }: { cert: string }): string | null =>
  new RevocationLists(lists).check(new X509Certificate(cert), authorities, now)

test('the list of the issuing authority decides; that of the root does not stand for it', () => {
  const list = inner.revocationList(bad)
  assert.equal(check([list], good), null)
  assert.equal(check([list], bad), 'CERT_REVOKED')
  assert.equal(check([root.revocationList()], good), 'UNABLE_TO_GET_CRL')
  assert.equal(check([root.revocationList(), list], good), null)
})

test('a list that has expired lets nobody in, and still keeps those out that are in it', () => {
  const old = inner.revocationListUntil(new Date(now - 1_000), bad)
  assert.equal(check([old], good), 'CRL_HAS_EXPIRED')
  assert.equal(check([old], bad), 'CERT_REVOKED')
  assert.equal(check([old, inner.revocationList()], good), null)
  assert.equal(check([old, inner.revocationList()], bad), 'CERT_REVOKED')
})

test('a list counts with the signature of the authority only', () => {
  const impostor = new TestAuthority('inner')
  assert.equal(check([impostor.revocationList()], good), 'CRL_SIGNATURE_FAILURE')
  assert.equal(check([impostor.revocationList(), inner.revocationList()], good), null)
})

test('an intermediate that the root has taken back takes its clients with it', () => {
  const other = new TestAuthority('other', { issuer: root })
  const client = other.issue('client')
  const serial = Buffer.from(new X509Certificate(other.cert).serialNumber, 'hex')
  const lists = new RevocationLists([other.revocationList(), root.revocationList({ cert: '', key: '', serial })])
  const all = [root.cert, other.cert].map((pem) => new X509Certificate(pem))
  assert.equal(lists.check(new X509Certificate(client.cert), all, now), 'CERT_REVOKED')
})

test('any change to a list is an error or a signature that is wrong, and never the end of the process', () => {
  const der = derOf(inner.revocationList(bad))
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(der.length), (at, bits, cut) => {
      const changed = Buffer.from(der)
      changed[at]! ^= bits
      for (const bytes of [changed, der.subarray(0, cut)]) {
        const pem = `-----BEGIN X509 CRL-----\n${bytes.toString('base64')}\n-----END X509 CRL-----`
        try {
          const lists = new RevocationLists([pem])
          const error = lists.check(new X509Certificate(good.cert), authorities, now)
          if (!bytes.equals(der)) assert.match(String(error), /^(CRL_SIGNATURE_FAILURE|UNABLE_TO_GET_CRL)$/)
        } catch (error) {
          assert.match((error as Error).message, /^a revocation list cannot be read: /)
        }
      }
    }),
    { numRuns: 500 },
  )
})
