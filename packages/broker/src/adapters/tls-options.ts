/**
 * TLS options of an embedder, checked and converted to OpenSSL contexts.
 *
 * `tls-server.ts` calls `contextsFrom` when a listener opens and when its certificates are read again; the program
 * calls `tlsWarnings` for its log. Invariants: a fault throws a `TlsError` that names the option; client certificates
 * are checked against the given authorities only, never against those that Node trusts by itself.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import { MqttError } from '@recado/protocol'
import { derOf, elementAt, elementsIn, Tag } from './tls-der.ts'
import { RevocationLists } from './tls-revocation.ts'

type Pem = string | Uint8Array

/** Certificate and its key. */
export interface TlsKeyPair {
  /** Certificate of this server in PEM, and those between it and the authority. */
  cert: Pem
  /** Private key in PEM. */
  key: Pem
  /** Passphrase of an encrypted key. */
  passphrase?: string
}

/** Options of TLS, with Node's names where Node has one. All texts are contents (PEM), not paths. */
export interface TlsOptions extends Partial<TlsKeyPair> {
  /** Other certificates for clients that ask for these host names (SNI), as in `mqtt.example` or `*.example`. */
  serverNames?: Readonly<Record<string, TlsKeyPair>>
  /**
   * Authorities in PEM that sign client certificates. Those between our own certificate and its authority are sent with
   * it.
   */
  ca?: Pem | readonly Pem[]
  /**
   * Revocation lists in PEM. The authority that has issued a client's certificate must have a valid one; lists of
   * authorities above it are used where they are given.
   */
  crl?: Pem | readonly Pem[]
  /**
   * Policy for client certificates. `none` asks for none. `optional` accepts clients without one. `required` refuses
   * them. A certificate that is given must be valid. Default: `none`; with `ca`, `required`.
   */
  clientCertificate?: 'none' | 'optional' | 'required'
  /** Lowest version. Default: TLSv1.2, so that TLSv1.2 and TLSv1.3 are accepted. */
  minVersion?: 'TLSv1.2' | 'TLSv1.3'
  maxVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** Ciphers of TLS 1.2, in the words of OpenSSL. Default: Node's; with pre-shared keys alone, those for them. */
  ciphers?: string
  /** Suites of TLS 1.3. Default: TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256. */
  ciphersTls13?: string
  /** Parameters for DHE in PEM. Default: those of OpenSSL. */
  dhparam?: Pem
  /**
   * Returns the pre-shared key of an identity, null when there is none. Clients with a key need no certificate, and get
   * none of ours.
   */
  psk?: (identity: string) => Uint8Array | null
  /** Hint that is sent to clients that use a pre-shared key. */
  pskHint?: string
  /**
   * Protocols that the client may name (ALPN), the best first. Default: `mqtt`, or `http/1.1` for WebSocket; an empty
   * list ignores the names of clients.
   */
  alpnProtocols?: readonly string[]
  /**
   * Whether to refuse clients that name only other protocols (RFC 7301). Default: false; they get the first one that
   * they named.
   */
  alpnStrict?: boolean
}

/** Error of an option. `option` is its name in `TlsOptions`. */
export class TlsError extends MqttError {
  override name: string = 'TlsError'
  readonly option: keyof TlsOptions
  constructor(option: keyof TlsOptions, what: string, options?: ErrorOptions) {
    super('ERR_MQTT_TLS', what, options)
    this.option = option
  }
}

export interface TlsContexts {
  /** Context for clients that ask for no name, or for one that is not listed. */
  readonly main: SecureContext
  /** Contexts by lower-case name. */
  readonly byName: ReadonlyMap<string, SecureContext>
  /** Revocation lists; null when clients' certificates are not looked up in any. */
  readonly revocation: RevocationLists | null
  /** Authorities of `ca`. */
  readonly authorities: readonly X509Certificate[]
}

const SUITES_TLS13 = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'
/** All suites of RFC 8446 (B.4). */
const KNOWN_SUITES_TLS13: readonly string[] = [
  ...SUITES_TLS13.split(':'),
  'TLS_AES_128_CCM_SHA256',
  'TLS_AES_128_CCM_8_SHA256',
]
/** Ciphers for pre-shared keys, those with forward secrecy first; all are authenticated by the key. */
const CIPHERS_PSK =
  'ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:DHE-PSK-AES128-GCM-SHA256:DHE-PSK-CHACHA20-POLY1305:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305:ECDHE-PSK-AES256-CBC-SHA384:ECDHE-PSK-AES128-CBC-SHA256:PSK-AES256-CBC-SHA384:PSK-AES128-CBC-SHA256:PSK-AES256-CBC-SHA:PSK-AES128-CBC-SHA'
const SSL_OP_NO_TICKET = 0x4000
/** Context that keeps the sessions of this server apart from those of others in the process. 32 characters at most. */
const SESSION_ID_CONTEXT = 'recado'

