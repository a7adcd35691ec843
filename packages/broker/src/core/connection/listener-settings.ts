/**
 * Settings of the connections of one listener, where they differ from the broker: limits of a connection, Client
 * Identifiers, whose name counts as the user name.
 *
 * `broker.listen` resolves an embedder's choice once for each listener with `resolveSettings`; every `Connection` refers to
 * the result, so that a lookup costs the same as the broker's own. The invariant: a limit of the whole broker (sessions,
 * retained messages, …) cannot be set here, for it could not be kept.
 */
import { MqttError, parseShare, parseTopicName } from '@recado/protocol'
import type { Peer } from '../../ports.ts'
import { type Limits, resolveLimits } from '../base/limits.ts'
import type { CoreOptions } from '../base/options.ts'

/** Limits that a listener may have of its own. */
export type ListenerLimitName =
  | 'packetBytesMax'
  | 'receiveMaximum'
  | 'inflightMax'
  | 'outputBytesMax'
  | 'subscriptionsMax'
  | 'connectTimeoutMs'
  | 'keepAliveSecondsMax'
  | 'sessionExpirySecondsMax'
  | 'topicAliasMaximum'
  | 'topicAliasSendMax'
  | 'maximumQoS'
  | 'controlPacketBytesMax'
  | 'messagesPerSecondMax'
  | 'bytesPerSecondMax'
  | 'rateGraceMs'
  | 'listenerMessagesPerSecondMax'
  | 'listenerBytesPerSecondMax'
  | 'listenerConnectionsPerSecondMax'
const listenerLimitNames: readonly ListenerLimitName[] = [
  'packetBytesMax',
  'receiveMaximum',
  'inflightMax',
  'outputBytesMax',
  'subscriptionsMax',
  'connectTimeoutMs',
  'keepAliveSecondsMax',
  'sessionExpirySecondsMax',
  'topicAliasMaximum',
  'topicAliasSendMax',
  'maximumQoS',
  'controlPacketBytesMax',
  'messagesPerSecondMax',
  'bytesPerSecondMax',
  'rateGraceMs',
  'listenerMessagesPerSecondMax',
  'listenerBytesPerSecondMax',
  'listenerConnectionsPerSecondMax',
]
/** Limits that a listener may have of its own. */
export type ListenerLimits = Pick<Limits, ListenerLimitName>

/**
 * `connect`: the User Name of CONNECT. `identity`: that of the pre-shared key, else the common name of the client
 * certificate. `subject`: the whole subject of the client certificate. A client that has none is refused.
 */
export type UsernameSource = 'connect' | 'identity' | 'subject'

/** Settings of a listener; an absent one is the broker's. */
export interface ListenerSettings {
  limits?: Partial<ListenerLimits>
  /** Lets clients in without a Client Identifier; they are given one. */
  allowEmptyClientId?: boolean
  /** Prefix of an assigned Client Identifier. */
  assignedClientIdPrefix?: string
  /** Source of the user name. Default: `connect`. */
  usernameFrom?: UsernameSource
  /** Takes the user name for the Client Identifier; a client without one is refused. Default: false. */
  clientIdFromUsername?: boolean
  /**
   * Prefix of every Topic Name and Topic Filter of this listener's clients, who do not see it: `site-1/`. Hooks see
   * whole topics. Default: none.
   */
  mountPoint?: string
}

/** Settings with everything filled in. */
export interface ConnectionSettings {
  readonly limits: Limits
  readonly options: CoreOptions
  readonly usernameFrom: UsernameSource
  readonly clientIdFromUsername: boolean
  /** Mount point; '' for none. */
  readonly mountPoint: string
}

/** @throws MqttError ERR_MQTT_LIMIT for a limit that is out of bounds or is the whole broker's, ERR_MQTT_TOPIC_NAME for a mount point. */
export function resolveSettings(
  limits: Limits,
  options: CoreOptions,
  {
    limits: own = {},
    allowEmptyClientId,
    assignedClientIdPrefix,
    usernameFrom = 'connect',
    clientIdFromUsername = false,
    mountPoint = '',
  }: ListenerSettings = {},
): ConnectionSettings {
  for (const name of Object.keys(own)) {
    if (name in limits && !(listenerLimitNames as readonly string[]).includes(name)) {
      throw new MqttError(
        'ERR_MQTT_LIMIT',
        `The limit ${name} applies to the whole broker; a listener can have limits of its own for ${listenerLimitNames.join(', ')}.`,
      )
    }
  }
  return {
    limits: Object.keys(own).length === 0 ? limits : resolveLimits({ ...limits, ...own }),
    options: {
      ...options,
      allowEmptyClientId: allowEmptyClientId ?? options.allowEmptyClientId,
      assignedClientIdPrefix: assignedClientIdPrefix ?? options.assignedClientIdPrefix,
    },
    usernameFrom,
    clientIdFromUsername,
    mountPoint: mountPoint === '' ? '' : parseTopicName(mountPoint),
  }
}

/** Returns the proven user name of a peer; null when it has shown none, or when CONNECT's is asked for. */
export function identityOf(peer: Peer | null, from: UsernameSource): string | null {
  if (peer === null || from === 'connect') return null
  // An empty name is none: a certificate may well have an empty common name.
  if (from === 'subject') return peer.certificate?.subject || null
  return peer.pskIdentity || peer.commonName || null
}

/** A Topic Filter of a client as the router knows it; the group of a Shared Subscription stays before it. */
export function mountFilter(mountPoint: string, topicFilter: string): string {
  if (mountPoint === '') return topicFilter
  const share = parseShare(topicFilter)
  if (share === null) return mountPoint + topicFilter
  return `$share/${share.shareName}/${mountPoint}${share.topicFilter}`
}
