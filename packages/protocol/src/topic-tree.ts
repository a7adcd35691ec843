/**
 * Two tries over topic levels, for the two directions: `FilterTree` holds many Topic Filters and finds those that match
 * one Topic Name (routing); `TopicTree` holds many Topic Names and finds those that one Topic Filter matches (retained
 * messages). Used by the broker's router and retained store, and by the client's dispatch of messages. The trie itself
 * is `level-trie.ts`.
 *
 * Cost. `FilterTree.match` looks at a node at most once, and only when the path to its parent matches the name, level
 * by level or by `+`. With k wildcard filters there are less than 2·k nodes, and for a name of d levels less than
 * 2^(d+1) can be on such paths; each costs one look-up and the comparison of its levels with the name's. So it is never
 * worse than trying all wildcard filters one by one, and near that only when the filters were made for it (every
 * mixture of `+` and the name's own levels: 2^d of them). No index for partial match avoids this; limits on
 * subscriptions per client and on topic levels are the cure. `TopicTree.match` likewise never looks at more nodes than
 * twice the number of names. Figures: bench/micro/match.mjs.
 *
 * Source: MQTT 5.0 section 4.7.
 */
import { type LevelNode, LevelTrie, levelEnd } from './level-trie.ts'
import { hasWildcard, matchLevels } from './topic.ts'

const HASH = 0x23
const PLUS = 0x2b
const SLASH = 0x2f

/** Largest scratch array that is kept after a match, in entries. */
const SCRATCH_KEPT = 256

/**
 * Topic Filters with one value each; finds the values of those that match a Topic Name.
 *
 * Filters and names must be valid (`isTopicFilter`); give the inner filter of a Shared Subscription. The tree holds at
 * most about 16 million filters without wildcard, and as many that differ at one level (the size of a `Map`).
 */
export class FilterTree<V> {
  readonly #exact: Map<string, V> = new Map()
  /** Whether a value of `#exact` may be `undefined`, so that a look-up alone does not say whether the filter is there. */
  #holdsUndefined = false
  readonly #wildcards: LevelTrie<V> = new LevelTrie<V>()
  // Scratch of `match`: nodes to look at, each with the index in the name where its levels begin
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

  /** Adds the filter, or replaces its value. */
  set(filter: string, value: V): void {
    if (value === undefined) this.#holdsUndefined = true
    if (hasWildcard(filter)) this.#wildcards.insert(filter).value = value
    else this.#exact.set(filter, value)
  }

  /** Returns the value of this very filter (nothing is matched), or undefined. */
  get(filter: string): V | undefined {
    return hasWildcard(filter) ? this.#wildcards.find(filter)?.value : this.#exact.get(filter)
  }

  /** Removes the filter. Returns false when it was not in the tree. */
  delete(filter: string): boolean {
    return hasWildcard(filter) ? this.#wildcards.remove(filter) : this.#exact.delete(filter)
  }

