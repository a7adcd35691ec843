/**
 * Time for the core: milliseconds since the Unix epoch that never go back within a process, the end of a turn by
 * `setImmediate`, and one timer that does not keep the process alive.
 */
import type { Clock } from '../ports.ts'

/** Longest `setTimeout` in milliseconds; the core sets its alarm again when it comes early. */
const TIMEOUT_MS_MAX = 0x7fff_ffff

export class SystemClock implements Clock {
  #timeout: NodeJS.Timeout | null = null

  nowMs(): number {
    return performance.timeOrigin + performance.now()
  }

  defer(callback: () => void): void {
    setImmediate(callback)
  }

  alarm(atMs: number, callback: () => void): void {
    if (this.#timeout !== null) clearTimeout(this.#timeout)
    this.#timeout = null
    if (atMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.min(Math.max(0, Math.ceil(atMs - this.nowMs())), TIMEOUT_MS_MAX)
    this.#timeout = setTimeout(callback, delayMs)
    this.#timeout.unref()
  }

  after(delayMs: number, callback: () => void): void {
    setTimeout(callback, delayMs)
  }
}
