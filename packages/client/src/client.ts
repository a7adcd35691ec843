/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The client as applications see it. `connect` and `createClient` (mod.ts) make one. It keeps a connection, which
 * `Dialer` opens, and passes messages to `Publisher`, `Subscriber` and `Inbox`, which hold what outlives a connection.
 *
 * Life: idle -> connecting -> connected -> reconnecting -> connected ... -> closing -> closed. Only `closed` is final,
 * and every promise that the client has returned is settled by then.
 *
 * Invariants: at most one connection, and at most one attempt to get one; after `closed` there is no timer, no listener
 * and no socket; no promise of ours rejects unhandled.
 *
 * Source: MQTT 5.0 sections 3.1.2.4 (Clean Start), 3.2.2.1 (Session Present), 4.1, 4.4, 4.11, 4.12, 4.13.
 */
import {
  type Connack,
  callback,
  check,
  checkIfGiven,
  checkOptions,
  Disconnect,
  MqttError,
  NO_PROPERTIES,
  OptionError,
  type Packet,
  PacketType,
  type Properties,
  ProtocolError,
  packetTypeName,
  ReasonCode,
  type Rule,
  signal as signalRule,
  text,
  toBytes,
} from '@recado/protocol'
import { closable, deferred, quiet, reasonOf, throwIfAborted, whenAborted } from './abort.ts'
import { Application, checkListeners, tracedBy } from './application.ts'
import { Backoff, pause } from './backoff.ts'
import type { Connection, ConnectionHandler } from './connection.ts'
import type { Attempt } from './connector.ts'
import type { Decode, DecodedBy } from './decode.ts'
import { Dialer } from './dialer.ts'
import type { Environment } from './environment.ts'
import {
  ClientClosedError,
  ConnectionLostError,
  DisconnectedError,
  type PayloadError,
  SessionStoreError,
} from './errors.ts'
import { Inbox } from './inbox.ts'
import type { Message, NoParams } from './message.ts'
import { closeRules, sendRules } from './option-rules.ts'
import type {
  CloseOptions,
  Payload,
  PublishOptions,
  RequestOptions,
  ResolvedOptions,
  RespondOptions,
  SendOptions,
  SubscribeOptions,
  UnsubscribeOptions,
} from './options.ts'
import type { PublishResult, UndeliveredMessage } from './outgoing.ts'
import { Publisher } from './publisher.ts'
import { Reauthentication } from './reauthentication.ts'
import { Requester } from './requester.ts'
import { type Responder, respond } from './responder.ts'
import { blameOf, mayRetry } from './retry.ts'
import type { ClientState, Session } from './state.ts'
import { StateWatch } from './state-watch.ts'
import type { SessionStore } from './store/session-store.ts'
import { Subscriber, type SubscriberOwner } from './subscriber.ts'
import type { MessageHandler, Subscription, UnsubscribeResult } from './subscription.ts'
import type { ParamsOf } from './topic-pattern.ts'

const DRAIN_MS = 5_000
const failure: Rule = { must: 'an MqttError', holds: (value) => value instanceof MqttError }

/**
 * Client of one MQTT server, or of several that replace each other. It keeps a connection until it is closed; calls
 * made meanwhile wait for the connection and survive reconnects. Made by `connect` or `createClient`.
 */
