/**
 * A route: the subscriptions that a Topic Name has, worked out once and remembered by the router.
 *
 * There is one target for each subscriber: where filters of one session overlap, the message goes out once, at the highest QoS, with
 * the Subscription Identifiers of all (`sumOf`). The invariant: a route is used only while its `version` is the router's.
 *
 * Source: MQTT 5.0 section 3.3.4. [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
 */
import type { QoS } from '@recado/protocol'
import type { SharedGroup } from './shared-group.ts'
import { SubscriptionEntry } from './subscriber.ts'

/** Bytes that a remembered route takes beside its topic and targets. */
const ROUTE_BYTES = 200
/** Version of a route that must not be used any more. */
const FORGOTTEN = -1

export class Route {
  version: number
  /** Bytes that it takes of `routeCacheBytesMax`. */
  readonly bytes: number
  /** Work of a message beyond that for one target, in packets: for further targets, and for many Subscription Identifiers. */
  readonly work: number
  readonly targets: readonly SubscriptionEntry[]
  readonly groups: readonly SharedGroup[]
  /** Whether somebody subscribes who may not receive it. */
  readonly hasDenied: boolean

  constructor(
    version: number,
    topic: string,
    targets: readonly SubscriptionEntry[],
    groups: readonly SharedGroup[],
    hasDenied: boolean,
  ) {
    this.version = version
    this.bytes = ROUTE_BYTES + topic.length + 8 * (targets.length + groups.length)
    let identifiers = 0
    for (const { subscriptionIdentifiers } of targets) identifiers += subscriptionIdentifiers?.length ?? 0
    // Delivering to one more subscriber costs an eighth of a packet: all packets of a turn to one client are one write.
    this.work = ((targets.length + groups.length) >> 3) + (identifiers >> 2)
    this.targets = targets
    this.groups = groups
    this.hasDenied = hasDenied
  }

  /** Whether a durable session would get the message. */
  get isDurable(): boolean {
    return this.targets.some(({ subscriber }) => subscriber.isDurable) || this.groups.some((group) => group.isDurable)
  }

  /** Notes that a subscription has changed: holders of this route must find another. */
  forget(): void {
    this.version = FORGOTTEN
  }
}

/** Overlapping subscriptions of one subscriber as one: highest QoS, all identifiers. [MQTT-3.3.4-2] [MQTT-3.3.4-4] */
export function sumOf(a: SubscriptionEntry, b: SubscriptionEntry): SubscriptionEntry {
  const sum = plainSum(a, b)
  if (a.noLocal !== b.noLocal) {
    // To its own publisher only those without No Local count.
    sum.withoutNoLocal = a.noLocal ? b : (a.withoutNoLocal ?? a)
  } else if (!a.noLocal && a.withoutNoLocal !== null) {
    sum.withoutNoLocal = plainSum(a.withoutNoLocal, b)
  }
  return sum
}

function plainSum(a: SubscriptionEntry, b: SubscriptionEntry): SubscriptionEntry {
  if (a.isSum && (a.noLocal === b.noLocal || (!a.noLocal && a.withoutNoLocal !== null))) {
    // In place: a client with thousands of overlapping filters must not cost their square.
    a.qos = Math.max(a.qos, b.qos) as QoS
    a.retainAsPublished ||= b.retainAsPublished
    if (b.subscriptionIdentifiers !== null) {
      a.subscriptionIdentifiers ??= []
      a.subscriptionIdentifiers.push(...b.subscriptionIdentifiers)
    }
    return a
  }
  const sum = new SubscriptionEntry(a.subscriber, {
    topicFilter: a.topicFilter,
    qos: Math.max(a.qos, b.qos) as QoS,
    noLocal: a.noLocal && b.noLocal,
    retainAsPublished: a.retainAsPublished || b.retainAsPublished,
    subscriptionIdentifier: 0,
  })
  sum.isSum = true
  if (a.subscriptionIdentifiers !== null || b.subscriptionIdentifiers !== null) {
    sum.subscriptionIdentifiers = [...(a.subscriptionIdentifiers ?? []), ...(b.subscriptionIdentifiers ?? [])]
  }
  return sum
}
