/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The broker as a Node developer sees it: joins the deterministic core with sockets, the clock and the embedder's
 * hooks.
 *
 *     const broker = createBroker({ authenticate: ({ connect }) => connect.username === 'ada' })
 *     const { port } = await broker.listen({ port: 1883 })
 *     await broker.publish({ topic: 'hello', payload: 'world', retain: true })
 *     await broker.close()
 *
 * There is no global state: a process may have several.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  callback,
  check,
  checkOptions,
  isTopicFilter,
  MqttError,
  NO_PROPERTIES,
  OptionError,
  parseShare,
  parseTopicName,
  ReasonCode,
  type Rule,
  text,
  toBytes,
  whole,
} from '@recado/protocol'
import { SystemClock } from './adapters/clock.ts'
import { allocateUnset, SystemProcessMemory } from './adapters/process-memory.ts'
import { SystemRandom } from './adapters/random.ts'
import {
  type AttachOptions,
  type BrokerChanges,
  type BrokerOptions,
  type ClientSubscription,
  type CloseOptions,
  DEFAULT_OPTIONS,
  type ListenerHandle,
  type ListenOptions,
  type LocalSubscription,
  type PublishOptions,
  type SubscribeOptions,
  type UpgradeOptions,
} from './broker-options.ts'
import { clientInfoOf } from './core/base/client-info.ts'
import { isDelayed, parseDelayed } from './core/base/delay-topics.ts'
import { type Limits, resolveLimits } from './core/base/limits.ts'
import { Message, Taking } from './core/base/message.ts'
import { MessageCountdown } from './core/base/message-countdown.ts'
import type { MetricValues } from './core/base/metric-table.ts'
import type { CoreOptions } from './core/base/options.ts'
import { copyOf } from './core/base/payload-blocks.ts'
import { type ConnectionSettings, type ListenerSettings, resolveSettings } from './core/connection/listener-settings.ts'
import { Core } from './core/core.ts'
import { forwardOf } from './core/journal/forward.ts'
import { PendingCallback } from './core/journal/pending-ack.ts'
import { SubscriptionEntry } from './core/routing/subscriber.ts'
import { type DurableHandler, DurableSubscriber, type DurableSubscription } from './durable-subscription.ts'
import { attachSocket, attachUpgrade, type ForeignOptions } from './foreign-sockets.ts'
import {
  authenticatorOf,
  authorizerOf,
  type ControlHook,
  controllerOf,
  enhancedAuthenticatorOf,
  guardedWatch,
  says,
  transformerOf,
} from './hooks.ts'
import { Inspector } from './inspect/inspector.ts'
import { RecentErrors } from './inspect/recent-errors.ts'
import { ListenerPipeline } from './listener-pipeline.ts'
import { LocalSubscriber, type MessageHandler } from './local-subscription.ts'
import { Observers } from './observers.ts'
import {
  attachRules,
  brokerRules,
  changeRules,
  closeRules,
  listenRules,
  observer as observerRule,
  publishRules,
  settingsRules,
  subscribeRules,
  tls as tlsRule,
  updateRules,
  upgradeRules,
  watch as watchRule,
} from './option-rules.ts'
import type { ClientInfo, MessageWatch, Observer, Store, Transport, TransportHandler, Watching } from './ports.ts'
import { type Relay, type RelayOptions, RelaySession } from './relay.ts'

/** Rule for the name of a durable subscription. */
const subscriptionName: Rule = {
  must: 'a string of 1 to 200 characters without U+0000',
  holds: (value) => typeof value === 'string' && value !== '' && value.length <= 200 && !value.includes('\0'),
}

