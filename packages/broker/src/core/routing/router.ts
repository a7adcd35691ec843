/**
 * The router: all subscriptions of all subscribers, and the way from a Topic Name to those that match.
 *
 * A topic that comes again is matched against the filters once; the result, a `Route`, is remembered per topic until a
 * subscription changes, or rights to receive change (`Authorizer.mayReceive`): a message costs no question. `Intake` finds the route
 * of a message, asks it, and has the message delivered.
 *
 * Invariant: while a subscription is in the tree, every route that is found has it, unless its subscriber may not
 * receive.
 *
 * Sources: MQTT 5.0 sections 3.3.4, 3.8.3.1, 4.7 and 4.8.
 */
import { FilterTree, isTopicName, parseShare } from '@recado/protocol'
import type { Observer } from '../../ports.ts'
import type { Limits } from '../base/limits.ts'
import type { Message } from '../base/message.ts'
import type { Metrics } from '../base/metrics.ts'
import { Route, sumOf } from './route.ts'
import { SharedGroup, type SharedGroups } from './shared-group.ts'
import type { Subscriber, SubscriptionEntry } from './subscriber.ts'
import { isTopicWithinLimits } from './topic-limits.ts'

/** All subscriptions to one Topic Filter. */
class FilterSubscriptions {
  readonly plain: Map<Subscriber, SubscriptionEntry> = new Map()
  /** Shared Subscriptions by share name. */
  readonly groups: Map<string, SharedGroup> = new Map()
  /** Route of a topic that no other filter matches, for topics whose routes are not remembered; null: not made yet. */
  onlyRoute: Route | null = null
}

/** Events of the router, for observers that want them. */
export interface RouteObserver {
  readonly withheld: Observer['message.withheld']
  readonly shared: Observer['message.shared']
}

/** The part of an observer that the router tells; null when it wants nothing of that. */
export function routeObserverOf(observer: Observer | null): RouteObserver | null {
  const withheld = observer?.['message.withheld']
  const shared = observer?.['message.shared']
  return withheld === undefined && shared === undefined ? null : { withheld, shared }
}

/** Listener for the Topic Filters that subscribers of this Core have. */
export interface FilterListener {
  /** One more subscription has this Topic Filter, without `$share/name/`. */
  added(topicFilter: string): void
  removed(topicFilter: string): void
}

const NO_GROUPS: readonly SharedGroup[] = []
/**
 * Number of routes, and a sixteenth of `routeCacheMax` at most, up to which a topic is remembered when it comes for the
 * first time; beyond, when it comes again.
 */
const ROUTES_AT_ONCE = 4_096
/** Number of topics, a power of two, that are known to have been met; the hash of one is 4 bytes. */
const MET_SLOTS = 65_536
/** First version of a route that is not remembered; a version of 0 and above is that of a remembered one. */
const FIRST_LOOSE_VERSION = -2

export class Router implements SharedGroups {
  readonly #tree: FilterTree<FilterSubscriptions> = new FilterTree()
  readonly #routes: Map<string, Route> = new Map()
  #routeBytes = 0
  /** Hashes of topics that were met while no route was remembered for them, by slot; null before the first such topic. */
  #met: Int32Array | null = null
  /** Version of routes that are not remembered. It is negative, and another after every change of a subscription. */
  #looseVersion = FIRST_LOOSE_VERSION
  /** Route that was found last, and its topic; null since a subscription has changed. */
  #last: Route | null = null
  #lastTopic: string | null = null
  /** Work done for messages beyond the usual, in packets, since it was last taken: matching anew, and many targets. */
  #work = 0
  readonly #limits: Limits
  readonly #metrics: Metrics
  /** Grows when a subscription with a wildcard changes; routes of an older version are made anew. */
  #version = 0
  #stamp = 0
  readonly #matches: FilterSubscriptions[] = []
  /** Number of sessions whose queue may have no room for a message and that refuse it then; only then publishers have to look. */
  fullSubscribers = 0
  /** Whether routes have only subscribers that may receive. */
  isFiltering: boolean
  /** Observer of No Local and of Shared Subscriptions; null for none. */
  observer: RouteObserver | null = null
  /** Listener for Topic Filters, which other Cores must know; null: there are none. */
  filterListener: FilterListener | null = null
  #hasFailed = false

  constructor(limits: Limits, metrics: Metrics, isFiltering = false) {
    this.#limits = limits
    this.#metrics = metrics
    this.isFiltering = isFiltering
  }

  /** Rights to receive have changed: all routes are made anew. */
  rightsChanged(): void {
    this.#version++
    this.#looseVersion--
    this.#forgetRoutes()
  }

