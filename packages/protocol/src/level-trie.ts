/**
 * The trie of topic levels on which both topic trees are built. Holds texts (Topic Names or Topic Filters) with one
 * value each. Called only by `topic-tree.ts`, which adds the two ways to match.
 *
 * Shape. A node stands for one or more whole levels: those between the end of its parent and its own `to`, as they
 * stand in its `text`. The trie branches only where texts differ. All texts below a node are equal up to its `to`, so
 * an index means the same in each of them, and nodes can be split and joined without cutting texts.
 *
 * Invariants:
 * - When the text of a node is in the trie, `text` is that text and `to === text.length`. Otherwise `text` is the
 * levels down to the node and a slash, and `to === text.length - 1`. So a node keeps no removed text alive, except for
 * 256 bytes.
 * - A node whose own text is not in the trie has two children or more: there are never more than twice as many nodes as
 * texts, whatever the texts are (two texts of 65,536 equal levels are three nodes).
 * - Nothing recurses: depth costs no stack.
 * - A walk that holds a node while others are set and deleted still finds all that stays below it: nodes keep their
 * identity, and a removed node either leads to the nodes that were below it or is empty.
 */
const HASH = 0x23
const DOLLAR = 0x24
const PLUS = 0x2b
const SLASH = 0x2f

export class LevelNode<V> {
  text: string
  to: number
  value: V | undefined
  /**
   * Children by the first level they stand for: `+`, `#`, the only other one (`only`), or two and more others by text
   * (`more`).
   */
  plus: LevelNode<V> | null
  hash: LevelNode<V> | null
  only: LevelNode<V> | null
  more: Map<string, LevelNode<V>> | null
  constructor(text: string, to: number) {
    this.text = text
    this.to = to
    this.value = undefined
    this.plus = null
    this.hash = null
    this.only = null
    this.more = null
  }

  childCount(): number {
    const others = this.more !== null ? this.more.size : this.only !== null ? 1 : 0
    return others + (this.plus !== null ? 1 : 0) + (this.hash !== null ? 1 : 0)
  }

  /** Returns the child that may lead to this text. The level of an only child has not been compared. */
  candidate(text: string): LevelNode<V> | null {
    const start = this.to + 1
    const wildcard = wildcardAt(text, start)
    if (wildcard === PLUS) return this.plus
    if (wildcard === HASH) return this.hash
    return this.more !== null ? (this.more.get(levelAt(text, start)) ?? null) : this.only
  }

  /** Adds a child for a level that has none. */
  attach(child: LevelNode<V>): void {
    const start = this.to + 1
    const wildcard = wildcardAt(child.text, start)
    if (wildcard === PLUS) this.plus = child
    else if (wildcard === HASH) this.hash = child
    else if (this.more !== null) this.more.set(keyAt(child.text, start), child)
    else if (this.only === null) this.only = child
    else {
      this.more = new Map<string, LevelNode<V>>()
      this.more.set(keyAt(this.only.text, start), this.only)
      this.more.set(keyAt(child.text, start), child)
      this.only = null
    }
  }

  /** Puts a child in the place of another one for the same level. */
  replace(old: LevelNode<V>, child: LevelNode<V>): void {
    if (this.plus === old) this.plus = child
    else if (this.hash === old) this.hash = child
    else if (this.only === old) this.only = child
    else this.more!.set(levelAt(child.text, this.to + 1), child)
  }

  detach(child: LevelNode<V>): void {
    if (this.plus === child) this.plus = null
    else if (this.hash === child) this.hash = null
    else if (this.only === child) this.only = null
    else {
      this.more!.delete(levelAt(child.text, this.to + 1))
      if (this.more!.size === 1) {
        this.only = this.more!.values().next().value!
        // The Map keeps its entries: a walk may be iterating over it.
        this.more = null
      }
    }
  }
}

export class LevelTrie<V> {
  size = 0
  nodeCount = 0
  readonly #root: LevelNode<V> = new LevelNode<V>('', -1)
  /**
   * Root of the texts that begin with `$`. It is separate, so that no wildcard in the first level matches them
   * [MQTT-4.7.2-1].
   */
  readonly #dollar: LevelNode<V> = new LevelNode<V>('', -1)

  rootFor(text: string): LevelNode<V> {
    return text.charCodeAt(0) === DOLLAR ? this.#dollar : this.#root
  }

