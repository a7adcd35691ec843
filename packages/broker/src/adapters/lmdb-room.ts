/**
 * Room on the disk for what LMDB is about to write.
 *
 * `lmdb-store.ts` asks before each batch. LMDB must not meet a full disk: lmdb-js 3.5.6 describes a failed write in a text of 100 bytes that has
 * more (`last_error` in its mdb.c), so that the heap is damaged and the process aborts, now or later. The invariant: a batch that the disk
 * might not take is refused here, with the system's error, and LMDB and its file are as they were.
 *
 * It also notices that the file is not the one any more that LMDB has open: somebody has removed or replaced it, and what is written would
 * be found by nobody.
 *
 * While there is plenty of free space, to look is all that is done. When it becomes short the file is made longer beforehand, with zeros that
 * LMDB overwrites later.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, statfsSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** With so much more than a batch needs nothing is made longer. */
const PLENTY_BYTES = 64 * 1024 * 1024
/** For batches that only remove: a full disk gets room again by them. */
const RESERVE_BYTES = 512 * 1024
const PAGE_BYTES = 4096
/** Of every commit: the paths to what changes in each table, and LMDB's list of free pages. */
const COMMIT_BYTES = 64 * PAGE_BYTES
const CHUNK_BYTES = 1024 * 1024

/** What the rows of a batch may take in new pages, at most, or nearly so. */
export class BatchSize {
  #bytes = 0
  #puts = 0
  #removals = 0

  put(valueBytes: number): void {
    this.#puts++
    // A large value has pages of its own; a small one shares a page, which is full for two thirds at least.
    const isLarge = valueBytes > PAGE_BYTES / 2 - 64
    this.#bytes += isLarge ? (Math.ceil((valueBytes + 16) / PAGE_BYTES) + 1) * PAGE_BYTES : (valueBytes + 32) * 1.5
  }

  remove(): void {
    this.#removals++
  }

  clear(): void {
    this.#bytes = 0
    this.#puts = 0
    this.#removals = 0
  }

  get onlyRemoves(): boolean {
    return this.#puts === 0
  }

  /** `usedBytes`: of the file. No more of its pages than there are can be written anew. */
  bytesNeeded(usedBytes: number): number {
    const rewritten = Math.min(this.#removals * PAGE_BYTES, usedBytes)
    return this.#bytes + rewritten + COMMIT_BYTES
  }
}

export class DiskRoom {
  readonly #dataPath: string
  readonly #fileId: string

  /** The file is there. */
  constructor(dataPath: string) {
    this.#dataPath = dataPath
    this.#fileId = idOf(dataPath) ?? ''
  }

  /**
   * Makes sure that the file can grow from `usedBytes` by `neededBytes`.
   * @throws Error of the system (ENOSPC, EDQUOT, EFBIG, …) when it cannot; then the file is as long as before. Error when the file is another one
   */
  ensure(usedBytes: number, neededBytes: number, mayUseReserve: boolean): void {
    if (idOf(this.#dataPath) !== this.#fileId) {
      throw new Error(
        `${this.#dataPath} has been removed or replaced while the broker uses it. Put it back, or start the broker again`,
      )
    }
    const { bavail, bsize } = statfsSync(dirname(this.#dataPath))
    if (bavail * bsize > neededBytes + PLENTY_BYTES) return
    const end = usedBytes + neededBytes + (mayUseReserve ? 0 : RESERVE_BYTES)
    const fd = openSync(this.#dataPath, 'r+')
    try {
      const { size } = fstatSync(fd)
      if (size < end) lengthen(fd, size, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES)
    } finally {
      closeSync(fd)
    }
  }
}

/** Which file that is; null: there is none. */
function idOf(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`
}

function lengthen(fd: number, from: number, to: number): void {
  const zeros = new Uint8Array(Math.min(CHUNK_BYTES, to - from))
  try {
    for (let at = from; at < to; ) {
      const written = writeSync(fd, zeros, 0, Math.min(zeros.length, to - at), at)
      at += written
    }
  } catch (error) {
    // What was taken in vain is somebody else's.
    ftruncateSync(fd, from)
    throw error
  }
}
