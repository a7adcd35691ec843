/**
 * The store on disk: one LMDB file, in it a table for each table of `ports.ts`, a transaction for each batch.
 *
 * Keys are 14 bytes, big endian (`a` 6, `b` 4, `c` 4), so that LMDB's order is the numbers' order and messages, whose
 * positions only grow, always go to the right edge of their tree. LMDB commits on a thread of its own: it writes new
 * pages, syncs them, then writes and syncs the meta page that makes them the contents; so the file is whole at every
 * instant and needs no recovery.
 *
 * Invariants: a batch is applied as a whole or not at all, also when `fill` throws. `get` and the scans see exactly the
 * batches that are done: during a write they read the snapshot from before it. After a failed write LMDB is opened anew
 * (`lmdb-environment.ts` explains why); until that succeeds every write fails and nothing can be read.
 *
 * `durability: 'fsync'` uses LMDB's own order of syncs, not lmdb-js's overlapping ones, which show a batch before it is
 * safe. `'os'` never waits for the disk: it survives kill -9; after a power cut the file may be damaged and is then set
 * aside.
 */
import { renameSync, rmSync, statfsSync, statSync } from 'node:fs'
import { MqttError } from '@recado/protocol'
import { type Store, Table } from '../ports.ts'
import { type BackupProgress, Environment, type Key, type Snapshot } from './lmdb-environment.ts'
import { checkDataFile } from './lmdb-file.ts'
import { DataFolder, dataPathOf, folderError } from './lmdb-folder.ts'
import { BatchSize, DiskRoom } from './lmdb-room.ts'

/** Version of the rows' meaning. Increment it with a change that an older broker would misread. */
export const SCHEMA_VERSION = 1
/**
 * Reserved address space in bytes, not disk space: the file grows as needed, and LMDB enlarges the map when even this
 * is not enough. More than 16 GiB cannot be mapped under qemu-user, in which packages for other machines are tried.
 */
const MAP_BYTES = 16 * 2 ** 30
/** Under durability `os`: greatest age in milliseconds of changes that are not on the disk. */
const OS_SYNC_MS = 1_000
/** Free space in bytes below which a disk counts as full. */
const FULL_BYTES = 256 * 1024
const FIRST_KEY: Key = { a: 0, b: 0, c: 0 }
/** `code` of LMDB's errors: errno, or its own negative numbers. */
const ENOSPC = 28
const EDQUOT = 122
/** Names that Node gives to the same errors. */
const FULL_NAMES: readonly unknown[] = ['ENOSPC', 'EDQUOT']
const EIO = 5
const EACCES = 13
const EROFS = 30

/** Options of `lmdb`. */
export interface LmdbOptions {
  /** Data folder; made with mode 0700 when it is missing. */
  path: string
  /** Event that a finished batch survives. `fsync` (default): a power cut. `os`: only the end of the process. */
  durability?: 'fsync' | 'os'
  /** Address space in bytes that is reserved for the file. Default 16 GiB. It does not limit the file's size. */
  mapSizeBytes?: number
  /**
   * Called when the data file was damaged: it is now at `path`, and the store starts empty. Default: a line on stderr.
   */
  onQuarantine?: (event: { path: string; reason: string }) => void
}

export type { BackupProgress }

export interface StoredKey {
  readonly a: number
  readonly b: number
  readonly c: number
}

export interface StoredRow extends StoredKey {
  /** Value, valid until the next row is read. */
  readonly value: Uint8Array
}

/** Data folder as other processes than its broker see it; safe to use while the broker runs. */
export interface StoreReader extends Pick<Store, 'get' | 'scan' | 'scanKeys' | 'close'> {
  /** Iterates like `scan` at the caller's own pace. One iteration of a table at a time. */
  rows(table: number): Iterable<StoredRow>
  /** Iterates like `scanKeys` at the caller's own pace. One iteration of a table at a time. */
  keys(table: number): Iterable<StoredKey>
  /** Writes a compact copy of everything to the new file `path`, which can serve as a `recado.mdb`. */
  backup(path: string, onProgress?: BackupProgress): Promise<void>
}

