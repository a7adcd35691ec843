/**
 * The part of MQTT that an attacker or a bystander needs: a socket, packets as bytes, and received packets.
 *
 * Used by the attacks and by the bystander. It judges nothing and waits for nothing: an attacker writes whatever it
 * likes.
 */
import { createConnection, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { WebSocketPeer } from '@recado/broker/testing'
import {
  Connect,
  Decoder,
  Disconnect,
  encode,
  NO_PROPERTIES,
  type Packet,
  PacketType,
  Pingreq,
  type ProtocolVersion,
  Publish,
  type QoS,
  Subscribe,
  Unsubscribe,
} from '@recado/protocol'

/** Layer between TCP and MQTT on a port. */
export type Layer = 'tcp' | 'tls' | 'websocket' | 'proxy'

/** Route to a broker. `ca` is the authority (PEM) that a client of TLS trusts; '' trusts any. */
export interface Route {
  readonly port: number
  readonly layer: Layer
  /** Host. Default: 127.0.0.1. */
  readonly host?: string
  readonly ca?: string
}

/** A PROXY header of version 2: 192.0.2.7 by TLS, with a certificate for the name `honest`. */
const PROXIED: Uint8Array = Buffer.from(
  '0d0a0d0a000d0a515549540a2111001dc0000207c00002019c40075b20000e030000000022000668' + '6f6e657374',
  'hex',
)

/** Opens a connection on which MQTT can be written at once. */
export function openRoute({ port, layer, host = '127.0.0.1', ca = '' }: Route): Socket {
  if (layer === 'tls') {
    const trust = ca === '' ? { rejectUnauthorized: false } : { ca }
    return connectTls({ port, host, servername: 'localhost', ...trust }).setNoDelay(true)
  }
  const socket = createConnection({ port, host, noDelay: true })
  if (layer === 'websocket') return new WebSocketPeer(socket) as unknown as Socket
  if (layer === 'proxy') socket.write(PROXIED)
  return socket
}

export class Wire {
  readonly socket: Socket
  readonly #decoder: Decoder
  readonly #onPacket: ((packet: Packet) => void) | null
  isClosed = false

  /** @param onPacket called with received packets; null discards them */
  constructor(way: number | Route, onPacket: ((packet: Packet) => void) | null = null, version: ProtocolVersion = 5) {
    this.#decoder = new Decoder({ role: 'client', protocolVersion: version })
    this.#onPacket = onPacket
    this.socket = openRoute(typeof way === 'number' ? { port: way, layer: 'tcp' } : way)
    this.socket.on('data', (chunk: Uint8Array) => this.#read(chunk))
    this.socket.on('error', () => {}) // the broker ends the connections of attackers
    this.socket.on('close', () => {
      this.isClosed = true
    })
  }

  #read(chunk: Uint8Array): void {
    if (this.#onPacket === null) return
    this.#decoder.push(chunk)
    for (let packet = this.#decoder.read(); packet !== null; packet = this.#decoder.read()) this.#onPacket(packet)
  }

  /** Writes bytes. Returns false when the kernel accepts no more at the moment. */
  write(bytes: Uint8Array): boolean {
    return this.isClosed ? false : this.socket.write(bytes)
  }

  /** Stops reading. */
  stopReading(): this {
    this.socket.pause()
    return this
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export const bytesOf = (version: ProtocolVersion, ...packets: Packet[]): Uint8Array =>
  Buffer.concat(packets.map((packet) => encode(packet, version)))

export function connectBytes(
  clientId: string,
  more: Partial<ConstructorParameters<typeof Connect>[0]> = {},
): Uint8Array {
  return encode(
    new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 60, clientId, ...more }),
    more.protocolVersion ?? 5,
  )
}

export function publishBytes(
  topic: string,
  payload: Uint8Array,
  qos: QoS = 0,
  packetId = 0,
  retain = false,
): Uint8Array {
  return encode(Publish.of({ topic, payload, qos, packetId, retain, properties: NO_PROPERTIES }), 5)
}

export function subscribeBytes(packetId: number, filters: readonly string[], identifier = 0, qos: QoS = 0): Uint8Array {
  return encode(
    new Subscribe(
      packetId,
      filters.map((topicFilter) => ({ topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 })),
      identifier === 0 ? NO_PROPERTIES : { subscriptionIdentifiers: [identifier] },
    ),
    5,
  )
}

export const unsubscribeBytes = (packetId: number, filters: string[]): Uint8Array =>
  encode(new Unsubscribe(packetId, filters), 5)
export const PINGREQ: Uint8Array = encode(new Pingreq(), 5)
export const DISCONNECT: Uint8Array = encode(new Disconnect(), 5)
export { PacketType }
