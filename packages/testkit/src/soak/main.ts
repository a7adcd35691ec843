/**
 * `npm run soak -- --minutes M [--seed S] [--out FOLDER]`: runs, writes soak.json and soak.svg, and prints the result
 * in one line.
 *
 * Exits with 1 when anything acknowledged was lost or anything grows. Bounded in time by `--minutes` and a few minutes
 * to settle.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { anySeed, numberUpTo, type ProgramOptions, runProgram, type Values, wholeNumber } from '../program.ts'
import { drawSoak } from './chart.ts'
import { runSoak, type SoakReport } from './run.ts'

const WEEK_MINUTES = 10_080

const usage = `Usage: npm run soak -- [--minutes M] [--seed S] [--out FOLDER]

  --minutes M   how long (default 10, at most a week: ${WEEK_MINUTES})
  --seed S      repeats the choices of a run (default: any)
  --out FOLDER  where soak.json and soak.svg go (default: ${join(tmpdir(), 'recado-soak')})`

const options = {
  minutes: { type: 'string', default: '10' },
  seed: { type: 'string', default: anySeed() },
  out: { type: 'string', default: join(tmpdir(), 'recado-soak') },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const minutes = numberUpTo('minutes', values.minutes, WEEK_MINUTES)
  const seed = wholeNumber('seed', values.seed)
  const folder = resolve(process.env['INIT_CWD'] ?? '.', values.out)
  mkdirSync(folder, { recursive: true })
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  const { report, columns } = await runSoak({ seconds: minutes * 60, seed, onProgress: say, onFinding: say })
  const title = verdict(report)
  const note = `Second half judged (right of the dotted line): growth by the slope of Theil and Sen, chance by Mann and Kendall (z > 2.33). Orange: restart. Seed ${seed}, Node ${report.node}, ${report.startedAt.slice(0, 10)}.`
  writeFileSync(join(folder, 'soak.json'), `${JSON.stringify(report)}\n`)
  writeFileSync(join(folder, 'soak.svg'), drawSoak(columns, { title, note, minutes, restarts: report.restarts }))
  say(`wrote ${folder}/soak.json and soak.svg`)
  console.log(title)
  return report.ok ? 0 : 1
}

function verdict({ brokers, seconds, restarts, violations, growing, trends, ok }: SoakReport): string {
  const acknowledged = Object.values(brokers).reduce((sum, { done }) => sum + Number(done['acknowledged']), 0)
  const flat = trends.length - growing.length
  return `soak: ${ok ? 'ok' : 'NOT OK'}, ${Math.round(seconds / 6) / 10} minutes, ${acknowledged.toLocaleString('en')} messages acknowledged, ${restarts.length} restarts, ${violations} violations, ${trends.length === 0 ? 'too short to say what grows' : `${flat} of ${trends.length} series flat`}${growing.length > 0 ? ` (growing: ${growing.join(', ')})` : ''}`
}

process.exitCode = await runProgram(usage, options, main)
