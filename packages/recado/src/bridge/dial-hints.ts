/**
 * Remedies for failed attempts of a bridge to connect, in the words of mosquitto.conf. `@recado/client` names its own
 * options, which no operator can set.
 */
import { hintFor } from '@recado/client/low-level'

const noAuthority = 'if that broker is to be trusted, give the certificate of its authority as bridge_cafile'

const wantsCertificate =
  'that broker wants a certificate that it trusts: give one as bridge_certfile, with its key as bridge_keyfile'
const badCertificate = 'that broker does not accept the certificate in bridge_certfile: ask whoever runs it for one'

const hints: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'check bridge_bind_address: this machine must have that address',
  DEPTH_ZERO_SELF_SIGNED_CERT: noAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: noAuthority,
  UNABLE_TO_GET_ISSUER_CERT: noAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: noAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: noAuthority,
  ERR_TLS_CERT_ALTNAME_INVALID:
    'say a name in address that the certificate has; bridge_insecure true does not look at the name at all',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: 'the key in bridge_keyfile is not that of the certificate in bridge_certfile',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: wantsCertificate,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: wantsCertificate,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: badCertificate,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: badCertificate,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: badCertificate,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED: badCertificate,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: badCertificate,
  ERR_SSL_WRONG_VERSION_NUMBER:
    'that port does not speak TLS, it seems: use the TLS port of that broker, or take out bridge_cafile and the other options of TLS',
}

/** Whether the other side has ended a connection in TLS: it speaks that, and has not seen MQTT. */
export function isOfTls({ cause }: Error): boolean {
  return cause instanceof Error && /^ERR_(?:SSL|OSSL|TLS)_/.test((cause as NodeJS.ErrnoException).code ?? '')
}

/** Text of a handshake that the other side has closed, as a server without TLS does. */
const CLOSED_HANDSHAKE = /^TLS handshake .*(?:ECONNRESET|socket disconnected|socket hang up)/

/** Returns the text of an error of an attempt, with a remedy where there is one. */
export function dialFailure(error: Error): string {
  const { cause } = error
  const message = withoutNumbers(error.message)
  const code = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? '') : ''
  const hint = hints[CLOSED_HANDSHAKE.test(message) ? 'ERR_SSL_WRONG_VERSION_NUMBER' : code]
  if (hint === undefined) return message
  const generic = hintFor(cause as Error)
  const bare = generic !== '' && message.endsWith(generic) ? message.slice(0, -generic.length) : message
  return `${bare} (${hint})`
}

/** Returns a text with the reason alone of what OpenSSL says: `THREAD:error:NUMBER:LIBRARY:FUNCTION:REASON:…`. */
function withoutNumbers(message: string): string {
  const at = message.indexOf('error:')
  const reason = message.slice(at).split(':')[4]
  if (at === -1 || reason === undefined) return message
  return message.slice(0, message.lastIndexOf(' ', at) + 1) + reason
}
