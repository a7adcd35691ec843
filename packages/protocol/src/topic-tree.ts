/**
 * Two tries over topic levels, the two ways round: `FilterTree` holds many Topic Filters and finds those that match one
 * Topic Name (routing); `TopicTree` holds many Topic Names and finds those that one Topic Filter matches (retained
 * messages). Used by the broker's router and retained store, and by the client's dispatch of messages.
 *
 * Shape. A node stands for one level. A filter or name that is alone below some node is a leaf there, with the rest of
 * its levels unsplit (`tail`); the leaf moves down when a second one comes the same way. So a million filters
 * `device/{id}/+/state` are a million and one nodes, not three million. A node with one child names it in two fields; only
 * from the second on has it a Map. `$…` has a root of its own, which makes [MQTT-4.7.2-1] true by construction.
 *
 * Invariants: every node has something below it or at it that was set and not deleted; nothing recurses, so depth (up to
 * 65,536 levels) costs no stack.
 *
 * Cost. `FilterTree.match` looks at each node at most once, and only at those whose way down equals the name level by
 * level or by `+`: for a name of d levels and k wildcard filters at most min(2^d, k) leaves and min(2^(d+1), k·d)
 * branches, of which each costs one look-up, each leaf one comparison no longer than the name. So it is never worse than
 * trying all wildcard filters one by one, and it is that bad only when the filters were made for it (every mixture of `+` and the
 * name's own levels, 2^d of them). Partial match has no index that avoids this; limits on subscriptions per client
 * and on topic levels are the cure. `TopicTree.match` likewise never looks at more nodes than the tree has.
 *
 * Source: MQTT 5.0 section 4.7.
 */
import { hasWildcard, matchesFrom } from './topic.ts'

const DOLLAR = 0x24

/** More scratch than this is given back after a match, so that one deep name is not held for ever. */
const SCRATCH_LEVELS_KEPT = 256

/** Where the level that begins at `start` ends: the index of its slash or of the end. */
function levelEnd(text: string, start: number): number {
  const slash = text.indexOf('/', start)
  return slash === -1 ? text.length : slash
}

/**
 * A level of wildcard filters. `filter` is the one that ends here, or, when `tail` is not past its end, the only one
 * below here, with its levels from index `tail` on yet to match.
 */
class FilterNode<V> {
  filter: string | null
  value: V | undefined
  tail: number
  plus: FilterNode<V> | null
  hash: FilterNode<V> | null
  /** The only other child and its level; null when there is none or when there are `more`. */
  key: string | null
  only: FilterNode<V> | null
  more: Map<string, FilterNode<V>> | null
  constructor(filter: string | null, value: V | undefined, tail: number) {
    this.filter = filter
    this.value = value
    this.tail = tail
    this.plus = null
    this.hash = null
    this.key = null
    this.only = null
    this.more = null
  }

  child(level: string): FilterNode<V> | null {
    if (level === '+') return this.plus
    if (level === '#') return this.hash
    if (this.more !== null) return this.more.get(level) ?? null
    return this.key === level ? this.only : null
  }

  attach(level: string, child: FilterNode<V>): void {
    if (level === '+') this.plus = child
    else if (level === '#') this.hash = child
    else if (this.more !== null) this.more.set(level, child)
    else if (this.only === null || this.key === level) {
      this.key = level
      this.only = child
    } else {
      this.more = new Map<string, FilterNode<V>>().set(this.key!, this.only).set(level, child)
      this.key = null
      this.only = null
    }
  }

  detach(level: string): void {
    if (level === '+') this.plus = null
    else if (level === '#') this.hash = null
    else if (this.more !== null) {
      this.more.delete(level)
      if (this.more.size === 0) this.more = null
    } else {
      this.key = null
      this.only = null
    }
  }

  childCount(): number {
    const others = this.more !== null ? this.more.size : this.only !== null ? 1 : 0
    return others + (this.plus !== null ? 1 : 0) + (this.hash !== null ? 1 : 0)
  }
}

/**
 * Topic Filters with one value each; finds the values of those that match a Topic Name.
 *
 * Filters must be valid (`isTopicFilter`), names too; of a Shared Subscription the inner filter is to be given.
 * At most about 16 million filters without wildcard, and as many children of one node (the size of a `Map`).
 */
