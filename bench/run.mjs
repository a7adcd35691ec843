/**
 * `npm run bench`: Recado beside Mosquitto, aedes and any broker named, the same scenarios in interleaved rounds.
 *
 *   npm run bench -- [--runs a,b] [--rounds 3] [--only recado,mosquitto] [--node 24]… [--broker name='cmd {port} {dir}']…
 *
 * Each run starts its broker afresh (new folder, new port) on one CPU and the load generator (bench/load/mqload.c, compiled here) on
 * another, and stops it by its pid. Prints a line per run, then tables of medians and of ratios to the baseline run nearest in time;
 * writes bench/results.json (scenarios that were not run stay as they are) and bench/results.svg.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { drawChart } from './lib/chart.mjs'
import { contestantsOf, takesPart } from './lib/contestants.mjs'
import { compiledGenerator } from './lib/generator.mjs'
import {
  BenchError,
  canRealTime,
  realTime,
  runGenerator,
  startBroker,
  stopAll,
  watchProcesses,
} from './lib/processes.mjs'
import { formatNumber, formatRatio, fromMqload, fromRecado, judge, summarize, tableOf } from './lib/results.mjs'
import { scenarioNames, scenarios, sets } from './lib/scenarios.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const RECADO = path('../packages/recado/bin/recado.js')

const help = `npm run bench -- [options]

  --runs LIST        scenarios or sets of them, with commas; default: default
                     sets: ${Object.keys(sets).join(', ')}
  --rounds N         rounds, each with every broker; default 3
  --only LIST        of recado, mosquitto, aedes; default all three
  --node 24|PATH     another Node to run Recado with (recado@24 …), fetched from npm or an executable; may be repeated
  --broker NAME=CMD  another broker; {port} and {dir} are replaced in CMD; may be repeated
  --baseline NAME    what ratios are to; default mosquitto, or the first
  --duration S       measured seconds of a run; default 4
  --warmup S         seconds before that; default 2
  --budget MIN       start no more runs after so many minutes; default 60
  --max-noise PCT    repeat a run when other processes took more than this of a CPU; default 15
  --retries N        … at most so often, and keep the quietest; default 1
  --broker-cpu N --load-cpu N   default 0 and 1; '' does not pin
  --real-time        scenarios at a fixed rate: the broker's main thread and the generator come before all else on their CPUs (needs root);
                     otherwise their p99 is that of the scheduler when the machine does anything besides
  --out FILE         default bench/results.json (and .svg)
  --markdown         print tables in Markdown
  --list             print the scenarios and end
`

function parse() {
  try {
    return parseArgs({
      options: {
        runs: { type: 'string', default: 'default' },
        rounds: { type: 'string', default: '3' },
        only: { type: 'string', default: '' },
        node: { type: 'string', multiple: true, default: [] },
        broker: { type: 'string', multiple: true, default: [] },
        baseline: { type: 'string' },
        duration: { type: 'string', default: '4' },
        warmup: { type: 'string', default: '2' },
        budget: { type: 'string', default: '60' },
        'max-noise': { type: 'string', default: '15' },
        retries: { type: 'string', default: '1' },
        'broker-cpu': { type: 'string', default: '0' },
        'load-cpu': { type: 'string', default: '1' },
        'real-time': { type: 'boolean', default: false },
        out: { type: 'string', default: path('results.json') },
        markdown: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new BenchError(error.message)
  }
}

function number(options, name, min) {
  const value = Number(options[name])
  if (!(value >= min)) throw new BenchError(`--${name} ${options[name]}: expected a number from ${min}`)
  return value
}

function machine() {
  const all = cpus()
  return {
    cpu: all[0]?.model.trim() ?? '?',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  }
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: path('.'),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return undefined
  }
}

class Bench {
  constructor(options) {
    this.contestants = contestantsOf({
      only: options.only.split(',').filter(Boolean),
      nodes: options.node,
      brokers: options.broker,
    })
    const names = this.contestants.map(({ name }) => name)
    this.baseline = options.baseline ?? (names.includes('mosquitto') ? 'mosquitto' : names[0])
    if (!names.includes(this.baseline)) throw new BenchError(`--baseline ${this.baseline}: it does not take part`)
    this.names = scenarioNames(options.runs)
    this.rounds = number(options, 'rounds', 1)
    this.duration = number(options, 'duration', 0.5)
    this.warmup = number(options, 'warmup', 0)
    this.maxNoise = number(options, 'max-noise', 0)
    this.retries = number(options, 'retries', 0)
    this.brokerCpu = options['broker-cpu']
    this.loadCpu = options['load-cpu']
    this.isRealTime = options['real-time']
    if (this.isRealTime && !canRealTime()) throw new BenchError('--real-time: chrt may not do that here')
    this.generator = compiledGenerator()
    this.until = Date.now() + number(options, 'budget', 0) * 60_000
    this.port = 22_000 + (process.pid % 5_000)
    this.start = Date.now()
    this.runs = []
    this.isStopped = false
  }

  get isOver() {
    return this.isStopped || Date.now() > this.until
  }

  async run() {
    for (const { name, version } of this.contestants) console.log(`${name.padEnd(18)} ${version}`)
    for (const name of this.names) {
      for (let round = 0; round < this.rounds; round++) {
        for (const contestant of this.contestants) {
          if (!takesPart(contestant, scenarios[name])) continue
          if (this.isOver) return
          const run = await this.#quietest(name, contestant)
          if (this.isStopped) return
          this.runs.push({ scenario: name, kind: scenarios[name].kind, contestant: contestant.name, round, ...run })
          console.log(lineOf(name, round, contestant.name, run))
        }
      }
    }
  }

  async #quietest(name, contestant) {
    let best = null
    for (let attempt = 0; attempt <= this.retries && !this.isOver; attempt++) {
      const run = await this.#once(name, contestant)
      const isBetter =
        best === null || (run.failed === undefined && (best.failed !== undefined || run.noise < best.noise))
      if (isBetter) best = run
      if (best.failed === undefined && best.noise <= this.maxNoise) break
    }
    return best ?? { failed: 'out of time' }
  }

  async #once(name, contestant) {
    const scenario = scenarios[name]
    const at = Math.round((Date.now() - this.start) / 1000)
    this.port++
    let broker = null
    try {
      broker = await startBroker(contestant, this.port, this.brokerCpu, this.#isRealTime(scenario))
      const result =
        scenario.load === undefined ? await this.#recado(scenario, broker) : await this.#mqload(scenario, broker)
      const ended = broker.ended()
      return { at, ...(ended === null ? result : { failed: ended }) }
    } catch (error) {
      if (!(error instanceof BenchError)) throw error
      return { at, failed: error.message }
    } finally {
      await broker?.stop()
    }
  }

  async #mqload(scenario, broker) {
    const argv = [
      this.generator,
      ...scenario.load.split(' '),
      '--port',
      this.port,
      '--broker-pid',
      broker.pid,
      '--json',
    ]
    if (scenario.kind === 'rate' || scenario.kind === 'paced') {
      argv.push('--duration', scenario.seconds ?? this.duration, '--warmup', this.#warmupOf(scenario))
    }
    const command = this.#isRealTime(scenario) ? realTime(argv.map(String)) : argv.map(String)
    return fromMqload(scenario.kind, await runGenerator(command, this.loadCpu, this.#timeoutMs(scenario)))
  }

  #isRealTime(scenario) {
    return this.isRealTime && scenario.kind === 'paced' && scenario.load !== undefined
  }

  async #recado(scenario, broker) {
    const words = scenario.recado
      .replace('{duration}', this.duration)
      .replace('{warmup}', this.#warmupOf(scenario))
      .split(' ')
    const argv = [process.execPath, RECADO, 'bench', ...words, '-h', '127.0.0.1', '-p', String(this.port), '--json']
    const watched = watchProcesses(broker.pid)
    const json = await runGenerator(argv, this.loadCpu, this.#timeoutMs(scenario), watched.setGenerator)
    watched.stop()
    return fromRecado(scenario.kind, json, watched)
  }

  #warmupOf(scenario) {
    return Math.max(this.warmup, scenario.warmup ?? 0)
  }

  #timeoutMs(scenario) {
    return ((scenario.seconds ?? this.duration) + this.#warmupOf(scenario) + 60) * 1000
  }

  /** Results scenario by scenario, as in results.json. */
  scenarios() {
    const date = new Date().toISOString()
    const version = commit()
    return this.names.flatMap((name) => {
      const runs = this.runs.filter((run) => run.scenario === name)
      if (runs.length === 0) return []
      const { kind, load, recado, goal } = scenarios[name]
      const priority = this.#isRealTime(scenarios[name]) ? ', real-time' : ''
      const command = load === undefined ? `recado bench ${recado}` : `mqload ${load}${priority}`
      const rows = summarize(runs, this.baseline)
      return [{ name, kind, date, commit: version, command, goal, duration: this.duration, rows, runs }]
    })
  }
}

