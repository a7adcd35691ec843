/**
 * `npm run bench:api`: what the HTTP API costs the MQTT clients of its broker.
 *
 * `cost`: CPU per message on pairs-q1 and sparse-q0 without the API, with it, and with all of it in use (metrics scraped
 * each second, and what a dashboard asks for), in interleaved rounds. `path`: CPU of a QoS 1 message from one connection
 * to another in this process, without sockets, with and without the API: what the API adds, on a machine that is busy,
 * too. `hold`: how long lists of clients and a scrape hold the event loop with many clients, which are connections without
 * sockets in this process; what is asked comes from a thread of its own. From Node 24 on it is CPU time; before, the
 * machine must have nothing else to do (chrt --fifo 10). `flood`: p99 of MQTT messages while wrong tokens come as fast as
 * asked, on connections that stay and on a new one for each, interleaved.
 */
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { createAdmin } from '../packages/admin/dist/mod.js'
import { createBroker, http } from '../packages/broker/dist/mod.js'
import { Connect, encode, Publish, Subscribe } from '../packages/protocol/dist/mod.js'
import { compiledGenerator } from './lib/generator.mjs'
import { optionsFrom } from './lib/options.mjs'
import { BenchError, cpuMicroseconds, realTime, runGenerator, startBroker, stopAll } from './lib/processes.mjs'
import { median } from './lib/results.mjs'
import { scenarios } from './lib/scenarios.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const RECADO = path('../packages/recado/bin/recado.js')
const DASHBOARD_MS = 2_000
const SCRAPE_MS = 1_000
const FLOOD_WARMUP_SECONDS = 4

const usage = `npm run bench:api -- [cost] [path] [hold] [flood] [options]   (default: all four)

  --rounds N       of cost and flood; default 5
  --seconds S      measured seconds of a round; default 5
  --runs LIST      scenarios of cost; default pairs-q1,sparse-q0
  --clients N      of hold; default 19000
  --times N        requests of each kind in hold; default 20
  --per-second N   wrong tokens in flood; default 5000
  --real-time      broker and load of flood come before all else on their CPUs (chrt)
  --broker-cpu N --load-cpu N   default 0 and 1`
const { values, positionals } = optionsFrom(
  usage,
  {
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      runs: { type: 'string', default: 'pairs-q1,sparse-q0' },
      clients: { type: 'string', default: '19000' },
      times: { type: 'string', default: '20' },
      'per-second': { type: 'string', default: '5000' },
      'real-time': { type: 'boolean', default: false },
      'broker-cpu': { type: 'string', default: '0' },
      'load-cpu': { type: 'string', default: '1' },
    },
  },
  ['rounds', 'seconds', 'clients', 'times', 'per-second'],
)
const isRealTime = values['real-time']
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const parts = positionals.length === 0 ? ['cost', 'path', 'hold', 'flood'] : positionals

let nextPort = 20_000 + (process.pid % 10_000)

/** Starts Recado; `isApi`: with the HTTP API on the port after that of MQTT; `isFirst`: with real-time priority. */
async function started(isApi, isFirst = false) {
  const port = nextPort
  nextPort += 2
  const api = isApi ? `listener ${port + 1} 127.0.0.1\nprotocol http_api\n` : ''
  const text = `listener {port} 127.0.0.1\n${api}allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\npersistence false\nsys_interval 0\n`
  // The other threads have no such priority: the first would wait for those of the garbage collector.
  const flags = isFirst ? ['--single-threaded-gc'] : []
  const argv = [process.execPath, ...flags, RECADO, '-c', '{dir}/broker.conf']
  const contestant = { name: 'recado', argv, files: { 'broker.conf': text } }
  return { port, broker: await startBroker(contestant, port, values['broker-cpu'], isFirst) }
}

/** Runs mqload on a broker. `scenario`: its options, as text; `isFirst`: with real-time priority. */
function load(port, broker, scenario, warmupSeconds, isFirst = false) {
  const argv = [
    ...[compiledGenerator(), '--port', String(port), '--broker-pid', String(broker.pid), '--json'],
    ...scenario.split(' '),
    ...['--warmup', String(warmupSeconds), '--duration', String(seconds)],
  ]
  return runGenerator(isFirst ? realTime(argv.map(String)) : argv, values['load-cpu'], (seconds + 60) * 1_000)
}

