/*
 * `npm run bench:start -- [--rounds N] [--on NODE]... [--beside CHECKOUT]... [--flags=FLAGS]`: how long a broker
 * takes to its first CONNACK, what processor time that costs, and what memory it has when it is idle. Mosquitto is the
 * yardstick; all take turns within a round. With Node 22 and newer once more with Node's compile cache, filled by a
 * start before.
 *
 * Linux only: processor time and memory come from /proc. Also the whole time of `recado pub` to that broker, beside
 * mosquitto_pub. Prints a table of medians.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { median } from './lib/results.mjs'

const root = join(import.meta.dirname, '..')
const programOf = (folder) => {
  const inCheckout = join(folder, 'packages', 'recado', 'bin', 'recado.js')
  return existsSync(inCheckout) ? inCheckout : join(folder, 'bin', 'recado.js')
}
const program = programOf(root)
const IDLE_MS = 5000
const CONNECT = Buffer.from('101000044d5154540402003c000470726f62', 'hex')

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    on: { type: 'string', multiple: true, default: [] },
    beside: { type: 'string', multiple: true, default: [] },
    flags: { type: 'string', default: '' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  console.log(`Usage: npm run bench:start -- [--rounds N] [--on NODE]... [--beside CHECKOUT]... [--flags="V8 FLAGS"]

  --rounds N     rounds in which each broker is started once (default: 7)
  --on NODE      a further Node, by its path; may be repeated
  --beside CHECKOUT  another checkout, built, or an installed package's folder with bin/recado.js; may be repeated
  --flags=FLAGS  measures each Node once more with these flags`)
  process.exit(0)
}
const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds ${values.rounds}: it must be a whole number from 1`)

const scratch = mkdtempSync(join(tmpdir(), 'recado-start-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

function brokers() {
  const found = []
  if (spawnSync('mosquitto', ['-h']).error === undefined)
    found.push({ name: 'mosquitto', command: ['mosquitto'], env: {} })
  for (const node of [process.execPath, ...values.on]) {
    const version = spawnSync(node, ['-v'], { encoding: 'utf8' }).stdout.trim()
    const add = (suffix, flags, env) =>
      found.push({ name: `recado, Node ${version.slice(1)}${suffix}`, command: [node, ...flags, program], env })
    add('', [], {})
    for (const other of values.beside)
      found.push({ name: `${other}, Node ${version.slice(1)}`, command: [node, programOf(other)], env: {} })
    const cache = { NODE_COMPILE_CACHE: join(scratch, `cache-${version}`) }
    const hasCache = Number(version.slice(1).split('.')[0]) >= 22
    if (hasCache) add(', compile cache', [], cache)
    const flags = values.flags.split(' ').filter((flag) => flag !== '')
    if (flags.length > 0) add(`, ${flags.join(' ')}`, flags, hasCache ? cache : {})
  }
  return found
}

async function freePort() {
  const server = createServer()
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address()
  await new Promise((closed) => server.close(closed))
  return port
}

/** Whether a connection gets a CONNACK. */
const answers = (port) =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(CONNECT))
    socket.on('data', (chunk) => {
      socket.destroy()
      done(chunk[0] === 0x20)
    })
    socket.on('error', () => done(false))
    socket.on('close', () => done(false))
  })

/** Milliseconds of processor time of a process so far. */
function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const memoryMb = (pid, field) =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) / 1024

const isLate = (child) => child.exitCode !== null || child.signalCode !== null

async function measure({ name, command, env }, publishers) {
  const port = await freePort()
  const folder = mkdtempSync(join(scratch, 'run-'))
  const file = join(folder, 'broker.conf')
  writeFileSync(
    file,
    `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location ${folder}/\nuser root\nlog_dest none\n`,
  )
  const begun = performance.now()
  const [first, ...rest] = command
  const child = spawn(first, [...rest, '-c', file], { env: { ...process.env, ...env }, stdio: 'ignore' })
  while (!(await answers(port))) {
    if (isLate(child)) throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}`)
    await sleep(5)
  }
  const result = { readyMs: performance.now() - begun, cpuMs: cpuMs(child.pid) }
  await sleep(IDLE_MS)
  result.rssMb = memoryMb(child.pid, 'Rss')
  result.anonymousMb = memoryMb(child.pid, 'Anonymous')
  const runs = publishers.map(({ name: publisher, command: [tool, ...args], env: own }) => {
    const before = performance.now()
    const { status } = spawnSync(tool, [...args, '-h', '127.0.0.1', '-p', String(port)], {
      env: { ...process.env, ...own },
      stdio: 'ignore',
    })
    if (status !== 0) throw new Error(`${publisher} ended with ${status}`)
    return { publisher, ms: performance.now() - before }
  })
  child.kill('SIGTERM')
  await new Promise((ended) => (isLate(child) ? ended() : child.on('exit', ended)))
  return { result, runs }
}

const all = brokers()
const publishers = all.map(({ name, command, env }) =>
  name === 'mosquitto'
    ? { name: 'mosquitto_pub', command: ['mosquitto_pub', '-t', 'a', '-m', 'b', '-q', '1'], env }
    : {
        name: `${name}: recado pub`,
        command: [...command, 'pub', '-t', 'a', '-m', 'b', '-q', '1'],
        env,
      },
)
const results = new Map(all.map(({ name }) => [name, []]))
const published = new Map(publishers.map(({ name }) => [name, []]))
// The first one fills the caches.
for (let round = -1; round < rounds; round++) {
  for (const broker of all) {
    const { result, runs } = await measure(broker, broker === all[0] ? publishers : [])
    if (round < 0) continue
    results.get(broker.name).push(result)
    for (const { publisher, ms } of runs) published.get(publisher).push(ms)
  }
}
const yardstick = results.get(all[0].name)
const of = (rows, field) => median(rows.map((row) => row[field]))
console.log('| broker | to CONNACK, ms | to the first | processor until then, ms | idle, RSS MB | anonymous MB |')
console.log('|---|---:|---:|---:|---:|---:|')
for (const [name, rows] of results) {
  const ready = of(rows, 'readyMs')
  const cells = [ready.toFixed(0), `${(ready / of(yardstick, 'readyMs')).toFixed(1)}x`, of(rows, 'cpuMs').toFixed(0)]
  console.log(
    `| ${name} | ${[...cells, of(rows, 'rssMb').toFixed(1), of(rows, 'anonymousMb').toFixed(1)].join(' | ')} |`,
  )
}
console.log('\n| publishing one message at QoS 1 | whole program, ms |\n|---|---:|')
for (const [name, times] of published) console.log(`| ${name} | ${median(times).toFixed(0)} |`)
