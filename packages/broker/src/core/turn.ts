/**
 * A turn: everything that happens between the first input of an event-loop iteration and its end.
 *
 * Work is done once per turn instead of once per packet: the clock is read once, and every connection that has
 * something to say is written to once. Every input from outside (a chunk, a timer, a verdict, a call of the embedder)
 * begins the turn; the clock's `defer` ends it.
 *
 * Invariant: a connection with unsent bytes that is not blocked is in `#speakers`.
 */
import type { Clock } from '../ports.ts'

interface Speaker {
  flush(): void
}

interface Latecomer {
  goOnInNextTurn(): void
}

export class Turn {
  readonly #clock: Clock
  #speakers: Speaker[] = []
  #spare: Speaker[] = []
  #latecomers: Latecomer[] = []
  #open = false
  readonly #end: () => void
  /** Called first when a turn ends: the journal starts its next batch. */
  onEnd: (() => void) | null = null
  /** Which turn this is. */
  number = 0
  /** The time of this turn. */
  nowMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.nowMs = clock.nowMs()
    this.#end = () => this.end()
  }

  /** Called by every input. */
  begin(): void {
    if (this.#open) return
    this.#open = true
    this.number++
    this.nowMs = this.#clock.nowMs()
    this.#clock.defer(this.#end)
  }

  /** The speaker is flushed once when the turn ends. */
  add(speaker: Speaker): void {
    this.begin()
    this.#speakers.push(speaker)
  }

  /** Goes on in the next turn, when everybody else who has something to say has been read once. */
  postpone(latecomer: Latecomer): void {
    this.begin()
    this.#latecomers.push(latecomer)
  }

  #resume(latecomers: readonly Latecomer[]): void {
    this.begin()
    for (let i = 0; i < latecomers.length; i++) latecomers[i]!.goOnInNextTurn()
  }

  end(): void {
    this.#open = false
    this.onEnd?.()
    const speakers = this.#speakers
    this.#speakers = this.#spare
    for (let i = 0; i < speakers.length; i++) speakers[i]!.flush()
    speakers.length = 0
    this.#spare = speakers
    if (this.#latecomers.length === 0) return
    const latecomers = this.#latecomers
    this.#latecomers = []
    // Only now: what is deferred while sockets are being read still belongs to this turn.
    this.#clock.defer(() => this.#resume(latecomers))
  }
}