/** Asks as Prometheus and an open dashboard do; returns the function that ends it. */
function watch(port) {
  const url = `http://127.0.0.1:${port}`
  const get = (what) =>
    fetch(url + what)
      .then((response) => response.arrayBuffer())
      .catch(() => undefined) // the broker is being stopped
  const timers = [
    setInterval(() => get('/metrics'), SCRAPE_MS),
    setInterval(() => {
      for (const what of [
        '/api/v1/server',
        '/api/v1/history?step=1',
        '/api/v1/drops?limit=20',
        '/api/v1/clients?sort=-rateReceived&limit=20',
        '/api/v1/publications?sort=-rate&limit=20',
        '/api/v1/durability',
      ]) {
        get(what)
      }
    }, DASHBOARD_MS),
  ]
  return () => timers.forEach(clearInterval)
}

const manners = [
  { name: 'without', isApi: false, isAsked: false },
  { name: 'with, not asked', isApi: true, isAsked: false },
  { name: 'all in use', isApi: true, isAsked: true },
]

async function cost() {
  for (const name of values.runs.split(',')) {
    const scenario = scenarios[name]
    if (scenario?.load === undefined) throw new BenchError(`there is no scenario ${name} for mqload`)
    const results = manners.map(() => [])
    for (let round = 0; round < rounds; round++) {
      for (const [index, { isApi, isAsked }] of manners.entries()) {
        const { port, broker } = await started(isApi)
        const end = isAsked ? watch(port + 1) : () => undefined
        const result = await load(port, broker, scenario.load, scenario.warmup ?? 2)
        end()
        await broker.stop()
        if (result.failed !== undefined) throw new BenchError(`${name}: ${result.failed}`)
        results[index].push(result.broker_us_per_msg)
      }
    }
    console.log(`\n${name}, CPU µs per message, median of ${rounds} rounds of ${seconds} s`)
    for (const [index, { name: manner }] of manners.entries()) {
      // To the run without it in the same round.
      const ratios = results[index].map((each, round) => each / results[0][round])
      const all = results[index].map((each) => each.toFixed(2)).join(' ')
      console.log(
        `  ${manner.padEnd(16)} ${median(results[index]).toFixed(2).padStart(7)}  ${median(ratios).toFixed(3)}x   (${all})`,
      )
    }
  }
}

