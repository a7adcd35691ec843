/**
 * Two tries over topic levels, the two ways round: `FilterTree` holds many Topic Filters and finds those that match one
 * Topic Name (routing); `TopicTree` holds many Topic Names and finds those that one Topic Filter matches (retained
 * messages). Used by the broker's router and retained store, and by the client's dispatch of messages.
 * The trie itself is `level-trie.ts`.
 *
 * Cost. `FilterTree.match` looks at a node at most once, and only when the way down to its parent equals the name level by
 * level or by `+`. With k wildcard filters there are less than 2·k nodes, and for a name of d levels less than
 * 2^(d+1) can be on such ways; each costs one look-up and the comparison of its levels with the name's. So it is never worse
 * than trying all wildcard filters one by one, and near that only when they were made for it (every mixture of `+`
 * and the name's own levels: 2^d of them). No index for partial match avoids this; limits on subscriptions per
 * client and on topic levels are the cure. `TopicTree.match` likewise never looks at more nodes than twice the names.
 * Figures: bench/micro/match.mjs.
 *
 * Source: MQTT 5.0 section 4.7.
 */
import { type LevelNode, LevelTrie, levelEnd } from './level-trie.ts'
import { hasWildcard, matchLevels } from './topic.ts'

const HASH = 0x23
const PLUS = 0x2b
const SLASH = 0x2f

/** More scratch than this is given back after a match. */
const SCRATCH_KEPT = 256

/**
 * Topic Filters with one value each; finds the values of those that match a Topic Name.
 *
 * Filters must be valid (`isTopicFilter`), names too; of a Shared Subscription the inner filter is to be given.
 * At most about 16 million filters without wildcard, and as many that part at one level (the size of a `Map`).
 */
export class FilterTree<V> {
  readonly #exact: Map<string, V> = new Map()
  readonly #wildcards: LevelTrie<V> = new LevelTrie<V>()
  // Scratch of `match`: nodes to look at with where in the name their levels begin
  readonly #waiting: (LevelNode<V> | null)[] = []
  readonly #waitingAt: number[] = []

  /** Number of filters. */
  get size(): number {
    return this.#exact.size + this.#wildcards.size
  }

  /** Number of nodes of the trie of wildcard filters; 0 when there are none. For tests and memory accounting. */
  get nodeCount(): number {
    return this.#wildcards.nodeCount
  }

  /** Puts the filter in, or gives it another value. */
  set(filter: string, value: V): void {
    if (hasWildcard(filter)) this.#wildcards.insert(filter).value = value
    else this.#exact.set(filter, value)
  }

  /** The value of this very filter (nothing is matched); undefined: it is not in. */
  get(filter: string): V | undefined {
    return hasWildcard(filter) ? this.#wildcards.find(filter)?.value : this.#exact.get(filter)
  }

  /** Takes the filter out. False: it was not in. */
  delete(filter: string): boolean {
    return hasWildcard(filter) ? this.#wildcards.remove(filter) : this.#exact.delete(filter)
  }

