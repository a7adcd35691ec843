/**
 * A client of the broker: it publishes one message after the other until each is acknowledged, subscribes, and tells the
 * judge what it gets. A durable one keeps its session over connections and crashes of its Core; one that is not makes its
 * subscriptions anew with each connection.
 */
import { Connect, Disconnect, type Packet, PacketType, type Publish, Subscribe, Unsubscribe } from '@recado/protocol'
import type { BridgeTransport } from '../bridge/bridge-transport.ts'
import type { Cable } from '../cable.ts'
import { type Flight, FlowClient, type FlowWorld, type Outgoing, publishOf } from '../flow-client.ts'
import type { ClientPlan, QoS } from './plan.ts'

const NEVER_SECONDS = 0xffff_ffff
/** Long: a client that nobody tells of the end of its connection is to be found out, and PINGREQ is no rest. */
const KEEP_ALIVE_SECONDS = 600
const RETRY_MS = 150
/** Packet Identifiers of SUBSCRIBE and UNSUBSCRIBE. */
const CHANGE_IDS = 40_000

/** A subscription to be made, or ended. */
export interface Change {
  readonly topicFilter: string
  /** QoS of the subscription; null ends it. */
  readonly qos: QoS | null
  readonly noLocal: boolean
}

export interface ClientWorld extends FlowWorld {
  dial(client: MeshClient, transport: BridgeTransport): Cable | null
  /** A new session begins; `isSame`: the client goes on with the one that it had. */
  connected(client: MeshClient, isSame: boolean): void
  disconnected(client: MeshClient): void
  /** No CONNACK has come for long to a CONNECT of this time. */
  unanswered(client: MeshClient, dialledMs: number): void
  sent(id: number): void
  changing(client: MeshClient, change: Change): void
  /** `qos`: as it was granted; null when it has ended. */
  changed(client: MeshClient, change: Change): void
  received(client: MeshClient, publish: Publish): void
}

export class MeshClient extends FlowClient {
  readonly plan: ClientPlan
  readonly #world: ClientWorld
  #cable: Cable | null = null
  #awayUntilMs = 0
  /** Changes that have not been answered, the first on its way. */
  #changes: Change[] = []
  #isChanging = false
  #changeId = CHANGE_IDS
  /** Subscriptions that it means to have. */
  readonly #subscriptions: Map<string, Change> = new Map()
  /** Acknowledgements that it holds back; null for none. */
  #held: Packet[] | null = null

  constructor(plan: ClientPlan, receiveMaximum: number, world: ClientWorld) {
    super(
      {
        version: plan.version,
        keepAliveSeconds: KEEP_ALIVE_SECONDS,
        retryMs: RETRY_MS,
        window: Math.min(plan.window, receiveMaximum),
        packetIdMax: CHANGE_IDS - 1,
      },
      world,
    )
    this.plan = plan
    this.#world = world
  }

  /** Messages and changes that are not acknowledged. */
  override get unfinished(): number {
    return super.unfinished + this.#changes.length
  }

  protected override dial(transport: BridgeTransport): Cable | null {
    if (this.#world.loop.nowMs < this.#awayUntilMs) return null
    const cable = this.#world.dial(this, transport)
    if (cable !== null) this.#cable = cable
    return cable
  }

  protected override makeConnect(): Connect {
    const { version, clientId, isDurable } = this.plan
    return new Connect({
      ...{ protocolVersion: version, cleanStart: !isDurable, keepAliveSeconds: KEEP_ALIVE_SECONDS, clientId },
      ...(version === 5 && isDurable ? { properties: { sessionExpiryIntervalSeconds: NEVER_SECONDS } } : {}),
    })
  }

  protected override unanswered(dialledMs: number): void {
    this.#world.unanswered(this, dialledMs)
  }

  // --- what it is told to do ----------------------------------------------------------------------------------------

  protected override publishOnce(message: Outgoing): void {
    if (!this.isUp) return
    this.#world.sent(message.id)
    this.connection!.send(publishOf(message, 0, false))
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
    if (!this.isUp) return
    this.connection!.send(new Disconnect(0))
    this.connection!.destroy()
  }

  /** Acknowledges nothing for a while. */
  hold(ms: number): void {
    this.#held ??= []
    this.#world.loop.after(ms, () => this.release())
  }

  release(): void {
    const held = this.#held
    this.#held = null
    if (this.isUp) for (const packet of held ?? []) this.connection!.send(packet)
  }

  calm(): void {
    this.#awayUntilMs = 0
    this.release()
  }

  // --- what it sends ------------------------------------------------------------------------------------------------

  protected override sent(id: number): void {
    this.#world.sent(id)
  }

  #sendChange(): void {
    const change = this.#changes[0]
    if (change === undefined || !this.isUp || this.#isChanging) return
    this.#isChanging = true
    this.#changeId = CHANGE_IDS + ((this.#changeId + 1) % 1_000)
    this.#world.changing(this, change)
    const { topicFilter, qos, noLocal } = change
    const isV5 = this.plan.version === 5
    this.connection!.send(
      qos === null
        ? new Unsubscribe(this.#changeId, [topicFilter])
        : new Subscribe(this.#changeId, [
            { topicFilter, qos, noLocal: noLocal && isV5, retainAsPublished: false, retainHandling: 0 },
          ]),
    )
  }

  protected override answer(packet: Packet): void {
    if (this.#held !== null) this.#held.push(packet)
    else super.answer(packet)
  }

  // --- what comes ---------------------------------------------------------------------------------------------------

  protected override handleChange(packet: Packet): void {
    if (packet.type === PacketType.SUBACK) this.#changed(packet.packetId, packet.reasonCodes[0]!)
    else if (packet.type === PacketType.UNSUBACK) this.#changed(packet.packetId, 0)
  }

  protected override handOver(publish: Publish): void {
    this.#world.received(this, publish)
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
      const connection = this.connection
      this.#world.loop.after(RETRY_MS, () => {
        if (this.connection === connection) this.#sendChange()
      })
      return
    }
    this.#changes.shift()
    if (change.qos !== null && change.qos !== reasonCode)
      this.#world.failed('acknowledgements', `${this.plan.clientId}: QoS ${reasonCode} is granted for ${change.qos}`)
    this.#world.changed(this, change)
    this.#sendChange()
  }

  protected override checkSession(isPresent: boolean, hadSession: boolean): void {
    const { isDurable, version, clientId } = this.plan
    if (hadSession && isDurable && !isPresent && version > 3)
      this.#world.failed('sessions', `the session of ${clientId} is gone`)
    if (!isDurable && isPresent) this.#world.failed('sessions', `the session of ${clientId} was to end`)
  }

  protected override established(hadSession: boolean): void {
    const { isDurable } = this.plan
    this.#isChanging = false
    this.#world.connected(this, hadSession && isDurable)
    if (isDurable) return
    this.#changes = [...this.#subscriptions.values()]
    this.received.clear()
  }

  protected override sendAgain(packetId: number, flight: Flight): void {
    if (this.plan.isDurable) super.sendAgain(packetId, flight)
    // Its session is a new one: the message is too, and one that was acknowledged is done with.
    else if (flight.isReleased) this.flights.delete(packetId)
    else this.connection!.send(publishOf(flight.message, packetId, false))
  }

  protected override resumed(): void {
    this.#sendChange()
  }

  protected override closed(wasUp: boolean): void {
    this.#cable = null
    if (wasUp) this.#world.disconnected(this)
    if (this.#held !== null) this.#held = []
  }
}
