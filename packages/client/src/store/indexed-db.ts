/**
 * `indexedDb({ name })`: the session store of browsers and their workers. `RowStore` over one object store of
 * IndexedDB.
 *
 * A tab that crashes releases its Web Lock by itself; another tab that asks meanwhile is refused. Web Locks exist in
 * secure contexts only (https, localhost): elsewhere `lock: false` opens without one, and the page must make sure that
 * it is alone.
 *
 * `durability: 'strict'`: a transaction is complete when it is on the disk, not when the browser means to write it
 * soon. A database that cannot be opened is left as it is, and one with the next name is begun (IndexedDB cannot
 * rename).
 */
import { check, checkOptions, flag, OptionError, type Rules, text } from '@recado/protocol'
import { NotSupportedError } from '../errors.ts'
import type { OpenedRows, RowChanges, RowStore } from './rows.ts'
import type { SessionStore } from './session-store.ts'
import { lockedError, StoredSession } from './stored-session.ts'

// The parts of the browser's API that are used here: the types of this package know no browser.

interface Target {
  addEventListener(type: string, listener: () => void): void
}

interface Request<T> extends Target {
  readonly result: T
  readonly error: Error | null
}

interface ObjectStore {
  getAllKeys(): Request<unknown[]>
  getAll(): Request<unknown[]>
  put(value: Uint8Array, key: number): unknown
  delete(key: number): unknown
}

interface Transaction extends Target {
  readonly error: Error | null
  objectStore(name: string): ObjectStore
  commit?(): void
}

interface Database {
  readonly objectStoreNames: { contains(name: string): boolean }
  onversionchange: (() => void) | null
  createObjectStore(name: string): unknown
  transaction(name: string, mode: string, options?: { durability: string }): Transaction
  close(): void
}

interface Factory {
  open(name: string, version: number): Request<Database>
}

interface Locks {
  request(
    name: string,
    options: { ifAvailable: boolean },
    hold: (lock: object | null) => Promise<void> | undefined,
  ): Promise<void>
}

const STORE = 'rows'
const VERSION = 1
/** Number of damaged databases that are left behind before opening fails. */
const GENERATIONS_MAX = 8

/** Options of `indexedDb`. */
export interface IndexedDbOptions {
  /** Name of the session. The database is called `recado:<name>`. */
  name: string
  /**
   * Whether to take a Web Lock. `false` opens without one, where there are none (pages over plain http). Two tabs would
   * then spoil each other's work.
   */
  lock?: boolean
}

const indexedDbRules: Rules<IndexedDbOptions> = { name: text, lock: flag }

/** Names that are open in this page, with or without Web Locks. */
const openNames = new Set<string>()

/** The rows that a session store keeps, in IndexedDB. */
export class IndexedDbRows implements RowStore {
  readonly name: string
  readonly #lockName: string
  readonly #isLocking: boolean
  #database: Database | null = null
  #release: (() => void) | null = null

  constructor(options: IndexedDbOptions) {
    checkOptions(options, indexedDbRules)
    const { name, lock = true } = options
    check('name', name, text)
    if (name === '') throw new OptionError('indexedDb() needs a name for the session store')
    this.name = `"${name}"`
    this.#lockName = `recado:${name}`
    this.#isLocking = lock
  }