function lineOf(scenario, round, contestant, run) {
  const start = `${scenario.padEnd(22)} ${round} ${contestant.padEnd(16)}`
  if (run.failed !== undefined) return `${start} failed: ${run.failed}`
  const parts = [`${formatNumber(run.rate).padStart(10)}/s`, `${formatNumber(run.cpuUs).padStart(7)} us CPU each`]
  if (run.p50 !== undefined) parts.push(`p50 ${formatNumber(run.p50)} p99 ${formatNumber(run.p99)} us`)
  if (run.rssPerConnection !== undefined) parts.push(`${formatNumber(run.rssPerConnection)} B each`)
  parts.push(
    `broker ${Math.round(run.brokerCpu ?? 0)}% generator ${Math.round(run.generatorCpu ?? 0)}% noise ${Math.round(run.noise)}%`,
  )
  if (run.lost > 0) parts.push(`lost ${run.lost}`)
  return `${start} ${parts.join('  ')}`
}

function report(bench, options) {
  const done = bench.scenarios()
  for (const { name, kind, rows } of done) console.log(tableOf(name, kind, rows, options.markdown).join('\n'))
  const verdicts = done.flatMap(({ name, goal, rows }) =>
    rows
      .filter((row) => /^recado(@\d+)?$/.test(row.contestant))
      .flatMap((row) => judge(`${name} ${row.contestant}`, goal, row, rows)),
  )
  if (verdicts.length > 0 && bench.baseline === 'mosquitto') {
    console.log('\ngoals (ratios to mosquitto, unless the name says otherwise)')
    for (const { scenario, metric, goal, reached, isAtLeast, isMet, isNoisy } of verdicts) {
      const format = metric === 'rssBytes' ? formatNumber : formatRatio
      const wanted = `${isAtLeast ? '>=' : '<='} ${format(goal)}`
      console.log(
        `  ${isMet ? 'met   ' : 'MISSED'} ${scenario.padEnd(28)} ${metric.padEnd(12)} ${format(reached).padStart(7)}  goal ${wanted}${isNoisy ? '  (noisy)' : ''}`,
      )
    }
  }
  return done
}