  /** Adds a subscription, or replaces the subscriber's one to the same filter. [MQTT-3.8.4-3] */
  subscribe(entry: SubscriptionEntry): void {
    const share = parseShare(entry.topicFilter)
    const topicFilter = share?.topicFilter ?? entry.topicFilter
    let subscriptions = this.#tree.get(topicFilter)
    if (subscriptions === undefined) {
      subscriptions = new FilterSubscriptions()
      this.#tree.set(topicFilter, subscriptions)
    }
    subscriptions.onlyRoute = null
    if (share === null) {
      if (!subscriptions.plain.has(entry.subscriber)) this.#added(topicFilter, entry.subscriber)
      subscriptions.plain.set(entry.subscriber, entry)
    } else {
      let group = subscriptions.groups.get(share.shareName)
      if (group === undefined) {
        group = new SharedGroup(share.shareName, topicFilter, this)
        subscriptions.groups.set(share.shareName, group)
      }
      entry.group = group
      if (group.add(entry)) {
        this.#added(topicFilter, entry.subscriber)
        this.#metrics.sharedSubscriptions++
      }
    }
    this.#changed(topicFilter)
  }

  unsubscribe(entry: SubscriptionEntry): void {
    const { subscriber } = entry
    const share = parseShare(entry.topicFilter)
    const topicFilter = share?.topicFilter ?? entry.topicFilter
    const subscriptions = this.#tree.get(topicFilter)
    if (subscriptions === undefined) return
    // It would keep the subscriber alive.
    subscriptions.onlyRoute = null
    if (share === null) {
      if (subscriptions.plain.delete(subscriber)) this.#removed(topicFilter, subscriber)
    } else {
      const group = subscriptions.groups.get(share.shareName)
      if (group?.remove(subscriber)) {
        this.#removed(topicFilter, subscriber)
        this.#metrics.sharedSubscriptions--
        if (group.size === 0) subscriptions.groups.delete(share.shareName)
      }
    }
    if (subscriptions.plain.size === 0 && subscriptions.groups.size === 0) this.#tree.delete(topicFilter)
    this.#changed(topicFilter)
  }

  groupOf(shareName: string, topicFilter: string): SharedGroup | undefined {
    return this.#tree.get(topicFilter)?.groups.get(shareName)
  }

