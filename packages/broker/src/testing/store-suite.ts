/**
 * Promises of every store, as tests: the contract of `Store` in ports.ts, one sentence a test.
 *
 * Each store's own test file runs the suite with a way to open it. Rows of Table.Meta under (0, 0, 0) are the store's
 * own (its schema version), so the suite stays away from them.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Store, Table } from '../ports.ts'

export interface StoreUnderTest {
  readonly store: Store
  /** Closes the store and opens it again with what it holds; absent: it holds nothing that long. */
  reopen?(): Promise<Store>
  /** After the test: closes it and removes what it left. */
  dispose(): Promise<void>
}

/** `write` as a promise, for tests. */
export function writeTo(store: Store, fill: () => void): Promise<void> {
  return new Promise((resolve, reject) => store.write(fill, (error) => (error === null ? resolve() : reject(error))))
}

export type RowInTest = [a: number, b: number, c: number, value: string]

export function rowsOf(store: Pick<Store, 'scan'>, table: number): RowInTest[] {
  const rows: RowInTest[] = []
  store.scan(table, (a, b, c, value) => rows.push([a, b, c, Buffer.from(value).toString()]))
  return rows
}

export function keysOf(store: Pick<Store, 'scanKeys'>, table: number): [a: number, b: number, c: number][] {
  const keys: [number, number, number][] = []
  store.scanKeys(table, (a, b, c) => keys.push([a, b, c]))
  return keys
}

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString()

const A_MAX = 2 ** 48 - 1
const U32_MAX = 2 ** 32 - 1

