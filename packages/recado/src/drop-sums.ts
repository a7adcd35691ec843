/**
 * Dropped messages for the log, summed up by reason and client: a client that loses a million messages costs a line in
 * ten seconds.
 *
 * `observe.ts` makes its observer with them, `serve.ts` ends them when the broker has stopped. Invariant: every drop is
 * in a line, at once, ten seconds after the line before it, or at the end; also over SIGHUP, which makes another
 * observer with the same sums.
 */
import type { BrokerEvents } from '@recado/broker'
import { shortName } from './log/shortened.ts'
import { wordsFor } from './log/words.ts'
import type { Logger } from './log.ts'

const TOLD_EVERY_MS = 10_000
/** Number of sums (reason and client) at a time. */
const SUMS_MAX = 1_000

type Drop = Pick<BrokerEvents['message.dropped'], 'clientId' | 'reason'>

interface Sum extends Drop {
  /** Number of drops since the last line. */
  count: number
  toldAtMs: number
}

export class DropSums {
  readonly #logger: Logger
  readonly #now: () => number
  readonly #after: (work: () => void, ms: number) => void
  readonly #sums: Map<string, Sum> = new Map()
  #isTimed = false

  /** @param after does some work later, and keeps no process from ending */
  constructor(
    logger: Logger,
    now: () => number = Date.now,
    after: (work: () => void, ms: number) => void = (work, ms) => void setTimeout(work, ms).unref(),
  ) {
    this.#logger = logger
    this.#now = now
    this.#after = after
  }

  add({ clientId, reason }: Drop): void {
    const key = `${reason} ${clientId}`
    let sum = this.#sums.get(key)
    if (sum === undefined) {
      if (this.#sums.size >= SUMS_MAX) this.#makeRoom()
      sum = { clientId, reason, count: 0, toldAtMs: Number.NEGATIVE_INFINITY }
      this.#sums.set(key, sum)
    }
    sum.count++
    const nowMs = this.#now()
    if (nowMs >= sum.toldAtMs + TOLD_EVERY_MS) this.#tell(sum, nowMs)
    else this.#tellLater()
  }

  /** Reports all that has not been reported. */
  flush(): void {
    for (const sum of this.#sums.values()) if (sum.count > 0) this.#tell(sum, this.#now())
  }

  #tellLater(): void {
    if (this.#isTimed) return
    this.#isTimed = true
    this.#after(() => {
      this.#isTimed = false
      const nowMs = this.#now()
      for (const [key, sum] of this.#sums) {
        if (nowMs < sum.toldAtMs + TOLD_EVERY_MS) continue
        if (sum.count > 0) this.#tell(sum, nowMs)
        // Its next drop is reported at once in any case.
        else this.#sums.delete(key)
      }
      for (const { count } of this.#sums.values()) if (count > 0) this.#tellLater()
    }, TOLD_EVERY_MS)
  }

  /** Makes room: sums without unreported drops go; when there are none, all, in one line for each reason. */
  #makeRoom(): void {
    for (const [key, { count }] of this.#sums) if (count === 0) this.#sums.delete(key)
    if (this.#sums.size < SUMS_MAX) return
    const totals = new Map<Sum['reason'], { count: number; clients: number }>()
    for (const { reason, count } of this.#sums.values()) {
      const total = totals.get(reason) ?? { count: 0, clients: 0 }
      totals.set(reason, { count: total.count + count, clients: total.clients + 1 })
    }
    this.#sums.clear()
    for (const [reason, { count, clients }] of totals) {
      const message = `Messages for ${clients} clients are being dropped: ${reason} (${count} since the last such lines).`
      this.#logger.log('warning', 'message.dropped', message, { clients, reason, count })
    }
  }

  #tell(sum: Sum, nowMs: number): void {
    const { clientId, reason, count } = sum
    const isFirst = sum.toldAtMs === Number.NEGATIVE_INFINITY
    sum.toldAtMs = nowMs
    sum.count = 0
    const first = isFirst ? wordsFor(this.#logger.style).firstDrop(clientId, reason) : null
    if (first !== null) {
      this.#logger.log(first.type, 'message.dropped', first.text, { clientId, reason, count })
      return
    }
    // No client's in particular: refused before it had a receiver, as by a full queue with `queue_overflow reject`.
    const whose = clientId === '' ? 'Messages' : `Messages for client ${shortName(clientId)}`
    const message = `${whose} are being dropped: ${reason} (${count} since the last such line).`
    this.#logger.log('warning', 'message.dropped', message, { clientId, reason, count })
  }
}
