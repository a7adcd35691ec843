/**
 * Pauses between attempts to connect: decorrelated jitter above a rising floor. Each pause is drawn between the floor
 * and three times the last one, up to the maximum, so that the clients of a restarted server do not come back in step.
 * The floor begins with the minimum and grows by half with each attempt, up to half of the maximum, so that pauses grow
 * whatever is drawn. They become short again only after a connection that has held for some time, so that a server
 * which accepts connections and ends them at once is not flooded.
 */
import { deferred, whenAborted } from './abort.ts'
import type { Environment, Timer } from './environment.ts'
import type { ReconnectOptions } from './options.ts'

/** Factor by which the shortest pause grows from one attempt to the next. */
const FLOOR_GROWTH = 1.5

/** Next attempt, with the fields of `ReconnectingState`. */
interface NextAttempt {
  readonly attempt: number
  readonly delayMs: number
  readonly shortLived: number
}

export class Backoff {
  readonly #environment: Environment
  readonly #minMs: number
  readonly #maxMs: number
  readonly #stableMs: number
  #lastMs: number
  /** Number of attempts since the last connection that held for `stableMs`, and of connections that did not hold. */
  #attempts = 0
  #shortLived = 0
  #timer: Timer | null = null

  constructor(
    environment: Environment,
    { minMs, maxMs, stableMs }: Required<Pick<ReconnectOptions, 'minMs' | 'maxMs' | 'stableMs'>>,
  ) {
    this.#environment = environment
    this.#minMs = minMs
    this.#maxMs = Math.max(minMs, maxMs)
    this.#stableMs = stableMs
    this.#lastMs = minMs
  }

  get attempts(): number {
    return this.#attempts
  }

  next(): NextAttempt {
    const risen = Math.min(this.#maxMs / 2, this.#minMs * FLOOR_GROWTH ** this.#attempts)
    const floor = Math.max(this.#minMs, risen)
    const upper = Math.max(floor, Math.min(this.#maxMs, this.#lastMs * 3))
    this.#lastMs = floor + this.#environment.random() * (upper - floor)
    return { attempt: ++this.#attempts, delayMs: this.#lastMs, shortLived: this.#shortLived }
  }

  /** Notes that there is a connection: when it has held long enough, everything starts anew. */
  connected(): void {
    this.#timer = this.#environment.setTimer(() => {
      this.#timer = null
      this.#lastMs = this.#minMs
      this.#attempts = 0
      this.#shortLived = 0
    }, this.#stableMs)
  }

  /** Notes that the connection has ended. */
  disconnected(): void {
    if (this.#timer === null) return
    this.#environment.clearTimer(this.#timer)
    this.#timer = null
    this.#shortLived++
  }
}

/**
 * Resolves after `ms` milliseconds, or earlier: when `signal` aborts, when a tab is shown again, or when the network is
 * back.
 */
export function pause(environment: Environment, ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = deferred<void>()
  const timer = environment.setTimer(resolve, ms)
  const wake = (): void => {
    environment.clearTimer(timer)
    resolve()
  }
  const stop = whenAborted(signal, wake)
  const stopWaking = environment.onWake?.(wake)
  return promise.finally(() => {
    stop()
    stopWaking?.()
  })
}