export class FilterTree<V> {
  readonly #exact: Map<string, V> = new Map()
  readonly #root: FilterNode<V> = new FilterNode<V>(null, undefined, 0)
  /** Of filters whose first level begins with `$`. */
  readonly #dollar: FilterNode<V> = new FilterNode<V>(null, undefined, 0)
  #wildcards = 0
  #nodes = 0
  // Scratch of `match`, kept so that a match allocates nothing but the levels it has to look up.
  readonly #starts: number[] = [0]
  readonly #levels: (string | null)[] = []
  readonly #waiting: (FilterNode<V> | null)[] = []
  readonly #waitingDepth: number[] = []

  /** Number of filters. */
  get size(): number {
    return this.#exact.size + this.#wildcards
  }

  /** Number of nodes of the trie of wildcard filters: 0 when there are none. For tests and memory accounting. */
  get nodeCount(): number {
    return this.#nodes
  }

  /** Puts the filter in, or gives it another value. */
  set(filter: string, value: V): void {
    if (!hasWildcard(filter)) {
      this.#exact.set(filter, value)
      return
    }
    let node = this.#rootFor(filter)
    let start = 0
    for (;;) {
      const end = levelEnd(filter, start)
      const level = filter.substring(start, end)
      let child = node.child(level)
      if (child === null) {
        node.attach(level, new FilterNode<V>(filter, value, end + 1))
        this.#nodes++
        this.#wildcards++
        return
      }
      if (child.filter === filter) {
        child.value = value
        return
      }
      if (child.filter !== null && child.tail <= child.filter.length) {
        // Somebody was alone here: he moves one level down, and a branch takes his place
        const leaf = child
        const leafFilter = child.filter
        const leafEnd = levelEnd(leafFilter, leaf.tail)
        child = new FilterNode<V>(null, undefined, 0)
        child.attach(leafFilter.substring(leaf.tail, leafEnd), leaf)
        leaf.tail = leafEnd + 1
        node.attach(level, child)
        this.#nodes++
      }
      if (end === filter.length) {
        child.filter = filter
        child.value = value
        child.tail = end + 1
        this.#wildcards++
        return
      }
      node = child
      start = end + 1
    }
  }

  /** The value of this very filter (nothing is matched); undefined: it is not in. */
  get(filter: string): V | undefined {
    if (!hasWildcard(filter)) return this.#exact.get(filter)
    let node: FilterNode<V> | null = this.#rootFor(filter)
    for (let start = 0; start <= filter.length; ) {
      const end = levelEnd(filter, start)
      node = node.child(filter.substring(start, end))
      if (node === null) return undefined
      if (node.filter === filter) return node.value
      start = end + 1
    }
    return undefined
  }

  /** Takes the filter out. False: it was not in. */
  delete(filter: string): boolean {
    if (!hasWildcard(filter)) return this.#exact.delete(filter)
    let node: FilterNode<V> = this.#rootFor(filter)
    // The lowest node on the way that stays when the filter goes, and the child of it that goes with the filter
    let keeper = node
    let keeperLevel = ''
    let below = 0
    for (let start = 0; start <= filter.length; ) {
      const end = levelEnd(filter, start)
      const level = filter.substring(start, end)
      if (start === 0 || node.filter !== null || node.childCount() > 1) {
        keeper = node
        keeperLevel = level
        below = 0
      }
      const child: FilterNode<V> | null = node.child(level)
      if (child === null) return false
      below++
      if (child.filter === filter) {
        this.#wildcards--
        if (child.childCount() > 0) {
          child.filter = null
          child.value = undefined
          child.tail = 0
        } else {
          keeper.detach(keeperLevel)
          this.#nodes -= below
        }
        return true
      }
      node = child
      start = end + 1
    }
    return false
  }

