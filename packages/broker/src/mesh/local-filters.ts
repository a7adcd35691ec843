/**
 * Topic Filters that subscribers of this Core have, each once however many subscribe to it: what other Cores must know.
 *
 * The router tells it of each subscription. Invariant: `changed` is called when the first subscription to a filter comes
 * and when the last one goes, so the other Cores hold one entry for each filter.
 */
import type { FilterListener } from '../core/routing/router.ts'

export class LocalFilters implements FilterListener {
  readonly #counts: Map<string, number> = new Map()
  readonly #changed: (topicFilter: string, isThere: boolean) => void

  constructor(changed: (topicFilter: string, isThere: boolean) => void) {
    this.#changed = changed
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.#counts.keys()
  }

  added(topicFilter: string): void {
    const count = this.#counts.get(topicFilter) ?? 0
    this.#counts.set(topicFilter, count + 1)
    if (count === 0) this.#changed(topicFilter, true)
  }

  removed(topicFilter: string): void {
    const count = this.#counts.get(topicFilter)
    if (count === undefined) return
    if (count > 1) {
      this.#counts.set(topicFilter, count - 1)
      return
    }
    this.#counts.delete(topicFilter)
    this.#changed(topicFilter, false)
  }
}