export class Client implements AsyncDisposable {
  readonly #environment: Environment
  readonly #options: ResolvedOptions
  readonly #dialer: Dialer
  readonly #backoff: Backoff
  readonly #publisher: Publisher
  readonly #subscriber: Subscriber
  readonly #inbox: Inbox
  readonly #store: SessionStore | null
  #hasStore = false
  readonly #states = new StateWatch<ClientState>({ name: 'idle' }, (call) => this.#application.tell(call))
  readonly #closed = deferred<MqttError | null>()
  readonly #lifetime = new AbortController()
  readonly #reauthentication: Reauthentication
  readonly #requester: Requester
  readonly #application: Application
  #connection: Connection | null = null
  #session: Session | null = null
  #started = false
  #serverSaid: MqttError | null = null
  /** Callback for the moment when the Client Identifier is safe in the store. */
  #onKnown: (() => void) | null = null
  #drained: (() => void) | null = null
  /** Called with messages that match no subscription: those of a session older than this client. */
  onMessage: ((message: Message) => void) | null = null
  /** Called with an error that a handler or listener threw. Without it, the error becomes an uncaught exception. */
  onHandlerError: ((error: unknown) => void) | null = null
  /** Number of messages that matched no subscription and found no `onMessage`. They were acknowledged. */
  unmatchedMessages = 0
  /**
   * Called with messages that were skipped because their payload does not fit `decode` (`onInvalid`), at most once a
   * second; `more` is the number of such messages since the last call.
   */
  onInvalidMessage: ((error: PayloadError, message: Message, more: number) => void) | null = null
  /** Number of all invalid messages, reported or not. */
  invalidMessages = 0
  /**
   * Called with messages that will not be delivered and that no promise stands for: those given to `send`, responses of
   * `respond`, and with `store` those of an earlier client or published with `until: 'stored'`. The store drops them.
   */
  onUndelivered: ((message: UndeliveredMessage, error: MqttError) => void) | null = null
  /** Number of undelivered messages that found no `onUndelivered`. */
  undeliveredMessages = 0
  /** Called when `store` was damaged (…_CORRUPT), or cannot be written (writing is tried again every second). */
  onStoreError: ((error: SessionStoreError) => void) | null = null
  /** Last error of the store; `null` when there was none. */
  storeError: SessionStoreError | null = null

