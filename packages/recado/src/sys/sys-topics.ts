/**
 * The table of all `$SYS` topics with a value: names, meaning, and source of the number.
 *
 * `sys-tree.ts` publishes it, docs/sys-topics.md is made from it. Invariants: the names and text forms up to
 * `$SYS/broker/recado/` are those of Mosquitto 2.1; our own topics are below `$SYS/broker/recado/`; nothing here is
 * counted for `$SYS` alone, it is read when it is due.
 */
import { type MetricValues, metricTable } from '@recado/broker'
import type { Vitals } from './vitals.ts'

/** Figures that values are made from. */
export interface Reading {
  readonly metrics: MetricValues
  readonly vitals: Vitals
  /** Counters at the previous reading. */
  readonly before: MetricValues
  /** Largest number of sessions so far. */
  readonly sessionsMax: number
  readonly heapBytesMax: number
}

export interface SysTopic {
  /** Names: the first one, and aliases under which the same number is published. */
  readonly names: readonly string[]
  readonly help: string
  /** Value as text; null when there is none now, and the topic stays as it is. */
  readonly value: (reading: Reading) => string | null
  /** Whether it exists only where messages are kept on the disk. */
  readonly isOfStore?: boolean
}

export interface LoadTopic {
  /** Name without the window: `messages/received`. */
  readonly name: string
  readonly help: string
  readonly count: (metrics: MetricValues) => number
}

export const VERSION_TOPIC = '$SYS/broker/version'
export const UPTIME_TOPIC = '$SYS/broker/uptime'
const OURS = '$SYS/broker/recado'

const whole = (value: number): string => String(Math.round(value))

function mosquitto(name: string, help: string, value: (reading: Reading) => number, alias?: string): SysTopic {
  const names = [name, ...(alias === undefined ? [] : [alias])].map((each) => `$SYS/broker/${each}`)
  return { names, help, value: (reading) => whole(value(reading)) }
}

const metric = (name: string, help: string, which: keyof MetricValues & string): SysTopic =>
  mosquitto(name, help, ({ metrics }) => metrics[which]!)

/** Reasons of drops for want of room, which Mosquitto counts as dropped. */
const OF_ROOM = ['queue-full', 'queues-full', 'slow-reader', 'packet-too-large', 'memory-full', 'store-failed'] as const

function dropped(metrics: MetricValues): number {
  let sum = 0
  for (const reason of OF_ROOM) sum += metrics[`dropped.${reason}`]
  return sum
}

const mosquittosTopics: readonly SysTopic[] = [
  metric('clients/total', 'Clients that are connected, and those that are away and have a session.', 'sessions'),
  mosquitto('clients/maximum', 'The largest `clients/total` so far, looked at each time.', (r) => r.sessionsMax),
  mosquitto(
    'clients/disconnected',
    'Clients that are away and have a session.',
    ({ metrics }) => Math.max(0, metrics.sessions - metrics.clients),
    'clients/inactive',
  ),
  mosquitto('clients/connected', 'Connected clients.', (r) => r.metrics.clients, 'clients/active'),
  metric('clients/expired', 'Sessions whose Session Expiry Interval was over.', 'sessionsExpired'),
  mosquitto(
    'messages/stored',
    'Messages that are kept: retained ones, those that wait in queues (for each session that they wait for), and those in flight.',
    ({ metrics }) => metrics.retainedMessages + metrics.queuedMessages + metrics.inflight,
    'store/messages/count',
  ),
  mosquitto(
    'store/messages/bytes',
    'Bytes of the retained messages and of those in queues.',
    ({ metrics }) => metrics.retainedBytes + metrics.queuedBytes,
  ),
  metric('subscriptions/count', 'Subscriptions, shared ones included.', 'subscriptions'),
  metric('shared_subscriptions/count', 'Shared Subscriptions.', 'sharedSubscriptions'),
  metric('retained messages/count', 'Retained messages, those of `$SYS` included.', 'retainedMessages'),
  mosquitto('heap/current', 'Bytes of memory that JavaScript uses, buffers included.', (r) => r.vitals.heapBytes),
  mosquitto('heap/maximum', 'The largest `heap/current` so far, looked at each time.', (r) => r.heapBytesMax),
  metric('messages/received', 'Packets of all kinds that were received.', 'packetsReceived'),
  metric('messages/sent', 'Packets of all kinds that were sent.', 'packetsSent'),
  metric('bytes/received', 'Bytes received.', 'bytesReceived'),
  metric('bytes/sent', 'Bytes sent.', 'bytesSent'),
  metric('publish/messages/received', 'PUBLISH packets that were received.', 'messagesReceived'),
  metric('publish/messages/sent', 'PUBLISH packets that were sent.', 'messagesSent'),
  mosquitto(
    'publish/messages/dropped',
    'Messages that did not reach a subscriber for want of room: queues, slow readers, packet size, memory, disk. All reasons are below `recado/dropped/`.',
    ({ metrics }) => dropped(metrics),
  ),
  metric('publish/bytes/received', 'Payload bytes of PUBLISH packets that were received.', 'payloadBytesReceived'),
  metric('publish/bytes/sent', 'Payload bytes of PUBLISH packets that were sent.', 'payloadBytesSent'),
  metric('packet/out/count', 'Writes that clients have not read yet (in Mosquitto: packets).', 'slowReaders'),
  metric('packet/out/bytes', 'Bytes that wait for those clients.', 'outputBytes'),
  metric('connections/socket/count', 'Network connections that were accepted so far.', 'connectionsOpened'),
]

