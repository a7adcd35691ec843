/**
 * A client of the simulations of several brokers: it publishes one message after the other until each is acknowledged,
 * over connections and crashes of its broker, and answers what it gets.
 *
 * `bridge/end-client.ts` and `mesh/client.ts` say how it connects, and what it subscribes to.
 */
import { Connection, type ConnectionHandler, type Environment, type Timer } from '@recado/client/low-level'
import {
  type Connect,
  type Packet,
  PacketType,
  type Properties,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
} from '@recado/protocol'
import { BridgeTransport } from './bridge/bridge-transport.ts'
import type { Cable } from './cable.ts'
import type { Handle, Loop } from './loop.ts'

const CONNACK_TIMEOUT_MS = 10_000
/** Time after which a client gives up a connection on which no answer comes: before MQTT 5.0 a refusal has none. */
const PATIENCE_MS = 8_000
const PACKET_SIZE_MAX = 268_435_460

/** A message to publish. */
export interface Outgoing {
  readonly id: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly properties: Properties
}

/** A message that waits for its acknowledgement. */
export interface Flight {
  readonly message: Outgoing
  isReleased: boolean
}

/** What a client tells the run. */
export interface FlowWorld {
  readonly loop: Loop
  acknowledged(id: number): void
  refused(id: number): void
  failed(checker: string, text: string): void
}

export interface FlowSettings {
  readonly version: ProtocolVersion
  readonly keepAliveSeconds: number
  /** Time until it connects again. */
  readonly retryMs: number
  /** Most messages that wait for their acknowledgement. */
  readonly window: number
  /** Largest Packet Identifier of a message. */
  readonly packetIdMax: number
}

export abstract class FlowClient implements ConnectionHandler {
  protected readonly environment: Environment
  protected connection: Connection | null = null
  /** Whether CONNACK has come on this connection. */
  protected isUp = false
  protected readonly waiting: Outgoing[] = []
  protected readonly flights: Map<number, Flight> = new Map()
  /** Packet Identifiers of messages at QoS 2 that it has got. */
  protected readonly received: Set<number> = new Set()
  readonly #world: FlowWorld
  readonly #settings: FlowSettings
  #hadSession = false
  #isStopped = false
  #timeout: Timer | null = null
  /** Answers to messages so far. */
  #answers = 0
  #nextId = 1

  constructor(settings: FlowSettings, world: FlowWorld) {
    this.#settings = settings
    this.#world = world
    const { loop } = world
    this.environment = {
      dial: () => Promise.reject(new Error('never called')),
      now: () => loop.nowMs,
      setTimer: (callback, ms) => loop.after(ms, callback) as Timer,
      clearTimer: (timer) => loop.cancel(timer as Handle),
      defer: (callback) => loop.defer(callback),
      random: () => 0.5,
    }
  }

  /** Connects a transport; null when nobody answers, or it stays away. */
  protected abstract dial(transport: BridgeTransport): Cable | null
  protected abstract makeConnect(): Connect
  /** Called when no CONNACK has come for long to a CONNECT of this time. */
  protected abstract unanswered(dialledMs: number): void
  /** Judges Session Present. `hadSession`: it had been connected before. */
  protected abstract checkSession(isPresent: boolean, hadSession: boolean): void
  /** Called when a connection stands, before messages are sent again. */
  protected abstract established(hadSession: boolean): void
  /** Called when messages have been sent again, before new ones. */
  protected abstract resumed(): void
  /** Publishes at QoS 0. */
  protected abstract publishOnce(message: Outgoing): void
  /** Called when a message at QoS 1 or 2 is sent for the first time. */
  protected abstract sent(id: number): void
  protected abstract handOver(publish: Publish): void
  /** Handles SUBACK and UNSUBACK. */
  protected abstract handleChange(packet: Packet): void
  /** Called when the connection has ended. `wasUp`: after its CONNACK. */
  protected abstract closed(wasUp: boolean): void

  get isConnected(): boolean {
    return this.isUp
  }

  /** Messages of QoS 1 and 2 that are not acknowledged. */
  get unfinished(): number {
    return this.waiting.length + this.flights.size
  }