class LmdbReader implements StoreReader {
  protected environment: Environment
  /** Snapshot that reads see; null when they see the state committed at their beginning. */
  protected snapshot: Snapshot | null = null
  readonly #key: Key = { a: 0, b: 0, c: 0 }

  constructor(environment: Environment) {
    this.environment = environment
  }

  get(table: number, a: number, b: number, c: number): Uint8Array | undefined {
    const rows = this.environment.tables[table]
    if (rows === undefined) return undefined
    this.#key.a = a
    this.#key.b = b
    this.#key.c = c
    const bytes = this.snapshot === null ? rows.getBinaryFast(this.#key) : rows.getBinaryFast(this.#key, this.snapshot)
    if (bytes === undefined) return undefined
    // lmdb-js reads into a buffer with a made-up `length`, which most methods ignore. A value outside of that buffer
    // (16 MiB and more) is the mapped file itself, gone with the transaction.
    return bytes.isGlobal ? new Uint8Array(bytes.buffer, bytes.byteOffset, rows.lastSize) : new Uint8Array(bytes)
  }

  scan(table: number, visit: (a: number, b: number, c: number, value: Uint8Array) => void): void {
    const rows = this.environment.tables[table]
    if (rows === undefined) return
    for (const { key, value } of rows.getRange({ start: FIRST_KEY, ...this.snapshot }))
      visit(key.a, key.b, key.c, value)
  }

  scanKeys(table: number, visit: (a: number, b: number, c: number) => void): void {
    const rows = this.environment.tables[table]
    if (rows === undefined) return
    for (const key of rows.getKeys({ start: FIRST_KEY, ...this.snapshot })) visit(key.a, key.b, key.c)
  }

  *rows(table: number): Iterable<StoredRow> {
    const rows = this.environment.tables[table]
    if (rows === undefined) return
    for (const { key, value } of rows.getRange({ start: FIRST_KEY, ...this.snapshot })) {
      yield { a: key.a, b: key.b, c: key.c, value }
    }
  }

  *keys(table: number): Iterable<StoredKey> {
    const rows = this.environment.tables[table]
    if (rows === undefined) return
    for (const { a, b, c } of rows.getKeys({ start: FIRST_KEY, ...this.snapshot })) yield { a, b, c }
  }

  /** Fixes the moment that all later reads see. */
  hold(): this {
    this.snapshot ??= this.environment.snapshot()
    return this
  }

  backup(path: string, onProgress?: BackupProgress): Promise<void> {
    return this.environment.backup(path, onProgress)
  }

  close(): Promise<void> {
    this.snapshot?.transaction.done()
    this.snapshot = null
    return this.environment.close()
  }
}

export class LmdbStore extends LmdbReader implements Store {
  readonly isPersistent = true
  readonly #folder: DataFolder
  readonly #open: (isReadOnly: boolean) => Environment
  readonly #isSynced: boolean
  readonly #room: DiskRoom
  readonly #size: BatchSize = new BatchSize()
  #syncTimer: NodeJS.Timeout | undefined
  #isUsable = true

  // The batch: rows to put and keys to remove, in order, as columns that are reused. LMDB gets it only when `fill` has
  // returned, because LMDB commits whatever it was given, even when `fill` throws in the middle.
  #count = 0
  #isFilling = false
  #done: ((error: Error | null) => void) | null = null
  readonly #opTables: number[] = []
  readonly #opA: number[] = []
  readonly #opB: number[] = []
  readonly #opC: number[] = []
  readonly #opValues: (Uint8Array | null)[] = []
  readonly #opKey: Key = { a: 0, b: 0, c: 0 }
  readonly #apply: () => void
  readonly #onCommitted: () => void
  readonly #onFailed: (error: Error) => void

  constructor(
    folder: DataFolder,
    open: (isReadOnly: boolean) => Environment,
    isSynced: boolean,
    environment: Environment,
  ) {
    super(environment)
    this.#folder = folder
    this.#open = open
    this.#isSynced = isSynced
    this.#room = new DiskRoom(folder.dataPath)
    this.#apply = () => this.#applyBatch()
    this.#onCommitted = () => this.#finish(null)
    this.#onFailed = (error) => void this.#recover(error)
  }

