/** How a lane of the random walk waits: for something to be so, woken by whatever comes, and never for ever. */
import type { Stage } from './stage.ts'

/** No answer for this long, from a process that runs, is a hang. Far more than any should take on a loaded machine. */
export const BOUND_MS = 60_000

export class Patience {
  readonly #stage: Stage
  readonly #found: (kind: string, text: string) => void
  #wake: () => void = () => {}

  constructor(stage: Stage, found: (kind: string, text: string) => void) {
    this.#stage = stage
    this.#found = found
  }

  /** Something has come: whoever waits looks again. */
  wake(): void {
    this.#wake()
  }

  /** False: it was not so in time, which is a finding. */
  async until(holds: () => boolean, what: string, ms: number = BOUND_MS): Promise<boolean> {
    let deadline = performance.now() + ms
    for (let last = performance.now(); !holds(); last = performance.now()) {
      if (this.#stage.isStopping()) {
        await this.#stage.running()
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
