/**
 * One MQTT client of a crash run: a connection that comes and goes, and the session that outlives it.
 *
 * Deliberately no user of the client library: a plain state machine on the decoder and encoder, as in section 4.4. It
 * reconnects as long as it is wanted, and keeps the state that a client must keep (Packet Identifiers, unacknowledged
 * messages, received QoS 2 identifiers) from connection to connection. `Publisher` and `Subscriber` are its two halves.
 */
import { connect, type Socket } from 'node:net'
import {
  Connack,
  Connect,
  type ConnectOptions,
  Decoder,
  Disconnect,
  encode,
  NO_PROPERTIES,
  type Packet,
  type ProtocolVersion,
} from '@recado/protocol'
import type { Random } from '../random.ts'

const RETRY_MS = 15
/** Time in milliseconds without an answer to CONNECT after which the broker counts as hanging. */
const CONNACK_MS = 60_000
export const SESSION_EXPIRY_NEVER = 0xffff_ffff

/** A port of 127.0.0.1, or of another host. */
export type ServerAddress = number | { readonly host: string; readonly port: number }

export interface ClientEvents {
  /** Called when the broker has no session for a client that has had one. */
  onSessionLost(clientId: string): void
  /** Called when the broker does something that it must not, or does nothing. */
  onFault(clientId: string, what: string): void
  /** Called with a packet before it is handled. */
  onPacket?(packet: Packet): void
  /** Whether the disk fails at the moment, so that the broker may refuse durable work. */
  readonly mayBeRefused?: boolean
}

export abstract class SessionClient {
  readonly clientId: string
  readonly version: ProtocolVersion
  protected readonly random: Random
  /** Receive Maximum of CONNECT, and the limit that is checked; by chance, unless it is set before `goOnline`. */
  receiveMaximum: number
  /** Number of times that CONNACK has come. */
  protected connections = 0
  readonly #server: { readonly host: string; readonly port: number }
  readonly #events: ClientEvents
  #socket: Socket | null = null
  #isConnected = false
  #isWanted = false
  #hasSession = false
  #timer: NodeJS.Timeout | undefined
  #onConnected: (() => void)[] = []

  constructor(server: ServerAddress, clientId: string, version: ProtocolVersion, random: Random, events: ClientEvents) {
    this.#server = typeof server === 'number' ? { host: '127.0.0.1', port: server } : server
    this.clientId = clientId
    this.version = version
    this.random = random
    this.receiveMaximum = version === 5 ? random.between(3, 60) : 65_535
    this.#events = events
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Connects, and reconnects whenever the connection breaks. */
  goOnline(): void {
    if (this.#isWanted) return
    this.#isWanted = true
    this.#connect()
  }

  /** Stays away until `goOnline`, with a DISCONNECT or without. */
  goOffline(isPolite: boolean): void {
    this.#isWanted = false
    clearTimeout(this.#timer)
    const socket = this.#socket
    if (socket === null) return
    if (isPolite && this.#isConnected) socket.end(encode(new Disconnect(), this.version))
    else socket.destroy()
    this.#disconnected()
  }

  /** Breaks the connection; the client comes back by itself. */
  dropConnection(): void {
    this.#socket?.destroy()
  }

  /** Resolves at the next CONNACK, at once when connected. */
  connected(): Promise<void> {
    if (this.#isConnected) return Promise.resolve()
    return new Promise((resolve) => this.#onConnected.push(resolve))
  }

  /** Goes on after CONNACK. When the broker has no session, `discardSession` has discarded ours before. */
  protected abstract resume(isSessionPresent: boolean, connack: Connack): void
  /** Discards our session, because the broker has none [MQTT-3.2.2-5]. */
  protected abstract discardSession(): void
  protected abstract handle(packet: Packet): void
  /** Discards packets that were to be sent on the lost connection. */
  protected abstract forgetConnection(): void

  protected send(packet: Packet): void {
    if (this.#socket?.writable) this.#socket.write(encode(packet, this.version))
  }

  protected fault(what: string): void {
    this.#events.onFault(this.clientId, what)
  }

  #connect(): void {
    const socket = connect({ ...this.#server, noDelay: true })
    this.#socket = socket
    const decoder = new Decoder({ role: 'client', protocolVersion: this.version })
    socket.on('connect', () => {
      socket.write(encode(this.#connectPacket(), this.version))
      this.#timer = setTimeout(() => {
        if (!this.mayBeRefused) this.fault(`no CONNACK within ${CONNACK_MS} ms`)
        socket.destroy()
      }, CONNACK_MS)
    })
    socket.on('data', (chunk: Buffer) => {
      if (this.#socket !== socket) return
      try {
        decoder.push(chunk)
        for (let packet = decoder.read(); packet !== null && this.#socket === socket; packet = decoder.read()) {
          this.#handle(packet)
        }
      } catch (error) {
        this.fault(`what it sent cannot be read: ${(error as Error).message}`)
        socket.destroy()
      }
    })
    socket.on('error', () => undefined) // 'close' follows
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#disconnected()
      if (this.#isWanted) this.#timer = setTimeout(() => this.#connect(), RETRY_MS)
    })
  }

  #connectPacket(): Connect {
    return new Connect({
      protocolVersion: this.version,
      cleanStart: false,
      keepAliveSeconds: 120,
      clientId: this.clientId,
      properties:
        this.version === 5
          ? { sessionExpiryIntervalSeconds: SESSION_EXPIRY_NEVER, receiveMaximum: this.receiveMaximum }
          : NO_PROPERTIES,
      ...this.connectOptions(),
    })
  }

  /** Whether its session outlives its connections. */
  protected get keepsSession(): boolean {
    return true
  }

  /** Fields of CONNECT that this client changes. */
  protected connectOptions(): Partial<ConnectOptions> {
    return {}
  }

  protected get mayBeRefused(): boolean {
    return this.#events.mayBeRefused === true
  }

  #handle(packet: Packet): void {
    this.#events.onPacket?.(packet)
    if (packet instanceof Connack) {
      clearTimeout(this.#timer)
      if (packet.reasonCode !== 0) {
        if (!this.mayBeRefused) this.fault(`CONNACK with reason code ${packet.reasonCode}`)
        this.#socket?.destroy()
        return
      }
      if (!packet.sessionPresent && this.#hasSession && this.keepsSession) this.#events.onSessionLost(this.clientId)
      // An unknown session is ours too: its CONNACK was lost with the broker.
      if (!packet.sessionPresent) this.discardSession()
      this.#hasSession = true
      this.#isConnected = true
      this.connections++
      this.resume(packet.sessionPresent, packet)
      for (const resolve of this.#onConnected.splice(0)) resolve()
    } else if (packet instanceof Disconnect) {
      // 0x8B: it is being shut down, which is no fault.
      if (packet.reasonCode !== 0x8b && !this.mayBeRefused)
        this.fault(`DISCONNECT with reason code ${packet.reasonCode}`)
    } else {
      this.handle(packet)
    }
  }

  #disconnected(): void {
    clearTimeout(this.#timer)
    this.#socket = null
    this.#isConnected = false
    this.forgetConnection()
  }
}
