/**
 * `npm run fuzz -- TARGET [options]`: runs one fuzz target, `all` that work on bytes, or the random walk (`session`).
 *
 * The last line of stdout is the summary as JSON. Exits with 1 when something was found. Each finding of bytes is then
 * a file in packages/testkit/src/fuzz/cases/, which `npm test` replays from then on, and one of the walk a script in
 * the temporary folder.
 */
import { anySeed, type ProgramOptions, runProgram, UsageError, type Values, wholeNumber } from '../program.ts'
import { walk } from '../walk/program.ts'
import { keepCase } from './cases.ts'
import { fuzz } from './fuzz.ts'
import { runLive } from './live.ts'
import type { FuzzTarget } from './target.ts'
import { targets } from './targets.ts'

const usage = `Usage: npm run fuzz -- TARGET [--runs N] [--seed S] [--no-coverage]
       npm run fuzz -- session [--runs N] [--seconds N] [--seed S] [--broker B] [--lanes N] [--restarts N]
       npm run fuzz -- session --replay FILE

  TARGET          what is fuzzed, or all of these; --target TARGET is the same:
${targets.map(({ name, doc }) => `                  ${name.padEnd(12)} ${doc}`).join('\n')}
                  not in "all", since they need a broker process:
                  live         sessions as those of "core", over sockets
                  session      clients that keep to MQTT and do all that it lets them do, on the wire; what comes back
                               is judged by a codec and a model that share no code with Recado
  --runs N        inputs (default 100000), of each target; of "session": operations of all clients together
  --seed S        repeats a run (default: any)
  --no-coverage   mutation only: faster, and blind

Only for "session":
  --seconds N     ends after this time at the latest
  --broker B      recado (default: as it comes, fsync, in a temporary folder), mosquitto, aedes, or a command with
                  {port} in it, and {data} where it wants a folder
  --lanes N       groups of clients beside each other (default 16)
  --restarts N    restarts the broker after about N operations, by SIGTERM or kill -9 (default 0: never)
  --replay FILE   plays a script that was kept, and says what it shows`

const options = {
  target: { type: 'string', default: '' },
  runs: { type: 'string', default: '100000' },
  seed: { type: 'string', default: anySeed() },
  'no-coverage': { type: 'boolean', default: false },
  seconds: { type: 'string', default: '0' },
  broker: { type: 'string', default: 'recado' },
  lanes: { type: 'string', default: '16' },
  restarts: { type: 'string', default: '0' },
  replay: { type: 'string', default: '' },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const runs = wholeNumber('runs', values.runs, 1)
  const seed = wholeNumber('seed', values.seed)
  if (values.target === 'live') return await live(runs, seed)
  if (values.target === 'session') {
    return await walk({
      target: values.broker,
      operations: runs,
      seconds: wholeNumber('seconds', values.seconds),
      seed,
      lanes: wholeNumber('lanes', values.lanes, 1),
      restartEvery: wholeNumber('restarts', values.restarts),
      replayPath: values.replay,
    })
  }
  const chosen = values.target === 'all' ? targets : targets.filter(({ name }) => name === values.target)
  if (chosen.length === 0) throw new UsageError(`${JSON.stringify(values.target)}: there is no such target`)
  let found = 0
  for (const target of chosen) found += await one(target, runs, seed, !values['no-coverage'])
  return found === 0 ? 0 : 1
}

async function one(target: FuzzTarget, runs: number, seed: number, guided: boolean): Promise<number> {
  let toldAt = performance.now()
  const result = await fuzz({
    target,
    runs,
    seed,
    guided,
    onProgress(done, corpus, blocks) {
      if (performance.now() < toldAt + 10_000 && done < runs) return
      toldAt = performance.now()
      process.stderr.write(`${target.name}: ${done} of ${runs} inputs, corpus ${corpus}, ${blocks} blocks\n`)
    },
  })
  for (const { what, input } of result.findings) {
    const path = keepCase(target.name, what, input, target.isText ?? false)
    process.stderr.write(`FOUND: ${what}\n  kept as ${path}\n`)
  }
  const { findings, ...summary } = result
  console.log(JSON.stringify({ target: target.name, seed, guided, ...summary, findings: findings.length }))
  return findings.length
}

async function live(sessions: number, seed: number): Promise<number> {
  const { scripts, ...result } = await runLive({
    sessions,
    seed,
    onProgress: (done, memoryMB) => process.stderr.write(`live: ${done} of ${sessions} sessions, ${memoryMB} MB\n`),
  })
  for (const what of result.findings) process.stderr.write(`FOUND: ${what}\n`)
  for (const script of scripts) {
    process.stderr.write(`  running then: ${keepCase('core', result.findings[0] ?? 'live', script, false)}\n`)
  }
  console.log(JSON.stringify({ target: 'live', seed, ...result }))
  return result.findings.length === 0 ? 0 : 1
}

const [first = '', ...rest] = process.argv.slice(2)
const args = first === '' || first.startsWith('-') ? process.argv.slice(2) : ['--target', first, ...rest]
process.exitCode = await runProgram(usage, options, main, args)
