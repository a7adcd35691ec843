/**
 * The watch of the messages of a broker: has the broker tell it of a sample of them, for the memory of decisions and for
 * latencies, and of all for the spans of an export while there is one.
 *
 * `admin.ts` has one; its timer is that of the latencies, too. Invariant: however many messages there are, no more
 * than a few thousand a second cost more than the broker's countdown, also in the first second of a burst.
 */
import type { ApplicationMessage, Broker, ClientInfo, MessageWatch, Watching } from '@recado/broker'
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
  readonly #watching: Watching
  #spans: MessageWatch | null = null
  readonly #timer: NodeJS.Timeout
  /** Messages from one that is looked at to the next. */
  #every = 1
  /** Messages that have passed since the last one that was looked at. */
  #passed = 0
  /** Messages that were looked at since the last tick. */
  #looked = 0
  /** Messages before the last tick. */
  #before = 0

  constructor(broker: Pick<Broker, 'watch'>, latencies: Latencies, decisions: Decisions | null) {
    this.#latencies = latencies
    this.#decisions = decisions
    this.#watching = broker.watch(this)
    this.#timer = setInterval(() => this.tick(TICK_MS / 1_000), TICK_MS).unref()
  }

  /** Sets the spans of an export, which see each message; null for none. */
  set spans(spans: MessageWatch | null) {
    this.#spans = spans
    this.#setPace(this.#every)
  }

  /** Chooses how many messages are looked at, after so many seconds. */
  tick(seconds: number): void {
    const { messages } = this.#watching
    this.#setPace(Math.max(1, Math.round((messages - this.#before) / seconds / SAMPLES_PER_SECOND)))
    this.#before = messages
    this.#looked = 0
    this.#latencies.tick(seconds)
  }

  published(client: ClientInfo | null, message: ApplicationMessage, messages: number): boolean {
    this.#passed += messages
    if (this.#passed < this.#every) return this.#spans?.published(client, message, 1) === true
    if (++this.#looked > 2 * SAMPLES_PER_SECOND && this.#every < BURST_EVERY) this.#setPace(BURST_EVERY)
    this.#decisions?.published(client?.clientId ?? null, message, this.#passed)
    this.#passed = 0
    const isFollowed = this.#latencies.published(client, message)
    // Both are asked.
    return this.#spans?.published(client, message, 1) === true || isFollowed
  }

  delivered(client: ClientInfo, message: ApplicationMessage): void {
    this.#latencies.delivered(client, message)
    this.#spans?.delivered(client, message)
  }

  acknowledged(message: ApplicationMessage): void {
    this.#latencies.acknowledged(message)
    this.#spans?.acknowledged(message)
  }

  committed(milliseconds: number): void {
    this.#latencies.committed(milliseconds)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#watching.end()
  }

  #setPace(every: number): void {
    this.#every = every
    this.#watching.every = this.#spans === null ? every : 1
  }
}
