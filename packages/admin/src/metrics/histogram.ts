/** A histogram of seconds, with fixed bounds, as Prometheus has them. */

/** Bounds in seconds, from a tenth of a millisecond to ten seconds; what is longer is in the last bucket. */
export const SECONDS_BOUNDS: readonly number[] = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
]

export class Histogram {
  readonly name: string
  readonly help: string
  /** Values in each bucket, the one without a bound at the end. */
  readonly buckets: Float64Array = new Float64Array(SECONDS_BOUNDS.length + 1)
  sum = 0
  count = 0

  constructor(name: string, help: string) {
    this.name = name
    this.help = help
  }

  /** Adds a value, `times` times. */
  observe(seconds: number, times: number = 1): void {
    let at = 0
    while (at < SECONDS_BOUNDS.length && seconds > SECONDS_BOUNDS[at]!) at++
    this.buckets[at]! += times
    this.sum += seconds * times
    this.count += times
  }
}
