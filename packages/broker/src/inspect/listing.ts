/**
 * A list of what the broker has, as one sequence or in pages, that neither holds up anybody nor needs a copy of the whole.
 *
 * `Inspector` makes one for each query, and adds up the listeners in the same slices. It walks through the live collections of the core and lets everybody else have their turn whenever
 * it has worked for `SLICE_MS`; so the broker changes while it walks. The invariant is what its doc comment promises a caller.
 */
import { checkOptions, type Rule, type Rules, whole } from '@recado/protocol'

/** Milliseconds of work before others have their turn. */
const SLICE_MS = 1
/** Looks between two looks at the clock. */
const LOOKS = 16
const PAGE_ITEMS = 100
const PAGE_ITEMS_MAX = 1_000

/** Position and length of a page of a listing. */
export interface PageOptions {
  /** The `next` of the page before. Absent: the first page. */
  after?: string
  /** Most items of a page, from 1 to 1,000; default 100. */
  limit?: number
}

/** One page of a listing. */
export interface Page<Item> {
  /** In the order of their keys (Client Identifier, Topic Name, …) by UTF-16 code units. */
  readonly items: readonly Item[]
  /** Cursor of the next page, to be given as `after`; `null` on the last page. Treat it as opaque. */
  readonly next: string | null
}

/** First character of every cursor: the form may change with it. */
const CURSOR_FORM = 'k'

/** Cursor of the page after this key; it may stand in a URL as it is. */
const cursorOf = (key: string): string => CURSOR_FORM + Buffer.from(key, 'utf16le').toString('base64url')

/** Key of a cursor; null for a string that is none. */
function keyIn(cursor: string): string | null {
  if (!cursor.startsWith(CURSOR_FORM)) return null
  const key = Buffer.from(cursor.slice(CURSOR_FORM.length), 'base64url').toString('utf16le')
  return cursorOf(key) === cursor ? key : null
}

const cursorRule: Rule = {
  must: 'the `next` of a page',
  holds: (value) => typeof value === 'string' && keyIn(value) !== null,
}
const pageRules: Rules<PageOptions> = { after: cursorRule, limit: whole(1, PAGE_ITEMS_MAX) }

/** Steps of a walk: an item that meets the query, or `null` for a step that found none. */
export type Walk<Found> = Iterable<Found | null>

/** Says when it is the turn of others. */
export class Slice {
  #beganMs = performance.now()
  #looks = 0

  isOver(): boolean {
    return ++this.#looks % LOOKS === 0 && performance.now() - this.#beganMs > SLICE_MS
  }

  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#beganMs = performance.now()
  }
}

/**
 * The answer to a query. `for await` gives all of it in the order in which the broker has it; `page` a part of it, in the order of keys.
 *
 * The broker goes on meanwhile. What is there from the beginning to the end comes exactly once; what comes or goes meanwhile may be there or be missing; what
 * goes and comes again under the same name may come twice in a `for await`, and never twice in pages. Each item is as it was when it was handed out.
 */
export class Listing<Item> implements AsyncIterable<Item> {
  readonly #walk: () => Walk<unknown>
  readonly #keyOf: (found: never) => string
  readonly #viewOf: (found: never) => Item | null

  /**
   * `walk` begins anew with each call, and bears it that what it walks through changes. `viewOf` says null for what has gone since it was found.
   */
  constructor(walk: () => Walk<unknown>, keyOf: (found: never) => string, viewOf: (found: never) => Item | null) {
    this.#walk = walk
    this.#keyOf = keyOf
    this.#viewOf = viewOf
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    const slice = new Slice()
    for (const found of this.#walk()) {
      const item = found === null ? null : this.#viewOf(found as never)
      if (item !== null) yield item
      if (slice.isOver()) await slice.next()
    }
  }

  /**
   * One page, looked for among all: a page costs as much work as all of them. It may have fewer than `limit` items and still not be the last.
   * Rejects with MqttError ERR_MQTT_OPTION.
   */
  async page(options: PageOptions = {}): Promise<Page<Item>> {
    checkOptions(options, pageRules)
    const { limit = PAGE_ITEMS } = options
    const after = options.after === undefined ? undefined : keyIn(options.after)!
    const first = new First<{ key: string; found: unknown }>(limit)
    const slice = new Slice()
    for (const found of this.#walk()) {
      if (found !== null) {
        const key = this.#keyOf(found as never)
        if ((after === undefined || key > after) && !first.isFull(key)) first.add({ key, found })
      }
      if (slice.isOver()) await slice.next()
    }
    const items: Item[] = []
    for (const { found } of first.all()) {
      const item = this.#viewOf(found as never)
      if (item !== null) items.push(item)
      if (slice.isOver()) await slice.next()
    }
    return { items, next: first.hasMore ? cursorOf(first.lastKey) : null }
  }
}

/** The first so many by their keys, of any number, in room for twice as many. */
class First<Entry extends { readonly key: string }> {
  readonly #limit: number
  #entries: Entry[] = []
  /** Nothing from here on is wanted; null: there are not that many yet. */
  #bound: string | null = null
  /** Something has been left out. */
  hasMore = false

  constructor(limit: number) {
    this.#limit = limit
  }

  isFull(key: string): boolean {
    if (this.#bound === null || key < this.#bound) return false
    this.hasMore = true
    return true
  }

  add(entry: Entry): void {
    this.#entries.push(entry)
    if (this.#entries.length >= 2 * this.#limit) this.#cut()
  }

  #cut(): void {
    this.#entries.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    // What has gone and come again: the sort is stable, so the later one is last.
    this.#entries = this.#entries.filter(({ key }, i, all) => key !== all[i + 1]?.key)
    if (this.#entries.length <= this.#limit) return
    this.#entries.length = this.#limit
    this.hasMore = true
    this.#bound = this.lastKey
  }

  all(): readonly Entry[] {
    this.#cut()
    return this.#entries
  }

  get lastKey(): string {
    return this.#entries[this.#entries.length - 1]!.key
  }
}
