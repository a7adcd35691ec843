/**
 * Room on the disk for the next write of LMDB.
 *
 * `lmdb-store.ts` asks before each batch. LMDB must not meet a full disk: lmdb-js 3.5.6 writes the description of a
 * failed write, which is longer, into a buffer of 100 bytes (`last_error` in its mdb.c), so that the heap is damaged
 * and the process aborts, now or later. Invariant: a batch that the disk might not take is refused here, with the
 * system's error, and LMDB and its file are as they were.
 *
 * It also detects that the file is no longer the one that LMDB has open: it was removed or replaced, and rows written
 * to it would be lost.
 *
 * While there is plenty of free space, it only looks. When space becomes short, it makes the file longer beforehand,
 * with zeros that LMDB overwrites later.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, statfsSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Free space in bytes, beyond the need of a batch, above which the file is not made longer. */
const PLENTY_BYTES = 64 * 1024 * 1024
/** Space in bytes kept for batches that only remove: they make room on a full disk. */
const RESERVE_BYTES = 512 * 1024
const PAGE_BYTES = 4096
/** Bytes that every commit writes: the paths to the changes in each table, and LMDB's list of free pages. */
const COMMIT_BYTES = 64 * PAGE_BYTES
const CHUNK_BYTES = 1024 * 1024

/** Upper estimate of the new pages that the rows of a batch take. */
export class BatchSize {
  #bytes = 0
  #puts = 0
  #removals = 0

  put(valueBytes: number): void {
    this.#puts++
    // A large value has pages of its own; a small one shares a page, which is at least two thirds full.
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

  /**
   * Returns the number of bytes that the batch needs. `usedBytes` is the size of the file's used pages, of which no
   * more can be rewritten than exist.
   */
  bytesNeeded(usedBytes: number): number {
    const rewritten = Math.min(this.#removals * PAGE_BYTES, usedBytes)
    return this.#bytes + rewritten + COMMIT_BYTES
  }
}

export class DiskRoom {
  readonly #dataPath: string
  readonly #fileId: string

  /** @param dataPath the data file, which exists */
  constructor(dataPath: string) {
    this.#dataPath = dataPath
    this.#fileId = idOf(dataPath) ?? ''
  }

  /**
   * Makes sure that the file can grow from `usedBytes` by `neededBytes`. @throws Error of the system (ENOSPC, EDQUOT,
   * EFBIG, …) when it cannot; the file then keeps its length. Error when the file is another one
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

/** Returns the identity of the file at the path; null when there is none. */
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
    // Return the space that was taken in vain.
    ftruncateSync(fd, from)
    throw error
  }
}
