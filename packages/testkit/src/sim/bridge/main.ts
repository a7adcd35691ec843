/**
 * `npm run sim:bridge`: brokers that are joined by bridges, under faults, one whole run for each seed.
 *
 * Ends with 1 at the first seed that fails, and says the line that replays it.
 */
import { type ProgramOptions, runProgram, type Values, wholeNumber } from '../../program.ts'
import { makePlan } from './plan.ts'
import { type BridgeRunResult, runBridgePlan } from './run.ts'

const usage = `Usage: npm run sim:bridge -- [--seeds N] [--from S] [--coverage] [--go-on]
       npm run sim:bridge -- --seed S

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
  const from = wholeNumber('from', values.from)
  const count = wholeNumber('seeds', values.seeds)
  const reached = new Map<string, number>()
  const started = performance.now()
  let lastMs = started
  let failed = 0
  let events = 0
  let runs = 0
  let simulatedMs = 0
  for (let seed = from; seed < from + count; seed++) {
    const names = new Set<string>()
    const result = await runBridgePlan(makePlan(seed), { cover: (name) => void names.add(name) })
    for (const name of names) reached.set(name, (reached.get(name) ?? 0) + 1)
    runs++
    events += result.events
    simulatedMs += result.simulatedMs
    if (result.violations.length > 0) {
      failed++
      console.log(summaryOf(result))
      console.log(`replay it with: npm run sim:bridge -- --seed ${seed}`)
      if (!values['go-on']) break
    }
    if (performance.now() - lastMs > 10_000) {
      lastMs = performance.now()
      process.stderr.write(`seed ${seed}, ${runs} of ${count}\n`)
    }
  }
  if (values.coverage) for (const [name, times] of [...reached].sort()) console.log(`${name}: ${times}`)
  const seconds = (performance.now() - started) / 1000
  const hours = (simulatedMs / 3_600_000).toFixed(1)
  console.log(
    `${runs} seeds from ${from}: ${failed} failed; ${events} events, ${hours} simulated hours in ${seconds.toFixed(1)} s (${(runs / seconds).toFixed(0)} seeds/s)`,
  )
  return failed === 0 ? 0 : 1
}

async function replay(seed: number): Promise<number> {
  const plan = makePlan(seed)
  console.log(`seed ${seed}: ${plan.shape}`)
  for (const broker of plan.brokers) console.log(`broker ${JSON.stringify(broker)}`)
  for (const bridge of plan.bridges) console.log(`bridge ${JSON.stringify(bridge)}`)
  for (const client of plan.clients) console.log(`client ${JSON.stringify(client)}`)
  const result = await runBridgePlan(plan, { trace: true })
  for (const line of result.trace) console.log(line)
  console.log(summaryOf(result))
  return result.violations.length === 0 ? 0 : 1
}

function summaryOf({ seed, violations, events, simulatedMs }: BridgeRunResult): string {
  const what = violations.length === 0 ? 'nothing is wrong' : `${violations[0]!.checker}: ${violations[0]!.text}`
  return `seed ${seed}: ${events} events in ${(simulatedMs / 1000).toFixed(1)} simulated seconds, ${what}`
}

process.exitCode = await runProgram(usage, options, main)
