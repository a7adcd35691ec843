/**
 * How much all Wills together take, and whether one more may come.
 *
 * `handleConnect` asks before a client is let in. What is added is counted at once, what has gone when somebody next finds no room, at most
 * once a second: a Will goes in many ways, and to count each would tie them all to this. From half of `willBytesMax` on only small Wills
 * are taken, so that large ones do not keep those out that say `offline`.
 */
import { utf8Length, type Will } from '@recado/protocol'
import type { Limits } from './limits.ts'

/** What a Will takes beside its bytes; and a User Property, which is two strings in an array. */
const WILL_OVERHEAD_BYTES = 400
const PROPERTY_OVERHEAD_BYTES = 100
/** Of what is free, in the second half. */
const SMALL_SHARE = 1_024
const COUNT_MS = 1_000

export class WillRoom {
  /** May change. */
  readonly #limits: Pick<Limits, 'willBytesMax'>
  /** All Wills that there are. */
  readonly #wills: () => Iterable<Will>
  #bytes = 0
  #countedMs: number = Number.NEGATIVE_INFINITY

  constructor(limits: Pick<Limits, 'willBytesMax'>, wills: () => Iterable<Will>) {
    this.#limits = limits
    this.#wills = wills
  }

  /** True: it may come, and counts from now on. */
  take(will: Will, nowMs: number): boolean {
    const bytes = bytesOf(will)
    if (!this.#hasRoomFor(bytes) && nowMs >= this.#countedMs + COUNT_MS) {
      this.#countedMs = nowMs
      this.#bytes = this.count()
    }
    if (!this.#hasRoomFor(bytes)) return false
    this.#bytes += bytes
    return true
  }

  /** Bytes of all Wills; looks at each. */
  count(): number {
    let bytes = 0
    for (const will of this.#wills()) bytes += bytesOf(will)
    return bytes
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
