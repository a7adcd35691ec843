/**
 * The time of a broker that outlives its process. It never goes back, also when the clock of the machine does while the
 * broker is down: each batch notes the time (`Journal`), and where the clock is behind that at the next start, the
 * broker's time goes on from there. No interval becomes longer by it, and nothing has to be rewritten.
 */
import { type Clock, type Store, Table } from '../../ports.ts'

/** Key of the time of the last batch, in the table Meta. */
export const TIME_KEY = 1
const TIME_BYTES = 8

export class SteadyClock implements Clock {
  readonly #clock: Clock
  /** Milliseconds that the clock of the machine is behind. */
  readonly behindMs: number
  /** Last time that was noted before this start; -Infinity when there is none. */
  readonly notedMs: number

  constructor(clock: Clock, store: Store) {
    this.#clock = clock
    this.notedMs = notedTime(store)
    this.behindMs = Math.max(0, this.notedMs - clock.nowMs())
  }

  nowMs(): number {
    return this.#clock.nowMs() + this.behindMs
  }

  defer(callback: () => void): void {
    this.#clock.defer(callback)
  }

  alarm(atMs: number, callback: () => void): void {
    this.#clock.alarm(atMs - this.behindMs, callback)
  }

  after(delayMs: number, callback: () => void): void {
    this.#clock.after(delayMs, callback)
  }
}

export function encodeTime(nowMs: number): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES)
  new DataView(bytes.buffer).setFloat64(0, nowMs)
  return bytes
}

/** Returns the time that was noted; -Infinity when there is none, or it cannot be read. */
function notedTime(store: Store): number {
  const bytes = store.get(Table.Meta, TIME_KEY, 0, 0)
  if (bytes?.length !== TIME_BYTES) return Number.NEGATIVE_INFINITY
  const nowMs = new DataView(bytes.buffer, bytes.byteOffset, TIME_BYTES).getFloat64(0)
  return Number.isFinite(nowMs) ? nowMs : Number.NEGATIVE_INFINITY
}
