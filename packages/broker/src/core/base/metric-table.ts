/**
 * The table of everything that a broker counts: name, kind, unit and meaning of each counter and gauge.
 *
 * `Metrics` holds the numbers, `Core.snapshot` reads them; `docs/metrics.md` is made of this table, and so is whatever
 * publishes them ($SYS, an HTTP endpoint). The invariants: a name that has been released keeps its meaning; each name of a
 * snapshot has an entry here and each entry is in every snapshot; every number is maintained where it changes, so that a
 * snapshot costs the same however many clients there are.
 */
import type { DropReason } from '../../ports.ts'
import type { Metrics } from './metrics.ts'

/** A `counter` only ever grows while the broker runs, a `gauge` says how much there is now. */
export type MetricKind = 'counter' | 'gauge'

/** Kind, unit and meaning of a metric. */
export interface Metric {
  readonly kind: MetricKind
  /** Unit in the plural, as in `messages` or `bytes`. */
  readonly unit: string
  readonly help: string
}

/** Numbers that are fields of `Metrics`. */
type FieldName = { [Name in keyof Metrics]: Metrics[Name] extends number ? Name : never }[keyof Metrics]
/** Gauges that are kept by the owner of the measured thing; `Core.snapshot` asks it. */
export type OwnedGaugeName =
  | 'storedBytes'
  | 'storeLagMs'
  | 'memoryBytes'
  | 'unfinishedBytes'
  | 'aliasBytes'
  | 'willBytes'
export type DroppedMetricName = `dropped.${DropReason}`
/** Name of a metric: see `metricTable`. */
export type MetricName = FieldName | OwnedGaugeName | DroppedMetricName

/** The numbers of one moment, by name. A name that is only known at run time may be absent. */
export type MetricValues = Record<MetricName, number> & Record<string, number>

const counter = (unit: string, help: string): Metric => ({ kind: 'counter', unit, help })
const gauge = (unit: string, help: string): Metric => ({ kind: 'gauge', unit, help })
const dropped = (help: string): Metric => counter('messages', `Messages that did not reach a subscriber: ${help}`)

