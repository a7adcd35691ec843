/**
 * Load averages of `$SYS/broker/load/…`: the rate of an event per minute, averaged over 1, 5 and 15 minutes as in
 * Mosquitto.
 *
 * `sys-tree.ts` has one for each. Invariant: after `dt` seconds in which the counter has grown by `delta`, with
 * `rate = delta * 60 / dt`, the average `v` becomes `rate + exp(-dt / T) * (v - rate)`; one that has moved by less than
 * 0.01 is not published.
 */

/** T in seconds, by the name of the last topic level. */
export const LOAD_WINDOWS = { '1min': 60, '5min': 300, '15min': 900 } as const
export type LoadWindow = keyof typeof LOAD_WINDOWS

const PUBLISHED_FROM = 0.01

export class LoadAverage {
  readonly #windowSeconds: number
  #value = 0

  constructor(window: LoadWindow) {
    this.#windowSeconds = LOAD_WINDOWS[window]
  }

  get text(): string {
    return this.#value.toFixed(2)
  }

  /** Updates the average. Returns true when it has moved enough to be published. `seconds` is more than 0. */
  update(delta: number, seconds: number): boolean {
    const before = this.#value
    const rate = (delta * 60) / seconds
    this.#value = rate + Math.exp(-seconds / this.#windowSeconds) * (before - rate)
    return Math.abs(this.#value - before) >= PUBLISHED_FROM
  }
}
