/**
 * Memory for the payloads that are kept beyond their turn.
 *
 * A payload is copied behind the last one into a block of 4 KiB, instead of into a small array of its own: those cost
 * the garbage collector more than their bytes are worth. A block is freed when nothing in it is held any more: one
 * small message that waits long may hold 4 KiB. A payload that is held for good (a retained message) has a copy of its
 * own.
 */
import { copy } from '@recado/protocol'

const BLOCK_BYTES = 4 * 1024
/** Larger payloads have an array of their own. */
const SMALL_BYTES = 512

/** Returns a copy, also of a Buffer, whose own `slice` is a view that would hold on to the whole chunk. */
export function copyOf(bytes: Uint8Array, start = 0, end: number = bytes.length): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, start, end)
}

export class PayloadBlocks {
  #block: Uint8Array = new Uint8Array(0)
  #used = 0
  /** Beginning of the last copy in the array that `keep` returned. */
  start = 0

  /** Returns the array that holds the copy of `source[start .. end)`; it begins there at `this.start`. */
  keep(source: Uint8Array, start: number, end: number): Uint8Array {
    const length = end - start
    if (length > SMALL_BYTES) {
      this.start = 0
      return copyOf(source, start, end)
    }
    if (this.#used + length > this.#block.length) {
      this.#block = new Uint8Array(BLOCK_BYTES)
      this.#used = 0
    }
    copy(source, start, this.#block, this.#used, length)
    this.start = this.#used
    this.#used += length
    return this.#block
  }

  /** Returns a view of the copy of `source[start .. end)`. */
  viewOfCopy(source: Uint8Array, start: number, end: number): Uint8Array {
    const bytes = this.keep(source, start, end)
    return bytes.subarray(this.start, this.start + end - start)
  }
}
