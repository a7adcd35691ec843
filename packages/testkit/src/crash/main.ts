/**
 * `npm run crash -- --rounds N --seed S [--power] [--broker mosquitto]`: kills a broker N times and counts its losses.
 *
 * Shows its progress on a terminal in one line, elsewhere line by line; the last line of stdout is the summary as JSON.
 * Exits with 1 when anything was lost, repeated at QoS 2, out of order, or otherwise not as MQTT requires.
 */
import { skipWithout } from '../peers/find.ts'
import { anySeed, type ProgramOptions, runProgram, UsageError, type Values, wholeNumber } from '../program.ts'
import { RunDisplay } from './findings.ts'
import { type CrashSummary, type PowerSummary, runCrash } from './run.ts'

const usage = `Usage: npm run crash -- [--rounds N] [--seed S] [--broker recado|mosquitto] [--power] [--durability D]

  --rounds N   how often the broker is killed (default 100; about 0.6 s each)
  --seed S     repeats the choices of a run (default: any)
  --broker B   recado (default) or mosquitto, Debian's
  --power      most kills are power cuts: what was not synced is lost, torn or kept by chance, sector by sector. Syncs may take long,
               or fail; the clock may be wrong; and many kills come at the very moment at which an acknowledgement does
  --durability D  fsync (default), os or memory: with less than fsync a power cut loses what was acknowledged`

const options = {
  rounds: { type: 'string', default: '100' },
  seed: { type: 'string', default: anySeed() },
  broker: { type: 'string', default: 'recado' },
  power: { type: 'boolean', default: false },
  durability: { type: 'string', default: 'fsync' },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const rounds = wholeNumber('rounds', values.rounds, 1)
  const seed = wholeNumber('seed', values.seed)
  const { broker } = values
  if (broker !== 'recado' && broker !== 'mosquitto')
    throw new UsageError(`--broker ${broker}: there are recado and mosquitto`)
  const missing = broker === 'mosquitto' && skipWithout('mosquitto')
  if (missing) throw new UsageError(missing)
  const without = values.power && skipWithout('cc', 'faketime')
  if (without) throw new UsageError(without)
  if (broker === 'mosquitto' && values.durability !== 'fsync')
    throw new UsageError('--durability is an option of Recado')

  const display = new RunDisplay()
  const summary = await runCrash({
    broker,
    rounds,
    seed,
    power: values.power,
    config: values.durability === 'fsync' ? [] : [`durability ${values.durability}`],
    onProgress: display.onProgress,
    onFinding: display.onFinding,
  })
  display.end()
  process.stderr.write(`${describe(summary)}\n`)
  console.log(JSON.stringify(summary))
  return summary.ok ? 0 : 1
}

function describe(s: CrashSummary): string {
  return [
    `${s.broker}: ${s.kills} kills (${s.startupKills} during start-up) in ${s.rounds} rounds and ${s.seconds} s, seed ${s.seed}`,
    `  acknowledged ${s.acknowledged} of ${s.published} published; received ${s.received}, repeated at QoS 1 ${s.repeatsQos1}`,
    `  lost ${s.lost}, QoS 2 duplicates ${s.duplicatesQos2}, out of order ${s.disordered}, corrupted ${s.corrupted}, unknown ${s.unknown}`,
    ...(s.power === null ? [] : [describePower(s.power)]),
    `  sessions lost ${s.sessionsLost}, refused ${s.refused}, faults ${s.faults}: ${s.ok ? 'ok' : 'NOT OK'}`,
  ].join('\n')
}

function describePower({ cuts, writes, unsynced, slow, failing, misdated, moments }: PowerSummary): string {
  const at = Object.entries(moments).map(([name, count]) => `${name} ${count}`)
  return [
    `  power cuts ${cuts}, which found ${unsynced} of ${writes} writes unsynced; killed at the moment of ${at.join(', ')}`,
    `  lives with a slow disk ${slow}, with one that fails ${failing}, with a wrong clock ${misdated}`,
  ].join('\n')
}

process.exitCode = await runProgram(usage, options, main)
