/**
 * Remedies for failed attempts of a bridge to connect, in the words of mosquitto.conf. `@recado/client` names its own
 * options, which no operator can set.
 */
import { hintFor } from '@recado/client/low-level'

const noAuthority = 'if that broker is to be trusted, give the certificate of its authority as bridge_cafile'

const hints: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'check bridge_bind_address: this machine must have that address',
  DEPTH_ZERO_SELF_SIGNED_CERT: noAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: noAuthority,
  UNABLE_TO_GET_ISSUER_CERT: noAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: noAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: noAuthority,
  ERR_TLS_CERT_ALTNAME_INVALID:
    'say a name in address that the certificate has; bridge_insecure true does not look at the name at all',
  ERR_SSL_WRONG_VERSION_NUMBER:
    'that port does not speak TLS: use the TLS port of that broker, or take out bridge_cafile and the other options of TLS',
}

/** Returns the text of an error of an attempt, with a remedy where there is one. */
export function dialFailure(error: Error): string {
  const { message, cause } = error
  const hint = cause instanceof Error ? hints[(cause as NodeJS.ErrnoException).code ?? ''] : undefined
  if (hint === undefined) return message
  const generic = hintFor(cause as Error)
  const bare = generic !== '' && message.endsWith(generic) ? message.slice(0, -generic.length) : message
  return `${bare} (${hint})`
}
