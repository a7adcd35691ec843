/**
 * Documented rules of clouds, for their stand-ins: whom they let in, what they take, and how they refuse.
 *
 * `stand-in.ts` enforces them. Written from the clouds' pages, which are named beside each, and deliberately not from
 * the presets of `recado`, which they test: two readings of the same pages.
 */
import { createHmac } from 'node:crypto'
import { type Connect, type Properties, type Publish, ReasonCode, type Subscribe } from '@recado/protocol'

const KIB = 1024

/** TLS side of a connection. */
export interface TlsSide {
  readonly port: number
  readonly alpn: string | null
  /** Server name that the client asked for; null for none. */
  readonly serverName: string | null
  /** Common name of the client's certificate; null for none. */
  readonly commonName: string | null
}

/** Refusal: `reasonCode` is told to a client of 5.0 before the connection ends; 3.1.1 only sees the end. */
export interface Refusal {
  readonly reasonCode: ReasonCode
  readonly why: string
}

export interface CloudRules {
  readonly name: string
  /** Whether TLS itself fails without a certificate. */
  readonly requiresCertificate: boolean
  readonly alpnProtocols: readonly string[]
  readonly subscriptionsMax: number
  readonly filtersMax: number
  readonly grantedQosMax: 0 | 1 | 2
  /** Publishes of one connection in a second; more are dropped without an acknowledgement. */
  readonly publishesPerSecond: number
  /** Time in seconds that a session outlives its connection. */
  readonly sessionSeconds: number
  readonly connack: Properties
  connect(connect: Connect, tls: TlsSide, nowMs: number): Refusal | null
  publish(publish: Publish, connect: Connect): Refusal | null
  subscribe(filter: string, subscribe: Subscribe, connect: Connect): Refusal | null
  /** Time in milliseconds since the Unix epoch at which the connection ends; null for never. */
  expiresAtMs?(connect: Connect): number | null
}

const refuse = (reasonCode: ReasonCode, why: string): Refusal => ({ reasonCode, why })
const bytesOf = (text: string): number => Buffer.byteLength(text)
const slashesOf = (topic: string): number => topic.split('/').length - 1

/**
 * AWS IoT Core: general/latest/gr/iot-core.html#message-broker-limits, developerguide/mqtt.html#mqtt-differences,
 * developerguide/protocols.html. `allowsRetain` is iot:RetainPublish of the device's policy.
 */
export function awsRules({ allowsRetain = false }: { allowsRetain?: boolean } = {}): CloudRules {
  return {
    name: 'AWS IoT Core',
    requiresCertificate: true,
    alpnProtocols: ['x-amzn-mqtt-ca'],
    subscriptionsMax: 50,
    filtersMax: 8,
    grantedQosMax: 1,
    publishesPerSecond: 100,
    sessionSeconds: 3_600,
    connack: {
      ...{ maximumQoS: 1, receiveMaximum: 100, topicAliasMaximum: 8, subscriptionIdentifierAvailable: false },
      sessionExpiryIntervalSeconds: 3_600,
    },
    connect({ clientId, protocolVersion, isBridge, keepAliveSeconds }, tls) {
      if (protocolVersion === 3 || isBridge) return refuse(0x84, 'not MQTT 3.1.1 or 5')
      if (tls.serverName === null) return refuse(0x87, 'no server name in TLS')
      if (tls.port === 443 && tls.alpn !== 'x-amzn-mqtt-ca') return refuse(0x87, 'port 443 without ALPN x-amzn-mqtt-ca')
      if (clientId === '' || bytesOf(clientId) > 128) return refuse(0x85, 'client id')
      return keepAliveSeconds > 1_200 ? refuse(0x82, 'keep alive of more than 1200 s') : null
    },
    publish({ topic, qos, retain, payload }) {
      if (qos === 2) return refuse(0x9b, 'QoS 2')
      if (retain && !allowsRetain) return refuse(0x87, 'RETAIN without iot:RetainPublish')
      if (payload.length > 128 * KIB) return refuse(0x95, 'payload of more than 128 kB')
      return awsTopic(topic)
    },
    subscribe(filter, { subscriptions }) {
      if (subscriptions.some(({ qos }) => qos === 2)) return refuse(0x9b, 'QoS 2')
      return awsTopic(filter)
    },
  }
}

