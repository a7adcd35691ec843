/**
 * The options against hostile and careless peers (our own, and `memory_limit`), as limits of `@recado/broker`.
 *
 * `config.ts` calls it once for the broker and once for each listener. Invariant: 0 in a file means no limit, and is
 * passed on as none.
 */
import { type LimitName, type Limits, type ListenerSettings, limitTable } from '@recado/broker'
import { defaultMemoryBytes } from './machine.ts'

/** Function that returns the value of an option, its default if it is not given. */
type NumberOf = (name: string) => number

const UNLIMITED = Number.MAX_SAFE_INTEGER
/**
 * Smallest `memory_limit` in bytes: below it the limit would refuse everything. A broker without clients needs less.
 */
const MEMORY_BYTES_MIN = 64 * 1024 * 1024

/** Limits of sizes with a greatest value of their own, which 0 stands for. */
const sizeOptions: readonly (readonly [option: string, limit: LimitName])[] = [
  ['max_connect_size', 'connectBytesMax'],
  ['max_property_size', 'propertyBytesMax'],
  ['max_control_size', 'controlPacketBytesMax'],
  ['max_clientid_size', 'nameBytesMax'],
  ['max_filter_size', 'filterBytesMax'],
  ['max_topic_levels', 'topicLevelsMax'],
]

/** Limits that 0 turns off; those in memory are by default no more than this share of `memory_limit`. */
const totalOptions: readonly (readonly [option: string, limit: LimitName, share?: number])[] = [
  ['max_packet_filters', 'packetFiltersMax'],
  ['max_inflight_bytes', 'inflightBytesMax'],
  ['max_stored_bytes', 'storedBytesMax'],
  ['max_memory_queued_bytes', 'memoryQueueBytesMax', 1 / 4],
  ['max_retained_messages', 'retainedMessagesMax'],
  ['max_retained_bytes', 'retainedBytesMax', 1 / 4],
  ['max_will_bytes', 'willBytesMax', 1 / 16],
  ['max_delayed_messages', 'delayedMessagesMax'],
  ['max_delayed_bytes', 'delayedBytesMax', 1 / 16],
  ['max_alias_bytes', 'aliasBytesMax', 1 / 32],
  ['max_session_bytes', 'sessionBytesMax', 1 / 4],
  ['max_unfinished_bytes', 'unfinishedBytesMax', 1 / 8],
  ['max_output_bytes', 'outputTotalBytesMax', 1 / 8],
  ['max_client_output_bytes', 'outputBytesMax'],
]

/** Returns the limit behind an option of the whole broker, for options whose default depends on the memory. */
export function limitOf(option: string): LimitName | undefined {
  if (option === 'memory_limit') return 'memoryBytesMax'
  return totalOptions.find(([name]) => name === option)?.[1]
}

const orUnlimited = (value: number): number => (value === 0 ? UNLIMITED : value)

/** Limits of the broker. `isGiven` returns whether the option stands in the file. */
export function protectiveLimits(number: NumberOf, isGiven: (name: string) => boolean): Partial<Limits> {
  const memoryBytes = isGiven('memory_limit') ? number('memory_limit') : defaultMemoryBytes()
  const sizes: Partial<Limits> = {}
  for (const [option, limit] of sizeOptions) {
    const bytes = number(option)
    const { min, max } = limitTable[limit]
    sizes[limit] = bytes === 0 ? max : Math.max(min, bytes)
  }
  for (const [option, limit, share = 1] of totalOptions) {
    const isLowered = share < 1 && memoryBytes > 0 && !isGiven(option)
    const value = isLowered ? Math.min(number(option), Math.floor(memoryBytes * share)) : number(option)
    sizes[limit] = value === 0 ? UNLIMITED : Math.max(limitTable[limit].min, value)
  }
  // Limits of queues in Mosquitto's words apply to all clients.
  const anonymous = (own: string, ofAll: string): number => number(!isGiven(own) && isGiven(ofAll) ? ofAll : own)
  const messagesMax = anonymous('max_anonymous_queued_messages', 'max_queued_messages')
  sizes.anonymousQueueMessagesMax = orUnlimited(messagesMax)
  sizes.anonymousQueueBytesMax = orUnlimited(anonymous('max_anonymous_queued_bytes', 'max_queued_bytes'))
  return {
    ...sizes,
    subscriptionsMax: number('max_subscriptions'),
    connectionsPerAddressMax: orUnlimited(number('max_connections_per_address')),
    pendingConnectionsMax: number('max_pending_connections'),
    memoryBytesMax: memoryBytes === 0 ? UNLIMITED : Math.max(MEMORY_BYTES_MIN, memoryBytes),
  }
}

/** Limits of a listener that differ from the broker's defaults: a listener without any has no limits of its own. */
export function protectiveListenerLimits(number: NumberOf): NonNullable<ListenerSettings['limits']> {
  const all = {
    connectTimeoutMs: number('connect_timeout') * 1000,
    messagesPerSecondMax: orUnlimited(number('max_message_rate')),
    bytesPerSecondMax: orUnlimited(number('max_byte_rate')),
    rateGraceMs: number('rate_limit_grace') * 1000,
    listenerMessagesPerSecondMax: orUnlimited(number('listener_message_rate')),
    listenerBytesPerSecondMax: orUnlimited(number('listener_byte_rate')),
    listenerConnectionsPerSecondMax: orUnlimited(number('listener_connection_rate')),
  }
  return Object.fromEntries(
    Object.entries(all).filter(([name, value]) => value !== limitTable[name as LimitName].default),
  )
}
