/**
 * A sample of messages: all while they are few, and of more about a given number a second.
 *
 * `watches.ts` and `latencies.ts` have one each; the timer of `watches.ts` calls `tick`. Invariant: a message that is not
 * in the sample costs a countdown.
 */
export class Sampler {
  readonly #perSecond: number
  readonly #burstEvery: number
  /** Messages from one of the sample to the next. */
  #every = 1
  /** Messages until the next one of the sample, which is counted with them. */
  #left = 1
  /** Sum of `#left` and the messages since the last tick. */
  #leftAndSeen = 1
  /** Messages of the sample since the last tick. */
  #taken = 0

  /**
   * @param perSecond messages a second that are in the sample; of more, about as many
   * @param burstEvery messages from one of the sample to the next, at least, once a second has had twice as many as it
   * should. Default 1: a burst is in the sample whole, until the next tick
   */
  constructor(perSecond: number, burstEvery: number = 1) {
    this.#perSecond = perSecond
    this.#burstEvery = burstEvery
  }

  /** Counts a message. Returns the number of messages that it stands for; 0 when it is not in the sample. */
  take(): number {
    return --this.#left > 0 ? 0 : this.#takeOne()
  }

  #takeOne(): number {
    const weight = this.#every
    if (++this.#taken > 2 * this.#perSecond) this.#every = Math.max(this.#every, this.#burstEvery)
    this.#left = this.#every
    this.#leftAndSeen += this.#every
    return weight
  }

  /** Chooses how many messages the next ones of the sample stand for, after so many seconds. */
  tick(seconds: number): void {
    const messages = this.#leftAndSeen - this.#left
    this.#every = Math.max(1, Math.round(messages / seconds / this.#perSecond))
    this.#left = Math.min(this.#left, this.#every)
    this.#leftAndSeen = this.#left
    this.#taken = 0
  }
}