const ours = (name: string, help: string, value: (reading: Reading) => number | null, digits = 0): SysTopic => ({
  names: [`${OURS}/${name}`],
  help,
  value: (reading) => value(reading)?.toFixed(digits) ?? null,
})

const ofStore = (...parameters: Parameters<typeof ours>): SysTopic => ({ ...ours(...parameters), isOfStore: true })

/** Increase of a counter since the previous reading. */
const since = ({ metrics, before }: Reading, name: 'storeBatches' | 'storeRows' | 'storeMs'): number =>
  metrics[name] - before[name]

function perBatch(reading: Reading, name: 'storeRows' | 'storeMs'): number {
  const batches = since(reading, 'storeBatches')
  return batches === 0 ? 0 : since(reading, name) / batches
}

const DROPPED = 'dropped.'

const ourTopics: readonly SysTopic[] = [
  ...Object.entries(metricTable).flatMap(([name, { help }]) =>
    name.startsWith(DROPPED) ? [ours(`dropped/${name.slice(DROPPED.length)}`, help, (r) => r.metrics[name]!)] : [],
  ),
  ours('delayed/messages', 'Messages to `$delayed/…` that wait for their time.', (r) => r.metrics.delayedMessages),
  ours('delayed/bytes', 'Bytes of memory that they take.', (r) => r.metrics.delayedBytes),
  ours('delayed/published', 'Those whose time has come.', (r) => r.metrics.delayedPublished),
  ofStore('store/batches', 'Batches that were made safe on the disk.', (r) => r.metrics.storeBatches),
  ofStore('store/rows', 'Rows that were written or removed in them.', (r) => r.metrics.storeRows),
  ofStore('store/batch/rows', 'Rows of a batch, on average since the last update.', (r) => perBatch(r, 'storeRows'), 2),
  ofStore(
    'store/batch/milliseconds',
    'Time until a batch was safe, on average since the last update: what an acknowledgement waits for.',
    (r) => perBatch(r, 'storeMs'),
    2,
  ),
  ofStore(
    'store/lag',
    'Milliseconds for which the oldest batch that has begun has not been safe. Grows while the disk does not write.',
    (r) => r.metrics.storeLagMs,
  ),
  ofStore('store/messages', 'Bytes of messages that wait for sessions in the store.', (r) => r.metrics.storedBytes),
  ofStore('store/file', 'Bytes of the data file.', (r) => r.vitals.disk?.fileBytes ?? null),
  ofStore('store/free', 'Bytes that are free on its disk.', (r) => r.vitals.disk?.freeBytes ?? null),
  ours(
    'event-loop/delay/mean',
    'How late the event loop was, in milliseconds, on average since the last update.',
    (r) => r.vitals.eventLoop.meanMs,
    2,
  ),
  ours('event-loop/delay/p99', 'The same: what 99 of 100 stayed below.', (r) => r.vitals.eventLoop.p99Ms, 2),
  ours('event-loop/delay/maximum', 'The same: the largest.', (r) => r.vitals.eventLoop.maxMs, 2),
  ours(
    'event-loop/utilization',
    'Share of the time since the last update in which the event loop was busy: 1.00 is all of it.',
    (r) => r.vitals.eventLoop.utilization,
    2,
  ),
  ours('memory/resident', 'Bytes of memory that the process has.', (r) => r.vitals.residentBytes),
  ours('memory/level', 'How near `memory_limit` is: 0 is far, 3 is over it.', (r) => r.metrics.memoryLevel),
]

/** Every topic but version, uptime and load averages. */
export const sysTopics: readonly SysTopic[] = [...mosquittosTopics, ...ourTopics]

const load = (name: string, help: string, count: LoadTopic['count']): LoadTopic => ({ name, help, count })

/** Topics below `$SYS/broker/load/`, each with `1min`, `5min` and `15min`. */
export const loadTopics: readonly LoadTopic[] = [
  load('messages/received', 'Packets of all kinds that are received, each minute.', (m) => m.packetsReceived),
  load('messages/sent', 'Packets of all kinds that are sent.', (m) => m.packetsSent),
  load('publish/received', 'PUBLISH packets that are received.', (m) => m.messagesReceived),
  load('publish/sent', 'PUBLISH packets that are sent.', (m) => m.messagesSent),
  load('publish/dropped', 'Messages that are dropped, as `publish/messages/dropped` counts.', dropped),
  load('bytes/received', 'Bytes that are received.', (m) => m.bytesReceived),
  load('bytes/sent', 'Bytes that are sent.', (m) => m.bytesSent),
  load('sockets', 'Network connections that are accepted.', (m) => m.connectionsOpened),
  load('connections', 'CONNECT packets that are received.', (m) => m.connectsReceived),
]
