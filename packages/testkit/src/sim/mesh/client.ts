/**
 * A client of the broker: it publishes one message after the other until each is acknowledged, subscribes, and tells the
 * judge what it gets. A durable one keeps its session over connections and crashes of its Core; one that is not makes its
 * subscriptions anew with each connection.
 */
import { Connection, type ConnectionHandler, type Environment, type Timer } from '@recado/client/low-level'
import {
  Connect,
  Disconnect,
  type Packet,
  PacketType,
  type Properties,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Subscribe,
  Unsubscribe,
} from '@recado/protocol'
import { BridgeTransport } from '../bridge/bridge-transport.ts'
import type { Cable } from '../cable.ts'
import type { Handle, Loop } from '../loop.ts'
import type { ClientPlan, QoS } from './plan.ts'

const NEVER_SECONDS = 0xffff_ffff
/** Long: a client that nobody tells of the end of its connection is to be found out, and PINGREQ is no rest. */
const KEEP_ALIVE_SECONDS = 600
const RETRY_MS = 150
const CONNACK_TIMEOUT_MS = 10_000
/** Time after which a client gives up a connection on which no answer comes. */
const PATIENCE_MS = 8_000
/** Packet Identifiers of SUBSCRIBE and UNSUBSCRIBE. */
const CHANGE_IDS = 40_000

/** A message to publish. */
export interface Outgoing {
  readonly id: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly properties: Properties
}

/** A subscription to be made, or ended. */
export interface Change {
  readonly topicFilter: string
  /** QoS of the subscription; null ends it. */
  readonly qos: QoS | null
  readonly noLocal: boolean
}

export interface ClientWorld {
  readonly loop: Loop
  dial(client: MeshClient, transport: BridgeTransport): Cable | null
  /** A new session begins; `isSame`: the client goes on with the one that it had. */
  connected(client: MeshClient, isSame: boolean): void
  disconnected(client: MeshClient): void
  /** No CONNACK has come for long to a CONNECT of this time. */
  unanswered(client: MeshClient, dialledMs: number): void
  sent(id: number): void
  acknowledged(id: number): void
  refused(id: number): void
  changing(client: MeshClient, change: Change): void
  /** `qos`: as it was granted; null when it has ended. */
  changed(client: MeshClient, change: Change): void
  received(client: MeshClient, publish: Publish): void
  failed(checker: string, text: string): void
}

interface Flight {
  readonly message: Outgoing
  isReleased: boolean
}

export class MeshClient implements ConnectionHandler {
  readonly plan: ClientPlan
  readonly #world: ClientWorld
  readonly #environment: Environment
  readonly #window: number
  #connection: Connection | null = null
  #cable: Cable | null = null
  #isUp = false
  #hadSession = false
  #isStopped = false
  #awayUntilMs = 0
  #timeout: Timer | null = null
  readonly #waiting: Outgoing[] = []
  readonly #flights: Map<number, Flight> = new Map()
  readonly #received: Set<number> = new Set()
  /** Changes that have not been answered, the first on its way. */
  #changes: Change[] = []
  #isChanging = false
  #changeId = CHANGE_IDS
  /** Subscriptions that it means to have. */
  readonly #subscriptions: Map<string, Change> = new Map()
  /** Acknowledgements that it holds back; null for none. */
  #held: Packet[] | null = null
  #answers = 0
  #nextId = 1

