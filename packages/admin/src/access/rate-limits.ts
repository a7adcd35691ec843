/**
 * Rates of requests and of failed logins, by remote address.
 *
 * `identify.ts` and `app.ts` ask. Invariant: what is remembered is bounded; an address that is forgotten begins with a
 * full allowance.
 */

/** Addresses that are remembered; the one that was seen first goes. */
const ADDRESSES_MAX = 10_000

/** Allowance that refills by `perSecond`, up to `burst`. */
export class RateLimit {
  readonly #perSecond: number
  readonly #burst: number
  readonly #nowMs: () => number
  readonly #left: Map<string, { left: number; atMs: number }> = new Map()

  constructor(perSecond: number, burst: number, nowMs: () => number = () => performance.now()) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#nowMs = nowMs
  }

  /** Takes one off the allowance. Returns 0, or the seconds to wait when there is none. */
  take(address: string): number {
    const entry = this.#entry(address)
    if (entry.left < 1) return this.#wait(entry.left)
    entry.left--
    return 0
  }

  /** Seconds to wait before there is something left; 0 when there is. */
  waitSeconds(address: string): number {
    const { left } = this.#entry(address)
    return left < 1 ? this.#wait(left) : 0
  }

  #wait(left: number): number {
    return Math.max(1, Math.ceil((1 - left) / this.#perSecond))
  }

  #entry(address: string): { left: number; atMs: number } {
    const nowMs = this.#nowMs()
    let entry = this.#left.get(address)
    if (entry === undefined) {
      if (this.#left.size >= ADDRESSES_MAX) this.#left.delete(this.#left.keys().next().value!)
      entry = { left: this.#burst, atMs: nowMs }
      this.#left.set(address, entry)
      return entry
    }
    entry.left = Math.min(this.#burst, entry.left + ((nowMs - entry.atMs) / 1_000) * this.#perSecond)
    entry.atMs = nowMs
    return entry
  }
}
