/**
 * Retained messages on their way to the new subscriptions of one session, given out as its client takes them.
 *
 * `Session` has one, and calls `advance` when nothing else waits to be sent. The invariant: a bounded number of topics is looked at in a turn, the
 * others are served before it goes on.
 *
 * Source: MQTT 5.0 section 3.3.1.3. [MQTT-3.1.1:3.3.1-6]
 */

import { lowerQoS, type Message } from '../base/message.ts'
import type { Connection } from '../connection/connection.ts'
import type { Core } from '../core.ts'
import type { RetainedWalk } from '../routing/retained.ts'
import type { SubscriptionEntry } from '../routing/router.ts'
import type { Session } from './session.ts'

/** Topics that are looked at for a client in one turn. */
const RETAINED_LOOKS = 500

interface RetainedFeed {
  readonly walk: RetainedWalk
  readonly subscription: SubscriptionEntry
  /** Found, and not yet taken. */
  found: Message | null
}

export class RetainedFeeds {
  readonly #core: Core
  readonly #session: Session
  #feeds: RetainedFeed[] = []
  #next = 0
  /** Of the turn `#turn`. */
  #looksLeft = 0
  #turn = 0

  constructor(core: Core, session: Session) {
    this.#core = core
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

  advance(connection: Connection): void {
    try {
      this.#feed(connection)
    } catch (error) {
      // One that throws does so no more: it must not keep its client away for good.
      this.#next++
      throw error
    }
  }

  #feed(connection: Connection): void {
    const { turn } = this.#core
    const session = this.#session
    if (this.#turn !== turn.number) {
      this.#turn = turn.number
      this.#looksLeft = RETAINED_LOOKS
    }
    while (this.#next < this.#feeds.length) {
      const feed = this.#feeds[this.#next]!
      const { walk, subscription } = feed
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
        const qos = lowerQoS(message.qos, subscription.qos)
        if (!session.canTakeRetained(connection, qos)) return
        feed.found = null
        // One that has been replaced since then has been delivered as an ordinary message.
        if (!message.isRetained || message.isExpired(turn.nowMs)) continue
        if (!this.#mayReceive(message)) continue
        // Not in the row of others who wait for it: this session may be one of them, by another subscription.
        const { row } = message
        message.row = null
        session.offerRetained(message, qos, subscription)
        message.row = row
      }
      this.#next++
    }
    this.clear()
  }

  #mayReceive({ topic, source }: Message): boolean {
    if (!this.#session.mayReceive(topic)) return false
    const { authorizer, options } = this.#core
    if (source === null || !options.checkRetainSource || authorizer?.mayPublish === undefined) return true
    return authorizer.mayPublish(source, topic)
  }
}
