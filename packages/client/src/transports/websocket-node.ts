/**
 * ws:// and wss:// on Node. The class is the option `webSocket`; else that of the package `ws` if it is installed (an
 * optional peer dependency), because it accepts the options of TLS and reports why a handshake failed; else the global
 * one, which Node has from version 22 on.
 */
import type { Socket } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { NotSupportedError } from '../errors.ts'
import { hintFor } from './hints.ts'
import { unreachable } from './socket.ts'
import { isNetworkError, secureOptions, tlsConnection, tlsError } from './tls.ts'
import type { DialOptions, ServerAddress, Transport, WebSocketConstructor, WebSocketLike } from './transport.ts'
import { dialWebSocket } from './websocket.ts'

/** The class `WebSocket` of `ws`. */
type WsConstructor = new (url: string, protocols: string[], options: object) => WebSocketLike

export async function dialNodeWebSocket(
  address: ServerAddress,
  options: DialOptions,
  signal: AbortSignal,
  stream: Socket | null,
): Promise<Transport> {
  const explain = (error: unknown): Error | null => (error instanceof Error ? typed(address, error) : null)
  if (options.webSocket !== undefined) {
    if (stream !== null) {
      stream.destroy()
      throw new NotSupportedError(
        'dial and webSocket cannot be given together: the WebSocket class opens its own connection. Give one of them',
      )
    }
    return dialWebSocket(address, options, signal, explain)
  }
  const Ws = await loadWs()
  if (Ws !== null) {
    const createConnection = stream === null ? ownConnector(address, options) : connector(address, options, stream)
    const more = createConnection === null ? {} : { createConnection }
    return dialWebSocket(address, { ...options, webSocket: withOptions(Ws, options, more) }, signal, explain)
  }
  if (!('WebSocket' in globalThis)) {
    stream?.destroy()
    throw new NotSupportedError(
      'ws:// and wss:// need a WebSocket class, which Node has from version 22 on: npm install ws, or give one as the option webSocket',
    )
  }
  if (options.tls !== undefined || options.localAddress !== undefined || stream !== null) {
    stream?.destroy()
    throw new NotSupportedError(
      "the options tls, localAddress and dial need the package ws for WebSocket, as Node's own class has no such options: npm install ws",
    )
  }
  return dialWebSocket(address, options, signal)
}

async function loadWs(): Promise<WsConstructor | null> {
  // By a variable, so that a program without `ws` can be bundled and compiled.
  const name = 'ws'
  try {
    return ((await import(name)) as { WebSocket: WsConstructor }).WebSocket
  } catch {
    // Not installed: there may be another class.
    return null
  }
}

/**
 * Returns the function that opens the connection where `ws` cannot do by itself what is asked for; null when it can.
 */
function ownConnector(address: ServerAddress, options: DialOptions): (() => Socket) | null {
  if (address.scheme === 'ws' || options.tls?.keylog === undefined) return null
  const { localAddress } = options
  const from = localAddress === undefined ? {} : { localAddress }
  return () => tlsSocket({ ...tlsConnection(address, options), ...from } as ConnectionOptions, options)
}

/** Returns the function that makes `ws` use this stream instead of a new connection. */
function connector(address: ServerAddress, options: DialOptions, stream: Socket): () => Socket {
  if (address.scheme === 'ws') return () => stream
  return () => tlsSocket({ ...tlsConnection(address, options), socket: stream }, options)
}

function tlsSocket(connection: ConnectionOptions, { tls }: DialOptions): TLSSocket {
  const socket = connect(connection)
  if (tls?.keylog !== undefined) socket.on('keylog', tls.keylog)
  return socket
}

function withOptions(Ws: WsConstructor, { tls, localAddress }: DialOptions, more: object): WebSocketConstructor {
  const options: object = {
    ...(tls === undefined ? {} : secureOptions(tls)),
    ...(localAddress === undefined ? {} : { localAddress }),
    // Packets are small, and compressing each costs more than it saves.
    perMessageDeflate: false,
    ...more,
  }
  return class extends Ws {
    constructor(url: string, protocols: string[] = []) {
      super(url, protocols, options)
    }
  } as unknown as WebSocketConstructor
}

/**
 * Converts the error of a `ws` error event to the typed error of the other transports; `null` when there is no such
 * type.
 */
function typed(address: ServerAddress, error: Error): Error | null {
  if (isNetworkError(error)) return unreachable(address.href, error)
  return address.scheme === 'wss' && hintFor(error) !== '' ? tlsError(address.href, error) : null
}
