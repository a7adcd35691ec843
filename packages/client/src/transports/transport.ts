/**
 * The seam between the client and the network: a `Transport` is one open, ordered byte stream to a server, a `Dial`
 * opens one. Implementations: `socket.ts` (TCP, TLS and unix-domain sockets of Node) and `websocket.ts` (any WebSocket
 * with the browser's API); tests have a simulated one.
 *
 * Invariants that every implementation keeps:
 * - nothing is reported before `start`; then `onClose` is called exactly once and nothing after it;
 * - a chunk given to `onData` belongs to the handler: the transport never writes to it again;
 * - bytes given to `write` belong to the transport: the caller never writes to them again.
 */

/** Hears what a transport has to say. */
export interface TransportHandler {
  onData(chunk: Uint8Array): void
  /** What `write` refused with `false` has left; writing may go on. */
  onDrain(): void
  /** `null`: the other side, or our own `end`, closed in good order. */
  onClose(error: Error | null): void
}

/** One open, ordered byte stream to a server. */
export interface Transport {
  start(handler: TransportHandler): void
  /** `false`: written, but wait for `onDrain` before writing more. */
  write(bytes: Uint8Array): boolean
  /** Stops `onData` (at the latest after what is already on its way), so that the server is slowed down. */
  pause(): void
  resume(): void
  /** Sends what is written, then closes; `onClose` follows. */
  end(): void
  /** Closes at once; `onClose` follows. */
  destroy(): void
}

/** Of a URL; others that mean the same are turned into these. */
export type Scheme = 'mqtt' | 'mqtts' | 'mqtt+unix' | 'ws' | 'wss'

/** Where a server listens, as parsed from a URL. */
export interface ServerAddress {
  readonly scheme: Scheme
  /** Without the brackets of an IPv6 literal; '' for a unix-domain socket. */
  readonly host: string
  readonly port: number
  /** Of the unix-domain socket, or the request path of a WebSocket. */
  readonly path: string
  /** From `user:password@` of the URL; the option `username` wins over it. */
  readonly username: string | undefined
  readonly password: string | undefined
  /** For messages and logs: without user name and password. */
  readonly href: string
}

/** What may be said about TLS. A structural subset of Node's `tls.connect` options; ignored in browsers. */
export interface TlsOptions {
  /** Trusted certificate authorities in PEM, instead of the ones of Node. */
  ca?: string | Uint8Array | (string | Uint8Array)[]
  cert?: string | Uint8Array
  key?: string | Uint8Array
  /** Certificate, key and authorities in one file (PKCS#12), instead of `cert` and `key`. */
  pfx?: string | Uint8Array
  passphrase?: string
  /** The host name to ask for and to check; the URL's host unless given. */
  servername?: string
  /** `false` accepts any certificate. Only for tests. */
  rejectUnauthorized?: boolean
  /**
   * `false` accepts a valid certificate of another host name. A function decides instead: it gets the host name and the certificate as
   * Node's `tls.checkServerIdentity` does, and returns an `Error` to refuse.
   */
  checkServerIdentity?: boolean | ((hostname: string, certificate: object) => Error | undefined)
  /** Of Node's `tls.createSecureContext`, instead of all that has to do with certificates and keys. */
  secureContext?: object
  alpnProtocols?: string[]
  ciphers?: string
  minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  maxVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** TLS-PSK instead of certificates. */
  psk?: { identity: string; key: Uint8Array }
}

/** The part of a stream of Node (`node:stream` Duplex, `node:net` Socket) that is used. */
export interface StreamLike {
  readonly destroyed: boolean
  readonly writableEnded: boolean
  on(event: string, listener: (...given: unknown[]) => void): unknown
  once(event: string, listener: (...given: unknown[]) => void): unknown
  off(event: string, listener: (...given: unknown[]) => void): unknown
  write(bytes: Uint8Array): boolean
  end(): unknown
  destroy(): unknown
  pause(): unknown
  resume(): unknown
}

/** Returns a stream that is open. What it throws is an `UnreachableError`, with that as `cause`. */
export type DialStream = (address: ServerAddress, signal: AbortSignal) => StreamLike | Promise<StreamLike>

/** The part of the browser's WebSocket that is used; the class `WebSocket` of the package `ws` fits as well. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  readonly protocol: string
  send(data: Uint8Array): void
  close(code?: number, reason?: string): void
  addEventListener(type: string, listener: (event: never) => void): void
  removeEventListener(type: string, listener: (event: never) => void): void
}

/** The class `WebSocket` of a browser, or npm's `ws`. */
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike

/** The options of `connect` that concern the network. */
export interface DialOptions {
  tls?: TlsOptions | undefined
  /** Local address to bind to (Node only). */
  localAddress?: string | undefined
  /** `false` leaves Nagle's algorithm on (Node only). The client already writes once per turn, so the default is off. */
  noDelay?: boolean | undefined
  /** Opens the stream instead of `net.connect` (Node only). */
  dial?: DialStream | undefined
  /** The WebSocket class. Default in Node: that of the package `ws` if it is installed, else the global one (Node 22). */
  webSocket?: WebSocketConstructor | undefined
}

/**
 * Opens a connection. Rejects with `UnreachableError`, `TlsError` or `NotSupportedError`, or with `signal.reason` (then
 * nothing stays open).
 */
export type Dial = (address: ServerAddress, options: DialOptions, signal: AbortSignal) => Promise<Transport>
