/**
 * Who gets a message: all subscriptions of all sessions, and the way from a Topic Name to those that match.
 *
 * A topic is matched against the filters once; the result, a `Route`, is remembered per topic until a subscription
 * changes, or who may receive what (`Authorizer.mayReceive`): a message costs no question. A route has one target per subscriber: where filters of one session overlap, the message goes out once, at
 * the highest QoS, with the Subscription Identifiers of all. Anything that can be delivered to is a `Subscriber`: a
 * session, an in-process subscription, later a peer; there is no second delivery path.
 *
 * Sources: MQTT 5.0 sections 3.3.4, 3.8.3.1, 4.7 and 4.8. [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
 */
import { FilterTree, isTopicName, type QoS, topicLevels, utf8Length } from '@recado/protocol'
import type { Faulty } from '../base/faults.ts'
import type { Limits } from '../base/limits.ts'
import type { Message } from '../base/message.ts'
import type { Metrics } from '../base/metrics.ts'
import { SharedGroup } from './shared-group.ts'

/** Something that messages are delivered to. */
export interface Subscriber extends Faulty {
  /**
   * `message` may be borrowed: `keep()` it to hold on to it. `isInherited`: it waited for another member of a Shared Subscription, so it
   * has been acknowledged, and want of memory is no reason to drop it.
   */
  deliver(message: Message, subscription: SubscriptionEntry, isInherited?: boolean): void
  /** Its queue has no room for this message and its policy is to refuse: the publisher is told so (0x97). */
  refuses(message: Message, subscription: SubscriptionEntry): boolean
  /** Its messages are kept on disk: what cannot be written must be refused. */
  readonly isDurable: boolean
  /** Policy lets it have what is published to this topic. Asked only when somebody has a policy about that. */
  mayReceive(topic: string): boolean
  /** How soon it can send; a Shared Subscription chooses the greatest (`Readiness`). */
  readonly readiness: number
  /** Used by the router while it removes overlaps; nobody else touches them. */
  routeStamp: number
  routeIndex: number
}

/** One subscription of one subscriber, or the sum of several that overlap. */
export class SubscriptionEntry {
  readonly subscriber: Subscriber
  /** As the client wrote it, with `$share/name/`. */
  readonly topicFilter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  /** null: none. One array for all deliveries: immutable. */
  subscriptionIdentifiers: number[] | null
  /** Its row in the store; 0: none. */
  number = 0
  /** The shared subscription that this belongs to. */
  group: SharedGroup | null = null
  /** The sum of several, made for one route. */
  isSum = false
  /** In the sum of overlapping subscriptions with and without No Local: those without. */
  withoutNoLocal: SubscriptionEntry | null = null

  constructor(
    subscriber: Subscriber,
    topicFilter: string,
    qos: QoS,
    noLocal: boolean,
    retainAsPublished: boolean,
    subscriptionIdentifier: number,
  ) {
    this.subscriber = subscriber
    this.topicFilter = topicFilter
    this.qos = qos
    this.noLocal = noLocal
    this.retainAsPublished = retainAsPublished
    this.subscriptionIdentifiers = subscriptionIdentifier === 0 ? null : [subscriptionIdentifier]
  }
}

/** All subscriptions to one Topic Filter. */
class FilterSubscriptions {
  readonly plain: Map<Subscriber, SubscriptionEntry> = new Map()
  /** By share name. */
  readonly groups: Map<string, SharedGroup> = new Map()
}

/** A remembered route besides its topic and targets. */
const ROUTE_BYTES = 200

class Route {
  readonly version: number
  /** What it takes of `routeCacheBytesMax`. */
  readonly bytes: number
  /** Work of a message beyond that to one target: further targets, and many Subscription Identifiers. */
  readonly work: number
  readonly targets: readonly SubscriptionEntry[]
  readonly groups: readonly SharedGroup[]
  constructor(version: number, topic: string, targets: readonly SubscriptionEntry[], groups: readonly SharedGroup[]) {
    this.version = version
    this.bytes = ROUTE_BYTES + topic.length + 8 * (targets.length + groups.length)
    let identifiers = 0
    for (const { subscriptionIdentifiers } of targets) identifiers += subscriptionIdentifiers?.length ?? 0
    // To write to one more costs an eighth of what a packet does: all that a turn says to somebody is one write.
    this.work = ((targets.length + groups.length) >> 3) + (identifiers >> 2)
    this.targets = targets
    this.groups = groups
  }
}

const NO_GROUPS: readonly SharedGroup[] = []

