/** The wait of a lane of the random walk: for a condition, checked after each event, and never for ever. */
import type { LaneEnvironment } from './environment.ts'

/**
 * Time in milliseconds without an answer, from a process that runs, that counts as a hang. Far more than any answer
 * should take on a loaded machine.
 */
export const BOUND_MS = 60_000

export class Waiter {
  readonly #environment: LaneEnvironment
  readonly #found: (kind: string, text: string) => void
  #wake: () => void = () => {}

  constructor(environment: LaneEnvironment, found: (kind: string, text: string) => void) {
    this.#environment = environment
    this.#found = found
  }

  /** Wakes the waits, which check their conditions again. */
  wake(): void {
    this.#wake()
  }

  /** Waits for a condition. Returns false when it did not hold in time, which is a finding. */
  async until(holds: () => boolean, what: string, ms: number = BOUND_MS): Promise<boolean> {
    let deadline = performance.now() + ms
    for (let last = performance.now(); !holds(); last = performance.now()) {
      if (this.#environment.isStopping()) {
        await this.#environment.running()
        deadline = performance.now() + ms
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20)
        this.#wake = () => {
          clearTimeout(timer)
          setImmediate(resolve)
        }
      })
      // When this process gets no time, the broker had none either
      const gap = performance.now() - last
      if (gap > 1_000) deadline += gap
      if (performance.now() < deadline) continue
      if (what !== '') this.#found('unanswered', `${what} has not come within ${ms / 1000} s`)
      return false
    }
    return true
  }
}
