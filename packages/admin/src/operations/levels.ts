/**
 * One level of the tree of topics, counted in slices: those with a retained message, and those that were published to
 * last.
 *
 * `messages.ts` calls it. The walk goes through the retained messages below the topic, and keeps the first `limit` names
 * behind the cursor.
 */
import type { Inspector } from '@recado/broker'
import { type PageOf, pageInOrder } from '../http/paging.ts'

/** A name of the level. */
export interface TopicLevel {
  readonly name: string
  readonly topic: string
  hasMessage: boolean
  /** Whether there are topics below it. */
  hasBelow: boolean
  /** Retained messages at and below it. */
  messages: number
  /** Topics at and below it that were published to lately, retained or not. */
  published: number
}

/** Names that are counted at a time; with more, the walk begins again behind them. */
const NAMES_MAX = 100_000

export async function childrenOf(
  inspect: Inspector,
  below: string,
  page: { limit: number; cursor?: string | undefined },
  published: Iterable<string> = [],
): Promise<PageOf<TopicLevel>> {
  const prefix = below === '' ? '' : `${below}/`
  const levels = new Map<string, TopicLevel>()
  const topicFilter = below === '' ? undefined : `${below}/#`
  const query = { payloadBytesMax: 0, ...(topicFilter === undefined ? {} : { topicFilter }) }
  /** The level that a topic belongs to, and whether it is that very topic; null for one that is elsewhere. */
  const levelOf = (topic: string): { level: TopicLevel; isItself: boolean } | null => {
    // "a/#" has "a" as well.
    if (!topic.startsWith(prefix)) return null
    const end = topic.indexOf('/', prefix.length)
    const name = topic.slice(prefix.length, end === -1 ? undefined : end)
    let level = levels.get(name)
    if (level === undefined) {
      if (levels.size >= NAMES_MAX) return null
      level = { name, topic: prefix + name, hasMessage: false, hasBelow: false, messages: 0, published: 0 }
      levels.set(name, level)
    }
    if (end !== -1) level.hasBelow = true
    return { level, isItself: end === -1 }
  }
  for await (const { topic } of inspect.retained(query)) {
    const found = levelOf(topic)
    if (found === null) continue
    found.level.messages++
    if (found.isItself) found.level.hasMessage = true
  }
  for await (const topic of sliced(published)) {
    const found = levelOf(topic)
    if (found !== null) found.level.published++
  }
  return pageInOrder(sliced(levels.values()), ({ name }) => name, null, page)
}

/** Yields with pauses, so that others have their turn. */
async function* sliced<T>(items: Iterable<T>): AsyncGenerator<T> {
  let count = 0
  for (const item of items) {
    if (++count % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve))
    yield item
  }
}
