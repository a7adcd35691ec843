/**
 * The deliveries that wait for one session: first in, first out, counted in messages and bytes.
 *
 * A durable session's queue may be longer than memory. It has three parts, oldest first: `#head` is in memory and ready to
 * be sent; `#stored` is on disk, only positions are remembered; `#fresh` has come since and is not on disk yet. A queue
 * that fits into the head's limits never leaves it.
 *
 * Invariant: positions grow from part to part and within each. Limits and policy are the session's; the queue only counts.
 */

import type { Holdings } from '../base/holdings.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Delivery } from '../journal/delivery.ts'
import { bytesOfKey, type StoredEntry } from '../journal/message-records.ts'
import { RowState } from '../journal/message-row.ts'

/** Messages and bytes that the head holds at most while the rest stays on disk. */
const HEAD_MESSAGES = 1_000
const HEAD_BYTES = 512 * 1024
/** The same while all queues together hold much. */
const SHORT_HEAD_BYTES = 16 * 1024
/** Deliveries read back from disk at a time. */
const READ_BACK = 256
const FIRST_CAPACITY = 16
const SEGMENT = 4_096
/** Entries of the first segment, which grows: most queues are short. */
const FIRST_SEGMENT = 16

/** Function that reads a delivery back; null when it cannot be read. */
export type ReadBack = (entry: StoredEntry) => Delivery | null

/** Topic and payload bytes of a delivery. */
function bytesOf(delivery: Delivery): number {
  return delivery.rowState === RowState.None ? delivery.message!.sizeBytes : delivery.bytes
}

export class Queue {
  readonly #head: Ring = new Ring()
  #headBytes = 0
  #stored: StoredPositions | null = null
  #fresh: Ring | null = null
  readonly #readBack: ReadBack | null
  readonly #holdings: Holdings
  /** `queuedMessages` and `queuedBytes` follow every change. */
  readonly #metrics: Metrics
  length = 0
  bytes = 0

  /** @param readBack reads deliveries of a durable session back; null keeps everything in memory */
  constructor(readBack: ReadBack | null, holdings: Holdings, metrics: Metrics) {
    this.#readBack = readBack
    this.#holdings = holdings
    this.#metrics = metrics
  }

