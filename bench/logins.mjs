/**
 * `npm run bench:logins`: the effect of a flood of failed logins on the other clients.
 *
 * 100 pairs exchange 5,000 messages a second (mqload) while another process tries passwords, half of them of a known
 * user. Rounds with and without the flood alternate, and so do the brokers. The broker has one CPU, also for its
 * hashes; the load has the other, and there the flood has a lower priority than mqload: the time that mqload waits for
 * a CPU would be counted as the broker's latency. With --real-time mqload and the broker's main thread come before
 * everything else on the machine, and the flood right behind mqload. Prints p50 and p99 of the messages in both cases
 * and their ratio, which is to be at most 3, and the answers to the logins. The password file is `recado passwd`'s with
 * its own number of iterations, the same for both brokers.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compiledGenerator } from './lib/generator.mjs'
import { optionsFrom } from './lib/options.mjs'
import { BenchError, canRealTime, findProgram, realTime, runGenerator, startBroker, stopAll } from './lib/processes.mjs'
import { median } from './lib/results.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const RECADO = path('../packages/recado/bin/recado.js')
const RATIO_MAX = 3
/** Niceness of the flood. */
const NICE = '10'
const BEHIND_REAL_TIME = ['chrt', '--fifo', '5']

const usage = `npm run bench:logins -- [options]

  --per-second N   failed logins; default 5000
  --rounds N       default 3
  --seconds S      of each round; default 6
  --hash HASH      of the password file; default sha512-pbkdf2
  --iterations N   of the hash; default: as recado passwd
  --only LIST      of recado, mosquitto; default both
  --real-time      mqload and the broker's main thread come before everything else on their CPUs (needs root)
  --broker-cpu N --load-cpu N   default 0 and 1`
const { values } = optionsFrom(
  usage,
  {
    options: {
      'per-second': { type: 'string', default: '5000' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '6' },
      hash: { type: 'string', default: 'sha512-pbkdf2' },
      iterations: { type: 'string' },
      only: { type: 'string', default: 'recado,mosquitto' },
      'real-time': { type: 'boolean', default: false },
      'broker-cpu': { type: 'string', default: '0' },
      'load-cpu': { type: 'string', default: '1' },
    },
  },
  ['per-second', 'rounds', 'seconds'],
)
const perSecond = Number(values['per-second'])
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const isRealTime = values['real-time']

function passwordFile() {
  const folder = mkdtempSync(join(tmpdir(), 'recado-logins-'))
  const file = join(folder, 'passwords')
  const options = ['-H', values.hash, ...(values.iterations === undefined ? [] : ['-I', values.iterations])]
  const made = spawnSync(process.execPath, [RECADO, 'passwd', ...options, '-c', '-b', file, 'ada', 'right'])
  if (made.status !== 0) throw new BenchError(String(made.stderr))
  const text = readFileSync(file, 'utf8')
  rmSync(folder, { recursive: true })
  return text
}

function contestants(passwords) {
  const config = [
    'listener {port} 127.0.0.1',
    'allow_anonymous true',
    'password_file {dir}/passwords',
    'persistence false',
    'log_type error',
    'max_queued_messages 0',
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ].join('\n')
  const files = { 'broker.conf': `${config}\n`, passwords }
  const recado = { name: 'recado', argv: [process.execPath, RECADO, '-c', '{dir}/broker.conf'], files }
  const mosquitto = { name: 'mosquitto', argv: [findProgram('mosquitto'), '-c', '{dir}/broker.conf'], files }
  const wanted = values.only.split(',')
  return [recado, mosquitto].filter(({ name, argv }) => wanted.includes(name) && argv[0] !== null)
}

async function round(contestant, port, isFlooded) {
  const broker = await startBroker(contestant, port, values['broker-cpu'], isRealTime)
  try {
    const argv = [
      compiledGenerator(),
      ...['--port', String(port), '--broker-pid', String(broker.pid), '--json', '--scenario', 'pairs'],
      ...['--pubs', '100', '--subs', '100', '--rate', '5000', '--warmup', '3', '--duration', String(seconds)],
    ]
    const load = runGenerator(isRealTime ? realTime(argv) : argv, values['load-cpu'], (seconds + 60) * 1_000)
    const flood = isFlooded
      ? await runGenerator(
          [
            ...(isRealTime ? BEHIND_REAL_TIME : ['nice', '-n', NICE]),
            compiledGenerator('loginflood'),
            String(port),
            String(perSecond),
            String(seconds + 3),
          ],
          values['load-cpu'],
          (seconds + 60) * 1_000,
        )
      : null
    return { messages: await load, flood }
  } finally {
    await broker.stop()
  }
}

const each = (list) => list.map(({ messages }) => (messages.lat_p99_us / 1_000).toFixed(2)).join(' ')
const shown = (microseconds) => `${(microseconds / 1_000).toFixed(2)} ms`

async function main() {
  if (isRealTime && !canRealTime()) throw new BenchError('--real-time: chrt may not do that here')
  const passwords = passwordFile()
  let port = 20_000 + (process.pid % 10_000)
  let isGood = true
  console.log(
    `${passwords.split('$').slice(1, 3).join('$')}: ${perSecond} failed logins a second, ${rounds} rounds of ${seconds} s`,
  )
  const tested = contestants(passwords).map((contestant) => ({ contestant, results: { quiet: [], flooded: [] } }))
  for (let i = 0; i < rounds; i++) {
    for (const { contestant, results } of tested) {
      results.quiet.push(await round(contestant, port++, false))
      results.flooded.push(await round(contestant, port++, true))
    }
  }
  for (const { contestant, results } of tested) {
    const of = (list, key) => median(list.map(({ messages }) => messages[key] ?? Number.POSITIVE_INFINITY))
    const ratio = of(results.flooded, 'lat_p99_us') / of(results.quiet, 'lat_p99_us')
    const floods = results.flooded.map(({ flood }) => flood)
    const sum = (key) => floods.reduce((total, flood) => total + (flood?.[key] ?? 0), 0)
    console.log(`
${contestant.name}
  messages alone    p50 ${shown(of(results.quiet, 'lat_p50_us'))}, p99 ${shown(of(results.quiet, 'lat_p99_us'))}
  beside the flood  p50 ${shown(of(results.flooded, 'lat_p50_us'))}, p99 ${shown(of(results.flooded, 'lat_p99_us'))}: ${ratio.toFixed(2)} times the p99
  p99 of the rounds ${each(results.quiet)} alone, ${each(results.flooded)} beside
  lost              ${results.flooded.map(({ messages }) => messages.lost ?? '?').join(', ')}
  logins            ${floods.map((flood) => `${flood?.perSecond}/s`).join(', ')}: ${sum('refused')} refused, ${sum('busy')} told to come later, ${sum('unanswered')} unanswered, ${sum('heldBack')} not tried because 4,000 waited, ${sum('accepted')} accepted`)
    if (contestant.name === 'recado' && !(ratio <= RATIO_MAX)) isGood = false
  }
  if (!isGood) {
    console.log(`\nThe p99 beside the flood is more than ${RATIO_MAX} times that without.`)
    process.exitCode = 1
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
process.once('exit', stopAll)
try {
  await main()
} catch (error) {
  if (!(error instanceof BenchError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