/** Saves the scenarios of this run, in place of those of the same name. */
function save(bench, done, out) {
  let before = []
  let contestants = bench.contestants.map(({ name, version }) => ({ name, version }))
  if (existsSync(out)) {
    const old = JSON.parse(readFileSync(out, 'utf8'))
    if (old.baseline === bench.baseline) {
      before = old.scenarios
      const others = old.contestants.filter(({ name }) => !contestants.some((each) => each.name === name))
      contestants = [...contestants, ...others]
    }
  }
  const merged = [...done, ...before.filter(({ name }) => !done.some((each) => each.name === name))]
  const order = Object.keys(scenarios)
  merged.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name))
  const results = {
    date: new Date().toISOString(),
    machine: machine(),
    baseline: bench.baseline,
    contestants,
    scenarios: merged,
  }
  writeFileSync(out, `${JSON.stringify(results, null, 1)}\n`)
  writeFileSync(out.replace(/(\.json)?$/, '.svg'), drawChart(results))
}

async function main() {
  const options = parse()
  if (options.help) {
    console.log(help)
    return
  }
  if (options.list) {
    for (const name of sets.all)
      console.log(`${name.padEnd(22)} ${scenarios[name].load ?? `recado bench ${scenarios[name].recado}`}`)
    return
  }
  if (!existsSync(path('../packages/recado/dist/main.js')))
    throw new BenchError('Recado is not built yet: npm run build')
  const bench = new Bench(options)
  process.on('exit', stopAll)
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      if (bench.isStopped) process.exit(1)
      // The present run ends at once; finished measurements are still printed.
      bench.isStopped = true
      stopAll()
    })
  }
  await bench.run()
  if (bench.runs.length === 0) throw new BenchError('nothing was measured')
  const done = report(bench, options)
  if (bench.isStopped) return
  save(bench, done, options.out)
  if (Date.now() > bench.until) console.log(`\nstopped after ${options.budget} minutes (--budget)`)
  if (bench.runs.every((run) => run.failed !== undefined)) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  if (!(error instanceof BenchError) && !/there is no scenario/.test(error.message)) throw error
  console.error(`bench: ${error.message}`)
  process.exitCode = 1
}
