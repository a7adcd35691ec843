/**
 * Gives memory back to the system while nothing happens: after a start, and after a rush whose messages are gone.
 *
 * V8 collects when it needs room, so a broker that has become idle keeps what its last rush left behind, hundreds of MB of
 * it. `serve.ts` makes one for the process. Invariants: it collects only after half a minute in which the process had next
 * to nothing to do, once for each growth; and not where so much is alive that a collection would stop the broker for long.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Time in milliseconds from one look to the next. */
const LOOK_MS = 10_000
/** Share of one processor below which the process is idle. */
const IDLE_SHARE = 0.03
/** Looks in a row that have to find it idle. */
const IDLE_LOOKS = 3
/** Growth since the last collection from which another one is worth it: a factor, and bytes. */
const GROWTH_FACTOR = 1.3
const GROWTH_BYTES = 4 * 2 ** 20
/** Used bytes above which nothing is collected: marking them would take longer than a client should wait. */
const USED_BYTES_MAX = 192 * 2 ** 20

/** Process as it is seen here; tests bring their own. */
export interface MeasuredProcess {
  memoryUsage(): { heapTotal: number; heapUsed: number; external: number }
  cpuUsage(): { user: number; system: number }
}

export class IdleMemory {
  readonly #process: MeasuredProcess
  readonly #collect: () => void
  #cpuUs: number
  #idleLooks = 0
  /** Bytes held after the last collection; 0 before the first. */
  #heldBytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(measured: MeasuredProcess = process, collect: () => void = collectGarbage) {
    this.#process = measured
    this.#collect = collect
    this.#cpuUs = this.#cpuUsed()
  }

  start(): void {
    this.#timer = setInterval(() => this.look(LOOK_MS), LOOK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Looks at the process, `passedMs` after the last look, and collects when it is time. */
  look(passedMs: number): void {
    const cpuUs = this.#cpuUsed()
    const isIdle = cpuUs - this.#cpuUs < passedMs * 1000 * IDLE_SHARE
    this.#cpuUs = cpuUs
    this.#idleLooks = isIdle ? this.#idleLooks + 1 : 0
    if (this.#idleLooks < IDLE_LOOKS) return
    const { heapTotal, heapUsed, external } = this.#process.memoryUsage()
    if (heapUsed > USED_BYTES_MAX) return
    if (heapTotal + external < this.#heldBytes * GROWTH_FACTOR + GROWTH_BYTES) return
    this.#collect()
    const after = this.#process.memoryUsage()
    this.#heldBytes = after.heapTotal + after.external
    // What the collection itself has cost is no work.
    this.#cpuUs = this.#cpuUsed()
  }

  #cpuUsed(): number {
    const { user, system } = this.#process.cpuUsage()
    return user + system
  }
}

/**
 * Collects as V8 does when memory is short: with its new space made small and its pages given back. While
 * `--optimize-for-size` is set each collection does so; V8 13 wants to be told by the call as well, and that of Node 20
 * takes an argument for the wish to collect the new space only.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  setFlagsFromString('--optimize-for-size')
  try {
    // Node exposes its collector only on request, and to contexts made after that.
    const collect = runInNewContext('typeof gc === "function" ? gc : () => {}') as (options?: object) => void
    if (Number.parseInt(process.versions.v8, 10) < 12) collect()
    else collect({ type: 'major', flavor: 'last-resort' })
  } finally {
    setFlagsFromString('--no-optimize-for-size')
  }
}
