/**
 * `npm run bench:day`: a mixed day. Sparse sensors, dashboards and a bulk history share one broker, and the question is
 * how much history it carries while sensors and dashboards stay within an objective.
 *
 * Three generators run at once against one broker: 500 sensors that publish once a second at QoS 1 to two collectors; 200
 * dashboards that get 20 messages a second each; four historians that send 1 KiB at QoS 1 at a fixed rate, the step of
 * a ladder. A step is met when the 99th percentile of sensors and dashboards is within the objective, nothing is lost
 * and the history arrives at its rate. Brokers take turns on each step, and one that misses a step in every round goes
 * no higher. Prints a line per run and a table of the highest step met, with the 99.9th percentile, the longest delay
 * and the broker's CPU at that step and at the first.
 */
import { contestantsOf } from './lib/contestants.mjs'
import { compiledGenerator } from './lib/generator.mjs'
import { optionsFrom } from './lib/options.mjs'
import {
  BenchError,
  canRealTime,
  cpuMicroseconds,
  realTime,
  residentBytes,
  runGenerator,
  startBroker,
  stopAll,
} from './lib/processes.mjs'
import { formatNumber, median } from './lib/results.mjs'

const usage = `npm run bench:day -- [options]

  --steps LIST      messages of history a second; default 2000,5000,10000,20000,40000,80000
  --objective MS    99th percentile that sensors and dashboards must keep; default 10
  --rounds N        rounds of each step; default 3
  --duration S      measured seconds of a run; default 5
  --only LIST       of recado, mosquitto, aedes; default recado,mosquitto
  --node 24|PATH    another Node to run Recado with; may be repeated
  --broker NAME=CMD another broker; {port} and {dir} are replaced in CMD; may be repeated
  --real-time       broker's main thread and generators come before all else on their CPUs (needs root); otherwise the
                    percentiles are those of the scheduler when the machine does anything besides
  --json            prints every run as a JSON line too`
const { values: options } = optionsFrom(
  usage,
  {
    options: {
      steps: { type: 'string', default: '2000,5000,10000,20000,40000,80000' },
      objective: { type: 'string', default: '10' },
      rounds: { type: 'string', default: '3' },
      duration: { type: 'string', default: '5' },
      only: { type: 'string', default: 'recado,mosquitto' },
      node: { type: 'string', multiple: true, default: [] },
      broker: { type: 'string', multiple: true, default: [] },
      'real-time': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  },
  ['objective', 'rounds', 'duration'],
)
const BROKER_CPU = '0'
const LOAD_CPU = '1'
const WARMUP_SECONDS = 1
/** Seconds that a generator may take beyond those that it measures. */
const SPARE_SECONDS = 30
/** Share of its rate at which the history must arrive. */
const ARRIVES = 0.97

/** Arguments of the generators of the three kinds of clients; each generator has Client Identifiers and topics of its own. */
const kindsAt = (historyPerSecond) => ({
  sensors: '--scenario fanin --pubs 500 --subs 2 --qos 1 --rate 500',
  dashboards: '--scenario fanout --pubs 1 --subs 200 --rate 20',
  history: `--scenario pairs --pubs 4 --subs 4 --qos 1 --size 1024 --rate ${historyPerSecond}`,
})

/** Runs the three kinds against a fresh broker, and returns what each measured and what the broker used. */
async function measure(generator, contestant, port, historyPerSecond) {
  const broker = await startBroker(contestant, port, BROKER_CPU, options['real-time'])
  try {
    const seconds = Number(options.duration) + WARMUP_SECONDS
    const before = cpuMicroseconds(broker.pid)
    const startedMs = performance.now()
    const runs = Object.entries(kindsAt(historyPerSecond)).map(async ([kind, load]) => {
      const timing = ['--duration', options.duration, '--warmup', String(WARMUP_SECONDS)]
      const names = ['--cid', kind, '--prefix', kind]
      const argv = [generator, ...load.split(' '), ...names, ...timing, '--port', String(port), '--json']
      const command = options['real-time'] ? realTime(argv) : argv
      return [kind, await runGenerator(command, LOAD_CPU, (seconds + SPARE_SECONDS) * 1000)]
    })
    const kinds = Object.fromEntries(await Promise.all(runs))
    const tookMs = performance.now() - startedMs
    const cpuPercent = (cpuMicroseconds(broker.pid) - before) / tookMs / 10
    const failed = broker.ended() ?? Object.values(kinds).find((run) => run.failed !== undefined)?.failed
    return { ...kinds, failed, cpuPercent, rssBytes: residentBytes(broker.pid) }
  } finally {
    await broker.stop()
  }
}

/** Says what a run misses of the objective; null when it misses nothing. */
function missed(run, historyPerSecond) {
  if (run.failed !== undefined) return run.failed
  for (const kind of ['sensors', 'dashboards']) {
    const p99Ms = run[kind].lat_p99_us / 1000
    if (p99Ms > Number(options.objective)) return `p99 of ${kind} ${formatNumber(p99Ms)} ms`
  }
  for (const kind of ['sensors', 'dashboards', 'history']) {
    if (run[kind].lost > 0) return `${kind} lost ${run[kind].lost}`
  }
  const perSecond = run.history.recv_per_s
  return perSecond < ARRIVES * historyPerSecond ? `history arrived at ${formatNumber(perSecond)}/s` : null
}

const msOf = (run, kind, name) => formatNumber(run[kind][`lat_${name}_us`] / 1000)

function lineOf(name, step, run) {
  const start = `${formatNumber(step).padStart(8)}/s ${name.padEnd(18)}`
  if (run.failed !== undefined) return `${start} failed: ${run.failed}`
  const kinds = ['sensors', 'dashboards', 'history'].map(
    (kind) => `${kind} ${msOf(run, kind, 'p50')} ${msOf(run, kind, 'p99')} ${msOf(run, kind, 'max')}`,
  )
  const why = missed(run, step)
  return `${start} ${kinds.join('  ')} ms (p50 p99 max)  CPU ${run.cpuPercent.toFixed(0)}%${why === null ? '' : `  missed: ${why}`}`
}

async function climb(contestants, steps) {
  const generator = compiledGenerator()
  let port = 27_000 + (process.pid % 3_000)
  /** Runs of each broker: those of a step stand together. */
  const climbs = new Map(contestants.map(({ name }) => [name, []]))
  let left = contestants
  for (const step of steps) {
    const runsOf = new Map(left.map(({ name }) => [name, []]))
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const contestant of left) {
        const run = await measure(generator, contestant, port++, step)
        runsOf.get(contestant.name).push(run)
        console.log(lineOf(contestant.name, step, run))
        if (options.json) console.log(JSON.stringify({ broker: contestant.name, step, ...run }))
      }
    }
    for (const [name, runs] of runsOf) {
      const met = runs.filter((run) => missed(run, step) === null).length
      climbs.get(name).push({ step, runs, isMet: met * 2 > runs.length, isLast: met === 0 })
    }
    left = left.filter(({ name }) => !climbs.get(name).at(-1).isLast)
    if (left.length === 0) break
  }
  return climbs
}

