/**
 * `npm run bench:connects`: the cost of a CONNACK that waits for the disk.
 *
 * A given number of clients connects, a few hundred at a time: with nothing to store, with a Will, with a session that
 * is stored, with both; to a broker that waits for the disk and to one that stores nothing (`durability memory`).
 * Rounds of both alternate. Prints connects a second, the median and the 99th percentile of the time from CONNECT to
 * CONNACK, and the broker's CPU for each connect. `--count`, `--at-once`, `--rounds`.
 */
import { connect } from 'node:net'
import { Connect, Decoder, encode } from '@recado/protocol'
import { contestantsOf } from './lib/contestants.mjs'
import { optionsFrom } from './lib/options.mjs'
import { BenchError, cpuMicroseconds, startBroker, stopAll } from './lib/processes.mjs'
import { aligned, median } from './lib/results.mjs'

const usage = `npm run bench:connects -- [options]

  --count N    connects of each kind in each round; default 10000
  --at-once N  that have not had their CONNACK; default 200
  --rounds N   default 3`
const { values } = optionsFrom(
  usage,
  {
    options: {
      count: { type: 'string', default: '10000' },
      'at-once': { type: 'string', default: '200' },
      rounds: { type: 'string', default: '3' },
    },
  },
  ['count', 'at-once', 'rounds'],
)
const count = Number(values.count)
const atOnce = Number(values['at-once'])

const WILL = { topic: 'state/device', payload: Buffer.alloc(100, 'x'), qos: 1, retain: true, properties: {} }
const KEPT = { sessionExpiryIntervalSeconds: 3600 }
const KINDS = {
  'nothing to keep': {},
  'a Will': { will: WILL },
  'a session': { properties: KEPT },
  'a session and a Will': { properties: KEPT, will: WILL },
}

/** Connects, waits for CONNACK, closes without DISCONNECT. Resolves with the milliseconds. */
function one(port, clientId, options) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const decoder = new Decoder({ role: 'client', protocolVersion: 5 })
    let startedMs = 0
    socket.on('connect', () => {
      startedMs = performance.now()
      socket.write(
        encode(new Connect({ protocolVersion: 5, clientId, cleanStart: true, keepAliveSeconds: 60, ...options }), 5),
      )
    })
    socket.on('data', (chunk) => {
      decoder.push(chunk)
      const packet = decoder.read()
      if (packet === null) return
      const ms = performance.now() - startedMs
      socket.destroy()
      if (packet.reasonCode === 0) resolve(ms)
      else reject(new BenchError(`CONNACK ${packet.reasonCode}`))
    })
    socket.on('error', reject)
  })
}

async function measure(broker, port, kind, options) {
  const times = []
  let next = 0
  const cpuBefore = cpuMicroseconds(broker.pid)
  const startedMs = performance.now()
  const worker = async () => {
    while (next < count) {
      const i = next++
      times.push(await one(port, `${kind}-${i}`, options))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  const seconds = (performance.now() - startedMs) / 1000
  times.sort((a, b) => a - b)
  return {
    rate: count / seconds,
    p50: times[count >> 1],
    p99: times[Math.floor(count * 0.99)],
    cpu: (cpuMicroseconds(broker.pid) - cpuBefore) / count,
  }
}

async function main() {
  const contestants = contestantsOf({ only: ['recado'], nodes: [], brokers: [] })
  const results = new Map()
  let port = 31_830
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const contestant of contestants) {
      const at = port++
      const broker = await startBroker(contestant, at, '0')
      for (const [kind, options] of Object.entries(KINDS)) {
        const key = `${contestant.name.endsWith('-disk') ? 'fsync' : 'memory'}\t${kind}`
        const list = results.get(key) ?? []
        list.push(await measure(broker, at, kind.replaceAll(' ', '-'), options))
        results.set(key, list)
      }
      await broker.stop()
    }
  }
  const rows = [['durability', 'with', 'connects/s', 'p50 ms', 'p99 ms', 'CPU us each']]
  for (const [key, list] of results) {
    const of = (name) => median(list.map((each) => each[name]))
    rows.push([
      ...key.split('\t'),
      of('rate').toFixed(0),
      of('p50').toFixed(1),
      of('p99').toFixed(1),
      of('cpu').toFixed(0),
    ])
  }
  console.log(aligned(rows).join('\n'))
}

try {
  await main()
} catch (error) {
  console.error(error instanceof BenchError ? error.message : error)
  process.exitCode = 1
} finally {
  stopAll()
}
