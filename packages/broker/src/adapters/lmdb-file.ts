/**
 * Checks an LMDB data file without LMDB.
 *
 * LMDB trusts its file: a truncated one kills the process with SIGBUS, a scrambled one with an assertion, and a broker
 * that dies at every start never starts again. So `lmdb-store.ts` checks it first and sets a damaged file aside. The
 * quick check reads the two meta pages and costs nothing; the deep one walks every page in use (about a second for 2 GB
 * in the page cache) and is for a file that a power cut or a crash during the last start may have harmed.
 *
 * Only values that LMDB itself follows are checked: page numbers, sizes, offsets, counts. Format: LMDB data version 2
 * with 64-bit page numbers, little endian (`MDB_page`, `MDB_meta`, `MDB_node`, `MDB_db` in mdb.c). On a big-endian
 * machine nothing is checked.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { endianness } from 'node:os'
import { MqttError } from '@recado/protocol'

const MAGIC = 0xbeefc0de
const DATA_VERSION = 2
/** Largest believable version: a greater number is damage rather than a newer LMDB. */
const VERSION_BELIEVED_MAX = 9
const PAGE_HEADER = 24
const META_BYTES = 144
const DB_BYTES = 48
const NODE_HEADER = 8
const OVERFLOW_BYTES = 24
const PAGE_SIZE_MAX = 65_536

const PageFlag = { Branch: 0x01, Leaf: 0x02, Overflow: 0x04, Meta: 0x08 } as const
const NodeFlag = { BigData: 0x01, SubData: 0x02, DupData: 0x04 } as const
const NO_PAGE = 0xffff_ffff_ffff_ffffn
/** Greatest depth of a tree, given by LMDB's cursor stack. */
const DEPTH_MAX = 32
const CHUNK_BYTES = 1 << 20

/** Error for a file that LMDB could not safely open; `message` is for people. */
class Damage extends Error {}

interface Tree {
  readonly depth: number
  readonly branchPages: number
  readonly leafPages: number
  readonly overflowPages: number
  readonly entries: number
  /** Page number of the root; -1 for an empty tree. */
  readonly root: number
}

interface Meta {
  readonly pageSize: number
  readonly free: Tree
  readonly main: Tree
  readonly lastPage: number
  readonly transaction: number
}

export interface FileVerdict {
  /** Description of the damage, for people; null when nothing was found. */
  readonly damage: string | null
  /**
   * Whether the file is shorter than its last page number requires, which is right only when the missing pages are
   * free: a deep check is needed.
   */
  readonly isDoubtful: boolean
}

const fine: FileVerdict = { damage: null, isDoubtful: false }

/**
 * Checks the data file at `path`. An empty file is fine: LMDB initializes it. @throws the errors of `open` and `read`;
 * MqttError ERR_MQTT_STORE_VERSION for a file of a newer LMDB
 */
export function checkDataFile(path: string, isDeep: boolean): FileVerdict {
  if (endianness() !== 'LE') return fine
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    if (size === 0) return fine
    const meta = readMeta(fd, size)
    if (isDeep) new Walk(fd, size, meta).run()
    return { damage: null, isDoubtful: size < (meta.lastPage + 1) * meta.pageSize }
  } catch (error) {
    if (error instanceof Damage) return { damage: error.message, isDoubtful: false }
    throw error
  } finally {
    closeSync(fd)
  }
}

function readMeta(fd: number, size: number): Meta {
  const first = parseMeta(fd, size, 0)
  const second = parseMeta(fd, size, first.pageSize)
  if (second.pageSize !== first.pageSize) throw new Damage('the meta pages disagree about the page size')
  return second.transaction > first.transaction ? second : first
}

