/**
 * The limits of a broker: every queue, map, buffer and size has one, with a default. One table, `limitTable`, gives
 * name, default, least and greatest value, unit and meaning; `resolveLimits` checks an embedder's choice against it.
 *
 * A slow or hostile peer can hurt only itself: a request over a limit is refused with a Reason Code, a message over it
 * dropped and counted (`metrics.ts`); nothing is kept without bound.
 */
import { MqttError } from '@recado/protocol'

/** Default, bounds, unit and meaning of a limit. */
export interface Limit {
  readonly default: number
  readonly min: number
  readonly max: number
  readonly unit: string
  readonly doc: string
}

/**
 * Messages in flight to a bridge, or to a broker that a bridge connects to, before MQTT 5.0, where the receiver cannot tell
 * its limit: Mosquitto acknowledges what comes beyond its `max_inflight_messages`, by default 20, and drops it.
 */
export const BRIDGE_INFLIGHT_MAX = 20

const limit = (defaultValue: number, min: number, max: number, unit: string, doc: string): Limit => ({
  default: defaultValue,
  min,
  max,
  unit,
  doc,
})
const MiB = 1024 * 1024
const UNLIMITED = Number.MAX_SAFE_INTEGER

/** Name of a limit: see `limitTable`. */
export type LimitName =
  | 'connectionsMax'
  | 'packetBytesMax'
  | 'payloadBytesMax'
  | 'connectBytesMax'
  | 'propertyBytesMax'
  | 'nameBytesMax'
  | 'filterBytesMax'
  | 'receiveMaximum'
  | 'inflightMax'
  | 'queueMessagesMax'
  | 'queueBytesMax'
  | 'anonymousQueueMessagesMax'
  | 'anonymousQueueBytesMax'
  | 'storedBytesMax'
  | 'memoryQueueBytesMax'
  | 'inflightBytesMax'
  | 'unfinishedBytesMax'
  | 'outputTotalBytesMax'
  | 'sessionBytesMax'
  | 'willBytesMax'
  | 'outputBytesMax'
  | 'topicBytesMax'
  | 'topicLevelsMax'
  | 'subscriptionsMax'
  | 'retainedMessagesMax'
  | 'retainedBytesMax'
  | 'sessionsMax'
  | 'connectTimeoutMs'
  | 'keepAliveSecondsMax'
  | 'sessionExpirySecondsMax'
  | 'topicAliasMaximum'
  | 'aliasBytesMax'
  | 'topicAliasSendMax'
  | 'maximumQoS'
  | 'routeCacheMax'
  | 'routeCacheBytesMax'
  | 'controlPacketBytesMax'
  | 'packetFiltersMax'
  | 'subscriptionsTotalMax'
  | 'memoryBytesMax'
  | 'pendingConnectionsMax'
  | 'connectionsPerAddressMax'
  | 'messagesPerSecondMax'
  | 'bytesPerSecondMax'
  | 'rateGraceMs'
  | 'listenerMessagesPerSecondMax'
  | 'listenerBytesPerSecondMax'
  | 'listenerConnectionsPerSecondMax'
  | 'willGraceMs'
  | 'delayedMessagesMax'
  | 'delayedBytesMax'
  | 'delaySecondsMax'

