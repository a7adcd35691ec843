/**
 * A Shared Subscription: the sessions that share one `$share/name/filter`, and the choice of the one that gets the next
 * message.
 *
 * Members take turns. Members that can send at once come first, then members that are connected, then members whose
 * session is stored, then those whose queue is full: a message waits in a queue only when no member can take it.
 *
 * Source: MQTT 5.0 section 4.8.2. [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.8.2-3]
 */
import type { Message } from '../base/message.ts'
import type { Heirs } from '../journal/delivery.ts'
import { Readiness, type Subscriber, type SubscriptionEntry } from './subscriber.ts'

/** Present Shared Subscriptions. */
export interface SharedGroups {
  /** Finds the group of this name; undefined when it has no members. */
  groupOf(shareName: string, topicFilter: string): SharedGroup | undefined
}

export class SharedGroup implements Heirs {
  readonly shareName: string
  readonly topicFilter: string
  readonly #groups: SharedGroups
  readonly #members: SubscriptionEntry[] = []
  #next = 0

  constructor(shareName: string, topicFilter: string, groups: SharedGroups) {
    this.shareName = shareName
    this.topicFilter = topicFilter
    this.#groups = groups
  }

  get size(): number {
    return this.#members.length
  }

  /** All members do that may receive it at all. */
  refuses(message: Message, isFiltering: boolean): boolean {
    let any = false
    for (const member of this.#members) {
      if (isFiltering && !member.subscriber.mayReceive(message.topic)) continue
      if (!member.subscriber.refuses(message, member)) return false
      any = true
    }
    return any
  }

  get isDurable(): boolean {
    return this.#members.some((member) => member.subscriber.isDurable)
  }

  /** Adds a member. Returns false when it was one already and its subscription has been replaced. */
  add(entry: SubscriptionEntry): boolean {
    const at = this.#indexOf(entry.subscriber)
    if (at < 0) this.#members.push(entry)
    else this.#members[at] = entry
    return at < 0
  }

  remove(subscriber: Subscriber): boolean {
    const at = this.#indexOf(subscriber)
    if (at < 0) return false
    this.#members.splice(at, 1)
    if (at < this.#next) this.#next--
    return true
  }

  get members(): readonly SubscriptionEntry[] {
    return this.#members
  }

  /** Member whose turn it is; null when there is none. With a `topic`, among those that may receive its messages. */
  choose(topic: string | null): SubscriptionEntry | null {
    const bestAt = this.#nextOf(topic)
    if (bestAt < 0) {
      this.#next = this.#members.length < 2 ? 0 : 1
      return null
    }
    this.#next = bestAt + 1 >= this.#members.length ? 0 : bestAt + 1
    return this.#members[bestAt]!
  }

  /** Member that `choose` would return; nobody's turn is over by that. */
  peek(topic: string | null): SubscriptionEntry | null {
    return this.#members[this.#nextOf(topic)] ?? null
  }

  /** Index of the member whose turn it is; -1 when there is none. */
  #nextOf(topic: string | null): number {
    const members = this.#members
    let bestAt = -1
    let bestReadiness = -1
    for (let i = 0; i < members.length; i++) {
      let at = this.#next + i
      if (at >= members.length) at -= members.length
      const member = members[at]!
      if (topic !== null && !member.subscriber.mayReceive(topic)) continue
      const readiness = member.subscriber.readiness
      if (readiness > bestReadiness) {
        bestAt = at
        bestReadiness = readiness
        if (readiness === Readiness.Ready) break
      }
    }
    return bestAt
  }

  inherit(message: Message): boolean {
    // All members may have left since the message was given to one of them, and others have come: theirs is another group.
    const group = this.#groups.groupOf(this.shareName, this.topicFilter)
    const heir = group?.choose(message.topic) ?? null
    heir?.subscriber.deliver(message, heir, true)
    return heir !== null
  }

  #indexOf(subscriber: Subscriber): number {
    return this.#members.findIndex((member) => member.subscriber === subscriber)
  }
}