/** A connection without a socket: it takes all that is written. `onEnd` is called when the broker ends it. */
function silentTransport(index, onEnd) {
  return {
    remoteAddress: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:1883`,
    listener: 'bench',
    peer: null,
    bufferedBytes: 0,
    write: () => true,
    writeAll: () => true,
    end: onEnd,
    destroy: onEnd,
    pause: () => undefined,
    resume: () => undefined,
  }
}

/** Connects a client without a socket. Returns what takes its bytes. */
function attached(broker, index, clientId, protocolVersion) {
  const handler = broker.attach(silentTransport(index, () => setImmediate(() => handler.onClose(null))))
  if (handler === null) throw new BenchError(`connection ${index} was refused`)
  const connect = new Connect({ clientId, cleanStart: true, keepAliveSeconds: 0, protocolVersion })
  handler.onData(encode(connect, protocolVersion))
  return handler
}

/** Program around the broker, of which the API asks what it needs. */
const host = { version: 'bench', login: async () => null, anonymousRole: () => 'viewer', log: () => undefined }

/** Thread that asks one path after the other, and tells how long each answer took. */
const ASKING = `
const { parentPort, workerData } = require('node:worker_threads')
parentPort.on('message', async (path) => {
  const response = await fetch('http://127.0.0.1:' + workerData + path)
  const text = await response.text()
  parentPort.postMessage({ status: response.status, bytes: text.length })
})`

/** Time of this thread in microseconds: its CPU time from Node 24 on. */
function threadMicroseconds() {
  if (process.threadCpuUsage === undefined) return performance.now() * 1_000
  const { user, system } = process.threadCpuUsage()
  return user + system
}

async function hold() {
  const count = Number(values.clients)
  const limits = { connectionsMax: count + 100, connectionsPerAddressMax: count, pendingConnectionsMax: count }
  const broker = createBroker({ limits })
  for (let index = 0; index < count; index++) {
    attached(broker, index, `client-${index}`, 5)
    if (index % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const admin = createAdmin(broker, { host, requestsPerSecond: 1e6 })
  const { port } = await broker.listen({ port: 0, protocol: http(admin.handler, admin.serverOptions) })
  const worker = new Worker(ASKING, { eval: true, workerData: port })
  const ask = (what) =>
    new Promise((resolve) => {
      worker.once('message', resolve)
      worker.postMessage(what)
    })
  // The longest time from one turn of the event loop to the next. A thread's own CPU time is not that of its neighbours.
  let longest = 0
  let last = threadMicroseconds()
  let isOver = false
  const turn = () => {
    const at = threadMicroseconds()
    longest = Math.max(longest, (at - last) / 1_000)
    last = at
    if (!isOver) setImmediate(turn)
  }
  turn()
  const unit =
    process.threadCpuUsage === undefined ? 'time, with whatever else the machine does' : 'CPU time of the thread'
  console.log(
    `\nlongest hold of the event loop (${unit}), ${broker.metrics().clients} clients, ${values.times} requests each`,
  )
  for (const [what, goal] of [
    ['/metrics', 5],
    ['/api/v1/clients?limit=100', 10],
    ['/api/v1/clients?limit=1000', 10],
    ['/api/v1/clients?sort=-rateReceived&limit=100', 10],
    ['/api/v1/clients?q=client-18&limit=100', 10],
    ['/api/v1/sessions?sort=-queuedMessages&limit=100', 10],
    ['/api/v1/subscriptions?limit=1000', 10],
    ['/api/v1/history?step=1', 10],
  ]) {
    const holds = []
    for (let i = 0; i < 5; i++) await ask(what)
    for (let i = 0; i < Number(values.times); i++) {
      longest = 0
      const { status } = await ask(what)
      if (status !== 200) throw new BenchError(`${what}: ${status}`)
      await new Promise((resolve) => setImmediate(resolve))
      holds.push(longest)
    }
    const text = `median ${median(holds).toFixed(1)} ms, longest ${Math.max(...holds).toFixed(1)} ms`
    console.log(`  ${what.padEnd(48)} ${text}, goal ${goal} ms`)
  }
  isOver = true
  await worker.terminate()
  await admin.close()
  await broker.close({ timeoutMs: 1 })
}

/** A broker with 50 pairs without sockets; `publish` sends a batch of QoS 1 from each. */
function pairsWithoutSockets(isApi) {
  const broker = createBroker({ limits: { connectionsPerAddressMax: 1_000 } })
  const admin = isApi ? createAdmin(broker, { host }) : null
  const batch = 64
  const publishers = Array.from({ length: 50 }, (_, index) => {
    const subscriber = attached(broker, index, `s${index}`, 4)
    const topic = `bench/${index}`
    subscriber.onData(encode(new Subscribe(1, [{ topicFilter: topic, qos: 1 }]), 4))
    const publisher = attached(broker, index, `p${index}`, 4)
    const packet = (packetId) => encode(Publish.of({ topic, payload: Buffer.alloc(16), qos: 1, packetId }), 4)
    const chunk = Buffer.concat(Array.from({ length: batch }, (_, id) => packet(id + 1)))
    let next = 1
    const acknowledge = () => {
      const acks = Buffer.alloc(4 * batch)
      for (let i = 0; i < batch; i++) {
        acks.set([0x40, 2, next >> 8, next & 255], 4 * i)
        next = next === 65_535 ? 1 : next + 1
      }
      subscriber.onData(acks)
    }
    return { publish: () => publisher.onData(chunk), acknowledge }
  })
  return {
    messages: 50 * batch,
    async turn() {
      for (const { publish } of publishers) publish()
      await new Promise((resolve) => setImmediate(resolve))
      for (const { acknowledge } of publishers) acknowledge()
      await new Promise((resolve) => setImmediate(resolve))
    },
    received: () => broker.metrics().messagesReceived,
    async close() {
      await admin?.close()
      await broker.close({ timeoutMs: 1, graceMs: 1 })
    },
  }
}

async function inProcess() {
  const both = [pairsWithoutSockets(false), pairsWithoutSockets(true)]
  const turns = 200
  const costs = [[], []]
  for (let round = 0; round < 3 + 4 * rounds; round++) {
    for (const [index, each] of both.entries()) {
      const before = threadMicroseconds()
      for (let i = 0; i < turns; i++) await each.turn()
      // The first ones are compiled meanwhile.
      if (round >= 3) costs[index].push((threadMicroseconds() - before) / (turns * each.messages))
    }
  }
  const ratios = costs[1].map((each, round) => each / costs[0][round])
  console.log(`\na QoS 1 message from one connection to another, without sockets: ${both[0].received()} messages each`)
  console.log(
    `  without the API ${median(costs[0]).toFixed(3)} µs, with it ${median(costs[1]).toFixed(3)} µs: ${median(ratios).toFixed(3)}x`,
  )
  for (const each of both) await each.close()
}

const FLOODING = `
const { parentPort, workerData } = require('node:worker_threads')
const { connect } = require('node:net')
const { port, perSecond, sockets, isEachNew } = workerData
const counts = {}
let sent = 0
let opened = 0
let isOver = false
const all = []
const open = (index) => {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  opened++
  socket.on('error', () => undefined)
  socket.on('data', (text) => {
    for (const [, status] of text.matchAll(/HTTP\\/1\\.1 (\\d\\d\\d)/g)) counts[status] = (counts[status] ?? 0) + 1
  })
  // A flood goes on: a connection that is closed is opened again.
  socket.on('close', () => {
    if (!isOver && index !== null) setTimeout(open, 1, index)
  })
  if (index !== null) all[index] = socket
  return socket
}
if (!isEachNew) for (let index = 0; index < sockets; index++) open(index)
const token = 'rcd_0123456789ab_' + 'A'.repeat(43)
const request = 'GET /api/v1/clients HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAuthorization: Bearer ' + token + '\\r\\n\\r\\n'
const beganMs = performance.now()
const timer = setInterval(() => {
  const due = ((performance.now() - beganMs) / 1000) * perSecond
  while (sent < due) {
    const socket = isEachNew ? open(null) : all[sent % all.length]
    if (socket.writable) socket.write(request)
    sent++
  }
}, 5)
parentPort.on('message', () => {
  clearInterval(timer)
  isOver = true
  for (const socket of all) socket.destroy()
  parentPort.postMessage({ sent, opened, counts })
  parentPort.close()
})`

const floods = [
  { name: 'alone', isFlooded: false },
  { name: 'on 50 connections', isFlooded: true, isEachNew: false },
  { name: 'on a new one each', isFlooded: true, isEachNew: true },
]

async function flood() {
  const perSecond = Number(values['per-second'])
  const results = floods.map(() => [])
  const answers = floods.map(() => ({ sent: 0, opened: 0, counts: {} }))
  for (let round = 0; round < rounds; round++) {
    for (const [index, { isFlooded, isEachNew }] of floods.entries()) {
      const { port, broker } = await started(true, isRealTime)
      const workerData = { port: port + 1, perSecond, sockets: 50, isEachNew }
      const worker = isFlooded ? new Worker(FLOODING, { eval: true, workerData }) : null
      const before = cpuMicroseconds(broker.pid)
      const scenario = '--scenario pairs --pubs 100 --subs 100 --rate 5000'
      const result = await load(port, broker, scenario, FLOOD_WARMUP_SECONDS, isRealTime)
      const cpu = (cpuMicroseconds(broker.pid) - before) / ((seconds + FLOOD_WARMUP_SECONDS) * 1e6)
      if (worker !== null) {
        const said = new Promise((resolve) => worker.once('message', resolve))
        worker.postMessage('end')
        const { sent, opened, counts } = await said
        const all = answers[index]
        all.sent += sent
        all.opened += opened
        for (const [status, count] of Object.entries(counts)) all.counts[status] = (all.counts[status] ?? 0) + count
      }
      await broker.stop()
      if (result.failed !== undefined) throw new BenchError(result.failed)
      results[index].push({ p50: result.lat_p50_us, p99: result.lat_p99_us, cpu })
    }
  }
  const of = (list, key) => median(list.map((each) => each[key]))
  const priority = isRealTime ? ', broker and load with real-time priority' : ''
  console.log(
    `\n5,000 messages/s of 100 pairs, and ${perSecond} wrong tokens/s, median of ${rounds} rounds of ${seconds} s${priority}`,
  )
  for (const [index, { name, isFlooded }] of floods.entries()) {
    const list = results[index]
    // To the quiet run of the same round.
    const ratio = median(list.map(({ p99 }, round) => p99 / results[0][round].p99))
    const { sent, opened, counts } = answers[index]
    const told = isFlooded ? `, ${sent} sent on ${opened} connections, answers ${JSON.stringify(counts)}` : ''
    console.log(
      `  ${name.padEnd(18)} p50 ${(of(list, 'p50') / 1_000).toFixed(2)} ms, p99 ${(of(list, 'p99') / 1_000).toFixed(2)} ms = ${ratio.toFixed(2)}x, ${(of(list, 'cpu') * 100).toFixed(0)} % CPU${told}`,
    )
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
process.once('exit', stopAll)
try {
  for (const part of parts) {
    const run = { cost, path: inProcess, hold, flood }[part]
    if (run === undefined) throw new BenchError(`there is no part ${part}: cost, path, hold, flood`)
    await run()
  }
} catch (error) {
  if (!(error instanceof BenchError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