  #count(messages: number, bytes: number): void {
    this.length += messages
    this.bytes += bytes
    this.#metrics.queuedMessages += messages
    this.#metrics.queuedBytes += bytes
  }

  push(delivery: Delivery): void {
    const bytes = bytesOf(delivery)
    this.#count(1, bytes)
    this.#holdings.hold(delivery.message!)
    const isHeadOnly = this.#fresh === null && this.#stored === null
    if (
      this.#readBack === null ||
      (isHeadOnly && this.#head.length < HEAD_MESSAGES && this.#headBytes < this.#headBytesMax)
    ) {
      this.#head.push(delivery)
      this.#headBytes += bytes
      return
    }
    this.#fresh ??= new Ring()
    this.#fresh.push(delivery)
  }

  /** Lets go of deliveries behind the head that have reached the disk meanwhile: they need not stay in memory. */
  noteStored(): void {
    const fresh = this.#fresh
    if (fresh === null) return
    for (
      let delivery = fresh.peek();
      delivery !== undefined && delivery.rowState === RowState.Stored;
      delivery = fresh.peek()
    ) {
      fresh.shift()
      this.#holdings.letGo(delivery.message!)
      this.#stored ??= new StoredPositions()
      this.#stored.push(delivery.position, delivery.key, delivery.isMulti)
    }
    if (fresh.length === 0) this.#fresh = null
  }

  /** Recovery: on disk since before. */
  restore(position: number, key: number, isMulti: boolean): void {
    this.#stored ??= new StoredPositions()
    this.#stored.push(position, key, isMulti)
    this.#count(1, bytesOfKey(key))
  }

  peek(): Delivery | undefined {
    if (this.#head.length === 0 && this.length > 0) this.#refill()
    return this.#head.peek()
  }

  /** Position in the store of the last delivery of the head; 0 for none. */
  get lastPosition(): number {
    return this.#head.length === 0 ? 0 : this.#head.at(this.#head.length - 1).position
  }

  shift(): Delivery | undefined {
    const delivery = this.peek()
    if (delivery === undefined) return undefined
    this.#head.shift()
    this.#takeOut(delivery)
    return delivery
  }

  /** Counts a delivery that has left the head. */
  #takeOut(delivery: Delivery): void {
    const bytes = bytesOf(delivery)
    this.#headBytes -= bytes
    this.#count(-1, -bytes)
    this.#holdings.letGo(delivery.message!)
  }

  get #headBytesMax(): number {
    return this.#holdings.isShort ? SHORT_HEAD_BYTES : HEAD_BYTES
  }

  /** Takes out those in memory that `reject` says, keeping the order of the rest. */
  removeWhere(reject: (delivery: Delivery) => boolean): Delivery[] {
    const removed: Delivery[] = []
    for (let left = this.#head.length; left > 0; left--) {
      const delivery = this.#head.shift()!
      if (reject(delivery)) {
        removed.push(delivery)
        this.#takeOut(delivery)
      } else {
        this.#head.push(delivery)
      }
    }
    return removed
  }

  /** Empties the queue: returns those in memory, and leaves those on disk to `handOutStored`. */
  clear(): Delivery[] {
    const removed = this.removeWhere(() => true)
    for (let delivery = this.#fresh?.shift(); delivery !== undefined; delivery = this.#fresh?.shift()) {
      this.#holdings.letGo(delivery.message!)
      removed.push(delivery)
    }
    this.#fresh = null
    // No client waits for those on disk any more; `length` is the number that `handOutStored` still has.
    this.#count(-this.length, -this.bytes)
    this.length = this.#stored?.length ?? 0
    return removed
  }

  /**
   * Hands out those on disk after `clear`: the queue knows them no more, and takes new deliveries at once. Returns a
   * function that takes the next one, or null.
   */
  handOutStored(): () => StoredEntry | null {
    const stored = this.#stored
    this.#stored = null
    this.length = 0
    return () => stored?.shift() ?? null
  }

  /**
   * Returns the delivery at `index` < `length`, counted from the oldest, for inspection: the queue stays as it is. Null
   * when it is on disk, and cannot be read. One from the disk is a copy.
   */
  look(index: number): Delivery | null {
    if (index < this.#head.length) return this.#head.at(index)
    const stored = index - this.#head.length
    const storedLength = this.#stored?.length ?? 0
    if (stored < storedLength) return this.#readBack!(this.#stored!.at(stored))
    return this.#fresh?.at(stored - storedLength) ?? null
  }

  /** Returns all entries, oldest first, for inspection: a delivery, or its place on disk. */
  entries(): (Delivery | StoredEntry)[] {
    const entries: (Delivery | StoredEntry)[] = []
    for (let i = 0; i < this.#head.length; i++) entries.push(this.#head.at(i))
    for (let i = 0; i < (this.#stored?.length ?? 0); i++) entries.push(this.#stored!.at(i))
    for (let i = 0; i < (this.#fresh?.length ?? 0); i++) entries.push(this.#fresh!.at(i))
    return entries
  }

  #refill(): void {
    for (let left = READ_BACK; left > 0 && this.#stored !== null; left--) {
      const entry = this.#stored.at(0)
      // A disk that cannot be read just now throws: the entry stays where it is.
      const delivery = this.#readBack!(entry)
      this.#stored.shift()
      if (this.#stored.length === 0) this.#stored = null
      if (delivery === null) {
        this.#count(-1, -bytesOfKey(entry.key))
        continue
      }
      this.#head.push(delivery)
      this.#holdings.hold(delivery.message!)
      this.#headBytes += bytesOf(delivery)
      if (this.#headBytes >= this.#headBytesMax) break
    }
    if (this.#head.length > 0 || this.#stored !== null || this.#fresh === null) return
    for (let delivery = this.#fresh.shift(); delivery !== undefined; delivery = this.#fresh.shift()) {
      this.#head.push(delivery)
      this.#headBytes += bytesOf(delivery)
    }
    this.#fresh = null
  }
}

/** Slots of all empty rings; nothing is ever put in. */
const NO_SLOTS: undefined[] = []

/** A ring that doubles when full and is let go when empty. */
class Ring {
  #slots: (Delivery | undefined)[] = NO_SLOTS
  #first = 0
  length = 0

  push(delivery: Delivery): void {
    if (this.length === this.#slots.length) this.#grow()
    this.#slots[(this.#first + this.length) & (this.#slots.length - 1)] = delivery
    this.length++
  }

  peek(): Delivery | undefined {
    return this.length === 0 ? undefined : this.#slots[this.#first]
  }

  /** `index` < length. */
  at(index: number): Delivery {
    return this.#slots[(this.#first + index) & (this.#slots.length - 1)]!
  }

  shift(): Delivery | undefined {
    if (this.length === 0) return undefined
    const delivery = this.#slots[this.#first]!
    this.#slots[this.#first] = undefined
    this.#first = (this.#first + 1) & (this.#slots.length - 1)
    this.length--
    if (this.length === 0 && this.#slots.length > FIRST_CAPACITY) {
      this.#slots = NO_SLOTS
      this.#first = 0
    }
    return delivery
  }

  #grow(): void {
    const larger = new Array<Delivery | undefined>(Math.max(FIRST_CAPACITY, this.#slots.length * 2)).fill(undefined)
    for (let i = 0; i < this.length; i++) larger[i] = this.#slots[(this.#first + i) & (this.#slots.length - 1)]
    this.#slots = larger
    this.#first = 0
  }
}

/** Positions and keys, 16 bytes each, in segments that are let go as they are used up. */
class StoredPositions {
  readonly #segments: Float64Array[] = []
  /** Index of the first entry in the first segment. */
  #first = 0
  length = 0
  /** A key of a message with several recipients is marked by this. */
  static readonly #MULTI = 0x1_0000_0000

  push(position: number, key: number, isMulti: boolean): void {
    const at = this.#first + this.length
    const segment = Math.floor(at / SEGMENT)
    const entries = at % SEGMENT
    if (segment === this.#segments.length) {
      this.#segments.push(new Float64Array(2 * (segment === 0 ? FIRST_SEGMENT : SEGMENT)))
    } else if (2 * entries === this.#segments[segment]!.length) {
      const larger = new Float64Array(4 * entries)
      larger.set(this.#segments[segment]!)
      this.#segments[segment] = larger
    }
    const numbers = this.#segments[segment]!
    numbers[2 * (at % SEGMENT)] = position
    numbers[2 * (at % SEGMENT) + 1] = isMulti ? key + StoredPositions.#MULTI : key
    this.length++
  }

  shift(): StoredEntry | null {
    if (this.length === 0) return null
    const entry = this.at(0)
    this.#first++
    this.length--
    if (this.#first === SEGMENT) {
      this.#segments.shift()
      this.#first = 0
    }
    return entry
  }

  /** `index` < length. */
  at(index: number): StoredEntry {
    const at = this.#first + index
    const numbers = this.#segments[Math.floor(at / SEGMENT)]!
    const key = numbers[2 * (at % SEGMENT) + 1]!
    const isMulti = key >= StoredPositions.#MULTI
    return { position: numbers[2 * (at % SEGMENT)]!, key: isMulti ? key - StoredPositions.#MULTI : key, isMulti }
  }
}
