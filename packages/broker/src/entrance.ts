/**
 * The way in: from an accepted connection through the layers of its listener (PROXY header, TLS, WebSocket upgrade) to a
 * Transport that speaks MQTT.
 *
 * `broker.ts` opens one for each listener and takes the transports. The layers are adapters that know nothing of each
 * other; this file joins them. The invariants: from the accepted connection to its CONNECT it may take no more than the
 * connect timeout, whatever the layers; a connection that ends on the way is destroyed, told once (`failed`), and closed
 * with the broker; rates and addresses are asked about before a layer does its work, for a handshake is most of what a
 * connection costs. A listener without layers costs nothing here.
 */
import type { Socket } from 'node:net'
import { MqttError, OptionError, packetEnd } from '@recado/protocol'
import { type ProxyOptions, readProxyHeader } from './adapters/proxy-header.ts'
import {
  type Accept,
  SocketListener,
  type SocketListenerOptions,
  type TransportKind,
} from './adapters/socket-listener.ts'
import { formatAddress, type KnownOfSocket, SocketTransport } from './adapters/socket-transport.ts'
import type { TlsOptions } from './adapters/tls-options.ts'
import { TlsServer } from './adapters/tls-server.ts'
import { Forwarded, type ForwardedOptions } from './adapters/websocket-forwarded.ts'
import { serverFrameEnd } from './adapters/websocket-frames.ts'
import { type UpgradeHandler, type WebSocketOptions, WebSocketUpgrade } from './adapters/websocket-transport.ts'
import type { Peer, Transport, TransportHandler } from './ports.ts'

export type { TlsOptions } from './adapters/tls-options.ts'

export interface EntranceOptions extends SocketListenerOptions {
  /** TLS, with a certificate or with pre-shared keys. */
  tls?: TlsOptions
  /** Expects a PROXY header before all else, from every connection: only for listeners that nobody but the proxy can reach. */
  proxyProtocol?: boolean | ProxyOptions
  /** MQTT over WebSocket. `true`: any path, any origin. */
  webSocket?: boolean | WebSocketOptions
}

/** Where connections go that have come through, and those that have not. */
export interface EntrancePorts {
  /** From the accepted connection to CONNECT. */
  readonly connectTimeoutMs: number
  /** Connections that may be on their way in; with more the oldest goes. */
  readonly arrivalsMax: number
  /** How long a connection has to wait before it is read; null: it is not wanted. Not asked without layers. */
  admit(remoteAddress: string, listener: string): number | null
  /** As many are open from there as may be: who comes now waits a moment for another to close. */
  isFull(remoteAddress: string): boolean
  /** One more from there; false: there are too many. */
  count(remoteAddress: string, listener: string): boolean
  /** One that was counted has not come to `accept`, or was refused there. */
  uncount(remoteAddress: string): void
  /** `ageMs`: since it might have been read; null: it came straight, and has not been admitted or counted. `null` refuses it. */
  accept(transport: Transport, ageMs: number | null): TransportHandler | null
  failed(remoteAddress: string, listener: string, why: string): void
}

/** Says what a connection was doing when its time ran out. */
type Stage = 'PROXY header' | 'TLS handshake' | 'WebSocket upgrade'

/** A connection on its way in. */
interface Arrival {
  /** From here on its time runs. */
  readonly fromMs: number
  readonly waitMs: number
  /** It is not read yet; null: it is. */
  waiting: NodeJS.Timeout | null
  remoteAddress: string
  /** Not while only its proxy is known. */
  isCounted: boolean
  /** Why it failed; it may still be there. */
  isTold: boolean
  stage: Stage
  timer: NodeJS.Timeout
  destroy(): void
}

export class Entrance {
  readonly #listener: SocketListener
  readonly #layers: Layers

  private constructor(listener: SocketListener, layers: Layers) {
    this.#listener = listener
    this.#layers = layers
  }

