/**
 * Cache of Topic Names by their bytes on the wire: a repeated name costs neither UTF-8 decoding and validation nor an
 * allocation.
 *
 * Shared by all decoders of a broker (a client has one of its own). Two-way associative: a Topic Name has two slots.
 * Bounded: fixed number of slots, Topic Names of at most 128 bytes. A Topic Name takes a free slot at once, but
 * replaces another one only when it comes for the second time: a stream of names that never repeat neither empties the
 * cache nor costs an allocation per message.
 *
 * Invariant: each entry is a valid Topic Name (well-formed, no wildcard, not empty), and `topicField` is never written
 * to, so both may be kept for ever.
 */
import { copy } from './bytes.ts'

/** A Topic Name as text and as it stands on the wire (two length bytes and UTF-8). */
export class CachedTopic {
  readonly hash: number
  readonly topic: string
  readonly topicField: Uint8Array
  constructor(hash: number, topic: string, topicField: Uint8Array) {
    this.hash = hash
    this.topic = topic
    this.topicField = topicField
  }
}

/**
 * Longest Topic Name in bytes that is kept: longer ones are rare, and this times the number of slots bounds the memory.
 */
export const CACHED_TOPIC_BYTES_MAX = 128

export class TopicCache {
  readonly #mask: number
  readonly #entries: (CachedTopic | null)[]
  /** Hashes that were looked up and not found, by slot. */
  readonly #seen: Int32Array
  /** Hash of the last `find`, for the `add` that follows it. */
  #hash: number

  /** @param slots largest number of Topic Names; rounded up to a power of two, 2 to 1,048,576 */
  constructor(slots: number = 4096) {
    let size = 2
    while (size < slots && size < 1 << 20) size *= 2
    this.#mask = size - 1
    this.#entries = new Array<CachedTopic | null>(size).fill(null)
    this.#seen = new Int32Array(size)
    this.#hash = 0
  }

  /** Returns the entry for the Topic Name field `bytes[start .. end)` (length bytes included), or null. */
  find(bytes: Uint8Array, start: number, end: number): CachedTopic | null {
    // The hash uses all bytes, four a step: names that differ only in the middle are common ("site/17/temperature").
    let hash = end - start
    let i = start + 2
    const last = end - 3
    for (; i < last; i += 4) {
      hash = Math.imul(
        hash ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)),
        0x9e3779b1,
      )
      hash ^= hash >>> 15
    }
    for (; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x85ebca6b)
    hash ^= hash >>> 13
    this.#hash = hash
    const slot = hash & this.#mask
    const entry = this.#entries[slot]!
    if (entry !== null && entry.hash === hash && sameField(entry.topicField, bytes, start, end)) return entry
    const second = this.#entries[slot ^ 1]!
    if (second !== null && second.hash === hash && sameField(second.topicField, bytes, start, end)) return second
    return null
  }

  /**
   * Adds a Topic Name right after a `find` that returned null: it is stored if there is room, or if it was looked up
   * before. Returns the wire form to keep if it was stored, else null.
   */
  add(topic: string, bytes: Uint8Array, start: number, end: number): Uint8Array | null {
    const hash = this.#hash
    const entries = this.#entries
    let slot = hash & this.#mask
    if (entries[slot] !== null) {
      if (entries[slot ^ 1] === null) slot ^= 1
      else if (this.#seen[slot] !== hash) {
        this.#seen[slot] = hash
        return null
      } else entries[slot ^ 1] = entries[slot]! // the one that has been here longer goes
    }
    const topicField = new Uint8Array(end - start)
    copy(bytes, start, topicField, 0, end - start)
    entries[slot] = new CachedTopic(hash, topic, topicField)
    return topicField
  }
}

function sameField(field: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start
  if (field.length !== length) return false
  for (let i = 2; i < length; i++) if (field[i] !== bytes[start + i]) return false
  return true
}
