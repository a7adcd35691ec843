/**
 * The lines `topic_rewrite` and `auto_subscribe`, as rules of `@recado/broker`.
 *
 * `config.ts` calls it. Invariants: a line that the broker would refuse is an error with its place; a rewrite that can
 * never hold, because an earlier line always does, is a warning.
 */
import { type AutoSubscription, faultOfAutoSubscription, faultOfRewrite, type TopicRewrite } from '@recado/broker'
import { filterCovers } from '@recado/protocol'
import { ConfigError, type Setting } from './parse.ts'

const LINES_MAX = 1_000

/** Rewrites in the order of their lines. @throws ConfigError */
export function topicRewritesFrom(settings: readonly Setting[], warnings: string[]): TopicRewrite[] {
  mustBeFew(settings)
  const rewrites: { rewrite: TopicRewrite; at: string }[] = []
  for (const setting of settings) {
    const { file, line, name } = setting
    const [action = '', from, to, ...more] = setting.value as readonly string[]
    if (from === undefined || to === undefined || more.length > 0) {
      throw new ConfigError(file, line, `${name} needs publish, subscribe or all, and two topics: all old/# new/$1`)
    }
    const rewrite = { action: action as TopicRewrite['action'], from, to }
    const fault = faultOfRewrite(rewrite)
    if (fault !== null) throw new ConfigError(file, line, `${name}: ${fault}`)
    const before = rewrites.find((earlier) => isCovered(rewrite, earlier.rewrite))
    if (before !== undefined)
      warnings.push(`${file}:${line}: ${name} has no effect: ${before.at} matches all that it does, and comes first`)
    rewrites.push({ rewrite, at: `${file}:${line}` })
  }
  return rewrites.map(({ rewrite }) => rewrite)
}

/** Whether an earlier rule holds wherever this one would. One with a name may not apply to some clients. */
function isCovered({ action, from }: TopicRewrite, earlier: TopicRewrite): boolean {
  const isAction = earlier.action === 'all' || earlier.action === action
  return isAction && !/%[cu]/.test(earlier.to) && filterCovers(earlier.from, from)
}

/** Subscriptions in the order of their lines. @throws ConfigError */
export function autoSubscriptionsFrom(settings: readonly Setting[]): AutoSubscription[] {
  mustBeFew(settings)
  return settings.map(({ file, line, name, value }) => {
    const [topicFilter = '', ...words] = value as readonly string[]
    const qosWord = /^\d/.test(words[0] ?? '') ? words.shift()! : '0'
    const fail = (what: string): never => {
      throw new ConfigError(file, line, `${name}${what}`)
    }
    const qos = (['0', '1', '2'] as const).indexOf(qosWord as '0')
    if (qos < 0) fail(`: the QoS must be 0, 1 or 2, not "${qosWord}"`)
    const known = ['no-local', 'retain-as-published', 'no-retained']
    const wrong = words.find((word) => !known.includes(word))
    if (wrong !== undefined) fail(`: "${wrong}" is not one of ${known.join(', ')}`)
    const subscription: AutoSubscription = {
      topicFilter,
      qos: qos as 0 | 1 | 2,
      noLocal: words.includes('no-local'),
      retainAsPublished: words.includes('retain-as-published'),
      retainHandling: words.includes('no-retained') ? 2 : 0,
    }
    const fault = faultOfAutoSubscription(subscription)
    if (fault !== null) fail(`: ${fault}`)
    return subscription
  })
}

function mustBeFew(settings: readonly Setting[]): void {
  const first = settings[LINES_MAX]
  if (first !== undefined) throw new ConfigError(first.file, first.line, `${first.name} may stand ${LINES_MAX} times`)
}
