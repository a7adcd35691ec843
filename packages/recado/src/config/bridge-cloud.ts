/**
 * Defaults that a `connection` section gets from `bridge_preset`, and the settings that it may not have with it.
 *
 * `bridges.ts` asks for defaults while it reads a section, and has it checked afterwards. Invariant: a section that a
 * cloud would refuse, or that would end its own connection again and again, is a fault with its line.
 */
import { azureIotHub, deviceBoundFilter, iotHubResource, iotHubUsername } from '../bridge/clouds/azure-iot-hub.ts'
import { type Cloud, type CloudSection, refusalText, type TellFault, topicRefusal } from '../bridge/clouds/cloud.ts'
import { findCloud } from '../bridge/clouds/clouds.ts'
import { isSasKey, type SasSettings } from '../bridge/clouds/sas-token.ts'
import type { BridgeTopic } from './bridge-topics.ts'
import type { BridgeConfig } from './bridges.ts'
import type { Block } from './parse.ts'

/** Returns the cloud of a section; null without a preset. */
export function cloudOf({ settings }: Block): Cloud | null {
  const setting = settings.findLast(({ option }) => option.name === 'bridge_preset')
  return setting === undefined ? null : findCloud(setting.value as string)
}

/** Values of the section's options that the cloud makes itself. */
export interface CloudValues {
  readonly remoteUsername: string | null
  readonly sas: SasSettings | null
  readonly topics: readonly BridgeTopic[]
}

/** Returns values for a bridge that has been read so far. */
export function cloudValues(
  cloud: Cloud | null,
  bridge: Pick<BridgeConfig, 'addresses' | 'remoteClientId' | 'remoteUsername' | 'topics'>,
  sasKey: string | null,
  lifetimeSeconds: number,
): CloudValues {
  const { addresses, remoteClientId, remoteUsername, topics } = bridge
  const host = addresses[0]?.host ?? ''
  if (cloud !== azureIotHub) return { remoteUsername, sas: null, topics }
  return {
    remoteUsername: iotHubUsername(host, remoteClientId),
    sas: sasKey === null ? null : { resource: iotHubResource(host, remoteClientId), key: sasKey, lifetimeSeconds },
    topics: topics.map((topic) => hubTopic(topic, remoteClientId)),
  }
}

/** A line for all messages to the device subscribes to their only topic. */
function hubTopic(topic: BridgeTopic, deviceId: string): BridgeTopic {
  const isAll = topic.direction === 'in' && topic.pattern === '#' && topic.remotePrefix === ''
  return isAll ? { ...topic, remoteFilter: deviceBoundFilter(deviceId) } : topic
}

/** Reports every fault of a section for its cloud. */
export function checkCloud(cloud: Cloud, bridge: BridgeConfig, has: CloudSection['has'], tell: TellFault): void {
  const { title, limits, logins } = cloud
  const { protocolVersion, keepAliveSeconds, remoteClientId, topics, tls } = bridge
  const version = ({ 3: '3.1', 4: '3.1.1', 5: '5.0' } as const)[protocolVersion]
  if (!limits.protocolVersions.includes(protocolVersion))
    tell('bridge_protocol_version', `is ${version}, which ${title} does not speak`)
  if (keepAliveSeconds > limits.keepAliveSeconds)
    tell('keepalive_interval', `is ${keepAliveSeconds}: ${title} takes ${limits.keepAliveSeconds} seconds at most`)
  if (Buffer.byteLength(remoteClientId) > limits.clientIdBytes)
    tell('remote_clientid', `has more than ${limits.clientIdBytes} bytes, the limit of ${title}`)
  checkLogin(cloud, bridge, has, tell)
  if (tls === null) tell('connection', `has no TLS: ${title} takes nothing else`)
  if (bridge.outgoingRetain && limits.retainedBytes === 0)
    tell('bridge_outgoing_retain', `must be false: ${title} has no retained messages`)
  checkNotifications(cloud, bridge, tell)
  let subscriptions = 0
  for (const topic of topics) {
    if (topic.qos > limits.maximumQoS)
      tell(topic, `has QoS ${topic.qos}: ${title} knows QoS ${limits.maximumQoS} at most`)
    if (topic.direction !== 'out') subscriptions++
    const refusal = topicRefusal(cloud, topic.remoteFilter)
    if (refusal !== null)
      tell(topic, `is ${topic.remoteFilter} there: ${refusalText(cloud, refusal, topic.remoteFilter)}`)
  }
  if (subscriptions > limits.subscriptions)
    tell(
      'connection',
      `has ${subscriptions} topics that come in: ${title} allows ${limits.subscriptions} subscriptions`,
    )
  const alpn = cloud.alpn?.(bridge.addresses[0]?.port ?? cloud.port) ?? null
  if (alpn !== null && tls !== null && tls.alpn !== alpn)
    tell('bridge_alpn', `must be ${alpn} on this port of ${title}`)
  cloud.check?.({ ...bridge, has }, tell)
  if (logins.includes('sas')) return
  for (const option of ['bridge_sas_key', 'bridge_sas_ttl']) if (has(option)) tell(option, `means nothing to ${title}`)
}

function checkLogin({ title, logins }: Cloud, bridge: BridgeConfig, has: CloudSection['has'], tell: TellFault): void {
  const { tls, remoteUsername, remotePassword, sas } = bridge
  const isReady = {
    certificate: tls?.certfile != null,
    password: remoteUsername !== null && remotePassword !== null,
    sas: sas !== null,
  }
  if (logins.some((login) => isReady[login])) {
    if (sas !== null && isReady.certificate) tell('bridge_sas_key', 'and bridge_certfile: one of them says who it is')
    if (sas !== null && !isSasKey(sas.key)) tell('bridge_sas_key', 'is no key: copy the primary key of the device')
    return
  }
  const ways = {
    certificate: 'bridge_certfile and bridge_keyfile',
    password: 'remote_username and remote_password',
    sas: 'bridge_sas_key',
  }
  tell(
    has('connection') ? 'connection' : 'bridge_preset',
    `needs ${logins.map((login) => ways[login]).join(', or ')} for ${title}`,
  )
}

function checkNotifications(cloud: Cloud, { notifications, notificationTopic }: BridgeConfig, tell: TellFault): void {
  if (notifications !== 'both') return
  const { title } = cloud
  const remedy = 'say notification_topic TOPIC, or notifications_local_only true'
  if (notificationTopic === null) tell('notifications', `would publish to $SYS, which ${title} refuses: ${remedy}`)
  else if (cloud === azureIotHub) tell('notification_topic', `is a topic that ${title} does not have: ${remedy}`)
  else {
    const refusal = topicRefusal(cloud, notificationTopic)
    if (refusal !== null) tell('notification_topic', refusalText(cloud, refusal, notificationTopic))
  }
}
