/**
 * Limit of messages a second: a bucket of tokens that fills with time.
 *
 * `BridgeLink` asks before each message; the others wait in the session at this broker. Pure: time comes in as an
 * argument. Invariant: in any second at most the rate and a tenth of it go.
 */

/** Share of a second whose messages may go at once. */
const BURST_SECONDS = 0.1

export class RateGate {
  readonly #perSecond: number
  readonly #tokensMax: number
  #tokens: number
  #atMs: number

  /** @param perSecond from 1 */
  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond
    this.#tokensMax = Math.max(1, perSecond * BURST_SECONDS)
    this.#tokens = this.#tokensMax
    this.#atMs = nowMs
  }

  /** Returns the time in milliseconds until a message may go; 0 when it may now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1000) / this.#perSecond)
  }

  /** Notes that a message goes. */
  take(nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens -= 1
  }

  /** A clock that goes back fills nothing. */
  #fill(nowMs: number): void {
    const gained = (Math.max(0, nowMs - this.#atMs) * this.#perSecond) / 1000
    this.#tokens = Math.min(this.#tokensMax, this.#tokens + gained)
    this.#atMs = nowMs
  }
}
