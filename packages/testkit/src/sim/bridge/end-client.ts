/**
 * A client at one of the bridged brokers, with a session that it never loses: it publishes one message after the other
 * until each is acknowledged, or it receives everything. Its network is well; only its broker dies.
 */
import { Connect, type Packet, PacketType, type Publish, Subscribe } from '@recado/protocol'
import type { Cable } from '../cable.ts'
import { FlowClient, type FlowWorld, type Outgoing, publishOf } from '../flow-client.ts'
import type { BridgeTransport } from './bridge-transport.ts'
import type { ClientPlan } from './plan.ts'

const NEVER_SECONDS = 0xffff_ffff
const KEEP_ALIVE_SECONDS = 20
const RETRY_MS = 300
/** Most messages that wait for their acknowledgement. */
const WINDOW = 8
const EVERYTHING = '#'

export interface ClientWorld extends FlowWorld {
  dial(client: EndClient, transport: BridgeTransport): Cable | null
  received(client: EndClient, publish: Publish): void
}

export class EndClient extends FlowClient {
  readonly plan: ClientPlan
  readonly #world: ClientWorld
  isSubscribed = false

  /** @param receiveMaximum of its broker */
  constructor(plan: ClientPlan, receiveMaximum: number, world: ClientWorld) {
    super(
      {
        version: plan.version,
        keepAliveSeconds: KEEP_ALIVE_SECONDS,
        retryMs: RETRY_MS,
        window: Math.min(WINDOW, receiveMaximum),
        packetIdMax: 0xffff,
      },
      world,
    )
    this.plan = plan
    this.#world = world
  }

  protected override dial(transport: BridgeTransport): Cable | null {
    return this.#world.dial(this, transport)
  }

  protected override makeConnect(): Connect {
    const { version, clientId } = this.plan
    return new Connect({
      ...{ protocolVersion: version, cleanStart: false, keepAliveSeconds: KEEP_ALIVE_SECONDS, clientId },
      ...(version === 5 ? { properties: { sessionExpiryIntervalSeconds: NEVER_SECONDS } } : {}),
    })
  }

  protected override unanswered(): void {}

  protected override checkSession(isPresent: boolean, hadSession: boolean): void {
    if (hadSession && !isPresent && this.plan.version > 3) {
      this.#world.failed('sessions', `the session of ${this.plan.clientId} is gone`)
    }
  }

  protected override established(): void {
    if (!this.plan.isSubscriber || this.isSubscribed) return
    const retainAsPublished = this.plan.version === 5
    const options = { retainAsPublished, noLocal: false, retainHandling: 0 } as const
    this.connection!.send(new Subscribe(1, [{ topicFilter: EVERYTHING, qos: 2, ...options }]))
  }

  protected override resumed(): void {}

  protected override publishOnce(message: Outgoing): void {
    if (this.isUp && this.waiting.length === 0) this.connection!.send(publishOf(message, 0, false))
  }

  protected override sent(): void {}

  protected override handOver(publish: Publish): void {
    this.#world.received(this, publish)
  }

  protected override handleChange({ type }: Packet): void {
    if (type === PacketType.SUBACK) this.isSubscribed = true
  }

  protected override closed(): void {}
}