  /** Returns the node of this text, which is added when it is missing. */
  insert(text: string): LevelNode<V> {
    let node = this.rootFor(text)
    for (;;) {
      const start = node.to + 1
      let child = node.candidate(text)
      const common = child === null ? -1 : commonEnd(text, child.text, start, child.to)
      if (child === null || common === -1) {
        child = new LevelNode<V>(text, text.length)
        node.attach(child)
        this.nodeCount++
        this.size++
        return child
      }
      if (common < child.to) {
        const branch = new LevelNode<V>(piece(child.text, 0, common + 1), common)
        branch.attach(child)
        node.replace(child, branch)
        this.nodeCount++
        child = branch
      }
      if (common === text.length) {
        if (child.text.length !== child.to) {
          child.text = text
          this.size++
        }
        return child
      }
      node = child
    }
  }

  find(text: string): LevelNode<V> | null {
    let node = this.rootFor(text)
    for (;;) {
      const child = node.candidate(text)
      if (child === null || commonEnd(text, child.text, node.to + 1, child.to) !== child.to) return null
      if (child.to === text.length) return child.text.length === child.to ? child : null
      node = child
    }
  }

  /** Removes the text. Returns false when it was not in the trie. */
  remove(text: string): boolean {
    let node = this.rootFor(text)
    let parent: LevelNode<V> | null = null
    let grandparent: LevelNode<V> | null = null
    for (;;) {
      const child = node.candidate(text)
      if (child === null || commonEnd(text, child.text, node.to + 1, child.to) !== child.to) return false
      grandparent = parent
      parent = node
      node = child
      if (node.to === text.length) break
    }
    if (node.text.length !== node.to) return false
    this.size--
    node.value = undefined
    const children = node.childCount()
    if (children > 1) node.text += '/'
    else if (children === 1) this.#join(parent, node)
    else {
      parent.detach(node)
      this.nodeCount--
      // No text ends here any more, also for a walk that still comes to this node.
      node.text = ''
      node.to = -1
      // Without a grandparent the parent is a root, which stays.
      if (grandparent !== null && parent.text.length !== parent.to && parent.childCount() === 1) {
        this.#join(grandparent, parent)
      }
    }
    return true
  }

  /** Removes a node that has become superfluous: its only child takes over its levels. */
  #join(parent: LevelNode<V>, node: LevelNode<V>): void {
    // The child is never in `more`, which holds two and more.
    const child = (node.plus ?? node.hash ?? node.only)!
    parent.replace(node, child)
    // The node loses its own text, also for a walk that still comes to it.
    node.text = child.text
    this.nodeCount--
  }
}

/** Returns the end of the level that begins at `start`: the index of its slash or of the end of the text. */
export function levelEnd(text: string, start: number): number {
  const slash = text.indexOf('/', start)
  return slash === -1 ? text.length : slash
}

function levelAt(text: string, start: number): string {
  return text.substring(start, levelEnd(text, start))
}

/** Returns the character code of the wildcard that is the level at `start`; 0 when the level is no wildcard. */
function wildcardAt(text: string, start: number): number {
  const first = text.charCodeAt(start)
  if (first !== PLUS && first !== HASH) return 0
  return start + 1 === text.length || text.charCodeAt(start + 1) === SLASH ? first : 0
}

/**
 * Returns the index up to which two texts are equal by whole levels from `start` on, in the second one up to `to` at
 * most; -1 when their first levels differ.
 */
function commonEnd(a: string, b: string, start: number, to: number): number {
  let end = -1
  for (let i = start; ; i++) {
    const inA = i < a.length ? a.charCodeAt(i) : SLASH
    const inB = i < to ? b.charCodeAt(i) : SLASH
    if (inA !== inB) return end
    if (inA === SLASH) {
      end = i
      if (i >= a.length || i >= to) return end
    }
  }
}

/**
 * Longest text in characters that may stay in memory for the sake of a piece of it: an engine may keep the whole text
 * with the piece.
 */
const TEXT_HELD_MAX = 256
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Cuts out a piece of a text that does not keep a long text in memory. */
function piece(text: string, start: number, end: number): string {
  const cut = text.substring(start, end)
  return text.length - cut.length > TEXT_HELD_MAX ? decoder.decode(encoder.encode(cut)) : cut
}

/** Returns the level at `start`, as a key of the Map. */
function keyAt(text: string, start: number): string {
  return piece(text, start, levelEnd(text, start))
}