/** Name, kind, unit and meaning of every metric. */
export const metricTable: Readonly<Record<MetricName, Metric>> = {
  connectionsOpened: counter('connections', 'Network connections that were accepted.'),
  connectionsClosed: counter('connections', 'Network connections that have ended.'),
  connectionsRefused: counter('connections', 'Connections that ended before they had a successful CONNACK.'),
  connectionsRefusedByRate: counter(
    'connections',
    'Connections that were refused over the limit listenerConnectionsPerSecondMax.',
  ),
  connectionsRefusedByAddress: counter(
    'connections',
    'Connections that were refused over the limit connectionsPerAddressMax.',
  ),
  connectionsEvicted: counter(
    'connections',
    'Connections that were closed without a CONNECT because newer ones needed the room (pendingConnectionsMax).',
  ),
  connectionsShed: counter('connections', 'Connections that were closed because memory was short (memoryBytesMax).'),
  namesTooLong: counter(
    'connections',
    'CONNECT packets that were refused because a Client Identifier or User Name was over its limit.',
  ),
  refusedForMemory: counter('packets', 'CONNECT and SUBSCRIBE packets that were refused because memory was short.'),
  refusedForSessions: counter('packets', 'CONNECT packets that were refused over the limit sessionBytesMax.'),
  refusedForWills: counter('packets', 'CONNECT packets that were refused over the limit willBytesMax.'),
  protocolErrors: counter('connections', 'Connections that were ended because the peer had violated the protocol.'),
  packetsTooLarge: counter(
    'connections',
    'Connections that were ended because a packet or its properties were over a limit of size (0x95).',
  ),
  keepAliveTimeouts: counter('connections', 'Clients that were disconnected because their Keep Alive was over.'),
  rateHolds: counter(
    'pauses',
    'Pauses in which a client was not read because the client or its listener was over a rate limit.',
  ),
  rateDisconnects: counter('connections', 'Clients that were disconnected over a rate limit (0x96).'),
  unfinishedGivenUp: counter(
    'connections',
    'Connections that were ended because packets that were not complete took too much memory (unfinishedBytesMax).',
  ),
  aliasesGivenUp: counter(
    'connections',
    'Connections that were ended because the topics of all Topic Aliases took too much memory (aliasBytesMax).',
  ),
  sessionsTakenOver: counter('sessions', 'Sessions that a new connection with the same Client Identifier took over.'),
  sessionsExpired: counter('sessions', 'Sessions that ended because their Session Expiry Interval was over.'),
  subscriptionsRefused: counter('subscriptions', 'Topic Filters of SUBSCRIBE packets that were refused.'),
  subscriptionsWithdrawn: counter(
    'subscriptions',
    'Subscriptions that ended because their client is not allowed to have them any more.',
  ),
  subscriptionsAutomatic: counter(
    'subscriptions',
    'Subscriptions that the broker has made for clients (autoSubscriptions).',
  ),
  topicsRewritten: counter('topics', 'Topic Names and Topic Filters of clients that were rewritten (topicRewrites).'),
  birthsKept: counter('messages', 'Birth certificates of Sparkplug that were kept (sparkplugAware).'),
  bytesReceived: counter('bytes', 'Bytes received from all connections.'),
  bytesSent: counter('bytes', 'Bytes sent to all connections.'),
  packetsReceived: counter('packets', 'MQTT packets of all kinds that were received.'),
  packetsSent: counter('packets', 'MQTT packets of all kinds that were sent.'),
  connectsReceived: counter('packets', 'CONNECT packets that were received.'),
  messagesReceived: counter('messages', 'PUBLISH packets that were received.'),
  messagesSent: counter('messages', 'PUBLISH packets that were sent.'),
  payloadBytesReceived: counter('bytes', 'Payload bytes of the PUBLISH packets that were received.'),
  payloadBytesSent: counter('bytes', 'Payload bytes of the PUBLISH packets that were sent.'),
  duplicatesReceived: counter('messages', 'QoS 2 messages that came again and were not delivered a second time.'),
  unknownPacketIds: counter('packets', 'Acknowledgements whose Packet Identifier was not in use.'),
  willsPublished: counter('messages', 'Wills that were published.'),
  delayedPublished: counter('messages', 'Delayed messages whose time has come, and that were published.'),
  coreFaults: counter('faults', 'Errors of the broker itself: each should be reported (event core.failed).'),
  storeBatches: counter('batches', 'Batches that the store has made safe.'),
  storeRows: counter('rows', 'Rows that were written or removed in those batches.'),
  storeMs: counter('milliseconds', 'Time from the beginning of each of those batches until it was safe, summed up.'),
  'dropped.queue-full': dropped('the queue of its session was full (queueMessagesMax, queueBytesMax).'),
  'dropped.queues-full': dropped('all queues together were full (storedBytesMax, memoryQueueBytesMax).'),
  'dropped.slow-reader': dropped('QoS 0, and the client reads too slowly (outputBytesMax).'),
  'dropped.packet-too-large': dropped('larger than the Maximum Packet Size of the client, or than MQTT allows.'),
  'dropped.disallowed-code-point': dropped(
    'a control character in its topic or properties (allow_control_characters).',
  ),
  'dropped.expired': dropped('the Message Expiry Interval was over; retained messages count as well.'),
  'dropped.session-ended': dropped('the session ended while the message waited in it.'),
  'dropped.drained': dropped('an operator has emptied the queue of its session.'),
  'dropped.retained-limit': dropped('not retained, over retainedMessagesMax or retainedBytesMax.'),
  'dropped.not-authorized': dropped('the publisher may not publish it, or the subscriber may not receive it.'),
  'dropped.offline-qos0': dropped('QoS 0, and the client was away, or may have had it before a crash.'),
  'dropped.topic-over-limit': dropped('its topic was over topicBytesMax or topicLevelsMax.'),
  'dropped.payload-over-limit': dropped('its payload was over payloadBytesMax.'),
  'dropped.store-failed': dropped('the store did not write.'),
  'dropped.memory-full': dropped('memory was short (memoryBytesMax).'),
  'dropped.delayed-limit': dropped(
    'published to $delayed/…, and over delayedMessagesMax, delayedBytesMax or delaySecondsMax.',
  ),
  'dropped.withheld': dropped('the hook transform of the embedding program has left it out, or has failed.'),
  'dropped.refused-by-remote': dropped('the remote broker of a bridge has refused it.'),
  'dropped.loop': dropped('it came by a bridge, and had been here before.'),
  connections: gauge('connections', 'Open network connections, those without a CONNECT included.'),
  clients: gauge('clients', 'Connected clients.'),
  clientsMax: gauge('clients', 'Largest number of connected clients since the broker started.'),
  sessions: gauge('sessions', 'Sessions, of connected clients and of those that are away.'),
  sessionBytes: gauge('bytes', 'Memory of all sessions and subscriptions, as sessionBytesMax counts it.'),
  subscriptions: gauge('subscriptions', 'Subscriptions of all sessions, shared ones included.'),
  sharedSubscriptions: gauge('subscriptions', 'Shared Subscriptions, each member counted.'),
  retainedMessages: gauge('messages', 'Retained messages.'),
  retainedBytes: gauge('bytes', 'Topics, payloads and properties of the retained messages.'),
  delayedMessages: gauge('messages', 'Messages to $delayed/… that wait for their time.'),
  delayedBytes: gauge('bytes', 'Memory of those messages, as delayedBytesMax counts them.'),
  queuedMessages: gauge('messages', 'Messages that wait in the queues of sessions, each as often as it waits.'),
  queuedBytes: gauge('bytes', 'Topics, payloads and properties of the messages in the queues of sessions.'),
  inflight: gauge('messages', 'QoS 1 and 2 messages that were sent and are not acknowledged to the end.'),
  slowReaders: gauge('connections', 'Connections that have not yet read a write.'),
  outputBytes: gauge('bytes', 'Bytes that wait for slow readers, as they were counted last (outputTotalBytesMax).'),
  storedBytes: gauge('bytes', 'Messages in the store, as storedBytesMax counts them; 0 without a store.'),
  storeLagMs: gauge(
    'milliseconds',
    'Age of the oldest batch that has begun and is not safe yet; 0 when all are safe, and without a store.',
  ),
  memoryBytes: gauge('bytes', 'Messages in memory that sessions wait for, as memoryQueueBytesMax counts them.'),
  unfinishedBytes: gauge('bytes', 'Packets that are not complete yet, as unfinishedBytesMax counts them.'),
  aliasBytes: gauge('bytes', 'Topics of all Topic Aliases of clients, as aliasBytesMax counts them.'),
  willBytes: gauge('bytes', 'Wills of connected clients and those that wait, as willBytesMax counts them.'),
  memoryLevel: gauge('level', 'Nearness of the memory ceiling: 0 is far, 3 is over it.'),
}

const DROPPED = 'dropped.'
const metricNames = Object.keys(metricTable) as MetricName[]

/** The numbers of now, in the order of `metricTable`. `owned`: those that are no fields of `Metrics`. */
export function readMetrics(metrics: Metrics, owned: Record<OwnedGaugeName, number>): MetricValues {
  const values = {} as MetricValues
  const fields = metrics as unknown as Record<string, number>
  const { dropped } = metrics as { dropped: Record<string, number> }
  for (const name of metricNames) {
    const isDropped = name.startsWith(DROPPED)
    values[name] = isDropped ? dropped[name.slice(DROPPED.length)]! : (fields[name] ?? owned[name as OwnedGaugeName])
  }
  return values
}
