/**
 * One level of the tree of retained topics, counted in slices.
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
  messages: number
}

/** Names that are counted at a time; with more, the walk begins again behind them. */
const NAMES_MAX = 100_000

export async function childrenOf(
  inspect: Inspector,
  below: string,
  page: { limit: number; cursor?: string | undefined },
): Promise<PageOf<TopicLevel>> {
  const prefix = below === '' ? '' : `${below}/`
  const levels = new Map<string, TopicLevel>()
  const topicFilter = below === '' ? undefined : `${below}/#`
  const query = { payloadBytesMax: 0, ...(topicFilter === undefined ? {} : { topicFilter }) }
  for await (const { topic } of inspect.retained(query)) {
    // "a/#" has "a" as well.
    if (!topic.startsWith(prefix)) continue
    const end = topic.indexOf('/', prefix.length)
    const name = topic.slice(prefix.length, end === -1 ? undefined : end)
    let level = levels.get(name)
    if (level === undefined) {
      if (levels.size >= NAMES_MAX) continue
      level = { name, topic: prefix + name, hasMessage: false, messages: 0 }
      levels.set(name, level)
    }
    level.messages++
    if (end === -1) level.hasMessage = true
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
