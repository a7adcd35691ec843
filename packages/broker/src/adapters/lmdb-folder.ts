/**
 * The data folder of a broker: its lock, and the place for a damaged data file.
 *
 * `recado.mdb` holds the data, `recado.mdb-lock` is LMDB's own, `recado.lock` names the process that uses the folder
 * and its phase. A lock left by a killed process is taken over. It also tells whether the data file needs a deep check
 * (`lmdb-file.ts`): after a power cut, and when the last start died before its end. A kill -9 alone harms nothing.
 *
 * Invariant: at most one process writes in a folder. Within one PID namespace `recado.lock` decides; for a folder
 * shared between containers, whose process ids mean nothing to each other, the kernel's lock on LMDB's file does
 * (`lmdb-store.ts`).
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { MqttError } from '@recado/protocol'

const DATA_FILE = 'recado.mdb'
const LOCK_FILE = 'recado.lock'
/** Time in milliseconds for which an empty lock file may be one that its owner is about to write. */
const EMPTY_LOCK_MS = 1_000
const WAIT_MS = 50
const ATTEMPTS_MAX = 100
const LOCK_BYTES = 256

/** Contents of `recado.lock`. Numbers that this system does not have are ''. */
interface Owner {
  pid: number
  /** Start of the process in the kernel's ticks: another process with the same pid has another one. */
  startedAt: string
  bootId: string
  pidNamespace: string
  /** Phase of the owner: `opening` until the broker has read what it needs and writes for the first time. */
  phase: 'opening' | 'open'
}

/** End of the previous user of the folder. */
export interface Predecessor {
  /** Whether it ended in order, or there was none. */
  readonly isClean: boolean
  /** Whether the machine went down under it, or it died while opening: the file may be damaged. */
  readonly isSuspect: boolean
  /** Whether it may be alive in another container: its process id means nothing here. */
  readonly isForeign: boolean
  readonly pid: number
}

/**
 * Makes a folder (0700) and its parents, one by one: with `recursive` Node loops for ever on a file system that accepts
 * no folders and answers ENOENT, as /proc does.
 */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  const parent = dirname(path)
  if (parent !== path) makeFolder(parent)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

export class DataFolder {
  readonly path: string
  readonly dataPath: string
  readonly predecessor: Predecessor
  readonly #lockPath: string
  /** Earlier contents of the lock file; null when there was none. */
  readonly #replaced: string | null
  readonly #self: Owner
  #isLost = false

  private constructor(path: string, lockPath: string, self: Owner, predecessor: Predecessor, replaced: string | null) {
    this.path = path
    this.dataPath = join(path, DATA_FILE)
    this.#lockPath = lockPath
    this.#self = self
    this.predecessor = predecessor
    this.#replaced = replaced
  }

  /**
   * Makes the folder (0700) when it is missing and takes its lock. @throws MqttError ERR_MQTT_STORE_FOLDER,
   * ERR_MQTT_STORE_LOCKED
   */
  static acquire(path: string): DataFolder {
    const lockPath = join(path, LOCK_FILE)
    try {
      makeFolder(resolve(path))
      return DataFolder.#lock(path, lockPath)
    } catch (error) {
      throw error instanceof MqttError ? error : folderError(path, error)
    }
  }

