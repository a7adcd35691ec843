/** Remedies for errors of the system and of TLS, for the messages of `UnreachableError` and `TlsError` on Node. */

const noAuthority = 'if this server is to be trusted, give the certificate of its authority as tls.ca'
const noAnswer = 'check the network, and firewalls in between'

const hints: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: check host and port, and that the server runs',
  ENOTFOUND: 'there is no such name: check its spelling, and DNS',
  EAI_AGAIN: 'names cannot be looked up: check the network, and DNS',
  ETIMEDOUT: noAnswer,
  EHOSTUNREACH: noAnswer,
  ENETUNREACH: noAnswer,
  EADDRNOTAVAIL: 'check localAddress',
  ENOENT: 'there is no such socket: check the path, and that the server listens on it',
  EACCES: 'this user is not allowed to open it: check the permissions of the socket',
  DEPTH_ZERO_SELF_SIGNED_CERT: noAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: noAuthority,
  UNABLE_TO_GET_ISSUER_CERT: noAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: noAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: noAuthority,
  CERT_HAS_EXPIRED: 'the server needs a new certificate, or the clock of this machine is wrong',
  CERT_NOT_YET_VALID: 'check the clock of this machine',
  ERR_TLS_CERT_ALTNAME_INVALID: 'connect by a name that the certificate has, or give that name as tls.servername',
  ERR_SSL_WRONG_VERSION_NUMBER: 'that port does not speak TLS: use mqtt:// or ws://, or the TLS port of the server',
  EPROTO: 'perhaps that port does not speak TLS',
}

/** Returns ` (remedy)`, or '' when there is none. */
export function hintFor(error: Error): string {
  const hint = hints[(error as NodeJS.ErrnoException).code ?? '']
  return hint === undefined ? '' : ` (${hint})`
}