  /**
   * Appends to `out` the value of each filter that matches the name, each once, in no particular order.
   * Does not change `out` otherwise. Time: see the head of this file.
   */
  match(topic: string, out: V[]): void {
    const exact = this.#exact.get(topic)
    if (exact !== undefined || this.#exact.has(topic)) out.push(exact as V)
    if (this.#wildcards === 0) return

    const topicEnd = topic.length
    // `starts[depth]` is where the topic's level begins, `levels[depth]` its text; both are found when first needed.
    // DFS reaches a depth only through the one above, so at most one level is missing.
    const starts = this.#starts
    const levels = this.#levels
    let known = 0
    const waiting = this.#waiting
    const waitingDepth = this.#waitingDepth
    let waitingCount = 0

    // [MQTT-4.7.2-1]: filters that begin with a wildcard are not under this root
    let node: FilterNode<V> | null = topic.charCodeAt(0) === DOLLAR ? this.#dollar : this.#root
    let depth = 0
    while (node !== null) {
      const start: number = starts[depth]!
      if (node.filter !== null && matchesFrom(node.filter, node.tail, topic, start)) out.push(node.value as V)
      // Also when no level is left: `a/#` matches `a`
      if (node.hash !== null) out.push(node.hash.value as V)

      let next: FilterNode<V> | null = null
      if (start <= topicEnd) {
        const plus: FilterNode<V> | null = node.plus
        if (node.only !== null || node.more !== null || plus !== null) {
          if (depth === known) {
            starts[depth + 1] = levelEnd(topic, start) + 1
            levels[depth] = null
            known++
          }
          if (node.more !== null) {
            let level: string | null = levels[depth]!
            if (level === null) {
              level = topic.substring(start, starts[depth + 1]! - 1)
              levels[depth] = level
            }
            next = node.more.get(level) ?? null
          } else if (node.only !== null) {
            const key = node.key!
            // Compared in place: no text is cut out for this
            if (key.length === starts[depth + 1]! - 1 - start && topic.startsWith(key, start)) next = node.only
          }
          if (plus !== null) {
            if (next === null) next = plus
            else {
              waiting[waitingCount] = plus
              waitingDepth[waitingCount] = depth + 1
              waitingCount++
            }
          }
        }
      }
      if (next !== null) {
        node = next
        depth++
      } else if (waitingCount > 0) {
        waitingCount--
        node = waiting[waitingCount]!
        depth = waitingDepth[waitingCount]!
        // The scratch must not keep alive what is deleted later
        waiting[waitingCount] = null
      } else node = null
    }
    if (known > SCRATCH_LEVELS_KEPT) {
      starts.length = 1
      levels.length = 0
      waiting.length = 0
      waitingDepth.length = 0
    }
  }

  #rootFor(filter: string): FilterNode<V> {
    return filter.charCodeAt(0) === DOLLAR ? this.#dollar : this.#root
  }
}

/**
 * A level of names. `topic` is the one that ends here, or, when `tail` is not past its end, the only one below here,
 * with its levels from index `tail` on unsplit.
 */
class TopicNode<V> {
  topic: string | null
  value: V | undefined
  tail: number
  key: string | null
  only: TopicNode<V> | null
  more: Map<string, TopicNode<V>> | null
  constructor(topic: string | null, value: V | undefined, tail: number) {
    this.topic = topic
    this.value = value
    this.tail = tail
    this.key = null
    this.only = null
    this.more = null
  }

  child(level: string): TopicNode<V> | null {
    if (this.more !== null) return this.more.get(level) ?? null
    return this.key === level ? this.only : null
  }

  attach(level: string, child: TopicNode<V>): void {
    if (this.more !== null) this.more.set(level, child)
    else if (this.only === null || this.key === level) {
      this.key = level
      this.only = child
    } else {
      this.more = new Map<string, TopicNode<V>>().set(this.key!, this.only).set(level, child)
      this.key = null
      this.only = null
    }
  }

  detach(level: string): void {
    if (this.more !== null) {
      this.more.delete(level)
      if (this.more.size === 0) this.more = null
    } else {
      this.key = null
      this.only = null
    }
  }

  childCount(): number {
    return this.more !== null ? this.more.size : this.only !== null ? 1 : 0
  }
}

/**
 * Topic Names with one value each; finds those that a Topic Filter matches.
 *
 * Names must be valid (`isTopicName`), filters too. At most about 16 million names (the size of a `Map`).
 */
export class TopicTree<V> {
  /** All names, for `get` and for giving a name another value: the common case costs one look-up. */
  readonly #byTopic: Map<string, TopicNode<V>> = new Map()
  readonly #root: TopicNode<V> = new TopicNode<V>(null, undefined, 0)
  /** Of names that begin with `$`. */
  readonly #dollar: TopicNode<V> = new TopicNode<V>(null, undefined, 0)
  #nodes = 0

  /** Number of names. */
  get size(): number {
    return this.#byTopic.size
  }

  /** Number of nodes of the trie: 0 when the tree is empty. For tests and memory accounting. */
  get nodeCount(): number {
    return this.#nodes
  }