  /** @throws MqttError ERR_MQTT_LISTEN, TlsError */
  static async open(options: EntranceOptions, ports: EntrancePorts): Promise<Entrance> {
    const layers = new Layers(options, ports)
    const listener = await SocketListener.open(
      options,
      layers.takeTransport,
      layers.takesSockets ? layers.takeSocket : null,
      layers.isFull,
    )
    layers.name = listener.name
    return new Entrance(listener, layers)
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

  /** More are closed at once. */
  set connectionsMax(connectionsMax: number) {
    this.#listener.connectionsMax = connectionsMax
  }

  /** Certificates and keys for connections to come. @throws TlsError, and then nothing has changed */
  updateTls(options: TlsOptions): void {
    this.#layers.updateTls(options)
  }

  /** Takes no more connections. Those that are open stay; those on their way in are closed. */
  async close(): Promise<void> {
    await this.#listener.close()
    this.#layers.close()
  }
}

/** @throws MqttError ERR_MQTT_LISTEN for what is no address of a proxy */
function forwardedFrom(options: ForwardedOptions): Forwarded {
  try {
    return new Forwarded(options)
  } catch (cause) {
    throw new MqttError('ERR_MQTT_LISTEN', `webSocket.forwarded: ${(cause as Error).message}`, { cause })
  }
}

class Layers {
  name: string
  readonly #ports: EntrancePorts
  readonly #proxy: ProxyOptions | null
  readonly #tls: TlsServer | null
  readonly #webSocket: WebSocketOptions | null
  /** null: no proxy in front of WebSockets is believed. */
  readonly #forwarded: Forwarded | null
  readonly #arrivals: Set<Arrival> = new Set()

  constructor(options: EntranceOptions, ports: EntrancePorts) {
    this.name = options.name ?? ''
    this.#ports = ports
    const { webSocket = false, proxyProtocol = false } = options
    this.#proxy = proxyProtocol === true ? {} : proxyProtocol === false ? null : proxyProtocol
    this.#webSocket = webSocket === true ? {} : webSocket === false ? null : webSocket
    const forwarded = this.#webSocket?.forwarded
    this.#forwarded = forwarded === undefined ? null : forwardedFrom(forwarded)
    const alpn = this.#webSocket === null ? 'mqtt' : 'http/1.1'
    this.#tls = options.tls === undefined ? null : new TlsServer(options.tls, [alpn])
  }

  get takesSockets(): boolean {
    return this.#tls !== null || this.#proxy !== null
  }

  updateTls(options: TlsOptions): void {
    if (this.#tls === null) throw new OptionError(`the listener ${this.name} has no TLS: close it, and listen with tls`)
    this.#tls.update(options)
  }

  close(): void {
    for (const arrival of this.#arrivals) {
      this.#leave(arrival)
      arrival.destroy()
    }
  }

  readonly isFull = (remoteAddress: string): boolean =>
    // What the proxy has is not the client's.
    this.#proxy === null && !this.#isWebProxy(remoteAddress) && this.#ports.isFull(remoteAddress)

  #isWebProxy(remoteAddress: string): boolean {
    return this.#forwarded?.isProxy(remoteAddress) ?? false
  }