  write(fill: () => void, done: (error: Error | null) => void): void {
    if (this.#done !== null || this.#isFilling) throw new Error('assertion: the store has a batch already')
    this.#isFilling = true
    this.#count = 0
    this.#size.clear()
    try {
      fill()
    } finally {
      this.#isFilling = false
    }
    this.#done = done
    // The core has read what it needs: a crash from here on is not the file's fault.
    this.#folder.markOpen()
    if (this.#count === 0) setImmediate(this.#onCommitted)
    else if (!this.#isUsable) setImmediate(() => void this.#retry())
    else this.#commit()
  }

  put(table: number, a: number, b: number, c: number, value: Uint8Array): void {
    this.#change(table, a, b, c, value)
  }

  remove(table: number, a: number, b: number, c: number): void {
    this.#change(table, a, b, c, null)
  }

  #change(table: number, a: number, b: number, c: number, value: Uint8Array | null): void {
    if (!this.#isFilling) throw new Error('assertion: a store is changed only within fill')
    const i = this.#count++
    this.#opTables[i] = table
    this.#opA[i] = a
    this.#opB[i] = b
    this.#opC[i] = c
    this.#opValues[i] = value
    if (value === null) this.#size.remove()
    else this.#size.put(value.length)
  }

  #commit(): void {
    try {
      const { bytes } = this.environment
      this.#room.ensure(bytes, this.#size.bytesNeeded(bytes), this.#size.onlyRemoves)
    } catch (error) {
      // LMDB has not been called: it is as usable as before.
      setImmediate(() => this.#finish(writeError(this.#folder.path, error as Error)))
      return
    }
    try {
      this.snapshot = this.environment.snapshot()
      this.environment.commit(this.#apply, this.#onCommitted, this.#onFailed)
    } catch (error) {
      setImmediate(this.#onFailed, error as Error)
    }
  }

  #applyBatch(): void {
    const { tables } = this.environment
    const key = this.#opKey
    for (let i = 0; i < this.#count; i++) {
      key.a = this.#opA[i] as number
      key.b = this.#opB[i] as number
      key.c = this.#opC[i] as number
      const value = this.#opValues[i] as Uint8Array | null
      const rows = tables[this.#opTables[i] as number]
      if (value === null) rows?.remove(key)
      else rows?.put(key, value)
    }
  }

  #finish(error: Error | null): void {
    this.snapshot?.transaction.done()
    this.snapshot = null
    // The values belong to the caller again, and may be collected.
    this.#opValues.fill(null, 0, this.#count)
    const done = this.#done as (error: Error | null) => void
    this.#done = null
    if (error === null && !this.#isSynced && this.#count > 0) this.#syncSoon()
    done(error)
  }

  async #recover(cause: Error): Promise<void> {
    await this.#openAnew()
    this.#finish(writeError(this.#folder.path, cause))
  }

  async #retry(): Promise<void> {
    const error = await this.#openAnew()
    if (error === null) this.#commit()
    else this.#finish(writeError(this.#folder.path, error))
  }

  /**
   * Opens LMDB anew for writing, else for reading only: a file system that was remounted read-only still has the
   * messages.
   */
  async #openAnew(): Promise<Error | null> {
    this.snapshot?.transaction.done()
    this.snapshot = null
    this.#isUsable = false
    await this.environment.close()
    try {
      this.environment = this.#open(false)
      this.#isUsable = true
      return null
    } catch (error) {
      try {
        this.environment = this.#open(true)
      } catch {
        // Then nothing can be read either, and every read throws; `error` says more than this one would.
      }
      return error as Error
    }
  }

  #syncSoon(): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined
      // An error in the background is met by the next commit, or the next start: nothing was promised.
      if (this.#isUsable) this.environment.sync().catch(() => undefined)
    }, OS_SYNC_MS).unref()
  }

  override close(): Promise<void> {
    return this.closeThen(() => undefined)
  }

