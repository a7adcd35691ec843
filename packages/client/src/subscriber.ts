/**
 * The subscriptions of a client: SUBSCRIBE and UNSUBSCRIBE with their answers, the choice of subscriptions for each
 * message, and subscribing again when the server has lost the session. One per client; outlives connections.
 *
 * A message is matched by its Subscription Identifiers where the server gives them (5.0), otherwise it goes to every
 * subscription whose Topic Filter matches. The server has one subscription per Topic Filter: when two `subscribe` calls
 * have the same one, the later identifier stands for both, so `FilterEntry` lists the subscriptions that share it.
 *
 * Invariant: every promise of `ready` and `unsubscribe` is settled, at the latest by `close`; a Topic Filter is
 * unsubscribed when its last subscription ends.
 *
 * Source: MQTT 5.0 sections 3.8 to 3.11, 4.7, 4.8; MQTT 3.1.1 sections 3.8 to 3.11, 4.7.
 */
import {
  callback,
  check,
  checkOptions,
  FilterTree,
  hasWildcard,
  MqttError,
  NO_PROPERTIES,
  OptionError,
  type PacketIdMap,
  type Properties,
  ProtocolError,
  parseShare,
  ReasonCode,
  type Suback,
  Subscribe,
  type Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import { type Deferred, deferred, orAborted, quiet, reasonOf, throwIfAborted, whenAborted } from './abort.ts'
import type { TopicCharacters } from './arguments.ts'
import type { Connection } from './connection.ts'
import type { Decode } from './decode.ts'
import { NotSupportedError, type PayloadError, SetAsideError, SubscribeError, UnsubscribeError } from './errors.ts'
import type { Message } from './message.ts'
import { subscribeRules, unsubscribeRules } from './option-rules.ts'
import type { SubscribeOptions, UnsubscribeOptions } from './options.ts'
import type { Blame } from './retry.ts'
import { type MessageHandler, Subscription, type SubscriptionOwner, type UnsubscribeResult } from './subscription.ts'
import { parsePattern, type TopicPattern } from './topic-pattern.ts'

/** SUBSCRIBE or UNSUBSCRIBE that waits to be sent or answered. */
export interface Request {
  /** Packet Identifier; 0 when it has not been sent on this connection. */
  packetId: number
  /** Subscription of a SUBSCRIBE; `null` for an UNSUBSCRIBE. */
  readonly subscription: Subscription | null
  /** Topic Filters of an UNSUBSCRIBE. */
  readonly topicFilters: readonly string[]
  readonly properties: Properties
  readonly answer: Deferred<UnsubscribeResult> | null
}

/** Topic Filter that the server knows, with its subscriptions. */
interface FilterEntry {
  readonly topicFilter: string
  /** Filter that Topic Names are compared with: without `$share/name/`. */
  readonly matched: string
  /** Subscription Identifier of the last SUBSCRIBE sent for it; 0 when it had none. */
  identifier: number
  /** Whether several subscriptions have, or had, this filter: the identifier alone does not tell them apart. */
  shared: boolean
  readonly subscriptions: Subscription[]
}

export interface SubscriberOwner {
  /** Called when buffers of subscriptions, or waiting requests, have changed: reading may have to stop or go on. */
  handleFullness(): void
  handleHandlerError(error: unknown, message: Message): void
  /** Called when `decode` could not read a message and the subscription reports it to no function of its own. */
  handleInvalid(error: PayloadError, message: Message): void
  /** Called for a message that matches no subscription. */
  handleUnmatched(message: Message): void
}

export class Subscriber implements SubscriptionOwner {
  readonly #owner: SubscriberOwner
  readonly #ids: PacketIdMap<object>
  readonly #topicCharacters: TopicCharacters | undefined
  readonly #subscriptions = new Set<Subscription>()
  readonly #requests = new Set<Request>()
  readonly #byFilter = new Map<string, FilterEntry>()
  /** Entries by the filter that is matched; `a` and `$share/g/a` have the same. */
  readonly #tree = new FilterTree<FilterEntry[]>()
  readonly #byIdentifier = new Map<number, Subscription>()
  readonly #matches: FilterEntry[][] = []
  #connection: Connection | null = null
  #limits: Properties = NO_PROPERTIES
  #lastIdentifier = 0
  /** Number of entries that are `shared`. */
  #sharedFilters = 0
  /** Number of subscriptions without an identifier of ours. */
  #unidentified = 0
  /** Whether the session is older than this client: identifiers may be those of an earlier client. */
  #foreignSession = false
  #everAttached = false
  /**
   * Whether requests go one at a time until all are answered, because the server ended a connection after several of
   * them.
   */
  #isCareful = false
  #fullCount = 0

  constructor(owner: SubscriberOwner, ids: PacketIdMap<object>, topicCharacters?: TopicCharacters) {
    this.#topicCharacters = topicCharacters
    this.#owner = owner
    this.#ids = ids
  }

  get pendingRequests(): number {
    return this.#requests.size
  }

  /** Whether a subscription with overflow 'backpressure' is full. */
  get anyFull(): boolean {
    return this.#fullCount > 0
  }

  subscribe(
    topicFilters: string | readonly string[],
    options: SubscribeOptions<Decode>,
    handler: MessageHandler | null,
  ): Subscription {
    checkOptions(options, subscribeRules)
    if (handler !== null) check('the handler', handler, callback)
    const patterns = this.#patternsOf(topicFilters, options)
    if (patterns.length === 0) throw new OptionError('subscribe needs at least one Topic Filter') // [MQTT-3.8.3-2]
    // [MQTT-3.8.3-4]
    if (options.noLocal && patterns.some(({ topicFilter }) => topicFilter.startsWith('$share/'))) {
      throw new OptionError('noLocal cannot be used with a shared subscription')
    }
    const subscription = new Subscription(this, patterns, options, this.#nextIdentifier(), handler)
    if (options.signal?.aborted) {
      subscription.end(reasonOf(options.signal))
      return subscription
    }
    // Before SUBSCRIBE goes out: messages may come before SUBACK (3.8.4).
    this.#register(subscription)
    const request = subscribeRequest(subscription)
    this.#requests.add(request)
    this.#send(request)
    this.#owner.handleFullness()
    const stop = whenAborted(options.signal, (reason) => {
      subscription.end(reason)
      this.unsubscribeAll(subscription, undefined).catch(() => {})
    })
    subscription.onEnd = stop
    return subscription
  }

  /** Ends a subscription, and unsubscribes from the Topic Filters that no other subscription has. */
  unsubscribeAll(subscription: Subscription, options: UnsubscribeOptions | undefined): Promise<UnsubscribeResult> {
    if (!this.#subscriptions.has(subscription)) return Promise.resolve(noResult(subscription.topicFilters))
    this.#unregister(subscription)
    const never = this.#dropUnsent(subscription)
    subscription.end(null)
    const topicFilters = subscription.topicFilters.filter((filter) => !this.#byFilter.has(filter))
    if (never || topicFilters.length === 0) return Promise.resolve(noResult(subscription.topicFilters))
    return this.#requestUnsubscribe(topicFilters, options)
  }

  /**
   * Sends UNSUBSCRIBE for these Topic Filters, also for those of other subscriptions; subscriptions that have none left
   * end.
   */
  unsubscribe(
    topicFilters: string | readonly string[],
    options: UnsubscribeOptions | undefined,
  ): Promise<UnsubscribeResult> {
    let filters: string[]
    try {
      if (options !== undefined) checkOptions(options, unsubscribeRules)
      filters = this.#patternsOf(topicFilters, options).map(({ topicFilter }) => topicFilter)
      if (filters.length === 0) throw new OptionError('unsubscribe needs at least one Topic Filter') // [MQTT-3.10.3-2]
      throwIfAborted(options?.signal)
    } catch (error) {
      return Promise.reject(error)
    }
    for (const filter of filters) {
      const entry = this.#byFilter.get(filter)
      if (entry === undefined) continue
      for (const subscription of [...entry.subscriptions]) {
        this.#removeFrom(entry, subscription)
        if (subscription.topicFilters.some((other) => this.#byFilter.get(other)?.subscriptions.includes(subscription)))
          continue
        this.#unregister(subscription)
        this.#dropUnsent(subscription)
        subscription.end(null)
      }
    }
    return this.#requestUnsubscribe(filters, options)
  }

  /** Begins a connection: subscribes again if the server has lost the session, and sends the unanswered requests. */
  attach(connection: Connection, sessionPresent: boolean, properties: Properties): void {
    this.#connection = connection
    this.#limits = properties
    if (!this.#everAttached) this.#foreignSession = sessionPresent
    else if (!sessionPresent) this.#foreignSession = false
    this.#everAttached = true
    if (!sessionPresent) {
      const asked = new Set<Subscription>()
      for (const { subscription } of this.#requests) if (subscription !== null) asked.add(subscription)
      for (const subscription of this.#subscriptions) {
        if (!asked.has(subscription)) this.#requests.add(subscribeRequest(subscription))
      }
    }
    for (const request of [...this.#requests]) this.#send(request)
  }

  /** Number of requests of this connection that were not answered. */
  get unanswered(): number {
    let count = 0
    for (const { packetId } of this.#requests) if (packetId !== 0) count++
    return count
  }

  /** Ends a connection. `messages` is the number that the server had not answered. */
  detach(why: MqttError, blame: Blame, messages: number): void {
    this.#connection = null
    if (blame === 'certain') {
      const sent = [...this.#requests].filter(({ packetId }) => packetId !== 0)
      if (sent.length > 0) this.#isCareful = true
      if (sent.length === 1 && messages === 0) {
        const [request] = sent as [Request]
        const { subscription } = request
        const topics = subscription?.topicFilters ?? request.topicFilters
        this.#fail(request, new SetAsideError(subscription === null ? 'UNSUBSCRIBE' : 'SUBSCRIBE', topics, why))
      }
    }
    for (const request of this.#requests) {
      if (request.packetId !== 0) this.#ids.delete(request.packetId)
      request.packetId = 0
    }
  }

  handleSuback(suback: Suback): void {
    const request = this.#take(suback.packetId, true)
    const subscription = request?.subscription
    if (subscription == null) return
    const { reasonCodes, properties } = suback
    const refused = reasonCodes.filter((reasonCode) => reasonCode >= 0x80).length
    const tolerated = subscription.options.partial === true ? reasonCodes.length - 1 : 0
    if (reasonCodes.length !== subscription.topicFilters.length || refused > tolerated) {
      this.#unregister(subscription)
      const error = new SubscribeError(subscription.topicFilters, reasonCodes, properties)
      subscription.end(error)
      const granted = subscription.topicFilters.filter(
        (filter, index) => (reasonCodes[index] ?? 0x80) < 0x80 && !this.#byFilter.has(filter),
      )
      if (granted.length > 0) this.#requestUnsubscribe(granted, undefined).catch(() => {})
      return
    }
    subscription.granted({ reasonCodes, reasonString: properties.reasonString, properties })
  }

  handleUnsuback(unsuback: Unsuback): void {
    const request = this.#take(unsuback.packetId, false)
    if (request?.answer == null) return
    const { properties } = unsuback
    // Before 5.0 there are no Reason Codes: the answer alone means success.
    const reasonCodes =
      this.#connection?.protocolVersion === 5 ? unsuback.reasonCodes : request.topicFilters.map(() => 0)
    if (reasonCodes.some((reasonCode) => reasonCode >= ReasonCode.UnspecifiedError)) {
      request.answer.reject(new UnsubscribeError(request.topicFilters, reasonCodes, properties))
    } else request.answer.resolve({ reasonCodes, reasonString: properties.reasonString, properties })
  }

  dispatch(message: Message): void {
    const identifiers = message.properties.subscriptionIdentifiers
    let delivered = false
    if (identifiers !== undefined && this.#identifiersSuffice) {
      for (let i = 0; i < identifiers.length; i++) {
        const subscription = this.#byIdentifier.get(identifiers[i]!)
        if (subscription === undefined) continue
        subscription.deliver(message)
        delivered = true
      }
    } else delivered = this.#dispatchByTopic(message, identifiers)
    if (!delivered) this.#owner.handleUnmatched(message)
  }

  get #identifiersSuffice(): boolean {
    return this.#sharedFilters === 0 && this.#unidentified === 0 && !this.#foreignSession
  }

  #dispatchByTopic(message: Message, identifiers: number[] | undefined): boolean {
    const matches = this.#matches
    matches.length = 0
    this.#tree.match(message.topic, matches)
    let delivered = false
    for (const entries of matches) {
      for (const entry of entries) {
        if (identifiers !== undefined && entry.identifier !== 0 && !identifiers.includes(entry.identifier)) continue
        // A handler may unsubscribe, so iterate over a copy where there are several.
        const subscriptions = entry.subscriptions.length === 1 ? entry.subscriptions : [...entry.subscriptions]
        for (const subscription of subscriptions) {
          if (subscription.lastMessage === message) continue
          subscription.deliver(message)
          delivered = true
        }
      }
    }
    return delivered
  }

  /**
   * Ends all subscriptions. `error` is `null` when the client was closed in good order; buffered messages can then
   * still be read.
   */
  close(error: unknown, pendingError: MqttError): void {
    for (const request of [...this.#requests]) request.answer?.reject(pendingError)
    for (const subscription of [...this.#subscriptions]) {
      this.#unregister(subscription)
      subscription.end(error)
    }
    this.#requests.clear()
  }

  handleFullness(subscription: Subscription): void {
    this.#fullCount += subscription.full ? 1 : -1
    this.#owner.handleFullness()
  }

  handleHandlerError(error: unknown, message: Message): void {
    this.#owner.handleHandlerError(error, message)
  }

  handleInvalid(error: PayloadError, message: Message): void {
    this.#owner.handleInvalid(error, message)
  }

  // ---- inside

  #patternsOf(topicFilters: string | readonly string[], options: { literal?: boolean } | undefined): TopicPattern[] {
    const filters: readonly string[] = Array.isArray(topicFilters) ? topicFilters : [topicFilters]
    return filters.map((filter) => parsePattern(filter, options?.literal === true, this.#topicCharacters))
  }

  #nextIdentifier(): number {
    // 1 to 268,435,455 (3.8.2.1.2); identifiers in use are skipped.
    do this.#lastIdentifier = this.#lastIdentifier === 268_435_455 ? 1 : this.#lastIdentifier + 1
    while (this.#byIdentifier.has(this.#lastIdentifier))
    return this.#lastIdentifier
  }

  #register(subscription: Subscription): void {
    this.#subscriptions.add(subscription)
    if (subscription.options.identifier === false) this.#unidentified++
    this.#byIdentifier.set(subscription.identifier, subscription)
    for (const topicFilter of new Set(subscription.topicFilters)) {
      const entry = this.#byFilter.get(topicFilter)
      if (entry !== undefined) {
        entry.subscriptions.push(subscription)
        entry.identifier = subscription.identifier
        if (!entry.shared) this.#sharedFilters++
        entry.shared = true
        continue
      }
      const matched = parseShare(topicFilter)?.topicFilter ?? topicFilter
      const created: FilterEntry = {
        topicFilter,
        matched,
        identifier: subscription.identifier,
        shared: false,
        subscriptions: [subscription],
      }
      this.#byFilter.set(topicFilter, created)
      const same = this.#tree.get(matched)
      if (same === undefined) this.#tree.set(matched, [created])
      else same.push(created)
    }
  }

  #unregister(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription)) return
    if (subscription.options.identifier === false) this.#unidentified--
    this.#byIdentifier.delete(subscription.identifier)
    for (const topicFilter of new Set(subscription.topicFilters)) {
      const entry = this.#byFilter.get(topicFilter)
      if (entry !== undefined) this.#removeFrom(entry, subscription)
    }
  }

  #removeFrom(entry: FilterEntry, subscription: Subscription): void {
    const index = entry.subscriptions.indexOf(subscription)
    if (index < 0) return
    entry.subscriptions.splice(index, 1)
    if (entry.subscriptions.length > 0) return
    if (entry.shared) this.#sharedFilters--
    this.#byFilter.delete(entry.topicFilter)
    const same = this.#tree.get(entry.matched)
    if (same === undefined) return
    same.splice(same.indexOf(entry), 1)
    if (same.length === 0) this.#tree.delete(entry.matched)
  }

  #requestUnsubscribe(topicFilters: string[], options: UnsubscribeOptions | undefined): Promise<UnsubscribeResult> {
    const answer = deferred<UnsubscribeResult>()
    const request: Request = {
      packetId: 0,
      subscription: null,
      topicFilters,
      properties: options?.properties ?? NO_PROPERTIES,
      answer,
    }
    this.#requests.add(request)
    this.#send(request)
    this.#owner.handleFullness()
    // A loop that is left does not wait for the answer.
    return quiet(orAborted(quiet(answer.promise), options?.signal))
  }

  /**
   * Takes back a SUBSCRIBE that has not been sent. Returns `true` when there was one, so that the server need not be
   * told.
   */
  #dropUnsent(subscription: Subscription): boolean {
    for (const request of this.#requests) {
      if (request.subscription !== subscription) continue
      if (request.packetId === 0) this.#requests.delete(request)
      return request.packetId === 0
    }
    return false
  }

  /** Returns the request that is answered; `null` when we have none any more. Throws `ProtocolError`. */
  #take(packetId: number, isSuback: boolean): Request | null {
    const request = this.#ids.get(packetId) as Request | undefined
    if (request === undefined || !this.#requests.has(request)) return null
    if ((request.subscription !== null) !== isSuback) {
      const [asked, answered] = isSuback ? ['UNSUBSCRIBE', 'SUBACK'] : ['SUBSCRIBE', 'UNSUBACK']
      throw new ProtocolError(ReasonCode.ProtocolError, `${asked} ${packetId} was answered with ${answered}`)
    }
    this.#ids.delete(packetId)
    this.#requests.delete(request)
    if (this.#isCareful) this.#sendNext()
    this.#owner.handleFullness()
    return request
  }

  #sendNext(): void {
    const [next] = this.#requests
    if (next === undefined) this.#isCareful = false
    else this.#send(next)
  }

  #send(request: Request): void {
    const connection = this.#connection
    if (connection === null || (this.#isCareful && this.unanswered > 0)) return
    try {
      if (request.subscription === null) {
        request.packetId = this.#ids.allocate(request)
        connection.send(new Unsubscribe(request.packetId, [...request.topicFilters], request.properties))
        return
      }
      this.#sendSubscribe(connection, request, request.subscription)
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      this.#fail(request, error)
      if (this.#isCareful) this.#sendNext()
    }
  }

  #fail(request: Request, error: MqttError): void {
    if (request.packetId !== 0) this.#ids.delete(request.packetId)
    this.#requests.delete(request)
    request.answer?.reject(error)
    if (request.subscription !== null) {
      this.#unregister(request.subscription)
      request.subscription.end(error)
    }
  }

  #sendSubscribe(connection: Connection, request: Request, subscription: Subscription): void {
    const { topicFilters, options } = subscription
    this.#checkLimits(connection, topicFilters, options)
    let properties = request.properties
    const hasIdentifiers =
      connection.protocolVersion === 5 &&
      this.#limits.subscriptionIdentifierAvailable !== false &&
      options.identifier !== false
    if (hasIdentifiers) properties = { ...properties, subscriptionIdentifiers: [subscription.identifier] }
    for (const topicFilter of topicFilters) {
      const entry = this.#byFilter.get(topicFilter)
      if (entry !== undefined) entry.identifier = hasIdentifiers ? subscription.identifier : 0
    }
    request.packetId = this.#ids.allocate(request)
    const { qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0 } = options
    const subscriptions = topicFilters.map((topicFilter) => {
      return { topicFilter, qos, noLocal, retainAsPublished, retainHandling }
    })
    connection.send(new Subscribe(request.packetId, subscriptions, properties))
  }

  /** Checks what this server, or its version, can do. Throws `NotSupportedError`. */
  #checkLimits(connection: Connection, topicFilters: readonly string[], options: SubscribeOptions<Decode>): void {
    if (connection.protocolVersion < 5) {
      if (options.noLocal || options.retainAsPublished || (options.retainHandling ?? 0) !== 0) {
        throw new NotSupportedError(
          'noLocal, retainAsPublished and retainHandling need MQTT 5.0; this connection has an older version',
        )
      }
      return
    }
    const limits = this.#limits
    for (const topicFilter of topicFilters) {
      if (limits.wildcardSubscriptionAvailable === false && hasWildcard(topicFilter)) {
        throw new NotSupportedError(`cannot subscribe to ${topicFilter}: this server has no wildcard subscriptions`)
      }
      if (limits.sharedSubscriptionAvailable === false && topicFilter.startsWith('$share/')) {
        throw new NotSupportedError(`cannot subscribe to ${topicFilter}: this server has no shared subscriptions`)
      }
    }
  }
}

function subscribeRequest(subscription: Subscription): Request {
  const properties = subscription.options.properties ?? NO_PROPERTIES
  return { packetId: 0, subscription, topicFilters: [], properties, answer: null }
}

function noResult(topicFilters: readonly string[]): UnsubscribeResult {
  return { reasonCodes: topicFilters.map(() => 0), reasonString: undefined, properties: NO_PROPERTIES }
}
