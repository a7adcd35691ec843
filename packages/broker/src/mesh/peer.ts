/**
 * A peer: another Core, as a subscriber in the topic tree of this one. It is subscribed to each Topic Filter that
 * somebody has there, once, and sends what it is given over its link; the other Core routes it among its own.
 *
 * `Mesh` makes one for each other Core. Invariant: a message that has come from another Core goes to no further one.
 */
import type { Context } from '../core/base/context.ts'
import { ARRIVED, type Message } from '../core/base/message.ts'
import type { Router } from '../core/routing/router.ts'
import { Readiness, type Subscriber, SubscriptionEntry } from '../core/routing/subscriber.ts'
import type { Link } from './link.ts'
import type { MessageRecords } from './records.ts'

export class Peer implements Subscriber {
  readonly isPeer = true
  /** True: what goes to it needs the disk here too, for the receipts of QoS 2. */
  readonly isDurable: boolean = true
  readonly readiness: number = Readiness.Ready
  routeStamp = 0
  routeIndex = 0
  readonly link: Link
  readonly #context: Context
  readonly #router: Router
  readonly #records: MessageRecords
  readonly #forward: (message: Message, peer: Peer) => void
  readonly #subscriptions: Map<string, SubscriptionEntry> = new Map()
  /** Topic Filters of which a snapshot under way has said nothing yet; null: there is none. */
  #stale: Set<string> | null = null

  /** @param forward sends a message at QoS 1 or 2 to this one, among others */
  constructor(
    link: Link,
    context: Context,
    router: Router,
    records: MessageRecords,
    forward: (message: Message, peer: Peer) => void,
  ) {
    this.link = link
    this.#context = context
    this.#router = router
    this.#records = records
    this.#forward = forward
  }

  get filters(): string[] {
    return [...this.#subscriptions.keys()]
  }

  deliver(message: Message): void {
    if (message.forward === ARRIVED) return
    if (message.qos > 0) this.#forward(message, this)
    else if (!this.link.pushOnce(this.#records.write(message, null)))
      this.#context.dropped('', message.topic, 0, this.link.isEstablished ? 'slow-reader' : 'offline-qos0')
  }

  refuses(): boolean {
    return false
  }

  mayReceive(): boolean {
    return true
  }

  fault(where: string, error: unknown): void {
    this.#context.faults.note(where, error)
  }

  // --- Topic Filters of the other Core ------------------------------------------------------------------------------

  /** All of them follow. */
  beginSnapshot(): void {
    this.#stale = new Set(this.#subscriptions.keys())
  }

  /** All of them have come: others are gone. */
  endSnapshot(): void {
    for (const topicFilter of this.#stale ?? []) this.unsubscribe(topicFilter)
    this.#stale = null
  }

  subscribe(topicFilter: string): void {
    this.#stale?.delete(topicFilter)
    if (this.#subscriptions.has(topicFilter)) return
    const options = { qos: 2, noLocal: false, retainAsPublished: true, subscriptionIdentifier: 0 } as const
    const entry = new SubscriptionEntry(this, { topicFilter, ...options })
    this.#subscriptions.set(topicFilter, entry)
    this.#router.subscribe(entry)
  }

  unsubscribe(topicFilter: string): void {
    const entry = this.#subscriptions.get(topicFilter)
    if (entry === undefined) return
    this.#subscriptions.delete(topicFilter)
    this.#router.unsubscribe(entry)
  }
}