export class Router {
  readonly #tree: FilterTree<FilterSubscriptions> = new FilterTree()
  readonly #routes: Map<string, Route> = new Map()
  #routeBytes = 0
  /**
   * Work that has been done for messages beyond the usual, in packets: matching anew, and many targets. Whoever published takes it
   * out and counts it.
   */
  work = 0
  readonly #limits: Limits
  readonly #metrics: Metrics
  /** Grows when a subscription with a wildcard changes; routes of an older version are made anew. */
  #version = 0
  #stamp = 0
  readonly #matches: FilterSubscriptions[] = []
  /** Sessions whose queue may have no room for a message and that refuse it then; only then publishers have to look. */
  fullSubscribers = 0
  /** Nothing more is kept: who cannot be sent a message at once refuses it. */
  isMemoryShort = false
  /** All queues together hold much: whoever can be told is asked about for each message. */
  isSpaceShort = false

  /** Routes have only those who may receive. */
  isFiltering: boolean
  #hasFailed = false

  constructor(limits: Limits, metrics: Metrics, isFiltering = false) {
    this.#limits = limits
    this.#metrics = metrics
    this.isFiltering = isFiltering
  }

  /** Who may receive what has changed. */
  rightsChanged(): void {
    this.#version++
    this.#forgetRoutes()
  }

  /** Adds a subscription, or replaces the subscriber's one to the same filter. [MQTT-3.8.4-3] */
  subscribe(entry: SubscriptionEntry, topicFilter: string, shareName: string | null): void {
    let subscriptions = this.#tree.get(topicFilter)
    if (subscriptions === undefined) {
      subscriptions = new FilterSubscriptions()
      this.#tree.set(topicFilter, subscriptions)
    }
    if (shareName === null) {
      if (!subscriptions.plain.has(entry.subscriber)) this.#metrics.subscriptions++
      subscriptions.plain.set(entry.subscriber, entry)
    } else {
      let group = subscriptions.groups.get(shareName)
      if (group === undefined) {
        group = new SharedGroup(shareName, topicFilter)
        subscriptions.groups.set(shareName, group)
      }
      entry.group = group
      if (group.add(entry)) {
        this.#metrics.subscriptions++
        this.#metrics.sharedSubscriptions++
      }
    }
    this.#changed(topicFilter)
  }

  unsubscribe(subscriber: Subscriber, topicFilter: string, shareName: string | null): void {
    const subscriptions = this.#tree.get(topicFilter)
    if (subscriptions === undefined) return
    if (shareName === null) {
      if (subscriptions.plain.delete(subscriber)) this.#metrics.subscriptions--
    } else {
      const group = subscriptions.groups.get(shareName)
      if (group?.remove(subscriber)) {
        this.#metrics.subscriptions--
        this.#metrics.sharedSubscriptions--
        if (group.size === 0) subscriptions.groups.delete(shareName)
      }
    }
    if (subscriptions.plain.size === 0 && subscriptions.groups.size === 0) this.#tree.delete(topicFilter)
    this.#changed(topicFilter)
  }

  /** Whether a Topic Name is within the limits. Malformed ones have been refused by the decoder. */
  isWithinLimits(topic: string): boolean {
    if (this.#routes.has(topic)) return true
    return isTopicName(topic) && isWithinLimits(topic, this.#limits)
  }

  /** Whether somebody who would get this message refuses it. Only then nothing is delivered to anybody. */
  isRefused(message: Message): boolean {
    const { queueMessagesMax, queueBytesMax, anonymousQueueMessagesMax, anonymousQueueBytesMax } = this.#limits
    const bytesMax = Math.min(queueBytesMax, anonymousQueueBytesMax)
    const fitsEmptyQueue = queueMessagesMax > 0 && anonymousQueueMessagesMax > 0 && message.sizeBytes <= bytesMax / 2
    if (this.fullSubscribers === 0 && fitsEmptyQueue && !this.isMemoryShort && !this.isSpaceShort) return false
    const { targets, groups } = this.#routeOf(message.topic)
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      const isNoLocal = target.noLocal && target.subscriber === message.publisher
      if (!isNoLocal && target.subscriber.refuses(message, target)) return true
    }
    for (let i = 0; i < groups.length; i++) if (groups[i]!.refuses(message, this.isFiltering)) return true
    return false
  }

  /** Whether a durable session would get a message to this topic. */
  hasDurableSubscriber(topic: string): boolean {
    const { targets, groups } = this.#routeOf(topic)
    return targets.some(({ subscriber }) => subscriber.isDurable) || groups.some((group) => group.isDurable)
  }

  /** Delivers to everybody who matches; returns how many that were, or -1 when one of them has thrown: the others have it. */
  route(message: Message): number {
    const { targets, groups, work } = this.#routeOf(message.topic)
    this.work += work
    this.#hasFailed = false
    let count = targets.length
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      if (target.subscriber === message.publisher) {
        // No Local. [MQTT-3.8.3-3]
        const others = target.noLocal ? null : (target.withoutNoLocal ?? target)
        if (others === null) count--
        else this.#deliver(message, others)
      } else {
        this.#deliver(message, target)
      }
    }
    for (let i = 0; i < groups.length; i++) {
      const member = groups[i]!.choose(this.isFiltering ? message.topic : null)
      if (member === null) continue
      this.#deliver(message, member)
      count++
    }
    return this.#hasFailed ? -1 : count
  }

