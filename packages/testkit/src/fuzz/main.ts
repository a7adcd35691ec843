/**
 * `npm run fuzz -- --target T [--runs N] [--seed S] [--no-coverage]`: runs one fuzz target, or `all` of them.
 *
 * The last line of stdout is the summary as JSON. Exits with 1 when something was found; each finding is then a file in
 * packages/testkit/src/fuzz/cases/, which `npm test` replays from then on.
 */
import { anySeed, type ProgramOptions, runProgram, UsageError, type Values, wholeNumber } from '../program.ts'
import { keepCase } from './cases.ts'
import { fuzz } from './fuzz.ts'
import { runLive } from './live.ts'
import type { FuzzTarget } from './target.ts'
import { targets } from './targets.ts'

const usage = `Usage: npm run fuzz -- --target T [--runs N] [--seed S] [--no-coverage]

  --target T      what is fuzzed, or all:
${targets.map(({ name, doc }) => `                  ${name.padEnd(12)} ${doc}`).join('\n')}
                  live         sessions as those of "session", on a broker process, over sockets; not in "all"
  --runs N        inputs (default 100000), of each target
  --seed S        repeats a run (default: any)
  --no-coverage   mutation only: faster, and blind`

const options = {
  target: { type: 'string', default: '' },
  runs: { type: 'string', default: '100000' },
  seed: { type: 'string', default: anySeed() },
  'no-coverage': { type: 'boolean', default: false },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const runs = wholeNumber('runs', values.runs, 1)
  const seed = wholeNumber('seed', values.seed)
  if (values.target === 'live') return await live(runs, seed)
  const chosen = values.target === 'all' ? targets : targets.filter(({ name }) => name === values.target)
  if (chosen.length === 0) throw new UsageError(`--target ${JSON.stringify(values.target)}: there is no such target`)
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
    process.stderr.write(`  running then: ${keepCase('session', result.findings[0] ?? 'live', script, false)}\n`)
  }
  console.log(JSON.stringify({ target: 'live', seed, ...result }))
  return result.findings.length === 0 ? 0 : 1
}

process.exitCode = await runProgram(usage, options, main)
