/**
 * `broker.inspect`: looks into a running broker without changing or holding up anything.
 *
 * `Broker` has one. Lists are `Listing`s; what one client has at most is handed out at once. Nothing here runs unless it is asked for, but for
 * the memory of the last errors.
 */
import {
  check,
  checkOptions,
  flag,
  isTopicFilter,
  isTopicName,
  MqttError,
  parseShare,
  type Rules,
  text,
  topicMatches,
  whole,
} from '@recado/protocol'
import type { Message } from '../core/base/message.ts'
import { Connection } from '../core/connection/connection.ts'
import type { ListenerView } from '../core/connection/listener-counts.ts'
import type { Core } from '../core/core.ts'
import type { DelayedMessage } from '../core/routing/delayed.ts'
import type { SubscriptionEntry } from '../core/routing/subscriber.ts'
import type { Session } from '../core/session/session.ts'
import { Listing, Slice, type Walk } from './listing.ts'
import { isAsked, type Pattern, patternOf } from './pattern.ts'
import { RateMeter } from './rate-meter.ts'
import type { ConnectionError, RecentErrors } from './recent-errors.ts'
import { type RecipientQuery, recipientRules, recipientsOf } from './recipients.ts'
import {
  type ClientView,
  clientView,
  type DelayedView,
  delayedView,
  type InFlightView,
  inFlightView,
  type MessageView,
  messageView,
  type QueuedView,
  queuedView,
  type RecipientsView,
  type SessionView,
  type SubscriptionView,
  sessionView,
  subscriptionView,
  userOf,
} from './views.ts'

/** In texts of a query `*` stands for any characters. What is absent does not matter. */
export interface SessionQuery {
  clientId?: string
  /** User who is connected, or whose session it is. */
  username?: string
  /** Name of the listener; a session whose client is away has none. */
  listener?: string
  /** One of its Topic Filters, as the client wrote it. */
  topicFilter?: string
  isConnected?: boolean
  /** Sessions with at least so many messages in their queue. */
  queuedMin?: number
}

/** Conditions for clients. A client is listed when it meets all that are given. */
export interface ClientQuery extends Omit<SessionQuery, 'isConnected'> {
  /** Remote address in the form `127.0.0.1:50123`; `127.0.0.1:*` means any port. */
  remoteAddress?: string
}

/** Conditions for subscriptions. A subscription is listed when it meets all that are given. */
export interface SubscriptionQuery extends Omit<SessionQuery, 'queuedMin'> {
  /** Topic Name that the Topic Filter matches: who would get what is published there. */
  topic?: string
}

/** Length of the part of each payload that is returned. */
export interface PayloadOptions {
  /** Bytes of each payload that are handed out, from the first; default 1,024. */
  payloadBytesMax?: number
}

/** Conditions for retained messages. */
export interface RetainedQuery extends PayloadOptions {
  /** A Topic Filter as of a subscription, with `+` and `#`. Absent: all, also below `$`. */
  topicFilter?: string
}

/** Number of queued messages to return. */
export interface QueueQuery extends PayloadOptions {
  /** The oldest so many, from 1 to 1,000; default 10. */
  first?: number
}

/** Conditions for errors. */
export interface ErrorQuery {
  clientId?: string
  listener?: string
}

const PAYLOAD_BYTES = 1_024
const FIRST = 10
const FIRST_MAX = 1_000
const NUMBER_DIGITS = String(Number.MAX_SAFE_INTEGER).length
const count = whole(0, Number.MAX_SAFE_INTEGER)

const clientRules: Rules<ClientQuery> = {
  clientId: text,
  username: text,
  listener: text,
  topicFilter: text,
  queuedMin: count,
  remoteAddress: text,
}
const sessionRules: Rules<SessionQuery> = {
  clientId: text,
  username: text,
  listener: text,
  topicFilter: text,
  isConnected: flag,
  queuedMin: count,
}
const subscriptionRules: Rules<SubscriptionQuery> = {
  clientId: text,
  username: text,
  listener: text,
  topicFilter: text,
  isConnected: flag,
  topic: text,
}
const retainedRules: Rules<RetainedQuery> = { topicFilter: text, payloadBytesMax: count }
const queueRules: Rules<QueueQuery> = { first: whole(1, FIRST_MAX), payloadBytesMax: count }
const errorRules: Rules<ErrorQuery> = { clientId: text, listener: text }

