/**
 * One opened LMDB environment with the tables of a store, as the few calls of lmdb-js that the store needs. All
 * knowledge about lmdb-js (3.5.6) is in this file.
 *
 * - `batch` is one transaction across all tables. Its commit starts at the next `setImmediate` unless another write
 * follows while `txnStartThreshold` writes are waiting; so an empty write is added, which saves a whole turn of
 * latency.
 * - A failed commit rejects with an error whose `commitError` is a promise that rejects with the real one. Without
 * overlapping sync nothing else rejects, and the commit's promise settles for all.
 * - When a transaction cannot even begin (LMDB is unusable after a failed write of its meta page), lmdb-js never
 * answers and its thread hangs for good: never write again after a failure; close and open anew.
 * - Keys are encoded within the call; LMDB's thread reads values until the commit. lmdb-js keeps them referenced.
 */
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { MqttError } from '@recado/protocol'
import { open } from 'lmdb'
import { Table } from '../ports.ts'

const TABLES_MAX = 32
const KEY_BYTES = 14
/**
 * Threshold that is never reached: LMDB's thread would only wait for the rest of a batch that starts before it is
 * complete.
 */
const NEVER_EARLY = 1e9
/** Delay in milliseconds; not 0, which lmdb-js takes for 5: see above. */
const START_AT_ONCE = 0.5
/** Flag of `transactionSync` with which lmdb-js opens a table itself: the commit is done when the call returns. */
const SYNC_COMMIT = 2
const PROGRESS_MS = 100

export interface Key {
  a: number
  b: number
  c: number
}

export interface Snapshot {
  readonly transaction: { done(): void }
}

/** Table of LMDB. The types of lmdb-js know neither these keys nor `lastSize`. */
export interface Rows {
  /** Size in bytes of the value that was read last. */
  readonly lastSize: number
  getBinaryFast(key: Key, snapshot?: Snapshot): (Uint8Array & { isGlobal?: boolean }) | undefined
  getRange(range: Partial<Snapshot> & { start: Key }): Iterable<{ key: Key; value: Uint8Array }>
  getKeys(range: Partial<Snapshot> & { start: Key }): Iterable<Key>
  put(key: Key, value: Uint8Array): Promise<boolean>
  putSync(key: Key, value: Uint8Array): void
  remove(key: Key): Promise<boolean>
}

interface Root extends Rows {
  readonly env: { info(): { lastPageNumber: number; numReaders: number }; stat(): { pageSize: number } }
  openDB(options: { name: string; encoding: 'binary'; keyEncoder: unknown }): Rows | undefined
  batch(fill: () => void): Promise<boolean>
  transactionSync(work: () => void, flags: number): void
  useReadTransaction(): { done(): void }
  sync(callback: (error?: Error) => void): void
  backup(path: string, isCompact: boolean): Promise<void>
  close(): Promise<void>
}

export interface EnvironmentOptions {
  readonly dataPath: string
  readonly isReadOnly: boolean
  /** Whether a commit waits until it is on the disk. */
  readonly isSynced: boolean
  readonly mapSizeBytes: number
}

/** Callback that follows a backup. */
export type BackupProgress = (writtenBytes: number, totalBytesAtMost: number) => void

/** Key that no row has: no table can hold it. */
const NO_KEY: Key = { a: 2 ** 48 - 1, b: 2 ** 32 - 1, c: 2 ** 32 - 1 }

export class Environment {
  readonly #root: Root
  /** Tables by number; undefined for one that was opened read-only, and never written. */
  readonly tables: readonly (Rows | undefined)[]
  /**
   * Whether another process, of this or another container, had the file open when we opened it, and had read from it.
   * LMDB numbers the places of readers upwards, and begins anew only for a process that is alone (by a lock that the
   * kernel keeps).
   */
  readonly hasCompany: boolean