  readonly takeTransport: Accept = (transport) => {
    if (this.#webSocket === null) return this.#ports.accept(transport, null)
    const arrival = this.#arrive('WebSocket upgrade', transport.remoteAddress, () => transport.destroy())
    if (arrival === null) return null
    if (arrival.waitMs > 0) {
      transport.pause()
      arrival.waiting = setTimeout(() => transport.resume(), arrival.waitMs)
    }
    return this.#upgrade(transport, arrival)
  }

  readonly takeSocket = (socket: Socket): void => {
    // What goes wrong is told to the layer; the socket below must only not throw.
    socket.on('error', () => {})
    const address = formatAddress(socket.remoteAddress, socket.remotePort)
    const stage = this.#proxy === null ? 'TLS handshake' : 'PROXY header'
    const arrival = this.#arrive(stage, address, () => socket.destroy())
    if (arrival === null) socket.destroy()
    else if (arrival.waitMs === 0) this.#begin(socket, arrival)
    else arrival.waiting = setTimeout(() => this.#begin(socket, arrival), arrival.waitMs)
  }

  #begin(socket: Socket, arrival: Arrival): void {
    if (this.#proxy === null) {
      this.#secure(socket, arrival, null)
      return
    }
    const proxyAddress = arrival.remoteAddress
    readProxyHeader(
      socket,
      this.#proxy,
      ({ remoteAddress, peer }) => {
        if (remoteAddress !== null) arrival.remoteAddress = remoteAddress
        // Behind it there may be another proxy, which is no client either.
        if (!this.#isWebProxy(arrival.remoteAddress) && !this.#count(arrival)) return
        const known: Peer = { ...peer, proxyAddress }
        if (this.#tls === null) this.#acceptSocket(socket, arrival, known)
        else this.#secure(socket, arrival, known)
      },
      (why) => this.#fail(arrival, why),
    )
  }

  /** `proxied`: what a proxy says of the client; what TLS says to us comes before it. */
  #secure(socket: Socket, arrival: Arrival, proxied: Peer | null): void {
    arrival.stage = 'TLS handshake'
    this.#tls!.secure(
      socket,
      ({ socket: secure, peer }) =>
        this.#acceptSocket(secure, arrival, { ...peer, proxyAddress: proxied?.proxyAddress ?? null }),
      (why) => this.#fail(arrival, why),
    )
  }

  #acceptSocket(socket: Socket, arrival: Arrival, peer: Peer | null): void {
    const known: KnownOfSocket = { remoteAddress: arrival.remoteAddress, peer }
    if (this.#tls !== null) known.unitEnd = this.#webSocket === null ? packetEnd : serverFrameEnd
    const transport = new SocketTransport(socket, this.name, known)
    const handler = this.#webSocket === null ? this.#enter(transport, arrival) : this.#upgrade(transport, arrival)
    if (handler === null) socket.destroy()
    else transport.start(handler)
  }

  #upgrade(raw: Transport, arrival: Arrival): TransportHandler {
    arrival.stage = 'WebSocket upgrade'
    arrival.destroy = () => raw.destroy()
    const isProxied = this.#isWebProxy(arrival.remoteAddress)
    const handler: UpgradeHandler = {
      identified: (remoteAddress) => {
        if (remoteAddress !== null) arrival.remoteAddress = remoteAddress
        return this.#count(arrival)
      },
      upgraded: (transport) => this.#enter(transport, arrival),
      // It closes by itself, for there is an answer to be read, and counts until then.
      failed: (why) => this.#tell(arrival, why),
      closed: () => this.#leave(arrival),
    }
    return new WebSocketUpgrade(raw, this.#webSocket!, handler, isProxied ? this.#forwarded : null)
  }

  #enter(transport: Transport, arrival: Arrival): TransportHandler | null {
    const handler = this.#ports.accept(transport, performance.now() - arrival.fromMs)
    // What has been accepted is counted on, by the core.
    if (handler !== null) arrival.isCounted = false
    this.#leave(arrival)
    return handler
  }

  /** False: it is not wanted, and gone. */
  #count(arrival: Arrival): boolean {
    arrival.isCounted = this.#ports.count(arrival.remoteAddress, this.name)
    if (arrival.isCounted) return true
    this.#leave(arrival)
    arrival.destroy()
    return false
  }

  /** null: it is not wanted. */
  #arrive(stage: Stage, remoteAddress: string, destroy: () => void): Arrival | null {
    const { connectTimeoutMs } = this.#ports
    const waitMs = this.#ports.admit(remoteAddress, this.name)
    if (waitMs === null) return null
    const isCounted = stage !== 'PROXY header' && !this.#isWebProxy(remoteAddress)
    if (isCounted && !this.#ports.count(remoteAddress, this.name)) return null
    const timer = setTimeout(
      () => this.#fail(arrival, `no end to the ${arrival.stage} within ${connectTimeoutMs} ms`),
      waitMs + connectTimeoutMs,
    )
    const fromMs = performance.now() + waitMs
    const arrival: Arrival = {
      fromMs,
      waitMs,
      waiting: null,
      remoteAddress,
      isCounted,
      isTold: false,
      stage,
      timer,
      destroy,
    }
    this.#arrivals.add(arrival)
    if (this.#arrivals.size > this.#ports.arrivalsMax) {
      const [oldest] = this.#arrivals
      this.#fail(oldest!, `no end to the ${oldest!.stage} yet, and newer connections need the room`)
    }
    return arrival
  }

  #fail(arrival: Arrival, why: string): void {
    this.#tell(arrival, why)
    if (this.#leave(arrival)) arrival.destroy()
  }

  #tell(arrival: Arrival, why: string): void {
    if (arrival.isTold || !this.#arrivals.has(arrival)) return
    arrival.isTold = true
    this.#ports.failed(arrival.remoteAddress, this.name, why)
  }

  /** It is in, or gone. False: it was already. */
  #leave(arrival: Arrival): boolean {
    clearTimeout(arrival.timer)
    if (arrival.waiting !== null) clearTimeout(arrival.waiting)
    if (arrival.isCounted) this.#ports.uncount(arrival.remoteAddress)
    arrival.isCounted = false
    return this.#arrivals.delete(arrival)
  }
}
