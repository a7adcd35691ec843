/**
 * Topic Filters among each other: is there a topic that both match, and does one match everything that the other does?
 *
 * For policies, which know what a client may and are asked about a subscription. Both filters must be valid and without `$share/…/`.
 *
 * Source: MQTT 5.0 section 4.7.
 */
const levelsOf = (filter: string): string[] => filter.split('/')
const isDollar = (level: string | undefined): boolean => level?.startsWith('$') === true

/** Is there a topic that both match? */
export function filtersOverlap(one: string, other: string): boolean {
  const [a, b] = [levelsOf(one), levelsOf(other)]
  // A wildcard in the first level does not match what begins with $.
  if (isDollar(a[0]) !== isDollar(b[0])) return false
  for (let i = 0; ; i++) {
    // `a/#` also matches `a`.
    if (a[i] === '#' || b[i] === '#') return true
    if (a[i] === undefined || b[i] === undefined) return a[i] === b[i] || a[i] === '#' || b[i] === '#'
    if (a[i] !== '+' && b[i] !== '+' && a[i] !== b[i]) return false
  }
}

/** Does the first match everything that the second matches? */
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
