/**
 * The pipeline of a listener: from an accepted connection through its layers (PROXY header, TLS, WebSocket upgrade) to a
 * Transport that speaks MQTT.
 *
 * `broker.ts` opens one for each listener and takes the transports. The layers are adapters that know nothing of each
 * other; this file joins them. A handshake is the time that a connection spends in the layers. Invariants: from the
 * accepted connection to its CONNECT at most the connect timeout passes, whatever the layers; a connection that ends in
 * its handshake is destroyed, reported once (`failed`), and closed with the broker; rates and addresses are checked
 * before a layer does its work, because a handshake is most of the cost of a connection. A listener without layers costs
 * nothing here.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { MqttError, OptionError, packetEnd } from '@recado/protocol'
import type { ListenerProtocol, ProtocolConnection } from './adapters/http-protocol.ts'
import { type ProxyOptions, readProxyHeader } from './adapters/proxy-header.ts'
import type { HandleInternals } from './adapters/socket-handle-transport.ts'
import {
  type Accept,
  handlesFor,
  SocketListener,
  type SocketListenerOptions,
  type TransportKind,
} from './adapters/socket-listener.ts'
import { TlsHandleTransport } from './adapters/socket-tls-transport.ts'
import { formatAddress, type KnownOfSocket, SocketTransport } from './adapters/socket-transport.ts'
import type { TlsOptions } from './adapters/tls-options.ts'
import { TlsServer } from './adapters/tls-server.ts'
import { Forwarded, type ForwardedOptions } from './adapters/websocket-forwarded.ts'
import { serverFrameEnd } from './adapters/websocket-frames.ts'
import { type UpgradeHandler, type WebSocketOptions, WebSocketUpgrade } from './adapters/websocket-transport.ts'
import { type RequestHead, requestBytes } from './adapters/websocket-upgrade.ts'
import type { Peer, Transport, TransportHandler } from './ports.ts'

export type { TlsOptions } from './adapters/tls-options.ts'
export type { WebSocketOptions } from './adapters/websocket-transport.ts'

/** Address of a listener, and the layers of its connections. */
export interface PipelineOptions extends SocketListenerOptions {
  /** TLS, with a certificate or with pre-shared keys. */
  tls?: TlsOptions
  /** Whether every connection begins with a PROXY header: only for listeners that no client but the proxy can reach. */
  proxyProtocol?: boolean | ProxyOptions
  /** MQTT over WebSocket. `true` allows any path and any origin. */
  webSocket?: boolean | WebSocketOptions
  /**
   * Last stage of the listener in the place of MQTT, as `http(handler)`. With `webSocket` a request that asks for a
   * WebSocket becomes an MQTT client, on the same port. Default: MQTT.
   */
  protocol?: ListenerProtocol
}

/** Calls of a pipeline to its broker. */
export interface PipelinePorts {
  /** Longest time in milliseconds from the accepted connection to CONNECT. */
  readonly connectTimeoutMs: number
  /** Number of handshakes at a time; with more the oldest fails. */
  readonly handshakesMax: number
  /**
   * Returns milliseconds that a connection has to wait before it is read; null refuses it. Not called without layers.
   */
  waitMs(remoteAddress: string, listener: string): number | null
  /** Whether the address has as many open connections as it may: a new one waits a moment for another one to close. */
  isFull(remoteAddress: string): boolean
  /** Counts a connection of the address; returns false when there are too many. */
  count(remoteAddress: string, listener: string): boolean
  /** Takes back a count: the connection has not reached `accept`, or was refused there. */
  uncount(remoteAddress: string): void
  /**
   * Accepts a connection; returning `null` refuses it. `ageMs` is the time since it could be read first; null for a
   * connection without layers, which has not been counted and has not waited.
   */
  accept(transport: Transport, ageMs: number | null): TransportHandler | null
  failed(remoteAddress: string, listener: string, why: string): void
  /** Reports an error of the embedding program. */
  hookFailed(hook: string, error: unknown): void
}

/** Stage of a handshake, for the message when its time runs out. */
type Stage = 'PROXY header' | 'TLS handshake' | 'WebSocket upgrade' | 'first request'

/** Connection whose layers are being set up. */
interface Handshake {
  /** Time at which its timeout begins to run. */
  fromMs: number
  readonly waitMs: number
  /** Timer until it is read; null when it is read already. */
  waiting: NodeJS.Timeout | null
  remoteAddress: string
  /** Whether it counts for its address; not while only its proxy is known. */
  isCounted: boolean
  /** Whether its failure has been reported; it may still be open. */
  isTold: boolean
  stage: Stage
  /** Timeout of the handshake; null while it does not run. */
  timer: NodeJS.Timeout | null
  destroy(): void
}

