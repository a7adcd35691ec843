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

export class SharedGroup implements Heirs {
  readonly shareName: string
  readonly topicFilter: string
  readonly #members: SubscriptionEntry[] = []
  #next = 0

  constructor(shareName: string, topicFilter: string) {
    this.shareName = shareName
    this.topicFilter = topicFilter
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

  /** Member whose turn it is; null when there is none. With a `topic`, among those that may receive its messages. */
  choose(topic: string | null): SubscriptionEntry | null {
    const members = this.#members
    let best: SubscriptionEntry | null = null
    let bestAt = 0
    let bestReadiness = -1
    for (let i = 0; i < members.length; i++) {
      let at = this.#next + i
      if (at >= members.length) at -= members.length
      const member = members[at]!
      if (topic !== null && !member.subscriber.mayReceive(topic)) continue
      const readiness = member.subscriber.readiness
      if (readiness > bestReadiness) {
        best = member
        bestAt = at
        bestReadiness = readiness
        if (readiness === Readiness.Ready) break
      }
    }
    this.#next = bestAt + 1 >= members.length ? 0 : bestAt + 1
    return best
  }

  inherit(message: Message): boolean {
    const heir = this.choose(message.topic)
    heir?.subscriber.deliver(message, heir, true)
    return heir !== null
  }

  #indexOf(subscriber: Subscriber): number {
    return this.#members.findIndex((member) => member.subscriber === subscriber)
  }
}
