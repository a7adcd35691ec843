/**
 * The counters and gauges of one broker. Plain numbers, incremented where the thing happens; `snapshot` copies them.
 *
 * Nothing is dropped in silence: every message that does not reach a subscriber counts once under its `DropReason`.
 */
import type { DropReason } from '../../ports.ts'

export class Metrics {
  /** Counters: only ever grow. */
  connectionsOpened = 0
  connectionsClosed = 0
  connectionsRefused = 0
  subscriptionsRefused = 0
  /** Subscriptions of resumed sessions, and of clients whose rights have changed, that are not allowed any more. */
  subscriptionsWithdrawn = 0
  sessionsTakenOver = 0
  sessionsExpired = 0
  messagesReceived = 0
  messagesSent = 0
  bytesReceived = 0
  bytesSent = 0
  packetsReceived = 0
  willsPublished = 0
  protocolErrors = 0
  /** Packets, or their properties, over a limit of size (0x95). */
  packetsTooLarge = 0
  /** Of `connectionsRefused`: a Client Identifier or User Name over its limit. */
  namesTooLong = 0
  keepAliveTimeouts = 0
  /** How often the core has thrown where it should not (`core.failed`). */
  coreFaults = 0
  duplicatesReceived = 0
  unknownPacketIds = 0
  /** How often a client was not read for a while because it, or its listener, was over a rate. */
  rateHolds = 0
  /** Clients that were disconnected for their rate (0x96). */
  rateDisconnects = 0
  /** Of `connectionsRefused`: why. */
  connectionsRefusedByRate = 0
  connectionsRefusedByAddress = 0
  /** Connections that were ended because packets that were not all here took too much memory together. */
  unfinishedGivenUp = 0
  /** Connections that were ended because the topics of all Topic Aliases took too much memory. */
  aliasesGivenUp = 0
  /** CONNECT that was refused because all Wills together, or all sessions, take too much. */
  refusedForWills = 0
  refusedForSessions = 0
  /** Closed without a CONNECT because newer connections needed the room. */
  connectionsEvicted = 0
  /** CONNECT and SUBSCRIBE that were refused, and connections that were closed, because memory was short. */
  refusedForMemory = 0
  connectionsShed = 0
  readonly dropped: Record<DropReason, number> = {
    'queue-full': 0,
    'queues-full': 0,
    'slow-reader': 0,
    'packet-too-large': 0,
    'disallowed-code-point': 0,
    expired: 0,
    'session-ended': 0,
    'retained-limit': 0,
    'not-authorized': 0,
    'offline-qos0': 0,
    'topic-over-limit': 0,
    'payload-over-limit': 0,
    'store-failed': 0,
    'memory-full': 0,
  }
  /** Gauges: what there is now. */
  connections = 0
  /** Those whose transport holds a write that they have not read. */
  slowReaders = 0
  /** Bytes that wait for them, as they were counted last. */
  outputBytes = 0
  /** Of sessions, their names and subscriptions, with what each takes. */
  sessionBytes = 0
  /** 0 to 3, see memory-guard.ts. */
  memoryLevel = 0
  clients = 0
  sessions = 0
  subscriptions = 0
  retainedMessages = 0
  retainedBytes = 0

  /** Names and numbers, dropped messages as `dropped.<reason>`. */
  snapshot(): Record<string, number> {
    const result: Record<string, number> = {}
    for (const [name, value] of Object.entries(this)) {
      if (typeof value === 'number') result[name] = value
    }
    for (const [reason, count] of Object.entries(this.dropped)) result[`dropped.${reason}`] = count
    return result
  }
}
