/**
 * Says why a Topic Filter does not match a Topic Name, where it nearly does.
 *
 * `explain.ts` calls it for the subscriptions of a client that has none that matches.
 */
import { type Saying, say } from './saying.ts'
import { counted } from './sentences.ts'

/** A filter that nearly matches, and what is different. */
export interface NearMiss {
  /** Smaller is nearer. */
  readonly distance: number
  readonly text: Saying
}

/** Returns what is different; null when the two have little in common. */
export function nearMiss(filter: string, topic: string): NearMiss | null {
  const [asked, given] = [filter.split('/'), topic.split('/')]
  if (topic.startsWith('$') && /^[+#]/.test(filter)) {
    return {
      distance: 1,
      text: say`${filter} does not match topics that begin with $: a wildcard at the beginning never does`,
    }
  }
  let same = 0
  while (same < asked.length && same < given.length && isMatch(asked[same]!, given[same]!)) same++
  if (same === asked.length && same < given.length) {
    const text = say`${filter} has ${counted(asked.length, 'level')}, the topic ${given.length}: + stands for one level, ${filter}/# would match`
    return { distance: 1, text }
  }
  if (same === given.length && same < asked.length) {
    return { distance: 1, text: say`${filter} has ${counted(asked.length, 'level')}, the topic only ${given.length}` }
  }
  const [at, was] = [asked[same] ?? '', given[same] ?? '']
  if (at.toLowerCase() === was.toLowerCase()) {
    return { distance: 2, text: say`${filter} has "${at}" where the topic has "${was}": upper and lower case differ` }
  }
  if (at.trim() === was.trim() || at === '' || was === '') {
    return { distance: 2, text: say`${filter} has "${at}" where the topic has "${was}": mind slashes and blanks` }
  }
  if (same === 0) return null
  return {
    distance: 3 + asked.length - same,
    text: say`${filter} has "${at}" in level ${same + 1}, the topic "${was}"`,
  }
}

const isMatch = (asked: string, given: string): boolean => asked === '+' || asked === given
