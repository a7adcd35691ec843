/**
 * mqtts:// on Node. Certificates are checked against Node's authorities or `tls.ca`, and against the host name, unless
 * an option says otherwise; TLS-PSK replaces certificates.
 */

import { isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect, type SecureContext } from 'node:tls'
import { toBytes } from '@recado/protocol'
import { TlsError } from '../errors.ts'
import { hintFor } from './hints.ts'
import { opened, unreachable } from './socket.ts'
import type { DialOptions, ServerAddress, TlsOptions, Transport } from './transport.ts'

/** @param stream a stream that is already open, on which TLS is done */
export function dialTls(
  address: ServerAddress,
  options: DialOptions,
  signal: AbortSignal,
  stream: Socket | null,
): Promise<Transport> {
  const connection: ConnectionOptions = {
    ...tlsConnection(address, options),
    ...(stream === null ? {} : { socket: stream }),
  }
  // net.connect has these options, and tls.connect passes them on though its type lacks them.
  Object.assign(connection, { autoSelectFamily: true })
  if (options.localAddress !== undefined) Object.assign(connection, { localAddress: options.localAddress })
  if (options.lookup !== undefined) Object.assign(connection, { lookup: options.lookup })
  let socket: ReturnType<typeof connect>
  try {
    socket = connect(connection)
    if (options.tls?.keylog !== undefined) socket.on('keylog', options.tls.keylog)
  } catch (error) {
    // Unreadable certificates and keys are thrown, not emitted.
    return Promise.reject(tlsError(address.href, error as Error))
  }
  socket.setNoDelay(options.noDelay ?? true)
  if (options.keepAliveIdleMs !== undefined) socket.setKeepAlive(true, options.keepAliveIdleMs)
  return opened(socket, 'secureConnect', signal, (error) =>
    isNetworkError(error) ? unreachable(address.href, error) : tlsError(address.href, error),
  )
}

/** Returns options of `tls.connect` for this address. */
export function tlsConnection(address: ServerAddress, { tls = {} }: DialOptions): ConnectionOptions {
  const connection: ConnectionOptions = { host: address.host, port: address.port, ...secureOptions(tls) }
  // Server Name Indication has no IP addresses (RFC 6066 section 3).
  if (tls.servername !== undefined) connection.servername = tls.servername
  else if (isIP(address.host) === 0) connection.servername = address.host
  return connection
}

/** Returns options of TLS, also for `wss://` (`websocket-node.ts`). */
export function secureOptions(tls: TlsOptions): ConnectionOptions {
  const secure: ConnectionOptions = {}
  if (tls.ca !== undefined) secure.ca = pem(tls.ca)
  if (tls.cert !== undefined) secure.cert = toBuffer(tls.cert)
  if (tls.key !== undefined) secure.key = toBuffer(tls.key)
  if (tls.pfx !== undefined) secure.pfx = toBuffer(tls.pfx)
  if (tls.secureContext !== undefined) secure.secureContext = tls.secureContext as SecureContext
  if (tls.passphrase !== undefined) secure.passphrase = tls.passphrase
  if (tls.ciphers !== undefined) secure.ciphers = tls.ciphers
  if (tls.minVersion !== undefined) secure.minVersion = tls.minVersion
  if (tls.maxVersion !== undefined) secure.maxVersion = tls.maxVersion
  if (tls.alpnProtocols !== undefined) secure.ALPNProtocols = tls.alpnProtocols
  if (tls.rejectUnauthorized === false) secure.rejectUnauthorized = false
  if (tls.checkServerIdentity === false) secure.checkServerIdentity = () => undefined
  else if (typeof tls.checkServerIdentity === 'function') secure.checkServerIdentity = tls.checkServerIdentity
  if (tls.psk !== undefined) {
    const { identity, key } = tls.psk
    secure.pskCallback = () => ({ identity, psk: toBytes(key) })
    // There is no certificate to check; and OpenSSL offers PSK suites only when they are asked for.
    secure.checkServerIdentity = () => undefined
    secure.ciphers = tls.ciphers ?? 'PSK'
    secure.maxVersion = tls.maxVersion ?? 'TLSv1.2'
  }
  return secure
}

function toBuffer(pemText: string | Uint8Array): string | Buffer {
  return typeof pemText === 'string' ? pemText : Buffer.from(pemText.buffer, pemText.byteOffset, pemText.byteLength)
}

function pem(ca: NonNullable<TlsOptions['ca']>): (string | Buffer)[] {
  return (Array.isArray(ca) ? ca : [ca]).map(toBuffer)
}

export function tlsError(where: string, error: Error): TlsError {
  return new TlsError(`TLS handshake with ${where} failed: ${error.message}${hintFor(error)}`, { cause: error })
}

const networkCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
])

export function isNetworkError(error: Error): boolean {
  return error instanceof AggregateError || networkCodes.has((error as NodeJS.ErrnoException).code ?? '')
}
