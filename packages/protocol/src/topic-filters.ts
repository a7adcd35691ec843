/**
 * Relations between Topic Filters: whether some topic matches both, and whether one matches everything that the other
 * matches.
 *
 * For access rules, which know what a client may do and are asked about a subscription. Both filters must be valid and
 * without `$share/…/`.
 *
 * Source: MQTT 5.0 section 4.7.
 */
const levelsOf = (filter: string): string[] => filter.split('/')
const isDollar = (level: string | undefined): boolean => level?.startsWith('$') === true

/** Returns true when some Topic Name matches both filters. */
export function filtersOverlap(one: string, other: string): boolean {
  const [a, b] = [levelsOf(one), levelsOf(other)]
  // A wildcard in the first level does not match names that begin with $.
  if (isDollar(a[0]) !== isDollar(b[0])) return false
  for (let i = 0; ; i++) {
    // `a/#` also matches `a`.
    if (a[i] === '#' || b[i] === '#') return true
    if (a[i] === undefined || b[i] === undefined) return a[i] === b[i] || a[i] === '#' || b[i] === '#'
    if (a[i] !== '+' && b[i] !== '+' && a[i] !== b[i]) return false
  }
}

/** Returns true when `outer` matches every Topic Name that `inner` matches. */
export function filterCovers(outer: string, inner: string): boolean {
  // Every topic has a first level.
  const [a, b] = [levelsOf(outer === '+/#' ? '#' : outer), levelsOf(inner)]
  if (isDollar(a[0]) !== isDollar(b[0])) return false
  for (let i = 0; ; i++) {
    if (a[i] === '#') return true
    if (a[i] === undefined || b[i] === undefined) return a[i] === b[i]
    if (b[i] === '#' || (a[i] !== '+' && a[i] !== b[i])) return false
  }
}
