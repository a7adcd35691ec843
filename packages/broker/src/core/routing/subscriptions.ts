/**
 * The subscriptions of one session by Topic Filter, as the client wrote it, and what they take.
 *
 * `Session` has one. The invariant: `bytes`, and with all other sessions the gauge `sessionBytes`, follow every change.
 */
import { FilterTree, parseShare } from '@recado/protocol'
import type { Metrics } from '../base/metrics.ts'
import type { SubscriptionEntry } from './router.ts'

/** What a subscription takes beside its Topic Filter: itself, and its levels in the tree. */
const SUBSCRIPTION_BYTES = 400

export function bytesOfFilter(topicFilter: string): number {
  return topicFilter.length + SUBSCRIPTION_BYTES
}

export class Subscriptions extends Map<string, SubscriptionEntry> {
  bytes = 0
  readonly #metrics: Metrics
  /** Made when it is asked for; null: they have changed since. */
  #tree: FilterTree<true> | null = null

  constructor(metrics: Metrics) {
    super()
    this.#metrics = metrics
  }

  override set(topicFilter: string, entry: SubscriptionEntry): this {
    if (!this.has(topicFilter)) this.#count(bytesOfFilter(topicFilter))
    this.#tree = null
    return super.set(topicFilter, entry)
  }

  override delete(topicFilter: string): boolean {
    const isDeleted = super.delete(topicFilter)
    if (isDeleted) this.#count(-bytesOfFilter(topicFilter))
    if (isDeleted) this.#tree = null
    return isDeleted
  }

  override clear(): void {
    super.clear()
    this.#count(-this.bytes)
    this.#tree = null
  }

  /** Whether one of them is to this Topic Name, Shared Subscriptions included. */
  matches(topic: string): boolean {
    if (this.#tree === null) {
      this.#tree = new FilterTree()
      for (const topicFilter of this.keys()) this.#tree.set(parseShare(topicFilter)?.topicFilter ?? topicFilter, true)
    }
    const found: true[] = []
    this.#tree.match(topic, found)
    return found.length > 0
  }

  #count(bytes: number): void {
    this.bytes += bytes
    this.#metrics.sessionBytes += bytes
  }
}
