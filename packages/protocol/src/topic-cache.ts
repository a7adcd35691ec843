/**
 * Topic Names that were seen before, by their bytes on the wire, so that a repeated one costs neither UTF-8 decoding
 * and validation nor an allocation.
 *
 * Shared by all decoders of a broker (or a client's one). Two-way associative: a Topic Name has two slots. Bounded: fixed
 * number of slots, Topic Names of at most 128 bytes. A Topic Name takes a free slot at once, but drives another one out
 * only when it comes for the second time: a stream of names that never repeat neither empties the cache nor costs an
 * allocation per message.
 *
 * Invariant: what is in the cache is a valid Topic Name (well-formed, no wildcard, not empty), and `topicField` is never
 * written to, so both may be kept for ever.
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

/** Longer Topic Names are not kept: they are rare, and memory is bounded by slots times this. */
export const CACHED_TOPIC_BYTES_MAX = 128

export class TopicCache {
  readonly #mask: number
  readonly #entries: (CachedTopic | null)[]
  /** Hashes that were asked for and not found, by slot. */
  readonly #seen: Int32Array
  /** Hash of the last `find`, for the `add` that follows it. */
  #hash: number

  /** @param slots how many Topic Names are kept at most; rounded up to a power of two, 2 to 1,048,576 */
  constructor(slots: number = 4096) {
    let size = 2
    while (size < slots && size < 1 << 20) size *= 2
    this.#mask = size - 1
    this.#entries = new Array<CachedTopic | null>(size).fill(null)
    this.#seen = new Int32Array(size)
    this.#hash = 0
  }

  /** The entry for the Topic Name field `bytes[start .. end)` (length bytes included), or null. */
  find(bytes: Uint8Array, start: number, end: number): CachedTopic | null {
    // All bytes count, four a step: names that differ in the middle only are common ("site/17/temperature").
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
   * Right after a `find` that found nothing: stores the Topic Name if there is room, or if it was asked for before. Returns
   * the wire form to keep if it was stored, else null.
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