function awsTopic(topic: string): Refusal | null {
  if (bytesOf(topic) > 256) return refuse(0x90, 'topic of more than 256 bytes')
  const isBasicIngest = /^\$aws\/rules\//i.test(topic)
  const isShared = topic.startsWith('$share/')
  if (topic.startsWith('$') && !/^\$aws\//i.test(topic) && !isShared) return refuse(0x87, 'reserved topic')
  return slashesOf(topic) > 7 + (isBasicIngest ? 3 : isShared ? 2 : 0)
    ? refuse(0x90, 'topic with more than 7 slashes')
    : null
}

/**
 * Azure IoT Hub: azure/iot/iot-mqtt-connect-to-iot-hub, azure/iot-hub/iot-hub-dev-guide-sas. One device, known by its
 * key.
 */
export function iotHubRules(host: string, device: string, key: string): CloudRules {
  const events = `devices/${device}/messages/events/`
  return {
    name: 'Azure IoT Hub',
    requiresCertificate: false,
    alpnProtocols: [],
    subscriptionsMax: 50,
    filtersMax: 50,
    grantedQosMax: 1,
    publishesPerSecond: Number.POSITIVE_INFINITY,
    sessionSeconds: 3_600,
    connack: {},
    connect({ clientId, protocolVersion, isBridge, username, password, will }, tls, nowMs) {
      if (protocolVersion !== 4 || isBridge) return refuse(0x84, 'not MQTT 3.1.1')
      if (clientId !== device) return refuse(0x85, `no device ${clientId}`)
      if (!new RegExp(`^${quoted(`${host}/${device}/`)}\\?api-version=\\d{4}-\\d\\d-\\d\\d$`).test(username ?? ''))
        return refuse(0x86, `user name ${username}`)
      if (will !== undefined && !will.topic.startsWith(events)) return refuse(0x82, `Will on ${will.topic}`)
      if (tls.commonName === device) return null
      const token = tokenOf(password)
      if (token === null) return refuse(0x86, 'no shared access signature')
      if (token.resource !== `${host}/devices/${device}`) return refuse(0x86, `a token for ${token.resource}`)
      const signed = createHmac('sha256', Buffer.from(key, 'base64'))
        .update(`${encodeURIComponent(token.resource)}\n${token.expirySeconds}`)
        .digest('base64')
      if (signed !== token.signature) return refuse(0x86, 'a token with a wrong signature')
      return token.expirySeconds * 1000 <= nowMs ? refuse(0x86, 'a token that has expired') : null
    },
    expiresAtMs: ({ password }) => (tokenOf(password)?.expirySeconds ?? 0) * 1000 || null,
    publish({ topic, qos, payload }) {
      if (qos === 2) return refuse(0x9b, 'QoS 2')
      if (payload.length > 256 * KIB) return refuse(0x95, 'message of more than 256 kB')
      if (/^\$iothub\/(twin\/(GET|PATCH\/properties\/reported)|methods\/res\/\d+)\//.test(topic)) return null
      if (!topic.startsWith(events)) return refuse(0x90, `topic ${topic}`)
      const bag = topic.slice(events.length)
      return bag === '' || /^[^/=&]+=[^/=&]*(&[^/=&]+=[^/=&]*)*\/?$/.test(bag)
        ? null
        : refuse(0x90, `property bag ${bag}`)
    },
    subscribe(filter) {
      const documented = [
        `devices/${device}/messages/devicebound/#`,
        '$iothub/twin/res/#',
        '$iothub/twin/PATCH/properties/desired/#',
        '$iothub/methods/POST/#',
      ]
      return documented.includes(filter) ? null : refuse(0x8f, `topic filter ${filter}`)
    },
  }
}

const quoted = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

function tokenOf(
  password: Uint8Array | undefined,
): { resource: string; signature: string; expirySeconds: number } | null {
  const text = Buffer.from(password ?? []).toString()
  if (!text.startsWith('SharedAccessSignature ')) return null
  const fields = new Map(
    text
      .slice('SharedAccessSignature '.length)
      .split('&')
      .map((field): [string, string] => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]),
  )
  const [resource, signature, expiry] = ['sr', 'sig', 'se'].map((name) => fields.get(name))
  if (resource === undefined || signature === undefined || !/^\d+$/.test(expiry ?? '')) return null
  return {
    resource: decodeURIComponent(resource),
    signature: decodeURIComponent(signature),
    expirySeconds: Number(expiry),
  }
}

/**
 * Azure Event Grid: azure/event-grid/mqtt-support (current limitations), azure/event-grid/quotas-limits. A client is
 * known by its authentication name, which stands in the certificate and in the user name.
 */
export function eventGridRules(authenticationName: string): CloudRules {
  const topicRule = (topic: string): Refusal | null => {
    if (bytesOf(topic) > 256) return refuse(0x90, 'topic of more than 256 bytes')
    if (topic.startsWith('$')) return refuse(0x87, 'topic that begins with $')
    return slashesOf(topic) > 7 ? refuse(0x90, 'topic with more than 8 segments') : null
  }
  return {
    name: 'Azure Event Grid',
    requiresCertificate: true,
    alpnProtocols: [],
    subscriptionsMax: 50,
    filtersMax: 10,
    grantedQosMax: 1,
    publishesPerSecond: 100,
    sessionSeconds: 3_600,
    connack: {
      ...{ maximumQoS: 1, topicAliasMaximum: 10, maximumPacketSize: 512 * KIB, sharedSubscriptionAvailable: false },
      ...{ retainAvailable: false, subscriptionIdentifierAvailable: false, sessionExpiryIntervalSeconds: 3_600 },
    },
    connect({ clientId, protocolVersion, isBridge, username, keepAliveSeconds, properties, will }, tls) {
      if (protocolVersion === 3 || isBridge) return refuse(0x84, 'not MQTT 3.1.1 or 5')
      if (clientId === '') return refuse(0x85, 'no client id')
      if (username !== authenticationName || tls.commonName !== authenticationName)
        return refuse(0x87, `authentication name ${username}, certificate ${tls.commonName}`)
      if (keepAliveSeconds > 1_160) return refuse(0x82, 'keep alive of more than 1160 s')
      if (properties.userProperties !== undefined) return refuse(0x83, 'user properties on CONNECT')
      return will?.retain ? refuse(0x9a, 'a Will with RETAIN') : null
    },
    publish({ topic, qos, retain, payload }) {
      if (qos === 2) return refuse(0x9b, 'QoS 2')
      if (retain) return refuse(0x9a, 'RETAIN')
      return payload.length > 512 * KIB ? refuse(0x95, 'message of more than 512 kB') : topicRule(topic)
    },
    subscribe(filter, { properties }) {
      if (properties.userProperties !== undefined) return refuse(0x83, 'user properties on SUBSCRIBE')
      return filter.startsWith('$share/') ? refuse(0x9e, 'shared subscription') : topicRule(filter)
    },
  }
}

/** HiveMQ Cloud: community.hivemq.com/t/frequently-asked-questions-hivemq-cloud/514. Any MQTT; TLS, and a login. */
export function hivemqRules(username: string, password: string): CloudRules {
  return loginRules('HiveMQ Cloud', username, password, false, {})
}

/** EMQX Cloud, Serverless: docs.emqx.com/en/cloud/latest/create/restriction.html. It knows the bit of a bridge. */
export function emqxRules(username: string, password: string): CloudRules {
  return { ...loginRules('EMQX', username, password, true, { maximumPacketSize: 1_048_576 }), subscriptionsMax: 10 }
}

function loginRules(
  name: string,
  username: string,
  password: string,
  knowsBridges: boolean,
  connack: Properties,
): CloudRules {
  return {
    name,
    requiresCertificate: false,
    alpnProtocols: [],
    subscriptionsMax: Number.POSITIVE_INFINITY,
    filtersMax: Number.POSITIVE_INFINITY,
    grantedQosMax: 2,
    publishesPerSecond: Number.POSITIVE_INFINITY,
    sessionSeconds: 7_200,
    connack,
    connect(connect, tls) {
      if (connect.isBridge && !knowsBridges) return refuse(0x84, 'protocol level with the bit of a bridge')
      if (tls.serverName === null) return refuse(0x87, 'no server name in TLS')
      const isRight = connect.username === username && Buffer.from(connect.password ?? []).toString() === password
      return isRight ? null : refuse(0x86, 'a wrong user name or password')
    },
    publish({ topic, payload }) {
      if (topic.startsWith('$')) return refuse(0x87, 'topic that begins with $')
      return payload.length > (connack.maximumPacketSize ?? Number.POSITIVE_INFINITY)
        ? refuse(ReasonCode.PacketTooLarge, 'message of more than 1 MB')
        : null
    },
    subscribe: () => null,
  }
}