  connect(): void {
    if (this.connection !== null || this.#isStopped) return
    const { loop } = this.#world
    const transport = new BridgeTransport(
      loop,
      () => false,
      () => {},
    )
    const cable = this.dial(transport)
    if (cable === null) {
      loop.after(this.#settings.retryMs, () => this.connect())
      return
    }
    transport.cable = cable
    const connection = new Connection(transport, this.environment, this.#settings.version, PACKET_SIZE_MAX, null, this)
    this.connection = connection
    connection.start()
    connection.send(this.makeConnect())
    const dialledMs = loop.nowMs
    this.#timeout = this.environment.setTimer(() => {
      if (this.isUp) return
      this.unanswered(dialledMs)
      connection.destroy()
    }, CONNACK_TIMEOUT_MS)
  }

  publish(message: Outgoing): void {
    if (message.qos === 0) {
      this.publishOnce(message)
      return
    }
    this.waiting.push(message)
    this.#send()
  }

  stop(): void {
    this.#isStopped = true
    this.connection?.destroy()
  }

  // --- what it sends ------------------------------------------------------------------------------------------------

  #send(): void {
    const { window, packetIdMax } = this.#settings
    while (this.isUp && this.flights.size < window && this.waiting.length > 0) {
      const message = this.waiting.shift()!
      do this.#nextId = (this.#nextId % packetIdMax) + 1
      while (this.flights.has(this.#nextId))
      this.flights.set(this.#nextId, { message, isReleased: false })
      this.sent(message.id)
      this.connection!.send(publishOf(message, this.#nextId, false))
    }
  }

  /** Sends a message of an earlier connection. */
  protected sendAgain(packetId: number, { message, isReleased }: Flight): void {
    this.connection!.send(isReleased ? new Pubrel(packetId) : publishOf(message, packetId, true))
  }

  /** Sends an acknowledgement. */
  protected answer(packet: Packet): void {
    this.connection!.send(packet)
  }

  // --- what comes ---------------------------------------------------------------------------------------------------

  handlePacket(packet: Packet): void {
    const connection = this.connection!
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode !== 0) connection.destroy()
        else this.#accepted(packet.sessionPresent)
        return
      case PacketType.PUBLISH:
        this.#handlePublish(packet)
        return
      case PacketType.PUBREL:
        this.received.delete(packet.packetId)
        this.answer(new Pubcomp(packet.packetId))
        return
      case PacketType.PUBACK:
        this.#answers++
        this.#finished(packet.packetId, packet.reasonCode)
        return
      case PacketType.PUBREC: {
        const flight = this.flights.get(packet.packetId)
        if (packet.reasonCode >= 0x80) {
          this.#finished(packet.packetId, packet.reasonCode)
          return
        }
        if (flight !== undefined && !flight.isReleased) {
          flight.isReleased = true
          this.#world.acknowledged(flight.message.id)
        }
        connection.send(new Pubrel(packet.packetId))
        return
      }
      case PacketType.PUBCOMP:
        this.#answers++
        this.flights.delete(packet.packetId)
        this.#send()
        return
      default:
        this.handleChange(packet)
    }
  }

  #finished(packetId: number, reasonCode: number): void {
    const flight = this.flights.get(packetId)
    if (flight === undefined) return
    this.flights.delete(packetId)
    if (reasonCode >= 0x80) this.#world.refused(flight.message.id)
    else this.#world.acknowledged(flight.message.id)
    this.#send()
  }

  #accepted(isPresent: boolean): void {
    const connection = this.connection!
    const hadSession = this.#hadSession
    this.checkSession(isPresent, hadSession)
    this.#hadSession = true
    this.isUp = true
    connection.establish(this, this.#settings.keepAliveSeconds)
    this.established(hadSession)
    this.#watch(connection, this.#answers, this.flights.size > 0)
    for (const [packetId, flight] of this.flights) this.sendAgain(packetId, flight)
    this.resumed()
    this.#send()
  }

  /** Ends a connection on which no answer has come for a while. `hasWaited`: some was owed at the beginning of it. */
  #watch(connection: Connection, answersBefore: number, hasWaited: boolean): void {
    this.#world.loop.after(PATIENCE_MS, () => {
      if (this.connection !== connection) return
      const isOwed = this.flights.size > 0
      if (isOwed && hasWaited && this.#answers === answersBefore) connection.destroy()
      else this.#watch(connection, this.#answers, isOwed)
    })
  }

  #handlePublish(publish: Publish): void {
    const { qos, packetId } = publish
    if (qos < 2 || !this.received.has(packetId)) this.handOver(publish)
    if (qos === 1) this.answer(new Puback(packetId))
    if (qos < 2) return
    this.received.add(packetId)
    this.answer(new Pubrec(packetId))
  }

  handleDrain(): void {}

  handleClosed(): void {
    const wasUp = this.isUp
    this.connection = null
    this.isUp = false
    this.closed(wasUp)
    if (this.#timeout !== null) this.environment.clearTimer(this.#timeout)
    this.#world.loop.after(this.#settings.retryMs, () => this.connect())
  }
}

export function publishOf(message: Outgoing, packetId: number, dup: boolean): Publish {
  const { topic, payload, qos, retain, properties } = message
  return Publish.of({ topic, payload, qos, retain, dup, packetId, properties })
}
