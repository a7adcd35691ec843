/**
 * The watch of the messages of a broker: chooses a sample of them for the memory of decisions and for latencies, and hands
 * all to the spans of an export while there is one.
 *
 * `admin.ts` has one; its timer is that of the latencies, too. Invariant: however many messages there are, no more
 * than a few thousand a second cost more than a countdown, also in the first second of a burst.
 */
import type { ApplicationMessage, ClientInfo, MessageWatch } from '@recado/broker'
import type { Decisions } from '../why/decisions.ts'
import type { Latencies } from './latencies.ts'
import { Sampler } from './sampler.ts'

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
  readonly #sampler: Sampler = new Sampler(SAMPLES_PER_SECOND, BURST_EVERY)

  constructor(latencies: Latencies, decisions: Decisions | null) {
    this.#latencies = latencies
    this.#decisions = decisions
    this.#timer = setInterval(() => this.tick(TICK_MS / 1_000), TICK_MS).unref()
  }

  /** Chooses how many messages are looked at, after so many seconds. */
  tick(seconds: number): void {
    this.#sampler.tick(seconds)
    this.#latencies.tick(seconds)
  }

  published(client: ClientInfo | null, message: ApplicationMessage): boolean {
    const weight = this.#sampler.take()
    if (weight === 0) return this.spans?.published(client, message) === true
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
