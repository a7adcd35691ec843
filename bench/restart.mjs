/*
 * `npm run bench:restart -- [--sessions N] [--rounds N] [--on NODE]...`: how long a broker with many sessions and
 * messages on its disk is away when it is stopped and started again, as an upgrade of the package does.
 *
 * From SIGTERM to the end of the process, and from the start of the next one to its first CONNACK, by the clock and in
 * processor time; then a tenth of the sessions is resumed and has to get all that waited. Each session subscribes with
 * QoS 1 to one of 100 topics and leaves; ten messages are published to each topic. Linux only.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { median } from './lib/results.mjs'

const TOPICS = 100
const MESSAGES_PER_TOPIC = 10
const AT_ONCE = 200
const program = join(import.meta.dirname, '..', 'packages', 'recado', 'bin', 'recado.js')

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '3' },
    on: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  console.log(`Usage: npm run bench:restart -- [--sessions N] [--rounds N] [--on NODE]...

  --sessions N  durable sessions (default: 10000)
  --rounds N    restarts that are measured (default: 3)
  --on NODE     a further Node, by its path; may be repeated`)
  process.exit(0)
}
const whole = (name) => {
  const number = Number(values[name])
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} ${values[name]}: it must be a whole number`)
  return number
}
const [sessions, rounds] = [whole('sessions'), whole('rounds')]

const text = (value) => Buffer.concat([Buffer.from([value.length >> 8, value.length & 255]), Buffer.from(value)])
function packet(type, ...parts) {
  const body = Buffer.concat(parts)
  if (body.length > 127) throw new Error('the packets of this program are short')
  return Buffer.concat([Buffer.from([type, body.length]), body])
}
const connectPacket = (id, isClean) => packet(0x10, text('MQTT'), Buffer.from([4, isClean ? 2 : 0, 0, 60]), text(id))
const subscribePacket = (topic) => packet(0x82, Buffer.from([0, 1]), text(topic), Buffer.from([1]))
const publishPacket = (topic, id) => packet(0x32, text(topic), Buffer.from([id >> 8, id & 255]), Buffer.from('message'))
const DISCONNECT = Buffer.from([0xe0, 0])

/** Connection that calls `onPacket` with the type and the body of each packet. Rejects when it cannot connect. */
async function opened(port, onPacket) {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 2 && rest.length >= 2 + rest[1]) {
      onPacket(rest[0] & 0xf0, rest.subarray(2, 2 + rest[1]), socket)
      rest = rest.subarray(2 + rest[1])
    }
  })
  return socket
}

/** Runs `work` for each number below `count`, some at a time. */
async function forEach(count, work) {
  let next = 0
  const worker = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

async function subscribe(port, number) {
  const socket = await opened(port, (type) => {
    if (type === 0x90) socket.end(DISCONNECT)
  })
  socket.write(Buffer.concat([connectPacket(`s${number}`, false), subscribePacket(`t/${number % TOPICS}`)]))
  await once(socket, 'close')
}

async function publish(port) {
  const count = TOPICS * MESSAGES_PER_TOPIC
  let acknowledged = 0
  const socket = await opened(port, (type) => {
    if (type === 0x40 && ++acknowledged === count) socket.end(DISCONNECT)
  })
  const packets = Array.from({ length: count }, (_, i) => publishPacket(`t/${i % TOPICS}`, i + 1))
  socket.write(Buffer.concat([connectPacket('publisher', true), ...packets]))
  await once(socket, 'close')
  if (acknowledged !== count) throw new Error(`${acknowledged} of ${count} messages were acknowledged`)
}

/** Resumes a session and reads what waited, without acknowledging it: it waits again for the next round. */
async function resume(port, number) {
  let [isPresent, received] = [false, 0]
  const socket = await opened(port, (type, body) => {
    if (type === 0x20) isPresent = body[0] === 1
    else if (type === 0x30 && ++received === MESSAGES_PER_TOPIC) socket.end(DISCONNECT)
  })
  socket.write(connectPacket(`s${number}`, false))
  await once(socket, 'close')
  if (!isPresent) throw new Error(`session s${number} is gone`)
}

/** Whether a connection gets a CONNACK. */
async function answers(port) {
  try {
    const socket = await opened(port, () => socket.destroy())
    socket.write(connectPacket('probe', true))
    await once(socket, 'close')
    return true
  } catch {
    return false
  }
}

/** Milliseconds of processor time of a process so far. */
function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function start(node, file, port) {
  const begun = performance.now()
  const child = spawn(node, [program, '-c', file], { stdio: 'ignore' })
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`the broker ended with ${child.exitCode}`)
    await sleep(2)
  }
  return { child, startMs: performance.now() - begun, cpuMs: cpuMs(child.pid) }
}

async function stop(child) {
  const begun = performance.now()
  child.kill('SIGTERM')
  await once(child, 'exit')
  return performance.now() - begun
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((closed) => server.close(closed))
  return port
}

async function measure(node) {
  const folder = mkdtempSync(join(tmpdir(), 'recado-restart-'))
  let child = null
  try {
    const port = await freePort()
    const file = join(folder, 'broker.conf')
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'log_dest none',
      'user root',
      `persistence_location ${folder}/`,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    ;({ child } = await start(node, file, port))
    await forEach(sessions, (number) => subscribe(port, number))
    await publish(port)
    const found = []
    for (let round = 0; round < rounds; round++) {
      const stopMs = await stop(child)
      const next = await start(node, file, port)
      child = next.child
      found.push({ stopMs, startMs: next.startMs, cpuMs: next.cpuMs, awayMs: stopMs + next.startMs })
    }
    await forEach(Math.ceil(sessions / 10), (number) => resume(port, number))
    return { found, bytes: statSync(join(folder, 'recado.mdb')).size }
  } finally {
    child?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

console.log('| Node | SIGTERM to the end, ms | start to CONNACK, ms | of which processor | away, ms | data file, MB |')
console.log('|---|---:|---:|---:|---:|---:|')
for (const node of [process.execPath, ...values.on]) {
  const version = spawnSync(node, ['-v'], { encoding: 'utf8' }).stdout.trim().slice(1)
  const { found, bytes } = await measure(node)
  const of = (field) => median(found.map((round) => round[field])).toFixed(0)
  const cells = ['stopMs', 'startMs', 'cpuMs', 'awayMs'].map(of)
  console.log(`| ${[version, ...cells, (bytes / 1e6).toFixed(1)].join(' | ')} |`)
}