/** Open listener with its layers. */
export class ListenerPipeline {
  readonly #listener: SocketListener
  readonly #handshakes: Handshakes

  private constructor(listener: SocketListener, handshakes: Handshakes) {
    this.#listener = listener
    this.#handshakes = handshakes
  }

  /** @throws MqttError ERR_MQTT_LISTEN, TlsError */
  static async open(options: PipelineOptions, ports: PipelinePorts): Promise<ListenerPipeline> {
    const handshakes = new Handshakes(options, ports)
    if (options.tls !== undefined) handshakes.internals = await handlesFor(options, options.name ?? 'a port with TLS')
    const listener = await SocketListener.open(
      options,
      handshakes.takeTransport,
      handshakes.takesSockets ? handshakes.takeSocket : null,
      handshakes.isFull,
    )
    handshakes.name = listener.name
    return new ListenerPipeline(listener, handshakes)
  }

  get name(): string {
    return this.#listener.name
  }
  get address(): string {
    return this.#listener.address
  }
  get port(): number {
    return this.#listener.port
  }
  get transport(): TransportKind {
    return this.#listener.transport
  }

  /** Sets the number of open connections; more are closed at once. */
  set connectionsMax(connectionsMax: number) {
    this.#listener.connectionsMax = connectionsMax
  }

  /** Replaces certificates and keys for later connections. @throws TlsError, and then nothing has changed */
  updateTls(options: TlsOptions): void {
    this.#handshakes.updateTls(options)
  }

  /** Takes no more connections. Open ones stay; those in their handshake are closed. */
  async close(): Promise<void> {
    await this.#listener.close()
    this.#handshakes.close()
  }
}

/** @throws MqttError ERR_MQTT_LISTEN for a value that is no address of a proxy */
export function forwardedFrom(options: ForwardedOptions): Forwarded {
  try {
    return new Forwarded(options)
  } catch (cause) {
    throw new MqttError('ERR_MQTT_LISTEN', `webSocket.forwarded: ${(cause as Error).message}`, { cause })
  }
}

/** Handshakes of a listener, and the layers that they go through. */
class Handshakes {
  name: string
  /** Internals of Node for TLS straight on its handle; null: by its streams. */
  internals: HandleInternals | null = null
  readonly #ports: PipelinePorts
  readonly #proxy: ProxyOptions | null
  readonly #tls: TlsServer | null
  readonly #webSocket: WebSocketOptions | null
  /** Header of proxies in front of WebSockets; null when none is believed. */
  readonly #forwarded: Forwarded | null
  /** Last stage in the place of MQTT; null for MQTT. */
  readonly #protocol: ListenerProtocol | null
  readonly #open: Set<Handshake> = new Set()

  constructor(options: PipelineOptions, ports: PipelinePorts) {
    this.name = options.name ?? ''
    this.#ports = ports
    const { webSocket = false, proxyProtocol = false } = options
    this.#proxy = proxyProtocol === true ? {} : proxyProtocol === false ? null : proxyProtocol
    this.#webSocket = webSocket === true ? {} : webSocket === false ? null : webSocket
    const forwarded = this.#webSocket?.forwarded
    this.#forwarded = forwarded === undefined ? null : forwardedFrom(forwarded)
    this.#protocol = options.protocol ?? null
    const alpn = this.#protocol?.alpn ?? [this.#webSocket === null ? 'mqtt' : 'http/1.1']
    this.#tls = options.tls === undefined ? null : new TlsServer(options.tls, alpn)
  }

  get takesSockets(): boolean {
    return this.#tls !== null || this.#proxy !== null || this.#protocol !== null
  }

  updateTls(options: TlsOptions): void {
    if (this.#tls === null)
      throw new OptionError(`the listener ${this.name} has no TLS: close it, and listen again with tls`)
    this.#tls.update(options)
  }

  close(): void {
    for (const handshake of this.#open) {
      this.#leave(handshake)
      handshake.destroy()
    }
    this.#protocol?.close()
  }

  readonly isFull = (remoteAddress: string): boolean =>
    // The connections of a proxy are not those of one client.
    this.#proxy === null && !this.#isWebProxy(remoteAddress) && this.#ports.isFull(remoteAddress)

  #isWebProxy(remoteAddress: string): boolean {
    return this.#forwarded?.isProxy(remoteAddress) ?? false
  }

