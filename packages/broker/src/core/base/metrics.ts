/**
 * The counters and gauges of one broker. Plain numbers, incremented where the event happens. `metric-table.ts` has the
 * meaning and unit of each, and copies them (`readMetrics`).
 *
 * Nothing is dropped silently: every message that does not reach a subscriber counts once under its `DropReason`.
 */
import type { DropReason } from '../../ports.ts'

export class Metrics {
  // Counters.
  connectionsOpened = 0
  connectionsClosed = 0
  connectionsRefused = 0
  connectionsRefusedByRate = 0
  connectionsRefusedByAddress = 0
  connectionsEvicted = 0
  connectionsShed = 0
  namesTooLong = 0
  refusedForMemory = 0
  refusedForSessions = 0
  refusedForWills = 0
  protocolErrors = 0
  packetsTooLarge = 0
  keepAliveTimeouts = 0
  rateHolds = 0
  rateDisconnects = 0
  unfinishedGivenUp = 0
  aliasesGivenUp = 0
  sessionsTakenOver = 0
  sessionsExpired = 0
  subscriptionsRefused = 0
  subscriptionsWithdrawn = 0
  subscriptionsAutomatic = 0
  topicsRewritten = 0
  birthsKept = 0
  bytesReceived = 0
  bytesSent = 0
  packetsReceived = 0
  packetsSent = 0
  connectsReceived = 0
  messagesReceived = 0
  messagesSent = 0
  payloadBytesReceived = 0
  payloadBytesSent = 0
  duplicatesReceived = 0
  unknownPacketIds = 0
  willsPublished = 0
  delayedPublished = 0
  coreFaults = 0
  storeBatches = 0
  storeRows = 0
  storeMs = 0
  readonly dropped: Record<DropReason, number> = {
    'queue-full': 0,
    'queues-full': 0,
    'slow-reader': 0,
    'packet-too-large': 0,
    'disallowed-code-point': 0,
    expired: 0,
    'session-ended': 0,
    drained: 0,
    'retained-limit': 0,
    'not-authorized': 0,
    'offline-qos0': 0,
    'topic-over-limit': 0,
    'payload-over-limit': 0,
    'store-failed': 0,
    'memory-full': 0,
    'delayed-limit': 0,
    withheld: 0,
    'refused-by-remote': 0,
    loop: 0,
  }
  // Gauges.
  connections = 0
  clients = 0
  clientsMax = 0
  sessions = 0
  sessionBytes = 0
  subscriptions = 0
  sharedSubscriptions = 0
  retainedMessages = 0
  retainedBytes = 0
  delayedMessages = 0
  delayedBytes = 0
  queuedMessages = 0
  queuedBytes = 0
  inflight = 0
  slowReaders = 0
  outputBytes = 0
  /** 0 to 3, see memory-guard.ts. */
  memoryLevel = 0
}
