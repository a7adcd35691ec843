/**
 * Keep Alive of one connection: when the last whole packet came, and whether its client still lives.
 *
 * `Connection` has one and asks it when its timer is over. A client lives while whole packets come [MQTT-3.1.2-22], but a large one may
 * well take longer than that: a packet that arrives in pieces shows that its sender lives when so much of it comes within the Keep Alive.
 * A client that sends a byte now and then does not count as alive.
 */
import { keepAliveTimeoutMs } from '@recado/protocol'

/** Bytes of an unfinished packet that have to come within one Keep Alive. */
const PROGRESS_BYTES = 1_000

export class KeepAlive {
  /** Time of the last whole packet, milliseconds since the epoch. */
  lastReceivedMs: number
  /** Milliseconds of silence that end the connection, one and a half times the Keep Alive; Infinity: there is none. */
  timeoutMs: number = Number.POSITIVE_INFINITY
  /** Bytes of an unfinished packet that had come when the time was last over. */
  #partialBytesSeen = 0

  constructor(nowMs: number) {
    this.lastReceivedMs = nowMs
  }

  /** Begins the Keep Alive; `seconds` 0 turns it off. */
  begin(seconds: number): void {
    this.timeoutMs = seconds === 0 ? Number.POSITIVE_INFINITY : keepAliveTimeoutMs(seconds)
  }

  isOver(nowMs: number): boolean {
    return nowMs >= this.lastReceivedMs + this.timeoutMs
  }

  /**
   * Checks progress when the time is over. `unfinishedBytes` is the size of an incomplete packet. Returns true when no
   * whole packet has come in time, but enough of one.
   */
  noteProgress(nowMs: number, unfinishedBytes: number): boolean {
    if (!this.isOver(nowMs)) {
      this.#partialBytesSeen = 0
      return false
    }
    if (unfinishedBytes < this.#partialBytesSeen + PROGRESS_BYTES) return false
    this.#partialBytesSeen = unfinishedBytes
    return true
  }
}