  constructor(plan: ClientPlan, receiveMaximum: number, world: ClientWorld) {
    this.plan = plan
    this.#window = Math.min(plan.window, receiveMaximum)
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

  /** Messages and changes that are not acknowledged. */
  get unfinished(): number {
    return this.#waiting.length + this.#flights.size + this.#changes.length
  }

  connect(): void {
    if (this.#connection !== null || this.#isStopped) return
    const { loop } = this.#world
    const transport = new BridgeTransport(
      loop,
      () => false,
      () => {},
    )
    const cable = loop.nowMs < this.#awayUntilMs ? null : this.#world.dial(this, transport)
    if (cable === null) {
      loop.after(RETRY_MS, () => this.connect())
      return
    }
    transport.cable = cable
    this.#cable = cable
    const { version, clientId, isDurable } = this.plan
    const connection = new Connection(transport, this.#environment, version, 268_435_460, null, this)
    this.#connection = connection
    connection.start()
    const isKept = version === 5 && isDurable
    connection.send(
      new Connect({
        ...{ protocolVersion: version, cleanStart: !isDurable, keepAliveSeconds: KEEP_ALIVE_SECONDS, clientId },
        ...(isKept ? { properties: { sessionExpiryIntervalSeconds: NEVER_SECONDS } } : {}),
      }),
    )
    const dialledMs = loop.nowMs
    this.#timeout = this.#environment.setTimer(() => {
      if (this.#isUp) return
      this.#world.unanswered(this, dialledMs)
      connection.destroy()
    }, CONNACK_TIMEOUT_MS)
  }

  // --- what it is told to do ----------------------------------------------------------------------------------------

  publish(message: Outgoing): void {
    if (message.qos > 0) {
      this.#waiting.push(message)
      this.#send()
    } else if (this.#isUp) {
      this.#world.sent(message.id)
      this.#connection!.send(publishOf(message, 0, false))
    }
  }

  change(change: Change): void {
    if (change.qos === null) this.#subscriptions.delete(change.topicFilter)
    else this.#subscriptions.set(change.topicFilter, change)
    this.#changes.push(change)
    this.#sendChange()
  }

  cut(): void {
    this.#cable?.cut()
  }

  /** Disconnects, and comes back later. */
  leave(ms: number): void {
    this.#awayUntilMs = this.#world.loop.nowMs + ms
    if (!this.#isUp) return
    this.#connection!.send(new Disconnect(0))
    this.#connection!.destroy()
  }

  /** Acknowledges nothing for a while. */
  hold(ms: number): void {
    this.#held ??= []
    this.#world.loop.after(ms, () => this.release())
  }

  release(): void {
    const held = this.#held
    this.#held = null
    if (this.#isUp) for (const packet of held ?? []) this.#connection!.send(packet)
  }

  calm(): void {
    this.#awayUntilMs = 0
    this.release()
  }

  stop(): void {
    this.#isStopped = true
    this.#connection?.destroy()
  }

  // --- what it sends ------------------------------------------------------------------------------------------------

  #send(): void {
    while (this.#isUp && this.#flights.size < this.#window && this.#waiting.length > 0) {
      const message = this.#waiting.shift()!
      do this.#nextId = (this.#nextId % (CHANGE_IDS - 1)) + 1
      while (this.#flights.has(this.#nextId))
      this.#flights.set(this.#nextId, { message, isReleased: false })
      this.#world.sent(message.id)
      this.#connection!.send(publishOf(message, this.#nextId, false))
    }
  }

  #sendChange(): void {
    const change = this.#changes[0]
    if (change === undefined || !this.#isUp || this.#isChanging) return
    this.#isChanging = true
    this.#changeId = CHANGE_IDS + ((this.#changeId + 1) % 1_000)
    this.#world.changing(this, change)
    const { topicFilter, qos, noLocal } = change
    const isV5 = this.plan.version === 5
    this.#connection!.send(
      qos === null
        ? new Unsubscribe(this.#changeId, [topicFilter])
        : new Subscribe(this.#changeId, [
            { topicFilter, qos, noLocal: noLocal && isV5, retainAsPublished: false, retainHandling: 0 },
          ]),
    )
  }

  #answer(packet: Packet): void {
    if (this.#held !== null) this.#held.push(packet)
    else this.#connection!.send(packet)
  }

  // --- what comes ---------------------------------------------------------------------------------------------------

  handlePacket(packet: Packet): void {
    const connection = this.#connection!
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode !== 0) connection.destroy()
        else this.#accepted(packet.sessionPresent)
        return
      case PacketType.SUBACK:
        this.#changed(packet.packetId, packet.reasonCodes[0]!)
        return
      case PacketType.UNSUBACK:
        this.#changed(packet.packetId, 0)
        return
      case PacketType.PUBLISH:
        this.#handlePublish(packet)
        return
      case PacketType.PUBREL:
        this.#received.delete(packet.packetId)
        this.#answer(new Pubcomp(packet.packetId))
        return
      case PacketType.PUBACK:
        this.#answers++
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
        this.#answers++
        this.#flights.delete(packet.packetId)
        this.#send()
        return
      default:
    }
  }

  #changed(packetId: number, reasonCode: number): void {
    if (packetId !== this.#changeId || !this.#isChanging) {
      this.#world.failed('acknowledgements', `${this.plan.clientId}: SUBACK or UNSUBACK ${packetId} was not asked for`)
      return
    }
    this.#isChanging = false
    const change = this.#changes[0]!
    if (reasonCode >= 0x80) {
      // The disk fails: again later.
      const connection = this.#connection
      this.#world.loop.after(RETRY_MS, () => {
        if (this.#connection === connection) this.#sendChange()
      })
      return
    }
    this.#changes.shift()
    if (change.qos !== null && change.qos !== reasonCode)
      this.#world.failed('acknowledgements', `${this.plan.clientId}: QoS ${reasonCode} is granted for ${change.qos}`)
    this.#world.changed(this, change)
    this.#sendChange()
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
    const { isDurable, version, clientId } = this.plan
    if (this.#hadSession && isDurable && !isPresent && version > 3)
      this.#world.failed('sessions', `the session of ${clientId} is gone`)
    if (!isDurable && isPresent) this.#world.failed('sessions', `the session of ${clientId} was to end`)
    const isSame = this.#hadSession && isDurable
    this.#hadSession = true
    this.#isUp = true
    this.#isChanging = false
    connection.establish(this, KEEP_ALIVE_SECONDS)
    this.#world.connected(this, isSame)
    if (!isDurable) {
      this.#changes = [...this.#subscriptions.values()]
      this.#received.clear()
    }
    this.#watch(connection, this.#answers, this.#flights.size > 0)
    for (const [packetId, flight] of this.#flights) this.#sendAgain(connection, packetId, flight)
    this.#sendChange()
    this.#send()
  }

  #sendAgain(connection: Connection, packetId: number, { message, isReleased }: Flight): void {
    // Its session is a new one: the message is too, and one that was acknowledged is done with.
    if (!this.plan.isDurable && isReleased) this.#flights.delete(packetId)
    else connection.send(isReleased ? new Pubrel(packetId) : publishOf(message, packetId, this.plan.isDurable))
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
    const { qos, packetId } = publish
    if (qos < 2 || !this.#received.has(packetId)) this.#world.received(this, publish)
    if (qos === 1) this.#answer(new Puback(packetId))
    if (qos < 2) return
    this.#received.add(packetId)
    this.#answer(new Pubrec(packetId))
  }

  handleDrain(): void {}

  handleClosed(): void {
    this.#connection = null
    this.#cable = null
    if (this.#isUp) this.#world.disconnected(this)
    this.#isUp = false
    if (this.#held !== null) this.#held = []
    if (this.#timeout !== null) this.#environment.clearTimer(this.#timeout)
    this.#world.loop.after(RETRY_MS, () => this.connect())
  }
}

function publishOf({ topic, payload, qos, properties }: Outgoing, packetId: number, dup: boolean): Publish {
  return Publish.of({ topic, payload, qos, retain: false, dup, packetId, properties })
}
