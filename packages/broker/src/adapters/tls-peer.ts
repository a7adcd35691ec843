/**
 * Reads what Node has verified about the peer of a TLS socket that another program accepted, as the types of ports.ts.
 *
 * Used for servers of the embedding program (`broker.attachSocket`, `attachUpgrade`); listeners of the broker verify by
 * themselves (`TlsServer`). Invariant: a certificate counts only when Node says that it is authorized.
 */
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../ports.ts'
import { clientCertificateOf } from './tls-certificate.ts'

/** null: it is no TLS socket. */
export function peerOfSocket(socket: object): Peer | null {
  if (!isTls(socket)) return null
  const given = socket.authorized ? socket.getPeerX509Certificate() : undefined
  const certificate = given === undefined ? null : clientCertificateOf(given)
  const { servername } = socket as { servername?: string | false }
  return {
    tlsVersion: socket.getProtocol(),
    commonName: certificate?.commonName ?? null,
    certificate,
    pskIdentity: null,
    serverName: servername || null,
    proxyAddress: null,
  }
}

function isTls(socket: object): socket is TLSSocket {
  return (socket as Partial<TLSSocket>).encrypted === true
}
