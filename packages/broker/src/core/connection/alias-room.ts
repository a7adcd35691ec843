/**
 * Topics that Topic Aliases of clients stand for, of all connections: bounded together, since each may be 64 KB and is
 * kept as long as the connection.
 *
 * `handlePublish` reports the size of a connection's aliases whenever it changes, and ends the connection when there is
 * no room; a connection that ends reports 0. Invariant: `bytes` is the sum over open connections.
 */
import { hasShare } from '../base/holdings.ts'
import type { Limits } from '../base/limits.ts'

/** Aliases of one connection that always have room: a few of topics of usual length. */
const SMALL_BYTES = 2_048

export interface AliasHolder {
  /** Bytes that it has noted last. */
  aliasBytes: number
}

export class AliasRoom {
  bytes = 0
  /** May change. */
  readonly #limits: Pick<Limits, 'aliasBytesMax'>

  constructor(limits: Pick<Limits, 'aliasBytesMax'>) {
    this.#limits = limits
  }

  /** Notes how many bytes a connection holds now. False: it may not. */
  note(holder: AliasHolder, bytes: number): boolean {
    const own = holder.aliasBytes
    const more = bytes - own
    const hasRoom = bytes <= SMALL_BYTES || more <= 0 || hasShare(this.#limits.aliasBytesMax, this.bytes, own, more)
    holder.aliasBytes = bytes
    this.bytes += more
    return hasRoom
  }
}
