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

/** Receiver of a transport's events. */
export interface TransportHandler {
  onData(chunk: Uint8Array): void
  /** Called when the bytes for which `write` returned `false` have left; writing may go on. */
  onDrain(): void
  /** Called at the end. `error` is `null` when the other side, or our own `end`, closed in good order. */
  onClose(error: Error | null): void
}

/** Open, ordered byte stream to a server. */
export interface Transport {
  start(handler: TransportHandler): void
  /** Writes bytes. Returns `false` when the caller should wait for `onDrain` before writing more. */
  write(bytes: Uint8Array): boolean
  /** Stops `onData` (at the latest after the bytes already on their way), so that the server is slowed down. */
  pause(): void
  resume(): void
  /** Sends the written bytes, then closes; `onClose` follows. */
  end(): void
  /** Closes at once; `onClose` follows. */
  destroy(): void
}

/** Scheme of a URL; other schemes with the same meaning are converted to these. */
export type Scheme = 'mqtt' | 'mqtts' | 'mqtt+unix' | 'ws' | 'wss'

/** Address of a server, as parsed from a URL. */
export interface ServerAddress {
  readonly scheme: Scheme
  /** Host without the brackets of an IPv6 literal; '' for a unix-domain socket. */
  readonly host: string
  readonly port: number
  /** Path of the unix-domain socket, or the request path of a WebSocket. */
  readonly path: string
  /** User name from `user:password@` of the URL; the option `username` wins over it. */
  readonly username: string | undefined
  readonly password: string | undefined
  /** URL for messages and logs, without user name and password. */
  readonly href: string
}

/** Options of TLS: a structural subset of Node's `tls.connect` options; ignored in browsers. */
export interface TlsOptions {
  /** Trusted certificate authorities in PEM, instead of Node's. */
  ca?: string | Uint8Array | (string | Uint8Array)[]
  cert?: string | Uint8Array
  key?: string | Uint8Array
  /** Certificate, key and authorities in one file (PKCS#12), instead of `cert` and `key`. */
  pfx?: string | Uint8Array
  passphrase?: string
  /** Host name to ask for and to check. Default: the URL's host. */
  servername?: string
  /** Whether to refuse certificates that are not trusted; `false` accepts any. Only for tests. */
  rejectUnauthorized?: boolean
  /**
   * Check of the host name. `false` accepts a valid certificate of another host. A function gets the host name and the
   * certificate as Node's `tls.checkServerIdentity` does, and returns an `Error` to refuse.
   */
  checkServerIdentity?: boolean | ((hostname: string, certificate: object) => Error | undefined)
  /** Result of Node's `tls.createSecureContext`, instead of the options for certificates and keys. */
  secureContext?: object
  alpnProtocols?: string[]
  ciphers?: string
  minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  maxVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** Callback for each line of secrets in the form of NSS, with which Wireshark reads the connection. Only for tests. */
  keylog?: (line: Uint8Array) => void
  /** TLS-PSK, instead of certificates. */
  psk?: { identity: string; key: Uint8Array }
}

/** Part of a stream of Node (`node:stream` Duplex, `node:net` Socket) that is used. */
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

/** Function that returns an open stream. An error that it throws becomes the `cause` of an `UnreachableError`. */
export type DialStream = (address: ServerAddress, signal: AbortSignal) => StreamLike | Promise<StreamLike>

/** Part of the browser's WebSocket that is used; the class `WebSocket` of the package `ws` fits as well. */
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

/** Class `WebSocket` of a browser, or of the package `ws`. */
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike

/** Options of `connect` that concern the network. */
export interface DialOptions {
  tls?: TlsOptions | undefined
  /** Local address to bind to (Node only). */
  localAddress?: string | undefined
  /** Whether to turn off Nagle's algorithm (Node only). Default true: the client already writes once per turn. */
  noDelay?: boolean | undefined
  /** Function that finds the addresses of a name, in the form of Node's `dns.lookup` (Node only). Default: that one. */
  lookup?: ((...given: never[]) => void) | undefined
  /** Idle milliseconds after which TCP asks whether the server is still there (Node only). Default: never. */
  keepAliveIdleMs?: number | undefined
  /** Function that opens the stream instead of `net.connect` (Node only). */
  dial?: DialStream | undefined
  /** WebSocket class. Default in Node: that of the package `ws` if it is installed, else the global one (Node 22). */
  webSocket?: WebSocketConstructor | undefined
}

/**
 * Function that opens a connection. Rejects with `UnreachableError`, `TlsError` or `NotSupportedError`, or with
 * `signal.reason` (then nothing stays open).
 */
export type Dial = (address: ServerAddress, options: DialOptions, signal: AbortSignal) => Promise<Transport>
