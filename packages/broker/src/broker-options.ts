/**
 * The options of a broker, of what it is asked to do and of its listeners, with their defaults: types alone.
 *
 * `broker.ts` takes them; `option-rules.ts` has the rule that each value is checked against, so the invariant is that both name the same
 * options, which the compiler checks.
 */
import type { QoS, ReasonCode } from '@recado/protocol'
import type { Limits } from './core/base/limits.ts'
import type { ListenerSettings } from './core/connection/listener-settings.ts'
import type { CoreOptions } from './core/core.ts'
import type { EntranceOptions, TlsOptions } from './entrance.ts'
import type { AuthenticateHook, AuthenticationSource, AuthorizeHooks, EnhancedAuthenticationHook } from './hooks.ts'
import type { Clock, MessageProperties, Observer, Random, Store } from './ports.ts'

export interface BrokerOptions extends Partial<CoreOptions> {
  /** See `limitTable` for names, defaults and units. */
  limits?: Partial<Limits>
  /** Who may connect: a function, or what `passwordFile`, `jwt`, `webhook` and `firstOf` make. Without it everybody may. */
  authenticate?: AuthenticateHook | AuthenticationSource
  /** Authentication by AUTH packets (MQTT 5.0, 4.12). With one of both `sessionOwner` is `refuse` unless it says something else. */
  enhancedAuthentication?: EnhancedAuthenticationHook
  /** Who may publish and subscribe to what. Without it everybody may everything, but publish to `$SYS/…`. */
  authorize?: AuthorizeHooks
  /** Told what happens. */
  observer?: Observer
  /** Where sessions, messages and retained messages are kept: `await lmdb({ path })`. Without one, in memory only. The broker closes it. */
  store?: Store
  /** For simulations. */
  clock?: Clock
  random?: Random
}

export interface PublishOptions {
  topic: string
  /** A string is sent as UTF-8. Default: empty, which as a retained message deletes the one that is there. */
  payload?: string | ArrayBufferView | ArrayBuffer | SharedArrayBuffer
  qos?: QoS
  retain?: boolean
  properties?: MessageProperties
  /**
   * News of the broker itself, as the statistics below `$SYS`: true only for the moment, and gone when the broker ends. As a retained message it
   * is not stored, and neither the limits of retained messages nor a store that fails keep it out; a subscriber whose queue is full misses it, and the others
   * get it all the same. Default false.
   */
  isNews?: boolean
}

export interface SubscribeOptions {
  /** Highest QoS to be delivered at; default 2. */
  qos?: QoS
  /** Also the retained messages that match, at once. Default true; never for a Shared Subscription. */
  retained?: boolean
  /** Do not deliver what this program published with `broker.publish`. Default false. */
  noLocal?: boolean
}

export interface CloseOptions {
  /** What MQTT 5.0 clients are told. Default 0x8B Server shutting down. */
  reasonCode?: ReasonCode
  /** With 0x9C or 0x9D: where to connect instead. */
  serverReference?: string
  /** How long connections may take to read what is still to be sent. Default 5000. */
  timeoutMs?: number
  /** How long a client that has been sent everything may keep its side open. Default 200. */
  graceMs?: number
}

/** A subscription of the embedding program. */
export interface LocalSubscription {
  readonly topicFilter: string
  unsubscribe(): void
}

/** A subscription of a client. */
export interface ClientSubscription {
  readonly clientId: string
  /** As the client wrote it, with `$share/name/`. */
  readonly topicFilter: string
  readonly qos: QoS
}

/** Where to listen, how, and what holds for the connections that come in there. */
export interface ListenOptions extends EntranceOptions, ListenerSettings {}

export interface ListenerHandle {
  readonly name: string
  readonly address: string
  /** 0 for a unix socket. */
  readonly port: number
  /**
   * New certificates, keys and lists for connections to come; those that are open stay as they are.
   * @throws MqttError ERR_MQTT_TLS, and then nothing has changed.
   */
  updateTls(options: TlsOptions): void
  /**
   * Other settings in place of all that were given before; `connectionsMax` holds for connections to come. The mount point stays: sessions have
   * subscriptions below it.
   * @throws MqttError ERR_MQTT_LIMIT, and then nothing has changed.
   */
  update(settings: Omit<ListenerSettings, 'mountPoint'> & { connectionsMax?: number }): void
  /** Takes no more connections; those that are open stay. */
  close(): Promise<void>
}

/** What `Broker.reconfigure` takes; what is absent stays as it is, and null takes it away. */
export interface BrokerChanges extends Partial<CoreOptions> {
  /** All of them: those that are absent here have their defaults. */
  limits?: Partial<Limits>
  authenticate?: AuthenticateHook | AuthenticationSource | null
  enhancedAuthentication?: EnhancedAuthenticationHook | null
  authorize?: AuthorizeHooks | null
  observer?: Observer | null
}

export const DEFAULT_OPTIONS: CoreOptions = {
  sessionOwner: 'off',
  overflow: 'reject',
  queueQoS0: false,
  allowEmptyClientId: true,
  assignedClientIdPrefix: 'auto-',
  wildcardSubscriptions: true,
  sharedSubscriptions: true,
  subscriptionIdentifiers: true,
  checkRetainSource: true,
  allowControlCharacters: false,
}