  readonly takeTransport: Accept = (transport) => {
    if (this.#webSocket === null) return this.#ports.accept(transport, null)
    const handshake = this.#start('WebSocket upgrade', transport.remoteAddress, () => transport.destroy())
    if (handshake === null) return null
    if (handshake.waitMs > 0) {
      transport.pause()
      handshake.waiting = setTimeout(() => transport.resume(), handshake.waitMs)
    }
    return this.#upgrade(transport, handshake)
  }

  readonly takeSocket = (socket: Socket): void => {
    // Errors are reported to the layer; the socket below must only not throw.
    socket.on('error', () => {})
    const address = formatAddress(socket.remoteAddress, socket.remotePort)
    const own = this.#tls === null ? 'first request' : 'TLS handshake'
    const stage = this.#proxy === null ? own : 'PROXY header'
    const handshake = this.#start(stage, address, () => socket.destroy())
    if (handshake === null) socket.destroy()
    else if (handshake.waitMs === 0) this.#begin(socket, handshake)
    else handshake.waiting = setTimeout(() => this.#begin(socket, handshake), handshake.waitMs)
  }

  #begin(socket: Socket, handshake: Handshake): void {
    if (this.#proxy === null) {
      if (this.#tls === null) this.#acceptSocket(socket, handshake, null)
      else this.#secure(socket, handshake, null)
      return
    }
    const proxyAddress = handshake.remoteAddress
    readProxyHeader(
      socket,
      this.#proxy,
      ({ remoteAddress, peer }) => {
        if (remoteAddress !== null) handshake.remoteAddress = remoteAddress
        // The address may be that of another proxy, which is no client either.
        if (!this.#isWebProxy(handshake.remoteAddress) && !this.#count(handshake)) return
        const known: Peer = { ...peer, proxyAddress }
        if (this.#tls === null) this.#acceptSocket(socket, handshake, known)
        else this.#secure(socket, handshake, known)
      },
      (why) => this.#fail(handshake, why),
    )
  }

  /** Performs the TLS handshake. `proxied` is the proxy's description of the client; that of TLS takes precedence. */
  #secure(socket: Socket, handshake: Handshake, proxied: Peer | null): void {
    handshake.stage = 'TLS handshake'
    this.#tls!.secure(
      socket,
      ({ socket: secure, peer }) =>
        this.#acceptSocket(secure, handshake, { ...peer, proxyAddress: proxied?.proxyAddress ?? null }),
      (why) => this.#fail(handshake, why),
    )
  }

  #acceptSocket(socket: Socket, handshake: Handshake, peer: Peer | null): void {
    if (this.#protocol !== null) {
      this.#serve(socket, handshake, peer, this.#protocol)
      return
    }
    const transport = this.#transportOf(socket, handshake, peer, true)
    const handler = this.#webSocket === null ? this.#enter(transport, handshake) : this.#upgrade(transport, handshake)
    if (handler === null) socket.destroy()
    else transport.start(handler)
  }

  #transportOf(
    socket: Socket,
    handshake: Handshake,
    peer: Peer | null,
    isFresh: boolean,
  ): SocketTransport | TlsHandleTransport {
    if (this.#tls !== null && this.internals !== null && isFresh && TlsHandleTransport.canUse(socket as TLSSocket)) {
      return new TlsHandleTransport(socket as TLSSocket, this.internals, {
        listener: this.name,
        remoteAddress: handshake.remoteAddress,
        peer,
        unitEnd: this.#webSocket === null ? packetEnd : serverFrameEnd,
      })
    }
    const known: KnownOfSocket = { remoteAddress: handshake.remoteAddress, peer }
    if (this.#tls !== null) known.unitEnd = this.#webSocket === null ? packetEnd : serverFrameEnd
    return new SocketTransport(socket, this.name, known)
  }

  /** Hands the connection to another protocol. It counts for its address until it closes, and `#takeBack` may follow. */
  #serve(socket: Socket, handshake: Handshake, peer: Peer | null, protocol: ListenerProtocol): void {
    handshake.stage = 'first request'
    handshake.destroy = () => socket.destroy()
    socket.once('close', () => this.#leave(handshake))
    const faulted = (error: unknown): void => this.#ports.hookFailed(`protocol of the listener ${this.name}`, error)
    const upgrade: ProtocolConnection['upgrade'] = (request, head) =>
      this.#takeBack(socket, handshake, peer, request, head)
    try {
      protocol.take(socket, {
        listener: this.name,
        remoteAddress: handshake.remoteAddress,
        peer,
        established: () => this.#settle(handshake),
        upgrade: this.#webSocket === null ? null : upgrade,
        faulted,
      })
    } catch (error) {
      faulted(error)
      this.#fail(handshake, 'the protocol of the listener has failed')
    }
  }

  /** Takes a connection back from the protocol of the listener: its request asks for a WebSocket. */
  #takeBack(socket: Socket, handshake: Handshake, peer: Peer | null, request: RequestHead, head: Uint8Array): void {
    this.#settle(handshake)
    handshake.fromMs = performance.now()
    this.#watch(handshake, 0)
    // The timeout was that of the protocol.
    socket.setTimeout(0)
    // Node's HTTP server has used its streams.
    const transport = this.#transportOf(socket, handshake, peer, false)
    const handler = this.#upgrade(transport, handshake)
    transport.start(handler)
    handler.onData(requestBytes(request))
    if (head.length > 0) handler.onData(head)
  }

