/**
 * `npm run bridge -- [--near B] [--far B] [--version V] [--cuts N] [--kills N] [--seed S]`: joins two brokers by a
 * bridge, cuts the line and kills the brokers, and counts what is lost.
 *
 * Shows its progress on a terminal in one line, elsewhere line by line; the last line of stdout is the summary as JSON.
 * Exits with 1 when anything was lost, repeated at QoS 0 or 2, out of order, or retained in one place only.
 */
import '../own-network.ts'
import { RunDisplay } from '../crash/findings.ts'
import { skipWithout } from '../peers/find.ts'
import { anySeed, type ProgramOptions, runProgram, UsageError, type Values, wholeNumber } from '../program.ts'
import { type BridgeSummary, runBridge } from './run.ts'
import { skipWithoutSites } from './sites.ts'

const usage = `Usage: npm run bridge -- [--near B] [--far B] [--mqtt V] [--cuts N] [--kills N] [--seed S]

  --near B   broker with the bridge in its configuration: recado (default) or mosquitto, Debian's
  --far B    broker that the bridge connects to
  --mqtt V   version of the bridge: 3 (3.1), 4 (3.1.1, default) or 5 (5.0)
  --cuts N   faults of the line (default 50; about 2 s each)
  --kills N  times that one of the brokers is killed (default 20)
  --seed S   repeats the choices of a run (default: any)`

const options = {
  near: { type: 'string', default: 'recado' },
  far: { type: 'string', default: 'recado' },
  mqtt: { type: 'string', default: '4' },
  cuts: { type: 'string', default: '50' },
  kills: { type: 'string', default: '20' },
  seed: { type: 'string', default: anySeed() },
} as const satisfies ProgramOptions

async function main(values: Values<typeof options>): Promise<number> {
  const [near, far] = (['near', 'far'] as const).map((name) => {
    const kind = values[name]
    if (kind !== 'recado' && kind !== 'mosquitto')
      throw new UsageError(`--${name} ${kind}: there are recado and mosquitto`)
    const missing = kind === 'mosquitto' && skipWithout('mosquitto')
    if (missing) throw new UsageError(missing)
    return kind
  })
  if (!/^[345]$/.test(values.mqtt)) throw new UsageError(`--mqtt ${values.mqtt}: there are 3, 4 and 5`)
  const without = skipWithoutSites()
  if (without) throw new UsageError(without)

  const display = new RunDisplay()
  const summary = await runBridge({
    near: near!,
    far: far!,
    version: Number(values.mqtt) as 3 | 4 | 5,
    cuts: wholeNumber('cuts', values.cuts),
    kills: wholeNumber('kills', values.kills),
    seed: wholeNumber('seed', values.seed),
    onProgress: display.onProgress,
    onFinding: display.onFinding,
  })
  display.end()
  process.stderr.write(`${describe(summary)}\n`)
  console.log(JSON.stringify(summary))
  return summary.ok ? 0 : 1
}

function describe(s: BridgeSummary): string {
  return [
    `${s.near} -> ${s.far}, MQTT ${s.version}: ${s.cuts} cuts and ${s.kills} kills in ${s.seconds} s, seed ${s.seed}`,
    `  acknowledged ${s.acknowledged} of ${s.published - s.published0} published; received ${s.received}, repeated at QoS 1 ${s.repeatsQos1}`,
    `  QoS 0: ${s.received0} of ${s.published0} crossed`,
    `  lost ${s.lost}, QoS 2 duplicates ${s.duplicatesQos2}, QoS 0 duplicates ${s.duplicatesQos0}, out of order ${s.disordered}, corrupted ${s.corrupted}, unknown ${s.unknown}`,
    `  retained wrong ${s.retainedWrong}, sessions lost ${s.sessionsLost}, faults ${s.faults}: ${s.ok ? 'ok' : 'NOT OK'}`,
  ].join('\n')
}

process.exitCode = await runProgram(usage, options, main)