export const certificatePolicy = (options: TlsOptions): 'none' | 'optional' | 'required' =>
  options.clientCertificate ?? (options.ca === undefined ? 'none' : 'required')

/** Makes the contexts. @throws TlsError */
export function contextsFrom(options: TlsOptions): TlsContexts {
  const { cert, key, psk, serverNames = {} } = options
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined ? (['key', 'cert'] as const) : (['cert', 'key'] as const)
    throw new TlsError(missing, `${given} is given without ${missing}: give both`)
  }
  if (cert === undefined && psk === undefined)
    throw new TlsError('cert', 'TLS needs a certificate (cert and key) or pre-shared keys (psk)')
  const policy = certificatePolicy(options)
  const authorities = blocksOf(options.ca, 'ca', 'CERTIFICATE')
  const certificates = authorities.map((pem) => certificateFrom(pem, 'ca', ''))
  if (policy !== 'none' && authorities.length === 0) {
    throw new TlsError(
      'ca',
      'client certificates cannot be checked without the certificates of their authorities: give them, or do not ask for client certificates',
    )
  }
  const common: SecureContextOptions = {
    // An empty list: without one Node would accept whatever the public authorities have signed.
    ca: authorities,
    minVersion: options.minVersion ?? 'TLSv1.2',
    maxVersion: options.maxVersion ?? 'TLSv1.3',
    ciphers: ciphersFrom(options),
    honorCipherOrder: true,
    dhparam: options.dhparam === undefined ? 'auto' : dhParametersFrom(options.dhparam),
    sessionIdContext: SESSION_ID_CONTEXT,
  }
  // A session that is resumed by a ticket would not tell which identity it began with.
  if (psk !== undefined) common.secureOptions = SSL_OP_NO_TICKET
  const revocation = options.crl === undefined ? null : revocationFrom(blocksOf(options.crl, 'crl', 'X509 CRL'))
  const byName = new Map<string, SecureContext>()
  for (const [name, pair] of Object.entries(serverNames)) {
    byName.set(name.toLowerCase(), contextFrom(common, pair, ` of ${name}`))
  }
  const main = contextFrom(common, cert === undefined ? null : { ...options, cert, key: key! }, '')
  return { main, byName, authorities: certificates, revocation: policy === 'none' ? null : revocation }
}

function revocationFrom(pems: readonly string[]): RevocationLists {
  try {
    return new RevocationLists(pems)
  } catch (cause) {
    throw new TlsError('crl', (cause as Error).message, { cause })
  }
}

/** Checks DH parameters: Node ignores those that it cannot read. */
function dhParametersFrom(pem: Pem): Buffer {
  const isOther = textOf(pem).includes('-----BEGIN X9.42 DH PARAMETERS-----')
  const [block] = blocksOf(pem, 'dhparam', isOther ? 'X9.42 DH PARAMETERS' : 'DH PARAMETERS')
  const der = derOf(block!)
  try {
    const [prime, generator] = elementsIn(der, elementAt(der, 0, der.length))
    if (prime?.tag === Tag.Integer && generator?.tag === Tag.Integer) return Buffer.from(pem)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  throw new TlsError('dhparam', 'the DH parameters in it cannot be read; `openssl dhparam 2048` makes some')
}

/** Checks the options as `listen` does. @throws TlsError */
export function checkTls(options: TlsOptions): void {
  contextsFrom(options)
}

/**
 * Warnings about faults that do not keep a listener from opening, and yet keep clients away: certificates that are not
 * valid now.
 */
export function tlsWarnings(
  options: TlsOptions,
  nowMs: number = Date.now(),
): { option: keyof TlsOptions; what: string }[] {
  const warnings: { option: keyof TlsOptions; what: string }[] = []
  const check = (option: keyof TlsOptions, pem: string): void => {
    const certificate = new X509Certificate(pem)
    const { subject, validFrom, validTo } = certificate
    const whose = subject?.replaceAll('\n', ', ') ?? 'without a subject'
    if (Date.parse(validTo) < nowMs) {
      warnings.push({
        option,
        what: `the certificate (${whose}) expired on ${validTo}: clients that check it refuse the connection`,
      })
    } else if (Date.parse(validFrom) > nowMs) {
      warnings.push({ option, what: `the certificate (${whose}) is not valid before ${validFrom}` })
    }
  }
  for (const pem of blocksOf(options.cert, 'cert', 'CERTIFICATE')) check('cert', pem)
  if (certificatePolicy(options) === 'none') return warnings
  for (const pem of blocksOf(options.ca, 'ca', 'CERTIFICATE')) check('ca', pem)
  return warnings
}

function contextFrom(common: SecureContextOptions, pair: TlsKeyPair | null, which: string): SecureContext {
  const own: SecureContextOptions = { ...common }
  if (pair !== null) Object.assign(own, { cert: checkedPair(pair, which), key: Buffer.from(pair.key) })
  if (pair?.passphrase !== undefined) own.passphrase = pair.passphrase
  try {
    return process.getBuiltinModule('node:tls').createSecureContext(own)
  } catch (cause) {
    const { message, code } = cause as NodeJS.ErrnoException
    // OpenSSL does not tell which of our options it means.
    const option = /cipher/i.test(message) ? 'ciphers' : /dh|DH/.test(message) ? 'dhparam' : 'cert'
    throw new TlsError(option, `OpenSSL refuses the settings: ${message}${code === undefined ? '' : ` (${code})`}`, {
      cause,
    })
  }
}

/** The certificate chain of a pair whose key is that of its first certificate. */
function checkedPair(pair: TlsKeyPair, which: string): Buffer {
  const [leaf] = blocksOf(pair.cert, 'cert', 'CERTIFICATE', which)
  const certificate = certificateFrom(leaf!, 'cert', which)
  if (!certificate.checkPrivateKey(privateKeyOf(pair, which))) {
    throw new TlsError('key', `the private key${which} does not belong to the certificate`)
  }
  return Buffer.from(pair.cert)
}

function certificateFrom(pem: string, option: keyof TlsOptions, which: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    const what = `the certificate${which} cannot be read: ${(cause as Error).message}`
    throw new TlsError(option, what, { cause })
  }
}