  static #lock(path: string, lockPath: string): DataFolder {
    const self: Owner = { ...identify(process.pid), phase: 'opening' }
    let predecessor: Predecessor = { isClean: true, isSuspect: false, isForeign: false, pid: 0 }
    let replaced: string | null = null
    const patience = new Patience()
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      // Look for it first: on a full disk a draft of a new one cannot be made.
      const text = readIfThere(lockPath)
      if (text === null) {
        if (!createFile(lockPath, textOf(self))) continue
        removeDrafts(path)
        return new DataFolder(path, lockPath, self, predecessor, replaced)
      }
      if (patience.waitsFor(lockPath, text)) continue
      predecessor = judge(text, path, self)
      // Two processes that start at once must not both take over: the one that renames the file owns it, if it still
      // has the judged contents.
      const aside = `${lockPath}.${process.pid}.old`
      try {
        renameSync(lockPath, aside)
      } catch (error) {
        if (codeOf(error) === 'ENOENT') continue
        throw error
      }
      const taken = readIfThere(aside)
      if (taken !== null && taken !== text) {
        createFile(lockPath, taken)
        rmSync(aside, { force: true })
        continue
      }
      replaced = text
      // Reuse the same file with other contents: on a full disk there is no room for a new one.
      overwrite(aside, textOf(self))
      if (!linkFile(aside, lockPath)) continue
      removeDrafts(path)
      return new DataFolder(path, lockPath, self, predecessor, replaced)
    }
    throw new MqttError(
      'ERR_MQTT_STORE_LOCKED',
      `${path} is being opened by another broker that is starting: start this one with another folder, or stop the other`,
    )
  }

  /**
   * Checks that the lock is still ours. @throws MqttError ERR_MQTT_STORE_LOCKED when another process has taken it over
   * meanwhile
   */
  confirm(): void {
    if (this.#isOurs()) return
    this.#isLost = true
    throw new MqttError('ERR_MQTT_STORE_LOCKED', `${this.path} is in use by a broker in another container`)
  }

  #isOurs(): boolean {
    return readIfThere(this.#lockPath) === textOf(this.#self)
  }

  /** Notes that the opening is over: from here on a sudden end needs no deep check. */
  markOpen(): void {
    if (this.#self.phase === 'open') return
    this.#self.phase = 'open'
    try {
      overwrite(this.#lockPath, textOf(this.#self))
    } catch {
      // A disk that refuses even this will fail the batch too; the next start only checks more than it would have to.
    }
  }

  /** Restores the earlier contents of the lock: the folder belongs to another process after all. */
  giveBack(): void {
    if (this.#isLost) return
    if (this.#replaced === null) this.release()
    else overwrite(this.#lockPath, this.#replaced.padStart(LOCK_BYTES))
  }

  release(): void {
    rmSync(this.#lockPath, { force: true })
  }

  /** Renames the data file to `recado.mdb.corrupt-<time>`; returns the new path. */
  quarantine(nowMs: number): string {
    const stamp = new Date(nowMs).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
    let path = `${this.dataPath}.corrupt-${stamp}`
    for (let i = 2; statSync(path, { throwIfNoEntry: false }) !== undefined; i++) {
      path = `${this.dataPath}.corrupt-${stamp}-${i}`
    }
    renameSync(this.dataPath, path)
    rmSync(`${this.dataPath}-lock`, { force: true })
    this.sync()
    return path
  }

  /** Makes creations, renames and removals in the folder survive a power cut. */
  sync(): void {
    if (process.platform === 'win32') return
    const fd = openSync(this.path, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  }

  /** Makes messages readable only for the broker's own user. */
  protect(): void {
    chmodSync(this.dataPath, 0o600)
  }
}

/** Returns the path of the data file in `folder`, for readers that take no lock. */
export function dataPathOf(folder: string): string {
  return join(folder, DATA_FILE)
}

/** Removes drafts beside the lock that killed starts have left. */
function removeDrafts(path: string): void {
  for (const name of readdirSync(path)) if (name.startsWith(`${LOCK_FILE}.`)) rmSync(join(path, name), { force: true })
}

/** Patience with an empty lock, which another process may be about to write. */
class Patience {
  #sinceMs = 0

  /**
   * Waits a moment and returns true while the lock may still be in the making. Measures time that passes in this
   * process: the age of the file means nothing where the clock is behind, as after a power cut on a machine without a
   * battery for it.
   */
  waitsFor(lockPath: string, text: string): boolean {
    const stat = statSync(lockPath, { throwIfNoEntry: false })
    if (text.trim() !== '' || stat === undefined || Date.now() - stat.mtimeMs > EMPTY_LOCK_MS) return false
    const nowMs = performance.now()
    this.#sinceMs ||= nowMs
    if (nowMs - this.#sinceMs > EMPTY_LOCK_MS) return false
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS)
    return true
  }
}

/** Judges the owner that `text` names. @throws MqttError ERR_MQTT_STORE_LOCKED when it is alive */
function judge(text: string, path: string, self: Owner): Predecessor {
  const owner = parseOwner(text)
  // A power cut left it so, or, without hard links, it is being written right now.
  if (owner === null) return { isClean: false, isSuspect: true, isForeign: false, pid: 0 }
  const isSameBoot = owner.bootId === self.bootId
  const isForeign = isSameBoot && owner.pidNamespace !== self.pidNamespace
  if (isSameBoot && !isForeign && isAlive(owner)) {
    const who = owner.pid === process.pid ? 'this process, in another broker' : `process ${owner.pid}`
    throw new MqttError(
      'ERR_MQTT_STORE_LOCKED',
      `${path} is in use by ${who}: stop it first, or give this broker another folder`,
    )
  }
  return { isClean: false, isSuspect: !isSameBoot || owner.phase === 'opening', isForeign, pid: owner.pid }
}

function parseOwner(text: string): Owner | null {
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null
    if (owner === null || typeof owner.pid !== 'number') return null
    const { pid, startedAt = '', bootId = '', pidNamespace = '', phase = 'opening' } = owner
    return { pid, startedAt, bootId, pidNamespace, phase }
  } catch {
    return null // a power cut left other contents, or none: the caller treats it as suspect
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
  }
  const { state, startedAt } = statusOf(owner.pid)
  // Killed, but not yet reaped by its parent, as in a container whose process 1 does not reap: it writes no more.
  if (state === 'Z' || state === 'X') return false
  return startedAt === '' || owner.startedAt === '' || startedAt === owner.startedAt
}

function identify(pid: number): Omit<Owner, 'phase'> {
  return {
    pid,
    startedAt: statusOf(pid).startedAt,
    bootId: (readIfThere('/proc/sys/kernel/random/boot_id') ?? '').trim(),
    pidNamespace: namespaceOf(),
  }
}

function namespaceOf(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return '' // not Linux
  }
}

/** Fields 3 and 22 of /proc/PID/stat; '' where there is no such file. */
function statusOf(pid: number): { state: string; startedAt: string } {
  const stat = readIfThere(`/proc/${pid}/stat`)
  if (stat === null) return { state: '', startedAt: '' }
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', startedAt: fields[19] ?? '' }
}

/**
 * Returns the text of a lock. It always has the same length, so that it can be overwritten on a full disk without being
 * empty for a moment.
 */
function textOf(owner: Owner): string {
  return `${JSON.stringify(owner)}\n`.padStart(LOCK_BYTES)
}

function overwrite(path: string, text: string): void {
  const fd = openSync(path, 'r+')
  try {
    writeSync(fd, text, 0)
    // A power cut may have left more.
    ftruncateSync(fd, Buffer.byteLength(text))
  } finally {
    closeSync(fd)
  }
}

/**
 * Creates a file; returns false when it exists already. The file never exists without its contents: an empty one is the
 * work of a power cut.
 */
function createFile(path: string, text: string): boolean {
  const draft = `${path}.${process.pid}`
  try {
    writeFileSync(draft, text, { mode: 0o600 })
    linkSync(draft, path)
    return true
  } catch (error) {
    const code = codeOf(error)
    // ENOENT: a process that starts at the same time has removed our draft, and will have the lock.
    if (code === 'EEXIST' || code === 'ENOENT') return false
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') return createWithoutLink(path, text)
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/**
 * Renames the file to a name that must not exist. Returns false when it does, or when this file system has no hard
 * links.
 */
function linkFile(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (!['EEXIST', 'ENOENT', 'EPERM', 'ENOTSUP', 'ENOSYS'].includes(codeOf(error))) throw error
    return false
  } finally {
    rmSync(from, { force: true })
  }
}

/** Creates a file on file systems without hard links. */
function createWithoutLink(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (codeOf(error) === 'ENOSPC') rmSync(path, { force: true }) // made, and empty
    throw error
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}

/** Converts an error of the system to one that says what to do. */
export function folderError(path: string, cause: unknown): MqttError {
  const code = codeOf(cause)
  const advice =
    code === 'EROFS'
      ? 'the file system is mounted read-only: mount it for writing, or choose another folder'
      : code === 'EACCES' || code === 'EPERM'
        ? `user ${process.geteuid?.() ?? ''} is not allowed to write to it: change its owner or mode, or choose another folder`
        : code === 'ENOTDIR' || code === 'EEXIST' || code === 'EISDIR'
          ? 'a file is in the place of a folder, or a folder in the place of a file: choose another folder'
          : code === 'ENOSPC' || code === 'EDQUOT'
            ? 'the disk is full: free some space, or choose another folder'
            : (cause as Error).message
  return new MqttError('ERR_MQTT_STORE_FOLDER', `cannot keep data in ${path}: ${advice}`, { cause })
}
