/**
 * The configuration of the broker under test, and its meaning in the words of the model.
 */
import type { CoreOptions, Limits } from '@recado/broker/testing'
import type { Policy } from './hooks.ts'
import type { RateLimits } from './model/rates.ts'
import { isCertificate } from './model/sparkplug.ts'
import type { QoS, Settings } from './model/types.ts'

/** Client that may not receive the messages of a topic. */
export interface Denial {
  readonly clientId: string
  readonly topic: string
}

/** A listener: what differs from the broker. */
export interface ListenerConfig {
  readonly limits: Partial<Limits>
  /** '': none. */
  readonly mountPoint: string
}

export interface BrokerConfig {
  readonly isPersistent: boolean
  readonly limits: Partial<Limits>
  readonly options: Partial<CoreOptions>
  /** The first is everybody's until he chooses another. */
  readonly listeners: readonly ListenerConfig[]
  readonly hasAuthenticator: boolean
  /** Whether the logins of some clients expire. */
  readonly hasShortCredentials: boolean
  readonly hasAuthorizer: boolean
  /** Share of decisions that take time. */
  readonly lateDecisions: number
  /** Subscriptions that are there are refused at times when they are asked about again, or nobody can decide. */
  readonly hasReviews?: boolean
  /** The embedding program changes messages of clients, and withholds some. */
  readonly hasTransformer?: boolean
  /** Packets are handed in one by one: needed where the broker may stop in the middle of a chunk. */
  readonly isOneByOne: boolean
  readonly rates: RateLimits | null
  /** When it begins; null: nobody is asked about deliveries. */
  readonly denials: readonly Denial[] | null
  /** Rights to have published what is left behind, a Will or a retained message, that are gone when it begins; null: nobody is asked. */
  readonly withdrawals: readonly Denial[] | null
}

/** Settings that differ when the broker starts anew. */
export interface Reconfiguration {
  readonly limits?: Partial<Limits>
  readonly options?: Partial<CoreOptions>
  readonly listeners?: readonly ListenerConfig[]
  /** Another store, which is empty, or none. */
  readonly isPersistent?: boolean
  readonly hasPolicy?: boolean
}

const NO_LIMIT = Number.POSITIVE_INFINITY

/** Limit of a connection: the listener's own, or the broker's. */
function limitOf({ limits, listeners }: BrokerConfig, listener: number, name: keyof Limits, otherwise: number): number {
  return listeners[listener]!.limits[name] ?? limits[name] ?? otherwise
}

export function packetBytesMax(config: BrokerConfig, listener: number): number {
  return limitOf(config, listener, 'packetBytesMax', 268_435_460)
}

/** The most that any session may have had, by limits that are any connection's. */
export interface Maxima {
  readonly inflightMax: number
  readonly subscriptionsMax: number
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
  readonly retainedMessagesMax: number
}

export function maximaOf(config: BrokerConfig): Maxima {
  const { queueMessagesMax = NO_LIMIT, queueBytesMax = NO_LIMIT, retainedMessagesMax = NO_LIMIT } = config.limits
  const most = (name: keyof Limits, otherwise: number): number =>
    Math.max(...config.listeners.map((_, i) => limitOf(config, i, name, otherwise)))
  const inflightMax = most('inflightMax', 1_000)
  const subscriptionsMax = most('subscriptionsMax', NO_LIMIT)
  return { inflightMax, subscriptionsMax, queueMessagesMax, queueBytesMax, retainedMessagesMax }
}

export function larger(one: Maxima, other: Maxima): Maxima {
  return {
    inflightMax: Math.max(one.inflightMax, other.inflightMax),
    subscriptionsMax: Math.max(one.subscriptionsMax, other.subscriptionsMax),
    queueMessagesMax: Math.max(one.queueMessagesMax, other.queueMessagesMax),
    queueBytesMax: Math.max(one.queueBytesMax, other.queueBytesMax),
    retainedMessagesMax: Math.max(one.retainedMessagesMax, other.retainedMessagesMax),
  }
}