  /** Closes, then calls `swap` while the folder is still locked. */
  async closeThen(swap: () => void): Promise<void> {
    clearTimeout(this.#syncTimer)
    try {
      if (!this.#isSynced && this.#isUsable) await this.environment.sync()
    } finally {
      await this.environment.close()
      this.#isUsable = false
    }
    swap()
    this.#folder.release()
  }
}

/**
 * Opens the store in the folder `options.path` and takes the folder's lock. A damaged data file is set aside. @throws
 * MqttError ERR_MQTT_STORE_FOLDER (it cannot be written: the message says what to do), ERR_MQTT_STORE_LOCKED (names the
 * process that uses it), ERR_MQTT_STORE_VERSION (a newer broker wrote it), ERR_MQTT_STORE_OPEN.
 */
export async function openLmdbStore(options: LmdbOptions): Promise<LmdbStore> {
  const { durability = 'fsync', mapSizeBytes = MAP_BYTES, onQuarantine = reportQuarantine } = options
  const isSynced = durability === 'fsync'
  const folder = DataFolder.acquire(options.path)
  const open = (isReadOnly: boolean): Environment =>
    new Environment({ dataPath: folder.dataPath, isReadOnly, isSynced, mapSizeBytes })
  const setAside = (reason: string): void => onQuarantine({ path: folder.quarantine(Date.now()), reason })
  try {
    for (const part of ['', '.part']) rmSync(`${compactPath(folder.dataPath)}${part}`, { recursive: true, force: true })
    const size = statSync(folder.dataPath, { throwIfNoEntry: false })?.size
    if (size !== undefined) {
      const damage = inspect(folder.dataPath, folder.predecessor.isSuspect)
      if (damage !== null) setAside(damage)
    }
    let environment: Environment
    try {
      environment = open(false)
    } catch (error) {
      // Where no file was, LMDB leaves an unfinished one behind, for instance when the disk is full.
      if (size === undefined) rmSync(folder.dataPath, { force: true })
      if (!isDamage(error)) throw error
      setAside((error as Error).message)
      environment = open(false)
    }
    try {
      refuseCompany(folder, environment)
      agreeOnVersion(folder, environment)
      folder.confirm()
      if (size === undefined) folder.sync()
    } catch (error) {
      await environment.close()
      throw error
    }
    return new LmdbStore(folder, open, isSynced, environment)
  } catch (error) {
    folder.giveBack()
    throw error instanceof MqttError ? error : openError(options.path, error)
  }
}

/**
 * Opens the store in the folder `path` for reading only, also while a broker uses it. The reader sees the moment when
 * it was opened; until it is closed the file keeps what the broker removes meanwhile, and grows. @throws MqttError
 * ERR_MQTT_STORE_OPEN, ERR_MQTT_STORE_VERSION.
 */
export async function openLmdbStoreReader(path: string): Promise<StoreReader> {
  const dataPath = dataPathOf(path)
  let environment: Environment | undefined
  try {
    const { damage } = checkDataFile(dataPath, false)
    if (damage !== null) throw new Error(`it is damaged: ${damage}`)
    environment = new Environment({ dataPath, isReadOnly: true, isSynced: true, mapSizeBytes: MAP_BYTES })
    refuseNewer(path, versionOf(environment))
    return new LmdbReader(environment).hold()
  } catch (cause) {
    await environment?.close()
    if (cause instanceof MqttError) throw cause
    throw new MqttError('ERR_MQTT_STORE_OPEN', `cannot read ${dataPath}: ${(cause as Error).message}`, { cause })
  }
}

/**
 * Rewrites the data file of a folder that no broker uses, so that unused space is returned to the disk. A sudden end at
 * any point leaves the old file or the new one. @throws the errors of `openLmdbStore`, and MqttError
 * ERR_MQTT_STORE_BACKUP.
 */
export async function compactLmdbStore(
  options: LmdbOptions,
  onProgress?: BackupProgress,
): Promise<{ bytesBefore: number; bytesAfter: number }> {
  const store = await openLmdbStore(options)
  const dataPath = dataPathOf(options.path)
  const compact = compactPath(dataPath)
  try {
    const bytesBefore = statSync(dataPath).size
    await store.backup(compact, onProgress)
    await store.closeThen(() => {
      renameSync(compact, dataPath)
      rmSync(`${dataPath}-lock`, { force: true })
    })
    return { bytesBefore, bytesAfter: statSync(dataPath).size }
  } catch (error) {
    await store.close()
    throw error
  }
}

function compactPath(dataPath: string): string {
  return `${dataPath}.compact`
}

/** Describes the damage of the file; null when it is fine. */
function inspect(dataPath: string, isSuspect: boolean): string | null {
  const { damage, isDoubtful } = checkDataFile(dataPath, isSuspect)
  return damage ?? (isDoubtful && !isSuspect ? checkDataFile(dataPath, true).damage : null)
}

/**
 * Refuses a folder that a process of another container still uses. Its end cannot be seen from here, but LMDB knows
 * whether it lives. When two take over from each other at once, the later one finds the file open, or the earlier one
 * its lock gone: that is why one check comes before the first read, and the other (`folder.confirm`) after it.
 */
function refuseCompany(folder: DataFolder, environment: Environment): void {
  if (!folder.predecessor.isForeign || !environment.hasCompany) return
  throw new MqttError(
    'ERR_MQTT_STORE_LOCKED',
    `${folder.path} is in use by process ${folder.predecessor.pid} of another container: stop it first, or give this broker another folder`,
  )
}

function versionOf(environment: Environment): number | undefined {
  const rows = environment.tables[Table.Meta]
  const bytes = rows?.getBinaryFast(FIRST_KEY)
  if (rows === undefined || bytes === undefined) return undefined
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
}

function refuseNewer(path: string, version: number | undefined): void {
  if (version === undefined || version <= SCHEMA_VERSION) return
  throw new MqttError(
    'ERR_MQTT_STORE_VERSION',
    `${path} was written by a newer broker (schema ${version}, this one knows ${SCHEMA_VERSION}): use that version again, or another folder`,
  )
}

function agreeOnVersion(folder: DataFolder, environment: Environment): void {
  const version = versionOf(environment)
  refuseNewer(folder.path, version)
  if (version !== undefined) return
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, SCHEMA_VERSION)
  environment.tables[Table.Meta]?.putSync(FIRST_KEY, bytes)
}

/**
 * Returns true for errors with which LMDB reports an inconsistent file: MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_INVALID.
 */
function isDamage(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return code === -30_797 || code === -30_796 || code === -30_793
}

function openError(path: string, cause: unknown): MqttError {
  const code = (cause as { code?: unknown }).code
  const name =
    code === EACCES ? 'EACCES' : code === EROFS ? 'EROFS' : code === ENOSPC || code === EDQUOT ? 'ENOSPC' : code
  if (typeof name === 'string')
    return folderError(path, Object.assign(new Error((cause as Error).message, { cause }), { code: name }))
  return new MqttError('ERR_MQTT_STORE_OPEN', `cannot open the store in ${path}: ${(cause as Error).message}`, {
    cause,
  })
}

function writeError(path: string, cause: Error): MqttError {
  const code = (cause as { code?: unknown }).code
  const isFull = code === ENOSPC || code === EDQUOT || FULL_NAMES.includes(code) || (code === EIO && hasNoSpace(path))
  return new MqttError(
    isFull ? 'ERR_MQTT_STORE_FULL' : 'ERR_MQTT_STORE_WRITE',
    `cannot write in ${path}: ${isFull ? 'the disk is full' : cause.message}`,
    { cause },
  )
}

/** Returns true when the disk is full. LMDB calls it an I/O error when the last page before that is written in part. */
function hasNoSpace(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize < FULL_BYTES
  } catch {
    return false // the folder itself cannot be read: that is an I/O error indeed
  }
}

function reportQuarantine({ path, reason }: { path: string; reason: string }): void {
  console.error(`The data file was damaged (${reason}). It is now ${path}, and the broker starts without its contents.`)
}
