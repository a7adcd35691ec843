/**
 * Topic rewrites: Topic Names and Topic Filters of clients that the broker takes for others, by rules.
 *
 * `handlePublish`, `handleSubscribe`, `handleUnsubscribe` and the Will of a CONNECT ask, before the mount point is put in
 * front and before rights are asked about: those see the topic as it is then. The first rule that matches holds, and its
 * result is not rewritten again, so no rules make a loop.
 *
 * A rule compares levels: `+` stands for one, `#` at the end for all that follow, also none. What they stand for is `$1`,
 * `$2`, … of the target. In a Topic Filter of a client a level `+` is a level like any other, which may be carried over.
 */
import { isTopicFilter, isTopicName, parseShare } from '@recado/protocol'
import { type NamedClient, substituted } from './placeholders.ts'

/** One rule. */
export interface TopicRewrite {
  /** Packets that it is for: PUBLISH and Wills, SUBSCRIBE and UNSUBSCRIBE, or all of them. */
  readonly action: 'publish' | 'subscribe' | 'all'
  /** Topics that it rewrites, with the wildcards `+` and `#`. */
  readonly from: string
  /**
   * Topic that takes their place, with `$1`, `$2`, … for what the wildcards stand for, `%c` for the Client Identifier and
   * `%u` for the user name. The rule does not apply to a client without such a name.
   */
  readonly to: string
}

const CAPTURE = /\$(\d+)/g
/** Topics of the broker itself, and forms that mean something else. */
const CLOSED = /^\$(SYS|CONTROL|share|delayed)(\/|$)/

/** Describes what is wrong with a rule; null when nothing is. */
export function faultOfRewrite({ action, from, to }: TopicRewrite): string | null {
  if (!['publish', 'subscribe', 'all'].includes(action)) return `"${action}" must be publish, subscribe or all`
  if (!isTopicFilter(from)) return `"${from}" is not a Topic Filter`
  if (CLOSED.test(from)) return `topics of ${from.split('/')[0]} cannot be rewritten`
  if (CLOSED.test(to)) return `nothing can be rewritten to ${to.split('/')[0]}`
  const wildcards = from.split('/').filter((level) => level === '+' || level === '#').length
  for (const [capture, digits] of to.matchAll(CAPTURE)) {
    const number = Number(digits)
    if (number < 1 || number > wildcards)
      return `${capture} in "${to}" stands for nothing: "${from}" has ${wildcards} wildcards`
  }
  const example = to.replace(CAPTURE, 'x').replace(/%[cu]/g, 'x')
  return isTopicName(example) ? null : `"${to}" is not a Topic Name`
}

class Rule {
  readonly rewrite: TopicRewrite
  readonly #levels: readonly string[]

  constructor(rewrite: TopicRewrite) {
    this.rewrite = rewrite
    this.#levels = rewrite.from.split('/')
  }

  /** Returns what the topic becomes; null when the rule does not apply. */
  apply(topic: string, levels: readonly string[], client: NamedClient): string | null {
    const captures = this.#match(levels)
    if (captures === null) return null
    const target = substituted(this.rewrite.to, client)
    if (target === null) return null
    // `#` may stand for no level at all: then there is no / before it either.
    const whole = captures.at(-1) === null ? target.replace(`/$${captures.length}`, '') : target
    const rewritten = whole.replace(CAPTURE, (_, digits: string) => captures[Number(digits) - 1] ?? '')
    return rewritten === '' ? topic : rewritten
  }

  /** Returns what each wildcard stands for, null for no level at all; null when the topic does not match. */
  #match(levels: readonly string[]): (string | null)[] | null {
    const own = this.#levels
    const [first] = own
    // As for subscriptions: a wildcard at the beginning does not match topics of the broker's own kind. [MQTT-4.7.2-1]
    if ((first === '+' || first === '#') && levels[0]!.startsWith('$')) return null
    const captures: (string | null)[] = []
    for (const [i, level] of own.entries()) {
      if (level === '#') {
        captures.push(i < levels.length ? levels.slice(i).join('/') : null)
        return captures
      }
      const given = levels[i]
      if (given === undefined) return null
      if (level === '+') {
        if (given === '#') return null
        captures.push(given)
      } else if (level !== given) return null
    }
    return levels.length === own.length ? captures : null
  }
}

export class TopicRewrites {
  readonly #publish: readonly Rule[]
  readonly #subscribe: readonly Rule[]

  constructor(rewrites: readonly TopicRewrite[]) {
    const rules = rewrites.map((rewrite) => new Rule(rewrite))
    this.#publish = rules.filter(({ rewrite }) => rewrite.action !== 'subscribe')
    this.#subscribe = rules.filter(({ rewrite }) => rewrite.action !== 'publish')
  }

  /** The Topic Name that a client means. */
  topicName(topic: string, client: NamedClient): string {
    return rewritten(this.#publish, topic, client)
  }

  /** The Topic Filter that a client means; the group of a Shared Subscription stays. It may be none: check it. */
  topicFilter(topicFilter: string, client: NamedClient): string {
    const share = parseShare(topicFilter)
    if (share === null) return rewritten(this.#subscribe, topicFilter, client)
    return `$share/${share.shareName}/${rewritten(this.#subscribe, share.topicFilter, client)}`
  }
}

function rewritten(rules: readonly Rule[], topic: string, client: NamedClient): string {
  if (rules.length === 0) return topic
  const levels = topic.split('/')
  for (const rule of rules) {
    const result = rule.apply(topic, levels, client)
    if (result !== null) return result
  }
  return topic
}
