/**
 * Randomness that is the same in every run: a counter (`SimRandom`) for names, and mulberry32 for choices of a test.
 */
import type { Random } from '../ports.ts'

export class SimRandom implements Random {
  #next = 1

  /** 1, 2, 3 … as hex digits. */
  hex(count: number): string {
    return (this.#next++).toString(16).padStart(count * 2, '0')
  }
}

/** Numbers from 0 (inclusive) to 1 (exclusive) that depend on the seed only. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
