/**
 * The trie of topic levels that both topic trees are made of. Holds texts (Topic Names or Topic Filters) with one value each.
 * Called only by `topic-tree.ts`, which adds the two ways to match.
 *
 * Shape. A node stands for one or more whole levels, those between its parent's end and its own `to`, as they stand in
 * its `text`; branches only where texts part. All texts below a node are equal up to its `to`, so an index means the same in
 * each of them, and nodes can be split and joined without cutting texts.
 *
 * Invariants:
 * - `text` of a node is its own if that is in the trie (then `to === text.length`), else the levels down to it and a slash
 *   (`to === text.length - 1`). So nodes keep no text alive that was taken out, but for 256 bytes each.
 * - A node whose own text is not in has two children or more: never more than twice as many nodes as texts, whatever the
 *   texts are (two of 65,536 equal levels are three nodes).
 * - Nothing recurses: depth costs no stack.
 * - A walk that holds a node while others are set and deleted still finds below it all that stays: nodes keep their
 *   identity, and one that is taken out either leads to what was below it or is empty.
 */
const HASH = 0x23
const DOLLAR = 0x24
const PLUS = 0x2b
const SLASH = 0x2f

export class LevelNode<V> {
  text: string
  to: number
  value: V | undefined
  /** Children by the first level they stand for: `+`, `#`, the only other one, or (from two on) the others by text. */
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

  /** The child that may lead to this text; if it is the only one its level has not been looked at. */
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

  /** Puts a child in the place of another for the same level. */
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
        // The Map stays as it is: a walk may be going through it
        this.more = null
      }
    }
  }
}

export class LevelTrie<V> {
  size = 0
  nodeCount = 0
  readonly #root: LevelNode<V> = new LevelNode<V>('', -1)
  /** Of texts that begin with `$`: apart, so that no wildcard in the first level comes upon them [MQTT-4.7.2-1]. */
  readonly #dollar: LevelNode<V> = new LevelNode<V>('', -1)

  rootFor(text: string): LevelNode<V> {
    return text.charCodeAt(0) === DOLLAR ? this.#dollar : this.#root
  }

  /** The node of this text, put in if it is not yet. */
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

  /** Takes the text out. False: it was not in. */
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
      // Nothing ends here any more, also for a walk that still comes upon it
      node.text = ''
      node.to = -1
      // No grandparent: the parent is a root, which stays
      if (grandparent !== null && parent.text.length !== parent.to && parent.childCount() === 1) {
        this.#join(grandparent, parent)
      }
    }
    return true
  }

  /** Takes out a node that has become superfluous: its only child stands for its levels too. */
  #join(parent: LevelNode<V>, node: LevelNode<V>): void {
    // Never in `more`: that is for two and more
    const child = (node.plus ?? node.hash ?? node.only)!
    parent.replace(node, child)
    // Not the own one any more, also for a walk that still comes upon it
    node.text = child.text
    this.nodeCount--
  }
}

/** Where the level that begins at `start` ends: the index of its slash or of the end. */
export function levelEnd(text: string, start: number): number {
  const slash = text.indexOf('/', start)
  return slash === -1 ? text.length : slash
}

function levelAt(text: string, start: number): string {
  return text.substring(start, levelEnd(text, start))
}

/** Is the level at `start` a wildcard, and which? 0: none. */
function wildcardAt(text: string, start: number): number {
  const first = text.charCodeAt(start)
  if (first !== PLUS && first !== HASH) return 0
  return start + 1 === text.length || text.charCodeAt(start + 1) === SLASH ? first : 0
}

/** Up to where two texts are equal by whole levels from `start` on, in the second up to `to` at most; -1: not by one. */
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

/** An engine may keep a whole text alive for the sake of a piece of it: up to this much is accepted. */
const TEXT_HELD_MAX = 256
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** A piece of a text that may be kept when the text goes. */
function piece(text: string, start: number, end: number): string {
  const cut = text.substring(start, end)
  return text.length - cut.length > TEXT_HELD_MAX ? decoder.decode(encoder.encode(cut)) : cut
}

/** The level at `start`, as a key. */
function keyAt(text: string, start: number): string {
  return piece(text, start, levelEnd(text, start))
}
