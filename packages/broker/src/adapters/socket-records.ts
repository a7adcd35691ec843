/**
 * Packets that get a TLS record of their own.
 *
 * A `SocketTransport` of a TLS socket asks for every write, for each of its writes is a record. Clients that read one
 * packet each time that their socket is readable (Paho for Python below asyncio) are not told of a second one in a
 * record that they have read already: it waits for the next record, for ever if none comes. A record costs ten times as
 * much as a packet within one. So a few packets are always records of their own; more of them for a connection that has
 * few in the long run, and as long as those of all connections cost less than a twentieth of a core. The others go out
 * together.
 */

/** Function that returns the end of the packet, or of the frame with a packet, that begins at `at`: see `packetEnd`. */
export type UnitEnd = (bytes: Uint8Array, at: number) => number

const FEW = 4

/** Allowance: a number at once, and a number each second. */
class Allowance {
  readonly #max: number
  readonly #perMs: number
  #left: number
  #atMs: number

  constructor(max: number, perSecond: number, nowMs: number) {
    this.#max = max
    this.#perMs = perSecond / 1_000
    this.#left = max
    this.#atMs = nowMs
  }

  has(count: number, nowMs: number): boolean {
    this.#left = Math.min(this.#max, this.#left + (nowMs - this.#atMs) * this.#perMs)
    this.#atMs = nowMs
    return count <= this.#left
  }

  take(count: number): void {
    this.#left -= count
  }
}

const CONNECTION_MAX = 1_000
const CONNECTION_PER_SECOND = 100
const all: Allowance = new Allowance(10_000, 5_000, 0)

export class Records {
  readonly unitEnd: UnitEnd
  #allowance: Allowance | null = null

  constructor(unitEnd: UnitEnd) {
    this.unitEnd = unitEnd
  }

  /** Returns the number of records that the packets in `bytes` may take; 1: they go out together. */
  countFor(bytes: Uint8Array, nowMs: () => number = () => performance.now()): number {
    const { unitEnd } = this
    let count = 0
    for (let at = 0; at < bytes.length && count <= CONNECTION_MAX; at = unitEnd(bytes, at)) count++
    if (count <= FEW) return count
    const now = nowMs()
    this.#allowance ??= new Allowance(CONNECTION_MAX, CONNECTION_PER_SECOND, now)
    if (!this.#allowance.has(count, now) || !all.has(count, now)) return 1
    this.#allowance.take(count)
    all.take(count)
    return count
  }
}