  #upgrade(raw: Transport, handshake: Handshake): WebSocketUpgrade {
    handshake.stage = 'WebSocket upgrade'
    handshake.destroy = () => raw.destroy()
    const isProxied = this.#isWebProxy(handshake.remoteAddress)
    const handler: UpgradeHandler = {
      identified: (remoteAddress) => {
        if (remoteAddress !== null) handshake.remoteAddress = remoteAddress
        return this.#count(handshake)
      },
      upgraded: (transport) => this.#enter(transport, handshake),
      // It closes by itself, because there is an answer to be read, and counts until then.
      failed: (why) => this.#tell(handshake, why),
      closed: () => this.#leave(handshake),
    }
    return new WebSocketUpgrade(raw, this.#webSocket!, handler, isProxied ? this.#forwarded : null)
  }

  #enter(transport: Transport, handshake: Handshake): TransportHandler | null {
    const handler = this.#ports.accept(transport, performance.now() - handshake.fromMs)
    // From here on the core counts it.
    if (handler !== null) handshake.isCounted = false
    this.#leave(handshake)
    return handler
  }

  /** Counts a connection for its address; returns false when it was refused and destroyed. */
  #count(handshake: Handshake): boolean {
    handshake.isCounted = this.#ports.count(handshake.remoteAddress, this.name)
    if (handshake.isCounted) return true
    this.#leave(handshake)
    handshake.destroy()
    return false
  }

  /** Starts a handshake; returns null when the connection is refused. */
  #start(stage: Stage, remoteAddress: string, destroy: () => void): Handshake | null {
    const waitMs = this.#ports.waitMs(remoteAddress, this.name)
    if (waitMs === null) return null
    const isCounted = stage !== 'PROXY header' && !this.#isWebProxy(remoteAddress)
    if (isCounted && !this.#ports.count(remoteAddress, this.name)) return null
    const fromMs = performance.now() + waitMs
    const handshake: Handshake = {
      fromMs,
      waitMs,
      waiting: null,
      remoteAddress,
      isCounted,
      isTold: false,
      stage,
      timer: null,
      destroy,
    }
    this.#watch(handshake, waitMs)
    return handshake
  }

  /** Starts the timeout of a handshake; the oldest one gives way when there are too many. */
  #watch(handshake: Handshake, waitMs: number): void {
    const { connectTimeoutMs } = this.#ports
    handshake.timer = setTimeout(
      () => this.#fail(handshake, `the ${handshake.stage} was not complete within ${connectTimeoutMs} ms`),
      waitMs + connectTimeoutMs,
    )
    this.#open.add(handshake)
    if (this.#open.size > this.#ports.handshakesMax) {
      const [oldest] = this.#open
      this.#fail(oldest!, `the ${oldest!.stage} is not complete, and newer connections need the place`)
    }
  }

  /** Stops the timeout of a handshake, which gives way to no other any more. It still counts for its address. */
  #settle(handshake: Handshake): void {
    if (handshake.timer !== null) clearTimeout(handshake.timer)
    handshake.timer = null
    this.#open.delete(handshake)
  }

  #fail(handshake: Handshake, why: string): void {
    this.#tell(handshake, why)
    if (this.#leave(handshake)) handshake.destroy()
  }

  #tell(handshake: Handshake, why: string): void {
    if (handshake.isTold || !this.#open.has(handshake)) return
    handshake.isTold = true
    this.#ports.failed(handshake.remoteAddress, this.name, why)
  }

  /** Ends a handshake, successful or not; returns false when it had ended already. */
  #leave(handshake: Handshake): boolean {
    if (handshake.timer !== null) clearTimeout(handshake.timer)
    if (handshake.waiting !== null) clearTimeout(handshake.waiting)
    if (handshake.isCounted) this.#ports.uncount(handshake.remoteAddress)
    handshake.isCounted = false
    return this.#open.delete(handshake)
  }
}
