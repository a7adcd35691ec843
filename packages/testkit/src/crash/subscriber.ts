/**
 * The receiving half of a session: acknowledges messages, sometimes late, and recognizes a repeated QoS 2 message by
 * its Packet Identifier.
 *
 * Invariant: a QoS 2 identifier stays known from its first PUBLISH to its PUBREL, over any number of connections;
 * acknowledgements go out in the order in which their messages came [MQTT-4.6.0-2]. Acknowledgements that were not sent
 * when the connection broke are forgotten.
 */
import {
  type Packet,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Suback,
  Subscribe,
  type Subscription,
} from '@recado/protocol'
import type { Inbox } from './ledger.ts'
import { SessionClient } from './session-client.ts'

/** Delay in milliseconds with which a lazy subscriber acknowledges. */
const LAZY_MS = 25
const SUBSCRIBE_ID = 1

export class Subscriber extends SessionClient {
  filters: readonly { topicFilter: string; qos: 0 | 1 | 2 }[] = []
  inbox: Inbox | null = null
  readonly #received = new Set<number>()
  #answers: Packet[] = []
  #timer: NodeJS.Timeout | undefined
  #isSubscribed = false
  #isFlooded = false
  /** Packet Identifiers of this connection that count against Receive Maximum (5.0 section 4.9). */
  readonly #inflight = new Set<number>()
  #onSubscribed: (() => void)[] = []
  readonly #laziness: number = this.random.next() < 0.4 ? 0.1 : 0

  /** Resolves when the broker has granted the subscriptions. */
  subscribed(): Promise<void> {
    if (this.#isSubscribed) return Promise.resolve()
    return new Promise((resolve) => this.#onSubscribed.push(resolve))
  }

  protected override resume(isSessionPresent: boolean): void {
    // A crash before SUBACK leaves a session whose subscriptions are unknown: ask again.
    if (isSessionPresent && this.#isSubscribed) return
    this.#isSubscribed = false
    const subscriptions: Subscription[] = this.filters.map(({ topicFilter, qos }) => ({
      topicFilter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    }))
    this.send(new Subscribe(SUBSCRIBE_ID, subscriptions))
  }

  protected override discardSession(): void {
    this.#received.clear()
    this.#isSubscribed = false
  }

  protected override forgetConnection(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#answers = []
    this.#inflight.clear()
  }

  protected override handle(packet: Packet): void {
    if (packet instanceof Publish) this.#handlePublish(packet)
    else if (packet instanceof Pubrel) this.#handlePubrel(packet.packetId)
    else if (packet instanceof Suback) this.#handleSuback(packet)
    else this.fault(`a packet of type ${packet.type} for a subscriber`)
  }

  #handlePublish(publish: Publish): void {
    const { packetId, qos, topic, dup } = publish
    if (qos > 0) this.#inflight.add(packetId)
    if (qos === 2) {
      if (!this.#received.has(packetId)) {
        this.#received.add(packetId)
        this.inbox?.handle(topic, publish.payload, { connection: this.connections, packetId, dup })
      }
      this.#answer(new Pubrec(packetId))
    } else if (qos === 1) {
      this.inbox?.handle(topic, publish.payload, { connection: this.connections, packetId, dup })
      this.#answer(new Puback(packetId))
    } else if (this.filters.some((filter) => filter.qos === 0)) {
      this.inbox?.handle(topic, publish.payload, { connection: this.connections, packetId: 0, dup })
    } else {
      this.fault('a message at QoS 0')
    }
    if (this.#inflight.size > this.receiveMaximum && !this.#isFlooded) {
      this.#isFlooded = true
      this.fault(`more than ${this.receiveMaximum} messages in flight`)
    }
  }

  #handlePubrel(packetId: number): void {
    this.#received.delete(packetId)
    this.#answer(new Pubcomp(packetId))
  }

  #handleSuback({ reasonCodes }: Suback): void {
    for (const [i, { topicFilter, qos }] of this.filters.entries()) {
      if (reasonCodes[i] !== qos) this.fault(`SUBACK ${reasonCodes[i]} for ${topicFilter} at QoS ${qos}`)
    }
    this.#isSubscribed = true
    for (const resolve of this.#onSubscribed.splice(0)) resolve()
  }

  #answer(packet: Packet): void {
    if (this.#timer === undefined && !this.random.chance(this.#laziness)) {
      this.#sendAnswer(packet)
      return
    }
    this.#answers.push(packet)
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined
        for (const answer of this.#answers.splice(0)) this.#sendAnswer(answer)
      },
      this.random.between(0, LAZY_MS),
    )
  }

  #sendAnswer(packet: Packet): void {
    if (packet instanceof Puback || packet instanceof Pubcomp) this.#inflight.delete(packet.packetId)
    this.send(packet)
  }
}
