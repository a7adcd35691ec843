/**
 * `npm run bench:growth`: the cost of a connection, a subscription and a retained message, from a thousand of them to a
 * million.
 *
 * No step may cost more than proportionally: the last column is the unit cost divided by that of the first, smallest
 * step. `connections` are real ones (mqload, up to the system's file limit), with traffic beside them; `transports` are
 * connections without sockets, passed to `broker.attach`, so that a million of them fit into one machine. Each step
 * runs in a process of its own, so that one's heap is not the next one's; `--max` and the free memory bound it. Prints
 * tables and writes bench/growth.json (steps that were not run stay as they are).
 */
import { execFileSync, fork } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { freemem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { contestantsOf } from './lib/contestants.mjs'
import { compiledGenerator } from './lib/generator.mjs'
import { nodeExecutable } from './lib/node.mjs'
import { optionsFrom } from './lib/options.mjs'
import { BenchError, residentBytes, runGenerator, startBroker, stopAll } from './lib/processes.mjs'
import { aligned, formatNumber } from './lib/results.mjs'

const STEP_MS = 5 * 60_000
/** Bytes that a step may need for each unit, at most; steps that need more than the free memory are left out. */
const BYTES_EACH_MAX = { transports: 12_000, subscriptions: 2_000, retained: 3_000 }
const STEPS = {
  connections: [1_000, 10_000, 19_000],
  transports: [1_000, 10_000, 100_000, 1_000_000],
  subscriptions: [1_000, 10_000, 100_000, 1_000_000],
  retained: [1_000, 10_000, 100_000, 1_000_000],
}
const usage = `npm run bench:growth -- [KIND ...] [--max N] [--node 24|PATH] [--out FILE]

  KIND        of ${Object.keys(STEPS).join(', ')}; default all
  --max N     no step beyond so many; default 1000000
  --node 24   another Node, fetched from npm or an executable
  --out FILE  default bench/growth.json`
const step = fileURLToPath(new URL('lib/growth-step.mjs', import.meta.url))

function inProcess(kind, count, node) {
  const megabytes = Math.max(2_048, Math.round((count * BYTES_EACH_MAX[kind]) / 2 ** 20))
  return new Promise((resolve) => {
    const child = fork(step, [kind, String(count)], {
      execPath: node,
      execArgv: ['--expose-gc', `--max-old-space-size=${megabytes}`],
      timeout: STEP_MS,
      killSignal: 'SIGKILL',
    })
    let result = null
    child.once('message', (message) => {
      result = message
    })
    child.once('exit', (code, signal) => resolve(result ?? { failed: `ended with ${code ?? signal}` }))
  })
}

/** Opens `count` idle connections, and then 50 pairs that exchange messages beside them. */
async function withSockets(count, port, node) {
  const contestants = contestantsOf({ only: ['recado'], nodes: [node], brokers: [] })
  const contestant = contestants.find(({ name }) => /^recado@\d+$/.test(name))
  const generator = compiledGenerator()
  const broker = await startBroker(contestant, port, '0')
  const load = (...more) =>
    runGenerator(
      [generator, '--port', String(port), '--broker-pid', String(broker.pid), '--json', ...more],
      '1',
      120_000,
    )
  try {
    const before = residentBytes(broker.pid)
    let isHeld = true
    const held = load('--scenario', 'connect', '--conns', String(count), '--duration', '12').finally(() => {
      isHeld = false
    })
    // Connections are being opened until the memory stops growing.
    let last = before
    for (let now = Number.POSITIVE_INFINITY; isHeld && now - last > 100_000; ) {
      last = residentBytes(broker.pid)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      now = residentBytes(broker.pid)
    }
    const idleBytes = last - before
    const pairs = ['--scenario', 'pairs', '--pubs', '50', '--subs', '50', '--window', '64', '--poll-us', '2000']
    const busy = await load(...pairs, '--duration', '2', '--warmup', '1')
    const idle = await held
    const failed = idle.failed ?? busy.failed
    if (failed !== undefined) return { failed }
    return {
      'RSS bytes each': idleBytes / count,
      'CPU us to connect': idle.broker_us_per_msg,
      'CPU us per message': busy.broker_us_per_msg,
    }
  } finally {
    await broker.stop()
  }
}

async function main() {
  const { values, positionals } = optionsFrom(usage, {
    allowPositionals: true,
    options: {
      max: { type: 'string', default: '1000000' },
      node: { type: 'string', default: process.execPath },
      out: { type: 'string', default: fileURLToPath(new URL('growth.json', import.meta.url)) },
    },
  })
  const kinds = positionals.length > 0 ? positionals : Object.keys(STEPS)
  const unknown = kinds.find((kind) => STEPS[kind] === undefined)
  if (unknown !== undefined)
    throw new BenchError(`there is no "${unknown}"; there are ${Object.keys(STEPS).join(', ')}`)
  const max = Number(values.max)
  if (!(max >= 1_000)) throw new BenchError(`--max ${values.max}: expected a number from 1000`)
  process.on('exit', stopAll)
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
  let port = 27_000 + (process.pid % 1_000)
  const node = nodeExecutable(values.node)
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  console.log(`node ${version}`)
  for (const kind of kinds) {
    const results = []
    for (const count of STEPS[kind].filter((each) => each <= max)) {
      const needed = count * (BYTES_EACH_MAX[kind] ?? 0)
      if (needed > freemem() * 0.8) {
        console.log(
          `${kind} ${formatNumber(count)}: left out, may need ${formatNumber(needed / 2 ** 30)} GiB of memory`,
        )
        continue
      }
      const result =
        kind === 'connections' ? await withSockets(count, port++, node) : await inProcess(kind, count, node)
      if (result.failed !== undefined) console.log(`${kind} ${formatNumber(count)}: failed: ${result.failed}`)
      else results.push({ count, result })
    }
    print(kind, results)
    if (results.length > 0) save(values.out, kind, { date: new Date().toISOString(), node: version, steps: results })
  }
}

function save(file, kind, result) {
  const all = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
  const steps = result.steps.map(({ count, result: each }) => ({ count, ...each }))
  all[kind] = { ...result, steps }
  writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`)
}

function print(kind, results) {
  if (results.length === 0) return
  const names = Object.keys(results[0].result)
  const rows = [[kind, ...names.flatMap((name) => [name, 'x']), '']]
  for (const { count, result } of results) {
    const cells = names.flatMap((name) => {
      const first = results[0].result[name]
      return [formatNumber(result[name]), first > 0 ? (result[name] / first).toFixed(2) : '-']
    })
    rows.push([formatNumber(count), ...cells, ''])
  }
  console.log(`\n${aligned(rows).join('\n')}`)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof BenchError)) throw error
  console.error(`growth: ${error.message}`)
  process.exitCode = 1
}
