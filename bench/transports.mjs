/*
 * Handshakes and messages by transport: TCP, TLS 1.3 and WebSocket, Recado beside Mosquitto, interleaved.
 *
 * Each round starts each broker once, with a listener for each transport, and drives it from this process: TLS 1.3
 * handshakes (full, each with a new connection, eight at a time), then QoS 0 messages of 200 bytes from one publisher
 * to one subscriber, no more than 2,000 on their way. On WebSocket the publisher sends a frame for each packet.
 * Compares the broker's CPU time per handshake and per message, read from /proc, because this process is slower than
 * the brokers; the rates are those that came through. Ratios are of medians.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { freePort } from '@recado/client/testing'
import { TestAuthority } from '../packages/broker/dist/testing/certificates.js'
import { clientFrame, upgradeRequest } from '../packages/broker/dist/testing/websocket-peer.js'
import { Connect, encode, Publish, Subscribe } from '../packages/protocol/dist/mod.js'
import { optionsFrom } from './lib/options.mjs'
import { BenchError, findProgram } from './lib/processes.mjs'
import { median } from './lib/results.mjs'

const RECADO = fileURLToPath(new URL('../packages/recado/bin/recado.js', import.meta.url))
const TRANSPORTS = ['tcp', 'tls', 'ws']
const TICKS_PER_SECOND = 100
const PAYLOAD_BYTES = 200
const BATCH = 50
const IN_FLIGHT_MAX = 2_000

const usage = `npm run bench:transports -- [options]

  --rounds N    default 3
  --seconds S   of each measurement; default 3
  --only LIST   of recado, mosquitto; default both`
const { values: options } = optionsFrom(
  usage,
  {
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      only: { type: 'string', default: 'recado,mosquitto' },
    },
  },
  ['rounds', 'seconds'],
)

const authority = new TestAuthority('bench')
const server = authority.issue('localhost', { altNames: ['127.0.0.1'] })

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

const once = (emitter, event) =>
  new Promise((resolve, reject) => {
    emitter.once(event, resolve)
    emitter.once('error', reject)
  })

async function start(name) {
  const folder = mkdtempSync(join(tmpdir(), 'recado-bench-'))
  const ports = { tcp: await freePort(), tls: await freePort(), ws: await freePort() }
  writeFileSync(join(folder, 'cert.pem'), server.cert)
  writeFileSync(join(folder, 'key.pem'), server.key)
  const lines = [
    `listener ${ports.tcp} 127.0.0.1`,
    `listener ${ports.tls} 127.0.0.1`,
    `certfile ${folder}/cert.pem`,
    `keyfile ${folder}/key.pem`,
    `listener ${ports.ws} 127.0.0.1`,
    'protocol websockets',
    'allow_anonymous true',
    'persistence false',
    'log_type error',
    'max_queued_messages 0',
  ]
  if (name === 'mosquitto' && process.getuid() === 0) lines.push('user root')
  const file = join(folder, 'broker.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  const program = name === 'mosquitto' ? findProgram('mosquitto') : process.execPath
  if (program === null) throw new BenchError('mosquitto is not installed, or leave it out: --only recado')
  const child = spawn(program, name === 'mosquitto' ? ['-c', file] : [RECADO, '-c', file], { stdio: 'inherit' })
  for (const port of Object.values(ports)) {
    for (let attempt = 0; ; attempt++) {
      if (child.exitCode !== null || attempt > 500) throw new BenchError(`${name} did not start`)
      const socket = connectTcp({ port, host: '127.0.0.1' })
      const isUp = await once(socket, 'connect').then(
        () => true,
        () => false,
      )
      socket.destroy()
      if (isUp) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  return {
    pid: child.pid,
    ports,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function open(transport, port) {
  const at = { port, host: '127.0.0.1' }
  const socket = transport === 'tls' ? connectTls({ ...at, ca: authority.cert }) : connectTcp(at)
  socket.setNoDelay(true)
  await once(socket, transport === 'tls' ? 'secureConnect' : 'connect')
  if (transport === 'ws') {
    socket.write(upgradeRequest())
    await once(socket, 'data')
  }
  return socket
}

const framed = (transport, bytes) => (transport === 'ws' ? clientFrame(2, bytes) : bytes)

async function messages(transport, broker, seconds) {
  const port = broker.ports[transport]
  const [publisher, subscriber] = [await open(transport, port), await open(transport, port)]
  for (const [socket, clientId] of [
    [publisher, 'p'],
    [subscriber, 's'],
  ]) {
    const connect = new Connect({ protocolVersion: 4, cleanStart: true, keepAliveSeconds: 0, clientId })
    socket.write(framed(transport, encode(connect, 4)))
    await once(socket, 'data')
  }
  const subscription = { topicFilter: 't', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }
  subscriber.write(framed(transport, encode(new Subscribe(1, [subscription], {}), 4)))
  await once(subscriber, 'data')
  const packet = encode(Publish.of({ topic: 't', qos: 0, payload: new Uint8Array(PAYLOAD_BYTES) }), 4)
  const batch = Buffer.concat(Array.from({ length: BATCH }, () => framed(transport, packet)))
  let sent = 0
  let bytes = 0
  let isOver = false
  const pump = () => {
    while (!isOver && sent - bytes / packet.length < IN_FLIGHT_MAX - BATCH) {
      sent += BATCH
      publisher.write(batch)
    }
  }
  // Headers of the server's frames are a few bytes among thousands: within the error of the measurement.
  subscriber.on('data', (chunk) => {
    bytes += chunk.length
    pump()
  })
  pump()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const [cpuBefore, bytesBefore, before] = [cpuSeconds(broker.pid), bytes, performance.now()]
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const count = (bytes - bytesBefore) / packet.length
  const result = {
    rate: count / ((performance.now() - before) / 1000),
    cpuUs: ((cpuSeconds(broker.pid) - cpuBefore) / count) * 1e6,
  }
  isOver = true
  publisher.destroy()
  subscriber.destroy()
  return result
}

async function handshakes(broker, seconds) {
  let count = 0
  const until = performance.now() + seconds * 1000
  const worker = async () => {
    while (performance.now() < until) {
      const socket = connectTls({
        port: broker.ports.tls,
        host: '127.0.0.1',
        ca: authority.cert,
        minVersion: 'TLSv1.3',
      })
      await once(socket, 'secureConnect')
      socket.destroy()
      count++
    }
  }
  const [cpuBefore, before] = [cpuSeconds(broker.pid), performance.now()]
  await Promise.all(Array.from({ length: 8 }, worker))
  return {
    rate: count / ((performance.now() - before) / 1000),
    cpuUs: ((cpuSeconds(broker.pid) - cpuBefore) / count) * 1e6,
  }
}

async function main() {
  const names = options.only.split(',')
  const seconds = Number(options.seconds)
  const results = new Map()
  const note = (name, what, result) => {
    const key = `${name} ${what}`
    results.set(key, [...(results.get(key) ?? []), result])
    console.log(
      `${name.padEnd(10)} ${what.padEnd(16)} ${Math.round(result.rate).toString().padStart(8)}/s  ${result.cpuUs.toFixed(2).padStart(8)} us CPU each`,
    )
  }
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const name of names) {
      const broker = await start(name)
      try {
        note(name, 'TLS handshakes', await handshakes(broker, seconds))
        for (const transport of TRANSPORTS)
          note(name, `messages ${transport}`, await messages(transport, broker, seconds))
      } finally {
        await broker.stop()
      }
    }
  }
  const of = (key, field) => median(results.get(key).map((result) => result[field]))
  console.log('\nmedians')
  for (const key of results.keys())
    console.log(
      `  ${key.padEnd(28)} ${Math.round(of(key, 'rate')).toString().padStart(8)}/s  ${of(key, 'cpuUs').toFixed(2).padStart(8)} us CPU each`,
    )
  for (const name of names) {
    const [tcp, tls, ws] = TRANSPORTS.map((transport) => of(`${name} messages ${transport}`, 'cpuUs'))
    console.log(`  ${name}: per CPU second WebSocket ${(tcp / ws).toFixed(2)}x TCP, TLS ${(tcp / tls).toFixed(2)}x TCP`)
  }
  if (names.length === 2) {
    for (const what of ['TLS handshakes', ...TRANSPORTS.map((transport) => `messages ${transport}`)]) {
      const ratio = of(`${names[1]} ${what}`, 'cpuUs') / of(`${names[0]} ${what}`, 'cpuUs')
      console.log(`  ${what}: ${names[0]} does ${ratio.toFixed(2)}x ${names[1]} per CPU second`)
    }
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof BenchError)) throw error
  console.error(`bench: ${error.message}`)
  process.exitCode = 1
}
