/**
 * What can be fuzzed: a target takes bytes, does something with them, and throws a `Finding` when an invariant is broken.
 *
 * `fuzz.ts` makes the inputs and `targets.ts` lists the targets. An input is one byte string, whatever the target makes
 * of it, so that one mutator, one corpus and one form of case serve them all. A target must be a function of its input:
 * the same bytes give the same verdict, or a case could not be replayed.
 */

/** An invariant is broken. `message` says which one, in one line. */
export class Finding extends Error {}

export interface FuzzTarget {
  readonly name: string
  /** What it shows, for `--help`. */
  readonly doc: string
  /** Inputs that mean something: where mutation starts. */
  readonly seeds: () => Uint8Array[]
  /** Changes an input knowing what is in it; without it only bytes are changed. */
  readonly mutate?: (input: Uint8Array, other: Uint8Array, random: FuzzRandom) => Uint8Array
  /** @throws Finding, or anything else, which is a finding as well */
  readonly run: (input: Uint8Array) => void
  /** Source files whose blocks count as coverage, as the end of their compiled path. */
  readonly covers: readonly string[]
  /** Inputs are text: a case is kept as such. */
  readonly isText?: boolean
  /** No input may be longer. */
  readonly inputBytesMax: number
  /** No input may take longer: far more than any should, for a loaded machine. */
  readonly inputMsMax: number
}

/** Random numbers from a seed: xorshift32, since a mutation asks for many. */
export class FuzzRandom {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1
    for (let i = 0; i < 8; i++) this.next()
  }

  /** 32 bits. */
  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return count <= 1 ? 0 : this.next() % count
  }

  /** True once in `n`. */
  oneIn(n: number): boolean {
    return this.next() % n === 0
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }
}
