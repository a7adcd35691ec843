/**
 * Packets that have begun and are not all here, of all connections: bounded together, since every one of them may be as large as
 * `packetBytesMax`.
 *
 * A connection says after each chunk what it holds. Over `unfinishedBytesMax` the packet that has been unfinished for longest is given up,
 * and its connection with it: an honest client sends the rest at once. The invariant: `bytes` is the sum of what connections hold that are not
 * closed; those with little cost no look.
 */
import type { Limits } from '../base/limits.ts'

/** A connection that holds less is not in line. */
const IN_LINE_BYTES = 16 * 1024

export interface Holder {
  /** Bytes that it has noted last. */
  unfinishedBytes: number
  giveUpUnfinished(): void
}

export class Unfinished {
  bytes = 0
  /** May change. */
  readonly #limits: Pick<Limits, 'unfinishedBytesMax'>
  /** Oldest packet first. */
  readonly #line: Set<Holder> = new Set()

  constructor(limits: Pick<Limits, 'unfinishedBytesMax'>) {
    this.#limits = limits
  }

  /** Notes how many bytes of an unfinished packet a connection holds now. */
  note(holder: Holder, bytes: number): void {
    const more = bytes - holder.unfinishedBytes
    if (more === 0) return
    holder.unfinishedBytes = bytes
    this.bytes += more
    if (bytes < IN_LINE_BYTES) this.#line.delete(holder)
    else this.#line.add(holder)
    if (more > 0 && this.bytes > this.#limits.unfinishedBytesMax) this.#giveUp()
  }

  #giveUp(): void {
    for (const holder of this.#line) {
      // Ends with `note(holder, 0)`.
      holder.giveUpUnfinished()
      if (this.bytes <= this.#limits.unfinishedBytesMax) return
    }
  }
}
