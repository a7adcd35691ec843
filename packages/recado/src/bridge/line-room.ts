/**
 * Bytes that may wait for the network of one bridge, learnt from how long they have waited before.
 *
 * More than the line carries in a few seconds would make every later message late, PINGREQ too, and a line of 64 kbit/s
 * would be given up and made again for ever. `Bridge` has one for all its connections, `FarPublisher` asks it before each
 * message. Invariant: always from `LEAST_BYTES` to `MOST_BYTES`.
 */
const START_BYTES = 256 * 1024
const LEAST_BYTES = 16 * 1024
const MOST_BYTES = 1024 * 1024
/** Milliseconds of waiting below which there is more room the next time, and above which there is less. */
const SHORT_MS = 1_000
const LONG_MS = 4_000

export class LineRoom {
  #bytes = START_BYTES
  /** Time since which bytes have waited; null when none do. */
  #sinceMs: number | null = null

  get bytes(): number {
    return this.#bytes
  }

  /** Whether one more message may be written while so many bytes wait. */
  hasRoom(waitingBytes: number, nowMs: number): boolean {
    this.#sinceMs ??= nowMs
    return waitingBytes < this.#bytes
  }

  /** Notes that the network has taken all that waited, or that the connection has ended. */
  emptied(nowMs: number): void {
    if (this.#sinceMs === null) return
    const tookMs = nowMs - this.#sinceMs
    this.#sinceMs = null
    if (tookMs < SHORT_MS) this.#bytes = Math.min(2 * this.#bytes, MOST_BYTES)
    else if (tookMs > LONG_MS) this.#bytes = Math.max(this.#bytes / 2, LEAST_BYTES)
  }
}
