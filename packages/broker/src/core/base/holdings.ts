/**
 * Bytes of messages that the broker keeps in memory for all sessions together, and the share of a limit that each may have.
 *
 * `Queue` and `Session` say `hold` when a delivery begins to keep a message in memory (it waits, or is in flight) and `letGo` when it
 * does not any more; a message that many sessions wait for counts once, as it is there once. The invariant: every `hold` is
 * followed by one `letGo`, so that `bytes` is 0 when nobody waits for anything.
 *
 * `hasShare` is the rule of every limit that sessions have together: the first half is for whoever comes; from there on
 * nobody may have more than what is still free. However many hoard, there is room left for one that has little.
 */
import type { Limits } from './limits.ts'
import type { Message } from './message.ts'

/** Bytes that a message costs beside its own: itself, its delivery, its arrays. */
const MESSAGE_OVERHEAD_BYTES = 400

export class Holdings {
  bytes = 0
  /** May change. */
  readonly #limits: Pick<Limits, 'memoryQueueBytesMax'>

  constructor(limits: Pick<Limits, 'memoryQueueBytesMax'>) {
    this.#limits = limits
  }

  hold(message: Message): void {
    if (message.holders++ === 0) this.bytes += message.sizeBytes + MESSAGE_OVERHEAD_BYTES
  }

  letGo(message: Message): void {
    if (--message.holders === 0) this.bytes -= message.sizeBytes + MESSAGE_OVERHEAD_BYTES
  }

  /** True: memory is half full, so what can be on disk only should be. */
  get isShort(): boolean {
    return this.bytes > this.#limits.memoryQueueBytesMax / 2
  }

  hasShare(own: number, more: number): boolean {
    return hasShare(this.#limits.memoryQueueBytesMax, this.bytes, own, more)
  }
}

/** Returns true when somebody who has `own` of the `used` bytes may have `more`, where there are `max` for all. */
export function hasShare(max: number, used: number, own: number, more: number): boolean {
  if (used + more > max) return false
  return used <= max / 2 || own + more <= max - used
}
