/** Section 4.7 of MQTT 5.0, literally and slowly. */

/** Whether a Topic Name matches a Topic Filter (without `$share`). */
export function matchesFilter(topicFilter: string, topic: string): boolean {
  const filter = topicFilter.split('/')
  const levels = topic.split('/')
  // [MQTT-4.7.2-1]
  if (topic.startsWith('$') && (filter[0] === '+' || filter[0] === '#')) return false
  for (let i = 0; i < filter.length; i++) {
    if (filter[i] === '#') return true // also the parent level: `a/#` matches `a`
    if (i >= levels.length) return false
    if (filter[i] !== '+' && filter[i] !== levels[i]) return false
    if (i === levels.length - 1 && i === filter.length - 2 && filter[i + 1] === '#') return true
  }
  return filter.length === levels.length
}

/** Section 4.8.2: `$share/name/filter`. */
export function sharedParts(topicFilter: string): { shareName: string; filter: string } | null {
  const parts = topicFilter.split('/')
  if (parts[0] !== '$share' || parts.length < 3) return null
  return { shareName: parts[1]!, filter: parts.slice(2).join('/') }
}
