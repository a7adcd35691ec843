/**
 * A client at one of the bridged brokers, with a session that it never loses: it publishes one message after the other
 * until each is acknowledged, or it receives everything. Its network is well; only its broker dies.
 */
import { Connection, type ConnectionHandler, type Environment, type Timer } from '@recado/client/low-level'
import {
  Connect,
  type Packet,
  PacketType,
  type Properties,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Subscribe,
} from '@recado/protocol'
import type { Cable } from '../cable.ts'
import type { Handle, Loop } from '../loop.ts'
import { BridgeTransport } from './bridge-transport.ts'
import type { ClientPlan, QoS } from './plan.ts'

const NEVER_SECONDS = 0xffff_ffff
const KEEP_ALIVE_SECONDS = 20
const RETRY_MS = 300
const CONNACK_TIMEOUT_MS = 10_000
/** Time after which a client of MQTT before 5.0 gives up a connection: a broker that refuses a message does not answer. */
const PATIENCE_MS = 8_000
/** Most messages that wait for their acknowledgement. */
const WINDOW = 8
const EVERYTHING = '#'

/** A message to publish. */
export interface Outgoing {
  readonly id: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
}

export interface ClientWorld {
  readonly loop: Loop
  dial(client: EndClient, transport: BridgeTransport): Cable | null
  acknowledged(id: number): void
  refused(id: number): void
  received(client: EndClient, publish: Publish): void
  failed(checker: string, text: string): void
}

interface Flight {
  readonly message: Outgoing
  isReleased: boolean
}

export class EndClient implements ConnectionHandler {
  readonly plan: ClientPlan
  readonly #world: ClientWorld
  readonly #environment: Environment
  #connection: Connection | null = null
  #isUp = false
  #hadSession = false
  #isStopped = false
  isSubscribed = false
  #timeout: Timer | null = null
  readonly #waiting: Outgoing[] = []
  readonly #flights: Map<number, Flight> = new Map()
  readonly #received: Set<number> = new Set()
  /** Answers to messages so far. */
  #answers = 0
  #nextId = 1

  /** Messages that may wait for their acknowledgement. */
  readonly #window: number