  /**
   * Appends to `out` the value of each filter that matches the name, each once, in no particular order.
   * Time: see the head of this file. Garbage: the text of a level where many filters part, nothing else.
   */
  match(topic: string, out: V[]): void {
    const exact = this.#exact.get(topic)
    if (exact !== undefined || this.#exact.has(topic)) out.push(exact as V)
    if (this.#wildcards.size === 0) return

    const topicEnd = topic.length
    const waiting = this.#waiting
    const waitingAt = this.#waitingAt
    let count = 0
    // [MQTT-4.7.2-1]: filters that begin with a wildcard are not under the root of a name that begins with `$`
    let node: LevelNode<V> = this.#wildcards.rootFor(topic)
    let at = 0
    for (;;) {
      // Here the levels of `node` have been matched, and `at` is where the name's next level begins
      if (at > topicEnd) {
        if (node.to === node.text.length) out.push(node.value as V)
        // `a/#` matches `a`: also when no level is left (section 4.7.1.2)
        if (node.hash !== null) out.push(node.hash.value as V)
      } else {
        if (node.hash !== null) out.push(node.hash.value as V)
        if (node.plus !== null) {
          waiting[count] = node
          waitingAt[count] = at
          count++
        }
        let child = node.only
        let start = node.to + 1
        let from = at
        if (node.more !== null) {
          const level = topic.substring(at, levelEnd(topic, at))
          child = node.more.get(level) ?? null
          // This level is known to be equal
          start += level.length + 1
          from += level.length + 1
        }
        if (child !== null) {
          const next = matchLevels(child.text, start, child.to, topic, from)
          if (next !== -1) {
            node = child
            at = next
            continue
          }
        }
      }
      // Nothing more this way: back to the last node that waits and whose levels match
      for (;;) {
        if (count === 0) {
          if (waiting.length > SCRATCH_KEPT) {
            waiting.length = 0
            waitingAt.length = 0
          }
          return
        }
        count--
        const parent: LevelNode<V> = waiting[count]!
        // The scratch must not keep alive what is deleted later
        waiting[count] = null
        const child: LevelNode<V> = parent.plus!
        const next = matchLevels(child.text, parent.to + 1, child.to, topic, waitingAt[count]!)
        if (next !== -1) {
          node = child
          at = next
          break
        }
      }
    }
  }
}

/**
 * Topic Names with one value each; finds those that a Topic Filter matches.
 *
 * Names must be valid (`isTopicName`), filters too. At most about 16 million names (the size of a `Map`).
 */
export class TopicTree<V> {
  /** All names, for `get` and for giving a name another value: the common case costs one look-up. */
  readonly #byTopic: Map<string, LevelNode<V>> = new Map()
  readonly #trie: LevelTrie<V> = new LevelTrie<V>()

  /** Number of names. */
  get size(): number {
    return this.#byTopic.size
  }

  /** Number of nodes of the trie: 0 when the tree is empty. For tests and memory accounting. */
  get nodeCount(): number {
    return this.#trie.nodeCount
  }

  /** Puts the name in, or gives it another value. */
  set(topic: string, value: V): void {
    let node = this.#byTopic.get(topic)
    if (node === undefined) {
      node = this.#trie.insert(topic)
      this.#byTopic.set(topic, node)
    }
    node.value = value
  }

  /** The value of this name; undefined: it is not in. */
  get(topic: string): V | undefined {
    return this.#byTopic.get(topic)?.value
  }

  /** Takes the name out. False: it was not in. */
  delete(topic: string): boolean {
    if (!this.#byTopic.delete(topic)) return false
    this.#trie.remove(topic)
    return true
  }

  /**
   * Calls `visit` for each name that the filter matches, in no particular order; `false` ends it.
   * `visit` may set and delete: a name that is in from first to last is visited once, one put in meanwhile once or not at
   * all, one taken out meanwhile not after that.
   */
  match(filter: string, visit: (value: V, topic: string) => void | false): void {
    const matches = this.matches(filter)
    while (matches.next()) if (visit(matches.value as V, matches.topic) === false) return
  }

  /** The same one by one, with pauses as long as one likes; what is set and deleted in between counts as above. */
  matches(filter: string): TopicMatches<V> {
    return new TopicMatches(hasWildcard(filter) ? this.#trie.rootFor(filter) : this.#byTopic.get(filter), filter)
  }

  /** All names with their values, in the order in which they came in. */
  *entries(): IterableIterator<[topic: string, value: V]> {
    for (const [topic, node] of this.#byTopic) yield [topic, node.value as V]
  }
}

/** A walk through the names of a `TopicTree` that a filter matches. Holds the depth of the tree, not its breadth. */
export class TopicMatches<V> {
  /** After `next` has said true. */
  value: V | undefined = undefined
  topic = ''
  /** Nodes that have been looked at so far: what the walk has cost. */
  looks = 0
  readonly #filter: string
  /** The filter is a Topic Name: its node is the only one. */
  readonly #isName: boolean
  /** To be looked at next; null: nothing is left. */
  #node: LevelNode<V> | null
  /** Where the levels of `#node` begin in its text, and where in the filter those are that they must match. */
  #start = 0
  #at = 0
  // Iterators and not nodes wait, so that the number waiting is the depth and not the breadth of the tree
  readonly #waiting: MapIterator<LevelNode<V>>[] = []
  readonly #waitingStart: number[] = []
  readonly #waitingAt: number[] = []
  // The level of the filter that was looked up last, and where it begins: mostly it is the same again
  #level = ''
  #levelStart = -1

  /** `first`: the root that the filter begins at, or, of a filter without wildcard, the node of that name if there is one. */
  constructor(first: LevelNode<V> | undefined, filter: string) {
    this.#filter = filter
    this.#isName = !hasWildcard(filter)
    this.#node = first ?? null
  }

  /** Nothing more will come. */
  get isDone(): boolean {
    return this.#node === null
  }

  /** Goes to the next match: true. False: there is none (`isDone`), or none among the next `looksMax` nodes: ask again. */
  next(looksMax: number = Number.POSITIVE_INFINITY): boolean {
    const filter = this.#filter
    const filterEnd = filter.length
    if (this.#isName) return looksMax > 0 && this.#nextName()
    for (let left = looksMax; this.#node !== null && left > 0; left--) {
      this.looks++
      const { text, to, value, only, more }: LevelNode<V> = this.#node
      const at = matchName(filter, this.#at, text, this.#start, to)
      let isMatch = false
      let node: LevelNode<V> | null = null
      if (at !== -1) {
        const wildcard = at > filterEnd ? 0 : wildcardAt(filter, at)
        isMatch = to === text.length && (at > filterEnd || wildcard === HASH)
        if (at <= filterEnd && (only !== null || more !== null)) {
          this.#start = to + 1
          this.#at = at
          if (more === null) node = only
          else if (wildcard !== 0) {
            this.#waiting.push(more.values())
            this.#waitingStart.push(to + 1)
            this.#waitingAt.push(at)
          } else {
            if (this.#levelStart !== at) {
              this.#levelStart = at
              this.#level = filter.substring(at, levelEnd(filter, at))
            }
            node = more.get(this.#level) ?? null
          }
        }
      }
      this.#node = node ?? this.#nextWaiting()
      if (isMatch) {
        this.value = value
        this.topic = text
        return true
      }
    }
    return false
  }

  #nextName(): boolean {
    const node = this.#node
    this.#node = null
    // It may have been taken out meanwhile
    if (node === null || node.text !== this.#filter) return false
    this.looks++
    this.value = node.value
    this.topic = node.text
    return true
  }

  #nextWaiting(): LevelNode<V> | null {
    for (let top = this.#waiting.length - 1; top >= 0; top--) {
      const next = this.#waiting[top]!.next()
      if (next.done !== true) {
        this.#start = this.#waitingStart[top]!
        this.#at = this.#waitingAt[top]!
        return next.value
      }
      this.#waiting.pop()
      this.#waitingStart.pop()
      this.#waitingAt.pop()
    }
    return null
  }
}

/** Is the level of a filter that begins at `start` `+` or `#`? 0: neither. */
function wildcardAt(filter: string, start: number): number {
  const first = filter.charCodeAt(start)
  return first === PLUS || first === HASH ? first : 0
}

/**
 * Matches the levels of a filter from `at` with those of a name from `start` up to `to`. Returns where the filter's next
 * level begins, past its end when none is left, at its `#` when it has come to that; -1: they do not match.
 */
function matchName(filter: string, at: number, topic: string, start: number, to: number): number {
  const filterEnd = filter.length
  let f = at
  let t = start
  while (t <= to) {
    if (f > filterEnd) return -1
    const wildcard = wildcardAt(filter, f)
    if (wildcard === HASH) return f
    if (wildcard === PLUS) {
      f += 2
      while (t < to && topic.charCodeAt(t) !== SLASH) t++
      t++
      continue
    }
    for (;;) {
      const inFilter = f < filterEnd ? filter.charCodeAt(f) : SLASH
      const inTopic = t < to ? topic.charCodeAt(t) : SLASH
      if (inFilter !== inTopic) return -1
      f++
      t++
      if (inFilter === SLASH) break
    }
  }
  return f
}
