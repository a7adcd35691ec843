/** What became of the messages of one direction of a cell: delivered, lost, twice, out of order, how late. */

export interface DirectionResult {
  readonly sent: number
  readonly delivered: number
  readonly lost: number
  /** Number of deliveries beyond the first of each message. */
  readonly duplicated: number
  /** Number of messages that came after one that was sent later. */
  readonly disordered: number
  /** Latency in milliseconds, of the messages that came. `null` when none did. */
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly maxMs: number | null
}

/** Message as the cell sends it: its number, and bytes up to its size. */
export function payloadOf(number: number, bytes: number): string {
  return `${number} `.padEnd(bytes, '.')
}

export class Tally {
  readonly #sentMs: number[] = []
  readonly #latencies: number[] = []
  readonly #come = new Set<number>()
  #last = -1
  #duplicated = 0
  #disordered = 0
  /** Time at which the last message came that had not come before, and 0 before any. */
  lastMs = 0
  /** Time at which the first message came that was sent from `recoverFromMs` on or had waited for it; 0 before that. */
  recoveredMs = 0
  /** Time of the end of the fault; Infinity before it. */
  recoverFromMs: number = Number.POSITIVE_INFINITY

  /** Returns the payload of the next message. */
  next(bytes: number, nowMs: number): string {
    this.#sentMs.push(nowMs)
    return payloadOf(this.#sentMs.length - 1, bytes)
  }

  receive(payload: string, nowMs: number): void {
    const number = Number.parseInt(payload, 10)
    const sentMs = this.#sentMs[number]
    if (sentMs === undefined) throw new Error(`a message that nobody sent: ${payload.slice(0, 40)}`)
    if (this.#come.has(number)) {
      this.#duplicated++
      return
    }
    this.#come.add(number)
    if (number < this.#last) this.#disordered++
    this.#last = Math.max(this.#last, number)
    this.#latencies.push(nowMs - sentMs)
    this.lastMs = nowMs
    if (this.recoveredMs === 0 && nowMs >= this.recoverFromMs) this.recoveredMs = nowMs
  }

  get isComplete(): boolean {
    return this.#come.size === this.#sentMs.length
  }

  result(): DirectionResult {
    const sorted = this.#latencies.toSorted((a, b) => a - b)
    const at = (share: number): number | null => {
      const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
      return value === undefined ? null : Math.round(value * 10) / 10
    }
    return {
      sent: this.#sentMs.length,
      delivered: this.#come.size,
      lost: this.#sentMs.length - this.#come.size,
      duplicated: this.#duplicated,
      disordered: this.#disordered,
      p50Ms: at(0.5),
      p95Ms: at(0.95),
      maxMs: at(1),
    }
  }
}
