/**
 * Connections that a server of the embedding program has accepted: sockets, and requests that ask for a WebSocket.
 *
 * `Broker.attachSocket` and `attachUpgrade` come here with the core's `attach`, which counts them as it counts all. The invariant: a socket that
 * comes here is the broker's from then on, and is destroyed if it is refused.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { check, isObject, packetEnd, type Rule } from '@recado/protocol'
import { type KnownOfSocket, SocketTransport } from './adapters/socket-transport.ts'
import { peerOfSocket } from './adapters/tls-peer.ts'
import { serverFrameEnd } from './adapters/websocket-frames.ts'
import { type WebSocketOptions, WebSocketUpgrade } from './adapters/websocket-transport.ts'
import { requestBytes } from './adapters/websocket-upgrade.ts'
import { forwardedFrom } from './listener-pipeline.ts'
import type { Transport, TransportHandler } from './ports.ts'

export interface ForeignOptions {
  /** Takes the transport; null refuses it. */
  attach(transport: Transport): TransportHandler | null
  /** Says why a request has not become a WebSocket. */
  failed(remoteAddress: string, why: string): void
  /** Name of the listener for hooks, policy and observers. */
  readonly name: string
}

/** Sockets that are, or were, the broker's: of any broker of the process. */
const attached: WeakSet<Duplex> = new WeakSet()

const METHODS = ['on', 'once', 'write', 'end', 'destroy', 'pause', 'resume'] as const
/** Rule for a socket: any Duplex, also one of another library, that has been attached nowhere. */
const socketRule: Rule = {
  must: 'a socket (a Duplex of bytes) that has not been attached before',
  holds: (value) =>
    isObject(value) &&
    METHODS.every((method) => typeof (value as Record<string, unknown>)[method] === 'function') &&
    !attached.has(value as Duplex),
}
const requestRule: Rule = {
  must: 'the request of the event `upgrade` (an http.IncomingMessage)',
  holds: (value) => {
    if (!isObject(value)) return false
    const { method, url, httpVersion, rawHeaders } = value as Partial<IncomingMessage>
    return [method, url, httpVersion].every((each) => typeof each === 'string') && Array.isArray(rawHeaders)
  },
}
const headRule: Rule = { must: 'a Uint8Array', holds: (value) => value instanceof Uint8Array }

/** Attaches a socket. Returns false when it was refused and destroyed, or had been destroyed. @throws MqttError ERR_MQTT_OPTION */
export function attachSocket(socket: Duplex, { attach, name }: ForeignOptions): boolean {
  check('socket', socket, socketRule)
  if (socket.destroyed) return false
  attached.add(socket)
  const transport = transportOf(socket, name, packetEnd)
  const handler = attach(transport)
  if (handler === null) {
    socket.on('error', () => {})
    socket.destroy()
    return false
  }
  transport.start(handler)
  return true
}

export function attachUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  webSocket: WebSocketOptions,
  { attach, failed, name }: ForeignOptions,
): void {
  check('request', request, requestRule)
  check('socket', socket, socketRule)
  check('head', head, headRule)
  if (socket.destroyed) return
  attached.add(socket)
  // Of the HTTP server, which would end a client that is quiet.
  if ('setTimeout' in socket) (socket as Socket).setTimeout(0)
  const raw = transportOf(socket, name, serverFrameEnd)
  const proxies = webSocket.forwarded === undefined ? null : forwardedFrom(webSocket.forwarded)
  const upgrade = new WebSocketUpgrade(
    raw,
    webSocket,
    {
      identified: () => true,
      upgraded: attach,
      failed: (why) => failed(raw.remoteAddress, why),
      closed: () => {},
    },
    proxies?.isProxy(raw.remoteAddress) ? proxies : null,
  )
  raw.start(upgrade)
  upgrade.onData(requestBytes(request))
  if (head.length > 0) upgrade.onData(head)
}

function transportOf(socket: Duplex, name: string, unitEnd: NonNullable<KnownOfSocket['unitEnd']>): SocketTransport {
  const peer = peerOfSocket(socket)
  const known: KnownOfSocket = { peer }
  if (peer !== null) known.unitEnd = unitEnd
  // Any Duplex will do: without an address it has none.
  return new SocketTransport(socket as Socket, name, known)
}
