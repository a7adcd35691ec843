/**
 * The watch of the messages of a broker: chooses a sample of them for the memory of decisions and for latencies, and hands
 * all to the spans of an export while there is one.
 *
 * `admin.ts` has one. Invariant: however many messages there are, no more than a few thousand a second cost more than a
 * countdown, also in the first second of a burst.
 */
import type { ApplicationMessage, ClientInfo, MessageWatch } from '@recado/broker'
import type { Decisions } from '../why/decisions.ts'
import type { Latencies } from './latencies.ts'

/** Messages a second that are looked at; of more, about as many. */
const SAMPLES_PER_SECOND = 1_000
const TICK_MS = 1_000
/** Messages from one sample to the next once a second has had twice as many samples as it should. */
const BURST_EVERY = 1_000

export class Watches implements MessageWatch {
  readonly #latencies: Latencies
  readonly #decisions: Decisions | null
  /** Spans of an export; null: there are none. */
  spans: MessageWatch | null = null
  readonly #timer: NodeJS.Timeout
  /** Messages from one sample to the next. */
  #every = 1
  #left = 1
  /** Samples in this second, and the messages that they stand for. */
  #samples = 0
  #messages = 0

  constructor(latencies: Latencies, decisions: Decisions | null) {
    this.#latencies = latencies
    this.#decisions = decisions
    this.#timer = setInterval(() => this.tick(TICK_MS / 1_000), TICK_MS).unref()
  }

  /** Chooses how many messages are looked at, after so many seconds. */
  tick(seconds: number): void {
    this.#every = Math.max(1, Math.round(this.#messages / seconds / SAMPLES_PER_SECOND))
    this.#left = Math.min(this.#left, this.#every)
    this.#samples = 0
    this.#messages = 0
  }

  published(client: ClientInfo | null, message: ApplicationMessage): boolean {
    if (--this.#left > 0) return this.spans !== null && this.spans.published(client, message)
    return this.#sample(client, message)
  }

  #sample(client: ClientInfo | null, message: ApplicationMessage): boolean {
    const weight = this.#every
    this.#messages += weight
    if (++this.#samples > 2 * SAMPLES_PER_SECOND) this.#every = Math.max(this.#every, BURST_EVERY)
    this.#left = this.#every
    this.#decisions?.published(client?.clientId ?? null, message, weight)
    const isFollowed = this.#latencies.published(client, message)
    // Both are asked.
    return this.spans?.published(client, message) === true || isFollowed
  }

  delivered(client: ClientInfo, message: ApplicationMessage): void {
    this.#latencies.delivered(client, message)
    this.spans?.delivered(client, message)
  }

  acknowledged(message: ApplicationMessage): void {
    this.#latencies.acknowledged(message)
    this.spans?.acknowledged(message)
  }

  committed(milliseconds: number): void {
    this.#latencies.committed(milliseconds)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