  /** Puts the name in, or gives it another value. */
  set(topic: string, value: V): void {
    const known = this.#byTopic.get(topic)
    if (known !== undefined) {
      known.value = value
      return
    }
    let node = this.#rootFor(topic)
    let start = 0
    for (;;) {
      const end = levelEnd(topic, start)
      const level = topic.substring(start, end)
      let child = node.child(level)
      if (child === null) {
        child = new TopicNode<V>(topic, value, end + 1)
        node.attach(level, child)
        this.#nodes++
        this.#byTopic.set(topic, child)
        return
      }
      if (child.topic !== null && child.tail <= child.topic.length) {
        // Somebody was alone here: he moves one level down, and a branch takes his place
        const leaf = child
        const leafTopic = child.topic
        const leafEnd = levelEnd(leafTopic, leaf.tail)
        child = new TopicNode<V>(null, undefined, 0)
        child.attach(leafTopic.substring(leaf.tail, leafEnd), leaf)
        leaf.tail = leafEnd + 1
        node.attach(level, child)
        this.#nodes++
      }
      if (end === topic.length) {
        child.topic = topic
        child.value = value
        child.tail = end + 1
        this.#byTopic.set(topic, child)
        return
      }
      node = child
      start = end + 1
    }
  }

  /** The value of this name; undefined: it is not in. */
  get(topic: string): V | undefined {
    return this.#byTopic.get(topic)?.value
  }

  /** Takes the name out. False: it was not in. */
  delete(topic: string): boolean {
    const target = this.#byTopic.get(topic)
    if (target === undefined) return false
    this.#byTopic.delete(topic)
    if (target.childCount() > 0) {
      target.topic = null
      target.value = undefined
      target.tail = 0
      return true
    }
    let node = this.#rootFor(topic)
    // The lowest node on the way that stays when the name goes, and the child of it that goes with the name
    let keeper = node
    let keeperLevel = ''
    let below = 0
    for (let start = 0; node !== target; ) {
      const end = levelEnd(topic, start)
      const level = topic.substring(start, end)
      if (start === 0 || node.topic !== null || node.childCount() > 1) {
        keeper = node
        keeperLevel = level
        below = 0
      }
      node = node.child(level)!
      below++
      start = end + 1
    }
    keeper.detach(keeperLevel)
    this.#nodes -= below
    // A walk that is under way may still hold the node
    target.topic = null
    target.value = undefined
    return true
  }

  /**
   * Calls `visit` for each name that the filter matches, in no particular order; `false` ends it.
   * `visit` may set and delete: a name that was in from first to last and matches is visited once, one that was put in or taken
   * out meanwhile at most once.
   */
  match(filter: string, visit: (value: V, topic: string) => void | false): void {
    if (!hasWildcard(filter)) {
      const node = this.#byTopic.get(filter)
      if (node !== undefined) visit(node.value as V, filter)
      return
    }
    const levels = filter.split('/')
    const starts: number[] = []
    let position = 0
    for (const level of levels) {
      starts.push(position)
      position += level.length + 1
    }
    starts.push(position)

    // Iterators and not nodes wait, so that the number waiting is the depth and not the breadth of the tree
    const waiting: MapIterator<TopicNode<V>>[] = []
    const waitingDepth: number[] = []
    // [MQTT-4.7.2-1]: names that begin with `$` are not under the root that a wildcard begins at
    let node: TopicNode<V> | null = this.#rootFor(filter)
    let depth = 0
    for (;;) {
      if (node === null) {
        const top = waiting.length - 1
        if (top < 0) return
        const next = waiting[top]!.next()
        if (next.done === true) {
          waiting.pop()
          waitingDepth.pop()
          continue
        }
        node = next.value
        depth = waitingDepth[top]!
      }
      // Read before `visit`, which may put something below this node
      const only: TopicNode<V> | null = node.only
      const more: Map<string, TopicNode<V>> | null = node.more
      const key: string | null = node.key
      const topic: string | null = node.topic
      if (topic !== null && matchesFrom(filter, starts[depth]!, topic, node.tail)) {
        if (visit(node.value as V, topic) === false) return
      }
      const level: string | undefined = levels[depth]
      if (level === undefined || (only === null && more === null)) {
        node = null
      } else if (level === '+' || level === '#') {
        // `#` is the last level and stays the one to match however deep it goes
        if (level === '+') depth++
        if (more !== null) {
          waiting.push(more.values())
          waitingDepth.push(depth)
        }
        node = only
      } else {
        depth++
        node = more !== null ? (more.get(level) ?? null) : key === level ? only : null
      }
    }
  }

  /** All names with their values, in the order in which they came in. */
  *entries(): IterableIterator<[topic: string, value: V]> {
    for (const [topic, node] of this.#byTopic) yield [topic, node.value as V]
  }

  #rootFor(topicOrFilter: string): TopicNode<V> {
    return topicOrFilter.charCodeAt(0) === DOLLAR ? this.#dollar : this.#root
  }
}
