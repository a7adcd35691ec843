/**
 * How long to wait before the next attempt to connect, and waiting: decorrelated jitter. Each pause is drawn between the minimum and
 * three times the last one, up to the maximum, so that the clients of a server that restarts do not come back in step.
 */
import { deferred, whenAborted } from './abort.ts'
import type { Environment } from './environment.ts'

export class Backoff {
  readonly #minMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #lastMs: number

  constructor(minMs: number, maxMs: number, random: () => number) {
    this.#minMs = minMs
    this.#maxMs = Math.max(minMs, maxMs)
    this.#random = random
    this.#lastMs = minMs
  }

  nextMs(): number {
    const upper = Math.min(this.#maxMs, this.#lastMs * 3)
    this.#lastMs = this.#minMs + this.#random() * (upper - this.#minMs)
    return this.#lastMs
  }

  /** After a connection that held long enough. */
  reset(): void {
    this.#lastMs = this.#minMs
  }
}

/** Resolves after `ms`, or before: when `signal` aborts, when a tab is shown again, or when the network is back. */
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
