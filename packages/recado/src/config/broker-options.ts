/**
 * From the program's configuration to what `@recado/broker` takes: limits, hooks, and the sockets to listen on.
 *
 * `serve.ts` calls it once at the start. The invariant: where Mosquitto means "no limit" by 0 or -1, the greatest value
 * that the broker allows is passed on, never a 0 that would mean none at all; policy that cannot be carried out yet
 * refuses.
 */
import type { AuthenticateHook, AuthorizeHooks, BrokerOptions, Limits, SocketListenerOptions } from '@recado/broker'
import { ReasonCode } from '@recado/protocol'
import type { Config, ListenerConfig } from './config.ts'

const UNLIMITED = Number.MAX_SAFE_INTEGER
/** Room for everything in a PUBLISH but its payload, when only the payload's size is limited. */
const PACKET_OVER_PAYLOAD_BYTES = 65_536

/** The largest packet that there is (1.5.5, 2.1.4). As a limit it is none, and is not announced. */
const PACKET_BYTES_MAX = 268_435_460
/** Paho for Python ends the connection when it is told of a Maximum Packet Size above this. */
const ANNOUNCED_PACKET_BYTES_MAX = 268_435_455

/** All options but `observer` and `store`. */
export function brokerOptionsFrom(config: Config): BrokerOptions {
  const [first] = config.listeners
  const options: BrokerOptions = {
    limits: limitsFrom(config),
    authenticate: authenticateFrom(config),
    overflow: config.queueOverflow,
    queueQoS0: config.queueQoS0Messages,
    allowEmptyClientId: config.listeners.some(({ allowZeroLengthClientId }) => allowZeroLengthClientId),
    assignedClientIdPrefix: first?.assignedClientIdPrefix ?? '',
  }
  const authorize = authorizeFrom(config)
  if (authorize !== null) options.authorize = authorize
  return options
}

function limitsFrom(config: Config): Partial<Limits> {
  const { listeners } = config
  const lowest = (of: (listener: ListenerConfig) => number): number => Math.min(...listeners.map(of))
  const inflight = config.maxInflightMessages === 0 ? 65_535 : config.maxInflightMessages
  const payloadLimit = config.maxPayloadBytes === 0 ? UNLIMITED : config.maxPayloadBytes + PACKET_OVER_PAYLOAD_BYTES
  const packetLimit = Math.min(config.maxPacketBytes, payloadLimit)
  const limits: Partial<Limits> = {
    packetBytesMax: packetLimit > ANNOUNCED_PACKET_BYTES_MAX ? PACKET_BYTES_MAX : Math.max(64, packetLimit),
    receiveMaximum: inflight,
    inflightMax: inflight,
    queueMessagesMax: config.maxQueuedMessages === 0 ? UNLIMITED : config.maxQueuedMessages,
    queueBytesMax: config.maxQueuedBytes === 0 ? UNLIMITED : config.maxQueuedBytes,
    keepAliveSecondsMax: config.maxKeepAliveSeconds === 0 ? 65_535 : config.maxKeepAliveSeconds,
    maximumQoS: lowest(({ maximumQoS }) => maximumQoS),
    topicAliasMaximum: lowest(({ topicAliasMaximum }) => topicAliasMaximum),
    topicAliasSendMax: lowest(({ topicAliasSendMax }) => topicAliasSendMax),
  }
  if (config.globalMaxConnections >= 0) limits.connectionsMax = Math.max(1, config.globalMaxConnections)
  if (config.globalMaxSessions >= 0) limits.sessionsMax = Math.max(1, config.globalMaxSessions)
  if (config.sessionExpirySecondsMax !== null) {
    limits.sessionExpirySecondsMax = Math.min(config.sessionExpirySecondsMax, 0xffff_ffff)
  }
  if (!config.retainAvailable) limits.retainedMessagesMax = 0
  return limits
}

/** Settings of several listeners that hold for all: one line for each that differs. */
export function sharedSettingWarnings({ listeners }: Config): string[] {
  const shared: [option: string, of: (listener: ListenerConfig) => unknown, rule: string][] = [
    ['max_qos', ({ maximumQoS }) => maximumQoS, 'the lowest holds for all'],
    ['max_topic_alias', ({ topicAliasMaximum }) => topicAliasMaximum, 'the lowest holds for all'],
    ['max_topic_alias_broker', ({ topicAliasSendMax }) => topicAliasSendMax, 'the lowest holds for all'],
    ['auto_id_prefix', ({ assignedClientIdPrefix }) => assignedClientIdPrefix, "the first one's holds for all"],
  ]
  return shared
    .filter(([, of]) => new Set(listeners.map(of)).size > 1)
    .map(([option, , rule]) => `${option} differs from listener to listener: ${rule}`)
}

function authenticateFrom(config: Config): AuthenticateHook {
  const byName = new Map(config.listeners.map((listener) => [listener.name, listener]))
  return ({ connect, clientId, listener: name }) => {
    const listener = byName.get(name)
    if (listener === undefined) return false
    if (!listener.protocolVersions.includes(connect.protocolVersion)) {
      return {
        reasonCode: ReasonCode.UnsupportedProtocolVersion,
        reasonString: 'this listener does not take this version',
      }
    }
    if (connect.clientId === '' && !listener.allowZeroLengthClientId) {
      return { reasonCode: ReasonCode.ClientIdentifierNotValid, reasonString: 'the Client Identifier is empty' }
    }
    if (!clientId.startsWith(config.clientIdPrefix)) {
      return { reasonCode: ReasonCode.NotAuthorized, reasonString: 'not authorized' }
    }
    // With nothing to check a user name against, a client that gives one is anonymous. As in Mosquitto.
    const isRefused = !listener.allowAnonymous || (listener.refusesUsers && connect.username !== undefined)
    return !isRefused
  }
}

function authorizeFrom({ listeners }: Config): AuthorizeHooks | null {
  const refusing = new Set(listeners.filter(({ refusesTopics }) => refusesTopics).map(({ name }) => name))
  if (refusing.size === 0) return null
  return {
    publish: (client) => !refusing.has(client.listener),
    subscribe: (client) => !refusing.has(client.listener),
  }
}

/**
 * What to listen on, in the order to try: for a listener on all addresses IPv6 with IPv4, and IPv4 alone where this
 * machine has no IPv6.
 */
export function socketsFor(listener: ListenerConfig, config: Config): SocketListenerOptions[] {
  const common: SocketListenerOptions = { name: listener.name, noDelay: config.noDelay }
  if (listener.maxConnections >= 0) common.connectionsMax = listener.maxConnections
  if (listener.path !== null) return [{ ...common, path: listener.path }]
  const hosts =
    listener.host !== null
      ? [listener.host]
      : { ipv4: ['0.0.0.0'], ipv6: ['::'], both: ['::', '0.0.0.0'] }[listener.socketDomain ?? 'both']
  return hosts.map((host) => ({ ...common, host, port: listener.port }))
}