/** Name, default, bounds, unit and meaning of every limit. */
export const limitTable: Readonly<Record<LimitName, Limit>> = {
  connectionsMax: limit(
    100_000,
    1,
    UNLIMITED,
    'connections',
    'Open connections. A CONNECT above the limit is refused with 0x89 Server busy.',
  ),
  packetBytesMax: limit(
    16 * MiB,
    20,
    268_435_460,
    'bytes',
    'Largest packet that a client may send; a larger one ends its connection with 0x95. MQTT has no packet above 268,435,460; a lower limit is announced as Maximum Packet Size.',
  ),
  payloadBytesMax: limit(
    268_435_455,
    1,
    268_435_455,
    'bytes',
    'Largest payload. A larger message is not delivered, and its publisher is told 0x97 if the protocol version can say so; a larger Will is refused with 0x95.',
  ),
  connectBytesMax: limit(
    64 * 1024,
    20,
    268_435_460,
    'bytes',
    'Largest CONNECT, and largest packet of a client that has not logged in yet; a larger one ends the connection with 0x95.',
  ),
  propertyBytesMax: limit(
    64 * 1024,
    0,
    268_435_455,
    'bytes',
    'Properties of one packet, which become many small objects; more end the connection with 0x95.',
  ),
  nameBytesMax: limit(
    4 * 1024,
    23,
    65_535,
    'bytes',
    'Length of a Client Identifier (a longer one is refused with 0x85) and of a User Name (0x86).',
  ),
  filterBytesMax: limit(4 * 1024, 1, 65_535, 'bytes', 'Length of a Topic Filter; a longer one is refused with 0x8F.'),
  receiveMaximum: limit(
    1_000,
    1,
    65_535,
    'messages',
    'QoS 1 and 2 messages that an MQTT 5.0 client may have unacknowledged towards the broker.',
  ),
  inflightMax: limit(
    1_000,
    1,
    65_535,
    'messages',
    'QoS 1 and 2 messages sent to a client and not yet acknowledged; an MQTT 5.0 client may ask for fewer.',
  ),
  queueMessagesMax: limit(100_000, 0, UNLIMITED, 'messages', 'QoS 1 and 2 messages waiting for one session.'),
  queueBytesMax: limit(
    64 * MiB,
    0,
    UNLIMITED,
    'bytes',
    'Bytes of topics, payloads and properties waiting for one session.',
  ),
  anonymousQueueMessagesMax: limit(
    10_000,
    0,
    UNLIMITED,
    'messages',
    'Like queueMessagesMax, of a session whose client has given no User Name.',
  ),
  anonymousQueueBytesMax: limit(
    16 * MiB,
    0,
    UNLIMITED,
    'bytes',
    'Like queueBytesMax, of a session whose client has given no User Name.',
  ),
  storedBytesMax: limit(
    1024 * MiB,
    MiB,
    UNLIMITED,
    'bytes',
    'Messages that wait on disk for all sessions together; one that waits for several sessions counts once. Above half of the limit no session may have more than what is free.',
  ),
  memoryQueueBytesMax: limit(
    128 * MiB,
    MiB,
    UNLIMITED,
    'bytes',
    'Messages in memory that wait or are in flight, of all sessions together. Above half of the limit queues of durable sessions stay on disk, and no other session may have more than what is free.',
  ),
  inflightBytesMax: limit(
    4 * MiB,
    1,
    UNLIMITED,
    'bytes',
    'Messages in flight to one client that may have to be sent again; one is always sent, whatever its size.',
  ),
  unfinishedBytesMax: limit(
    64 * MiB,
    64 * 1024,
    UNLIMITED,
    'bytes',
    'Packets that have not arrived completely, of all connections together. Above the limit the connection whose packet has been incomplete for longest is ended.',
  ),
  outputTotalBytesMax: limit(
    64 * MiB,
    64 * 1024,
    UNLIMITED,
    'bytes',
    'Bytes waiting for all slow readers together. Above half of the limit no client has more than what is free, except 16 KiB and one message.',
  ),
  sessionBytesMax: limit(
    256 * MiB,
    MiB,
    UNLIMITED,
    'bytes',
    'Memory of sessions with their names and Topic Filters. Above three quarters of the limit no new session is kept beyond its connection (0x97).',
  ),
  willBytesMax: limit(
    64 * MiB,
    0,
    UNLIMITED,
    'bytes',
    'Wills of all clients. Above half of the limit only small ones are accepted, others are refused with 0x97.',
  ),
  outputBytesMax: limit(
    MiB,
    1024,
    UNLIMITED,
    'bytes',
    'Bytes waiting for a slow reader behind the message that is being written. Above the limit QoS 0 is dropped and counted, QoS 1 and 2 wait in the queue.',
  ),
  topicBytesMax: limit(
    65_535,
    1,
    65_535,
    'bytes',
    'Length of a Topic Name; a message with a longer one is refused with 0x90.',
  ),
  topicLevelsMax: limit(
    201,
    1,
    65_536,
    'levels',
    'Levels of a Topic Name or Topic Filter. 201 levels have 200 slashes, the limit of Mosquitto; 65,536 are the most that fit.',
  ),
  subscriptionsMax: limit(
    10_000,
    1,
    UNLIMITED,
    'subscriptions',
    'Subscriptions of one session. Above the limit SUBACK says 0x97 Quota exceeded.',
  ),
  retainedMessagesMax: limit(
    1_000_000,
    0,
    UNLIMITED,
    'messages',
    'Retained messages of the broker; 0: retain is not available.',
  ),
  retainedBytesMax: limit(
    256 * MiB,
    0,
    UNLIMITED,
    'bytes',
    'Bytes of topics, payloads and properties of all retained messages, with 512 more for each.',
  ),
  sessionsMax: limit(
    1_000_000,
    1,
    UNLIMITED,
    'sessions',
    'Sessions, connected or not. A CONNECT that would make one more is refused with 0x97.',
  ),
  connectTimeoutMs: limit(
    20_000,
    10,
    3_600_000,
    'milliseconds',
    'Time from the opened connection to a complete CONNECT, and for each further step of an authentication by AUTH.',
  ),
  keepAliveSecondsMax: limit(
    65_535,
    0,
    65_535,
    'seconds',
    'Longest Keep Alive. With 65535 a client may also have none. MQTT 5.0 clients are told by Server Keep Alive, others are refused.',
  ),
  sessionExpirySecondsMax: limit(
    2_592_000,
    0,
    0xffff_ffff,
    'seconds',
    'Longest Session Expiry Interval, by default 30 days; with 4294967295 a session never expires. Clients of 3.1.1 with Clean Session 0 get this one.',
  ),
  topicAliasMaximum: limit(
    10,
    0,
    65_535,
    'aliases',
    'Topic Aliases that an MQTT 5.0 client may use towards the broker.',
  ),
  aliasBytesMax: limit(
    32 * MiB,
    0,
    UNLIMITED,
    'bytes',
    'Topics of the Topic Aliases of all clients, two bytes for a character. Above half of the limit no client may have more than what is free, except 2,048 bytes; a client that goes on is disconnected with 0x97.',
  ),
  topicAliasSendMax: limit(
    10,
    0,
    65_535,
    'aliases',
    'Topic Aliases that the broker uses towards a client, if the client allows as many.',
  ),
  maximumQoS: limit(2, 0, 2, 'QoS', 'Highest QoS of a PUBLISH and of a granted subscription.'),
  routeCacheMax: limit(65_536, 0, UNLIMITED, 'topics', 'Topic Names whose matching subscribers are remembered.'),
  routeCacheBytesMax: limit(
    64 * MiB,
    0,
    UNLIMITED,
    'bytes',
    'Memory for remembered topics and their subscribers. A topic with many subscribers costs more; when the memory is used up, all are forgotten.',
  ),
  controlPacketBytesMax: limit(
    512 * 1024,
    1024,
    268_435_460,
    'bytes',
    'Largest packet other than PUBLISH of a client that has logged in: its filters become many small objects. A larger one ends the connection with 0x95.',
  ),
  packetFiltersMax: limit(
    10_000,
    1,
    UNLIMITED,
    'Topic Filters',
    'Topic Filters of one SUBSCRIBE or UNSUBSCRIBE. More end the connection with 0x97 Quota exceeded, and nothing is done of the packet.',
  ),
  subscriptionsTotalMax: limit(
    10_000_000,
    1,
    UNLIMITED,
    'subscriptions',
    'Subscriptions of all sessions together. Above the limit SUBACK says 0x97 Quota exceeded.',
  ),
  memoryBytesMax: limit(
    UNLIMITED,
    64 * MiB,
    UNLIMITED,
    'bytes',
    'Memory of the process, as V8 counts it. Above 80 % of the limit no new work is begun, above 90 % no more data is kept, at 100 % the connections that hold most are closed. Default: no limit.',
  ),
  pendingConnectionsMax: limit(
    10_000,
    1,
    UNLIMITED,
    'connections',
    'Open connections without a complete CONNECT. Above the limit the one that has waited longest is closed.',
  ),
  connectionsPerAddressMax: limit(
    UNLIMITED,
    1,
    UNLIMITED,
    'connections',
    'Open connections from one IPv4 address, or one /64 of IPv6. More are closed at once. Default: no limit.',
  ),
  messagesPerSecondMax: limit(
    UNLIMITED,
    1,
    UNLIMITED,
    'messages per second',
    'PUBLISH, PINGREQ and AUTH, and each Topic Filter of SUBSCRIBE and UNSUBSCRIBE, of one client, with bursts of one second. Above the limit the client is not read for a while. Default: no limit.',
  ),
  bytesPerSecondMax: limit(
    UNLIMITED,
    1,
    UNLIMITED,
    'bytes per second',
    'Bytes from one client, with bursts of one second. Above the limit the client is not read for a while. Default: no limit.',
  ),
  rateGraceMs: limit(
    60_000,
    0,
    UNLIMITED,
    'milliseconds',
    'Time after which a client that its rate limits have held back, without a pause of one second, is disconnected with 0x96.',
  ),
  listenerMessagesPerSecondMax: limit(
    UNLIMITED,
    1,
    UNLIMITED,
    'messages per second',
    'Like messagesPerSecondMax, of all clients of a listener together. They take turns. Default: no limit.',
  ),
  listenerBytesPerSecondMax: limit(
    UNLIMITED,
    1,
    UNLIMITED,
    'bytes per second',
    'Like bytesPerSecondMax, of all clients of a listener together. They take turns. Default: no limit.',
  ),
  listenerConnectionsPerSecondMax: limit(
    UNLIMITED,
    1,
    UNLIMITED,
    'connections per second',
    'New connections of a listener. Above the limit they are not read at first; those that would wait for more than half the connect timeout are closed. Default: no limit.',
  ),
  willGraceMs: limit(
    0,
    0,
    86_400_000,
    'milliseconds',
    'Time after a start in which no Will is published, so that clients can come back that were connected when the broker ended.',
  ),
  delayedMessagesMax: limit(
    100_000,
    1,
    UNLIMITED,
    'messages',
    'Messages to `$delayed/…` that wait, of all clients. From half of it on no client may have more than what is free: 0x97.',
  ),
  delayedBytesMax: limit(
    64 * MiB,
    1024,
    UNLIMITED,
    'bytes',
    'Topics, payloads and properties of those messages, and 512 bytes for each. From half of it on no client may have more than what is free: 0x97.',
  ),
  delaySecondsMax: limit(
    4_294_967,
    1,
    0xffff_ffff,
    'seconds',
    'Longest delay of a message to `$delayed/…`, by default 49 days as in EMQX: 0x97.',
  ),
}

