/**
 * The command line of the simulations of several brokers, `bridge/main.ts` and `mesh/main.ts`: seeds one after the
 * other, or one again.
 */
import { type ProgramOptions, runProgram, type Values, wholeNumber } from '../program.ts'
import { Coverage } from './coverage.ts'
import { runSeeds, type SeedResult, summaryOf } from './seeds.ts'

const options = {
  seeds: { type: 'string', default: '1000' },
  from: { type: 'string', default: '1' },
  seed: { type: 'string' },
  coverage: { type: 'boolean', default: false },
  'go-on': { type: 'boolean', default: false },
} as const satisfies ProgramOptions

/** Result of a run, with its trace where that was asked for. */
type TracedResult = SeedResult & { readonly trace: readonly string[] }

export interface SeedProgram<Plan, Result extends TracedResult> {
  /** Name of the npm script. */
  readonly script: string
  makePlan(seed: number): Plan
  runPlan(plan: Plan, options: { trace?: boolean; cover?: (name: string) => void }): Promise<Result>
  /** Returns lines that say what a plan is, before its trace. */
  describe(plan: Plan): readonly string[]
  /** Called with the result of each run of many. */
  noted?(result: Result): void
  /** Called after all of them, before the summary. */
  ended?(): void
}

/** Runs the program, and returns its exit code: 1 at the first seed that fails. */
export async function runSeedProgram<Plan, Result extends TracedResult>(
  program: SeedProgram<Plan, Result>,
): Promise<number> {
  const { script } = program
  const usage = `Usage: npm run ${script} -- [--seeds N] [--from S] [--coverage] [--go-on]
       npm run ${script} -- --seed S

  --seeds N    so many seeds, one after the other (default 1000)
  --from S     beginning with this one (default 1)
  --coverage   prints how many runs reached each fault and event
  --go-on      does not stop at the first seed that fails
  --seed S     replays one seed and prints everything that happens`
  return await runProgram(usage, options, (values) => main(program, values))
}

async function main<Plan, Result extends TracedResult>(
  program: SeedProgram<Plan, Result>,
  values: Values<typeof options>,
): Promise<number> {
  if (values.seed !== undefined) return await replay(program, wholeNumber('seed', values.seed))
  const coverage = new Coverage()
  return await runSeeds({
    from: wholeNumber('from', values.from),
    count: wholeNumber('seeds', values.seeds),
    goesOn: values['go-on'],
    run: async (seed) => {
      const result = await program.runPlan(program.makePlan(seed), { cover: coverage.note })
      coverage.runEnded()
      program.noted?.(result)
      return result
    },
    replayOf: (seed) => `npm run ${program.script} -- --seed ${seed}`,
    ended: () => {
      if (values.coverage) for (const [name, runs] of [...coverage.runs].sort()) console.log(`${name}: ${runs}`)
      program.ended?.()
    },
  })
}

async function replay<Plan, Result extends TracedResult>(
  { makePlan, runPlan, describe }: SeedProgram<Plan, Result>,
  seed: number,
): Promise<number> {
  const plan = makePlan(seed)
  for (const line of describe(plan)) console.log(line)
  const result = await runPlan(plan, { trace: true })
  for (const line of result.trace) console.log(line)
  console.log(summaryOf(result))
  return result.violations.length === 0 ? 0 : 1
}