  /** Opens the environment. @throws the Error of LMDB, with its number as `code` */
  constructor(options: EnvironmentOptions) {
    this.#root = open({
      path: options.dataPath,
      encoding: 'binary',
      keyEncoder: keyEncoder(),
      readOnly: options.isReadOnly,
      noSync: !options.isSynced,
      overlappingSync: false,
      noMemInit: true,
      mapSize: options.mapSizeBytes,
      maxDbs: TABLES_MAX,
      permissionsMode: 0o600,
      eventTurnBatching: false,
      commitDelay: 0,
      txnStartThreshold: START_AT_ONCE,
      batchStartThreshold: NEVER_EARLY,
    } as Parameters<typeof open>[0]) as unknown as Root
    this.hasCompany = this.#root.env.info().numReaders > 0
    const tables: (Rows | undefined)[] = []
    const openTables = (): void => {
      for (const number of Object.values(Table)) {
        tables[number] = this.#root.openDB({ name: `t${number}`, encoding: 'binary', keyEncoder: keyEncoder() })
      }
    }
    // In one transaction: by itself each table of a new file would be written to the disk, and a first start wait for all.
    if (options.isReadOnly) openTables()
    else this.#root.transactionSync(openTables, SYNC_COMMIT)
    this.tables = tables
  }

  /**
   * Commits the changes that `fill` makes, as one transaction. `onDone` or `onFailed` is called later, exactly once.
   */
  commit(fill: () => void, onDone: () => void, onFailed: (error: Error) => void): void {
    const committed = this.#root.batch(fill)
    const kicked = (this.tables[Table.Meta] ?? this.#root).remove(NO_KEY)
    if (kicked !== committed) kicked.catch(() => undefined) // it fails with the batch, whose error is reported
    committed.then(onDone, (error: Error & { commitError?: Promise<never> }) => {
      if (error.commitError === undefined) onFailed(error)
      else error.commitError.catch((cause: Error) => onFailed(cause))
    })
  }

  /** Returns a view of the committed state, which stays until `transaction.done()`. */
  snapshot(): Snapshot {
    return { transaction: this.#root.useReadTransaction() }
  }

  /** Size in bytes of the file's pages that are in use or free for reuse. */
  get bytes(): number {
    return (this.#root.env.info().lastPageNumber + 1) * this.#root.env.stat().pageSize
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#root.sync((error) => (error ? reject(error) : resolve()))
    })
  }

  /** Writes a copy. @throws MqttError ERR_MQTT_STORE_BACKUP when the file exists, or cannot be written */
  async backup(path: string, onProgress?: BackupProgress): Promise<void> {
    // LMDB makes the copy readable for all users, so it is made in a folder that only we can read.
    const folder = `${path}.part`
    const part = join(folder, basename(path))
    const total = this.bytes
    const timer =
      onProgress &&
      setInterval(() => onProgress(statSync(part, { throwIfNoEntry: false })?.size ?? 0, total), PROGRESS_MS)
    try {
      if (statSync(path, { throwIfNoEntry: false }) !== undefined) throw new Error('a file of this name exists already')
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(folder, { mode: 0o700 })
      await this.#root.backup(part, true)
      chmodSync(part, 0o600)
      syncFile(part)
      renameSync(part, path)
      syncFile(dirname(path))
    } catch (cause) {
      throw new MqttError('ERR_MQTT_STORE_BACKUP', `cannot write ${path}: ${(cause as Error).message}`, { cause })
    } finally {
      clearInterval(timer)
      if (statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory())
        rmSync(folder, { recursive: true, force: true })
    }
    onProgress?.(statSync(path).size, total)
  }

  close(): Promise<void> {
    return this.#root.close()
  }
}

function syncFile(path: string): void {
  if (process.platform === 'win32') return
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Each table decodes into a key of its own, so that one table can be scanned while another one is. */
function keyEncoder(): {
  writeKey(key: Key, target: Uint8Array, at: number): number
  readKey(source: Uint8Array, start: number): Key
} {
  const last: Key = { a: 0, b: 0, c: 0 }
  return {
    writeKey(key, target, at) {
      const { a, b, c } = key
      const high = Math.floor(a / 4_294_967_296)
      target[at] = high >>> 8
      target[at + 1] = high
      writeU32(target, at + 2, a)
      writeU32(target, at + 6, b)
      writeU32(target, at + 10, c)
      return at + KEY_BYTES
    },
    readKey(source, start) {
      last.a = (((source[start] ?? 0) << 8) | (source[start + 1] ?? 0)) * 4_294_967_296 + readU32(source, start + 2)
      last.b = readU32(source, start + 6)
      last.c = readU32(source, start + 10)
      return last
    },
  }
}

function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

function readU32(source: Uint8Array, at: number): number {
  return (
    (((source[at] ?? 0) << 24) |
      ((source[at + 1] ?? 0) << 16) |
      ((source[at + 2] ?? 0) << 8) |
      (source[at + 3] ?? 0)) >>>
    0
  )
}
