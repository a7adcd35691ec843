/**
 * TLS on accepted sockets: the handshake, the identity of the client, and new certificates at run time.
 *
 * The listener's pipeline hands each socket to `secure` and gets back a TLS socket or a reason; it also sets the time
 * limits. Invariants: nothing is read from a client before its certificate, if one is asked for, has been checked; a
 * reload changes contexts for later handshakes and no open connection.
 *
 * The internal `_handle.verifyError()` of Node is used, which `tls.Server` calls for itself; it is the only way to
 * learn the result of the check without a `tls.Server`, whose events do not tell which accepted socket they are about.
 * Where it is missing every client certificate is refused. With the event `keylog` refusals become alerts of TLS
 * (`tls-alert.ts`).
 *
 * Sources: RFC 8446, RFC 5246; RFC 4279 (pre-shared keys); RFC 7301 (ALPN); RFC 6066 section 3 (SNI).
 */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { SecureContext, TLSSocket, TLSSocketOptions } from 'node:tls'
import type { Peer } from '../ports.ts'
import { plainAlert, sealedAlert } from './tls-alert.ts'
import { clientCertificateOf } from './tls-certificate.ts'
import { certificatePolicy, contextsFrom, type TlsContexts, type TlsOptions } from './tls-options.ts'

/** Options that `TLSSocketOptions` of @types/node lacks. */
interface ServerSocketOptions extends TLSSocketOptions {
  pskCallback?: (socket: TLSSocket, identity: string) => Uint8Array | null
  pskIdentityHint?: string
}

export interface Secured {
  readonly socket: TLSSocket
  /** Peer; the caller fills in `proxyAddress`. */
  readonly peer: Peer
}

export class TlsServer {
  #options: TlsOptions
  #contexts: TlsContexts
  readonly #defaultAlpn: readonly string[]

  /** @throws TlsError for an option that cannot be used */
  constructor(options: TlsOptions, defaultAlpn: readonly string[]) {
    this.#options = options
    this.#contexts = contextsFrom(options)
    this.#defaultAlpn = defaultAlpn
  }

  /** Changes the options for later handshakes. @throws TlsError, and then nothing has changed */
  update(options: TlsOptions): void {
    const contexts = contextsFrom(options)
    this.#options = options
    this.#contexts = contexts
  }

