/**
 * Certificate revocation lists: client certificates that their authorities have revoked.
 *
 * `tls-options.ts` reads them with the other files, `tls-server.ts` asks about every client certificate that OpenSSL
 * has found valid otherwise. Node can only ask OpenSSL for a list of every authority in the chain, up to the root's
 * own; Mosquitto, and so we, require one of the authority that has issued the client's certificate. Beyond Mosquitto a
 * list of another authority in the chain is used where it is given.
 *
 * Invariants: a list counts only while it is valid and only with the signature of the authority; without one that
 * counts the client is refused. Delta lists and those for other kinds of certificates are skipped, a critical extension
 * that is not understood is an error.
 *
 * Source: RFC 5280 sections 5 and 6.3; the names of errors are OpenSSL's.
 */
import { constants, verify, type X509Certificate } from 'node:crypto'
import {
  contentOf,
  derOf,
  type Element,
  elementAt,
  elementsIn,
  objectIdentifierOf,
  Tag,
  timeOf,
  wholeOf,
} from './tls-der.ts'

interface RevocationList {
  /** DER of the issuer's name, in hex. */
  readonly issuer: string
  readonly fromMs: number
  readonly toMs: number
  /** Serial numbers of revoked certificates, in hex. */
  readonly revoked: ReadonlySet<string>
  readonly body: Uint8Array
  readonly algorithm: Uint8Array
  readonly signature: Uint8Array
}

const HASHES: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.5': 'sha1',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.10045.4.1': 'sha1',
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  // The algorithm hashes by itself.
  '1.3.101.112': null,
  '1.3.101.113': null,
}
const RSA_PSS = '1.2.840.113549.1.1.10'
const PSS_HASHES: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}
const Extension = {
  Number: '2.5.29.20',
  AuthorityKey: '2.5.29.35',
  DeltaIndicator: '2.5.29.27',
  DistributionPoint: '2.5.29.28',
} as const
/**
 * Tags of an Issuing Distribution Point for lists of authorities only, of attributes only, and those of indirect
 * issuers.
 */
const OTHER_KINDS: readonly number[] = [0x82, 0x85]
const INDIRECT = 0x84

export class RevocationLists {
  readonly #byIssuer: Map<string, RevocationList[]> = new Map()
  /** Whether a list has the signature of a certificate, by list and fingerprint of the certificate. */
  readonly #signed: Map<string, boolean> = new Map()

  /**
   * @param pems the lists, one PEM block each
   * @throws Error for one that is no revocation list, or has a critical part that is not understood
   */
  constructor(pems: readonly string[]) {
    for (const pem of pems) {
      let list: RevocationList | null
      try {
        list = listFrom(derOf(pem))
      } catch (cause) {
        throw new Error(`a revocation list cannot be read: ${(cause as Error).message}`, { cause })
      }
      if (list === null) continue
      const known = this.#byIssuer.get(list.issuer)
      if (known === undefined) this.#byIssuer.set(list.issuer, [list])
      else known.push(list)
    }
  }

  /**
   * Checks a certificate: null when it is not revoked, else OpenSSL's name of the error. `authorities` are certificates
   * that may have issued it, or those above it.
   */
  check(certificate: X509Certificate, authorities: readonly X509Certificate[], nowMs: number): string | null {
    let current: X509Certificate = certificate
    // OpenSSL accepts no longer chain.
    for (let depth = 0; depth < 100; depth++) {
      const issuer = authorities.find((each) => current.checkIssued(each) && current.verify(each.publicKey))
      const error = this.#checkOne(current, issuer, nowMs)
      if (error !== null && (depth === 0 || error === 'CERT_REVOKED')) return error
      if (issuer === undefined || issuer.fingerprint256 === current.fingerprint256) return null
      current = issuer
    }
    return null
  }

  #checkOne(certificate: X509Certificate, issuer: X509Certificate | undefined, nowMs: number): string | null {
    const { name, serial } = idOf(certificate.raw)
    const lists = this.#byIssuer.get(name)
    if (lists === undefined || issuer === undefined) return 'UNABLE_TO_GET_CRL'
    let error: string | null = 'UNABLE_TO_GET_CRL'
    let isGood = false
    for (const list of lists) {
      if (!this.#isSigned(list, issuer)) error = 'CRL_SIGNATURE_FAILURE'
      else if (list.revoked.has(serial)) return 'CERT_REVOKED'
      else if (list.fromMs > nowMs) error = 'CRL_NOT_YET_VALID'
      else if (list.toMs < nowMs) error = 'CRL_HAS_EXPIRED'
      else isGood = true
    }
    if (isGood) error = null
    return error
  }

  #isSigned(list: RevocationList, issuer: X509Certificate): boolean {
    const key = `${issuer.fingerprint256} ${Buffer.from(list.signature).toString('hex')}`
    let isSigned = this.#signed.get(key)
    if (isSigned === undefined) {
      isSigned = hasSignature(list, issuer)
      // Only certificates of authorities that OpenSSL has accepted come here: few.
      this.#signed.set(key, isSigned)
    }
    return isSigned
  }
}

