/**
 * Certificates for tests, made on the spot and without OpenSSL's program: authorities, servers, clients, also expired ones, ones
 * with odd names, and lists of revoked ones. P-256 and SHA-256; DER written by hand, as much of it as these need.
 *
 *     const ca = new TestAuthority('test CA')
 *     const { cert, key } = ca.issue('localhost', { altNames: ['localhost', '127.0.0.1'] })
 *
 * Source: RFC 5280 (certificates and revocation lists), X.690 (DER).
 */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

/** `[['O', 'Example'], ['CN', 'ada']]`, the most general part first. */
export type TestName = readonly (readonly [keyof typeof nameParts, string])[]

export interface TestCertificate {
  /** PEM, both. */
  readonly cert: string
  readonly key: string
  readonly serial: Uint8Array
}

export interface IssueOptions {
  /** Host names and IPv4 addresses. */
  altNames?: readonly string[]
  /** Instead of a common name alone. */
  subject?: TestName
  validFrom?: Date
  validTo?: Date
}

const DAY_MS = 86_400_000
const nameParts = { CN: '2.5.4.3', C: '2.5.4.6', O: '2.5.4.10', OU: '2.5.4.11' } as const

export class TestAuthority {
  readonly cert: string
  readonly #subject: Uint8Array
  readonly #key: KeyObject
  readonly #keyId: Uint8Array

  /** `issuer`: it is an intermediate, signed by that one instead of by itself. */
  constructor(commonName: string, options: { validTo?: Date; issuer?: TestAuthority } = {}) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#key = privateKey
    this.#subject = encodeName([['CN', commonName]])
    const publicDer = publicKey.export({ type: 'spki', format: 'der' })
    this.#keyId = keyIdOf(publicDer)
    const isAuthority = extension('2.5.29.19', sequence(boolean(true)), true)
    const usage = extension('2.5.29.15', Uint8Array.of(3, 2, 1, 0x06), true)
    const extensions = [isAuthority, usage, extension('2.5.29.14', octets(this.#keyId))]
    const issuer = options.issuer ?? this
    this.cert = issuer.#certificate(this.#subject, publicDer, extensions, randomBytes(8), options)
  }

  issue(commonName: string, options: IssueOptions = {}): TestCertificate {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const extensions = [extension('2.5.29.35', sequence(tagged(0x80, this.#keyId)))]
    if (options.altNames !== undefined) {
      const names = options.altNames.map((name) =>
        isIPv4(name) ? tagged(0x87, Uint8Array.from(name.split('.').map(Number))) : tagged(0x82, Buffer.from(name)),
      )
      extensions.push(extension('2.5.29.17', sequence(...names)))
    }
    const serial = randomBytes(8)
    const subject = encodeName(options.subject ?? [['CN', commonName]])
    const publicDer = publicKey.export({ type: 'spki', format: 'der' })
    return {
      cert: this.#certificate(subject, publicDer, extensions, serial, options),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      serial,
    }
  }

  /** PEM: the list of those that are revoked. */
  revocationList(...revoked: TestCertificate[]): string {
    return this.revocationListUntil(new Date(Date.now() + DAY_MS), ...revoked)
  }

  revocationListUntil(validTo: Date, ...revoked: TestCertificate[]): string {
    const now = new Date()
    const entries = revoked.map(({ serial }) => sequence(integer(serial), time(now)))
    const list = sequence(
      integer(Uint8Array.of(1)),
      ECDSA_SHA256,
      this.#subject,
      time(new Date(now.getTime() - DAY_MS)),
      time(validTo),
      ...(entries.length > 0 ? [sequence(...entries)] : []),
      tagged(
        0xa0,
        sequence(
          extension('2.5.29.35', sequence(tagged(0x80, this.#keyId))),
          extension('2.5.29.20', integer(Uint8Array.of(1))),
        ),
      ),
    )
    return this.#signed(list, 'X509 CRL')
  }

  #certificate(
    subject: Uint8Array,
    publicDer: Uint8Array,
    extensions: Uint8Array[],
    serial: Uint8Array,
    { validFrom = new Date(Date.now() - DAY_MS), validTo = new Date(Date.now() + 3650 * DAY_MS) }: IssueOptions,
  ): string {
    const certificate = sequence(
      tagged(0xa0, integer(Uint8Array.of(2))),
      integer(serial),
      ECDSA_SHA256,
      this.#subject,
      sequence(time(validFrom), time(validTo)),
      subject,
      publicDer,
      tagged(0xa3, sequence(...extensions)),
    )
    return this.#signed(certificate, 'CERTIFICATE')
  }

  #signed(body: Uint8Array, kind: string): string {
    const signature = sign('sha256', body, this.#key)
    const der = sequence(body, ECDSA_SHA256, tagged(3, Uint8Array.of(0), signature))
    const lines = Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g)!
    return `-----BEGIN ${kind}-----\n${lines.join('\n')}\n-----END ${kind}-----\n`
  }
}

// --- DER ------------------------------------------------------------------------------------------------------------

function tagged(tag: number, ...contents: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(contents)
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Uint8Array.of(tag, ...size), body])
}

const sequence = (...parts: Uint8Array[]): Uint8Array => tagged(0x30, ...parts)
const octets = (bytes: Uint8Array): Uint8Array => tagged(4, bytes)
const boolean = (value: boolean): Uint8Array => tagged(1, Uint8Array.of(value ? 0xff : 0))

/** Positive; with a zero before it where its first bit is set, and none else. */
function integer(bytes: Uint8Array): Uint8Array {
  let from = 0
  while (from < bytes.length - 1 && bytes[from] === 0 && bytes[from + 1]! < 0x80) from++
  const body = bytes.subarray(from)
  return body[0]! < 0x80 ? tagged(2, body) : tagged(2, Uint8Array.of(0), body)
}

function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return tagged(6, Uint8Array.from(bytes))
}

const ECDSA_SHA256: Uint8Array = sequence(oid('1.2.840.10045.4.3.2'))

function encodeName(name: TestName): Uint8Array {
  // A country is two letters of PrintableString; all else is UTF-8.
  const parts = name.map(([part, value]) =>
    tagged(0x31, sequence(oid(nameParts[part]), tagged(part === 'C' ? 0x13 : 0x0c, Buffer.from(value)))),
  )
  return sequence(...parts)
}

/** UTCTime up to 2049, GeneralizedTime from then on. */
function time(date: Date): Uint8Array {
  const text = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
  return date.getUTCFullYear() < 2050 ? tagged(0x17, Buffer.from(text.slice(2))) : tagged(0x18, Buffer.from(text))
}

function extension(id: string, value: Uint8Array, isCritical = false): Uint8Array {
  return isCritical ? sequence(oid(id), boolean(true), octets(value)) : sequence(oid(id), octets(value))
}

function keyIdOf(publicDer: Uint8Array): Uint8Array {
  const { x, y } = createPublicKey({ key: Buffer.from(publicDer), format: 'der', type: 'spki' }).export({
    format: 'jwk',
  })
  const point = Buffer.concat([Uint8Array.of(4), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')])
  return createHash('sha1').update(point).digest()
}
