/**
 * The options of a broker, of its calls and of its listeners, with their defaults: types alone.
 *
 * `broker.ts` takes them; `option-rules.ts` has the rule that each value is checked against. Invariant: both name the
 * same options, which the compiler checks.
 */
import type { QoS, ReasonCode } from '@recado/protocol'
import type { Limits } from './core/base/limits.ts'
import type { CoreOptions } from './core/base/options.ts'
import type { ListenerSettings } from './core/connection/listener-settings.ts'
import type {
  AuthenticateHook,
  AuthenticationSource,
  AuthorizeHooks,
  EnhancedAuthenticationHook,
  TransformHook,
} from './hooks.ts'
import type { PipelineOptions, TlsOptions, WebSocketOptions } from './listener-pipeline.ts'
import type { Clock, MessageProperties, Observer, Random, Store } from './ports.ts'

/** Options of `createBroker`. */
export interface BrokerOptions extends Partial<CoreOptions> {
  /** Limits; see `limitTable` for names, defaults and units. */
  limits?: Partial<Limits>
  /**
   * Logins: a function, or a source made by `passwordFile`, `jwt`, `webhook` or `firstOf`. Without it every client may
   * connect.
   */
  authenticate?: AuthenticateHook | AuthenticationSource
  /**
   * Authentication by AUTH packets (MQTT 5.0, 4.12). With this option or `authenticate`, the default of `sessionOwner`
   * is `refuse`.
   */
  enhancedAuthentication?: EnhancedAuthenticationHook
  /** Rights to publish and subscribe. Without it everything is allowed except publishing to `$SYS/…`. */
  authorize?: AuthorizeHooks
  /**
   * Changes what clients publish, or leaves it out, before anybody gets it: after `authorize`, which sees the message as it came.
   * Default: messages are passed on as they are.
   */
  transform?: TransformHook
  /** Observer that is told about events. */
  observer?: Observer
  /**
   * Store for sessions, messages and retained messages: `await lmdb({ path })`. Without one they are in memory only.
   * The broker closes it.
   */
  store?: Store
  /** Clock for simulations. Default: the system's. */
  clock?: Clock
  random?: Random
}

/** A message that the embedding program publishes. */
export interface PublishOptions {
  topic: string
  /**
   * Payload. A string is sent as UTF-8. Default: empty, which deletes the retained message of the topic when `retain`
   * is set.
   */
  payload?: string | ArrayBufferView | ArrayBuffer | SharedArrayBuffer
  qos?: QoS
  retain?: boolean
  properties?: MessageProperties
  /**
   * Whether this is news of the broker itself, such as the statistics below `$SYS`: true only for the moment, and gone
   * when the broker ends. As a retained message it is not stored, and neither the limits of retained messages nor a
   * failing store keep it out; a subscriber whose queue is full misses it, and the others get it all the same. Default
   * false.
   */
  isNews?: boolean
}

/** Options of `Broker.subscribe`. */
export interface SubscribeOptions {
  /** Highest QoS of deliveries. Default 2. */
  qos?: QoS
  /** Whether to deliver matching retained messages as well, at once. Default true; never for a Shared Subscription. */
  retained?: boolean
  /** Whether to leave out messages that this program published with `broker.publish`. Default false. */
  noLocal?: boolean
}

/** Options of `Broker.close`. */
export interface CloseOptions {
  /** Reason Code that MQTT 5.0 clients are told. Default 0x8B Server shutting down. */
  reasonCode?: ReasonCode
  /** Server Reference beside 0x9C or 0x9D: the server to connect to instead. */
  serverReference?: string
  /** Time in milliseconds that connections may take to read the remaining packets. Default 5000. */
  timeoutMs?: number
  /** Time in milliseconds for which a client that has been sent everything may keep its side open. Default 200. */
  graceMs?: number
}

/** Subscription of the embedding program. */
export interface LocalSubscription {
  readonly topicFilter: string
  unsubscribe(): void
}

/** Subscription of a client. */
export interface ClientSubscription {
  readonly clientId: string
  /** Topic Filter as the client wrote it, with `$share/name/`. */
  readonly topicFilter: string
  readonly qos: QoS
}

/** Address of a listener, its layers, and the settings of its connections. */
export interface ListenOptions extends PipelineOptions, ListenerSettings {}

/** Options of a connection that a server of the embedding program has accepted. */
export interface AttachOptions extends ListenerSettings {
  /** Name of the listener for hooks, policy and observers. Default: `embedded`. */
  name?: string
}

/** Options of a request that asks for a WebSocket. */
export interface UpgradeOptions extends AttachOptions {
  webSocket?: WebSocketOptions
}

/** A listener of a broker, to be changed and closed. */
export interface ListenerHandle {
  readonly name: string
  readonly address: string
  /** Port; 0 for a unix socket. */
  readonly port: number
  /**
   * Replaces certificates, keys and lists for later connections; open ones stay as they are. @throws MqttError
   * ERR_MQTT_TLS, and then nothing has changed.
   */
  updateTls(options: TlsOptions): void
  /**
   * Replaces all settings that were given before; `connectionsMax` applies to later connections. The mount point stays:
   * sessions have subscriptions below it. @throws MqttError ERR_MQTT_LIMIT, and then nothing has changed.
   */
  update(settings: Omit<ListenerSettings, 'mountPoint'> & { connectionsMax?: number }): void
  /** Takes no more connections; open ones stay. */
  close(): Promise<void>
}

/** Changes for `Broker.reconfigure`; an absent option stays as it is, and null removes it. */
export interface BrokerChanges extends Partial<CoreOptions> {
  /** All limits: those that are absent here get their defaults. */
  limits?: Partial<Limits>
  authenticate?: AuthenticateHook | AuthenticationSource | null
  enhancedAuthentication?: EnhancedAuthenticationHook | null
  authorize?: AuthorizeHooks | null
  transform?: TransformHook | null
  observer?: Observer | null
}

export const DEFAULT_OPTIONS: CoreOptions = {
  answers: 'recado',
  sessionOwner: 'off',
  overflow: 'reject',
  queueQoS0: false,
  upgradeQoS: false,
  allowEmptyClientId: true,
  assignedClientIdPrefix: 'auto-',
  wildcardSubscriptions: true,
  sharedSubscriptions: true,
  subscriptionIdentifiers: true,
  checkRetainSource: true,
  allowControlCharacters: false,
  delayedPublish: false,
  topicRewrites: [],
  autoSubscriptions: [],
  sparkplugAware: false,
}
