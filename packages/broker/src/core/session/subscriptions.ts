/**
 * Subscriptions of one session by Topic Filter, as the client wrote it, and their memory.
 *
 * `Session` has one set; SUBSCRIBE, UNSUBSCRIBE, reviews and recovery change it. Invariants: each subscription here is
 * in the router and, for a durable session, on its way to the disk; `bytes`, and with all other sessions the gauge
 * `sessionBytes`, follow every change.
 */
import { FilterTree, parseShare, type QoS } from '@recado/protocol'
import { Table } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { hasShare } from '../base/holdings.ts'
import type { Journal } from '../journal/journal.ts'
import { encodeSubscription } from '../journal/session-records.ts'
import type { Router } from '../routing/router.ts'
import { type Subscriber, SubscriptionEntry, type SubscriptionOptions } from '../routing/subscriber.ts'

/** Bytes that a subscription takes beside its Topic Filter: itself, and its levels in the tree. */
const SUBSCRIPTION_BYTES = 400

function bytesOfFilter(topicFilter: string): number {
  return topicFilter.length + SUBSCRIPTION_BYTES
}

export class Subscriptions {
  bytes = 0
  readonly #byFilter: Map<string, SubscriptionEntry> = new Map()
  readonly #subscriber: Subscriber
  /** Number of the session in the store; 0 when not durable. */
  readonly #sessionNumber: number
  readonly #context: Context
  readonly #journal: Journal | null
  readonly #router: Router
  /** Tree, made when it is asked for; null when the subscriptions have changed since. */
  #tree: FilterTree<true> | null = null

  /** @param journal the journal; null when they are not kept */
  constructor(
    subscriber: Subscriber,
    sessionNumber: number,
    { context, router }: { context: Context; router: Router },
    journal: Journal | null,
  ) {
    this.#subscriber = subscriber
    this.#sessionNumber = sessionNumber
    this.#context = context
    this.#journal = journal
    this.#router = router
  }

  get size(): number {
    return this.#byFilter.size
  }

  get(topicFilter: string): SubscriptionEntry | undefined {
    return this.#byFilter.get(topicFilter)
  }

  has(topicFilter: string): boolean {
    return this.#byFilter.has(topicFilter)
  }

  values(): IterableIterator<SubscriptionEntry> {
    return this.#byFilter.values()
  }

  /** Whether all sessions together leave room for one more subscription of this one. */
  hasRoomFor(topicFilter: string): boolean {
    const { limits, metrics } = this.#context
    return hasShare(limits.sessionBytesMax, metrics.sessionBytes, this.bytes, bytesOfFilter(topicFilter))
  }

  /** Makes a subscription, or replaces the one to the same Topic Filter. [MQTT-3.8.4-4] */
  add(options: SubscriptionOptions): SubscriptionEntry {
    const entry = new SubscriptionEntry(this.#subscriber, options)
    if (this.#journal !== null) {
      entry.number = this.#byFilter.get(entry.topicFilter)?.number ?? this.#journal.numbers.newSubscription()
      this.#store(entry)
    }
    this.#put(entry)
    return entry
  }

  /** Takes back a subscription from the store, where its row has this number. */
  restore(options: SubscriptionOptions, number: number): void {
    const entry = new SubscriptionEntry(this.#subscriber, options)
    entry.number = number
    this.#put(entry)
  }

  #put(entry: SubscriptionEntry): void {
    const { topicFilter } = entry
    if (!this.#byFilter.has(topicFilter)) this.#count(bytesOfFilter(topicFilter))
    this.#tree = null
    this.#byFilter.set(topicFilter, entry)
    this.#router.subscribe(entry)
  }

  #store(entry: SubscriptionEntry): void {
    this.#journal!.change(Table.Subscriptions, this.#sessionNumber, entry.number, 0, encodeSubscription(entry.options))
  }

  /** The subscription is allowed at a lower QoS than before. */
  lowerQoS(entry: SubscriptionEntry, qos: QoS): void {
    entry.qos = qos
    // Routes have sums of it.
    this.#router.rightsChanged()
    if (entry.number !== 0) this.#store(entry)
  }

  /** Ends a subscription. */
  remove(entry: SubscriptionEntry): void {
    const { topicFilter } = entry
    if (this.#byFilter.get(topicFilter) === entry) {
      this.#byFilter.delete(topicFilter)
      this.#count(-bytesOfFilter(topicFilter))
      this.#tree = null
    }
    if (entry.number !== 0) this.#journal!.change(Table.Subscriptions, this.#sessionNumber, entry.number, 0, null)
    this.#router.unsubscribe(entry)
  }

  /** Ends all of them; an error ends nothing but the one subscription. */
  clear(clientId: string): void {
    const { faults } = this.#context
    for (const entry of this.#byFilter.values()) faults.attempt('end of a session', () => this.remove(entry), clientId)
    this.#byFilter.clear()
    this.#count(-this.bytes)
    this.#tree = null
  }

  /** Whether one of them matches this Topic Name, Shared Subscriptions included. */
  matches(topic: string): boolean {
    if (this.#tree === null) {
      this.#tree = new FilterTree()
      for (const topicFilter of this.#byFilter.keys())
        this.#tree.set(parseShare(topicFilter)?.topicFilter ?? topicFilter, true)
    }
    const found: true[] = []
    this.#tree.match(topic, found)
    return found.length > 0
  }

  #count(bytes: number): void {
    this.bytes += bytes
    this.#context.metrics.sessionBytes += bytes
  }
}
