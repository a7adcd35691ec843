/**
 * The pause before a bridge connects again: `restart_timeout`.
 *
 * Constant, or at random between the base and three times the last pause, up to the cap (decorrelated jitter), as in
 * Mosquitto. It begins at the base again after a connection that has lasted.
 */
import type { BridgeRestart } from '../config/bridges.ts'

export class RestartPause {
  readonly #restart: BridgeRestart
  readonly #random: () => number
  #lastSeconds: number

  /** @param random returns a number, at least 0 and less than 1 */
  constructor(restart: BridgeRestart, random: () => number) {
    this.#restart = restart
    this.#random = random
    this.#lastSeconds = baseOf(restart)
  }

  /** Returns the next pause in milliseconds. */
  nextMs(): number {
    if (this.#restart.kind === 'constant') return this.#restart.seconds * 1000
    const { baseSeconds, capSeconds } = this.#restart
    const upper = Math.max(baseSeconds, this.#lastSeconds * 3)
    this.#lastSeconds = Math.min(capSeconds, baseSeconds + this.#random() * (upper - baseSeconds))
    return this.#lastSeconds * 1000
  }

  /** Notes that a connection has ended which lasted so long. */
  connectionEnded(lastedMs: number): void {
    const stableSeconds = this.#restart.kind === 'constant' ? 0 : this.#restart.stableSeconds
    if (lastedMs >= stableSeconds * 1000) this.#lastSeconds = baseOf(this.#restart)
  }
}

const baseOf = (restart: BridgeRestart): number => (restart.kind === 'constant' ? restart.seconds : restart.baseSeconds)