  /**
   * Appends to `out` the value of each filter that matches the name, each once, in no particular order. Time: see the
   * header of this file. Garbage: only the text of a level at which many filters differ.
   */
  match(topic: string, out: V[]): void {
    const exact = this.#exact.get(topic)
    if (exact !== undefined || (this.#holdsUndefined && this.#exact.has(topic))) out.push(exact as V)
    if (this.#wildcards.size === 0) return

    const topicEnd = topic.length
    const waiting = this.#waiting
    const waitingAt = this.#waitingAt
    let count = 0
    // [MQTT-4.7.2-1]: filters that begin with a wildcard are not under the root of a name that begins with `$`
    let node: LevelNode<V> = this.#wildcards.rootFor(topic)
    let at = 0
    for (;;) {
      // At this point the levels of `node` have been matched, and the name's next level begins at `at`.
      if (at > topicEnd) {
        if (node.to === node.text.length) out.push(node.value as V)
        // `a/#` matches `a`, also when no level is left (section 4.7.1.2)
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
          // This level has been compared
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
      // This path has no more: go back to the last waiting node whose levels match.
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
        // The scratch must not keep deleted nodes in memory
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
 * Names and filters must be valid (`isTopicName`). The tree holds at most about 16 million names (the size of a `Map`).
 */
export class TopicTree<V> {
  /** Nodes of all names, for `get` and for replacing a value: the common case costs one look-up. */
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

  /** Adds the name, or replaces its value. */
  set(topic: string, value: V): void {
    let node = this.#byTopic.get(topic)
    if (node === undefined) {
      node = this.#trie.insert(topic)
      this.#byTopic.set(topic, node)
    }
    node.value = value
  }

  /** Returns the value of this name, or undefined. */
  get(topic: string): V | undefined {
    return this.#byTopic.get(topic)?.value
  }

  /** Removes the name. Returns false when it was not in the tree. */
  delete(topic: string): boolean {
    if (!this.#byTopic.delete(topic)) return false
    this.#trie.remove(topic)
    return true
  }

  /**
   * Calls `visit` for each name that the filter matches, in no particular order, until it returns `false`. `visit` may
   * set and delete names: a name that stays in the tree is visited once, one that is added meanwhile once or not at
   * all, one that is deleted not afterwards.
   */
  match(filter: string, visit: (value: V, topic: string) => void | false): void {
    const matches = this.matches(filter)
    while (matches.next()) if (visit(matches.value as V, matches.topic) === false) return
  }

  /**
   * Returns a walk through the names that the filter matches. It may pause for any time; names that are set and deleted
   * in between are treated as by `match`.
   */
  matches(filter: string): TopicMatches<V> {
    return new TopicMatches(hasWildcard(filter) ? this.#trie.rootFor(filter) : this.#byTopic.get(filter), filter)
  }

  /** Yields all names with their values, in the order in which they were added. */
  *entries(): IterableIterator<[topic: string, value: V]> {
    for (const [topic, node] of this.#byTopic) yield [topic, node.value as V]
  }
}

/**
 * Walk through the names of a `TopicTree` that a filter matches. Its memory follows the depth of the tree, not its
 * breadth.
 */
export class TopicMatches<V> {
  /** Value of the name found by the last `next` that returned true. */
  value: V | undefined = undefined
  topic = ''
  /** Number of nodes looked at so far: the cost of the walk. */
  looks = 0
  readonly #filter: string
  /** Whether the filter is a Topic Name, which has at most one node. */
  readonly #isName: boolean
  /** Node to look at next; null when none is left. */
  #node: LevelNode<V> | null
  /**
   * Index in the text of `#node` where its levels begin, and index in the filter of the levels that they must match.
   */
  #start = 0
  #at = 0
  // Iterators wait rather than nodes, so that the number waiting follows the depth and not the breadth of the tree
  readonly #waiting: MapIterator<LevelNode<V>>[] = []
  readonly #waitingStart: number[] = []
  readonly #waitingAt: number[] = []
  // Level of the filter that was looked up last, and where it begins: mostly the next look-up is the same
  #level = ''
  #levelStart = -1

  /**
   * @param first the root at which the filter begins; for a filter without wildcard the node of that name, if there is
   * one
   */
  constructor(first: LevelNode<V> | undefined, filter: string) {
    this.#filter = filter
    this.#isName = !hasWildcard(filter)
    this.#node = first ?? null
  }

  /** Whether the walk is over. */
  get isDone(): boolean {
    return this.#node === null
  }

  /**
   * Goes to the next match and returns true. Returns false when there is none (`isDone`), or none among the next
   * `looksMax` nodes: call it again.
   */
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
    // The name may have been deleted meanwhile
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

/** Returns the character code of `+` or `#` when the level of the filter at `start` is one of them, else 0. */
function wildcardAt(filter: string, start: number): number {
  const first = filter.charCodeAt(start)
  return first === PLUS || first === HASH ? first : 0
}

/**
 * Matches the levels of a filter from `at` with those of a name from `start` up to `to`. Returns the index of the
 * filter's next level, past its end when none is left, or of its `#` when that was reached; -1 when they do not match.
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
