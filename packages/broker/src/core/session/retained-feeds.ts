/**
 * Retained messages on their way to the new subscriptions of one session, given out as its client takes them.
 *
 * `Session` has one, and calls `advance` when nothing else waits to be sent. The invariant: a bounded number of topics is looked at in a turn, the
 * others are served before it goes on. There is at most one feed for each Topic Filter, so subscribing again and again takes no memory.
 *
 * Source: MQTT 5.0 section 3.3.1.3. [MQTT-3.1.1:3.3.1-6]
 */
import type { QoS } from '@recado/protocol'
import { BRIDGE_LISTENER } from '../base/client-info.ts'
import type { Context } from '../base/context.ts'
import type { Message } from '../base/message.ts'
import type { RetainedWalk } from '../routing/retained.ts'
import type { SubscriptionEntry } from '../routing/subscriber.ts'
import type { Outlet } from './outlet.ts'
import type { Subscriptions } from './subscriptions.ts'

/** The session that takes retained messages. */
export interface RetainedTaker {
  readonly subscriptions: Subscriptions
  mayReceive(topic: string): boolean
  /** Whether a retained message at this QoS can go out now. */
  makesWayForRetained(connection: Outlet, qos: QoS): boolean
  qosOf(message: Message, subscription: SubscriptionEntry): QoS
  offerRetained(message: Message, qos: QoS, subscription: SubscriptionEntry): void
}

/** Topics that are looked at for a client in one turn. */
const RETAINED_LOOKS = 500

interface RetainedFeed {
  readonly walk: RetainedWalk
  /** The subscription that asked for them, or the one that has taken its place. */
  subscription: SubscriptionEntry
  /** Found, and not yet taken. */
  found: Message | null
}

export class RetainedFeeds {
  readonly #context: Context
  readonly #session: RetainedTaker
  /** Feeds by Topic Filter, in the order in which they are served. */
  readonly #feeds: Map<string, RetainedFeed> = new Map()
  /** Looks that are left in the turn `#turn`. */
  #looksLeft = 0
  #turn = 0

  constructor(context: Context, session: RetainedTaker) {
    this.#context = context
    this.#session = session
  }

  /** Number of new subscriptions that have not had all. */
  get length(): number {
    return this.#feeds.size
  }

  push(walk: RetainedWalk, asking: SubscriptionEntry): void {
    // It may have been replaced while its SUBACK waited for the disk.
    const subscription = asking.latest
    const { topicFilter } = subscription
    // An earlier subscription to this Topic Filter has been replaced by one that asked for all of them again.
    this.#feeds.delete(topicFilter)
    this.#feeds.set(topicFilter, { walk, subscription, found: null })
  }

  /** A subscription takes the place of another one and does not ask: it gets what is still to come. [MQTT-3.8.4-4] */
  replace(before: SubscriptionEntry, subscription: SubscriptionEntry): void {
    const feed = this.#feeds.get(before.topicFilter)
    if (feed?.subscription === before) feed.subscription = subscription
    else before.successor = subscription
  }

  clear(): void {
    this.#feeds.clear()
  }

  advance(connection: Outlet): void {
    for (const [topicFilter, feed] of this.#feeds) {
      let isDone = true
      try {
        // One that throws does so no more: it must not keep its client away for good.
        isDone = this.#feed(connection, feed)
      } finally {
        if (isDone) this.#feeds.delete(topicFilter)
      }
      if (!isDone) return
    }
  }

  /** Gives out what the client takes now. Returns false when some are left. */
  #feed(connection: Outlet, feed: RetainedFeed): boolean {
    const { turn } = this.#context
    const session = this.#session
    const { walk, subscription } = feed
    if (this.#turn !== turn.number) {
      this.#turn = turn.number
      this.#looksLeft = RETAINED_LOOKS
    }
    const isWanted = session.subscriptions.get(subscription.topicFilter) === subscription
    while (isWanted && (feed.found !== null || !walk.isDone)) {
      if (this.#looksLeft <= 0) {
        turn.add(connection)
        return false
      }
      const before = walk.looks
      feed.found ??= walk.next(this.#looksLeft, turn.nowMs)
      this.#looksLeft -= walk.looks - before
      const message = feed.found
      if (message === null) continue
      const qos = session.qosOf(message, subscription)
      if (!session.makesWayForRetained(connection, qos)) return false
      feed.found = null
      // One that has been replaced since then has been delivered as an ordinary message.
      if (!message.isRetained || message.isExpired(turn.nowMs)) continue
      if (!this.#mayReceive(message)) continue
      session.offerRetained(message, qos, subscription)
    }
    return true
  }

  #mayReceive({ topic, source }: Message): boolean {
    if (!this.#session.mayReceive(topic)) return false
    const { authorizer, options } = this.#context
    // No rule is about a bridge.
    if (source?.listener === BRIDGE_LISTENER) return true
    if (source === null || !options.checkRetainSource || authorizer?.mayPublish === undefined) return true
    return authorizer.mayPublish(source, topic)
  }
}
