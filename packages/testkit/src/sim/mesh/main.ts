/**
 * `npm run sim:mesh`: several Cores that are one broker, under faults, one whole run for each seed.
 *
 * Ends with 1 at the first seed that fails, and says the line that replays it.
 */
import { type ProgramOptions, runProgram, type Values, wholeNumber } from '../../program.ts'
import { Coverage } from '../coverage.ts'
import { runSeeds, summaryOf } from '../seeds.ts'
import { makePlan } from './plan.ts'
import { runMeshPlan } from './run.ts'

const usage = `Usage: npm run sim:mesh -- [--seeds N] [--from S] [--coverage] [--go-on]
       npm run sim:mesh -- --seed S

  --seeds N    so many seeds, one after the other (default 1000)
  --from S     beginning with this one (default 1)
  --coverage   prints how many runs reached each fault and event
  --go-on      does not stop at the first seed that fails
  --seed S     replays one seed and prints everything that happens`

const options = {
  seeds: { type: 'string', default: '1000' },
  from: { type: 'string', default: '1' },
  seed: { type: 'string' },
  coverage: { type: 'boolean', default: false },
  'go-on': { type: 'boolean', default: false },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  if (values.seed !== undefined) return await replay(wholeNumber('seed', values.seed))
  const coverage = new Coverage()
  let checked = 0
  return await runSeeds({
    from: wholeNumber('from', values.from),
    count: wholeNumber('seeds', values.seeds),
    goesOn: values['go-on'],
    run: async (seed) => {
      const result = await runMeshPlan(makePlan(seed), { cover: coverage.note })
      coverage.runEnded()
      checked += result.checked
      return result
    },
    replayOf: (seed) => `npm run sim:mesh -- --seed ${seed}`,
    ended: () => {
      if (values.coverage) for (const [name, runs] of [...coverage.runs].sort()) console.log(`${name}: ${runs}`)
      console.log(`${checked} deliveries were owed and have come`)
    },
  })
}

async function replay(seed: number): Promise<number> {
  const plan = makePlan(seed)
  console.log(`seed ${seed}: persistent ${plan.isPersistent}, bus ${JSON.stringify(plan.bus)}`)
  for (const core of plan.cores) console.log(`core ${JSON.stringify(core)}`)
  for (const client of plan.clients) console.log(`client ${JSON.stringify(client)}`)
  const result = await runMeshPlan(plan, { trace: true })
  for (const line of result.trace) console.log(line)
  console.log(summaryOf(result))
  return result.violations.length === 0 ? 0 : 1
}

process.exitCode = await runProgram(usage, options, main)
