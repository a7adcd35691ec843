/**
 * A sample of messages: all while they are few, and of more about a given number a second.
 *
 * `latencies.ts` has one, and calls its `tick`. Invariant: a message that is not in the sample costs a countdown.
 */
export class Sampler {
  readonly #perSecond: number
  /** Messages from one of the sample to the next. */
  #every = 1
  /** Messages until the next one of the sample, which is counted with them. */
  #left = 1
  /** Sum of `#left` and the messages since the last tick. */
  #leftAndSeen = 1

  /** @param perSecond messages a second that are in the sample; of more, about as many */
  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Counts a message. Returns whether it is in the sample. */
  take(): boolean {
    if (--this.#left > 0) return false
    this.#left = this.#every
    this.#leftAndSeen += this.#every
    return true
  }

  /** Chooses how many messages the next ones of the sample stand for, after so many seconds. */
  tick(seconds: number): void {
    const messages = this.#leftAndSeen - this.#left
    this.#every = Math.max(1, Math.round(messages / seconds / this.#perSecond))
    this.#left = Math.min(this.#left, this.#every)
    this.#leftAndSeen = this.#left
  }
}
