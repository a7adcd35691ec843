/**
 * The rights of one client, by the roles that its user and the groups of its user have: `ClientRights` is made once for
 * a client and each change, decides, and remembers its decisions by topic.
 *
 * Pure. The order is the plugin's: the roles of the user by priority, then those of its groups; in a role the literal
 * rule for a Topic Filter, then the rules by priority; the first that matches decides, and where none does
 * `defaultACLAccess`, but never for `$CONTROL`. `%c` and `%u` stand for the Client Identifier and the user name where
 * they are a whole level. More cautious than the plugin: a name with a `+` or `#` is not inserted, and of a Shared
 * Subscription the filter behind `$share/NAME/` is checked, unless a rule begins with `$share`.
 */
import { filterCovers, isTopicFilter, parseShare, topicMatches } from '@recado/protocol'
import { type AccessType, type Acl, type Model, type Role, rolesInOrder } from './model.ts'

/** Topics that a client's answers are remembered for. */
const REMEMBERED_MAX = 1_000

/** Decision; null when neither a rule nor the default decides, and another authorizer may. */
export type Verdict = boolean | null

/** The parts of the client that count. */
export interface Who {
  readonly clientId: string
  readonly username: string | undefined
}

interface Rule {
  readonly topicFilter: string
  readonly isAllowed: boolean
}

/** Rules of a role, for this client. */
interface FilterRules {
  readonly allowWildcards: boolean
  readonly literal: ReadonlyMap<string, boolean>
  readonly patterns: readonly Rule[]
}

export class ClientRights {
  /** Version of the model that they are made from. */
  readonly version: number
  readonly #publish: readonly Rule[]
  readonly #receive: readonly Rule[]
  readonly #subscribe: readonly FilterRules[]
  readonly #unsubscribe: readonly FilterRules[]
  readonly #defaults: Readonly<Record<AccessType, boolean>>
  readonly #isKnown: boolean
  readonly #remembered: readonly [publish: Map<string, Verdict>, receive: Map<string, Verdict>] = [new Map(), new Map()]

  constructor(model: Model, version: number, who: Who) {
    this.version = version
    const roles = rolesOf(model, who)
    this.#isKnown = roles !== null
    this.#defaults = { ...model.defaultAccess }
    const all = roles ?? []
    this.#publish = all.flatMap(({ acls }) => rulesFor(acls.publishClientSend, who))
    this.#receive = all.flatMap(({ acls }) => rulesFor(acls.publishClientReceive, who))
    this.#subscribe = all.map((role) => ({
      allowWildcards: role.allowWildcardSubscriptions,
      literal: literalOf(role.acls.subscribeLiteral),
      patterns: rulesFor(role.acls.subscribePattern, who),
    }))
    this.#unsubscribe = all.map(({ acls }) => ({
      allowWildcards: true,
      literal: literalOf(acls.unsubscribeLiteral),
      patterns: rulesFor(acls.unsubscribePattern, who),
    }))
  }

  mayPublish(topic: string): Verdict {
    return this.#remember(0, topic, this.#publish, 'publishClientSend')
  }

  mayReceive(topic: string): Verdict {
    return this.#remember(1, topic, this.#receive, 'publishClientReceive')
  }

  maySubscribe(topicFilter: string): Verdict {
    return this.#decideFilter(topicFilter, this.#subscribe, 'subscribe')
  }

  mayUnsubscribe(topicFilter: string): Verdict {
    return this.#decideFilter(topicFilter, this.#unsubscribe, 'unsubscribe')
  }

  #remember(which: 0 | 1, topic: string, rules: readonly Rule[], type: AccessType): Verdict {
    const remembered = this.#remembered[which]
    let verdict = remembered.get(topic)
    if (verdict === undefined) {
      const rule = rules.find(({ topicFilter }) => topicMatches(topicFilter, topic))
      verdict = rule === undefined ? this.#byDefault(topic, type) : rule.isAllowed
      if (remembered.size >= REMEMBERED_MAX) remembered.clear()
      remembered.set(topic, verdict)
    }
    return verdict
  }

  #decideFilter(asked: string, list: readonly FilterRules[], type: AccessType): Verdict {
    const inner = parseShare(asked)?.topicFilter ?? asked
    const isWild = /[+#]/.test(inner)
    for (const { allowWildcards, literal, patterns } of list) {
      if (!allowWildcards && isWild) return false
      const exact = literal.get(asked) ?? literal.get(inner)
      if (exact !== undefined) return exact
      for (const { topicFilter, isAllowed } of patterns) {
        if (filterCovers(topicFilter, topicFilter.startsWith('$share/') ? asked : inner)) return isAllowed
      }
    }
    return this.#byDefault(inner, type)
  }

  /** `$CONTROL` is given by rules only. */
  #byDefault(topic: string, type: AccessType): Verdict {
    return this.#isKnown && this.#defaults[type] && !topic.startsWith('$CONTROL') ? true : null
  }
}

/** Roles in the order in which they are tried; null for a user whom dynamic security does not know. */
function rolesOf(model: Model, { username }: Who): Role[] | null {
  if (!username) return model.anonymousGroup === null ? [] : rolesInOrder(model.anonymousGroup.roles)
  const client = model.clients.get(username)
  if (client === undefined) return null
  return [...rolesInOrder(client.roles), ...model.groupsOf(client).flatMap(([group]) => rolesInOrder(group.roles))]
}

const literalOf = (acls: readonly Acl[]): Map<string, boolean> =>
  new Map(acls.map(({ topic, allow }): [string, boolean] => [topic, allow]))

/** Returns rules with this client's names; those that can match nothing are left out. */
function rulesFor(acls: readonly Acl[], who: Who): Rule[] {
  return acls.flatMap(({ topic, allow }) => {
    const topicFilter = substituted(topic, who)
    return topicFilter === null || !isRuleFilter(topicFilter) ? [] : [{ topicFilter, isAllowed: allow }]
  })
}

/** A Topic Filter; `$share` is a level like any other. */
export const isRuleFilter = (text: string): boolean => isTopicFilter(text.replace(/^\$share/, '$-share'))

/** Fills in the names; null when one is missing, or has a wildcard. */
function substituted(pattern: string, { clientId, username }: Who): string | null {
  if (!pattern.includes('%')) return pattern
  let isUsable = true
  const levels = pattern.split('/').map((level) => {
    if (level !== '%c' && level !== '%u') return level
    const name = level === '%c' ? clientId : username
    if (!name || /[+#]/.test(name)) isUsable = false
    return name ?? ''
  })
  return isUsable ? levels.join('/') : null
}
