/**
 * Messages of one publisher at one receiver: lost ones, repeated ones, and those out of order.
 *
 * Called by the subscribers of `recado bench` for each message. Messages have consecutive numbers; the last `WINDOW` of
 * them are remembered one by one, so memory does not grow with the run. Shared Subscriptions have one stream for the
 * whole group: a single member would see gaps that are none, and no order.
 */

const WINDOW = 4_096
const WORDS = WINDOW / 32

/** Kind of a received message. New: new to the stream; Duplicate: came before; Late: came after a later one. */
export const Arrival = { New: 0, Duplicate: 1, Late: 2 } as const

export class MessageStream {
  #first = -1
  #last = -1
  /** Bits of the last WINDOW numbers; null as long as all came in their order, the usual case. */
  #seen: Uint32Array | null = null
  /** Number of different messages that arrived. */
  distinct = 0

  accept(sequence: number): number {
    if (this.#last === -1) {
      this.#first = sequence
      this.#last = sequence
      this.distinct = 1
      return Arrival.New
    }
    if (sequence === this.#last + 1 && this.#seen === null) {
      this.#last = sequence
      this.distinct++
      return Arrival.New
    }
    return this.#acceptOutOfLine(sequence)
  }

  /** Number of missing messages between the first and the last that arrived. */
  get missing(): number {
    return this.#last === -1 ? 0 : this.#last - this.#first + 1 - this.distinct
  }

  #acceptOutOfLine(sequence: number): number {
    this.#seen ??= this.#allSoFar()
    const seen = this.#seen
    if (sequence > this.#last) {
      const skipped = Math.min(sequence - this.#last, WINDOW)
      for (let i = 1; i <= skipped; i++) clear(seen, sequence - skipped + i)
      this.#last = sequence
      set(seen, sequence)
      this.distinct++
      return Arrival.New
    }
    // A message so old is no longer remembered: a repetition is more likely than such a delay.
    if (this.#last - sequence >= WINDOW || has(seen, sequence)) return Arrival.Duplicate
    set(seen, sequence)
    if (sequence < this.#first) this.#first = sequence
    this.distinct++
    return Arrival.Late
  }

  #allSoFar(): Uint32Array {
    const seen = new Uint32Array(WORDS)
    for (let i = Math.max(this.#first, this.#last - WINDOW + 1); i <= this.#last; i++) set(seen, i)
    return seen
  }
}

function set(bits: Uint32Array, number: number): void {
  const at = number % WINDOW
  bits[at >> 5]! |= 1 << (at & 31)
}

function clear(bits: Uint32Array, number: number): void {
  const at = number % WINDOW
  bits[at >> 5]! &= ~(1 << (at & 31))
}

function has(bits: Uint32Array, number: number): boolean {
  const at = number % WINDOW
  return (bits[at >> 5]! & (1 << (at & 31))) !== 0
}