  constructor(environment: Environment, options: ResolvedOptions) {
    this.#environment = environment
    this.#options = options
    this.#dialer = new Dialer(
      environment,
      tracedBy(options, (call) => this.#application.tell(call)),
    )
    this.#backoff = new Backoff(environment, options.reconnectOptions)
    this.#requester = new Requester(this, () => environment.random(), options.topicCharacters)
    checkListeners(this)
    this.#application = new Application(this, () => environment.now())
    this.#reauthentication = new Reauthentication(options.authentication)
    const ids = Publisher.ids()
    this.#store = options.store ?? null
    this.#publisher = new Publisher(options, ids, {
      now: () => environment.now(),
      handleProgress: () => this.#handleProgress(),
      handleUndelivered: (message, error) => this.#application.handleUndelivered(message, error),
    })
    const owner: SubscriberOwner = {
      handleFullness: () => this.#updateReading(),
      handleHandlerError: (error, message) => this.#application.handleHandlerError(error, message),
      handleInvalid: (error, message) => this.#application.handleInvalid(error, message),
      handleUnmatched: (message) => this.#application.handleUnmatched(message),
    }
    this.#subscriber = new Subscriber(owner, ids, options.topicCharacters)
    this.#inbox = new Inbox(options.receiveMaximum, options.topicAliasMaximum, this.#store, (message) => {
      this.#subscriber.dispatch(message)
    })
  }

  // ---- state

  /** State of the client, with the error that it has recovered from or ended with. */
  get state(): ClientState {
    return this.#states.current
  }

  /** Whether there is a connection that the server has accepted. */
  get connected(): boolean {
    return this.#connection !== null
  }

  /** Session of the present connection, or else of the last one; `null` before the first. */
  get session(): Session | null {
    return this.#session
  }

  /** Client Identifier: as given, or as the server has assigned it; '' before the first connection. */
  get clientId(): string {
    return this.#dialer.clientId
  }

  /** Resolves when the client is closed: with `null` after `close()`, else with the reason. Never rejects. */
  get closed(): Promise<MqttError | null> {
    return this.#closed.promise
  }

  /** Messages that wait to be sent, messages in flight, and messages that the application has not acknowledged. */
  get pending(): { queued: number; inflight: number; unacknowledged: number } {
    const { queued, inflight } = this.#publisher
    return { queued, inflight, unacknowledged: this.#inbox.unacknowledged }
  }

  /** Iterates over the present state and each later one, up to `closed`. `signal` ends it with its reason. */
  states(signal?: AbortSignal): AsyncIterableIterator<ClientState> {
    checkIfGiven('signal', signal, signalRule)
    return this.#states.iterate(signal)
  }

  /** Calls `listener` at every change of state, until the returned function is called; errors: `onHandlerError`. */
  onState(listener: (state: ClientState) => void): () => void {
    check('the listener', listener, callback)
    return this.#states.listen(listener)
  }

  // ---- connecting

  /**
   * Opens the connection of a client made by `createClient`. Subscriptions made before are sent with it, so that no
   * message of a kept session comes too early. Rejects, and closes the client, with the error of the last server tried.
   */
  connect(signal?: AbortSignal): Promise<this> {
    return closable(this.#connect(signal), () => this.#isClosedByUs, signal)
  }

  async #connect(signal: AbortSignal | undefined): Promise<this> {
    checkIfGiven('signal', signal, signalRule)
    if (this.#started) throw new OptionError('connect() was called before: a client reconnects by itself')
    this.#started = true
    this.#states.set({ name: 'connecting' })
    const stopWatching = whenAborted(signal, (reason) => this.#lifetime.abort(reason))
    try {
      if (this.#store !== null) await this.#openStore(this.#store)
      await this.#dial(true)
      return this
    } catch (failure) {
      let error = failure
      if (
        !this.#lifetime.signal.aborted &&
        this.#options.retryFirst &&
        mayRetry(error as MqttError, this.#options, this.#dialer.hadSession)
      ) {
        await this.#reconnect(error as MqttError)
        if (this.connected) return this
        const { state } = this
        if (state.name === 'closed') throw state.error ?? new ClientClosedError()
        // The connection was there and is lost already: the next attempt is under way.
        if (!this.#lifetime.signal.aborted) return this
        error = reasonOf(this.#lifetime.signal)
      }
      this.#finish(
        error instanceof MqttError ? error : new ClientClosedError('connect() was given up', { cause: error }),
      )
      throw error
    } finally {
      stopWatching()
    }
  }

  /** Loads the state that the last client with this store has left, before anything else. */
  async #openStore(store: SessionStore): Promise<void> {
    const restored = await store.open(this.#environment, {
      handleSafe: () => this.#publisher.pump(),
      handleStoreError: (error) => this.#handleStoreError(error),
    })
    // The client was closed meanwhile, when the store could not be closed yet.
    if (this.state.name === 'closed') await store.close()
    else this.#hasStore = true
    throwIfAborted(this.#lifetime.signal)
    const { clientId } = this.#options
    if (restored.clientId === null) this.#dialer.needClientId()
    else if (clientId === undefined || clientId === restored.clientId) this.#dialer.clientId = restored.clientId
    else {
      throw new SessionStoreError(
        'ERR_MQTT_SESSION_STORE_MISMATCH',
        `the session store ${store.name} belongs to the Client Identifier ${JSON.stringify(restored.clientId)}, not to ${JSON.stringify(clientId)}. Use that identifier, or another store`,
      )
    }
    this.#dialer.hasStoredSession = restored.clientId !== null
    // The server's session for a given identifier belongs to a lost store: its Packet Identifiers are not ours. The row
    // of the Client Identifier marks that this is over, so it is written only then.
    this.#dialer.mustBeginAnew = restored.clientId === null && clientId !== undefined
    if (restored.clientId === null && clientId === undefined) store.saveClientId(this.clientId)
    this.#publisher.restore(restored.messages)
    this.#inbox.restore(restored.received)
    if (restored.problem !== null) this.#handleStoreError(restored.problem)
  }

  /**
   * Calls back when the Client Identifier of the session is in the store. Otherwise a crash would leave the next
   * process without it, and end the session with its messages. A failing store delays nothing.
   */
  #whenKnown(callback: () => void): void {
    const store = this.#store
    if (store === null || this.#dialer.hasStoredSession || store.failure !== null) {
      callback()
      return
    }
    this.#onKnown = callback
    store.whenSafe(() => {
      this.#dialer.hasStoredSession = true
      this.#tellKnown()
    })
  }

  #tellKnown(): void {
    const callback = this.#onKnown
    this.#onKnown = null
    callback?.()
  }

  #handleStoreError(error: SessionStoreError): void {
    this.storeError = error
    this.#tellKnown()
    const { onStoreError } = this
    if (onStoreError !== null) this.#application.tell(() => onStoreError(error))
  }

  #dial(isFirst: boolean): Promise<void> {
    return this.#dialer.dial(isFirst, this.#lifetime.signal, (connection, connack, attempt) =>
      this.#establish(connection, connack, attempt),
    )
  }

  #establish(connection: Connection, connack: Connack, attempt: Attempt): ConnectionHandler {
    const { properties } = connack
    const sessionPresent = this.#dialer.accepted(connack, attempt)
    this.#session = {
      clientId: this.clientId,
      protocolVersion: attempt.protocolVersion,
      sessionPresent,
      server: attempt.server.href,
      properties,
    }
    this.#connection = connection
    this.#serverSaid = null
    if (this.#dialer.mustBeginAnew) this.#store?.saveClientId(this.clientId)
    this.#dialer.mustBeginAnew = false
    const receiveMaximum = attempt.protocolVersion === 5 ? this.#options.receiveMaximum : 65_535
    const hasForgotten = this.#inbox.attach(connection, sessionPresent, receiveMaximum)
    const subscribe = (): void => {
      if (this.#connection === connection) this.#subscriber.attach(connection, sessionPresent, properties)
    }
    // Without a subscription the server has nothing to send.
    if (hasForgotten) this.#store?.whenSafe(subscribe)
    else this.#whenKnown(subscribe)
    this.#publisher.attach(connection, sessionPresent, properties)
    this.#updateReading()
    this.#backoff.connected()
    this.#states.set({ name: 'connected', session: this.#session })
    return {
      handlePacket: (packet) => this.#handlePacket(packet),
      handleDrain: () => this.#publisher.handleDrain(),
      handleClosed: (error) => this.#handleClosed(connection, error),
    }
  }

  #handlePacket(packet: Packet): void {
    switch (packet.type) {
      case PacketType.PUBLISH:
        this.#inbox.handlePublish(packet)
        break
      case PacketType.PUBACK:
        this.#publisher.handlePuback(packet)
        break
      case PacketType.PUBREC:
        this.#publisher.handlePubrec(packet)
        break
      case PacketType.PUBREL:
        this.#inbox.handlePubrel(packet)
        break
      case PacketType.PUBCOMP:
        this.#publisher.handlePubcomp(packet)
        break
      case PacketType.SUBACK:
        this.#subscriber.handleSuback(packet)
        break
      case PacketType.UNSUBACK:
        this.#subscriber.handleUnsuback(packet)
        break
      case PacketType.DISCONNECT:
        this.#serverSaid = new DisconnectedError(packet.reasonCode, packet.properties)
        this.#connection?.end(null)
        break
      case PacketType.AUTH:
        this.#reauthentication.handleAuth(this.#connection!, packet)
        break
      default:
        throw new ProtocolError(ReasonCode.ProtocolError, `${packetTypeName(packet.type)} was not expected`)
    }
  }

  #handleClosed(connection: Connection, error: MqttError | null): void {
    if (this.#connection !== connection) return
    this.#connection = null
    this.#backoff.disconnected()
    const why = this.#serverSaid ?? error ?? new ConnectionLostError('the connection was closed')
    const blame = this.state.name === 'closing' ? 'none' : blameOf(why)
    const requests = this.#subscriber.unanswered
    const messages = this.#publisher.unanswered
    this.#inbox.detach()
    this.#subscriber.detach(why, blame, messages)
    this.#publisher.detach(why, blame, requests)
    this.#reauthentication.end(why)
    if (this.state.name === 'closing') {
      this.#finish(null)
      return
    }
    this.#goOn(why, requests + messages > 0).catch((failure: unknown) => {
      // Without the answer of `reconnect.retry` there is no telling whether to go on.
      this.#finish(new ClientClosedError('reconnect.retry threw an error', { cause: failure }))
    })
  }

  /** Declared `async`, so that an error of `reconnect.retry` becomes a rejection. */
  async #goOn(why: MqttError, hasSuspect: boolean): Promise<void> {
    if (mayRetry(why, this.#options, true, hasSuspect)) {
      this.#dialer.redirected(why)
      await this.#reconnect(why)
    } else this.#finish(why)
  }

  /** Tries to connect until there is a connection, or the client is closed. */
  async #reconnect(why: MqttError): Promise<void> {
    const { attemptsMax } = this.#options.reconnectOptions
    let error = why
    while (this.#backoff.attempts < attemptsMax) {
      const next = this.#backoff.next()
      this.#states.set({ name: 'reconnecting', error, ...next })
      await pause(this.#environment, next.delayMs, this.#lifetime.signal)
      if (this.#lifetime.signal.aborted) return
      try {
        await this.#dial(false)
        return
      } catch (failure) {
        if (this.#lifetime.signal.aborted) return
        error = failure as MqttError
        if (!mayRetry(error, this.#options, this.#dialer.hadSession)) break
      }
    }
    this.#finish(error)
  }

  // ---- what applications do

  /**
   * Publishes a message. Resolves when its flow has ended (QoS 0 written to the network, QoS 1 PUBACK, QoS 2 PUBCOMP),
   * which survives reconnects. Rejects with `PublishError` (refused by the server), `NotSupportedError`,
   * `QueueFullError`, `MessageExpiredError` (before it was sent), `ClientClosedError`, `OptionError`, `MqttError`
   * ERR_MQTT_TOPIC_NAME, or the reason of `options.signal`.
   */
  publish(topic: string, payload?: Payload, options?: PublishOptions): Promise<PublishResult> {
    if (this.#isClosed) return quiet(Promise.reject(this.#closedError()))
    const published = this.#publisher.publish(topic, payload, options)
    if (this.#paused) this.#updateReading()
    return published
  }

  /**
   * Publishes like `publish`, without a promise to wait for: failures go to `onUndelivered`, or are counted in
   * `undeliveredMessages`. Throws `OptionError` for arguments of the wrong type. Bytes may be changed afterwards.
   */
  send(topic: string, payload?: Payload, options: SendOptions = {}): void {
    checkOptions(options, sendRules)
    check('topic', topic, text)
    const bytes = toBytes(payload)
    void this.#deliver(topic, typeof payload === 'string' ? bytes : bytes.slice(), options)
  }

  /** Delivers a message; never rejects. */
  async #deliver(topic: string, payload: Uint8Array, options: SendOptions): Promise<void> {
    const { qos = 0, retain = false, properties = NO_PROPERTIES } = options
    const isOpen = !this.#isClosed
    try {
      await this.publish(topic, payload, options)
    } catch (error) {
      // The next client with this store will send it.
      const isKept = isOpen && qos > 0 && this.#store !== null && error instanceof ClientClosedError
      if (!isKept) this.#application.handleUndelivered({ topic, payload, qos, retain, properties }, error)
    }
  }

  /**
   * Subscribes to one Topic Filter or several, in which `:name` stands for `+` and `#name` for `#`, each with a name in
   * `message.params`. Without a handler, iterate over the result: `for await (const message of
   * client.subscribe('sensors/:id/#'))`; leaving the loop unsubscribes. `await subscription.ready` is the server's
   * answer. Throws `MqttError` ERR_MQTT_TOPIC_FILTER, `OptionError` and `ClientClosedError` at once.
   */
  subscribe<const Filters extends string | readonly string[], const Of extends Decode>(
    topicFilters: Filters,
    options?: SubscribeOptions<Of>,
  ): Subscription<ParamsOf<Filters>, DecodedBy<Of>>
  subscribe<const Filters extends string | readonly string[]>(
    topicFilters: Filters,
    handler: MessageHandler<ParamsOf<Filters>>,
  ): Subscription<ParamsOf<Filters>>
  subscribe<const Filters extends string | readonly string[], const Of extends Decode>(
    topicFilters: Filters,
    options: SubscribeOptions<Of>,
    handler: MessageHandler<ParamsOf<Filters>, DecodedBy<Of>>,
  ): Subscription<ParamsOf<Filters>, DecodedBy<Of>>
  subscribe(
    topicFilters: string | readonly string[],
    options: SubscribeOptions<Decode> | MessageHandler = {},
    handler: MessageHandler | null = null,
  ): Subscription {
    if (this.#isClosed) throw this.#closedError()
    if (typeof options === 'function' && handler === null) return this.#subscriber.subscribe(topicFilters, {}, options)
    return this.#subscriber.subscribe(topicFilters, options as SubscribeOptions<Decode>, handler)
  }

  /**
   * Sends UNSUBSCRIBE for these Topic Filters (also for those of a session older than this client) and ends the
   * subscriptions that have none left. Rejects with `UnsubscribeError`, `ClientClosedError` or the signal's reason.
   */
  unsubscribe(topicFilters: string | readonly string[], options?: UnsubscribeOptions): Promise<UnsubscribeResult> {
    if (this.#isClosed) return quiet(Promise.reject(this.#closedError()))
    return this.#subscriber.unsubscribe(topicFilters, options)
  }

  /**
   * Publishes a request and resolves with the response: the first message with the request's Correlation Data on its
   * Response Topic. Any number of requests may wait at once; reconnects do not end them. Rejects with
   * `NoResponderError` when the server says that there is no subscriber, `PayloadError`, `SubscribeError`,
   * `NotSupportedError` (before 5.0), `ClientClosedError`, an error of `publish`, or the reason of `options.signal`.
   */
  request<const Of extends Decode>(
    topic: string,
    payload?: Payload,
    options?: RequestOptions<Of>,
  ): Promise<Message<NoParams, DecodedBy<Of>>> {
    return closable(
      this.#requester.request(topic, payload, options === undefined ? {} : options),
      () => this.#isClosed,
      options?.signal,
    ) as Promise<Message<NoParams, DecodedBy<Of>>>
  }

  /**
   * Answers requests to these Topic Filters: the value that `responder` returns is published to the Response Topic of
   * the request. An error that it throws goes to `onHandlerError`, and the request gets no response; a response that
   * cannot be delivered goes to `onUndelivered`. Throws like `subscribe`.
   */
  respond<const Filters extends string | readonly string[]>(
    topicFilters: Filters,
    responder: Responder<ParamsOf<Filters>>,
  ): Subscription<ParamsOf<Filters>>
  respond<const Filters extends string | readonly string[], const Of extends Decode>(
    topicFilters: Filters,
    options: RespondOptions<Of>,
    responder: Responder<ParamsOf<Filters>, DecodedBy<Of>>,
  ): Subscription<ParamsOf<Filters>, DecodedBy<Of>>
  respond(
    topicFilters: string | readonly string[],
    options: RespondOptions<Decode> | Responder,
    responder?: Responder,
  ): Subscription {
    const onError = (error: unknown): void => this.#application.handleHandlerError(error)
    const deliver = (topic: string, payload: Uint8Array, given: SendOptions): Promise<void> =>
      this.#deliver(topic, payload, given)
    if (responder === undefined) return respond(this, deliver, onError, topicFilters, {}, options as Responder)
    return respond(this, deliver, onError, topicFilters, options as RespondOptions<Decode>, responder)
  }

  /** Authenticates again on the open connection (5.0 section 4.12.1). Needs the option `authentication`. */
  reauthenticate(signal?: AbortSignal): Promise<void> {
    return quiet(this.#reauthenticate(signal))
  }

  async #reauthenticate(signal: AbortSignal | undefined): Promise<void> {
    checkIfGiven('signal', signal, signalRule)
    await this.#reauthentication.start(this.#connection, signal)
  }

  /** Checks at once whether the connection is still alive; for browsers and machines that slept. */
  checkKeepAlive(): void {
    this.#connection?.checkKeepAlive()
  }

  /**
   * Waits for messages on their way, sends DISCONNECT and closes. Calls that are unfinished by then reject with
   * `ClientClosedError`. Never rejects; a second call does nothing more.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions(options, closeRules)
    if (this.#isClosed) {
      await this.#closed.promise
      return
    }
    const connection = this.#connection
    this.#states.set({ name: 'closing' })
    if (connection === null) {
      this.#lifetime.abort(new ClientClosedError())
      this.#finish(null)
      await this.#closed.promise
      return
    }
    await this.#drain(options)
    if (this.#connection !== connection) return
    connection.end(new Disconnect(options.reasonCode ?? 0, this.#disconnectProperties(connection, options)))
    await this.#closed.promise
  }

  /** Drops the connection without DISCONNECT, so that the server publishes the Will. Waits for nothing. */
  destroy(error?: MqttError): void {
    checkIfGiven('error', error, failure)
    if (this.state.name === 'closed') return
    const connection = this.#connection
    this.#connection = null
    this.#lifetime.abort(error ?? new ClientClosedError())
    this.#finish(error ?? null)
    connection?.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // ---- the end

  /** True also while the client is closing. */
  get #isClosed(): boolean {
    return this.state.name === 'closing' || this.state.name === 'closed'
  }

  get #isClosedByUs(): boolean {
    return this.state.name === 'closing' || (this.state.name === 'closed' && this.state.error === null)
  }

  async #drain(options: CloseOptions): Promise<void> {
    const drainMs = options.drainMs ?? DRAIN_MS
    if (drainMs <= 0 || this.#publisher.idle || options.signal?.aborted) return
    const { promise, resolve } = deferred<void>()
    this.#drained = resolve
    const timer = this.#environment.setTimer(resolve, drainMs)
    const stop = whenAborted(options.signal, () => resolve())
    await promise
    stop()
    this.#environment.clearTimer(timer)
    this.#drained = null
  }

  #handleProgress(): void {
    if (this.#publisher?.idle) this.#drained?.()
    if (this.#subscriber !== undefined) this.#updateReading()
  }

  #disconnectProperties(connection: Connection, options: CloseOptions): Properties {
    if (options.properties !== undefined) return options.properties
    // The session was kept for reconnects only. 3.14.2.2.2: not from zero to something else
    const isOurs =
      this.#store === null &&
      this.#options.sessionExpiryIntervalSeconds === undefined &&
      this.#dialer.defaultSessionExpirySeconds > 0
    return connection.protocolVersion === 5 && isOurs ? { sessionExpiryIntervalSeconds: 0 } : NO_PROPERTIES
  }

  #closedError(): ClientClosedError {
    const { state } = this
    const cause = state.name === 'closed' ? state.error : null
    return cause === null
      ? new ClientClosedError()
      : new ClientClosedError(`the client is closed: ${cause.message}`, { cause })
  }

  #finish(error: MqttError | null): void {
    if (this.state.name === 'closed') return
    this.#backoff.disconnected()
    this.#states.set({ name: 'closed', error })
    const pendingError = this.#closedError()
    this.#publisher.close(pendingError)
    this.#reauthentication.end(pendingError)
    this.#subscriber.close(error, pendingError)
    this.#drained?.()
    this.#states.end()
    // `closed` also means that the next client may open the store.
    if (this.#store === null || !this.#hasStore) this.#closed.resolve(error)
    else {
      this.#store.close().then(() => {
        this.#inbox.leaveStore()
        this.#closed.resolve(error)
      })
    }
  }

  // ---- reading and its speed

  #paused = false

  /**
   * Stops reading while a subscription is full, but not while the application waits for an answer of the server: the
   * loop that reads the subscription may be the one that waits.
   */
  #updateReading(): void {
    const connection = this.#connection
    if (connection === null) {
      this.#paused = false
      return
    }
    const waits = this.#publisher.inflight > 0 || this.#subscriber.pendingRequests > 0 || this.state.name === 'closing'
    const paused = this.#subscriber.anyFull && !waits
    if (paused === this.#paused) return
    this.#paused = paused
    if (paused) connection.pause()
    else connection.resume()
  }
}