  #added(topicFilter: string, { isPeer }: Subscriber): void {
    if (isPeer) return
    this.#metrics.subscriptions++
    this.filterListener?.added(topicFilter)
  }

  #removed(topicFilter: string, { isPeer }: Subscriber): void {
    if (isPeer) return
    this.#metrics.subscriptions--
    this.filterListener?.removed(topicFilter)
  }

  /**
   * Returns the route of a topic; null when the topic is over a limit, or unless `isChecked` no Topic Name. Valid until
   * a subscription changes.
   */
  find(topic: string, isChecked = false): Route | null {
    // A client publishes many messages to one topic, most often: its chunk needs one search.
    if (topic === this.#lastTopic && this.#isCurrent(this.#last!)) return this.#last
    const known = this.#routes.get(topic)
    if (known !== undefined) {
      const route = known.version === this.#version ? known : this.#renew(topic, known)
      this.#lastTopic = topic
      this.#last = route
      return route
    }
    if (!(isChecked || isTopicName(topic)) || !isTopicWithinLimits(topic, this.#limits)) return null
    const { routeCacheMax } = this.#limits
    const atOnce = Math.min(ROUTES_AT_ONCE, routeCacheMax / 16)
    if (this.#routes.size < atOnce || this.#hasMet(topic)) return this.#renew(topic, undefined)
    const route = this.#looseRoute(topic)
    this.#lastTopic = topic
    this.#last = route
    return route
  }

  /** Whether a route has all subscriptions that match. */
  #isCurrent({ version }: Route): boolean {
    return version === this.#version || version === this.#looseVersion
  }

  /**
   * Whether this topic has been met before, as far as is known; it counts as met from then on. A stream of topics of
   * which each comes once costs no memory, and does not push out routes that are used.
   */
  #hasMet(topic: string): boolean {
    this.#met ??= new Int32Array(MET_SLOTS)
    let hash = topic.length
    for (let i = 0; i < topic.length; i++) hash = Math.imul(hash ^ topic.charCodeAt(i), 0x9e3779b1)
    hash ^= hash >>> 15
    const slot = hash & (MET_SLOTS - 1)
    if (this.#met[slot] === hash) return true
    this.#met[slot] = hash
    return false
  }

  /** Whether a subscriber that would get this message refuses it. Then it must not be delivered to any. */
  isRefused(route: Route, message: Message): boolean {
    const { targets, groups } = route
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      const isNoLocal = target.noLocal && target.subscriber === message.publisher
      if (!isNoLocal && target.subscriber.refuses(message, target)) return true
    }
    for (let i = 0; i < groups.length; i++) if (groups[i]!.refuses(message, this.isFiltering)) return true
    return false
  }

  /**
   * Delivers to all matching subscribers; returns their number, or -1 when one of them has thrown: the others have it.
   * `found` may be older than a subscription that has changed since.
   */
  deliver(found: Route, message: Message): number {
    const route = this.#isCurrent(found) ? found : this.#renew(message.topic, this.#routes.get(message.topic))
    const { targets, groups } = route
    this.#work += route.work
    this.#hasFailed = false
    let count = targets.length
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!
      if (target.subscriber === message.publisher) {
        // No Local. [MQTT-3.8.3-3]
        const others = target.noLocal ? null : (target.withoutNoLocal ?? target)
        if (others !== null) this.#deliver(message, others)
        else {
          count--
          if (this.observer !== null) tell(this.observer.withheld, message, target)
        }
      } else {
        this.#deliver(message, target)
      }
    }
    for (let i = 0; i < groups.length; i++) {
      const member = groups[i]!.choose(this.isFiltering ? message.topic : null)
      if (member === null) continue
      if (this.observer !== null) tell(this.observer.shared, message, member)
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

  /** All subscriptions that match a topic, whatever their subscribers may receive: for looking, not for delivering. */
  matching(topic: string): { readonly plain: SubscriptionEntry[]; readonly groups: SharedGroup[] } {
    const matches: FilterSubscriptions[] = []
    this.#tree.match(topic, matches)
    return {
      plain: matches.flatMap(({ plain }) => [...plain.values()]),
      groups: matches.flatMap(({ groups }) => [...groups.values()]),
    }
  }

  /** Work done for messages beyond the usual since this was last called, in packets. */
  takeWork(): number {
    const work = this.#work
    this.#work = 0
    return work
  }

  get filterCount(): number {
    return this.#tree.size
  }

  /** Makes a route, in the place of one that is out of date, and remembers it. */
  #renew(topic: string, old: Route | undefined): Route {
    const route = this.#makeRoute(topic, this.#version)
    const { routeCacheMax, routeCacheBytesMax } = this.#limits
    if (old !== undefined) this.#forgetRoute(topic, old)
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
    route.forget()
    this.#routes.delete(topic)
    this.#routeBytes -= route.bytes
  }

  /** Forgets all routes. Their versions stay: whoever has found one may use it as long as that is right. */
  #forgetRoutes(): void {
    this.#forgetLast()
    this.#routes.clear()
    this.#routeBytes = 0
  }

  #forgetLast(): void {
    this.#lastTopic = null
    this.#last = null
  }

  /** [MQTT-3.3.2-3]; subscribers keep the order in which they are given messages [MQTT-4.6.0-5] [MQTT-4.6.0-6]. */
  #makeRoute(topic: string, version: number): Route {
    const matches = this.#matches
    this.#tree.match(topic, matches)
    const route = this.#routeOf(topic, version, matches)
    this.#work += matches.length
    empty(matches)
    return route
  }

  /** Returns a route that is not remembered. */
  #looseRoute(topic: string): Route {
    const matches = this.#matches
    this.#tree.match(topic, matches)
    const only = matches.length === 1 && !this.isFiltering ? matches[0]! : null
    if (only === null || only.groups.size > 0) {
      empty(matches)
      return this.#makeRoute(topic, this.#looseVersion)
    }
    matches.pop()
    this.#work++
    if (only.onlyRoute?.version !== this.#looseVersion)
      only.onlyRoute = new Route(this.#looseVersion, '', [...only.plain.values()], NO_GROUPS, false)
    return only.onlyRoute
  }

  /** Makes the route to all subscriptions of these filters. */
  #routeOf(topic: string, version: number, matches: readonly FilterSubscriptions[]): Route {
    const targets: SubscriptionEntry[] = []
    let groups: SharedGroup[] | null = null
    let hasDenied = false
    const stamp = ++this.#stamp
    for (let i = 0; i < matches.length; i++) {
      for (const entry of matches[i]!.plain.values()) {
        const subscriber = entry.subscriber
        if (this.isFiltering && !subscriber.mayReceive(topic)) {
          hasDenied = true
          continue
        }
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
    return new Route(version, topic, targets, groups ?? NO_GROUPS, hasDenied)
  }

  #changed(topicFilter: string): void {
    // It may be one that was not remembered.
    this.#forgetLast()
    this.#looseVersion--
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

/** Empties a short array: setting its length takes ten times as long. */
function empty(array: unknown[]): void {
  while (array.length > 0) array.pop()
}

function tell(
  observer: Observer['message.shared'],
  { topic }: Message,
  { subscriber, topicFilter }: SubscriptionEntry,
): void {
  const { clientId } = subscriber
  if (clientId !== undefined) observer?.({ clientId, topic, topicFilter })
}
