/**
 * The rules of an ACL file: `AclRules.parse` reads Mosquitto's grammar, `AclRules.of` says what they are for one client, and
 * `AclClient` decides and remembers per topic.
 *
 * Pure. The invariants are Mosquitto's: a client has the rules of its user (without a user name, or with an empty one, those above the first `user` line), then the
 * patterns; in each of the two all `deny` come first, and the first rule that matches and speaks of the access decides; what no rule
 * allows is denied. A user name or Client Identifier with `+` or `#` gets nothing from patterns, so that nobody can call himself a wildcard.
 */
import { filterCovers, filtersOverlap, isTopicFilter, MqttError, topicMatches } from '@recado/protocol'

export const AclAccess = { Read: 1, Write: 2 } as const
type Bits = number
const ALL: Bits = AclAccess.Read | AclAccess.Write

/** Topics that a client's answers are remembered for. */
const REMEMBERED_MAX = 1_000

/** A line of the file. */
export interface AclRule {
  /** Sum of `AclAccess`; 0: deny. */
  readonly bits: Bits
  /** With %c and %u in it when it is a pattern. */
  readonly topicFilter: string
  readonly isPattern: boolean
  /** From 1. */
  readonly line: number
  /** The line as it stands, without the blanks around it. */
  readonly text: string
}

export interface AclDecision {
  readonly isAllowed: boolean
  /** The line that decided; null: none did, and so it is denied (or, for `$SYS`, the rule that no file can change). */
  readonly rule: AclRule | null
  readonly why: string
}

const accessWords: Readonly<Record<string, Bits>> = {
  read: AclAccess.Read,
  write: AclAccess.Write,
  readwrite: ALL,
  deny: 0,
}

/** The order in which Mosquitto goes through rules: every deny is put before all others, so of two the later comes first. */
function inOrder(rules: readonly AclRule[]): AclRule[] {
  return [...rules.filter(({ bits }) => bits === 0).reverse(), ...rules.filter(({ bits }) => bits !== 0)]
}

export class AclRules {
  /** By user name; undefined: clients without one. */
  readonly #users: ReadonlyMap<string | undefined, readonly AclRule[]>
  readonly #patterns: readonly AclRule[]
  /** Lines that are probably not meant so, as `path:line: what`. */
  readonly warnings: readonly string[]

  private constructor(users: Map<string | undefined, AclRule[]>, patterns: AclRule[], warnings: string[]) {
    this.#users = new Map([...users].map(([user, rules]) => [user, inOrder(rules)]))
    this.#patterns = inOrder(patterns)
    this.warnings = warnings
  }

  /**
   * @param path for messages
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
        if (rest === '') throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: user needs a name`)
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
            warnings.push(`${at}: the pattern has no %c and no %u: it is for every client`)
          patterns.push(rule)
        }
      } else {
        throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: "${shown(keyword)}" is not one of user, topic, pattern`)
      }
    }
    return new AclRules(users, patterns, warnings)
  }

  /** What they are for this client. */
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

/** `[read|write|readwrite|deny] FILTER`. A single word is a filter, whatever it is; a filter with blanks needs the access before it. */
function accessAndFilter(text: string, keyword: string, at: string): { bits: Bits; topicFilter: string } {
  const [first, rest] = firstWord(text)
  if (first === '') throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: ${keyword} needs a topic`)
  const bits = rest === '' ? ALL : Object.hasOwn(accessWords, first) ? accessWords[first] : undefined
  if (bits === undefined) {
    const words = Object.keys(accessWords).join(', ')
    throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: "${shown(first)}" is not one of ${words}`)
  }
  const topicFilter = rest === '' ? first : rest
  // Here `$share` is a level like any other.
  if (!isTopicFilter(topicFilter.replace(/^\$share/, 'share'))) {
    throw new MqttError('ERR_MQTT_ACL_FILE', `${at}: "${shown(topicFilter)}" is not a topic or Topic Filter`)
  }
  return { bits, topicFilter }
}

/** Text of a file in a message: no control characters, not without end. */
function shown(text: string): string {
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')
  return clean.length > 60 ? `${clean.slice(0, 60)}…` : clean
}

function dangerousName(clientId: string, username: string | undefined): string | null {
  if (username !== undefined && /[+#]/.test(username)) return 'the user name has a + or # in it'
  return /[+#]/.test(clientId) ? 'the Client Identifier has a + or # in it' : null
}

/** null: it needs a user name, and there is none. In one pass: a name with %u in it is not a pattern again. */
function substituted(pattern: string, clientId: string, username: string | undefined): string | null {
  if (username === undefined && pattern.includes('%u')) return null
  return pattern.replace(/%[cu]/g, (name) => (name === '%c' ? clientId : username!))
}

/** Writing below $SYS and $share is nobody's right, but for what bridges say of themselves. */
function isReserved(topic: string): boolean {
  if (topic.charCodeAt(0) !== 0x24) return false
  if (topic.startsWith('$SYS')) return !topicMatches('$SYS/broker/connection/+/state', topic)
  return topic.startsWith('$share')
}

/** The rules as they are for one client. */
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

  /** `access`: one of `AclAccess`. */
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
    for (const [topicFilter, { bits }] of this.#ordered) {
      if ((bits !== 0 && (bits | allowed) === allowed) || !topicMatches(topicFilter, topic)) continue
      if (bits === 0) break
      allowed |= bits
    }
    return isReserved(topic) ? allowed & ~AclAccess.Write : allowed
  }

  /** The same with the reason, for people. */
  explain(topic: string, access: Bits): AclDecision {
    if (access === AclAccess.Write && isReserved(topic)) {
      return { isAllowed: false, rule: null, why: 'no client may publish there, whatever the file says' }
    }
    for (const [topicFilter, rule] of this.#ordered) {
      if (rule.bits !== 0 && (rule.bits & access) === 0) continue
      if (!topicMatches(topicFilter, topic)) continue
      const named = topicFilter === rule.topicFilter ? '' : ` (for this client ${topicFilter})`
      return { isAllowed: rule.bits !== 0, rule, why: `line ${rule.line}: ${rule.text}${named}` }
    }
    const why =
      this.#dangerous === null
        ? 'no line allows it'
        : `no line allows it, and patterns are not for this client: ${this.#dangerous}`
    return { isAllowed: false, rule: null, why }
  }

  /** The rules that have a say about what a subscription with this Topic Filter receives, in the order in which they are looked at. */
  overlapping(topicFilter: string, access: 'read' | 'write'): AclOverlap[] {
    const bit = access === 'read' ? AclAccess.Read : AclAccess.Write
    return this.#ordered
      .filter(([own, { bits }]) => (bits === 0 || (bits & bit) !== 0) && filtersOverlap(own, topicFilter))
      .map(([own, rule]) => ({ topicFilter: own, rule, coversAll: filterCovers(own, topicFilter) }))
  }
}

export interface AclOverlap {
  /** As it is for the client. */
  readonly topicFilter: string
  readonly rule: AclRule
  /** It matches everything that the subscription matches. */
  readonly coversAll: boolean
}
