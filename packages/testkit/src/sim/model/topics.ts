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

/** Whether a text is a Topic Filter (without `$share`): wildcards are whole levels, and `#` is the last. */
export function isFilter(text: string): boolean {
  const levels = text.split('/')
  return (
    text !== '' &&
    levels.every((level, i) => (level === '#' ? i === levels.length - 1 : level === '+' || !/[+#]/.test(level)))
  )
}

/** Topic Filter below a mount point. The group of a Shared Subscription stays before it. */
export function mountedFilter(mountPoint: string, topicFilter: string): string {
  return behindGroup(topicFilter, (filter) => mountPoint + filter)
}

/** Topic Filter of which the part behind the group of a Shared Subscription is changed; without a group, the whole. */
export function behindGroup(topicFilter: string, change: (filter: string) => string): string {
  const [, group = '', filter = topicFilter] = /^(\$share\/[^/]*\/)(.*)$/.exec(topicFilter) ?? []
  return group + change(filter)
}

/** Section 4.8.2: `$share/name/filter`. */
export function sharedParts(topicFilter: string): { shareName: string; filter: string } | null {
  const parts = topicFilter.split('/')
  if (parts[0] !== '$share' || parts.length < 3) return null
  return { shareName: parts[1]!, filter: parts.slice(2).join('/') }
}
