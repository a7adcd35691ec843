/**
 * Latencies of the broker: from the PUBLISH of a client until it is written to the sockets of subscribers, until it is
 * acknowledged, and of the commits of the store.
 *
 * `watches.ts` hands it messages, all while they are few, as a `MessageWatch`. Invariant: about `SAMPLES_PER_SECOND` messages are followed, however many
 * there are, and none is kept alive for it. Retained messages and the broker's own are not followed: they may be written
 * much later, to whoever subscribes.
 */
import type { ApplicationMessage, ClientInfo, MessageWatch } from '@recado/broker'
import { Histogram } from './histogram.ts'

const SAMPLES_PER_SECOND = 100
const TICK_MS = 1_000
const SAMPLED = 'A sample of messages: all up to 100 a second, of more about that many.'

/** A message that is followed. */
interface Followed {
  readonly atMs: number
  /** Times that it was written in this turn. */
  written: number
  isAcknowledged: boolean
  /** Whether it is in the list of this turn. */
  isListed: boolean
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
  readonly #timer: NodeJS.Timeout
  readonly #followed: WeakMap<ApplicationMessage, Followed> = new WeakMap()
  /** Messages that were written or acknowledged in this turn. */
  #turn: Followed[] = []
  /** Messages from one that is followed to the next. */
  #every = 1
  #left = 1
  #published = 0

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
    this.#timer = setInterval(() => this.tick(TICK_MS / 1_000), TICK_MS).unref()
  }

  get all(): readonly Histogram[] {
    return [this.deliver, this.acknowledge, this.commit]
  }

  /** Chooses how many messages are followed, after so many seconds. */
  tick(seconds: number): void {
    this.#every = Math.max(1, Math.round(this.#published / seconds / SAMPLES_PER_SECOND))
    this.#left = Math.min(this.#left, this.#every)
    this.#published = 0
  }

  published(client: ClientInfo | null, message: ApplicationMessage): boolean {
    // The broker's own news go to nobody who waits.
    if (client === null) return false
    this.#published++
    if (--this.#left > 0) return false
    this.#left = this.#every
    if (message.retain) return false
    this.#followed.set(message, { atMs: this.#clock(), written: 0, isAcknowledged: false, isListed: false })
    return true
  }

  delivered(_client: ClientInfo, message: ApplicationMessage): void {
    const followed = this.#followed.get(message)
    if (followed === undefined) return
    followed.written++
    this.#list(followed)
  }

  acknowledged(message: ApplicationMessage): void {
    const followed = this.#followed.get(message)
    if (followed === undefined) return
    followed.isAcknowledged = true
    this.#list(followed)
  }

  committed(milliseconds: number): void {
    this.#observe(this.commit, milliseconds / 1_000, 1)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #list(followed: Followed): void {
    if (followed.isListed) return
    followed.isListed = true
    // The sockets are written to at the end of the turn.
    if (this.#turn.push(followed) === 1) setImmediate(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    const nowMs = this.#clock()
    const turn = this.#turn
    this.#turn = []
    for (const followed of turn) {
      const seconds = (nowMs - followed.atMs) / 1_000
      if (followed.written > 0) this.#observe(this.deliver, seconds, followed.written)
      if (followed.isAcknowledged) this.#observe(this.acknowledge, seconds, 1)
      followed.written = 0
      followed.isAcknowledged = false
      followed.isListed = false
    }
  }

  #observe(histogram: Histogram, seconds: number, times: number): void {
    histogram.observe(seconds, times)
    this.onLatency?.(histogram, seconds, times)
  }
}
