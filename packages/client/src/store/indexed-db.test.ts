import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { OptionError } from '@recado/protocol'
import { IDBFactory, IDBObjectStore } from 'fake-indexeddb'
import { NotSupportedError } from '../errors.ts'
import { rowStoreSuite } from '../testing/row-store-suite.ts'
import { IndexedDbRows } from './indexed-db.ts'

const indexedDB = new IDBFactory()
Object.assign(globalThis, { indexedDB })

let number = 0
const unique = (): string => `test ${++number}`

/** Web Locks as one browser with several tabs has them. */
class FakeLocks {
  readonly held = new Set<string>()

  readonly request = async (
    name: string,
    _options: object,
    hold: (lock: object | null) => Promise<void> | undefined,
  ): Promise<void> => {
    if (this.held.has(name)) {
      await hold(null)
      return
    }
    this.held.add(name)
    await hold({})
    this.held.delete(name)
  }
}

function withNavigator(locks: object | undefined): void {
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true })
}

withNavigator(new FakeLocks())
afterEach(() => withNavigator(new FakeLocks()))

rowStoreSuite('IndexedDB', () => {
  const name = unique()
  return { store: () => new IndexedDbRows({ name }) }
})

test('another tab is refused as long as this one has the Web Lock', async () => {
  const locks = new FakeLocks()
  withNavigator(locks)
  const name = unique()
  locks.held.add(`recado:${name}`)
  const rows = new IndexedDbRows({ name })
  await assert.rejects(rows.open(), { code: 'ERR_MQTT_SESSION_STORE_LOCKED', message: /another tab/ })
  locks.held.clear()
  await rows.open()
  assert.deepEqual([...locks.held], [`recado:${name}`])
  await rows.close()
  await new Promise(setImmediate)
  assert.deepEqual([...locks.held], [])
})

test('without Web Locks it is refused, unless the page says that it is alone', async () => {
  withNavigator(undefined)
  const name = unique()
  await assert.rejects(new IndexedDbRows({ name }).open(), NotSupportedError)
  const rows = new IndexedDbRows({ name, lock: false })
  await rows.open()
  await assert.rejects(new IndexedDbRows({ name, lock: false }).open(), { code: 'ERR_MQTT_SESSION_STORE_LOCKED' })
  await rows.close()
})

test('a database of something else is left alone, and the next name is used', async () => {
  const name = unique()
  await new Promise((resolve, reject) => {
    const request = indexedDB.open(`recado:${name}`, 1)
    request.onupgradeneeded = () => request.result.createObjectStore('other')
    request.onsuccess = () => resolve(request.result.close())
    request.onerror = reject
  })
  const rows = new IndexedDbRows({ name })
  assert.match((await rows.open()).quarantined ?? '', /recado:test \d+/)
  await rows.write(new Map([[1, Uint8Array.of(1)]]))
  await rows.close()
  const again = new IndexedDbRows({ name })
  assert.equal((await again.open()).rows.length, 1)
  await again.close()
})

test('a transaction that is aborted rejects with its reason', async (t) => {
  const name = unique()
  const rows = new IndexedDbRows({ name })
  await rows.open()
  t.mock.method(IDBObjectStore.prototype, 'put', () => {
    throw new DOMException('full', 'QuotaExceededError')
  })
  await assert.rejects(rows.write(new Map([[1, Uint8Array.of(1)]])), /full/)
  await rows.close()
})

test('a name is needed', () => {
  assert.throws(() => new IndexedDbRows({ name: '' }), OptionError)
})
