/**
 * Retained messages on their way to the new subscriptions of one session, given out as its client takes them.
 *
 * `Session` has one, and calls `advance` when nothing else waits to be sent. The invariant: a bounded number of topics is looked at in a turn, the
 * others are served before it goes on.
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
  readonly subscription: SubscriptionEntry
  /** Found, and not yet taken. */
  found: Message | null
}

export class RetainedFeeds {
  readonly #context: Context
  readonly #session: RetainedTaker
  #feeds: RetainedFeed[] = []
  #next = 0
  /** Looks that are left in the turn `#turn`. */
  #looksLeft = 0
  #turn = 0

  constructor(context: Context, session: RetainedTaker) {
    this.#context = context
    this.#session = session
  }

  /** New subscriptions that have not had all. */
  get length(): number {
    return this.#feeds.length - this.#next
  }

  push(walk: RetainedWalk, subscription: SubscriptionEntry): void {
    this.#feeds.push({ walk, subscription, found: null })
  }

  clear(): void {
    this.#feeds = []
    this.#next = 0
  }

  advance(connection: Outlet): void {
    try {
      this.#feed(connection)
    } catch (error) {
      // One that throws does so no more: it must not keep its client away for good.
      this.#next++
      throw error
    }
  }

  #feed(connection: Outlet): void {
    const { turn } = this.#context
    const session = this.#session
    if (this.#turn !== turn.number) {
      this.#turn = turn.number
      this.#looksLeft = RETAINED_LOOKS
    }
    while (this.#next < this.#feeds.length) {
      const feed = this.#feeds[this.#next]!
      const { walk } = feed
      const subscription = feed.subscription.latest
      const isWanted = session.subscriptions.get(subscription.topicFilter) === subscription
      while (isWanted && (feed.found !== null || !walk.isDone)) {
        if (this.#looksLeft <= 0) {
          turn.add(connection)
          return
        }
        const before = walk.looks
        feed.found ??= walk.next(this.#looksLeft, turn.nowMs)
        this.#looksLeft -= walk.looks - before
        const message = feed.found
        if (message === null) continue
        const qos = session.qosOf(message, subscription)
        if (!session.makesWayForRetained(connection, qos)) return
        feed.found = null
        // One that has been replaced since then has been delivered as an ordinary message.
        if (!message.isRetained || message.isExpired(turn.nowMs)) continue
        if (!this.#mayReceive(message)) continue
        session.offerRetained(message, qos, subscription)
      }
      this.#next++
    }
    this.clear()
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