  /**
   * Performs the handshake and calls back once: the client is in, or the reason why not. The caller destroys the socket.
   */
  secure(socket: Socket, secured: (secured: Secured) => void, failed: (why: string) => void): void {
    const options = this.#options
    const contexts = this.#contexts
    let pskIdentity: string | null = null
    let isDone = false
    const secure = new (process.getBuiltinModule('node:tls').TLSSocket)(
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
    const onError = (error: Error): void => fail(explain(error))
    const onClose = (): void => fail('the connection was closed during the TLS handshake')
    secure.on('error', onError)
    // On some versions of Node only this event reports errors before the end of the handshake.
    secure.on('_tlsError', onError)
    secure.on('close', onClose)
    if (certificatePolicy(options) !== 'none') sendAlerts(socket, secure, contexts)
    // A turn later: OpenSSL is still at work during this event, and a socket that is destroyed then stays open.
    secure.once('secure', () => setImmediate(finish))
    const finish = (): void => {
      if (isDone) return
      const verdict = this.#judge(secure, options, contexts, pskIdentity)
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
      // A `tls.Server` would now let errors of TLS end the socket. Without one they are only reported, and it would
      // stay open.
      secure.on('_tlsError', (error: Error) => secure.destroy(error))
      // A handshake costs us ten times what it costs the client; a client that asks for another one on its connection
      // is ended.
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
      // OpenSSL refuses clients without one. It accepts an invalid one: see `Verdict`.
      rejectUnauthorized: certificatePolicy(options) === 'required',
    }
    const alpn = options.alpnProtocols ?? this.#defaultAlpn
    if (alpn.length > 0) {
      result.ALPNCallback = ({ protocols }) => {
        const ours = alpn.find((each) => protocols.includes(each))
        return ours ?? (options.alpnStrict ? undefined : protocols[0])
      }
    }
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

  /** Returns the identity of the client, or the reason of its refusal. */
  #judge(socket: TLSSocket, options: TlsOptions, contexts: TlsContexts, pskIdentity: string | null): Peer | string {
    const policy = certificatePolicy(options)
    const given = policy === 'none' ? undefined : socket.getPeerX509Certificate()
    if (given !== undefined) {
      const code = certificateErrorOf(socket, given, contexts)
      // This is the last of several errors of OpenSSL: none of them can be excused, not even dates.
      if (code !== null) return `the client certificate is refused: ${code}`
    } else if (policy === 'required') {
      return NO_CERTIFICATE
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

/**
 * Returns the context for a host name; undefined for the main one. A name in the list may stand for all names that are
 * one label longer, `*.example`.
 */
function contextFor({ byName }: TlsContexts, name: string): SecureContext | undefined {
  const lower = name.toLowerCase()
  return byName.get(lower) ?? byName.get(`*${lower.slice(Math.max(0, lower.indexOf('.')))}`)
}

/** Watches the handshake, and sends an alert when the client certificate is refused. The caller ends the connection. */
function sendAlerts(raw: Socket, secure: TLSSocket, contexts: TlsContexts): void {
  let secret: Uint8Array | null = null
  // Each line is `LABEL RANDOM SECRET`, in hex.
  secure.on('keylog', (line: Buffer) => {
    const [label, , value = ''] = line.toString('latin1').trimEnd().split(' ')
    if (label === 'SERVER_TRAFFIC_SECRET_0') secret = Buffer.from(value, 'hex')
    // The first comes in TLS 1.3 when all of the client's messages have been read, the second in TLS 1.2 when its
    // certificate has.
    if (label !== 'CLIENT_TRAFFIC_SECRET_0' && label !== 'CLIENT_RANDOM') return
    const given = secure.getPeerX509Certificate()
    const error = given === undefined ? null : certificateErrorOf(secure, given, contexts)
    if (error === null) return
    const alert = secret === null ? plainAlert(error) : sealedAlert(error, secure.getCipher().name, secret)
    if (alert !== null) raw.write(alert)
  })
}

/** OpenSSL's name for the fault of the client certificate; null when it is valid. */
function certificateErrorOf(socket: TLSSocket, given: X509Certificate, contexts: TlsContexts): string | null {
  const error = verifyErrorOf(socket)
  if (error !== null || contexts.revocation === null) return error
  const authorities = [...contexts.authorities]
  let above = given.issuerCertificate
  for (let i = 0; above !== undefined && i < 100; i++, above = above.issuerCertificate) authorities.push(above)
  return contexts.revocation.check(given, authorities, Date.now())
}

/** Returns the result of OpenSSL's check; null when it has found the client certificate valid. */
function verifyErrorOf(socket: TLSSocket): string | null {
  const handle = (socket as unknown as { _handle?: { verifyError?(): NodeJS.ErrnoException | null } | null })._handle
  if (typeof handle?.verifyError !== 'function') return 'it cannot be checked on this version of Node'
  const error = handle.verifyError()
  return error == null ? null : (error.code ?? error.message)
}

function explain(error: Error): string {
  const { code, reason } = error as Error & { code?: string; reason?: string }
  const known = code === undefined ? undefined : REASONS[code]
  if (known === NO_CERTIFICATE) return known
  return `TLS handshake: ${known ?? `${reason ?? error.message}${code === undefined ? '' : ` (${code})`}`}`
}

const NO_CERTIFICATE = 'no client certificate'
const REASONS: Readonly<Record<string, string>> = {
  ECONNRESET: 'the connection was reset',
  ERR_SSL_HTTP_REQUEST: 'the client does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the client does not speak TLS',
  ERR_SSL_NO_SHARED_CIPHER: 'client and server have no cipher in common',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the client offers only versions of TLS that are not allowed',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'the client offers only other protocols (ALPN)',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: NO_CERTIFICATE,
}
