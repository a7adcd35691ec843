/**
 * The interface of a fuzz target: it takes bytes, does something with them, and throws a `Finding` when an invariant is
 * broken.
 *
 * `fuzz.ts` makes the inputs and `targets.ts` lists the targets. An input is one byte string, however the target
 * interprets it, so that one mutator, one corpus and one form of case serve them all. A target must be a function of
 * its input: the same bytes give the same verdict, or a case could not be replayed.
 */

/** Error: an invariant is broken. `message` names it, in one line. */
export class Finding extends Error {}

export interface FuzzTarget {
  readonly name: string
  /** Description for `--help`. */
  readonly doc: string
  /** Meaningful inputs, with which mutation starts. */
  readonly seeds: () => Uint8Array[]
  /** Changes an input with knowledge of its form; without it only bytes are changed. */
  readonly mutate?: (input: Uint8Array, other: Uint8Array, random: FuzzRandom) => Uint8Array
  /** Runs an input. @throws Finding; any other error is a finding as well */
  readonly run: (input: Uint8Array) => void
  /** Source files whose blocks count as coverage, as the end of their compiled path. */
  readonly covers: readonly string[]
  /** Whether inputs are text: a case is kept as such. */
  readonly isText?: boolean
  /** Longest input in bytes. */
  readonly inputBytesMax: number
  /** Longest time of an input in milliseconds: far more than any should take, for a loaded machine. */
  readonly inputMsMax: number
}

/** Random numbers from a seed: xorshift32, since a mutation asks for many. */
export class FuzzRandom {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1
    for (let i = 0; i < 8; i++) this.next()
  }

  /** Returns 32 random bits. */
  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  /** Returns a whole number from 0 to `count` - 1. */
  below(count: number): number {
    return count <= 1 ? 0 : this.next() % count
  }

  /** Returns true once in `n` calls. */
  oneIn(n: number): boolean {
    return this.next() % n === 0
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }
}