  #deliver(message: Message, entry: SubscriptionEntry): void {
    try {
      entry.subscriber.deliver(message, entry)
    } catch (error) {
      this.#hasFailed = true
      entry.subscriber.fault('deliver', error)
    }
  }

  takeWork(): number {
    const { work } = this
    this.work = 0
    return work
  }

  get filterCount(): number {
    return this.#tree.size
  }

  #routeOf(topic: string): Route {
    const known = this.#routes.get(topic)
    if (known !== undefined && known.version === this.#version) return known
    const route = this.#makeRoute(topic)
    const { routeCacheMax, routeCacheBytesMax } = this.#limits
    if (known !== undefined) this.#forgetRoute(topic, known)
    else if (this.#routes.size >= routeCacheMax) this.#forgetRoutes()
    if (this.#routeBytes + route.bytes > routeCacheBytesMax) this.#forgetRoutes()
    // One that is larger than all may be is made anew each time.
    if (routeCacheMax > 0 && route.bytes <= routeCacheBytesMax) {
      this.#routes.set(topic, route)
      this.#routeBytes += route.bytes
    }
    return route
  }

  /** Bytes of remembered routes, as `routeCacheBytesMax` counts them. */
  get routeBytes(): number {
    return this.#routeBytes
  }

  #forgetRoute(topic: string, route: Route): void {
    this.#routes.delete(topic)
    this.#routeBytes -= route.bytes
  }

  #forgetRoutes(): void {
    this.#routes.clear()
    this.#routeBytes = 0
  }

  /** [MQTT-3.3.2-3]; subscribers keep the order in which they are given messages [MQTT-4.6.0-5] [MQTT-4.6.0-6]. */
  #makeRoute(topic: string): Route {
    const matches = this.#matches
    matches.length = 0
    this.#tree.match(topic, matches)
    const matchCount = matches.length
    const targets: SubscriptionEntry[] = []
    let groups: SharedGroup[] | null = null
    const stamp = ++this.#stamp
    for (let i = 0; i < matches.length; i++) {
      for (const entry of matches[i]!.plain.values()) {
        const subscriber = entry.subscriber
        if (this.isFiltering && !subscriber.mayReceive(topic)) continue
        if (subscriber.routeStamp === stamp) {
          targets[subscriber.routeIndex] = sumOf(targets[subscriber.routeIndex]!, entry)
        } else {
          subscriber.routeStamp = stamp
          subscriber.routeIndex = targets.length
          targets.push(entry)
        }
      }
      if (matches[i]!.groups.size > 0) {
        groups ??= []
        groups.push(...matches[i]!.groups.values())
      }
    }
    matches.length = 0
    this.work += matchCount
    return new Route(this.#version, topic, targets, groups ?? NO_GROUPS)
  }

  #changed(topicFilter: string): void {
    if (topicFilter.includes('+') || topicFilter.includes('#')) {
      this.#version++
      // Routes of the old version would keep subscribers alive that are gone: let them go once that is cheap.
      if (this.#routes.size <= 1024 || this.#version % 1024 === 0) this.#forgetRoutes()
    } else {
      const route = this.#routes.get(topicFilter)
      if (route !== undefined) this.#forgetRoute(topicFilter, route)
    }
  }
}

/** Whether a Topic Name is within `topicBytesMax` and `topicLevelsMax`. */
export function isWithinLimits(topic: string, { topicBytesMax, topicLevelsMax }: Limits): boolean {
  return isShort(topic, topicBytesMax) && topicLevels(topic) <= topicLevelsMax
}

/** Whether a Topic Filter is within `filterBytesMax`, `topicBytesMax` and `topicLevelsMax`. */
export function isFilterWithinLimits(topicFilter: string, limits: Limits): boolean {
  return isShort(topicFilter, limits.filterBytesMax) && isWithinLimits(topicFilter, limits)
}

function isShort(text: string, bytesMax: number): boolean {
  // A character of UTF-16 is 1 to 3 bytes of UTF-8; only near the limit they have to be counted.
  return text.length * 3 <= bytesMax || utf8Length(text) <= bytesMax
}

/** Overlapping subscriptions of one subscriber as one: highest QoS, all identifiers. [MQTT-3.3.4-2] [MQTT-3.3.4-4] */
function sumOf(a: SubscriptionEntry, b: SubscriptionEntry): SubscriptionEntry {
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
  const sum = new SubscriptionEntry(
    a.subscriber,
    a.topicFilter,
    Math.max(a.qos, b.qos) as QoS,
    a.noLocal && b.noLocal,
    a.retainAsPublished || b.retainAsPublished,
    0,
  )
  sum.isSum = true
  if (a.subscriptionIdentifiers !== null || b.subscriptionIdentifiers !== null) {
    sum.subscriptionIdentifiers = [...(a.subscriptionIdentifiers ?? []), ...(b.subscriptionIdentifiers ?? [])]
  }
  return sum
}
