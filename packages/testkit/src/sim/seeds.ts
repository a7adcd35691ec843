/** Seeds that run one after the other, as `main.ts` here and in `bridge/` have them, and a run in one line. */
import { setImmediate } from 'node:timers/promises'
import { ProgressLine } from '../program.ts'

/** Result of the run of a seed. */
export interface SeedResult {
  readonly seed: number
  /** Violations, each with the name of its checker. */
  readonly violations: readonly { readonly checker: string; readonly text: string }[]
  readonly events: number
  readonly simulatedMs: number
}

export interface SeedsOptions {
  readonly from: number
  readonly count: number
  /** Whether the others run too when one has failed. */
  readonly goesOn: boolean
  run(seed: number): Promise<SeedResult>
  /** Returns the command that replays a seed, and what else to say of it. */
  replayOf(seed: number): string
  /** Called after so many runs, before the summary. */
  ended(runs: number): void
}

/** Milliseconds between two lines of progress. */
const PROGRESS_MS = 1_000
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * Runs seeds and prints those that fail, and a summary. Returns the exit code: 1 when one has failed. SIGINT and SIGTERM
 * end it after the seed at hand, with the summary of those that have run; the second one ends it at once.
 */
export async function runSeeds({ from, count, goesOn, run, replayOf, ended }: SeedsOptions): Promise<number> {
  const progress = new ProgressLine()
  const started = performance.now()
  let lastMs = started
  let simulatedMs = 0
  let events = 0
  let failed = 0
  let runs = 0
  let isStopped = false
  const stop = (): void => {
    isStopped = true
  }
  for (const signal of SIGNALS) process.once(signal, stop)
  for (let seed = from; seed < from + count && !isStopped; seed++) {
    const result = await run(seed)
    runs++
    simulatedMs += result.simulatedMs
    events += result.events
    if (result.violations.length > 0) {
      failed++
      progress.clear()
      console.log(summaryOf(result))
      console.log(`replay it with: ${replayOf(seed)}`)
      if (!goesOn) break
    }
    const nowMs = performance.now()
    if (nowMs - lastMs > PROGRESS_MS) {
      lastMs = nowMs
      progress.show(`seed ${seed}, ${runs} of ${count}`)
      // A run takes no turn of the event loop, in which a signal would come.
      await setImmediate()
    }
  }
  for (const signal of SIGNALS) process.off(signal, stop)
  progress.clear()
  ended(runs)
  const seconds = (performance.now() - started) / 1000
  const hours = (simulatedMs / 3_600_000).toFixed(1)
  console.log(
    `${runs} seeds from ${from}: ${failed} failed; ${events} events, ${hours} simulated hours in ${seconds.toFixed(1)} s (${(runs / seconds).toFixed(0)} seeds/s)`,
  )
  return failed === 0 ? 0 : 1
}

export function summaryOf({ seed, violations, events, simulatedMs }: SeedResult): string {
  const what = violations.length === 0 ? 'nothing is wrong' : `${violations[0]!.checker}: ${violations[0]!.text}`
  return `seed ${seed}: ${events} events in ${(simulatedMs / 1000).toFixed(1)} simulated seconds, ${what}`
}
