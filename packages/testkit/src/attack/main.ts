/**
 * `npm run attack -- [--only NAMES] [--brokers NAMES] [--seconds S]`: attacks brokers and prints the effect on others.
 *
 * Prints a table in Markdown; `--out FILE` keeps the figures as JSON, one result a line, and appends to the file.
 */
import '../own-network.ts'
import { appendFileSync } from 'node:fs'
import { skipWithout } from '../peers/find.ts'
import { numberUpTo, type ProgramOptions, runProgram, UsageError, type Values } from '../program.ts'
import { attacks } from './attacks.ts'
import { whyNoNamespace } from './netns.ts'
import { type AttackResult, contestants, runAttack } from './run.ts'

const usage = `Usage: npm run attack -- [options]

  --only LIST     attacks, with commas (default: all)
${attacks.map(({ name, doc }) => `                    ${name.padEnd(20)} ${doc}`).join('\n')}
  --brokers LIST  of ${contestants.map(({ name }) => name).join(', ')} (default: all)
  --seconds S     of each attack (default 4); it is quiet for half as long before
  --out FILE      adds the results to this file, one line of JSON each`

const options = {
  only: { type: 'string', default: '' },
  brokers: { type: 'string', default: '' },
  seconds: { type: 'string', default: '4' },
  out: { type: 'string', default: '' },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const seconds = numberUpTo('seconds', values.seconds, 60)
  const chosen = named(attacks, values.only, '--only')
  const brokers = named(contestants, values.brokers, '--brokers')
  const missing = brokers.some(({ kind }) => kind === 'mosquitto') && skipWithout('mosquitto')
  if (missing) throw new UsageError(missing)
  const results: AttackResult[] = []
  for (const attack of chosen) {
    for (const contestant of brokers) {
      if (attack.isOurs === true && contestant.kind === 'mosquitto') continue
      const missing = attack.isElsewhere === true ? whyNoNamespace() : ''
      if (missing !== '') {
        process.stderr.write(`${attack.name} is left out: ${missing}\n`)
        continue
      }
      const result = await runAttack({
        attack,
        contestant,
        quietMs: seconds * 500,
        attackMs: seconds * 1000,
        lateMs: 5_000,
      })
      results.push(result)
      process.stderr.write(`${row(result)}\n`)
      if (values.out !== '') appendFileSync(values.out, `${JSON.stringify(result)}\n`)
    }
  }
  console.log([HEAD, ...results.map(row)].join('\n'))
  return results.some((result) => result.broker !== 'mosquitto' && hasFailed(result)) ? 1 : 0
}

function named<T extends { readonly name: string }>(all: readonly T[], list: string, option: string): readonly T[] {
  if (list === '') return all
  return list.split(',').map((name) => {
    const found = all.find((each) => each.name === name)
    if (found === undefined) throw new UsageError(`${option} ${name}: there is none of this name`)
    return found
  })
}

const HEAD = `| attack | broker | did | CPU | memory MB | disk MB | p50 quiet → attack | p99 quiet → attack | p99 × | worst | lost | thrown out | ended | forged |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|`

const hasFailed = ({ died, felt, there, left, forged }: AttackResult): boolean =>
  died !== '' || felt.lost + (there?.felt.lost ?? 0) > 0 || left > 0 || forged > 0

/** One row of the table; with two pairs its figures are those on plain TCP / on the listener that is attacked. */
function row(result: AttackResult): string {
  const { attack, broker, size, ended, left, logged, forged, cpu, memoryBeforeMB, memoryPeakMB, died } = result
  const pairs = [{ quiet: result.quiet, felt: result.felt }, ...(result.there === null ? [] : [result.there])]
  const each = (show: (pair: (typeof pairs)[number]) => string): string => pairs.map(show).join(' / ')
  const ms = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(value < 10 ? 1 : 0))
  const cells = [
    attack,
    broker,
    size.toLocaleString('en-US'),
    `${Math.round(cpu * 100)} %`,
    `${memoryBeforeMB} → ${memoryPeakMB}`,
    `${result.diskPeakMB}`,
    each(({ quiet, felt }) => `${ms(quiet.p50Ms)} → ${ms(felt.p50Ms)}`),
    each(({ quiet, felt }) => `${ms(quiet.p99Ms)} → ${ms(felt.p99Ms)}`),
    each(({ quiet, felt }) => ms(felt.p99Ms / quiet.p99Ms)),
    each(({ felt }) => ms(felt.worstMs)),
    each(({ felt }) => `${felt.lost} of ${felt.sent}`),
    died === '' ? each(({ felt }) => `${felt.disconnects}`) : `broker ${died}`,
    left === 0 ? ended.toLocaleString('en-US') : `${ended.toLocaleString('en-US')}, ${left} left`,
    logged === 0 ? '–' : `${forged} of ${logged}`,
  ]
  return `| ${cells.join(' | ')} |`
}

process.exitCode = await runProgram(usage, options, main)
