/**
 * A turn: everything that happens between the first input of an event-loop iteration and its end.
 *
 * Work is done once per turn instead of once per packet: the clock is read once, and every connection that has
 * something to say is written to once. Every input from outside (a chunk, a timer, a verdict, a call of the embedder)
 * begins the turn; the clock's `defer` ends it.
 *
 * Where chunks come one by one, each its own iteration, nothing can be gathered and the callback that ends the turn is a
 * tenth of all that is done. So after `ALONE` turns of one chunk each the next ones end with their chunk, and only
 * two after every `ALONE` wait for company, to find out whether that is still so. This decides how soon something is written,
 * never what or in which order.
 *
 * What one of those who are called throws ends that one only (`Faulty`).
 *
 * Invariants: a connection with unsent bytes that is not blocked is in `#speakers`; a turn that has begun ends.
 */
import type { Clock } from '../ports.ts'
import type { Faults, Faulty } from './faults.ts'

/** Turns of one chunk until the next ones end with theirs; and how many of those until two wait for company. */
export const ALONE = 32

interface Speaker extends Faulty {
  flush(): void
}

export interface Latecomer extends Faulty {
  goOnInNextTurn(): void
}

export class Turn {
  readonly #clock: Clock
  readonly #faults: Faults
  #speakers: Speaker[] = []
  #spare: Speaker[] = []
  #latecomers: Latecomer[] = []
  #open = false
  /** Chunks of this turn. */
  #chunks = 0
  /** Turns in a row that had one chunk and nothing else. */
  #alone = 0
  readonly #end: () => void
  /** Called first when a turn ends: the journal starts its next batch. */
  onEnd: (() => void) | null = null
  /** Which turn this is. */
  number = 0
  /** The time of this turn. */
  nowMs: number

  constructor(clock: Clock, faults: Faults) {
    this.#clock = clock
    this.#faults = faults
    this.nowMs = clock.nowMs()
    this.#end = () => {
      try {
        this.end()
      } catch (error) {
        // Or no turn would ever begin again.
        this.#open = false
        faults.note('end of a turn', error)
      }
    }
  }

  /** Called by every input. */
  begin(): void {
    if (this.#open) return
    this.#open = true
    this.number++
    this.nowMs = this.#clock.nowMs()
    this.#clock.defer(this.#end)
  }

  /** Called by a connection for each chunk. True: it is the whole turn, and the connection calls `end`. */
  beginChunk(): boolean {
    if (this.#open) {
      this.#chunks++
      return false
    }
    if (this.#alone < ALONE) {
      this.begin()
      this.#chunks = 1
      return false
    }
    // Two turns then have to wait: the first may have come in late, the second sees a whole iteration.
    this.#alone = this.#alone === 2 * ALONE ? ALONE - 2 : this.#alone + 1
    this.#open = true
    this.number++
    this.nowMs = this.#clock.nowMs()
    return true
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
    for (let i = 0; i < latecomers.length; i++) {
      try {
        latecomers[i]!.goOnInNextTurn()
      } catch (error) {
        latecomers[i]!.fault('go on', error)
      }
    }
  }

  end(): void {
    this.#open = false
    if (this.#chunks === 1) this.#alone++
    else if (this.#chunks > 1) this.#alone = 0
    this.#chunks = 0
    try {
      this.onEnd?.()
    } catch (error) {
      this.#faults.note('end of a turn', error)
    }
    const speakers = this.#speakers
    this.#speakers = this.#spare
    for (let i = 0; i < speakers.length; i++) {
      try {
        speakers[i]!.flush()
      } catch (error) {
        speakers[i]!.fault('flush', error)
      }
    }
    speakers.length = 0
    this.#spare = speakers
    if (this.#latecomers.length === 0) return
    const latecomers = this.#latecomers
    this.#latecomers = []
    // Only now: what is deferred while sockets are being read still belongs to this turn.
    this.#clock.defer(() => this.#resume(latecomers))
  }
}