function privateKeyOf({ key, passphrase }: TlsKeyPair, which: string): KeyObject {
  const text = textOf(key)
  try {
    return createPrivateKey(passphrase === undefined ? text : { key: text, passphrase })
  } catch (cause) {
    if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
      throw new TlsError('key', `the text has no private key${which} (PEM, "-----BEGIN PRIVATE KEY-----")`, {
        cause,
      })
    }
    const isEncrypted = text.includes('ENCRYPTED')
    const why = isEncrypted
      ? passphrase === undefined
        ? 'it is encrypted, and no passphrase is given; `openssl pkey -in KEY -out PLAIN` decrypts it'
        : 'the passphrase is wrong'
      : (cause as Error).message
    throw new TlsError('key', `the private key${which} cannot be read: ${why}`, { cause })
  }
}

const textOf = (pem: Pem): string => (typeof pem === 'string' ? pem : Buffer.from(pem).toString('latin1'))

/** Returns the PEM blocks of one kind, each once. @throws TlsError when something is given and has none */
function blocksOf(pem: Pem | readonly Pem[] | undefined, option: keyof TlsOptions, kind: string, which = ''): string[] {
  if (pem === undefined) return []
  const texts = (Array.isArray(pem) ? (pem as readonly Pem[]) : [pem as Pem]).map(textOf)
  const blocks = new Set(texts.flatMap((text) => blocksIn(text, kind)))
  if (blocks.size === 0)
    throw new TlsError(option, `the text${which} has no block that begins with "-----BEGIN ${kind}-----"`)
  return [...blocks]
}

/** Blocks from each line that begins one to the next line that ends one; a block without an end is ignored. */
function blocksIn(text: string, kind: string): string[] {
  const marks = (word: string): string[] => [`-----${word} ${kind}-----`, `-----${word} TRUSTED ${kind}-----`]
  const next = (mark: string[], from: number): { at: number; end: number } | null => {
    const found = mark
      .map((each) => ({ at: text.indexOf(each, from), end: text.indexOf(each, from) + each.length }))
      .filter(({ at }) => at !== -1)
    return found.length === 0 ? null : found.reduce((a, b) => (a.at < b.at ? a : b))
  }
  const blocks: string[] = []
  for (let from = 0; ; ) {
    const begin = next(marks('BEGIN'), from)
    const end = begin === null ? null : next(marks('END'), begin.end)
    if (begin === null || end === null) return blocks
    blocks.push(text.slice(begin.at, end.end))
    from = end.end
  }
}

function ciphersFrom({ ciphers, ciphersTls13, cert, psk }: TlsOptions): string {
  // Node ignores names that it does not know.
  for (const suite of ciphersTls13?.split(':') ?? []) {
    if (KNOWN_SUITES_TLS13.includes(suite)) continue
    throw new TlsError('ciphersTls13', `"${suite}" is not a suite of TLS 1.3; use ${KNOWN_SUITES_TLS13.join(', ')}`)
  }
  const older: string[] = []
  if (ciphers !== undefined) older.push(ciphers)
  else {
    if (psk !== undefined) older.push(CIPHERS_PSK)
    // Node's own list, without the entries that exclude pre-shared keys.
    const own = process
      .getBuiltinModule('node:tls')
      .DEFAULT_CIPHERS.split(':')
      .filter((each) => !each.startsWith('TLS_') && !(psk !== undefined && each === '!PSK'))
    if (cert !== undefined) older.push(...own)
  }
  // Node takes both kinds in one list, and turns TLS 1.3 off when it has none of its suites.
  return `${ciphersTls13 ?? SUITES_TLS13}:${older.join(':')}`
}