  /** @param receiveMaximum of its broker */
  constructor(plan: ClientPlan, receiveMaximum: number, world: ClientWorld) {
    this.plan = plan
    this.#window = Math.min(WINDOW, receiveMaximum)
    this.#world = world
    const { loop } = world
    this.#environment = {
      dial: () => Promise.reject(new Error('never called')),
      now: () => loop.nowMs,
      setTimer: (callback, ms) => loop.after(ms, callback) as Timer,
      clearTimer: (timer) => loop.cancel(timer as Handle),
      defer: (callback) => loop.defer(callback),
      random: () => 0.5,
    }
  }

  get isConnected(): boolean {
    return this.#isUp
  }

  /** Messages of QoS 1 and 2 that are not acknowledged. */
  get unfinished(): number {
    return this.#waiting.length + this.#flights.size
  }

  connect(): void {
    if (this.#connection !== null || this.#isStopped) return
    const transport = new BridgeTransport(
      this.#world.loop,
      () => false,
      () => {},
    )
    const cable = this.#world.dial(this, transport)
    if (cable === null) {
      this.#world.loop.after(RETRY_MS, () => this.connect())
      return
    }
    transport.cable = cable
    const { version, clientId } = this.plan
    const connection = new Connection(transport, this.#environment, version, 268_435_460, null, this)
    this.#connection = connection
    connection.start()
    connection.send(
      new Connect({
        ...{ protocolVersion: version, cleanStart: false, keepAliveSeconds: KEEP_ALIVE_SECONDS, clientId },
        ...(version === 5 ? { properties: { sessionExpiryIntervalSeconds: NEVER_SECONDS } } : {}),
      }),
    )
    this.#timeout = this.#environment.setTimer(() => {
      if (!this.#isUp) connection.destroy()
    }, CONNACK_TIMEOUT_MS)
  }

  publish(message: Outgoing): void {
    if (message.qos > 0) {
      this.#waiting.push(message)
      this.#send()
      return
    }
    if (this.#isUp && this.#waiting.length === 0) this.#connection!.send(publishOf(message, 0, false))
  }

  #send(): void {
    while (this.#isUp && this.#flights.size < this.#window && this.#waiting.length > 0) {
      const message = this.#waiting.shift()!
      do this.#nextId = (this.#nextId % 0xffff) + 1
      while (this.#flights.has(this.#nextId))
      this.#flights.set(this.#nextId, { message, isReleased: false })
      this.#connection!.send(publishOf(message, this.#nextId, false))
    }
  }

  handlePacket(packet: Packet): void {
    const connection = this.#connection!
    if (packet.type === PacketType.PUBACK || packet.type === PacketType.PUBCOMP) this.#answers++
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode !== 0) connection.destroy()
        else this.#accepted(packet.sessionPresent)
        return
      case PacketType.SUBACK:
        this.isSubscribed = true
        return
      case PacketType.PUBLISH:
        this.#handlePublish(packet)
        return
      case PacketType.PUBREL:
        this.#received.delete(packet.packetId)
        connection.send(new Pubcomp(packet.packetId))
        return
      case PacketType.PUBACK:
        this.#finished(packet.packetId, packet.reasonCode)
        return
      case PacketType.PUBREC: {
        const flight = this.#flights.get(packet.packetId)
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
        this.#flights.delete(packet.packetId)
        this.#send()
        return
      default:
    }
  }

  #finished(packetId: number, reasonCode: number): void {
    const flight = this.#flights.get(packetId)
    if (flight === undefined) return
    this.#flights.delete(packetId)
    if (reasonCode >= 0x80) this.#world.refused(flight.message.id)
    else this.#world.acknowledged(flight.message.id)
    this.#send()
  }

  #accepted(isPresent: boolean): void {
    const connection = this.#connection!
    if (this.#hadSession && !isPresent && this.plan.version > 3) {
      this.#world.failed('sessions', `the session of ${this.plan.clientId} is gone`)
    }
    this.#hadSession = true
    this.#isUp = true
    connection.establish(this, KEEP_ALIVE_SECONDS)
    if (this.plan.isSubscriber && !this.isSubscribed) {
      const options =
        this.plan.version === 5
          ? { retainAsPublished: true, noLocal: false }
          : { retainAsPublished: false, noLocal: false }
      connection.send(new Subscribe(1, [{ topicFilter: EVERYTHING, qos: 2, retainHandling: 0, ...options }]))
    }
    this.#watch(connection, this.#answers, this.#flights.size > 0)
    for (const [packetId, { message, isReleased }] of this.#flights) {
      connection.send(isReleased ? new Pubrel(packetId) : publishOf(message, packetId, true))
    }
    this.#send()
  }

  /** Ends a connection on which no answer has come for a while. `hasWaited`: some was owed at the beginning of it. */
  #watch(connection: Connection, answersBefore: number, hasWaited: boolean): void {
    this.#world.loop.after(PATIENCE_MS, () => {
      if (this.#connection !== connection) return
      const isOwed = this.#flights.size > 0
      if (isOwed && hasWaited && this.#answers === answersBefore) connection.destroy()
      else this.#watch(connection, this.#answers, isOwed)
    })
  }

  #handlePublish(publish: Publish): void {
    const connection = this.#connection!
    const { qos, packetId } = publish
    if (qos < 2 || !this.#received.has(packetId)) this.#world.received(this, publish)
    if (qos === 1) connection.send(new Puback(packetId))
    if (qos < 2) return
    this.#received.add(packetId)
    connection.send(new Pubrec(packetId))
  }

  handleDrain(): void {}

  handleClosed(): void {
    this.#connection = null
    this.#isUp = false
    if (this.#timeout !== null) this.#environment.clearTimer(this.#timeout)
    this.#world.loop.after(RETRY_MS, () => this.connect())
  }

  stop(): void {
    this.#isStopped = true
    this.#connection?.destroy()
  }
}

function publishOf({ topic, payload, qos, retain, properties }: Outgoing, packetId: number, dup: boolean): Publish {
  return Publish.of({ topic, payload, qos, retain, dup, packetId, properties })
}
