/**
 * A subscriber: anything that messages are delivered to, and its subscriptions as the router keeps them.
 *
 * A session, a subscription of the embedding program, a peer (another Core, `mesh/`): the router knows no other
 * difference between them than this interface, and there is no second delivery path.
 *
 * Source: MQTT 5.0 section 3.8.3.1.
 */
import type { QoS } from '@recado/protocol'
import type { Faulty } from '../base/faults.ts'
import type { Message } from '../base/message.ts'
import type { Heirs } from '../journal/delivery.ts'

/** Readiness of a subscriber to send; a Shared Subscription chooses the greatest. */
export const Readiness = { Full: 0, Away: 1, Busy: 2, Ready: 3 } as const

export interface Subscriber extends Faulty {
  /** Client Identifier of a session; absent for a subscription of the embedding program. */
  readonly clientId?: string
  /** Set for another Core, whose subscriptions are counted there. */
  readonly isPeer?: true
  /**
   * `message` may be borrowed: `keep()` it to hold on to it. `isInherited`: it waited for another member of a Shared Subscription, so it
   * has been acknowledged, and want of memory is no reason to drop it.
   */
  deliver(message: Message, subscription: SubscriptionEntry, isInherited?: boolean): void
  /**
   * Whether its queue has no room for this message and its policy is to refuse, so that the publisher is told 0x97.
   * Removes expired messages.
   */
  refuses(message: Message, subscription: SubscriptionEntry): boolean
  /** Whether its messages are kept on disk, so that a message that cannot be written must be refused. */
  readonly isDurable: boolean
  /** Whether policy allows it the messages of this topic. Asked only when there is such a policy. */
  mayReceive(topic: string): boolean
  /** One of `Readiness`. */
  readonly readiness: number
  /** Mark of the router while it removes overlaps; only the router uses it. */
  routeStamp: number
  routeIndex: number
}

/** Subscription Options of one subscription, and its Topic Filter. */
export interface SubscriptionOptions {
  /** Topic Filter as the client wrote it, with `$share/name/`. */
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** Subscription Identifier; 0 for none. */
  readonly subscriptionIdentifier: number
}

/** One subscription of one subscriber, or the sum of several that overlap. */
export class SubscriptionEntry {
  readonly subscriber: Subscriber
  /** Topic Filter as the client wrote it, with `$share/name/`. */
  readonly topicFilter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  /** Subscription Identifiers; null for none. One array for all deliveries: immutable. */
  subscriptionIdentifiers: number[] | null
  /** Number of its row in the store; 0: none. */
  number = 0
  /** The Shared Subscription that this belongs to. */
  group: Heirs | null = null
  /** Whether it is the sum of several, made for one route. */
  isSum = false
  /** Sum of the overlapping subscriptions without No Local, where others of this sum have it; null elsewhere. */
  withoutNoLocal: SubscriptionEntry | null = null
  /** Subscription that took its place, and gets the retained messages that it had asked for, before these were on their way. */
  successor: SubscriptionEntry | null = null

  constructor(subscriber: Subscriber, options: SubscriptionOptions) {
    const { topicFilter, qos, noLocal, retainAsPublished, subscriptionIdentifier } = options
    this.subscriber = subscriber
    this.topicFilter = topicFilter
    this.qos = qos
    this.noLocal = noLocal
    this.retainAsPublished = retainAsPublished
    this.subscriptionIdentifiers = subscriptionIdentifier === 0 ? null : [subscriptionIdentifier]
  }

  /** The subscription that goes on with its retained messages: itself, where none took its place. */
  get latest(): SubscriptionEntry {
    let latest: SubscriptionEntry = this
    while (latest.successor !== null) latest = latest.successor
    return latest
  }

  /** Subscription Options as they are now. */
  get options(): SubscriptionOptions {
    const { topicFilter, qos, noLocal, retainAsPublished, subscriptionIdentifiers } = this
    return { topicFilter, qos, noLocal, retainAsPublished, subscriptionIdentifier: subscriptionIdentifiers?.[0] ?? 0 }
  }
}