function parseMeta(fd: number, size: number, offset: number): Meta {
  const page = new DataView(new ArrayBuffer(PAGE_HEADER + META_BYTES))
  if (readSync(fd, page, 0, page.byteLength, offset) < page.byteLength)
    throw new Damage('it ends within the meta pages')
  if ((page.getUint16(18, true) & PageFlag.Meta) === 0) throw new Damage('a meta page is overwritten')
  if (page.getUint32(PAGE_HEADER, true) !== MAGIC) throw new Damage('it is not an LMDB file')
  const version = page.getUint32(PAGE_HEADER + 4, true) & 0xffff
  // A flipped bit is no newer version: both meta pages would have it.
  if (version > DATA_VERSION && version <= VERSION_BELIEVED_MAX && offset === 0 && otherVersion(fd, page) === version) {
    throw new MqttError(
      'ERR_MQTT_STORE_VERSION',
      `it has LMDB data version ${version}; this broker knows ${DATA_VERSION}`,
    )
  }
  if (version !== DATA_VERSION) throw new Damage(`LMDB data version ${version} does not exist`)
  const pageSize = page.getUint32(PAGE_HEADER + 24, true)
  if (pageSize < 256 || pageSize > PAGE_SIZE_MAX || (pageSize & (pageSize - 1)) !== 0) {
    throw new Damage(`a page size of ${pageSize} bytes is impossible`)
  }
  const lastPage = u64(page, PAGE_HEADER + 120)
  const meta: Meta = {
    pageSize,
    free: parseTree(page, PAGE_HEADER + 24, lastPage),
    main: parseTree(page, PAGE_HEADER + 72, lastPage),
    lastPage,
    transaction: u64(page, PAGE_HEADER + 128),
  }
  if (lastPage < 1) throw new Damage(`number ${lastPage} is impossible for the last page`)
  for (const { root } of [meta.free, meta.main]) {
    if ((root + 1) * pageSize > size) throw new Damage(`it ends before page ${root}, the root of a table`)
  }
  return meta
}

function otherVersion(fd: number, first: DataView): number {
  const word = new DataView(new ArrayBuffer(4))
  readSync(fd, word, 0, 4, first.getUint32(PAGE_HEADER + 24, true) + PAGE_HEADER + 4)
  return word.getUint32(0, true) & 0xffff
}

function parseTree(view: DataView, at: number, lastPage: number): Tree {
  const isEmpty = view.getBigUint64(at + 40, true) === NO_PAGE
  const tree: Tree = {
    depth: view.getUint16(at + 6, true),
    branchPages: u64(view, at + 8),
    leafPages: u64(view, at + 16),
    overflowPages: u64(view, at + 24),
    entries: u64(view, at + 32),
    root: isEmpty ? -1 : u64(view, at + 40),
  }
  if (isEmpty) return tree
  if (tree.root < 2 || tree.root > lastPage) throw new Damage(`page ${tree.root} is impossible as the root of a table`)
  if (tree.depth < 1 || tree.depth > DEPTH_MAX)
    throw new Damage(`a depth of ${tree.depth} levels is impossible for a table`)
  return tree
}

function u64(view: DataView, at: number): number {
  const value = view.getUint32(at + 4, true) * 4_294_967_296 + view.getUint32(at, true)
  if (value > Number.MAX_SAFE_INTEGER) throw new Damage('a number is impossibly large')
  return value
}

/** Visits every page in use once: branch pages by following them, then leaf pages in the order of the file. */
class Walk {
  readonly #fd: number
  readonly #size: number
  readonly #meta: Meta
  readonly #page: DataView
  /** Pages in use, one bit each. */
  readonly #used: Uint8Array
  /** Leaf pages that are still to be checked, one bit each. */
  readonly #leaves: Uint8Array
  readonly #subTrees: Tree[] = []
  #leafPages = 0
  #overflowPages = 0
  #entries = 0

  constructor(fd: number, size: number, meta: Meta) {
    this.#fd = fd
    this.#size = size
    this.#meta = meta
    this.#page = new DataView(new ArrayBuffer(meta.pageSize))
    // The size of the file counts, not the last page, which damage could have made huge.
    const pages = Math.min(meta.lastPage + 1, Math.ceil(size / meta.pageSize))
    this.#used = new Uint8Array((pages >> 3) + 1)
    this.#leaves = new Uint8Array((pages >> 3) + 1)
  }

