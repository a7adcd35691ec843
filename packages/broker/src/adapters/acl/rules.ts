/**
 * The rules of an ACL file: `AclRules.parse` reads Mosquitto's grammar, `AclRules.of` selects the rules of one client,
 * and `AclClient` decides and remembers its decisions by topic.
 *
 * Pure. The invariants are Mosquitto's: a client has the rules of its user (without a user name, or with an empty one,
 * those above the first `user` line), then the patterns. In each of the two all `deny` come first, and the first rule
 * that matches the topic and the access decides; without such a rule the access is denied. A user name or Client
 * Identifier with `+` or `#` gets nothing from patterns, so that no client can name itself as a wildcard.
 */
import { filterCovers, filtersOverlap, isTopicFilter, MqttError, topicMatches } from '@recado/protocol'

export const AclAccess = { Read: 1, Write: 2 } as const
type Bits = number
const ALL: Bits = AclAccess.Read | AclAccess.Write

/** Largest number of topics per client whose answers are remembered. */
const REMEMBERED_MAX = 1_000

/** Rule of one line of the file. */
export interface AclRule {
  /** Granted accesses, a sum of `AclAccess`; 0 in a rule that denies. */
  readonly bits: Bits
  /** Denied accesses; 0 in a rule that grants. */
  readonly denied: Bits
  /** Topic Filter; that of a pattern still has %c and %u. */
  readonly topicFilter: string
  readonly isPattern: boolean
  /** Line number, from 1. */
  readonly line: number
  /** Text of the line, without the blanks around it. */
  readonly text: string
}

/** Answer of `AclFile.explain`, with the line that decided. */
export interface AclDecision {
  readonly isAllowed: boolean
  /** Rule that decided; null when no rule did, which denies (for `$SYS` it is the rule that no file can change). */
  readonly rule: AclRule | null
  readonly why: string
}

type Access = Pick<AclRule, 'bits' | 'denied'>

const grants = (bits: Bits): Access => ({ bits, denied: 0 })
const denies = (denied: Bits): Access => ({ bits: 0, denied })

/** `readdeny` and `writedeny` are our own. */
const accessWords: Readonly<Record<string, Access>> = {
  read: grants(AclAccess.Read),
  write: grants(AclAccess.Write),
  readwrite: grants(ALL),
  deny: denies(ALL),
  readdeny: denies(AclAccess.Read),
  writedeny: denies(AclAccess.Write),
}

/**
 * Sorts rules as Mosquitto applies them: each `deny` is put before all others, so the later one of two `deny` comes
 * first.
 */
function inOrder(rules: readonly AclRule[]): AclRule[] {
  return [...rules.filter(({ bits }) => bits === 0).reverse(), ...rules.filter(({ bits }) => bits !== 0)]
}

export class AclRules {
  /** Rules by user name; those under `undefined` apply to clients without one. */
  readonly #users: ReadonlyMap<string | undefined, readonly AclRule[]>
  readonly #patterns: readonly AclRule[]
  /** Warnings about lines that are probably mistakes, as `path:line: what`. */
  readonly warnings: readonly string[]

  private constructor(users: Map<string | undefined, AclRule[]>, patterns: AclRule[], warnings: string[]) {
    this.#users = new Map([...users].map(([user, rules]) => [user, inOrder(rules)]))
    this.#patterns = inOrder(patterns)
    this.warnings = warnings
  }

