/**
 * Counts of one connection, for inspection of the broker: bytes and PUBLISH packets in both directions, and its
 * beginning.
 *
 * Incremented beside the counters of the whole broker (`Metrics`): by the outbox, which holds them, by the read gate
 * for each chunk, and by `handlePublish`.
 */
export class Traffic {
  /** Time of its CONNACK, milliseconds since the epoch; 0: none yet. */
  connectedAtMs = 0
  bytesReceived = 0
  bytesSent = 0
  messagesReceived = 0
  messagesSent = 0
  /** Number of the last `ListenerSum` that has counted it; 0: none has. */
  countedIn = 0
}
