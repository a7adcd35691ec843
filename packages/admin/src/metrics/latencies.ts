/**
 * Latencies of the broker: from the PUBLISH of a client until it is written to the sockets of subscribers, until it is
 * acknowledged, and of the commits of the store.
 *
 * `watches.ts` hands it messages, all while they are few, as a `MessageWatch`, and calls `tick` each
 * second. Invariant: about `SAMPLES_PER_SECOND` messages are followed, however many there are, and none is kept alive for
 * it. Retained messages and the broker's own are not followed: they may be written much later, to whoever subscribes.
 */
import type { ApplicationMessage, ClientInfo, MessageWatch } from '@recado/broker'
import { EndOfTurn } from './end-of-turn.ts'
import { Histogram } from './histogram.ts'
import { Sampler } from './sampler.ts'

const SAMPLES_PER_SECOND = 100
const SAMPLED = 'A sample of messages: all up to 100 a second, of more about that many.'

/** A message that is followed. */
interface Followed {
  readonly atMs: number
  /** Times that it was written in this turn. */
  written: number
  isAcknowledged: boolean
}

/** Told of each value as it comes, for other forms of metrics. */
export type OnLatency = (histogram: Histogram, seconds: number, times: number) => void

export class Latencies implements MessageWatch {
  readonly deliver: Histogram = new Histogram(
    'recado_publish_to_deliver_seconds',
    `Time from a PUBLISH of a client until it was written to the socket of a subscriber, waiting in queues included. ${SAMPLED}`,
  )
  readonly acknowledge: Histogram = new Histogram(
    'recado_publish_to_acknowledge_seconds',
    `Time from a PUBLISH at QoS 1 or 2 until its PUBACK or PUBREC was written to the socket. ${SAMPLED}`,
  )
  readonly commit: Histogram = new Histogram(
    'recado_commit_seconds',
    'Time from the beginning of a batch of the store until it was safe. All batches.',
  )
  /** null: nobody. */
  onLatency: OnLatency | null = null
  readonly #clock: () => number
  readonly #sampler: Sampler = new Sampler(SAMPLES_PER_SECOND)
  readonly #followed: WeakMap<ApplicationMessage, Followed> = new WeakMap()
  /** Messages that were written or acknowledged in this turn. */
  readonly #turn: EndOfTurn<Followed> = new EndOfTurn((turn) => this.#endTurn(turn))

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
  }

  get all(): readonly Histogram[] {
    return [this.deliver, this.acknowledge, this.commit]
  }

  /** Chooses how many messages are followed, after so many seconds. */
  tick(seconds: number): void {
    this.#sampler.tick(seconds)
  }

  published(client: ClientInfo | null, message: ApplicationMessage): boolean {
    // The broker's own news go to nobody who waits.
    if (client === null) return false
    if (!this.#sampler.take() || message.retain) return false
    this.#followed.set(message, { atMs: this.#clock(), written: 0, isAcknowledged: false })
    return true
  }

  delivered(_client: ClientInfo, message: ApplicationMessage): void {
    const followed = this.#followed.get(message)
    if (followed === undefined) return
    followed.written++
    this.#turn.add(followed)
  }

  acknowledged(message: ApplicationMessage): void {
    const followed = this.#followed.get(message)
    if (followed === undefined) return
    followed.isAcknowledged = true
    this.#turn.add(followed)
  }

  committed(milliseconds: number): void {
    this.#observe(this.commit, milliseconds / 1_000, 1)
  }

  #endTurn(turn: Iterable<Followed>): void {
    const nowMs = this.#clock()
    for (const followed of turn) {
      const seconds = (nowMs - followed.atMs) / 1_000
      if (followed.written > 0) this.#observe(this.deliver, seconds, followed.written)
      if (followed.isAcknowledged) this.#observe(this.acknowledge, seconds, 1)
      followed.written = 0
      followed.isAcknowledged = false
    }
  }

  #observe(histogram: Histogram, seconds: number, times: number): void {
    histogram.observe(seconds, times)
    this.onLatency?.(histogram, seconds, times)
  }
}