/** Packets that the broker accepts on a listener, whether it tells its client or not. */
export function offerOf(
  config: BrokerConfig,
  listener: number,
): {
  maximumQoS: number
  hasRetain: boolean
  packetBytesMax: number
  mountPoint: string
} {
  return {
    maximumQoS: limitOf(config, listener, 'maximumQoS', 2),
    hasRetain: config.limits.retainedMessagesMax !== 0,
    packetBytesMax: packetBytesMax(config, listener),
    mountPoint: config.listeners[listener]!.mountPoint,
  }
}

export function settingsOf(config: BrokerConfig, policy: Policy): Settings {
  const { isPersistent, limits, options, hasAuthenticator } = config
  const isSparkplugAware = options.sparkplugAware ?? false
  return {
    isPersistent,
    overflow: options.overflow ?? 'reject',
    queueQoS0: options.queueQoS0 ?? false,
    queueMessagesMax: limits.queueMessagesMax ?? Number.POSITIVE_INFINITY,
    queueBytesMax: limits.queueBytesMax ?? Number.POSITIVE_INFINITY,
    inflightBytesMax: limits.inflightBytesMax ?? Number.POSITIVE_INFINITY,
    payloadBytesMax: limits.payloadBytesMax ?? Number.POSITIVE_INFINITY,
    retainedMessagesMax: limits.retainedMessagesMax ?? Number.POSITIVE_INFINITY,
    retainedBytesMax: limits.retainedBytesMax ?? Number.POSITIVE_INFINITY,
    connectionsPerAddressMax: limits.connectionsPerAddressMax ?? Number.POSITIVE_INFINITY,
    sessionOwner: options.sessionOwner ?? 'off',
    sessionsMax: limits.sessionsMax ?? Number.POSITIVE_INFINITY,
    connectionsMax: limits.connectionsMax ?? Number.POSITIVE_INFINITY,
    connectTimeoutMs: limits.connectTimeoutMs ?? 20_000,
    allowsEmptyClientId: options.allowEmptyClientId ?? true,
    willGraceMs: limits.willGraceMs ?? 0,
    hasDelays: options.delayedPublish ?? false,
    delayedMessagesMax: limits.delayedMessagesMax ?? Number.POSITIVE_INFINITY,
    delaySecondsMax: limits.delaySecondsMax ?? 4_294_967,
    rewrites: options.topicRewrites ?? [],
    autoSubscriptions: (options.autoSubscriptions ?? []).map(
      ({ topicFilter, qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0 }) => ({
        topicFilter,
        qos,
        noLocal,
        retainAsPublished,
        retainHandling,
      }),
    ),
    isSparkplugAware,
    asksSubscriptions: config.hasAuthorizer,
    hasWildcards: options.wildcardSubscriptions ?? true,
    hasShares: options.sharedSubscriptions ?? true,
    hasIdentifiers: options.subscriptionIdentifiers ?? true,
    givesResponses: hasAuthenticator,
    asksSources: config.hasAuthorizer && config.withdrawals !== null,
    listeners: config.listeners.map(({ mountPoint }, i) => ({
      mountPoint,
      receiveMaximum: limitOf(config, i, 'receiveMaximum', 1_000),
      inflightMax: limitOf(config, i, 'inflightMax', 1_000),
      topicAliasMaximum: limitOf(config, i, 'topicAliasMaximum', 10),
      topicAliasSendMax: limitOf(config, i, 'topicAliasSendMax', 10),
      maximumQoS: limitOf(config, i, 'maximumQoS', 2) as QoS,
      subscriptionsMax: limitOf(config, i, 'subscriptionsMax', Number.POSITIVE_INFINITY),
      sessionExpirySecondsMax: limitOf(config, i, 'sessionExpirySecondsMax', 0xffff_ffff),
    })),
    answersAsMosquitto: (options.answers ?? 'recado') !== 'recado',
    mayPublish: (clientId, username, topic) =>
      !(isSparkplugAware && isCertificate(topic)) && policy.mayPublish(clientId, username, topic),
    changeOf: policy.changeOf,
    maySubscribe: policy.maySubscribe,
  }
}
