/**
 * `npm run soak -- --minutes M [--seed S] [--out FOLDER]`: runs, writes soak.json and soak.svg, and says in one line how it went.
 *
 * Exits with 1 when anything acknowledged was lost or anything grows. Bounded in time by `--minutes` and a few minutes to settle.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { drawSoak } from './chart.ts'
import { runSoak, type SoakReport } from './run.ts'

const usage = `Usage: npm run soak -- [--minutes M] [--seed S] [--out FOLDER]

  --minutes M   how long (default 10)
  --seed S      repeats the choices of a run (default: any)
  --out FOLDER  where soak.json and soak.svg go (default: ${join(tmpdir(), 'recado-soak')})`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      out: { type: 'string', default: join(tmpdir(), 'recado-soak') },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  const minutes = Number(values.minutes)
  const seed = Number(values.seed)
  if (!(minutes > 0 && minutes <= 10_080)) throw new Error('--minutes wants a number above 0, a week (10080) at most')
  if (!Number.isInteger(seed) || seed < 0) throw new Error('--seed wants a whole number from 0')
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

function verdict({ sides, seconds, restarts, violations, growing, trends, ok }: SoakReport): string {
  const acknowledged = Object.values(sides).reduce((sum, { done }) => sum + Number(done['acknowledged']), 0)
  const flat = trends.length - growing.length
  return `soak: ${ok ? 'ok' : 'NOT OK'}, ${Math.round(seconds / 6) / 10} minutes, ${acknowledged.toLocaleString('en')} messages acknowledged, ${restarts.length} restarts, ${violations} violations, ${trends.length === 0 ? 'too short to say what grows' : `${flat} of ${trends.length} series flat`}${growing.length > 0 ? ` (growing: ${growing.join(', ')})` : ''}`
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`${(error as Error).message}\n\n${usage}`)
  process.exitCode = 2
}
