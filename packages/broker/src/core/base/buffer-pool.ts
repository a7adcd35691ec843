/**
 * Buffers for large payloads on their way through the broker, used again and again.
 *
 * An array for each large message would be zeroed, faulted in page by page, and worse: its bytes drive V8's collector,
 * which then marks the whole heap every few dozen megabytes. So decoders put large packets together in buffers of this
 * pool, and what outboxes send by reference lies in them; a count of users says when a buffer is free.
 *
 * `Context` has one. What was not needed for a second is given back to the system, all of it when memory is short.
 *
 * Invariants: a buffer in the pool has no users; one that was kept (`PooledBuffer.keep`) never comes back, the garbage
 * collector frees it; the pool holds at most `POOLED_BYTES_MAX`.
 */
import type { PacketBuffer, PacketBuffers } from '@recado/protocol'
import { Timer, type TimerWheel } from './timer-wheel.ts'

/** Sizes are whole multiples of a quarter of the power of two below them, from the first one on. */
const FIRST_SIZE_LOG2 = 13
const SIZES_PER_POWER = 4
/** Bytes of all buffers that are kept for reuse. */
const POOLED_BYTES_MAX = 32 * 1024 * 1024
/** Bytes that a decoder may read ahead of a large packet. */
const READ_AHEAD_BYTES = 128 * 1024
const TRIM_MS = 1_000

export class PooledBuffer implements PacketBuffer {
  readonly bytes: Uint8Array
  /** Place of its size among all sizes. */
  readonly sizeIndex: number
  users = 0
  /** Pool to go back to; null for none. */
  #pool: BufferPool | null

  constructor(bytes: Uint8Array, sizeIndex: number, pool: BufferPool) {
    this.bytes = bytes
    this.sizeIndex = sizeIndex
    this.#pool = pool
  }

  hold(): void {
    this.users++
  }

  release(): void {
    if (--this.users === 0) this.#pool?.give(this)
  }

  keep(): void {
    this.#pool = null
  }
}

/** Free buffers of one size, and how few there have been since the last look. */
interface FreeList {
  readonly buffers: PooledBuffer[]
  unused: number
}

export class BufferPool implements PacketBuffers {
  readonly readAheadBytes: number = READ_AHEAD_BYTES
  readonly #allocate: (bytes: number) => Uint8Array
  readonly #wheel: TimerWheel
  readonly #nowMs: () => number
  readonly #timer: Timer
  readonly #free: FreeList[] = []
  /** Bytes of all free buffers. */
  #freeBytes = 0
  /** Called with each buffer that comes back; for tests. */
  onFree: ((buffer: PooledBuffer) => void) | null = null

  /** `allocate` returns memory whose contents do not matter. */
  constructor(allocate: (bytes: number) => Uint8Array, wheel: TimerWheel, nowMs: () => number) {
    this.#allocate = allocate
    this.#wheel = wheel
    this.#nowMs = nowMs
    this.#timer = new Timer(() => this.#trim())
  }

  /** Bytes that wait here to be used again. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  take(bytes: number): PooledBuffer {
    const index = sizeIndexOf(bytes)
    const list = this.#free[index]
    let buffer = list?.buffers.pop()
    if (buffer === undefined) {
      buffer = new PooledBuffer(this.#allocate(sizeOf(index)), index, this)
    } else {
      this.#freeBytes -= buffer.bytes.length
      if (list!.buffers.length < list!.unused) list!.unused = list!.buffers.length
    }
    buffer.users = 1
    return buffer
  }

  /** Takes a buffer back that has no users any more. */
  give(buffer: PooledBuffer): void {
    this.onFree?.(buffer)
    const { length } = buffer.bytes
    if (this.#freeBytes + length > POOLED_BYTES_MAX) {
      free(buffer)
      return
    }
    while (this.#free.length <= buffer.sizeIndex) this.#free.push({ buffers: [], unused: 0 })
    this.#free[buffer.sizeIndex]!.buffers.push(buffer)
    this.#freeBytes += length
    if (!this.#timer.isSet) this.#wheel.set(this.#timer, this.#nowMs() + TRIM_MS)
  }

  /** Gives everything back to the system: memory is short. */
  clear(): void {
    for (const list of this.#free) this.#drop(list, list.buffers.length)
  }

  /** Gives back what has not been used since the last look, but for a half, in case that traffic comes in waves. */
  #trim(): void {
    for (const list of this.#free) {
      this.#drop(list, Math.ceil(list.unused / 2))
      list.unused = list.buffers.length
    }
    if (this.#freeBytes > 0) this.#wheel.set(this.#timer, this.#nowMs() + TRIM_MS)
  }

  #drop(list: FreeList, count: number): void {
    for (let i = 0; i < count; i++) {
      const buffer = list.buffers.pop()!
      this.#freeBytes -= buffer.bytes.length
      free(buffer)
    }
    list.unused = Math.min(list.unused, list.buffers.length)
  }
}

/** Frees memory that nobody refers to now, rather than at the next collection, where this JavaScript can. */
function free({ bytes }: PooledBuffer): void {
  const memory = bytes.buffer as ArrayBuffer & { transfer?: (bytes: number) => ArrayBuffer }
  if (bytes.byteLength === memory.byteLength) memory.transfer?.(0)
}

function sizeIndexOf(bytes: number): number {
  if (bytes <= 1 << FIRST_SIZE_LOG2) return 0
  const power = 31 - Math.clz32(bytes - 1)
  const quarter = (bytes - 1) >> (power - 2)
  return (power - FIRST_SIZE_LOG2) * SIZES_PER_POWER + (quarter & (SIZES_PER_POWER - 1)) + 1
}

function sizeOf(index: number): number {
  const power = FIRST_SIZE_LOG2 + Math.floor(index / SIZES_PER_POWER)
  return (1 << power) + (1 << (power - 2)) * (index % SIZES_PER_POWER)
}