export function storeSuite(name: string, open: () => Promise<StoreUnderTest>): void {
  const test = (sentence: string, body: (store: Store, under: StoreUnderTest) => Promise<void>): void => {
    it(sentence, async () => {
      const under = await open()
      try {
        await body(under.store, under)
      } finally {
        await under.dispose()
      }
    })
  }

  describe(`${name} keeps the contract of a store`, () => {
    test('a row that is done can be read', async (store) => {
      await writeTo(store, () => store.put(Table.Messages, 1, 2, 3, bytes('hello')))
      assert.equal(text(store.get(Table.Messages, 1, 2, 3)), 'hello')
      assert.deepEqual(rowsOf(store, Table.Messages), [[1, 2, 3, 'hello']])
      assert.deepEqual(keysOf(store, Table.Messages), [[1, 2, 3]])
    })

    test('what is not there reads as undefined', async (store) => {
      assert.equal(store.get(Table.Wills, 1, 0, 0), undefined)
      assert.deepEqual(rowsOf(store, Table.Wills), [])
      await writeTo(store, () => store.put(Table.Wills, 1, 0, 0, bytes('x')))
      assert.equal(store.get(Table.Wills, 1, 0, 1), undefined)
      assert.equal(store.get(Table.Wills, 1, 1, 0), undefined)
      assert.equal(store.get(Table.Retained, 1, 0, 0), undefined)
    })

    test('done is never called from within write', async (store) => {
      for (const fill of [() => undefined, () => store.put(Table.Messages, 1, 0, 0, bytes('x'))]) {
        let isWithin = true
        await new Promise<void>((resolve) => {
          store.write(fill, () => {
            assert.equal(isWithin, false)
            resolve()
          })
          isWithin = false
        })
      }
    })

    test('an empty batch is done', async (store) => {
      await writeTo(store, () => undefined)
      await writeTo(store, () => store.put(Table.Messages, 1, 0, 0, bytes('x')))
      assert.deepEqual(keysOf(store, Table.Messages), [[1, 0, 0]])
    })

    test('nothing of a batch is seen before it is done', async (store) => {
      await writeTo(store, () => store.put(Table.Messages, 1, 0, 0, bytes('old')))
      let isDone = false
      const written = writeTo(store, () => {
        store.put(Table.Messages, 1, 0, 0, bytes('new'))
        store.put(Table.Flights, 1, 0, 0, bytes('new'))
        store.remove(Table.Messages, 1, 0, 0)
      }).then(() => {
        isDone = true
      })
      let looks = 0
      while (!isDone) {
        looks++
        assert.equal(text(store.get(Table.Messages, 1, 0, 0)), 'old')
        assert.deepEqual(rowsOf(store, Table.Flights), [])
        assert.deepEqual(keysOf(store, Table.Messages), [[1, 0, 0]])
        await new Promise(setImmediate)
      }
      await written
      assert.ok(looks > 0)
      assert.equal(store.get(Table.Messages, 1, 0, 0), undefined)
      assert.equal(text(store.get(Table.Flights, 1, 0, 0)), 'new')
    })

    test('within a batch the last word about a row counts', async (store) => {
      await writeTo(store, () => {
        store.put(Table.Messages, 1, 0, 0, bytes('first'))
        store.put(Table.Messages, 1, 0, 0, bytes('second'))
        store.put(Table.Messages, 2, 0, 0, bytes('gone'))
        store.remove(Table.Messages, 2, 0, 0)
        store.remove(Table.Messages, 3, 0, 0)
        store.put(Table.Messages, 3, 0, 0, bytes('here'))
      })
      assert.deepEqual(rowsOf(store, Table.Messages), [
        [1, 0, 0, 'second'],
        [3, 0, 0, 'here'],
      ])
    })

    test('removing a row that is not there is no error', async (store) => {
      await writeTo(store, () => store.remove(Table.Received, 9, 9, 9))
      assert.deepEqual(rowsOf(store, Table.Received), [])
    })

    test('rows come in the order of their keys, from the least to the greatest there can be', async (store) => {
      const keys: [number, number, number][] = [
        [0, 0, 1],
        [0, 0, 255],
        [0, 0, 256],
        [0, 0, U32_MAX],
        [0, 1, 0],
        [0, 2 ** 31, 0],
        [0, U32_MAX, U32_MAX],
        [1, 0, 0],
        [255, 0, 0],
        [256, 0, 0],
        [2 ** 31, 5, 5],
        [2 ** 32 - 1, 0, 0],
        [2 ** 32, 0, 0],
        [2 ** 40 + 7, 1, 2],
        [A_MAX, U32_MAX, U32_MAX - 1],
        [A_MAX, U32_MAX, U32_MAX],
      ]
      const shuffled = keys.map((_, i) => keys[(i * 7) % keys.length] as [number, number, number])
      await writeTo(store, () => {
        for (const [a, b, c] of shuffled) store.put(Table.Flights, a, b, c, bytes(`${a}.${b}.${c}`))
      })
      assert.deepEqual(keysOf(store, Table.Flights), keys)
      assert.deepEqual(
        rowsOf(store, Table.Flights),
        keys.map(([a, b, c]) => [a, b, c, `${a}.${b}.${c}`]),
      )
      for (const [a, b, c] of keys) assert.equal(text(store.get(Table.Flights, a, b, c)), `${a}.${b}.${c}`)
    })

    test('every table is its own', async (store) => {
      const tables = Object.values(Table)
      await writeTo(store, () => {
        for (const table of tables) store.put(table, 5, 5, 5, bytes(`table ${table}`))
      })
      for (const table of tables) assert.equal(text(store.get(table, 5, 5, 5)), `table ${table}`)
      await writeTo(store, () => store.remove(Table.Sessions, 5, 5, 5))
      for (const table of tables) assert.equal(store.get(table, 5, 5, 5) === undefined, table === Table.Sessions)
    })

    test('values of every size come back as they were', async (store) => {
      const sizes = [0, 1, 100, 2_000, 2_023, 2_024, 2_025, 4_096, 70_000, 1_000_000, 17_000_000]
      const values = sizes.map((size) => Buffer.alloc(size, `${size} `))
      await writeTo(store, () => {
        for (const [i, value] of values.entries()) store.put(Table.Messages, i, 0, 0, value)
      })
      for (const [i, value] of values.entries()) {
        const read = store.get(Table.Messages, i, 0, 0)
        assert.equal(read?.length, value.length)
        assert.ok(value.equals(read), `${value.length} bytes`)
        // Not only `length` is right: whoever looks at it another way sees the same.
        assert.equal(read.byteLength, value.length)
        assert.equal(read.subarray(0).length, value.length)
      }
      let seen = 0
      store.scan(Table.Messages, (a, _b, _c, value) => {
        assert.ok((values[a] as Buffer).equals(value), `${sizes[a]} bytes`)
        seen++
      })
      assert.equal(seen, sizes.length)
    })

    test('values may share one buffer', async (store) => {
      const slab = new Uint8Array(1_000).map((_, i) => i)
      await writeTo(store, () => {
        for (let i = 0; i < 100; i++) store.put(Table.Messages, i, 0, 0, slab.subarray(i * 10, i * 10 + 10))
      })
      for (let i = 0; i < 100; i++) {
        assert.deepEqual([...(store.get(Table.Messages, i, 0, 0) ?? [])], [...slab.subarray(i * 10, i * 10 + 10)])
      }
    })

    test('a row can be read while another table is scanned', async (store) => {
      await writeTo(store, () => {
        for (let i = 0; i < 10; i++) {
          store.put(Table.Flights, i, 1, 0, bytes(`flight ${i}`))
          store.put(Table.Messages, i, 0, 0, bytes(`message ${i}`))
        }
      })
      const seen: string[] = []
      store.scan(Table.Flights, (a, _b, _c, value) => {
        seen.push(`${text(value)}, ${text(store.get(Table.Messages, a, 0, 0))}`)
        store.scanKeys(Table.Messages, () => undefined)
      })
      assert.deepEqual(
        seen,
        Array.from({ length: 10 }, (_, i) => `flight ${i}, message ${i}`),
      )
    })

    test('a row can be read while its own table is scanned', async (store) => {
      await writeTo(store, () => {
        for (let i = 0; i < 300; i++) store.put(Table.Messages, i, i % 2, 0, bytes(`row ${i}`))
      })
      let seen = 0
      store.scanKeys(Table.Messages, (a, b, c) => {
        assert.deepEqual([a, b, c], [seen, seen % 2, 0])
        assert.equal(text(store.get(Table.Messages, 299 - a, (299 - a) % 2, 0)), `row ${299 - a}`)
        seen++
      })
      assert.equal(seen, 300)
    })

    test('a scan that its visitor throws out of leaves the store as it was', async (store) => {
      await writeTo(store, () => {
        for (let i = 0; i < 10; i++) store.put(Table.Messages, i, 0, 0, bytes(`${i}`))
      })
      for (let i = 0; i < 3; i++) {
        assert.throws(() => store.scan(Table.Messages, () => assert.fail('enough')), /enough/)
        assert.throws(() => store.scanKeys(Table.Messages, () => assert.fail('enough')), /enough/)
      }
      await writeTo(store, () => store.remove(Table.Messages, 0, 0, 0))
      assert.equal(keysOf(store, Table.Messages).length, 9)
    })

    test('when fill throws, nothing of the batch is applied and the store goes on', async (store) => {
      await writeTo(store, () => store.put(Table.Messages, 1, 0, 0, bytes('kept')))
      const fill = (): void => {
        store.put(Table.Messages, 2, 0, 0, bytes('never'))
        store.remove(Table.Messages, 1, 0, 0)
        throw new Error('a bug')
      }
      assert.throws(() => store.write(fill, () => assert.fail('done was called')), /a bug/)
      await writeTo(store, () => store.put(Table.Messages, 3, 0, 0, bytes('after')))
      assert.deepEqual(rowsOf(store, Table.Messages), [
        [1, 0, 0, 'kept'],
        [3, 0, 0, 'after'],
      ])
    })

    test('a batch may be started from within done', async (store) => {
      const order: number[] = []
      await new Promise<void>((resolve, reject) => {
        const next = (i: number): void => {
          store.write(
            () => store.put(Table.Messages, i, 0, 0, bytes(`${i}`)),
            (error) => {
              if (error !== null) reject(error)
              order.push(i)
              if (i < 50) next(i + 1)
              else resolve()
            },
          )
        }
        next(1)
      })
      assert.equal(order.length, 50)
      assert.equal(keysOf(store, Table.Messages).length, 50)
    })

    test('a second batch before the first is done is refused', async (store) => {
      const first = writeTo(store, () => store.put(Table.Messages, 1, 0, 0, bytes('x')))
      assert.throws(
        () =>
          store.write(
            () => undefined,
            () => assert.fail(),
          ),
        /assertion/,
      )
      assert.throws(() => store.put(Table.Messages, 2, 0, 0, bytes('x')), /assertion/)
      await first
      assert.deepEqual(keysOf(store, Table.Messages), [[1, 0, 0]])
    })

    test('a large batch is applied whole', async (store) => {
      const rows = 20_000
      const value = Buffer.alloc(200, 'x')
      await writeTo(store, () => {
        for (let i = 0; i < rows; i++) store.put(Table.Messages, i, i % 7, i % 3, value)
      })
      assert.equal(keysOf(store, Table.Messages).length, rows)
      await writeTo(store, () => {
        for (let i = 0; i < rows; i += 2) store.remove(Table.Messages, i, i % 7, i % 3)
      })
      const keys = keysOf(store, Table.Messages)
      assert.equal(keys.length, rows / 2)
      assert.ok(keys.every(([a]) => a % 2 === 1))
    })

    test('a thousand random batches leave what the same steps on a map leave', async (store, under) => {
      const model = new Map<string, RowInTest>()
      let seed = 12_345
      const random = (below: number): number => {
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
        return Math.floor((seed / 2 ** 32) * below)
      }
      let current = store
      for (let batch = 0; batch < 1_000; batch++) {
        await writeTo(current, () => {
          for (let n = random(20); n > 0; n--) {
            const key: [number, number, number] = [random(40) * 2 ** 40, random(3), random(3)]
            if (random(3) === 0) {
              current.remove(Table.Messages, ...key)
              model.delete(key.join())
            } else {
              const value = `${batch} `.repeat(1 + random(random(50) === 0 ? 2_000 : 20))
              current.put(Table.Messages, ...key, bytes(value))
              model.set(key.join(), [...key, value])
            }
          }
        })
        if (under.reopen && batch % 250 === 249) current = await under.reopen()
      }
      const expected = [...model.values()].sort((x, y) => x[0] - y[0] || x[1] - y[1] || x[2] - y[2])
      assert.deepEqual(rowsOf(current, Table.Messages), expected)
    })

    test('what is done is there after closing and opening again', async (store, under) => {
      if (!under.reopen) return
      await writeTo(store, () => {
        store.put(Table.Messages, 2 ** 40, 1, 2, bytes('a message'))
        store.put(Table.Sessions, 1, 0, 0, bytes('a session'))
      })
      const again = await under.reopen()
      assert.deepEqual(rowsOf(again, Table.Messages), [[2 ** 40, 1, 2, 'a message']])
      assert.deepEqual(rowsOf(again, Table.Sessions), [[1, 0, 0, 'a session']])
    })
  })
}
