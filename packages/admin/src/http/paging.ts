/**
 * Lists in pages: by key as `broker.inspect` has them, or sorted by another column.
 *
 * A cursor names the last item that was handed out, so no state is kept between two pages. Sorting keeps the best
 * `limit` items while it walks, in slices (`Listing`), so that neither memory nor a turn grows with the list.
 */
import type { Listing } from '@recado/broker'
import { z } from 'zod'
import { Problem } from './problem.ts'

const LIMIT_MAX = 1_000

/** Query parameters of every list. */
export const pageQuery: {
  limit: z.ZodDefault<z.ZodCoercedNumber>
  cursor: z.ZodOptional<z.ZodString>
} = {
  limit: z.coerce.number().int().min(1).max(LIMIT_MAX).default(100).describe('Most items of a page.'),
  cursor: z.string().min(1).max(4_096).optional().describe('`next` of the page before; absent for the first page.'),
}

/** A page: items and the cursor of the next one. */
export const pageOf = <Item extends z.ZodType>(
  item: Item,
): z.ZodObject<{ items: z.ZodArray<Item>; next: z.ZodNullable<z.ZodString> }> =>
  z.object({
    items: z.array(item),
    next: z.string().nullable().describe('Cursor of the next page; null on the last one.'),
  })

/** Page of a list. */
export interface PageOf<Item> {
  readonly items: Item[]
  readonly next: string | null
}

type SortValue = string | number | boolean | null

/** Order of a list: by a column, and by key where that is equal. */
export interface Order<Item> {
  readonly name: string
  readonly isDescending: boolean
  valueIn(item: Item): SortValue
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function decode(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    throw badCursor()
  }
}

const badCursor = (): Problem =>
  new Problem(400, 'The cursor is none of this list and order: begin again without a cursor.')

/** Parses `sort=name` and `sort=-name`; null for the order of keys. @throws Problem 400 */
export function orderFrom<Item>(
  sort: string | undefined,
  columns: Readonly<Record<string, (item: Item) => SortValue>>,
): Order<Item> | null {
  if (sort === undefined) return null
  const isDescending = sort.startsWith('-')
  const name = isDescending ? sort.slice(1) : sort
  const valueIn = Object.hasOwn(columns, name) ? columns[name] : undefined
  if (valueIn === undefined) {
    const names = Object.keys(columns).join(', ')
    throw new Problem(
      400,
      `sort cannot be "${sort.slice(0, 50)}": take one of ${names}, with - in front for descending.`,
    )
  }
  return { name, isDescending, valueIn }
}

/** Items of a page whose text is made in a turn of its own. */
const LONG = 100

/** Lets others have their turn before the answer is made of a long page: looking for it has used up this one. */
async function othersFirst(items: number): Promise<void> {
  if (items > LONG) await new Promise((resolve) => setImmediate(resolve))
}

/** Page in the order of keys; it may be short and still not be the last. */
export async function pageByKey<Item>(
  listing: Listing<Item>,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<PageOf<Item>> {
  const after = cursor === undefined ? undefined : decode(cursor)
  if (after !== undefined && typeof after !== 'string') throw badCursor()
  const { items, next } = await listing.page({ limit, ...(after === undefined ? {} : { after }) })
  await othersFirst(items.length)
  return { items: [...items], next: next === null ? null : encode(next) }
}

/** Page of what `items` yields and `isWanted` wants, in the given order. */
export async function pageInOrder<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  keyOf: (item: Item) => string,
  order: Order<Item> | null,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  isWanted: (item: Item) => boolean = () => true,
): Promise<PageOf<Item>> {
  const sign = order?.isDescending === true ? -1 : 1
  const compare = (a: Entry, b: Entry): number => {
    const byValue = sign * compareValues(a.value, b.value)
    return byValue !== 0 ? byValue : a.key < b.key ? -1 : a.key > b.key ? 1 : 0
  }
  interface Entry {
    readonly value: SortValue
    readonly key: string
    readonly item: Item | null
  }
  const from = cursor === undefined ? null : entryFrom(decode(cursor), order?.name ?? '')
  const best: Entry[] = []
  let bound: Entry | null = null
  let hasMore = false
  const cut = (): void => {
    best.sort(compare)
    if (best.length <= limit) return
    best.length = limit
    hasMore = true
    bound = best[limit - 1]!
  }
  for await (const item of items) {
    if (!isWanted(item)) continue
    const entry: Entry = { value: order?.valueIn(item) ?? null, key: keyOf(item), item }
    if (from !== null && compare(entry, { ...from, item: null }) <= 0) continue
    if (bound !== null && compare(entry, bound) >= 0) {
      hasMore = true
      continue
    }
    best.push(entry)
    if (best.length >= 2 * limit) cut()
  }
  cut()
  const last = best.at(-1)
  const next = hasMore && last !== undefined ? encode([order?.name ?? '', last.value, last.key]) : null
  await othersFirst(best.length)
  return { items: best.map(({ item }) => item as Item), next }
}

function entryFrom(decoded: unknown, name: string): { value: SortValue; key: string } {
  if (!Array.isArray(decoded) || decoded.length !== 3) throw badCursor()
  const [of, value, key] = decoded as unknown[]
  const isValue = value === null || ['string', 'number', 'boolean'].includes(typeof value)
  if (of !== name || typeof key !== 'string' || !isValue) throw badCursor()
  return { value: value as SortValue, key }
}

/** Compares two values of a column; null comes first. */
function compareValues(a: SortValue, b: SortValue): number {
  if (a === b) return 0
  if (a === null) return -1
  if (b === null) return 1
  return a < b ? -1 : a > b ? 1 : 0
}
