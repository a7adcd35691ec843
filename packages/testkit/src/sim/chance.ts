/** Choices that depend on a seed and on nothing else. A run has one generator for each of its parts, made from names. */
export class Chance {
  #state: number

  constructor(seed: number, ...names: (string | number)[]) {
    let state = 0x811c_9dc5
    for (const character of `${seed}/${names.join('/')}`) {
      state = Math.imul(state ^ character.charCodeAt(0), 0x0100_0193) >>> 0
      state = (state ^ (state >>> 15)) >>> 0
    }
    this.#state = state
  }

  /** In [0, 1). mulberry32 */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number, both ends included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  of(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.next() * choices.length)]!
  }

  /** One of the names, as often as its weight says. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    const entries = Object.entries(weights) as [T, number][]
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0) return name
    }
    return entries[0]![0]
  }
}