const controlTopic: Rule = {
  must: 'a Topic Name below $CONTROL/, or $CONTROL/#',
  holds: (value) => typeof value === 'string' && /^\$CONTROL\/(?:[^+#]+|#)$/.test(value),
}

/** Number of subscriptions that are yielded before other work gets its turn. */
const SUBSCRIPTIONS_A_TURN = 1_000

/** Settings that open connections read, and that are changed in place. */
type OpenSettings = { -readonly [name in keyof ConnectionSettings]: ConnectionSettings[name] }

interface OpenListener {
  given: ListenerSettings
  /** Whether it speaks another protocol than MQTT: it answers until all clients have gone. */
  readonly isForeign: boolean
  readonly settings: OpenSettings
}

/** An MQTT 5.0, 3.1.1 and 3.1 broker. `createBroker` makes one; a process may have several. */
export class Broker {
  readonly #core: Core
  readonly #listeners: Map<ListenerPipeline, OpenListener> = new Map()
  readonly #errors: RecentErrors = new RecentErrors(() => this.#core.turn.nowMs)
  readonly #observers: Observers = new Observers((observer) => this.#core.observe(observer), this.#errors.observer)
  readonly #hookFailed = (hook: string, error: unknown): void =>
    this.#observers.merged?.['hook.failed']?.({ hook, error })
  readonly #store: Store | null
  /** Latest durable subscription of the program for each name, open or closed. */
  readonly #durables: Map<string, DurableSubscriber> = new Map()
  #closing: Promise<void> | null = null
  /** Looks at clients, sessions, subscriptions and messages, and changes nothing. */
  readonly inspect: Inspector
  /** Retained messages of this program, for subscriptions with `noLocal`. */
  readonly #ownRetained: WeakSet<Message> = new WeakSet()

  /**
   * @throws MqttError ERR_MQTT_OPTION for an option that does not exist or is of another type, ERR_MQTT_LIMIT for a
   * limit that is out of bounds.
   */
  constructor(options: BrokerOptions = {}) {
    checkOptions(options, brokerRules)
    const failed = this.#hookFailed
    this.#observers.own = options.observer ?? null
    this.#store = options.store ?? null
    const coreOptions = { ...DEFAULT_OPTIONS }
    for (const name of Object.keys(DEFAULT_OPTIONS) as (keyof CoreOptions)[]) {
      if (options[name] !== undefined) Object.assign(coreOptions, { [name]: options[name] })
    }
    const { authenticate, authorize, enhancedAuthentication, transform } = options
    // Without logins user names mean nothing.
    const hasLogins = authenticate !== undefined || enhancedAuthentication !== undefined
    if (options.sessionOwner === undefined && hasLogins) Object.assign(coreOptions, { sessionOwner: 'refuse' })
    this.#core = new Core(resolveLimits(options.limits), coreOptions, {
      clock: options.clock ?? new SystemClock(),
      random: options.random ?? new SystemRandom(),
      authenticator: authenticate === undefined ? null : authenticatorOf(authenticate, failed),
      enhancedAuthenticator:
        enhancedAuthentication === undefined ? null : enhancedAuthenticatorOf(enhancedAuthentication, failed),
      authorizer: authorize === undefined ? null : authorizerOf(authorize, failed),
      transformer: transform === undefined ? null : transformerOf(transform, failed),
      observer: this.#observers.merged,
      store: this.#store,
      processMemory: new SystemProcessMemory(),
      allocate: allocateUnset,
    })
    this.inspect = new Inspector(this.#core, this.#errors)
  }

  /**
   * Time at which the current turn began, or the last one: milliseconds since the epoch. The broker reads its clock once
   * for all that an iteration of the event loop brings; in an observer this costs nothing.
   */
  get turnMs(): number {
    return this.#core.turn.nowMs
  }

  /** Limits in force. */
  get limits(): Readonly<Limits> {
    return this.#core.limits
  }

  /**
   * Listens on a TCP port (default 127.0.0.1:1883) or a unix socket. A listener may have limits and other settings of
   * its own. Rejects with MqttError ERR_MQTT_OPTION, ERR_MQTT_LISTEN, ERR_MQTT_TLS, ERR_MQTT_LIMIT, ERR_MQTT_CLOSED.
   */
  async listen(options: ListenOptions = {}): Promise<ListenerHandle> {
    this.#mustBeOpen()
    checkOptions(options, listenRules)
    const settings: OpenSettings = { ...resolveSettings(this.#core.limits, this.#core.options, options) }
    const { connectTimeoutMs } = settings.limits
    const listener = await ListenerPipeline.open(options, {
      connectTimeoutMs,
      handshakesMax: settings.limits.pendingConnectionsMax,
      waitMs: (remoteAddress, name) => this.#core.connections.waitMs(remoteAddress, name, settings),
      isFull: (remoteAddress) => this.#core.connections.isAddressFull(remoteAddress),
      count: (remoteAddress, name) => this.#core.connections.countAddress(remoteAddress, name),
      uncount: (remoteAddress) => this.#core.connections.uncountAddress(remoteAddress),
      accept: (transport, ageMs) => this.#attach(transport, settings, ageMs),
      failed: (remoteAddress, name, why) => this.#core.connections.failedToConnect(remoteAddress, name, why),
      hookFailed: this.#hookFailed,
    })
    if (this.#closing !== null) {
      await listener.close()
      this.#mustBeOpen()
    }
    this.#listeners.set(listener, { given: options, settings, isForeign: options.protocol !== undefined })
    const { name, address, transport } = listener
    this.#observers.merged?.['listener.started']?.({ listener: name, address, transport })
    return {
      name: listener.name,
      address: listener.address,
      port: listener.port,
      updateTls: (tls) => {
        check('options', tls, tlsRule)
        listener.updateTls(tls)
      },
      update: (changed) => this.#updateListener(listener, changed),
      close: async () => {
        if (!this.#listeners.delete(listener)) return
        await listener.close()
        this.#observers.merged?.['listener.stopped']?.({ listener: listener.name })
      },
    }
  }

  /** Serves a connection that another program has accepted. Returns `null` when it is refused: destroy it then. */
  attach(transport: Transport, settings: ListenerSettings = {}): TransportHandler | null {
    checkOptions(settings, settingsRules)
    return this.#attach(transport, resolveSettings(this.#core.limits, this.#core.options, settings), null)
  }

  /**
   * Serves a socket that a server of this program has accepted: of `node:net` or `node:tls`, or any other Duplex of
   * bytes. It belongs to the broker from then on. Returns false when it was refused and destroyed, or had been destroyed.
   * @throws MqttError ERR_MQTT_OPTION (also for a socket that has been attached before), ERR_MQTT_LIMIT
   */
  attachSocket(socket: Duplex, options: AttachOptions = {}): boolean {
    checkOptions(options, attachRules)
    return attachSocket(socket, this.#foreign(options))
  }

  /**
   * Serves MQTT over WebSocket on an HTTP server of this program: takes what its event `upgrade` hands over. A request that is none for MQTT gets an HTTP answer
   * that says why.
   *
   *     server.on('upgrade', (request, socket, head) => broker.attachUpgrade(request, socket, head, { webSocket: { path: '/mqtt' } }))
   *
   * @throws MqttError ERR_MQTT_OPTION, ERR_MQTT_LIMIT, ERR_MQTT_LISTEN (what is no address of a proxy).
   */
  attachUpgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array, options: UpgradeOptions = {}): void {
    checkOptions(options, upgradeRules)
    attachUpgrade(request, socket, head, options.webSocket ?? {}, this.#foreign(options))
  }

  #foreign({ name = 'embedded', ...options }: UpgradeOptions): ForeignOptions {
    const settings = resolveSettings(this.#core.limits, this.#core.options, options)
    return {
      name,
      attach: (transport) => this.#attach(transport, settings, null),
      failed: (remoteAddress, why) => this.#core.connections.failedToConnect(remoteAddress, name, why),
    }
  }

  #attach(transport: Transport, settings: ConnectionSettings, ageMs: number | null): TransportHandler | null {
    if (this.#closing !== null) return null
    return this.#core.connect(transport, settings, ageMs)
  }

  /**
   * Publishes as the broker itself. Resolves, at QoS 1 and 2 when the message is safe, with the Reason Code that a
   * client would get: 0, 0x10 without a matching subscriber, or the reason of a refusal. Rejects with MqttError
   * ERR_MQTT_OPTION (also for a message over MQTT's largest packet), ERR_MQTT_TOPIC_NAME, ERR_MQTT_ENCODE (properties),
   * ERR_MQTT_CLOSED.
   */
  async publish(options: PublishOptions): Promise<{ reasonCode: ReasonCode }> {
    this.#mustBeOpen()
    checkOptions(options, publishRules)
    check('topic', options.topic, text)
    const { payload } = options
    const bytes = toBytes(payload)
    const core = this.#core
    core.turn.begin()
    const message = Message.of(
      {
        topic: parseTopicName(options.topic),
        payload: typeof payload === 'string' ? bytes : copyOf(bytes),
        qos: options.qos ?? 0,
        retain: options.retain ?? false,
        properties: options.properties ?? NO_PROPERTIES,
      },
      this,
      core.turn.nowMs,
    )
    if (message.hasDisallowedCodePoint && !core.options.allowControlCharacters) {
      throw new MqttError(
        'ERR_MQTT_TOPIC_NAME',
        `the topic ${JSON.stringify(options.topic)} or a property has a control character or a non-character, which some clients treat as malformed: remove it, or set allowControlCharacters`,
      )
    }
    // Properties that cannot be encoded are the caller's fault; find out before any subscriber has the message.
    message.keep()
    if (!message.isEncodable(core.turn.nowMs)) {
      throw new OptionError(
        `the payload of ${message.payloadLength} bytes, with topic and properties, exceeds the largest packet of MQTT (268,435,460 bytes): publish it in parts`,
      )
    }
    if (core.options.delayedPublish && isDelayed(message.topic)) return this.#publishLater(message)
    this.#observers.merged?.['message.published']?.({ client: null, message })
    if (core.context.watching?.next(null, message)) message.isWatched = true
    if (message.retain) this.#ownRetained.add(message)
    const taking = options.isNews === true ? Taking.News : message.qos > 0 ? Taking.Told : Taking.Untold
    const { reasonCode, isRetained } = core.intake.accept(message, taking)
    return new Promise((resolve) => {
      const pending = new PendingCallback(() => resolve({ reasonCode }))
      // News is nothing that a disk has to be waited for, let alone be woken up.
      if (message.qos > 0 && taking !== Taking.News) {
        core.journal?.owe(message, pending, isRetained)
        forwardOf(message)?.owe(pending)
      }
      if (pending.waits === 0) resolve({ reasonCode })
    })
  }

  /** Keeps a message to `$delayed/SECONDS/topic` until it is due; resolves when it is safe. */
  #publishLater(message: Message): Promise<{ reasonCode: ReasonCode }> {
    const { delayed, journal, turn } = this.#core
    const parsed = parseDelayed(message.topic)
    if (parsed === null) {
      throw new MqttError(
        'ERR_MQTT_TOPIC_NAME',
        `"${message.topic}" is not $delayed/SECONDS/topic, with a whole number of seconds and a Topic Name`,
      )
    }
    const { topic, seconds } = parsed
    const { payload, qos, retain, properties } = message
    // Its expiry begins when it is due.
    const leftMs = message.expiresAtMs - turn.nowMs
    const later = Message.expiring({ topic, payload, qos, retain, properties }, null, delayed.dueAtMs(seconds) + leftMs)
    return new Promise((resolve) => {
      let reasonCode: ReasonCode = ReasonCode.Success
      const pending = new PendingCallback(() => resolve({ reasonCode }))
      reasonCode = delayed.add(later, null, seconds, journal === null || qos === 0 ? null : pending)
      if (pending.waits === 0) resolve({ reasonCode })
    })
  }

  /** Removes a message that waits for its time (`inspect.delayed`). Returns false when there is none with this number. */
  cancelDelayed(number: number): boolean {
    this.#mustBeOpen()
    check('number', number, whole(0, Number.MAX_SAFE_INTEGER))
    this.#core.turn.begin()
    return this.#core.delayed.cancel(number)
  }

  /**
   * Subscribes in this process, `$share/name/filter` too. The handler is called in the turn in which the message is
   * published; its errors are reported as `hook.failed`. @throws MqttError ERR_MQTT_OPTION, ERR_MQTT_TOPIC_FILTER,
   * ERR_MQTT_CLOSED.
   */
  subscribe(topicFilter: string, handler: MessageHandler, options: SubscribeOptions = {}): LocalSubscription {
    this.#mustBeOpen()
    check('topicFilter', topicFilter, text)
    check('the handler', handler, callback)
    checkOptions(options, subscribeRules)
    if (!isTopicFilter(topicFilter)) {
      throw new MqttError('ERR_MQTT_TOPIC_FILTER', `"${topicFilter}" is not a Topic Filter`)
    }
    const core = this.#core
    core.turn.begin()
    const noLocal = options.noLocal ?? false
    const subscriber = new LocalSubscriber(
      (message): unknown => (!noLocal || message.publisher !== this ? handler(message) : undefined),
      (error) => this.#observers.merged?.['hook.failed']?.({ hook: `subscription to ${topicFilter}`, error }),
    )
    const entry = new SubscriptionEntry(subscriber, {
      topicFilter,
      qos: options.qos ?? 2,
      noLocal: false,
      retainAsPublished: true,
      subscriptionIdentifier: 0,
    })
    core.router.subscribe(entry)
    if (parseShare(topicFilter) === null && options.retained !== false) {
      for (const message of core.retained.match(topicFilter, core.turn.nowMs)) {
        if (!noLocal || !this.#ownRetained.has(message)) subscriber.deliver(message)
      }
    }
    return { topicFilter, unsubscribe: () => core.router.unsubscribe(entry) }
  }

  /**
   * Subscribes in this process so that messages wait while it is not there: in the store, also over a crash. `name` tells one durable
   * subscription from another; subscribing again under it goes on with what waits, and ends the one that is open. The handler
   * gets one message at a time, at least once, at QoS 1. Resolves when the subscription is safe.
   * Rejects with MqttError ERR_MQTT_OPTION, ERR_MQTT_TOPIC_FILTER, ERR_MQTT_CLOSED.
   */
  async subscribeDurably(name: string, topicFilter: string, handler: DurableHandler): Promise<DurableSubscription> {
    this.#mustBeOpen()
    check('name', name, subscriptionName)
    check('topicFilter', topicFilter, text)
    check('the handler', handler, callback)
    if (!isTopicFilter(topicFilter)) {
      throw new MqttError('ERR_MQTT_TOPIC_FILTER', `"${topicFilter}" is not a Topic Filter`)
    }
    const failed = (error: unknown): void => this.#hookFailed(`durable subscription ${name}`, error)
    await this.#durables.get(name)?.close()
    this.#mustBeOpen()
    const subscriber = new DurableSubscriber(this.#core, name, topicFilter, handler, failed, this.#durables)
    this.#durables.set(name, subscriber)
    await subscriber.open()
    return subscriber
  }

  /**
   * Makes the session of a bridge at this broker. No client can have its Client Identifier until `Relay.close`.
   * @throws MqttError ERR_MQTT_OPTION when it has one already, ERR_MQTT_CLOSED
   */
  relay(options: RelayOptions): Relay {
    this.#mustBeOpen()
    const { sessions } = this.#core
    if (sessions.ofProgram.has(options.clientId)) {
      throw new OptionError(`another bridge has the Client Identifier ${options.clientId}: give each one of its own`)
    }
    const relay = new RelaySession(this.#core, options)
    relay.open()
    return relay
  }

  /** Sessions of relays of an earlier process that have not been opened in this one: messages go on waiting in them. */
  abandonedRelays(): { clientId: string; queuedMessages: number }[] {
    const { sessions } = this.#core
    return [...sessions.values()]
      .filter(({ clientId, note }) => note !== null && !sessions.ofProgram.has(clientId))
      .map(({ clientId, queue }) => ({ clientId, queuedMessages: queue.length }))
  }

  /**
   * Yields the subscriptions of all clients, connected or not, in no particular order. One that is made or ended
   * meanwhile may be missing or included. Other work goes on in between.
   */
  async *subscriptions(): AsyncGenerator<ClientSubscription> {
    let untilPause = SUBSCRIPTIONS_A_TURN
    for (const session of this.#core.sessions.values()) {
      for (const { topicFilter, qos } of session.subscriptions.values()) {
        yield { clientId: session.clientId, topicFilter, qos }
        if (--untilPause > 0) continue
        untilPause = SUBSCRIPTIONS_A_TURN
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
  }

  /** Removes a client's session and ends its connection (0x98). Returns false when there is none. */
  removeSession(clientId: string): boolean {
    check('clientId', clientId, text)
    return this.#core.removeSession(clientId)
  }

  /**
   * Drops the messages that wait for a client (`drained`), those of Shared Subscriptions too; what is in flight goes on.
   * Returns their number; null when there is no such session.
   */
  drainQueue(clientId: string): number | null {
    check('clientId', clientId, text)
    return this.#core.drain(clientId)
  }

  /**
   * Handles commands: messages that clients publish to `topic`, which is below `$CONTROL/`. The handler alone gets
   * them, when the authorizer allows it, and the client gets PUBACK or PUBREC when the handler is done. Without a
   * handler no client may publish there. The handler of `$CONTROL/#` gets what no other one takes. Errors of the handler are reported as `hook.failed`. @throws MqttError
   * ERR_MQTT_OPTION for another topic, or one that has a handler.
   */
  control(topic: string, handler: ControlHook): { close(): void } {
    this.#mustBeOpen()
    check('topic', topic, controlTopic)
    check('the handler', handler, callback)
    const { controllers } = this.#core
    if (controllers.has(topic)) throw new OptionError(`${topic} has a handler already: remove that one first`)
    const controller = controllerOf(handler, topic, this.#hookFailed)
    controllers.set(topic, controller)
    return {
      close: () => {
        if (controllers.get(topic) === controller) controllers.delete(topic)
      },
    }
  }

  /** Connected clients, in no particular order. */
  clients(): ClientInfo[] {
    return [...this.#core.connections].filter(({ isActive }) => isActive).map(clientInfoOf)
  }

  /**
   * Ends the connections of the clients for which `isMeant` returns true, with 0x98; their sessions stay. Returns their
   * number. Where `isMeant` throws, or answers something else than true or false, such as a promise, the client stays,
   * and `hook.failed` is reported.
   */
  disconnect(isMeant: (client: ClientInfo) => boolean): number {
    check('isMeant', isMeant, callback)
    const isChosen = (client: ClientInfo): boolean => says('disconnect', this.#hookFailed, () => isMeant(client))
    return this.#core.disconnect(isChosen, 'ended by an administrator')
  }

  /**
   * Applies a change of logins or rights, such as a file that was read again: clients that would not be let in any more
   * are disconnected with 0x98, and all answers about deliveries are asked for again.
   */
  recheck(): void {
    this.#core.recheck()
  }

  /**
   * Changes limits, rights and hooks at run time, for instance after a configuration was read again, and checks for
   * every connected client whether it would be let in now (`recheck`). Values that a client was told in CONNACK hold
   * until it connects again. @throws MqttError ERR_MQTT_OPTION, and ERR_MQTT_LIMIT for a limit of the broker or of a
   * listener that is out of bounds; then nothing has changed.
   */
  reconfigure(changes: BrokerChanges): void {
    checkOptions(changes, changeRules)
    const { limits, authenticate, enhancedAuthentication, authorize, transform, observer, ...options } = changes
    const core = this.#core
    const nextLimits = limits === undefined ? { ...core.limits } : resolveLimits(limits)
    const nextOptions = { ...core.options, ...given(options) }
    const resolved = [...this.#listeners.values()].map((listener) => ({
      listener,
      next: resolveSettings(nextLimits, nextOptions, listener.given),
    }))
    if (observer !== undefined) this.#observers.own = observer
    const failed = this.#hookFailed
    core.reconfigure({
      limits: nextLimits,
      options: nextOptions,
      ...given({
        authenticator: authenticate && authenticatorOf(authenticate, failed),
        enhancedAuthenticator: enhancedAuthentication && enhancedAuthenticatorOf(enhancedAuthentication, failed),
        authorizer: authorize && authorizerOf(authorize, failed),
        transformer: transform && transformerOf(transform, failed),
      }),
      observer: this.#observers.merged,
    })
    for (const { listener, next } of resolved) this.#apply(listener, next)
  }

  #updateListener(pipeline: ListenerPipeline, changed: Parameters<ListenerHandle['update']>[0]): void {
    checkOptions(changed, updateRules)
    const { connectionsMax, ...settings } = changed
    const listener = this.#listeners.get(pipeline)
    if (listener === undefined) return
    const { mountPoint } = listener.settings
    const wanted = { ...settings, mountPoint }
    const next = resolveSettings(this.#core.limits, this.#core.options, wanted)
    listener.given = wanted
    pipeline.connectionsMax = connectionsMax ?? Number.POSITIVE_INFINITY
    this.#apply(listener, next)
  }

  /** Open connections read the limits of their listener: change those in place, unless they are the broker's own. */
  #apply({ settings }: OpenListener, next: ConnectionSettings): void {
    const { limits } = settings
    Object.assign(settings, next)
    if (limits === this.#core.limits || next.limits === this.#core.limits) return
    settings.limits = Object.assign(limits, next.limits)
  }

  /**
   * Adds an observer, which is called after those that are there. Returns the function that removes it. Events without
   * an observer cost nothing; errors of an observer are reported as `hook.failed`. @throws MqttError ERR_MQTT_OPTION
   * for a name that is no event.
   */
  observe(observer: Observer): () => void {
    check('the observer', observer, observerRule)
    return this.#observers.add(observer)
  }

  /**
   * Follows messages on their way, for latencies and spans; one at a time. Without it the broker does nothing for it,
   * and a message that `Watching.every` leaves out costs a countdown. Errors are reported as `hook.failed`.
   * @throws MqttError ERR_MQTT_OPTION
   */
  watch(watch: MessageWatch): Watching {
    check('the watch', watch, watchRule)
    const core = this.#core
    if (core.context.watching !== null) throw new OptionError('messages are followed already: end that first')
    const watching = new MessageCountdown(guardedWatch(watch, this.#hookFailed))
    core.watch(watching)
    return watching.handle(() => {
      if (core.context.watching === watching) core.watch(null)
    })
  }

  /**
   * Returns values of all counters and gauges, by the names of `metricTable`; cheap, however many clients there are.
   */
  metrics(): MetricValues {
    return this.#core.snapshot()
  }

  /**
   * Stops listening, publishes the Wills that are due, tells MQTT 5.0 clients why, sends the remaining packets and
   * closes. A second call waits for the first. Rejects with MqttError ERR_MQTT_OPTION, and then nothing has changed.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions(options, closeRules)
    this.#closing ??= this.#close(options)
    await this.#closing
  }

  async #close({
    reasonCode = ReasonCode.ServerShuttingDown,
    serverReference,
    timeoutMs = 5_000,
    graceMs = 200,
  }: CloseOptions): Promise<void> {
    await this.#closeListeners(false)
    const core = this.#core
    if (core.connections.size > 0) {
      const isEmpty = new Promise<void>((resolve) => {
        core.connections.onEmpty = resolve
      })
      const timeout = setTimeout(() => {
        for (const connection of core.connections) connection.transport.destroy()
      }, timeoutMs)
      const endMs = performance.now() + graceMs
      const lingering = setInterval(
        () => {
          if (performance.now() < endMs) return
          for (const connection of core.connections) if (connection.hasSaidAll) connection.transport.destroy()
        },
        Math.max(1, Math.min(50, graceMs)),
      )
      core.shutDown(reasonCode, 'the server is shutting down', serverReference)
      await isEmpty
      clearTimeout(timeout)
      clearInterval(lingering)
    }
    // Whoever watches the broker sees it stop.
    await this.#closeListeners(true)
    await this.#closeDurables(timeoutMs)
    await new Promise<void>((resolve) => core.finish(resolve))
    core.stop()
    await this.#store?.close()
  }

  async #closeListeners(isForeign: boolean): Promise<void> {
    for (const [listener, open] of this.#listeners) {
      if (open.isForeign !== isForeign) continue
      this.#listeners.delete(listener)
      await listener.close()
      this.#observers.merged?.['listener.stopped']?.({ listener: listener.name })
    }
  }

  /** Waits for handlers that are at work, but no longer than `timeoutMs`: their messages come again. */
  async #closeDurables(timeoutMs: number): Promise<void> {
    const all = [...this.#durables.values()]
    if (all.length === 0) return
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs)
    })
    await Promise.race([Promise.all(all.map((durable) => durable.close())), timeout])
    clearTimeout(timer)
    this.#core.context.turn.begin()
    for (const durable of all) durable.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw new MqttError('ERR_MQTT_CLOSED', 'the broker is closed: make another one')
  }
}

/** Returns the options without those that are undefined. */
const given = <T extends object>(options: T): Given<T> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>
type Given<T> = { [name in keyof T]?: Exclude<T[name], undefined> }

/**
 * Makes a broker. @throws MqttError ERR_MQTT_OPTION for an option that does not exist or is of another type,
 * ERR_MQTT_LIMIT for a limit that is out of bounds.
 */
export function createBroker(options: BrokerOptions = {}): Broker {
  return new Broker(options)
}
