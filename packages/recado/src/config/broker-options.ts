/**
 * Options of `@recado/broker` from the program's configuration: limits, hooks, and the sockets to listen on.
 *
 * `serve.ts` calls it once at the start. Invariant: where Mosquitto means "no limit" by 0 or -1, the greatest value
 * that the broker allows is passed on, never a 0 that would mean none at all; a policy that cannot be carried out yet
 * refuses.
 */
import type { BrokerOptions, Limits, ListenerSettings, ListenOptions } from '@recado/broker'
import { accountOf, groupOf } from '../privileges.ts'
import { type Access, authenticateFrom, authorizeFrom, enhancedFrom, NO_ACCESS } from './admission.ts'
import type { Config } from './config.ts'
import type { ListenerConfig } from './listeners.ts'
import type { UnixSocketConfig } from './transports.ts'

const UNLIMITED = Number.MAX_SAFE_INTEGER
/** Largest packet of MQTT in bytes (1.5.5, 2.1.4). As a limit it means none, and is not announced. */
const PACKET_BYTES_MAX = 268_435_460
/**
 * Largest Maximum Packet Size in bytes that is announced: Paho for Python ends the connection when it is told of a
 * larger one.
 */
const ANNOUNCED_PACKET_BYTES_MAX = 268_435_455

/**
 * All options but `observer` and `store`. `access` has the sources that `../access.ts` has opened; a configured source
 * that is missing there refuses.
 */
export function brokerOptionsFrom(config: Config, access: Access = NO_ACCESS): BrokerOptions {
  const options: BrokerOptions = {
    limits: limitsFrom(config),
    authenticate: access.gate?.before(authenticateFrom(config, access)) ?? authenticateFrom(config, access),
    checkRetainSource: config.checkRetainSource,
    allowControlCharacters: config.allowControlCharacters,
    overflow: config.queueOverflow,
    sessionOwner: config.sessionOwner ?? (config.listeners.some(requiresLogins) ? 'refuse' : 'off'),
    queueQoS0: config.queueQoS0Messages,
    answers: config.asMosquitto === null ? 'recado' : `mosquitto-${config.asMosquitto}`,
    upgradeQoS: config.upgradeQoS,
    delayedPublish: config.delayedPublish,
    topicRewrites: config.topicRewrites,
    autoSubscriptions: config.autoSubscriptions,
    sparkplugAware: config.sparkplugAware,
  }
  const enhanced = enhancedFrom(config, access)
  if (enhanced !== null) options.enhancedAuthentication = access.gate?.beforeExchange(enhanced) ?? enhanced
  const authorize = authorizeFrom(config, access)
  if (authorize !== null) options.authorize = authorize
  return options
}

const requiresLogins = ({ allowAnonymous }: ListenerConfig): boolean => !allowAnonymous

function limitsFrom(config: Config): Partial<Limits> {
  const inflight = config.maxInflightMessages === 0 ? 65_535 : config.maxInflightMessages
  const limits: Partial<Limits> = {
    ...config.protectiveLimits,
    packetBytesMax: config.maxPacketBytes > ANNOUNCED_PACKET_BYTES_MAX ? PACKET_BYTES_MAX : config.maxPacketBytes,
    ...(config.maxPayloadBytes === 0 ? {} : { payloadBytesMax: config.maxPayloadBytes }),
    receiveMaximum: inflight,
    inflightMax: inflight,
    queueMessagesMax: config.maxQueuedMessages === 0 ? UNLIMITED : config.maxQueuedMessages,
    queueBytesMax: config.maxQueuedBytes === 0 ? UNLIMITED : config.maxQueuedBytes,
    sessionExpirySecondsMax: Math.min(config.sessionExpirySecondsMax, 0xffff_ffff),
    willGraceMs: config.willGraceSeconds * 1000,
    delaySecondsMax: config.maxDelaySeconds,
    keepAliveSecondsMax: config.maxKeepAliveSeconds === 0 ? 65_535 : config.maxKeepAliveSeconds,
  }
  if (config.globalMaxConnections >= 0) limits.connectionsMax = Math.max(1, config.globalMaxConnections)
  if (config.globalMaxSessions >= 0) limits.sessionsMax = Math.max(1, config.globalMaxSessions)
  if (!config.retainAvailable) limits.retainedMessagesMax = 0
  return limits
}

/** Settings for the connections of one listener. */
export function listenerSettingsFrom(listener: ListenerConfig): ListenerSettings & { connectionsMax?: number } {
  const { maximumQoS, topicAliasMaximum, topicAliasSendMax, protectiveLimits, usernameFrom } = listener
  const { mountPoint, clientIdFromUsername } = listener.transport
  return {
    limits: { maximumQoS, topicAliasMaximum, topicAliasSendMax, ...protectiveLimits },
    allowEmptyClientId: listener.allowZeroLengthClientId,
    assignedClientIdPrefix: listener.assignedClientIdPrefix,
    usernameFrom,
    clientIdFromUsername,
    mountPoint,
    ...(listener.maxConnections > 0 ? { connectionsMax: listener.maxConnections } : {}),
  }
}

/**
 * Sockets to listen on, in the order to try: for a listener on all addresses IPv6 with IPv4, and IPv4 alone where this
 * machine has no IPv6.
 */
export function socketsFor(listener: ListenerConfig, config: Config): ListenOptions[] {
  const common: ListenOptions = {
    name: listener.name,
    noDelay: config.noDelay,
    tcpKeepAliveSeconds: listener.tcpKeepAliveSeconds,
    ...listenerSettingsFrom(listener),
  }
  const { webSocket, proxyProtocol } = listener.transport
  if (webSocket !== null) {
    common.webSocket = config.asMosquitto === null ? webSocket : { ...webSocket, answers: 'mosquitto' }
  }
  if (proxyProtocol !== null) common.proxyProtocol = proxyProtocol
  if (listener.path !== null) return [{ ...common, path: listener.path, ...accessOf(listener.unixSocket) }]
  const hosts =
    listener.host !== null
      ? [listener.host]
      : { ipv4: ['0.0.0.0'], ipv6: ['::'], both: ['::', '0.0.0.0'] }[listener.socketDomain ?? 'both']
  // As in Mosquitto, so that `listener P 0.0.0.0` and `listener P ::` are two.
  const ipv6Only = listener.host !== null || listener.socketDomain === 'ipv6'
  return hosts.map((host) => ({ ...common, host, port: listener.port, ipv6Only }))
}

/**
 * Mode and owner of a unix socket's file. @throws MqttError ERR_RECADO_USER for a name that this machine does not have
 */
export function accessOf({ mode, owner, group }: UnixSocketConfig): Pick<ListenOptions, 'mode' | 'uid' | 'gid'> {
  const access: Pick<ListenOptions, 'mode' | 'uid' | 'gid'> = { mode }
  if (owner !== null) access.uid = accountOf(owner, 'unix_socket_owner').uid
  if (group !== null) access.gid = groupOf(group, 'unix_socket_group')
  return access
}
