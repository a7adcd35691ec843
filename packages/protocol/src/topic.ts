/**
 * Topic Names and Topic Filters: their syntax, and which filter matches which name.
 *
 * Owns the two branded strings `TopicName` and `TopicFilter`: only this file makes them, so a value of these types has
 * been checked. Used by the broker (filters of SUBSCRIBE, names of PUBLISH and of Wills), by the client (before
 * anything is sent) and by the topic trees (`matchLevels`).
 *
 * Invariant: nothing here recurses or allocates per level; each check is one pass over the string, whatever the number
 * of levels (a string of 65,535 slashes has 65,536 of them).
 *
 * Source: MQTT 5.0 sections 1.5.4, 4.7 and 4.8.2; MQTT 3.1.1 sections 1.5.3 and 4.7.
 */
import { MqttError } from './errors.ts'

declare const brand: unique symbol

/** A string that `isTopicName` accepts. */
export type TopicName = string & { readonly [brand]: 'TopicName' }

/** A string that `isTopicFilter` accepts. */
export type TopicFilter = string & { readonly [brand]: 'TopicFilter' }

/** Parts of `$share/{shareName}/{topicFilter}` (section 4.8.2). */
export interface Share {
  shareName: string
  topicFilter: TopicFilter
}

const HASH = 0x23
const DOLLAR = 0x24
const PLUS = 0x2b
const SLASH = 0x2f

/** Longest UTF-8 Encoded String in bytes, section 1.5.4. */
const STRING_BYTES_MAX = 65_535

const SHARE_PREFIX = '$share/'

/**
 * Returns true for a Topic Name, which a PUBLISH or a Will may carry: at least one character, at most 65,535 bytes of
 * UTF-8, without `+`, `#`, U+0000 and lone surrogates. (Only a PUBLISH with a Topic Alias may have an empty one.)
 */
export function isTopicName(value: string): value is TopicName {
  return textFault(value, false) === null
}

/**
 * Returns true for a Topic Filter, which SUBSCRIBE and UNSUBSCRIBE may carry: the rules of `isTopicName`, but with `+`
 * alone in its level and `#` alone in the last one. A filter that begins with `$share/` must be a whole Shared
 * Subscription.
 */
export function isTopicFilter(value: string): value is TopicFilter {
  return filterFault(value) === null
}

/** Returns the value as a `TopicName`. Throws `MqttError` ERR_MQTT_TOPIC_NAME, whose message says what is wrong. */
export function parseTopicName(value: string): TopicName {
  const fault = textFault(value, false)
  if (fault !== null) throw new MqttError('ERR_MQTT_TOPIC_NAME', `${quote(value)} is not a Topic Name: ${fault}`)
  return value as TopicName
}

/** Returns the value as a `TopicFilter`. Throws `MqttError` ERR_MQTT_TOPIC_FILTER, whose message says what is wrong. */
export function parseTopicFilter(value: string): TopicFilter {
  const fault = filterFault(value)
  if (fault !== null) throw new MqttError('ERR_MQTT_TOPIC_FILTER', `${quote(value)} is not a Topic Filter: ${fault}`)
  return value as TopicFilter
}

/**
 * Splits a Shared Subscription into its two parts; returns null for a filter that does not begin with `$share/`. The
 * inner filter is what is stored and matched; it may itself begin with `$share/`, which then means nothing. Throws
 * `MqttError` ERR_MQTT_TOPIC_FILTER for a filter that begins with `$share/` and is not a Shared Subscription.
 */
export function parseShare(filter: string): Share | null {
  if (!filter.startsWith(SHARE_PREFIX)) return null
  parseTopicFilter(filter)
  const slash = filter.indexOf('/', SHARE_PREFIX.length)
  return {
    shareName: filter.slice(SHARE_PREFIX.length, slash),
    topicFilter: filter.slice(slash + 1) as TopicFilter,
  }
}

/**
 * Returns the number of levels: one more than there are slashes, so `/` has two. Not limited here: the broker limits
 * it.
 */
export function topicLevels(value: string): number {
  let levels = 1
  for (let slash = value.indexOf('/'); slash !== -1; slash = value.indexOf('/', slash + 1)) levels++
  return levels
}

/**
 * Returns true when the filter matches the name. Both must be valid; remove `$share/…/` from a Shared Subscription
 * before (`parseShare`). Takes time in proportion to the shorter of the two.
 */
export function topicMatches(filter: string, topic: string): boolean {
  // A wildcard in the first level does not match a name that begins with `$` [MQTT-4.7.2-1]
  if (topic.charCodeAt(0) === DOLLAR) {
    const first = filter.charCodeAt(0)
    if (first === PLUS || first === HASH) return false
  }
  return matchLevels(filter, 0, filter.length, topic, 0) > topic.length
}