  /**
   * @param path name of the file for messages
   * @throws MqttError ERR_MQTT_ACL_FILE for the first line that cannot be understood
   */
  static parse(text: string, path: string): AclRules {
    const users = new Map<string | undefined, AclRule[]>()
    const patterns: AclRule[] = []
    const warnings: string[] = []
    let user: string | undefined
    for (const [index, raw] of text.split('\n').entries()) {
      const line = raw.trim()
      if (line === '' || line.startsWith('#')) continue
      const at = `${path}:${index + 1}`
      const [keyword, rest] = firstWord(line)
      if (keyword === 'user') {
        if (rest === '')
          throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: "user" has no name behind it: write user NAME`)
        user = rest
      } else if (keyword === 'topic' || keyword === 'pattern') {
        const isPattern = keyword === 'pattern'
        const rule: AclRule = { ...accessAndFilter(rest, keyword, at), isPattern, line: index + 1, text: line }
        if (!isPattern) {
          const rules = users.get(user)
          if (rules === undefined) users.set(user, [rule])
          else rules.push(rule)
        } else {
          if (!/%[cu]/.test(rule.topicFilter))
            warnings.push(`${at}: the pattern has neither %c nor %u, so it applies to every client`)
          patterns.push(rule)
        }
      } else {
        throw new MqttError(
          'ERR_MQTT_ACL_FILE',
          `${at}: "${shown(keyword)}" is unknown: a line begins with user, topic or pattern`,
        )
      }
    }
    return new AclRules(users, patterns, warnings)
  }

  /** Returns rules of this client. */
  of(clientId: string, name: string | undefined): AclClient {
    const username = name === '' ? undefined : name
    const rules: [topicFilter: string, rule: AclRule][] = []
    for (const rule of this.#users.get(username) ?? []) rules.push([rule.topicFilter, rule])
    const dangerous = this.#patterns.length > 0 ? dangerousName(clientId, username) : null
    if (dangerous === null) {
      for (const rule of this.#patterns) {
        const topicFilter = substituted(rule.topicFilter, clientId, username)
        if (topicFilter !== null) rules.push([topicFilter, rule])
      }
    }
    return new AclClient(this, rules, dangerous)
  }
}

function firstWord(text: string): [word: string, rest: string] {
  const end = text.search(/[ \t]/)
  return end === -1 ? [text, ''] : [text.slice(0, end), text.slice(end).trim()]
}

/**
 * Parses `[read|write|readwrite|deny|readdeny|writedeny] FILTER`. A single word is always a filter; a filter with blanks needs the access
 * before it.
 */
function accessAndFilter(text: string, keyword: string, at: string): Access & { topicFilter: string } {
  const [first, rest] = firstWord(text)
  if (first === '')
    throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: "${keyword}" has no topic behind it: write ${keyword} TOPIC`)
  const access = rest === '' ? grants(ALL) : Object.hasOwn(accessWords, first) ? accessWords[first] : undefined
  if (access === undefined) {
    const words = Object.keys(accessWords).join(', ')
    throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: "${shown(first)}" is no kind of access: write one of ${words}`)
  }
  const topicFilter = rest === '' ? first : rest
  // Here `$share` is a level like any other.
  if (!isTopicFilter(topicFilter.replace(/^\$share/, 'share'))) {
    throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: "${shown(topicFilter)}" is not a topic or Topic Filter`)
  }
  return { ...access, topicFilter }
}

/** Quotes text of a file in a message: without control characters, and shortened. */
function shown(text: string): string {
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')
  return clean.length > 60 ? `${clean.slice(0, 60)}…` : clean
}

function dangerousName(clientId: string, username: string | undefined): string | null {
  if (username !== undefined && /[+#]/.test(username)) return 'the user name has a + or # in it'
  return /[+#]/.test(clientId) ? 'the Client Identifier has a + or # in it' : null
}

/**
 * Fills in %c and %u; returns null when the pattern needs a user name and the client has none. One pass, so that a %u
 * within a name is not replaced again.
 */
function substituted(pattern: string, clientId: string, username: string | undefined): string | null {
  if (username === undefined && pattern.includes('%u')) return null
  return pattern.replace(/%[cu]/g, (name) => (name === '%c' ? clientId : username!))
}

/**
 * Returns true for all topics that begin with `$SYS` or `$share`, `$SYSTEM/a` among them, except for the state that
 * bridges publish: Mosquitto lets no rule of an ACL file grant access to write to them. What the broker reserves
 * whatever the rights (`core/base/reserved-topics.ts`) is less, with `$CONTROL` besides, which never comes here.
 */
export function isReservedInAclFiles(topic: string): boolean {
  if (topic.charCodeAt(0) !== 0x24) return false
  if (topic.startsWith('$SYS')) return !topicMatches('$SYS/broker/connection/+/state', topic)
  return topic.startsWith('$share')
}

/** Rules of one client. */
export class AclClient {
  readonly rules: AclRules
  readonly #ordered: readonly (readonly [topicFilter: string, rule: AclRule])[]
  readonly #dangerous: string | null
  readonly #remembered: Map<string, Bits> = new Map()

  constructor(rules: AclRules, ordered: readonly (readonly [string, AclRule])[], dangerous: string | null) {
    this.rules = rules
    this.#ordered = ordered
    this.#dangerous = dangerous
  }

  /** Whether the access is allowed. `access` is one of `AclAccess`. */
  may(topic: string, access: Bits): boolean {
    let bits = this.#remembered.get(topic)
    if (bits === undefined) {
      bits = this.#bitsFor(topic)
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear()
      this.#remembered.set(topic, bits)
    }
    return (bits & access) !== 0
  }

  #bitsFor(topic: string): Bits {
    let allowed: Bits = 0
    let open: Bits = ALL
    for (const [topicFilter, { bits, denied }] of this.#ordered) {
      const decided = (bits | denied) & open
      if (decided === 0 || !topicMatches(topicFilter, topic)) continue
      allowed |= bits & decided
      open &= ~decided
      if (open === 0) break
    }
    return isReservedInAclFiles(topic) ? allowed & ~AclAccess.Write : allowed
  }

  /** Decides like `may`, and returns the reason, for people. */
  explain(topic: string, access: Bits): AclDecision {
    if (access === AclAccess.Write && isReservedInAclFiles(topic)) {
      return {
        isAllowed: false,
        rule: null,
        why: 'no client is allowed to publish to this topic, whatever the file says',
      }
    }
    for (const [topicFilter, rule] of this.#ordered) {
      if (((rule.bits | rule.denied) & access) === 0) continue
      if (!topicMatches(topicFilter, topic)) continue
      const named = topicFilter === rule.topicFilter ? '' : ` (for this client ${topicFilter})`
      return { isAllowed: rule.bits !== 0, rule, why: `line ${rule.line}: ${rule.text}${named}` }
    }
    const why =
      this.#dangerous === null
        ? 'no line allows it'
        : `no line allows it, and patterns do not apply to this client: ${this.#dangerous}`
    return { isAllowed: false, rule: null, why }
  }

  /**
   * Returns rules that apply to some message of a subscription with this Topic Filter, in the order in which they are
   * tried.
   */
  overlapping(topicFilter: string, access: 'read' | 'write'): AclOverlap[] {
    const bit = access === 'read' ? AclAccess.Read : AclAccess.Write
    return this.#ordered
      .filter(([own, { bits, denied }]) => ((bits | denied) & bit) !== 0 && filtersOverlap(own, topicFilter))
      .map(([own, rule]) => ({ topicFilter: own, rule, coversAll: filterCovers(own, topicFilter) }))
  }
}

export interface AclOverlap {
  /** Topic Filter with the client's names filled in. */
  readonly topicFilter: string
  readonly rule: AclRule
  /** Whether the rule matches everything that the subscription matches. */
  readonly coversAll: boolean
}
