/**
 * `npm run sim`: whole systems under faults, one for each seed, against an independent model.
 *
 * Ends with 1 at the first seed that fails, and says the line that replays it.
 */
import { type ProgramOptions, ProgressLine, runProgram, type Values, wholeNumber } from '../program.ts'
import { Coverage } from './coverage.ts'
import { describe } from './plans/describe.ts'
import { makePlan, makeScenes } from './plans/make.ts'
import type { Plan } from './plans/plan.ts'
import { runSeeds, summaryOf } from './seeds.ts'
import { shrink } from './shrink.ts'
import { runPlan } from './simulation.ts'

const usage = `Usage: npm run sim -- [--seeds N] [--from S] [--coverage]
       npm run sim -- --seed S [--shrink]

  --seeds N    so many seeds, one after the other (default 1000)
  --from S     beginning with this one (default 1)
  --coverage   prints what they reached: features, faults, transitions
  --scenes     plans that are nothing but scenes: what changed x state of each message
  --go-on      does not stop at the first seed that fails
  --seed S     replays one seed and prints everything that happens
  --shrink     looks for a shorter run that fails in the same way, and prints that`

const options = {
  seeds: { type: 'string', default: '1000' },
  from: { type: 'string', default: '1' },
  seed: { type: 'string' },
  shrink: { type: 'boolean', default: false },
  coverage: { type: 'boolean', default: false },
  scenes: { type: 'boolean', default: false },
  'go-on': { type: 'boolean', default: false },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  if (values.seed !== undefined)
    return await replay((values.scenes ? makeScenes : makePlan)(wholeNumber('seed', values.seed)), values.shrink)
  return await many(
    wholeNumber('from', values.from),
    wholeNumber('seeds', values.seeds),
    values.coverage,
    values['go-on'],
    values.scenes ? makeScenes : makePlan,
  )
}

async function replay(made: Plan, isShrunk: boolean): Promise<number> {
  let plan = made
  const { seed } = plan
  const progress = new ProgressLine()
  if (isShrunk) plan = await shrink(plan, (steps) => progress.show(`shrinking: ${steps} steps`))
  progress.clear()
  console.log(`seed ${seed}`)
  console.log(`broker ${JSON.stringify(plan.broker)}`)
  for (const { profile, isLibrary, hasStore, cable } of plan.clients) {
    const { will, ...rest } = profile
    const willText = will === null ? '' : ` Will on ${will.topic} ${JSON.stringify(will.properties)}`
    console.log(
      `${hasStore ? 'stored' : isLibrary ? 'library' : 'wire'} ${JSON.stringify(rest)}${willText} ${JSON.stringify(cable)}`,
    )
  }
  if (isShrunk) for (const step of plan.steps) console.log(`step at ${step.atMs}: ${describe(step)}`)
  const result = await runPlan(plan, { trace: true })
  for (const line of result.trace) console.log(line)
  for (const { checker, text } of result.violations) console.log(`VIOLATION ${checker}: ${text}`)
  console.log(summaryOf(result))
  return result.violations.length === 0 ? 0 : 1
}

async function many(
  from: number,
  count: number,
  isCovered: boolean,
  goesOn: boolean,
  make: (seed: number) => Plan,
): Promise<number> {
  const coverage = new Coverage()
  return await runSeeds({
    ...{ from, count, goesOn },
    run: async (seed) => {
      const result = await runPlan(make(seed), { cover: coverage.note })
      coverage.runEnded()
      return result
    },
    replayOf: (seed) =>
      `npm run sim -- --seed ${seed}${make === makeScenes ? ' --scenes' : ''}   (and --shrink for a shorter one)`,
    ended: (runs) => {
      if (!isCovered) return
      for (const line of coverage.table(runs)) console.log(line)
      for (const line of coverage.pairs()) console.log(line)
      const missing = [...coverage.missing, ...coverage.missingPairs]
      console.log(missing.length === 0 ? 'everything was reached' : `never reached: ${missing.join(', ')}`)
    },
  })
}

process.exitCode = await runProgram(usage, options, main)
