/**
 * Suggestions: the name that was probably meant by an unknown option in a configuration file or on the command line.
 *
 * Pure. A suggestion is made only when it is close (at most a third of its letters differ), so that a wrong guess
 * misleads nobody.
 */

/** Number of letters to insert, remove, replace or swap with their neighbour to get from one word to the other. */
export function editDistance(from: string, to: string): number {
  const width = to.length + 1
  const rows: number[][] = [Array.from({ length: width }, (_, index) => index)]
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j < width; j++) {
      const same = from[i - 1] === to[j - 1]
      let best = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        best = Math.min(best, rows[i - 2]![j - 2]! + 1)
      }
      row.push(best)
    }
    rows.push(row)
  }
  return rows[from.length]![to.length]!
}

/** Returns the closest of the names, or null when none is close. */
export function suggest(word: string, names: readonly string[]): string | null {
  let closest: string | null = null
  // A very long word must not cost quadratic time.
  let distance = word.length > 60 ? 0 : Math.max(2, Math.floor(word.length / 3)) + 1
  for (const name of names) {
    if (Math.abs(name.length - word.length) >= distance) continue
    const found = editDistance(word.toLowerCase(), name)
    if (found < distance) {
      closest = name
      distance = found
    }
  }
  return closest
}

/** `, did you mean "bar"?` or ''. */
export function didYouMean(word: string, names: readonly string[]): string {
  const name = suggest(word, names)
  return name === null ? '' : `, did you mean "${name}"?`
}
