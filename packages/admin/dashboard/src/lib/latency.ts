/**
 * Quantiles of histograms, as Prometheus makes them: linear within a bucket.
 */

/** Values that came between two answers, by bucket. */
export const between = (before: readonly number[] | undefined, now: readonly number[]): number[] =>
  now.map((count, i) => Math.max(0, count - (before?.[i] ?? 0)))

/**
 * Value below which the share `q` of all lies, in the unit of the bounds. null without values. What is in the last bucket, which
 * has no bound, counts as the largest bound.
 */
export function quantile(bounds: readonly number[], buckets: readonly number[], q: number): number | null {
  const total = buckets.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  const wanted = q * total
  let below = 0
  for (const [i, bound] of bounds.entries()) {
    const count = buckets[i] ?? 0
    if (below + count >= wanted) {
      const from = bounds[i - 1] ?? 0
      return from + (bound - from) * (count === 0 ? 1 : (wanted - below) / count)
    }
    below += count
  }
  return bounds.at(-1) ?? null
}
