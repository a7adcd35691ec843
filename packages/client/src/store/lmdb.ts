/**
 * `lmdb({ path })`: the session store of Node, `@recado/client/lmdb`. `RowStore` over one LMDB file in a folder of its
 * own, with the package `lmdb`, which the application installs (an optional peer dependency, loaded when the store is
 * opened).
 *
 * A commit is synced to the disk (lmdb-js: `overlappingSync: false`). After a failed commit lmdb-js is never written to
 * again; the file is closed, and the next attempt opens it anew.
 *
 * The lock is the kernel's, which LMDB holds on its lock file: a killed process leaves nothing behind. LMDB's count of
 * readers tells whether another process has the file open: it begins at 0 only for the first one. So it is read before
 * our first read transaction, and once more after it, as two processes may open at once. It works between containers,
 * but not over network file systems.
 *
 * LMDB trusts its file, so its first pages are checked before it is opened (`damageOf`), and a damaged file is renamed.
 */

import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { endianness } from 'node:os'
import { join, resolve } from 'node:path'
import { check, checkOptions, OptionError, type Rules, text } from '@recado/protocol'
import { NotSupportedError } from '../errors.ts'
import type { OpenedRows, RowChanges, RowStore } from './rows.ts'
import type { SessionStore } from './session-store.ts'
import { lockedError, StoredSession } from './stored-session.ts'

const FILE = 'session.mdb'
/** Size that is never reached, as lmdb-js would begin to commit before a batch is complete. */
const NEVER_EARLY = 1e9
/** Delay in milliseconds; not 0, which lmdb-js takes for 5. */
const START_AT_ONCE = 0.5
/** Key that never exists: deleting it starts the commit at once, instead of a turn later. */
const NO_KEY = -1
/**
 * Error codes of LMDB: MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_PANIC, MDB_VERSION_MISMATCH, MDB_INVALID,
 * MDB_INCOMPATIBLE.
 */
const DAMAGE_CODES = new Set([-30796, -30797, -30795, -30794, -30793, -30784])

/** Part of lmdb-js (3.5) that is used here. */
interface Environment {
  readonly env: { info(): { numReaders: number } }
  getRange(options: object): Iterable<{ key: number; value: Uint8Array }>
  batch(fill: () => void): Promise<boolean>
  put(key: number, value: Uint8Array): Promise<boolean>
  remove(key: number): Promise<boolean>
  close(): Promise<void>
}

interface Lmdb {
  open(options: object): Environment
}

/** Options of `lmdb`. */
export interface LmdbOptions {
  /**
   * Folder for this session alone, made when it is missing (mode 0700). The client's `queue` options limit its size.
   */
  path: string
}

const lmdbRules: Rules<LmdbOptions> = { path: text }

/** Folders that are open in this process: LMDB would open them a second time. */
const openFolders = new Set<string>()

/** The rows that a session store keeps, in LMDB. */
export class LmdbRows implements RowStore {
  readonly name: string
  readonly #folder: string
  #lmdb: Lmdb | null = null
  #environment: Environment | null = null
  #key = ''

  constructor(options: LmdbOptions) {
    checkOptions(options, lmdbRules)
    const { path } = options
    check('path', path, text)
    if (path === '') throw new OptionError('lmdb() needs the path of a folder')
    this.#folder = resolve(path)
    this.name = path
  }