/** Returns true when the filter has a wildcard and so may match several names. */
export function hasWildcard(filter: string): boolean {
  return filter.includes('+') || filter.includes('#')
}

/**
 * Matches the levels of a filter from index `filterStart` up to `filterEnd` with those of the name from `topicStart`;
 * all three are boundaries of levels. Returns the index of the name's next level, which is past its end when none is
 * left; -1 when they do not match. Ignores the rule for `$`, which is a rule for the first level. For the topic trees.
 */
export function matchLevels(
  filter: string,
  filterStart: number,
  filterEnd: number,
  topic: string,
  topicStart: number,
): number {
  const topicEnd = topic.length
  let f = filterStart
  let t = topicStart
  while (f <= filterEnd) {
    // NaN when the last level is empty, and so no wildcard
    const first = filter.charCodeAt(f)
    // `#` stands for any number of levels, also for none: `a/#` matches `a` (section 4.7.1.2)
    if (first === HASH) return topicEnd + 1
    if (t > topicEnd) return -1
    if (first === PLUS) {
      f += 2
      while (t < topicEnd && topic.charCodeAt(t) !== SLASH) t++
      t++
      continue
    }
    for (;;) {
      const inFilter = f < filterEnd ? filter.charCodeAt(f) : SLASH
      const inTopic = t < topicEnd ? topic.charCodeAt(t) : SLASH
      // Compare character by character: nothing is normalized [MQTT-4.7.3-4]
      if (inFilter !== inTopic) return -1
      f++
      t++
      if (inFilter === SLASH) break
    }
  }
  return t
}

function filterFault(filter: string): string | null {
  const fault = textFault(filter, true)
  if (fault !== null || !filter.startsWith(SHARE_PREFIX)) return fault
  const slash = filter.indexOf('/', SHARE_PREFIX.length)
  // [MQTT-4.8.2-2]: the ShareName is followed by `/` and a Topic Filter
  if (slash === -1 || slash === filter.length - 1) return 'a Shared Subscription has the form $share/ShareName/filter'
  // [MQTT-4.8.2-1]
  if (slash === SHARE_PREFIX.length) return 'its ShareName is empty'
  const wildcard = filter.slice(SHARE_PREFIX.length, slash)
  // [MQTT-4.8.2-2]
  if (hasWildcard(wildcard)) return 'its ShareName has a wildcard'
  return null
}

/** Describes what is wrong with the text, for people; null when nothing is. */
function textFault(text: string, wildcards: boolean): string | null {
  const length = text.length
  // [MQTT-4.7.3-1]
  if (length === 0) return 'it is empty'
  // Every UTF-16 unit takes at least one byte, so a text that is too long need not be looked through
  if (length > STRING_BYTES_MAX) return 'it is longer than 65,535 bytes'
  let bytes = length
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0x80) {
      bytes++
      if (unit < 0x800) continue
      bytes++
      if ((unit & 0xf800) !== 0xd800) continue
      // [MQTT-1.5.4-1]
      if (unit >= 0xdc00 || i + 1 === length || (text.charCodeAt(i + 1) & 0xfc00) !== 0xdc00) {
        return 'it has a lone surrogate'
      }
      // A pair takes four bytes: the first unit was counted as three, the second as one
      i++
      continue
    }
    switch (unit) {
      case 0:
        // [MQTT-1.5.4-2] [MQTT-4.7.3-2]
        return 'it has U+0000'
      case PLUS:
        // [MQTT-3.3.2-2] [MQTT-4.7.0-1]
        if (!wildcards) return 'it has the wildcard +'
        // [MQTT-4.7.1-2]
        if (!(isBoundary(text, i - 1) && isBoundary(text, i + 1))) return '+ must be alone in its level'
        break
      case HASH:
        if (!wildcards) return 'it has the wildcard #'
        // [MQTT-4.7.1-1]
        if (i + 1 !== length || !isBoundary(text, i - 1)) return '# must be alone in the last level'
        break
    }
  }
  // [MQTT-4.7.3-3]
  return bytes > STRING_BYTES_MAX ? 'it is longer than 65,535 bytes' : null
}

/**
 * Returns true when the text has a control character (U+0001 to U+001F, U+007F to U+009F) or a non-character (U+FDD0 to
 * U+FDEF, the last two of each plane). MQTT allows but discourages them, and a receiver may close the connection for
 * one (section 1.5.4).
 */
export function hasUnusualCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i)!
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true
    if (code < 0xfdd0) continue
    if (code <= 0xfdef || (code & 0xfffe) === 0xfffe) return true
    if (code > 0xffff) i++
  }
  return false
}

/** Returns true when there is a slash at this index, or no character at all. */
function isBoundary(text: string, index: number): boolean {
  return index < 0 || index >= text.length || text.charCodeAt(index) === SLASH
}

function quote(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
}
