/**
 * Topic rewrites in the model, from docs/topics.md: the first rule that matches holds, and its result is not rewritten
 * again. Rights, the mount point and everything else see the result.
 */
import { behindGroup } from './topics.ts'
import type { Rewrite } from './types.ts'

const DELAYED = /^(\$delayed\/\d+\/)(.+)$/

/** Names that stand in a rule as `%c` and `%u`; '': the client has none. */
export interface Names {
  readonly clientId: string
  readonly username: string
}

/** Rewrites the topic of a PUBLISH or a Will; behind `$delayed/SECONDS/` the real one. */
export function rewrittenTopic(rewrites: readonly Rewrite[], topic: string, names: Names, hasDelays: boolean): string {
  const [, delay = '', real = topic] = hasDelays ? (DELAYED.exec(topic) ?? []) : []
  return delay + rewritten(rewrites, 'publish', real, names)
}

/** Rewrites the Topic Filter of a SUBSCRIBE or UNSUBSCRIBE. The group of a Shared Subscription stays. */
export function rewrittenFilter(rewrites: readonly Rewrite[], topicFilter: string, names: Names): string {
  return behindGroup(topicFilter, (filter) => rewritten(rewrites, 'subscribe', filter, names))
}

function rewritten(
  rewrites: readonly Rewrite[],
  action: 'publish' | 'subscribe',
  topic: string,
  { clientId, username }: Names,
): string {
  for (const rule of rewrites) {
    if (rule.action !== 'all' && rule.action !== action) continue
    const parts = partsOf(rule.from.split('/'), topic.split('/'))
    if (parts === null) continue
    const isNameless = [
      ['%c', clientId],
      ['%u', username],
    ].some(([name, value]) => rule.to.includes(name!) && (value === '' || /[+#]/.test(value!)))
    if (isNameless) continue
    const levels: string[] = []
    for (const level of rule.to.split('/')) {
      const [, number] = /^\$(\d)$/.exec(level) ?? []
      // `#` that stands for no level takes the / before it along.
      if (number !== undefined && parts[Number(number) - 1] === null) continue
      levels.push(
        level
          .replace('%c', clientId)
          .replace('%u', username)
          .replace(/\$(\d)/g, (_, digit: string) => parts[Number(digit) - 1] ?? ''),
      )
    }
    return levels.join('/')
  }
  return topic
}

/** Strings that the wildcards of a rule stand for; `null` in the place of `#` for no level. `null` when it does not match. */
function partsOf(from: readonly string[], levels: readonly string[]): (string | null)[] | null {
  const parts: (string | null)[] = []
  if (levels[0]!.startsWith('$') && /^[+#]$/.test(from[0]!)) return null
  for (let i = 0; i < from.length; i++) {
    if (from[i] === '#') return [...parts, i < levels.length ? levels.slice(i).join('/') : null]
    if (i >= levels.length) return null
    // Of a client's own wildcards `+` is a level like others.
    if (from[i] === '+' && levels[i] !== '#') parts.push(levels[i]!)
    else if (from[i] !== levels[i]) return null
  }
  return from.length === levels.length ? parts : null
}
