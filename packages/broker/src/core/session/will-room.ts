/**
 * Room for Wills: bytes that all of them take together, and whether one more may come.
 *
 * `handleConnect` asks before a client is let in (`take`). A Will counts as held while a connected client has it (`Connection.will`) and while
 * it waits for its delay (`Wills`). Between `take` and that its client waits for its CONNACK: such Wills count until somebody next finds no
 * room, at most once a second. From half of `willBytesMax` on only small Wills are taken, so that large ones do not keep those out that say
 * `offline`.
 *
 * Invariant: every `hold` is followed by one `letGo`, so that `heldBytes` is 0 when there is no Will.
 */
import { utf8Length, type Will } from '@recado/protocol'
import type { Limits } from '../base/limits.ts'

/** Bytes that a Will takes beside its own; and a User Property, which is two strings in an array. */
const WILL_OVERHEAD_BYTES = 400
const PROPERTY_OVERHEAD_BYTES = 100
/** Part of what is free that one Will may have, in the second half. */
const SMALL_SHARE = 1_024
const COUNT_MS = 1_000

export class WillRoom {
  /** May change. */
  readonly #limits: Pick<Limits, 'willBytesMax'>
  /** Bytes of all Wills that there are. */
  heldBytes = 0
  /** The same, with Wills of clients that are about to be let in, and of some that have gone. */
  #bytes = 0
  #countedMs: number = Number.NEGATIVE_INFINITY

  constructor(limits: Pick<Limits, 'willBytesMax'>) {
    this.#limits = limits
  }

  /** Returns true when the Will may come, and counts from now on. */
  take(will: Will, nowMs: number): boolean {
    const bytes = bytesOf(will)
    if (!this.#hasRoomFor(bytes) && nowMs >= this.#countedMs + COUNT_MS) {
      this.#countedMs = nowMs
      this.#bytes = this.heldBytes
    }
    if (!this.#hasRoomFor(bytes)) return false
    this.#bytes += bytes
    return true
  }

  /** Counts a Will that a client has, or that waits. */
  hold(will: Will): void {
    this.heldBytes += bytesOf(will)
  }

  /** Counts a Will that has gone. */
  letGo(will: Will): void {
    this.heldBytes -= bytesOf(will)
  }

  #hasRoomFor(bytes: number): boolean {
    const free = this.#limits.willBytesMax - this.#bytes
    return this.#bytes <= this.#limits.willBytesMax / 2 ? bytes <= free : bytes <= free / SMALL_SHARE
  }
}

function bytesOf({ topic, payload, properties }: Will): number {
  let bytes = WILL_OVERHEAD_BYTES + utf8Length(topic) + payload.length
  const { contentType = '', responseTopic = '', correlationData, userProperties = [] } = properties
  bytes += contentType.length + responseTopic.length + (correlationData?.length ?? 0)
  for (const [name, value] of userProperties) bytes += PROPERTY_OVERHEAD_BYTES + name.length + value.length
  return bytes
}