/** A value for every limit, in the unit of `limitTable`. */
export type Limits = Record<LimitName, number>

/**
 * Fills in defaults and checks bounds.
 * @throws MqttError ERR_MQTT_LIMIT for an unknown name or a value that is not a whole number within its bounds.
 */
export function resolveLimits(chosen: Partial<Limits> = {}): Limits {
  // A copy of the table whose values are replaced: an object that is filled name by name becomes a hash table in V8, and
  // every limit that is read for a message a search in it.
  const limits = { ...limitTable } as Record<LimitName, unknown> as Limits
  for (const [name, { default: value }] of Object.entries(limitTable)) limits[name as LimitName] = value
  for (const [name, value] of Object.entries(chosen)) {
    const known = (limitTable as Record<string, Limit | undefined>)[name]
    if (known === undefined)
      throw new MqttError(
        'ERR_MQTT_LIMIT',
        `There is no limit "${name}"; the limits are ${Object.keys(limitTable).join(', ')}.`,
      )
    if (value === undefined) continue
    if (!Number.isInteger(value) || value < known.min || value > known.max) {
      throw new MqttError(
        'ERR_MQTT_LIMIT',
        `The limit ${name} is ${value}; it must be a whole number of ${known.unit} from ${known.min} to ${known.max}.`,
      )
    }
    limits[name as LimitName] = value
  }
  return limits
}
