/**
 * The alert that tells a client why its certificate is refused, as OpenSSL's servers send it.
 *
 * Node lets OpenSSL accept every client certificate and leaves the refusal to JavaScript, which can only close the
 * connection: the client sees an unexpected end. `tls-server.ts` learns the result during the handshake (Node's event
 * `keylog` comes while OpenSSL works, after it has checked the certificate and before it answers), and writes the alert
 * below `TLSSocket`: in TLS 1.2 nothing is encrypted yet; in TLS 1.3 it is the server's first record under the key that
 * the event has named.
 *
 * Source: RFC 8446 sections 5.2, 6.2, 7.1, 7.3; RFC 5246 section 7.2; the table is OpenSSL's `ssl_x509err2alert`.
 */
import { createCipheriv, createHmac } from 'node:crypto'

const BAD_CERTIFICATE = 42
const CERTIFICATE_UNKNOWN = 46
const INTERNAL_ERROR = 80

/** Alerts by the name of the X.509 error, as in `CERT_HAS_EXPIRED`. All other errors are certificate_unknown. */
const ALERTS: Readonly<Record<string, number>> = {
  CA_KEY_TOO_SMALL: BAD_CERTIFICATE,
  CA_MD_TOO_WEAK: BAD_CERTIFICATE,
  CERT_CHAIN_TOO_LONG: 48,
  CERT_HAS_EXPIRED: 45,
  CERT_NOT_YET_VALID: BAD_CERTIFICATE,
  CERT_REJECTED: BAD_CERTIFICATE,
  CERT_REVOKED: 44,
  CERT_SIGNATURE_FAILURE: 51,
  CERT_UNTRUSTED: BAD_CERTIFICATE,
  CRL_HAS_EXPIRED: 45,
  CRL_NOT_YET_VALID: BAD_CERTIFICATE,
  CRL_SIGNATURE_FAILURE: 51,
  DEPTH_ZERO_SELF_SIGNED_CERT: 48,
  EE_KEY_TOO_SMALL: BAD_CERTIFICATE,
  ERROR_IN_CERT_NOT_AFTER_FIELD: BAD_CERTIFICATE,
  ERROR_IN_CERT_NOT_BEFORE_FIELD: BAD_CERTIFICATE,
  INVALID_CA: 48,
  INVALID_PURPOSE: 43,
  OUT_OF_MEM: INTERNAL_ERROR,
  PATH_LENGTH_EXCEEDED: 48,
  SELF_SIGNED_CERT_IN_CHAIN: 48,
  UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: BAD_CERTIFICATE,
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: 51,
  UNABLE_TO_GET_CRL: 48,
  UNABLE_TO_GET_ISSUER_CERT: 48,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 48,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 48,
  UNSPECIFIED: INTERNAL_ERROR,
}

const FATAL = 2
const ALERT = 21
const APPLICATION_DATA = 23
const VERSION_1_2: readonly number[] = [3, 3]
const TAG_BYTES = 16
const IV_BYTES = 12

const suites: Readonly<
  Record<string, { cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305'; hash: string; keyBytes: number }>
> = {
  TLS_AES_128_GCM_SHA256: { cipher: 'aes-128-gcm', hash: 'sha256', keyBytes: 16 },
  TLS_AES_256_GCM_SHA384: { cipher: 'aes-256-gcm', hash: 'sha384', keyBytes: 32 },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: 'chacha20-poly1305', hash: 'sha256', keyBytes: 32 },
}

/** Returns a whole record of TLS 1.2, before the server's ChangeCipherSpec. */
export function plainAlert(error: string): Uint8Array {
  return Uint8Array.of(ALERT, ...VERSION_1_2, 0, 2, FATAL, ALERTS[error] ?? CERTIFICATE_UNKNOWN)
}

/**
 * Returns a whole record of TLS 1.3, the first one under `secret` (SERVER_TRAFFIC_SECRET_0); null for an unknown suite.
 */
export function sealedAlert(error: string, suite: string, secret: Uint8Array): Uint8Array | null {
  const known = suites[suite]
  if (known === undefined) return null
  const { cipher: name, hash, keyBytes } = known
  const key = expanded(hash, secret, 'key', keyBytes)
  // The nonce contains the number of the record, 0.
  const nonce = expanded(hash, secret, 'iv', IV_BYTES)
  const inner = Uint8Array.of(FATAL, ALERTS[error] ?? CERTIFICATE_UNKNOWN, ALERT)
  const header = Uint8Array.of(APPLICATION_DATA, ...VERSION_1_2, 0, inner.length + TAG_BYTES)
  const cipher = createCipheriv(name as 'aes-128-gcm', key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(header)
  return Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()])
}

/** HKDF-Expand-Label without a context, of at most one block of the hash. */
function expanded(hash: string, secret: Uint8Array, label: string, bytes: number): Uint8Array {
  const name = Buffer.from(`tls13 ${label}`)
  const info = Buffer.concat([Uint8Array.of(0, bytes, name.length), name, Uint8Array.of(0, 1)])
  return createHmac(hash, secret).update(info).digest().subarray(0, bytes)
}