  async open(): Promise<OpenedRows> {
    this.#lmdb ??= await loadLmdb()
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    const key = realpathSync(this.#folder)
    if (openFolders.has(key)) throw lockedError(this.name, 'another client of this process')
    openFolders.add(key)
    this.#key = key
    try {
      return await this.#openOrQuarantine(this.#lmdb)
    } catch (error) {
      openFolders.delete(key)
      throw error
    }
  }

  async #openOrQuarantine(lmdb: Lmdb): Promise<OpenedRows> {
    const path = join(this.#folder, FILE)
    let damage = damageOf(path)
    if (damage === null) {
      try {
        return { rows: await this.#openAndRead(lmdb), quarantined: null }
      } catch (error) {
        await this.#environment?.close()
        this.#environment = null
        if (!DAMAGE_CODES.has((error as { code?: number }).code ?? 0)) throw error
        damage = (error as Error).message
      }
    }
    const stamp = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
    let aside = `${path}.corrupt-${stamp}`
    for (let i = 2; existsSync(aside); i++) aside = `${path}.corrupt-${stamp}-${i}`
    renameSync(path, aside)
    rmSync(`${path}-lock`, { force: true })
    return { rows: await this.#openAndRead(lmdb), quarantined: `${aside} (${damage})` }
  }

  async #openAndRead(lmdb: Lmdb): Promise<[number, Uint8Array][]> {
    const environment = this.#openEnvironment(lmdb)
    if (environment.env.info().numReaders > 0) await this.#refuse(environment)
    const rows: [number, Uint8Array][] = []
    for (const { key, value } of environment.getRange({})) {
      // LMDB reuses the memory of a value, so copy it.
      if (typeof key === 'number') rows.push([key, new Uint8Array(value)])
    }
    if (environment.env.info().numReaders > 1) await this.#refuse(environment)
    return rows
  }

  #openEnvironment(lmdb: Lmdb): Environment {
    const environment = lmdb.open({
      path: join(this.#folder, FILE),
      encoding: 'binary',
      overlappingSync: false,
      permissionsMode: 0o600,
      eventTurnBatching: false,
      commitDelay: 0,
      txnStartThreshold: START_AT_ONCE,
      batchStartThreshold: NEVER_EARLY,
    })
    this.#environment = environment
    return environment
  }

  async #refuse(environment: Environment): Promise<never> {
    this.#environment = null
    await environment.close()
    throw lockedError(this.name, 'another process')
  }

  async write(changes: RowChanges): Promise<void> {
    const lmdb = this.#lmdb
    if (lmdb === null || !openFolders.has(this.#key)) throw new Error('it is not open')
    const environment = this.#environment ?? this.#openEnvironment(lmdb)
    const committed = environment.batch(() => {
      for (const [key, row] of changes) {
        if (row === null) environment.remove(key)
        else environment.put(key, row)
      }
    })
    const kicked = environment.remove(NO_KEY)
    if (kicked !== committed) kicked.catch(() => undefined) // it fails with the batch, whose error is reported
    try {
      await committed
    } catch (error) {
      const cause = await (error as { commitError?: Promise<never> }).commitError?.catch((real: unknown) => real)
      this.#environment = null
      await environment.close()
      throw cause ?? error
    }
  }

  async close(): Promise<void> {
    const environment = this.#environment
    this.#environment = null
    try {
      await environment?.close()
    } finally {
      openFolders.delete(this.#key)
      this.#key = ''
    }
  }
}

async function loadLmdb(): Promise<Lmdb> {
  try {
    return (await import('lmdb')) as unknown as Lmdb
  } catch (error) {
    throw new NotSupportedError(
      `the session store lmdb() needs the package lmdb: npm install lmdb (${(error as Error).message})`,
      { cause: error },
    )
  }
}

const PAGE_HEADER = 24
const META_BYTES = 144
const MAGIC = 0xbeefc0de
const DATA_VERSION = 2
const META_FLAG = 0x08
const NO_PAGE = 0xffff_ffff_ffff_ffffn

/**
 * Describes damage in the two meta pages of an LMDB file (`MDB_meta` in mdb.c, little endian), or returns `null`. LMDB
 * would believe a scrambled page size or a root behind the end of the file, and kill the process with SIGBUS.
 */
function damageOf(path: string): string | null {
  if (endianness() !== 'LE' || !existsSync(path)) return null
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    if (size === 0) return null
    let pageSize = 0
    for (let page = 0; page < 2; page++) {
      const view = new DataView(new ArrayBuffer(PAGE_HEADER + META_BYTES))
      if (readSync(fd, view, 0, view.byteLength, page * pageSize) < view.byteLength)
        return 'it ends within its first pages'
      if ((view.getUint16(18, true) & META_FLAG) === 0 || view.getUint32(PAGE_HEADER, true) !== MAGIC) {
        return 'it is not a file of LMDB, or its beginning is overwritten'
      }
      if ((view.getUint32(PAGE_HEADER + 4, true) & 0xffff) !== DATA_VERSION) return 'it has another version of LMDB'
      pageSize = view.getUint32(PAGE_HEADER + 24, true)
      if (pageSize < 256 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0)
        return `no page has ${pageSize} bytes`
      // Roots of the list of free pages and of the table.
      for (const at of [PAGE_HEADER + 64, PAGE_HEADER + 112]) {
        const root = view.getBigUint64(at, true)
        if (root !== NO_PAGE && (root + 1n) * BigInt(pageSize) > BigInt(size))
          return `it ends before page ${root}, a root`
      }
    }
    return null
  } finally {
    closeSync(fd)
  }
}

/**
 * Makes a session store in LMDB. Throws `OptionError`. When the file cannot be opened, `connect` rejects with
 * `SessionStoreError` or `NotSupportedError`.
 */
export function lmdb(options: LmdbOptions): SessionStore {
  return new StoredSession(new LmdbRows(options))
}
