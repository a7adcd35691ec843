/**
 * TLS on accepted sockets: the handshake, who the client has shown to be, and new certificates while it runs.
 *
 * The entrance of a listener (`entrance.ts`) hands each socket to `secure` and gets back a TLS socket or a reason; time
 * limits are the entrance's. The invariants: nothing is read from a client before its certificate, if one is asked for, has
 * been checked; a reload changes contexts for handshakes to come and no connection that is there.
 *
 * Of Node's internals `_handle.verifyError()` is used, which `tls.Server` calls for itself; it is the only way to learn of
 * the check without a `tls.Server`, whose events do not say which accepted socket they are about. Where it is missing every
 * client certificate is refused.
 *
 * Sources: RFC 8446, RFC 5246; RFC 4279 (pre-shared keys); RFC 7301 (ALPN); RFC 6066 section 3 (SNI).
 */
import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls'
import type { Peer } from '../ports.ts'
import { clientCertificateOf } from './tls-certificate.ts'
import { certificatePolicy, contextsFrom, type TlsContexts, type TlsOptions } from './tls-options.ts'

/** What `TLSSocketOptions` of @types/node lacks. */
interface ServerSocketOptions extends TLSSocketOptions {
  pskCallback?: (socket: TLSSocket, identity: string) => Uint8Array | null
  pskIdentityHint?: string
}

export interface Secured {
  readonly socket: TLSSocket
  /** `proxyAddress` is for the entrance to fill in. */
  readonly peer: Peer
}

export class TlsServer {
  #options: TlsOptions
  #contexts: TlsContexts
  readonly #defaultAlpn: readonly string[]

  /** @throws TlsError */
  constructor(options: TlsOptions, defaultAlpn: readonly string[]) {
    this.#options = options
    this.#contexts = contextsFrom(options)
    this.#defaultAlpn = defaultAlpn
  }

  /** For handshakes from now on. @throws TlsError, and then nothing has changed */
  update(options: TlsOptions): void {
    const contexts = contextsFrom(options)
    this.#options = options
    this.#contexts = contexts
  }

  /** Calls back once: the client is in, or why not. The socket is the caller's to destroy. */
  secure(socket: Socket, secured: (secured: Secured) => void, failed: (why: string) => void): void {
    const options = this.#options
    let pskIdentity: string | null = null
    let isDone = false
    const secure = new TLSSocket(
      socket,
      this.#socketOptions(options, (identity) => {
        pskIdentity = identity
      }),
    )
    const fail = (why: string): void => {
      if (isDone) return
      isDone = true
      secure.destroy()
      failed(why)
    }
    const onError = (error: Error): void => fail(`TLS handshake: ${explain(error)}`)
    const onClose = (): void => fail('closed during the TLS handshake')
    secure.on('error', onError)
    // Before the handshake has ended errors are told in this way only, on some versions of Node.
    secure.on('_tlsError', onError)
    secure.on('close', onClose)
    // A turn later: OpenSSL is still at work when it says so, and a socket that is destroyed then stays open.
    secure.once('secure', () => setImmediate(finish))
    const finish = (): void => {
      if (isDone) return
      const verdict = this.#judge(secure, options, pskIdentity)
      if (typeof verdict === 'string') {
        fail(verdict)
        return
      }
      isDone = true
      for (const [event, listener] of [
        ['error', onError],
        ['_tlsError', onError],
        ['close', onClose],
      ] as const) {
        secure.off(event, listener)
      }
      // A `tls.Server` would now have errors of TLS end the socket. Without one they are only told of, and it would stay open.
      secure.on('_tlsError', (error: Error) => secure.destroy(error))
      // A handshake costs us ten times what it costs the client; one that asks for another on its connection is ended.
      secure.disableRenegotiation()
      secured({ socket: secure, peer: verdict })
    }
  }

  #socketOptions(options: TlsOptions, onIdentity: (identity: string) => void): ServerSocketOptions {
    const contexts = this.#contexts
    const { psk, pskHint } = options
    const result: ServerSocketOptions = {
      isServer: true,
      secureContext: contexts.main,
      requestCert: certificatePolicy(options) !== 'none',
      // `#judge` does it, with a reason for the log.
      rejectUnauthorized: false,
    }
    const alpn = options.alpnProtocols ?? this.#defaultAlpn
    if (alpn.length > 0) result.ALPNProtocols = [...alpn]
    if (contexts.byName.size > 0) {
      result.SNICallback = (name, callback) => callback(null, contextFor(contexts, name))
    }
    if (psk !== undefined) {
      result.pskCallback = (_socket, identity) => {
        const key = psk(identity)
        if (key !== null) onIdentity(identity)
        return key
      }
      if (pskHint !== undefined) result.pskIdentityHint = pskHint
    }
    return result
  }

  /** Who it is, or why it is refused. */
  #judge(socket: TLSSocket, options: TlsOptions, pskIdentity: string | null): Peer | string {
    const policy = certificatePolicy(options)
    const given = policy === 'none' ? undefined : socket.getPeerX509Certificate()
    if (given !== undefined) {
      const code = verifyErrorOf(socket)
      // Of several errors this is the last: none of them can be excused, not even dates.
      if (code !== null) return `the client certificate is refused: ${code}`
    } else if (policy === 'required') {
      return 'no client certificate'
    }
    if (options.cert === undefined && pskIdentity === null) return 'no pre-shared key'
    const certificate = given === undefined ? null : clientCertificateOf(given)
    return {
      tlsVersion: socket.getProtocol(),
      commonName: certificate?.commonName ?? null,
      certificate,
      pskIdentity,
      serverName: typeof socket.servername === 'string' ? socket.servername : null,
      proxyAddress: null,
    }
  }
}

/** undefined: the main one. A name of a list may stand for all names that are one label longer, `*.example`. */
function contextFor({ byName }: TlsContexts, name: string): SecureContext | undefined {
  const lower = name.toLowerCase()
  return byName.get(lower) ?? byName.get(`*${lower.slice(Math.max(0, lower.indexOf('.')))}`)
}

/** null: the client certificate is valid. */
function verifyErrorOf(socket: TLSSocket): string | null {
  const handle = (socket as unknown as { _handle?: { verifyError?(): NodeJS.ErrnoException | null } | null })._handle
  if (typeof handle?.verifyError !== 'function') return 'it cannot be checked on this version of Node'
  const error = handle.verifyError()
  return error == null ? null : (error.code ?? error.message)
}

function explain(error: Error): string {
  const { code, reason } = error as Error & { code?: string; reason?: string }
  switch (code) {
    case 'ECONNRESET':
      return 'the connection was reset'
    case 'ERR_SSL_HTTP_REQUEST':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return 'the client does not speak TLS'
    case 'ERR_SSL_NO_SHARED_CIPHER':
      return 'no cipher that both sides know'
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
      return 'the client offers only versions of TLS that are not allowed'
    case 'ERR_SSL_NO_APPLICATION_PROTOCOL':
      return 'the client names other protocols only (ALPN)'
    default:
      return `${reason ?? error.message}${code === undefined ? '' : ` (${code})`}`
  }
}