  run(): void {
    this.#walkTree(this.#meta.free, true)
    this.#walkTree(this.#meta.main, false)
    // Tables do not contain tables, so this list does not grow while it is walked.
    for (const tree of this.#subTrees.splice(0)) {
      this.#walkTree(tree, false)
      if (this.#subTrees.length > 0) throw new Damage('a table holds a table')
    }
  }

  #walkTree(tree: Tree, isFreeList: boolean): void {
    if (tree.root === -1) return
    this.#leafPages = 0
    this.#overflowPages = 0
    this.#entries = 0
    let branchPages = 0
    let level = [tree.root]
    this.#take(tree.root)
    for (let depth = 1; depth < tree.depth; depth++) {
      const next: number[] = []
      for (const pageNumber of level) this.#branch(pageNumber, next)
      branchPages += level.length
      level = next
    }
    for (const pageNumber of level)
      this.#leaves[pageNumber >> 3] = (this.#leaves[pageNumber >> 3] ?? 0) | (1 << (pageNumber & 7))
    if (level.length > 64) this.#sweepLeaves(isFreeList)
    else for (const pageNumber of level.sort((a, b) => a - b)) this.#leafAt(pageNumber, isFreeList)
    const counts = [branchPages, this.#leafPages, this.#overflowPages, this.#entries]
    const expected = [tree.branchPages, tree.leafPages, tree.overflowPages, tree.entries]
    if (counts.join() !== expected.join())
      throw new Damage(`a table has ${counts.join('/')} pages and rows, not ${expected.join('/')}`)
  }

  #take(pageNumber: number): void {
    const { pageSize, lastPage } = this.#meta
    if (pageNumber < 2 || pageNumber > lastPage) throw new Damage(`page ${pageNumber} is impossible`)
    if ((pageNumber + 1) * pageSize > this.#size) throw new Damage(`it is truncated: page ${pageNumber} is missing`)
    const bit = 1 << (pageNumber & 7)
    const byte = this.#used[pageNumber >> 3] ?? 0
    if ((byte & bit) !== 0) throw new Damage(`page ${pageNumber} is used twice`)
    this.#used[pageNumber >> 3] = byte | bit
  }

  #read(pageNumber: number): DataView {
    const { pageSize } = this.#meta
    if (readSync(this.#fd, this.#page, 0, pageSize, pageNumber * pageSize) < pageSize) {
      throw new Damage(`it is truncated: page ${pageNumber} is missing`)
    }
    return this.#page
  }

  #branch(pageNumber: number, next: number[]): void {
    const page = this.#read(pageNumber)
    const count = this.#head(page, 0, pageNumber, PageFlag.Branch)
    for (let i = 0; i < count; i++) {
      const node = this.#node(page, 0, pageNumber, i)
      const keyBytes = page.getUint16(node + 6, true)
      if (node + NODE_HEADER + keyBytes > this.#meta.pageSize)
        throw new Damage(`page ${pageNumber} has a key that begins outside of it`)
      const child = page.getUint16(node + 4, true) * 4_294_967_296 + page.getUint32(node, true)
      this.#take(child)
      next.push(child)
    }
  }

  /** Checks the page header at `at`; returns the number of nodes. */
  #head(view: DataView, at: number, pageNumber: number, flag: number): number {
    const lower = view.getUint16(at + 20, true)
    const upper = view.getUint16(at + 22, true)
    if (
      view.getUint32(at, true) !== pageNumber % 4_294_967_296 ||
      view.getUint16(at + 18, true) !== flag ||
      u64(view, at + 8) > this.#meta.transaction ||
      lower > upper ||
      upper > this.#meta.pageSize - PAGE_HEADER ||
      lower < 2 ||
      (lower & 1) !== 0
    ) {
      throw new Damage(`page ${pageNumber} is overwritten`)
    }
    return lower >> 1
  }