function printTable(climbs) {
  const head = ['broker', 'history met', 'sensors p99; p99.9; longest, ms', 'dashboards', 'CPU %', 'RSS MB']
  console.log(`\n| ${head.join(' | ')} |\n|---|---:|---:|---:|---:|---:|`)
  for (const [name, climbed] of climbs) {
    const met = climbed.filter(({ isMet }) => isMet)
    const shown = new Set([met[0], met.at(-1)].filter((each) => each !== undefined))
    if (shown.size === 0) console.log(`| ${name} | none | | | | |`)
    for (const { step, runs } of shown) {
      const good = runs.filter((run) => run.failed === undefined)
      const middle = (field) => formatNumber(median(good.map(field)))
      const delays = (kind) =>
        ['p99', 'p999', 'max'].map((part) => middle((run) => run[kind][`lat_${part}_us`] / 1000)).join('; ')
      const cells = [
        `${formatNumber(step)}/s`,
        delays('sensors'),
        delays('dashboards'),
        middle((run) => run.cpuPercent),
        middle((run) => run.rssBytes / 1e6),
      ]
      console.log(`| ${name} | ${cells.join(' | ')} |`)
    }
  }
}

try {
  const steps = options.steps.split(',').map(Number)
  if (!steps.every((step) => step > 0)) throw new BenchError(`--steps ${options.steps}: expected numbers above 0`)
  if (options['real-time'] && !canRealTime()) throw new BenchError('--real-time: chrt may not do that here')
  const only = options.only.split(',').filter(Boolean)
  const contestants = contestantsOf({ only, nodes: options.node, brokers: options.broker }).filter(
    ({ isDurableOnly }) => isDurableOnly !== true,
  )
  process.on('exit', stopAll)
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
  for (const { name, version } of contestants) console.log(`${name.padEnd(18)} ${version}`)
  printTable(await climb(contestants, steps))
} catch (error) {
  if (!(error instanceof BenchError)) throw error
  console.error(`bench:day: ${error.message}`)
  process.exitCode = 1
}
