/**
 * Makes a failing plan short: leaves out steps, in ever smaller groups, as long as the run still fails in the same way; then
 * clients that do nothing any more keep quiet by themselves.
 */
import type { Checker } from './model/types.ts'
import type { Plan } from './plans/plan.ts'
import { type RunResult, runPlan } from './simulation.ts'

/** Runs that may be spent on it. */
const RUNS_MAX = 2_000

export async function shrink(plan: Plan, onProgress: (steps: number) => void = () => {}): Promise<Plan> {
  const first = await runPlan(plan)
  const checker = first.violations[0]?.checker
  if (checker === undefined) throw new Error(`seed ${plan.seed} does not fail`)
  let best = plan
  let runs = 0
  for (let size = Math.ceil(best.steps.length / 2); size >= 1; ) {
    let isShorter = false
    for (let at = 0; at < best.steps.length && runs < RUNS_MAX; ) {
      const steps = [...best.steps.slice(0, at), ...best.steps.slice(at + size)]
      const candidate = { ...best, steps }
      runs++
      if (failsWith(await runPlan(candidate), checker)) {
        best = candidate
        isShorter = true
        onProgress(best.steps.length)
      } else {
        at += size
      }
    }
    if (!isShorter || size > 1) {
      if (size === 1) break
      size = Math.floor(size / 2)
    }
  }
  return best
}

function failsWith({ violations }: RunResult, checker: Checker): boolean {
  return violations[0]?.checker === checker
}
