/**
 * Azure IoT Hub: not a broker, but a few topics with fixed names; what a device sends carries its properties in the
 * Topic Name.
 *
 * `clouds.ts` has it in its table. A bridge is one device. Its messages go to `devices/ID/messages/events/` with the
 * name of the topic as the property `topic`; a message to the device comes on `devices/ID/messages/devicebound/…` and is
 * published to the topic that its property `topic` names, or to `devicebound`. Topics that begin with `$iothub/` (device
 * twin, direct methods) cross as they are.
 */
import { isTopicName } from '@recado/protocol'
import type { Cloud } from './cloud.ts'
import { encodePropertyBag, parsePropertyBag } from './property-bag.ts'

/** Version of the interface that the user name asks for. */
export const IOT_HUB_API_VERSION = '2021-04-12'
/** Name of the property that has the topic. */
const TOPIC_PROPERTY = 'topic'
/** Topic of a message to the device that names none. */
const UNNAMED_TOPIC = 'devicebound'

export const eventsPrefix = (deviceId: string): string => `devices/${deviceId}/messages/events/`
export const deviceBoundFilter = (deviceId: string): string => `devices/${deviceId}/messages/devicebound/#`
export const iotHubUsername = (host: string, deviceId: string): string =>
  `${host}/${deviceId}/?api-version=${IOT_HUB_API_VERSION}`
/** Resource that a shared access signature gives access to. */
export const iotHubResource = (host: string, deviceId: string): string => `${host}/devices/${deviceId}`

/** Property of a message beside its topic. */
export interface MessageProperties {
  readonly contentType?: string | undefined
  readonly userProperties?: readonly (readonly [name: string, value: string])[] | undefined
}

/** Returns the Topic Name of an event: its properties, and the topic as one of them. */
export function eventTopic(deviceId: string, topic: string, properties: MessageProperties = {}): string {
  if (topic.startsWith('$iothub/') || topic.startsWith(eventsPrefix(deviceId))) return topic
  const bag: [string, string][] = [[TOPIC_PROPERTY, topic]]
  const { contentType, userProperties = [] } = properties
  if (contentType !== undefined) bag.push(['$.ct', contentType])
  // A property with a $ would be one of the hub's own.
  for (const [name, value] of userProperties)
    if (name !== '' && !name.startsWith('$') && name !== TOPIC_PROPERTY) bag.push([name, value])
  return eventsPrefix(deviceId) + encodePropertyBag(bag)
}

/** Topic at this broker, and properties, of what comes from the hub; null for a topic that is none of its. */
export function receivedTopic(
  deviceId: string,
  remoteTopic: string,
): { topic: string; userProperties: (readonly [string, string])[]; contentType: string | undefined } | null {
  if (remoteTopic.startsWith('$iothub/')) return { topic: remoteTopic, userProperties: [], contentType: undefined }
  const prefix = deviceBoundFilter(deviceId).slice(0, -1)
  if (!remoteTopic.startsWith(prefix)) return null
  const bag = parsePropertyBag(remoteTopic.slice(prefix.length))
  const named = bag.find(([name]) => name === TOPIC_PROPERTY)?.[1]
  const isName = named !== undefined && isTopicName(named) && !named.startsWith('$')
  return {
    topic: isName ? named : UNNAMED_TOPIC,
    userProperties: bag.filter(([name]) => !name.startsWith('$') && name !== TOPIC_PROPERTY),
    contentType: bag.find(([name]) => name === '$.ct')?.[1],
  }
}

export const azureIotHub: Cloud = {
  name: 'azure-iot-hub',
  title: 'Azure IoT Hub',
  port: 8883,
  defaults: {
    notifications: 'false',
    try_private: 'false',
    bridge_attempt_unsubscribe: 'false',
    bridge_tls_use_os_certs: 'true',
    bridge_outgoing_retain: 'false',
    bridge_protocol_version: 'mqttv311',
  },
  logins: ['sas', 'certificate'],
  limits: {
    protocolVersions: [4],
    maximumQoS: 1,
    clientIdBytes: 128,
    topicBytes: 65_535,
    slashes: Number.POSITIVE_INFINITY,
    subscriptions: 50,
    payloadBytes: 256 * 1024,
    retainedBytes: 0,
    keepAliveSeconds: 1177,
  },
  hasFixedClientIds: true,
  sources: [
    'https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub',
    'https://learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas',
    'https://learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling',
  ],
  check({ addresses, topics, remoteClientId, has }, tell) {
    if (!has('remote_clientid')) tell('connection', 'has no remote_clientid: it must be the name of the device')
    else if (!/^[A-Za-z0-9\-.+%_#*?!(),:=@$']{1,128}$/.test(remoteClientId))
      tell('remote_clientid', `${remoteClientId}: cannot be the name of a device`)
    if (addresses.length > 1) tell('address', 'has more than one host: a device belongs to one hub')
    if (has('remote_username')) tell('remote_username', 'is made by the preset from the host and the device')
    if (has('remote_password'))
      tell('remote_password', 'is made by the preset: say bridge_sas_key KEY, and tokens renew themselves')
    const events = eventsPrefix(remoteClientId)
    const bound = deviceBoundFilter(remoteClientId)
    for (const topic of topics) {
      const { direction, pattern, remotePrefix, remoteFilter } = topic
      const isOwn = remoteFilter.startsWith('$iothub/')
      if (direction === 'both') tell(topic, 'has both directions: what goes out and comes in has different topics here')
      else if (direction === 'out' && remotePrefix !== '' && !isOwn && !remoteFilter.startsWith(events))
        tell(topic, `goes to ${remotePrefix}: say no remote prefix (${events} then), or one that begins with $iothub/`)
      else if (direction === 'in' && !isOwn && remoteFilter !== bound && !(pattern === '#' && remotePrefix === ''))
        tell(topic, `asks for ${remoteFilter}: there are # (all messages to the device) and $iothub/…`)
    }
  },
}
