/**
 * The clouds that `bridge_preset` knows.
 *
 * Invariant: figures are those of the pages in `sources`, and docs/bridge.md shows the table.
 */
import { azureIotHub } from './azure-iot-hub.ts'
import type { Cloud, CloudName } from './cloud.ts'

const KIB = 1024

/** Defaults of every cloud: nothing of what only another broker of this kind understands. */
const common: Readonly<Record<string, string>> = {
  notifications: 'false',
  try_private: 'false',
  bridge_attempt_unsubscribe: 'false',
  bridge_tls_use_os_certs: 'true',
}

const awsIot: Cloud = {
  name: 'aws-iot',
  title: 'AWS IoT Core',
  port: 8883,
  defaults: {
    ...common,
    bridge_protocol_version: 'mqttv50',
    // A message with RETAIN needs iot:RetainPublish in the policy; without it the connection is ended.
    bridge_outgoing_retain: 'false',
    // With the tenth that may go at once it stays below 100, beyond which AWS IoT Core discards.
    bridge_rate: '90',
    // The largest Session Expiry Interval without a higher quota.
    bridge_session_expiry_interval: '3600',
  },
  logins: ['certificate'],
  limits: {
    protocolVersions: [4, 5],
    maximumQoS: 1,
    clientIdBytes: 128,
    topicBytes: 256,
    slashes: 7,
    subscriptions: 50,
    payloadBytes: 128 * KIB,
    retainedBytes: 128 * KIB,
    keepAliveSeconds: 1200,
  },
  hasFixedClientIds: true,
  sources: [
    'https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits',
    'https://docs.aws.amazon.com/iot/latest/developerguide/mqtt.html#mqtt-differences',
    'https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html',
    'https://docs.aws.amazon.com/iot/latest/developerguide/mqtt-persistent-sessions.html',
  ],
  alpn: (port) => (port === 443 ? 'x-amzn-mqtt-ca' : null),
  counted: (topic) => topic.replace(/^\$aws\/rules\/[^/]+\//i, '').replace(/^\$share\/[^/]+\//, ''),
  forbids: (topic) =>
    topic.startsWith('$') && !/^\$(aws|share)\//i.test(topic) ? 'keeps topics that begin with $ for itself' : null,
  check({ has }, tell) {
    if (has('remote_username') || has('remote_password'))
      tell(
        has('remote_username') ? 'remote_username' : 'remote_password',
        'is for custom authorizers, which this preset does not know: AWS IoT Core looks at the certificate',
      )
  },
}

const azureEventGrid: Cloud = {
  name: 'azure-event-grid',
  title: 'Azure Event Grid',
  port: 8883,
  defaults: {
    ...common,
    bridge_protocol_version: 'mqttv50',
    bridge_outgoing_retain: 'false',
    bridge_rate: '90',
    // Of the namespace, until it is set to more (8 hours at most).
    bridge_session_expiry_interval: '3600',
  },
  logins: ['certificate'],
  limits: {
    protocolVersions: [4, 5],
    maximumQoS: 1,
    clientIdBytes: 128,
    topicBytes: 256,
    slashes: 7,
    subscriptions: 50,
    payloadBytes: 512 * KIB,
    retainedBytes: 64 * KIB,
    keepAliveSeconds: 1160,
  },
  hasFixedClientIds: true,
  sources: [
    'https://learn.microsoft.com/azure/event-grid/mqtt-support',
    'https://learn.microsoft.com/azure/event-grid/quotas-limits',
    'https://learn.microsoft.com/azure/event-grid/mqtt-retain',
  ],
  forbids: (topic) => (topic.startsWith('$') ? 'has no topics that begin with $' : null),
  check({ has }, tell) {
    if (!has('remote_username'))
      tell('connection', 'has no remote_username: it must be the authentication name of the client')
  },
}

const hivemqCloud: Cloud = {
  name: 'hivemq-cloud',
  title: 'HiveMQ Cloud',
  port: 8883,
  defaults: { ...common, bridge_protocol_version: 'mqttv50' },
  logins: ['password', 'certificate'],
  limits: {
    protocolVersions: [3, 4, 5],
    maximumQoS: 2,
    clientIdBytes: 65_535,
    topicBytes: 65_535,
    slashes: Number.POSITIVE_INFINITY,
    subscriptions: Number.POSITIVE_INFINITY,
    payloadBytes: Number.POSITIVE_INFINITY,
    retainedBytes: Number.POSITIVE_INFINITY,
    keepAliveSeconds: 65_535,
  },
  hasFixedClientIds: false,
  sources: [
    'https://community.hivemq.com/t/frequently-asked-questions-hivemq-cloud/514',
    'https://docs.hivemq.com/hivemq/latest/user-guide/configuration.html',
  ],
  forbids: (topic) => (topic.startsWith('$SYS') ? 'lets nobody publish to $SYS' : null),
}

const emqx: Cloud = {
  name: 'emqx',
  title: 'EMQX',
  port: 8883,
  // EMQX knows the bit of a bridge, and does not send its own messages back to one.
  defaults: { ...common, bridge_protocol_version: 'mqttv50', try_private: 'true' },
  logins: ['password', 'certificate'],
  limits: {
    protocolVersions: [3, 4, 5],
    maximumQoS: 2,
    clientIdBytes: 1024,
    topicBytes: 65_535,
    slashes: 127,
    subscriptions: Number.POSITIVE_INFINITY,
    payloadBytes: 1024 * KIB,
    retainedBytes: 1024 * KIB,
    keepAliveSeconds: 65_535,
  },
  hasFixedClientIds: false,
  sources: [
    'https://docs.emqx.com/en/cloud/latest/create/restriction.html',
    'https://docs.emqx.com/en/emqx/latest/getting-started/restrictions.html',
  ],
  forbids: (topic) => (topic.startsWith('$SYS') ? 'lets nobody publish to $SYS' : null),
}

export const clouds: readonly Cloud[] = [awsIot, azureIotHub, azureEventGrid, hivemqCloud, emqx]

export const cloudNames: readonly CloudName[] = clouds.map(({ name }) => name)

export function findCloud(name: string): Cloud | null {
  return clouds.find((cloud) => cloud.name === name) ?? null
}