  #node(view: DataView, at: number, pageNumber: number, index: number): number {
    const offset = view.getUint16(at + PAGE_HEADER + index * 2, true)
    if (offset + PAGE_HEADER + NODE_HEADER > this.#meta.pageSize || (offset & 1) !== 0) {
      throw new Damage(`page ${pageNumber} has a row that ends outside of it`)
    }
    return at + PAGE_HEADER + offset
  }

  #leafAt(pageNumber: number, isFreeList: boolean): void {
    this.#leaves[pageNumber >> 3] = (this.#leaves[pageNumber >> 3] ?? 0) & ~(1 << (pageNumber & 7))
    const page = new DataView(this.#read(pageNumber).buffer.slice(0))
    this.#leaf(page, 0, pageNumber, isFreeList)
  }

  #sweepLeaves(isFreeList: boolean): void {
    const { pageSize } = this.#meta
    const pagesPerChunk = Math.max(CHUNK_BYTES / pageSize, 8)
    const chunk = new DataView(new ArrayBuffer(pagesPerChunk * pageSize))
    const pages = this.#leaves.length * 8
    for (let start = 0; start < pages; start += pagesPerChunk) {
      const bytes = this.#leaves.subarray(start >> 3, (start + pagesPerChunk) >> 3)
      if (bytes.every((byte) => byte === 0)) continue
      const read = readSync(this.#fd, chunk, 0, chunk.byteLength, start * pageSize)
      for (let i = 0; i < pagesPerChunk; i++) {
        if (((bytes[i >> 3] ?? 0) & (1 << (i & 7))) === 0) continue
        if ((i + 1) * pageSize > read) throw new Damage(`it is truncated: page ${start + i} is missing`)
        this.#leaf(chunk, i * pageSize, start + i, isFreeList)
      }
      bytes.fill(0)
    }
  }

  #leaf(view: DataView, at: number, pageNumber: number, isFreeList: boolean): void {
    const { pageSize } = this.#meta
    const end = at + pageSize
    const count = this.#head(view, at, pageNumber, PageFlag.Leaf)
    this.#leafPages++
    this.#entries += count
    let before = 0
    for (let i = 0; i < count; i++) {
      const node = this.#node(view, at, pageNumber, i)
      const dataBytes = view.getUint32(node, true)
      const flags = view.getUint16(node + 4, true)
      const data = node + NODE_HEADER + view.getUint16(node + 6, true)
      if (data <= end && before > 0 && !isOrdered(view, before, node, isFreeList)) {
        throw new Damage(`page ${pageNumber} has rows out of order`)
      }
      before = node
      const stored = (flags & NodeFlag.BigData) === 0 ? dataBytes : OVERFLOW_BYTES
      if (data + stored > end) throw new Damage(`page ${pageNumber} has a row that ends outside of it`)
      if ((flags & NodeFlag.DupData) !== 0) throw new Damage(`page ${pageNumber} has rows of an unknown kind`)
      if ((flags & NodeFlag.SubData) !== 0) {
        if (dataBytes !== DB_BYTES || isFreeList) throw new Damage(`page ${pageNumber} has a table of the wrong size`)
        this.#subTrees.push(parseTree(view, data, this.#meta.lastPage))
      } else if ((flags & NodeFlag.BigData) !== 0) {
        this.#overflow(u64(view, data), u64(view, data + 16), dataBytes)
      }
    }
  }

  #overflow(first: number, pages: number, dataBytes: number): void {
    const { pageSize } = this.#meta
    if (pages !== Math.floor((PAGE_HEADER - 1 + dataBytes) / pageSize) + 1) {
      throw new Damage(`page ${first} does not hold the row that it should`)
    }
    for (let pageNumber = first; pageNumber < first + pages; pageNumber++) this.#take(pageNumber)
    const page = this.#read(first)
    const isRight =
      page.getUint32(0, true) === first % 4_294_967_296 &&
      page.getUint16(18, true) === PageFlag.Overflow &&
      page.getUint32(20, true) === pages &&
      u64(page, 8) <= this.#meta.transaction
    if (!isRight) throw new Damage(`page ${first} is overwritten`)
    this.#overflowPages += pages
  }
}

/** Compares keys byte by byte; those of the free list are transaction numbers. */
function isOrdered(view: DataView, first: number, second: number, isFreeList: boolean): boolean {
  const firstBytes = view.getUint16(first + 6, true)
  const secondBytes = view.getUint16(second + 6, true)
  const a = first + NODE_HEADER
  const b = second + NODE_HEADER
  if (isFreeList) return firstBytes === 8 && secondBytes === 8 && u64(view, a) < u64(view, b)
  const common = Math.min(firstBytes, secondBytes)
  for (let i = 0; i < common; i++) {
    const difference = view.getUint8(a + i) - view.getUint8(b + i)
    if (difference !== 0) return difference < 0
  }
  return firstBytes < secondBytes
}