  async open(): Promise<OpenedRows> {
    const { indexedDB } = globalThis as { indexedDB?: Factory }
    if (indexedDB === undefined)
      throw new NotSupportedError('this platform has no IndexedDB: use another session store')
    await this.#lock()
    try {
      let quarantined: string | null = null
      for (let generation = 1; ; generation++) {
        const databaseName = generation === 1 ? this.#lockName : `${this.#lockName}~${generation}`
        try {
          this.#database = await openDatabase(indexedDB, databaseName)
          const rows = await readAll(this.#database)
          // Another page wants to delete the database: close it, and every write fails with the reason.
          this.#database.onversionchange = () => this.#database?.close()
          return { rows, quarantined }
        } catch (error) {
          this.#database?.close()
          if (!isDamage(error) || generation === GENERATIONS_MAX) throw error
          quarantined = `left in the database "${databaseName}" (${(error as Error).message})`
        }
      }
    } catch (error) {
      this.#unlock()
      throw error
    }
  }

  write(changes: RowChanges): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#database === null) throw new Error('it is not open')
      const transaction = this.#database.transaction(STORE, 'readwrite', { durability: 'strict' })
      transaction.addEventListener('complete', resolve)
      // 'error' of a request is followed by 'abort', which has the reason; so does a full disk.
      transaction.addEventListener('abort', () => reject(transaction.error ?? new Error('the transaction was aborted')))
      const store = transaction.objectStore(STORE)
      for (const [key, row] of changes) {
        if (row === null) store.delete(key)
        else store.put(row, key)
      }
      transaction.commit?.()
    })
  }

  close(): Promise<void> {
    this.#database?.close()
    this.#database = null
    this.#unlock()
    return Promise.resolve()
  }

  async #lock(): Promise<void> {
    const name = this.#lockName
    if (openNames.has(name)) throw lockedError(this.name, 'another client of this page')
    const locks = (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks
    if (this.#isLocking && locks === undefined) {
      throw new NotSupportedError(
        'this page has no Web Locks (they need https or localhost): without them two tabs could use the same session store. Set lock: false if only one tab can be open',
      )
    }
    openNames.add(name)
    if (!this.#isLocking || locks === undefined) {
      this.#release = () => {}
      return
    }
    const isOurs = await new Promise<boolean>((resolve, reject) => {
      const held = locks.request(name, { ifAvailable: true }, (lock) => {
        resolve(lock !== null)
        if (lock === null) return undefined
        return new Promise<void>((release) => {
          this.#release = release
        })
      })
      held.catch(reject)
    }).catch((error: unknown) => {
      openNames.delete(name)
      throw error
    })
    if (isOurs) return
    openNames.delete(name)
    throw lockedError(this.name, 'another tab or worker')
  }

  #unlock(): void {
    if (this.#release === null) return
    openNames.delete(this.#lockName)
    this.#release()
    this.#release = null
  }
}

function settled<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(request.error ?? new Error('IndexedDB gave no reason')))
  })
}

async function openDatabase(factory: Factory, name: string): Promise<Database> {
  const request = factory.open(name, VERSION)
  request.addEventListener('upgradeneeded', () => void request.result.createObjectStore(STORE))
  const database = await settled(request)
  if (database.objectStoreNames.contains(STORE)) return database
  database.close()
  throw new Damage('another program has a database of this name')
}

async function readAll(database: Database): Promise<[number, Uint8Array][]> {
  const store = database.transaction(STORE, 'readonly').objectStore(STORE)
  // Both lists are in the order of the keys.
  const [keys, values] = await Promise.all([settled(store.getAllKeys()), settled(store.getAll())])
  const rows: [number, Uint8Array][] = []
  for (const [index, key] of keys.entries()) {
    const value = values[index]
    // Rows with another kind of key are not ours; an empty row counts as damaged.
    if (typeof key === 'number') rows.push([key, value instanceof Uint8Array ? value : new Uint8Array(0)])
  }
  return rows
}

class Damage extends Error {}

/**
 * Returns true for errors with which browsers report that a database can never be read again. Quota and permission are
 * not among them.
 */
function isDamage(error: unknown): boolean {
  if (error instanceof Damage) return true
  const { name } = error as Error
  return name === 'UnknownError' || name === 'DataError' || name === 'DataCloneError' || name === 'NotReadableError'
}

/**
 * Makes a session store in IndexedDB. Throws `OptionError`. When the database cannot be opened, `connect` rejects with
 * `SessionStoreError` or `NotSupportedError`.
 */
export function indexedDb(options: IndexedDbOptions): SessionStore {
  return new StoredSession(new IndexedDbRows(options))
}
