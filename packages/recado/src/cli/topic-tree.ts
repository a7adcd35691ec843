/**
 * Topics as a tree, each with its last message and its rate, for `recado tree`; and the lines that show it.
 *
 * `tree.ts` adds messages and asks for lines. The invariant: at most `TOPICS_MAX` topics are kept, with at most `VALUE_MAX` characters each; what
 * comes for others is counted; no topic makes the tree deeper than `LEVELS_MAX`, which its walks rely on.
 */
import { escapeControls } from '../escape-controls.ts'

const TOPICS_MAX = 20_000
const VALUE_MAX = 4_000
/** Deepest level; what is below stands in one name with it, for a line is indented by all its levels. */
const LEVELS_MAX = 100
/** Weight of the last second in a rate: it follows within a few seconds, and does not jump. */
const WEIGHT = 0.3

export interface TopicValue {
  text: string
  retain: boolean
  qos: 0 | 1 | 2
  /** Messages that came, without the one that the server had kept. */
  count: number
  /** Messages a second. */
  rate: number
  /** `count` at the last tick. */
  counted: number
}

class Node {
  readonly children = new Map<string, Node>()
  value: TopicValue | null = null

  /** Children in the order of their names; numbers by their size. */
  sorted(): [string, Node][] {
    return [...this.children].sort(([one], [other]) => collator.compare(one, other))
  }
}

const collator = new Intl.Collator('en', { numeric: true })

export interface ListedTopic extends TopicValue {
  readonly topic: string
}

export class TopicTree {
  readonly #root = new Node()
  #topics = 0
  #untracked = 0

  get topics(): number {
    return this.#topics
  }

  /** Messages of topics beyond those that are kept. */
  get untracked(): number {
    return this.#untracked
  }

  add(topic: string, text: string, { retain, qos }: { retain: boolean; qos: 0 | 1 | 2 }): void {
    const node = this.#nodeOf(topic)
    if (node === null) {
      this.#untracked++
      return
    }
    const shown = text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}...` : text
    const value = node.value
    const isNew = retain ? 0 : 1
    if (value === null) {
      this.#topics++
      node.value = { text: shown, retain, qos, count: isNew, rate: 0, counted: 0 }
    } else {
      value.text = shown
      value.retain = retain
      value.qos = qos
      value.count += isNew
    }
  }

  #nodeOf(topic: string): Node | null {
    const levels = topic.split('/')
    if (levels.length > LEVELS_MAX) levels.push(levels.splice(LEVELS_MAX - 1).join('/'))
    let node: Node | undefined = this.#root
    if (this.#topics >= TOPICS_MAX) {
      for (const level of levels) node = node?.children.get(level)
      return node?.value === null ? null : (node ?? null)
    }
    for (const level of levels) {
      let child: Node | undefined = node.children.get(level)
      if (child === undefined) {
        child = new Node()
        node.children.set(level, child)
      }
      node = child
    }
    return node
  }

  /** @param seconds since the last time */
  tick(seconds: number): void {
    for (const { value } of walk(this.#root)) {
      if (value === null) continue
      const now = (value.count - value.counted) / seconds
      value.rate = value.rate === 0 ? now : value.rate * (1 - WEIGHT) + now * WEIGHT
      if (value.rate < 0.005) value.rate = 0
      value.counted = value.count
    }
  }

  list(): ListedTopic[] {
    const topics: ListedTopic[] = []
    const visit = (node: Node, path: string): void => {
      for (const [name, child] of node.sorted()) {
        const topic = node === this.#root ? name : `${path}/${name}`
        if (child.value !== null) topics.push({ topic, ...child.value })
        visit(child, topic)
      }
    }
    visit(this.#root, '')
    return topics
  }

  /** Lines of the tree. Deeper levels than `depth` are summed up. */
  lines(depth: number): string[] {
    return linesOf(this.#root, '', depth)
  }

  /** The greatest depth of which the lines fit; at least 1. */
  depthFor(height: number): number {
    let level = [this.#root]
    let lines = 0
    for (let depth = 0; ; depth++) {
      const next = level.flatMap((node) => [...node.children.values()])
      lines += next.length
      if (next.length === 0) return Math.max(1, depth)
      if (lines > height) return Math.max(1, depth)
      level = next
    }
  }
}

function* walk(node: Node): Generator<Node> {
  yield node
  for (const child of node.children.values()) yield* walk(child)
}

function linesOf(node: Node, indent: string, depth: number): string[] {
  const children = node.sorted()
  return children.flatMap(([name, child], index) => {
    const isLast = index === children.length - 1
    const isRoot = indent === '' && depth > 0 && node.value === null && children.length === 1
    const [branch, below] = isRoot ? ['', '  '] : isLast ? ['└─ ', '   '] : ['├─ ', '│  ']
    const head = `${indent}${branch}${name === '' ? "''" : escapeControls(name)}`
    const isCut = depth <= 1 && child.children.size > 0
    const line = `${head}${valueText(child.value)}${isCut ? summary(child) : ''}`
    return isCut || child.children.size === 0 ? [line] : [line, ...linesOf(child, indent + below, depth - 1)]
  })
}

function valueText(value: TopicValue | null): string {
  if (value === null) return ''
  const rate = value.rate > 0 ? `  ${rateText(value.rate)}` : ''
  return ` = ${value.text.replace(/\s+/g, ' ')}${value.retain ? '  (retained)' : ''}${rate}`
}

export function rateText(rate: number): string {
  return `${rate >= 100 ? Math.round(rate) : rate.toFixed(rate >= 10 ? 1 : 2)}/s`
}

function summary(node: Node): string {
  let topics = 0
  let rate = 0
  for (const { value } of walk(node)) {
    if (value === null) continue
    topics++
    rate += value.rate
  }
  const below = node.value === null ? topics : topics - 1
  return `/...  ${below} ${below === 1 ? 'topic' : 'topics'}${rate > 0 ? `, ${rateText(rate)}` : ''}`
}
