/**
 * The promises of every `RowStore`, as cases that run anywhere: in Node by `rowStoreSuite` (row-store-suite.ts), in a
 * browser by the peer test, which bundles this file. So it imports nothing but types and errors.
 */
import type { RowStore } from '../store/rows.ts'

/** Gives out stores of the same rows: as a second process would have them. */
export interface RowStorePlace {
  store(): RowStore
}

export interface RowStoreCase {
  readonly name: string
  run(place: RowStorePlace): Promise<void>
}

function check(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(what)
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** Returns the rows of a store by key, with their bytes as text: `{ 1: '5,6' }`. */
async function contents(place: RowStorePlace): Promise<Record<string, string>> {
  const store = place.store()
  const { rows, quarantined } = await store.open()
  check(quarantined === null, `nothing is damaged, but: ${quarantined}`)
  await store.close()
  check(
    rows.every(([key], index) => index === 0 || key > rows[index - 1]![0]),
    'the rows are in the order of their keys',
  )
  return Object.fromEntries(rows.map(([key, row]) => [key, [...row].join()]))
}

function equal(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
  check(a === b, `expected ${b}, got ${a}`)
}

async function written(place: RowStorePlace, ...batches: [number, Uint8Array | null][][]): Promise<void> {
  const store = place.store()
  await store.open()
  for (const batch of batches) await store.write(new Map(batch))
  await store.close()
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'resolved'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

export const rowStoreCases: readonly RowStoreCase[] = [
  {
    name: 'a new store is empty',
    async run(place) {
      equal(await contents(place), {})
    },
  },
  {
    name: 'rows are there when it is opened again, in the order of their keys, up to 2^52',
    async run(place) {
      const top = 2 ** 52
      await written(place, [
        [top, bytes(3)],
        [300, bytes(2)],
        [0, bytes()],
        [7, bytes(1, 255)],
      ])
      equal(await contents(place), { 0: '', 7: '1,255', 300: '2', [String(top)]: '3' })
    },
  },
  {
    name: 'later batches win, null deletes, deleting what is not there is no error',
    async run(place) {
      await written(
        place,
        [
          [1, bytes(1)],
          [2, bytes(2)],
        ],
        [
          [1, null],
          [2, bytes(22)],
          [3, bytes(3)],
        ],
        [
          [3, null],
          [4, null],
        ],
      )
      equal(await contents(place), { 2: '22' })
    },
  },
  {
    name: 'a batch of 10,000 rows and a row of 1 MiB come back as they were',
    async run(place) {
      const big = new Uint8Array(1024 * 1024).map((_, i) => i)
      const many = Array.from({ length: 10_000 }, (_, i): [number, Uint8Array] => [i, bytes(i & 255, i >> 8)])
      await written(place, many, [[20_000, big]])
      const store = place.store()
      const { rows } = await store.open()
      await store.close()
      check(rows.length === 10_001, `10,001 rows, not ${rows.length}`)
      for (const [i, [key, row]] of rows.entries()) {
        if (key < 20_000) check(key === i && row[0] === (i & 255) && row[1] === i >> 8, `row ${i}`)
        else check(row.length === big.length && row.every((byte, at) => byte === big[at]), 'the big row')
      }
    },
  },
  {
    name: 'who opens it while it is open is refused with ERR_MQTT_SESSION_STORE_LOCKED, and harms nothing',
    async run(place) {
      const first = place.store()
      await first.open()
      await first.write(new Map([[1, bytes(1)]]))
      equal(await codeOf(place.store().open()), 'ERR_MQTT_SESSION_STORE_LOCKED')
      await first.write(new Map([[2, bytes(2)]]))
      await first.close()
      equal(await contents(place), { 1: '1', 2: '2' })
    },
  },
  {
    name: 'a store that was closed can be opened again, also the same object',
    async run(place) {
      const store = place.store()
      await store.open()
      await store.write(new Map([[1, bytes(1)]]))
      await store.close()
      const { rows } = await store.open()
      check(rows.length === 1, 'the row is there')
      await store.write(new Map([[1, null]]))
      await store.close()
      equal(await contents(place), {})
    },
  },
  {
    name: 'to write to a store that is not open is an error',
    async run(place) {
      const store = place.store()
      await store.open()
      await store.close()
      check((await codeOf(store.write(new Map([[1, bytes(1)]])))) !== 'resolved', 'it was written')
    },
  },
]
