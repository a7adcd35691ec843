/**
 * The watch of an embedder, and the countdown to the next message that it is told of.
 *
 * `Core.watch` makes one; whatever accepts a message counts it by `next`. Invariant: a message that the watch is not told
 * of costs a decrement and a comparison, and the watch knows how many there were.
 */
import { check, whole } from '@recado/protocol'
import type { ApplicationMessage, ClientInfo, MessageWatch, Watching } from '../../ports.ts'

/** Most messages from one that the watch is told of to the next: the countdown stays a small integer. */
const EVERY_MAX = 1_000_000_000

export class MessageCountdown {
  readonly watch: MessageWatch
  /** Messages until the next one that the watch is told of. */
  #left = 1
  /** Value at which the present countdown began. */
  #from = 1
  #every = 1
  /** Messages of the countdowns before. */
  #before = 0

  constructor(watch: MessageWatch) {
    this.watch = watch
  }

  /** Messages from one that the watch is told of to the next. */
  get every(): number {
    return this.#every
  }

  /** The present countdown becomes shorter where it has more before it than `every`, never longer. */
  set every(every: number) {
    this.#every = every
    if (this.#left <= every) return
    this.#from -= this.#left - every
    this.#left = every
  }

  /** Messages that have been published since the watch began. */
  get messages(): number {
    return this.#before + this.#from - this.#left
  }

  /** Makes the watch at work for the embedder, who may set anything. */
  handle(end: () => void): Watching {
    const countdown = this
    return {
      get every() {
        return countdown.every
      },
      set every(every) {
        check('every', every, whole(1, EVERY_MAX))
        countdown.every = every
      },
      get messages() {
        return countdown.messages
      },
      end,
    }
  }

  /** Counts a message. Returns true when the watch was told of it and follows it. */
  next(client: ClientInfo | null, message: ApplicationMessage): boolean {
    return --this.#left === 0 && this.#tell(client, message)
  }

  #tell(client: ClientInfo | null, message: ApplicationMessage): boolean {
    const messages = this.#from
    this.#before += messages
    this.#from = this.#every
    this.#left = this.#every
    return this.watch.published(client, message, messages)
  }
}
