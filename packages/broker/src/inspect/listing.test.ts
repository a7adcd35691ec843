/** Lists in pages and in one go, while what they are made of changes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Listing, type Page } from './listing.ts'
import { Pattern } from './pattern.ts'

interface Item {
  readonly key: string
  isGone: boolean
}

function listingOf(map: Map<string, Item>): Listing<string> {
  return new Listing(
    () => map.values(),
    ({ key }: Item) => key,
    ({ key, isGone }: Item) => (isGone ? null : key),
  )
}

function mapOf(...keys: string[]): Map<string, Item> {
  return new Map(keys.map((key) => [key, { key, isGone: false }]))
}

async function allPages(listing: Listing<string>, limit: number): Promise<Page<string>[]> {
  const pages = [await listing.page({ limit })]
  for (let { next } = pages[0]!; next !== null; next = pages.at(-1)!.next) {
    pages.push(await listing.page({ limit, after: next }))
  }
  return pages
}

test('pages are in the order of keys, and together they are everything once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.string(), { maxLength: 30 }),
      fc.integer({ min: 1, max: 7 }),
      async (keys, limit) => {
        const pages = await allPages(listingOf(mapOf(...keys)), limit)
        assert.deepEqual(
          pages.flatMap(({ items }) => items),
          [...keys].sort(),
        )
        for (const { items } of pages.slice(0, -1)) assert.equal(items.length, limit)
      },
    ),
  )
})

test('one go has the order of the broker', async () => {
  const items: string[] = []
  for await (const item of listingOf(mapOf('b', 'a', 'c'))) items.push(item)
  assert.deepEqual(items, ['b', 'a', 'c'])
})

test('a page goes on where the one before has ended, also when that item has gone', async () => {
  const map = mapOf('a', 'b', 'c', 'd')
  const listing = listingOf(map)
  const { next } = await listing.page({ limit: 2 })
  map.delete('a')
  map.delete('b')
  map.set('bb', { key: 'bb', isGone: false })
  assert.deepEqual((await listing.page({ after: next! })).items, ['bb', 'c', 'd'])
})

test('what has gone since it was found is left out, and its page is not the last', async () => {
  const map = mapOf('a', 'b', 'c')
  map.get('b')!.isGone = true
  const { items, next } = await listingOf(map).page({ limit: 2 })
  assert.deepEqual(items, ['a'])
  assert.deepEqual((await listingOf(map).page({ after: next! })).items, ['c'])
})

test('a string that is no cursor is refused, also one that is almost one', async () => {
  const listing = listingOf(mapOf('a', 'b\ud800', 'c'))
  const { next } = await listing.page({ limit: 2 })
  assert.deepEqual((await listing.page({ after: next! })).items, ['c'])
  for (const after of ['', 'b', 'garbage', `${next}x`, next!.slice(1), 'kAA', 'k+', 7 as never]) {
    await assert.rejects(listing.page({ after }), {
      code: 'ERR_MQTT_OPTION',
      message: /after must be the `next` of a page/,
    })
  }
})

test('what goes and comes again while a page is made comes once, as it is now', async () => {
  const old = { key: 'a', isGone: true }
  const anew = { key: 'a', isGone: false }
  const listing = new Listing(
    () => [old, anew],
    ({ key }: Item) => key,
    ({ key, isGone }: Item) => (isGone ? null : key),
  )
  assert.deepEqual(await listing.page(), { items: ['a'], next: null })
})

/** Takes a while. */
function work(): void {
  const endMs = performance.now() + 1
  while (performance.now() < endMs);
}

test('others have their turn while a list is made', async () => {
  let turns = 0
  let isOver = false
  const tick = (): void => {
    turns++
    if (!isOver) setImmediate(tick)
  }
  setImmediate(tick)
  function* walk(): Generator<null> {
    for (let i = 0; i < 200; i++) {
      work()
      yield null
    }
  }
  const listing = new Listing(walk, String, String)
  for await (const _ of listing) assert.fail('it finds nothing')
  assert.ok(turns >= 10, `${turns} turns of others`)
  turns = 0
  await listing.page()
  isOver = true
  assert.ok(turns >= 10, `${turns} turns of others`)
})

test('what is added and removed while one goes on: what stays comes once', async () => {
  const map = mapOf(...Array.from({ length: 100 }, (_, i) => `k${i}`))
  const seen: string[] = []
  for await (const item of listingOf(map)) {
    seen.push(item)
    if (item === 'k10') map.delete('k5')
    if (item === 'k20') map.delete('k50')
    if (item === 'k30') map.set('new', { key: 'new', isGone: false })
  }
  assert.equal(new Set(seen).size, seen.length)
  assert.deepEqual(
    [...map.keys()].filter((key) => !seen.includes(key)),
    [],
  )
  assert.ok(!seen.includes('k50'))
})

test('options of a page are checked', async () => {
  const listing = listingOf(mapOf('a'))
  await assert.rejects(listing.page({ limit: 0 }), { code: 'ERR_MQTT_OPTION' })
  await assert.rejects(listing.page({ limit: 1_001 }), { code: 'ERR_MQTT_OPTION' })
  await assert.rejects(listing.page({ from: 'a' } as never), { code: 'ERR_MQTT_OPTION' })
})

test('a pattern matches what the same regular expression matches', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 8 })
  fc.assert(
    fc.property(letters, letters, (pattern, text) => {
      const source = pattern.split('*').map((piece) => piece.replaceAll('.', '\\.'))
      assert.equal(new Pattern(pattern).matches(text), new RegExp(`^${source.join('.*')}$`).test(text))
    }),
    { numRuns: 2_000 },
  )
  assert.equal(new Pattern('a*').literal, null)
  assert.equal(new Pattern('a').literal, 'a')
})