interface FoundSubscription {
  readonly session: Session
  readonly entry: SubscriptionEntry
}

/** The rules that a session must fulfil to be in an answer. */
class SessionFilter {
  readonly clientId: Pattern | null
  readonly #username: Pattern | null
  readonly #listener: Pattern | null
  readonly #topicFilter: Pattern | null
  readonly #remoteAddress: Pattern | null
  readonly #isConnected: boolean | undefined
  readonly #queuedMin: number

  constructor(query: ClientQuery & SessionQuery) {
    this.clientId = patternOf(query.clientId)
    this.#username = patternOf(query.username)
    this.#listener = patternOf(query.listener)
    this.#topicFilter = patternOf(query.topicFilter)
    this.#remoteAddress = patternOf(query.remoteAddress)
    this.#isConnected = query.isConnected
    this.#queuedMin = query.queuedMin ?? 0
  }

  isAsked(session: Session): boolean {
    const { connection } = session
    return (
      (this.#isConnected === undefined || this.#isConnected === (connection !== null)) &&
      session.queue.length >= this.#queuedMin &&
      isAsked(this.clientId, session.clientId) &&
      isAsked(this.#username, userOf(session)) &&
      isAsked(this.#listener, connection?.listener) &&
      isAsked(this.#remoteAddress, connection?.remoteAddress)
    )
  }

  /** Yields null for each subscription that was looked at in vain; its last value says whether one was found. */
  *subscribes(session: Session): Generator<null, boolean> {
    const pattern = this.#topicFilter
    if (pattern === null) return true
    if (pattern.literal !== null) return session.subscriptions.has(pattern.literal)
    for (const { topicFilter } of session.subscriptions.values()) {
      if (pattern.matches(topicFilter)) return true
      yield null
    }
    return false
  }
}

/** Looks into a running broker (`broker.inspect`) and changes nothing. */
export class Inspector {
  readonly #core: Core
  readonly #meter: RateMeter = new RateMeter()
  readonly #errors: RecentErrors
  /** Sum of the listeners that is under way; those who ask meanwhile share it. */
  #listeners: Promise<ListenerView[]> | null = null

  constructor(core: Core, errors: RecentErrors) {
    this.#core = core
    this.#errors = errors
  }

  /** Connected clients. @throws MqttError ERR_MQTT_OPTION */
  clients(query: ClientQuery = {}): Listing<ClientView> {
    checkOptions(query, clientRules)
    const filter = new SessionFilter({ ...query, isConnected: true })
    return new Listing(
      () => this.#walkSessions(filter),
      ({ clientId }: Session) => clientId,
      (session: Session) => this.#clientView(session),
    )
  }

  /** Returns the connected client with this Client Identifier; null when there is none. */
  client(clientId: string): ClientView | null {
    const session = this.#sessionOf(clientId)
    return session === undefined ? null : this.#clientView(session)
  }

  /**
   * Adds up the numbers of each listener that has had a connection, by name: connections, messages, bytes. The broker
   * goes on meanwhile; a counter is never lower than it was in an answer before.
   */
  listeners(): Promise<ListenerView[]> {
    this.#listeners ??= this.#sumOfListeners().finally(() => {
      this.#listeners = null
    })
    return this.#listeners
  }

  async #sumOfListeners(): Promise<ListenerView[]> {
    const { connections } = this.#core
    const slice = new Slice()
    const sum = connections.listenerCounts.sum(connections)
    while (sum.step()) if (slice.isOver()) await slice.next()
    return sum.views
  }

  /** Sessions, of connected clients and of those that are away. @throws MqttError ERR_MQTT_OPTION */
  sessions(query: SessionQuery = {}): Listing<SessionView> {
    checkOptions(query, sessionRules)
    const filter = new SessionFilter(query)
    return new Listing(
      () => this.#walkSessions(filter),
      ({ clientId }: Session) => clientId,
      (session: Session) => (this.#isThere(session) ? sessionView(session) : null),
    )
  }

  /** Returns the session with this Client Identifier; null when there is none. */
  session(clientId: string): SessionView | null {
    const session = this.#sessionOf(clientId)
    return session === undefined ? null : sessionView(session)
  }

  /**
   * Subscriptions of all sessions, also of `subscribeDurably`, whose Client Identifiers begin with U+0000; those of
   * `subscribe` are not among them.
   * @throws MqttError ERR_MQTT_OPTION, ERR_MQTT_TOPIC_NAME for a `topic` that is none.
   */
  subscriptions(query: SubscriptionQuery = {}): Listing<SubscriptionView> {
    checkOptions(query, subscriptionRules)
    const { topic, topicFilter, ...others } = query
    if (topic !== undefined && !isTopicName(topic)) {
      throw new MqttError('ERR_MQTT_TOPIC_NAME', `"${topic}" is not a Topic Name; topicFilter asks for Topic Filters`)
    }
    const filter = new SessionFilter(others)
    return new Listing(
      () => this.#walkSubscriptions(filter, patternOf(topicFilter), topic),
      // A Client Identifier has no U+0000, or one at its beginning, so that the order is by Client Identifier first.
      ({ session, entry }: FoundSubscription) => `${session.clientId}\0${entry.topicFilter}`,
      ({ session, entry }: FoundSubscription) =>
        session.subscriptions.get(entry.topicFilter) === entry && this.#isThere(session)
          ? subscriptionView(session, entry)
          : null,
    )
  }

  /**
   * Returns who would get a message that is published to a topic now, and who not and why. Nothing is published.
   * `clientId` is the publisher, for No Local.
   * @throws MqttError ERR_MQTT_OPTION, ERR_MQTT_TOPIC_NAME
   */
  recipients(topic: string, query: RecipientQuery = {}): RecipientsView {
    check('topic', topic, text)
    checkOptions(query, recipientRules)
    if (!isTopicName(topic)) throw new MqttError('ERR_MQTT_TOPIC_NAME', `"${topic}" is not a Topic Name`)
    this.#nowMs()
    return recipientsOf(this.#core, topic, query)
  }

  /** Retained messages that have not expired. @throws MqttError ERR_MQTT_OPTION, ERR_MQTT_TOPIC_FILTER */
  retained(query: RetainedQuery = {}): Listing<MessageView> {
    checkOptions(query, retainedRules)
    const { topicFilter, payloadBytesMax = PAYLOAD_BYTES } = query
    if (topicFilter !== undefined && (!isTopicFilter(topicFilter) || parseShare(topicFilter) !== null)) {
      throw new MqttError('ERR_MQTT_TOPIC_FILTER', `"${topicFilter}" is not a Topic Filter of retained messages`)
    }
    return new Listing(
      () => this.#walkRetained(topicFilter),
      ({ topic }: Message) => topic,
      (message: Message) =>
        message.isRetained && !message.isExpired(this.#nowMs()) ? messageView(message, payloadBytesMax) : null,
    )
  }

  /** Messages to `$delayed/SECONDS/topic` that wait for their time, by number. @throws MqttError ERR_MQTT_OPTION */
  delayed(options: PayloadOptions = {}): Listing<DelayedView> {
    checkOptions(options, { payloadBytesMax: count })
    const { payloadBytesMax = PAYLOAD_BYTES } = options
    const { delayed } = this.#core
    return new Listing(
      () => delayed.values(),
      // The order of texts is that of the numbers.
      ({ number }: DelayedMessage) => String(number).padStart(NUMBER_DIGITS, '0'),
      (each: DelayedMessage) => (delayed.get(each.number) === each ? delayedView(each, payloadBytesMax) : null),
    )
  }

  /** Returns the retained message of this topic; null when there is none. @throws MqttError ERR_MQTT_OPTION */
  retainedMessage(topic: string, options: PayloadOptions = {}): MessageView | null {
    check('topic', topic, text)
    checkOptions(options, { payloadBytesMax: count })
    const message = this.#core.retained.get(topic)
    if (message === undefined || message.isExpired(this.#nowMs())) return null
    return messageView(message, options.payloadBytesMax ?? PAYLOAD_BYTES)
  }

  /**
   * The oldest messages that wait for a session, in their order; those that only the disk has are read. null: there is no such session.
   * @throws MqttError ERR_MQTT_OPTION, ERR_MQTT_STORE_OPEN (it cannot be read).
   */
  queue(clientId: string, query: QueueQuery = {}): QueuedView[] | null {
    checkOptions(query, queueRules)
    const session = this.#sessionOf(clientId)
    if (session === undefined) return null
    const { first = FIRST, payloadBytesMax = PAYLOAD_BYTES } = query
    const length = Math.min(first, session.queue.length)
    return Array.from({ length }, (_, i) => queuedView(session.queue.look(i), payloadBytesMax))
  }

  /**
   * Messages that were sent to a client first and are not acknowledged to the end, in their order. null: there is no such session.
   * @throws MqttError ERR_MQTT_OPTION
   */
  inFlight(clientId: string, query: QueueQuery = {}): InFlightView[] | null {
    checkOptions(query, queueRules)
    const session = this.#sessionOf(clientId)
    if (session === undefined) return null
    const { first = FIRST, payloadBytesMax = PAYLOAD_BYTES } = query
    const oldest = session.sender.inOrder().slice(0, first)
    return oldest.map((delivery) => inFlightView(delivery, payloadBytesMax))
  }

  /**
   * The last 1,000 errors of connections, latest first: refused, failed, and disconnected for a fault. Since the broker started.
   * @throws MqttError ERR_MQTT_OPTION
   */
  errors(query: ErrorQuery = {}): ConnectionError[] {
    checkOptions(query, errorRules)
    const clientId = patternOf(query.clientId)
    const listener = patternOf(query.listener)
    return [...this.#errors.values()].filter(
      (error) => isAsked(clientId, error.clientId) && isAsked(listener, error.listener),
    )
  }

  *#walkSessions(filter: SessionFilter): Walk<Session> {
    const { sessions } = this.#core
    const clientId = filter.clientId?.literal ?? null
    if (clientId !== null) {
      const session = sessions.get(clientId)
      if (session !== undefined && filter.isAsked(session) && (yield* filter.subscribes(session))) yield session
      return
    }
    for (const session of sessions.values()) {
      if (filter.isAsked(session) && (yield* filter.subscribes(session))) yield session
      else yield null
    }
  }

  *#walkSubscriptions(
    filter: SessionFilter,
    pattern: Pattern | null,
    topic: string | undefined,
  ): Walk<FoundSubscription> {
    for (const session of this.#walkSessions(filter)) {
      if (session === null) {
        yield null
        continue
      }
      for (const entry of session.subscriptions.values()) {
        const { topicFilter } = entry
        const isMatch = topic === undefined || topicMatches(parseShare(topicFilter)?.topicFilter ?? topicFilter, topic)
        yield isMatch && isAsked(pattern, topicFilter) ? { session, entry } : null
      }
    }
  }

  *#walkRetained(topicFilter: string | undefined): Walk<Message> {
    const { retained } = this.#core
    if (topicFilter === undefined) {
      yield* retained.values()
      return
    }
    const walk = retained.walk(topicFilter)
    while (walk !== null && !walk.isDone) yield walk.next(1, this.#nowMs())
  }

  #clientView(session: Session): ClientView | null {
    const { connection } = session
    if (!(connection instanceof Connection)) return null
    return clientView(connection, session, this.#meter.ratesOf(connection, this.#nowMs()))
  }

  #sessionOf(clientId: string): Session | undefined {
    check('clientId', clientId, text)
    return this.#core.sessions.get(clientId)
  }

  #isThere(session: Session): boolean {
    return this.#core.sessions.get(session.clientId) === session
  }

  #nowMs(): number {
    const { turn } = this.#core
    turn.begin()
    return turn.nowMs
  }
}
