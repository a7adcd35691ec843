/** Choices of the simulation that depend on a seed and on nothing else. A run has one generator for each of its parts, made from names. */
import { Random } from '../random.ts'

export class Chance extends Random {
  constructor(seed: number, ...names: (string | number)[]) {
    let state = 0x811c_9dc5
    for (const character of `${seed}/${names.join('/')}`) {
      state = Math.imul(state ^ character.charCodeAt(0), 0x0100_0193) >>> 0
      state = (state ^ (state >>> 15)) >>> 0
    }
    super(state)
  }

  of(probability: number): boolean {
    return this.chance(probability)
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.next() * choices.length)]!
  }

  /** A weight, or a fifth of it: each run prefers some things, which are rare together then, but often each. */
  preferred(weight: number): number {
    return this.of(0.5) ? weight : weight / 5
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
