/**
 * Whether a series of measurements grows: the statistics of a soak run. Used by `verdict.ts`.
 *
 * Two questions, both about the second half of the run, when everything has warmed up. How much does it grow? The slope
 * of Theil and Sen (median of the slopes of all pairs) times the length: single peaks do not move it. Is that chance?
 * The test of Mann and Kendall, one-sided at 1 %. A series is growing when it is both significant and more than is
 * allowed.
 */

export interface Point {
  /** Seconds since the start of the run. */
  readonly at: number
  readonly value: number
}

export interface Bound {
  /** Allowed growth over the second half, as a part of the median, */
  readonly part: number
  /** and at least this much, in the unit of the series. */
  readonly floor: number
}

export interface Trend {
  readonly points: number
  readonly median: number
  /** Growth over the second half, in the unit of the series. */
  readonly growth: number
  readonly allowed: number
  /** Standard score of Mann and Kendall; above `SIGNIFICANT` it is no chance. */
  readonly z: number
  readonly isGrowing: boolean
}

/** Threshold of the standard score: one-sided, 1 %. */
export const SIGNIFICANT = 2.326
const POINTS_MIN = 8

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

/** Value below which `part` of the others are. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

/** Returns the trend of a series; `null` when the second half has too few points. */
export function trendOf(series: readonly Point[], bound: Bound): Trend | null {
  const last = series.at(-1)
  if (last === undefined) return null
  const half = series.filter(({ at }) => at >= last.at / 2)
  if (half.length < POINTS_MIN) return null
  const slopes: number[] = []
  let score = 0
  for (const [i, a] of half.entries()) {
    for (const b of half.slice(i + 1)) {
      if (b.at > a.at) slopes.push((b.value - a.value) / (b.at - a.at))
      score += Math.sign(b.value - a.value)
    }
  }
  const values = half.map(({ value }) => value)
  const n = half.length
  // Equal values make the score less variable.
  const ties = [...countOf(values).values()].reduce((sum, t) => sum + t * (t - 1) * (2 * t + 5), 0)
  const variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
  const z = variance > 0 && score !== 0 ? (score - Math.sign(score)) / Math.sqrt(variance) : 0
  const growth = median(slopes) * (last.at - (half[0]?.at ?? 0))
  const middle = median(values)
  const allowed = Math.max(bound.floor, bound.part * middle)
  return { points: n, median: middle, growth, allowed, z, isGrowing: z > SIGNIFICANT && growth > allowed }
}

function countOf(values: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
