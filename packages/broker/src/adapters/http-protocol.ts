/**
 * HTTP as the last stage of a listener: `broker.listen({ protocol: http(handler) })`, in the place of MQTT or beside MQTT over WebSocket.
 *
 * The pipeline of a listener hands over connections whose layers (PROXY header, TLS) are done; Node's own HTTP server, which listens nowhere,
 * reads the requests. The invariants: whoever has not sent a whole request head within the connect timeout is cut off by the pipeline, and
 * afterwards by Node's timeouts; an error of the handler ends its own request and is reported; a request that asks for a WebSocket goes
 * back to the pipeline where MQTT over WebSocket is served, and nowhere else.
 */
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { anything, callback, check, checkOptions, type Rule } from '@recado/protocol'
import type { Peer } from '../ports.ts'

/** A connection that a protocol other than MQTT has taken over. */
export interface ProtocolConnection {
  /** Name of the listener. */
  readonly listener: string
  /** The peer, or whom a proxy names, as in `127.0.0.1:50123`; '' when it has none. */
  readonly remoteAddress: string
  /** Facts about the peer from TLS or a proxy; null without either. */
  readonly peer: Peer | null
  /** The peer has said something sensible: from here on the connect timeout does not end the connection. */
  established(): void
  /**
   * Makes an MQTT client of the connection, whose request asks for a WebSocket; `head` is what came behind the request. The socket belongs to the
   * broker again. null: the listener serves no MQTT over WebSocket.
   */
  readonly upgrade: ((request: IncomingMessage, head: Uint8Array) => void) | null
  /** Reports an error of the program that embeds the broker, as `hook.failed`. */
  faulted(error: unknown): void
}

/** The last stage of a listener: speaks another protocol than MQTT on its connections. */
export interface ListenerProtocol {
  /** Names for ALPN (RFC 7301) where the listener has TLS. */
  readonly alpn: readonly string[]
  /** Takes over a connection; the socket, which may be paused, is its own until it closes. */
  take(socket: Socket, connection: ProtocolConnection): void
  /** The listener takes no more connections; those that are left are to be ended. */
  close(): void
}

/** Options of Node's HTTP server by name, those of later versions too; Node checks their values. */
const serverRules: Readonly<Record<string, Rule>> = {
  IncomingMessage: anything,
  ServerResponse: anything,
  allowHalfOpen: anything,
  blockList: anything,
  connectionsCheckingInterval: anything,
  headersTimeout: anything,
  highWaterMark: anything,
  insecureHTTPParser: anything,
  joinDuplicateHeaders: anything,
  keepAlive: anything,
  keepAliveInitialDelay: anything,
  keepAliveTimeout: anything,
  keepAliveTimeoutBuffer: anything,
  maxHeaderSize: anything,
  noDelay: anything,
  optimizeEmptyRequests: anything,
  pauseOnConnect: anything,
  rejectNonStandardBodyWrites: anything,
  requestTimeout: anything,
  requireHostHeader: anything,
  shouldUpgradeCallback: anything,
  uniqueHeaders: anything,
}

const connections: WeakMap<Socket, ProtocolConnection> = new WeakMap()

/** Says whose request it is, on a listener with `http`: behind a proxy `request.socket` knows only that. undefined: it came another way. */
export function connectionOf(request: IncomingMessage): ProtocolConnection | undefined {
  return connections.get(request.socket)
}

/**
 * HTTP/1.1 for a listener. `handler` is called for each request, as by `http.createServer`; it may be the handler of a framework. With
 * `webSocket` the listener serves MQTT over WebSocket on the same port. `options`: of Node's HTTP server (timeouts, `maxHeaderSize`, …).
 * @throws MqttError ERR_MQTT_OPTION
 */
export function http(
  handler: (request: IncomingMessage, response: ServerResponse) => unknown,
  options: ServerOptions = {},
): ListenerProtocol {
  check('the handler', handler, callback)
  checkOptions(options, serverRules)
  return new HttpProtocol(handler, options)
}

class HttpProtocol implements ListenerProtocol {
  readonly alpn: readonly string[] = ['http/1.1']
  readonly #server: Server
  readonly #handler: (request: IncomingMessage, response: ServerResponse) => unknown
  #hasUpgrades = false
  /** Answers of each connection that are not written yet. */
  readonly #pending: WeakMap<Socket, number> = new WeakMap()

  constructor(handler: (request: IncomingMessage, response: ServerResponse) => unknown, options: ServerOptions) {
    this.#handler = handler
    this.#server = process.getBuiltinModule('node:http').createServer(options, this.#onRequest)
    // The timeouts of requests that take too long run from here on.
    this.#server.emit('listening')
  }

  take(socket: Socket, connection: ProtocolConnection): void {
    connections.set(socket, connection)
    // With a listener of its own Node would hand over every request that asks for an upgrade, to whatever protocol.
    if (connection.upgrade !== null && !this.#hasUpgrades) {
      this.#hasUpgrades = true
      this.#server.on('upgrade', this.#onUpgrade)
    }
    this.#server.emit('connection', socket)
    // A layer below may have paused it.
    socket.resume()
  }

  close(): void {
    this.#server.close(() => {})
    this.#server.closeAllConnections()
  }

  readonly #onRequest: RequestListener = (request, response) => {
    const connection = connections.get(request.socket)
    connection?.established()
    const { socket } = request
    this.#pending.set(socket, (this.#pending.get(socket) ?? 0) + 1)
    response.once('close', () => this.#pending.set(socket, this.#pending.get(socket)! - 1))
    void this.#answer(request, response).catch((error: unknown) => {
      connection?.faulted(error)
      if (response.headersSent) response.destroy()
      else response.writeHead(500, { 'content-type': 'text/plain' }).end('500 Internal Server Error\n')
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#handler(request, response)
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    const upgrade = connections.get(socket)?.upgrade
    // No client in its right mind asks before it has its answer, which would come in the midst of WebSocket frames.
    if (this.#pending.get(socket)) socket.destroy()
    else if (upgrade) upgrade(request, head)
    else socket.end('HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  }
}