function hasSignature({ body, algorithm, signature }: RevocationList, { publicKey }: X509Certificate): boolean {
  const [id, parameters] = elementsIn(algorithm, elementAt(algorithm, 0, algorithm.length))
  const name = objectIdentifierOf(contentOf(algorithm, id!))
  try {
    if (name !== RSA_PSS) {
      const hash = HASHES[name]
      return hash !== undefined && verify(hash, body, publicKey, signature)
    }
    const hash = parameters === undefined ? undefined : PSS_HASHES[pssHashOf(algorithm, parameters)]
    const padding = constants.RSA_PKCS1_PSS_PADDING
    const saltLength = constants.RSA_PSS_SALTLEN_AUTO
    return hash !== undefined && verify(hash, body, { key: publicKey, padding, saltLength }, signature)
  } catch {
    // The key is of another kind than the signature's.
    return false
  }
}

/** Returns the hash in `[0] { OBJECT IDENTIFIER … }`. */
function pssHashOf(bytes: Uint8Array, parameters: Element): string {
  const [tagged] = elementsIn(bytes, parameters)
  if (tagged === undefined || tagged.tag !== 0xa0) return ''
  const [id] = elementsIn(bytes, elementAt(bytes, tagged.start, tagged.end))
  return id === undefined ? '' : objectIdentifierOf(contentOf(bytes, id))
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Issuer's name and serial number of a certificate. */
function idOf(der: Uint8Array): { name: string; serial: string } {
  const [body] = elementsIn(der, elementAt(der, 0, der.length))
  const elements = elementsIn(der, body!)
  const [serial, , issuer] = elements[0]!.tag === Tag.Integer ? elements : elements.slice(1)
  return { name: hexOf(wholeOf(der, issuer!)), serial: hexOf(contentOf(der, serial!)) }
}

/** Parses a list; null for one that says nothing about the certificates of clients. */
function listFrom(der: Uint8Array): RevocationList | null {
  const whole = elementAt(der, 0, der.length)
  const [body, algorithm, signature] = elementsIn(der, whole)
  const isList = whole.tag === Tag.Sequence && whole.end === der.length && body?.tag === Tag.Sequence
  // A signature has no unused bits.
  if (!isList || algorithm === undefined || signature?.tag !== Tag.BitString || der[signature.start] !== 0) {
    throw new RangeError('it is not a revocation list, or has no signature')
  }
  let elements = elementsIn(der, body)
  if (elements[0]?.tag === Tag.Integer) elements = elements.slice(1)
  const [signedAlgorithm, issuer, from, ...rest] = elements
  // RFC 5280 section 5.1.1.2: the copy outside of the signature must be the same.
  if (signedAlgorithm === undefined || hexOf(wholeOf(der, signedAlgorithm)) !== hexOf(wholeOf(der, algorithm))) {
    throw new RangeError('it names two different signature algorithms')
  }
  if (issuer === undefined || from === undefined) throw new RangeError('it has no issuer or no date')
  const isTime = ({ tag }: Element): boolean => tag === Tag.UtcTime || tag === Tag.GeneralizedTime
  const to = rest.find(isTime)
  const entries = rest.find(({ tag }) => tag === Tag.Sequence)
  const extensions = rest.find(({ tag }) => tag === 0xa0)
  if (extensions !== undefined && !isAboutClients(der, extensions)) return null
  const revoked = new Set<string>()
  for (let at = entries?.start ?? 0; at < (entries?.end ?? 0); ) {
    const entry = elementAt(der, at, entries!.end)
    revoked.add(hexOf(contentOf(der, elementAt(der, entry.start, entry.end))))
    at = entry.end
  }
  return {
    issuer: hexOf(wholeOf(der, issuer)),
    fromMs: timeOf(der, from),
    toMs: to === undefined ? Number.POSITIVE_INFINITY : timeOf(der, to),
    revoked,
    body: wholeOf(der, body),
    algorithm: wholeOf(der, algorithm),
    // The content begins behind the number of unused bits.
    signature: contentOf(der, signature).subarray(1),
  }
}

/** Whether a list is about clients' certificates. @throws Error for a critical part that is not understood */
function isAboutClients(der: Uint8Array, tagged: Element): boolean {
  const [all] = elementsIn(der, tagged)
  for (const extension of elementsIn(der, all!)) {
    const parts = elementsIn(der, extension)
    const name = objectIdentifierOf(contentOf(der, parts[0]!))
    const value = parts.at(-1)!
    if (name === Extension.DeltaIndicator) return false
    if (name === Extension.DistributionPoint) {
      const fields = elementsIn(der, elementAt(der, value.start, value.end))
      if (fields.some(({ tag }) => tag === INDIRECT))
        throw new Error('it lists certificates of other authorities (indirect), which is not supported')
      if (fields.some(({ tag }) => OTHER_KINDS.includes(tag))) return false
    } else if (name !== Extension.Number && name !== Extension.AuthorityKey && parts.length === 3) {
      throw new Error(`it has the critical extension ${name}, which is not supported`)
    }
  }
  return true
}
