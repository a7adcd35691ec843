/**
 * `npm run bench:client`: @recado/client beside MQTT.js, sending and receiving at QoS 0 and 1, in interleaved rounds.
 *
 * The server runs on one CPU (bench/lib/null-server.mjs unless another is named), the client on another. Measures
 * messages per second, and CPU per message of the client's process, which counts on a machine that has other work.
 * Goals: MQTT.js times 5 at QoS 0, times 3 at QoS 1. With a real broker as server only `send` is run, and the broker
 * may be the limit. (Mosquitto is configured to take any number of messages in flight — by default it takes 20, which
 * MQTT.js ignores — and not to delay acknowledgements.)
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePort } from '@recado/client/testing'
import { optionsFrom } from './lib/options.mjs'
import { median } from './lib/results.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const usage = `npm run bench:client -- [options]

  --rounds N      default 3
  --duration S    of each measurement; default 3
  --size BYTES    payload; default 64
  --mqtt 4|5      version; default 5
  --server NAME   null (default), mosquitto or recado
  --node PATH     the Node of client and server
  --heap          only ours: the heap while --messages N (default 10000000) pass, both ways
  --store         sending at QoS 1 with the LMDB session store, beside MQTT.js, which keeps nothing`
const { values: options } = optionsFrom(
  usage,
  {
    options: {
      rounds: { type: 'string', default: '3' },
      duration: { type: 'string', default: '3' },
      size: { type: 'string', default: '64' },
      mqtt: { type: 'string', default: '5' },
      server: { type: 'string', default: 'null' },
      node: { type: 'string', default: process.execPath },
      heap: { type: 'boolean', default: false },
      store: { type: 'boolean', default: false },
      messages: { type: 'string', default: '10000000' },
    },
  },
  ['rounds', 'duration', 'size', 'messages'],
)
const GOALS = { 0: 5, 1: 3 }
const pinned = (cpu, command) => {
  try {
    execFileSync('taskset', ['-c', String(cpu), 'true'], { stdio: 'ignore' })
    return ['taskset', '-c', String(cpu), ...command]
  } catch {
    return command
  }
}

/** Command of a server, and its address if that is known before the server prints it. */
async function serverCommand(folder) {
  if (options.server === 'null') return { command: [options.node, path('lib/null-server.mjs')] }
  const port = await freePort()
  if (options.server === 'recado')
    return {
      port,
      command: [options.node, path('../packages/recado/bin/recado.js'), '-p', String(port), '--data', folder],
    }
  if (options.server !== 'mosquitto') throw new Error(`--server ${options.server}: null, mosquitto or recado`)
  const config = join(folder, 'conf')
  writeFileSync(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n`,
  )
  return { port, command: ['mosquitto', '-c', config] }
}

async function startServer() {
  const folder = mkdtempSync(join(tmpdir(), 'recado-bench-client-'))
  const { command, port } = await serverCommand(folder)
  const [file, ...args] = pinned(0, command)
  const child = spawn(file, args, { stdio: ['ignore', port === undefined ? 'pipe' : 'ignore', 'ignore'] })
  const stop = async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  if (port !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    return { port, stop }
  }
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { port: Number(line), stop }
}

async function measure(port, client, direction, qos, messages) {
  const url = `mqtt://127.0.0.1:${port}`
  const args = [client, direction, String(qos), url, options.mqtt, options.duration, options.size]
  const nodeArgs = messages === undefined ? [] : ['--expose-gc']
  const command = [options.node, ...nodeArgs, path('lib/client-load.mjs'), ...args]
  if (messages !== undefined) command.push(String(messages))
  const [file, ...rest] = pinned(1, command)
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (data) => {
    out += data
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${client} ${direction} at QoS ${qos} ended with ${code}`)
  return JSON.parse(out)
}

const rate = ({ messages, seconds }) => messages / seconds
const cpu = ({ messages, cpuSeconds }) => (cpuSeconds / messages) * 1e6

async function compare(port) {
  const directions = options.server === 'null' && !options.store ? ['send', 'receive'] : ['send']
  const ourName = options.store ? 'stored' : 'recado'
  console.log('              messages/s                    CPU per message            ratio to MQTT.js')
  console.log('              @recado/client     MQTT.js    @recado/client  MQTT.js    messages/s   CPU      goal')
  for (const direction of directions) {
    for (const qos of options.store ? [1] : [0, 1]) {
      const results = { [ourName]: [], mqttjs: [] }
      for (let round = 0; round < Number(options.rounds); round++) {
        for (const client of round % 2 === 0 ? [ourName, 'mqttjs'] : ['mqttjs', ourName]) {
          results[client].push(await measure(port, client, direction, qos))
        }
      }
      const [ours, theirs] = [results[ourName], results.mqttjs]
      // The ratio is that of the rounds themselves: other work on the machine affects both halves of a round.
      const rates = median(ours.map((result, i) => rate(result) / rate(theirs[i])))
      const cpus = median(ours.map((result, i) => cpu(theirs[i]) / cpu(result)))
      const numbers = [ours, theirs].map((all) =>
        Math.round(median(all.map(rate)))
          .toLocaleString('en')
          .padStart(12),
      )
      const micros = [ours, theirs].map((all) => `${median(all.map(cpu)).toFixed(2)} µs`.padStart(12))
      const goal = GOALS[qos]
      const verdict = rates >= goal ? 'yes' : 'no'
      console.log(
        `${direction.padEnd(8)} QoS ${qos}${numbers.join('')}  ${micros.join('')}  ${rates.toFixed(1).padStart(10)}x ${cpus.toFixed(1).padStart(6)}x  >= ${goal}: ${verdict}`,
      )
    }
  }
}

async function showHeap(port) {
  for (const direction of ['send', 'receive']) {
    for (const qos of [0, 1]) {
      const { heap, messages, seconds } = await measure(port, 'recado', direction, qos, Number(options.messages))
      const megabytes = heap.map((bytes) => (bytes / 1e6).toFixed(1)).join(' ')
      console.log(
        `${direction} QoS ${qos}: ${messages} messages in ${seconds.toFixed(0)} s; heap in MB on the way: ${megabytes}`,
      )
    }
  }
}

const server = await startServer()
try {
  console.log(
    `server ${options.server}, MQTT ${options.mqtt === '5' ? '5.0' : '3.1.1'}, ${options.size} bytes, Node ${process.version}`,
  )
  await (options.heap ? showHeap(server.port) : compare(server.port))
} finally {
  await server.stop()
}
