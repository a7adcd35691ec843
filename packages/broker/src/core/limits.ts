/**
 * The limits of a broker: every queue, map, buffer and size has one, with a default. One table, `limitTable`, gives
 * name, default, least and greatest value, unit and meaning; `resolveLimits` checks an embedder's choice against it.
 *
 * A slow or hostile peer can hurt only itself: what goes over a limit is refused with a Reason Code or dropped and
 * counted (`metrics.ts`), never kept without bound.
 */
import { MqttError } from '@recado/protocol'

export interface Limit {
  readonly default: number
  readonly min: number
  readonly max: number
  readonly unit: string
  readonly doc: string
}

const limit = (defaultValue: number, min: number, max: number, unit: string, doc: string): Limit => ({
  default: defaultValue,
  min,
  max,
  unit,
  doc,
})
const MiB = 1024 * 1024
const UNLIMITED = Number.MAX_SAFE_INTEGER

export type LimitName =
  | 'connectionsMax'
  | 'packetBytesMax'
  | 'receiveMaximum'
  | 'inflightMax'
  | 'queueMessagesMax'
  | 'queueBytesMax'
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
  | 'topicAliasSendMax'
  | 'maximumQoS'
  | 'routeCacheMax'

/** Name, default, bounds, unit and meaning of every limit. */
export const limitTable: Readonly<Record<LimitName, Limit>> = {
  connectionsMax: limit(
    100_000,
    1,
    UNLIMITED,
    'connections',
    'Open connections. A CONNECT over it is refused with 0x89 Server busy.',
  ),
  packetBytesMax: limit(
    268_435_460,
    64,
    268_435_460,
    'bytes',
    'Largest packet that a client may send; announced as Maximum Packet Size when lowered.',
  ),
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
  queueBytesMax: limit(64 * MiB, 0, UNLIMITED, 'bytes', 'Topic and payload bytes waiting for one session.'),
  outputBytesMax: limit(
    MiB,
    1024,
    UNLIMITED,
    'bytes',
    'Bytes waiting for a slow reader. Over it QoS 0 is dropped and counted, QoS 1 and 2 wait in the queue.',
  ),
  topicBytesMax: limit(65_535, 1, 65_535, 'bytes', 'Length of a Topic Name or Topic Filter.'),
  topicLevelsMax: limit(200, 1, 65_536, 'levels', 'Levels of a Topic Name or Topic Filter.'),
  subscriptionsMax: limit(
    10_000,
    1,
    UNLIMITED,
    'subscriptions',
    'Subscriptions of one session. Over it SUBACK says 0x97 Quota exceeded.',
  ),
  retainedMessagesMax: limit(
    1_000_000,
    0,
    UNLIMITED,
    'messages',
    'Retained messages of the broker; 0: retain is not available.',
  ),
  retainedBytesMax: limit(1024 * MiB, 0, UNLIMITED, 'bytes', 'Topic and payload bytes of all retained messages.'),
  sessionsMax: limit(
    1_000_000,
    1,
    UNLIMITED,
    'sessions',
    'Sessions, connected or not. A CONNECT that would make one more is refused with 0x97.',
  ),
  connectTimeoutMs: limit(
    10_000,
    10,
    3_600_000,
    'milliseconds',
    'From the opened connection to a complete CONNECT, and for each further step of an authentication by AUTH.',
  ),
  keepAliveSecondsMax: limit(
    65_535,
    0,
    65_535,
    'seconds',
    'Longest Keep Alive. 65535: also none at all. MQTT 5.0 clients are told by Server Keep Alive, others refused.',
  ),
  sessionExpirySecondsMax: limit(
    0xffff_ffff,
    0,
    0xffff_ffff,
    'seconds',
    'Longest Session Expiry Interval; 4294967295: never expires. Clean Session 0 of 3.1.1 gets this one.',
  ),
  topicAliasMaximum: limit(
    10,
    0,
    65_535,
    'aliases',
    'Topic Aliases that an MQTT 5.0 client may use towards the broker.',
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
}

/** A value for every limit, in the unit of `limitTable`. */
export type Limits = Record<LimitName, number>

/**
 * Fills in defaults and checks bounds.
 * @throws MqttError ERR_MQTT_LIMIT for an unknown name or a value that is not a whole number within its bounds.
 */
export function resolveLimits(chosen: Partial<Limits> = {}): Limits {
  const limits = {} as Limits
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
