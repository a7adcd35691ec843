/**
 * `npm run bench:bridge`: messages over a bridge, two Recados beside two Mosquittos, in interleaved rounds.
 *
 * Both brokers of a pair share one CPU; publisher and subscriber are this process, on another one. A message goes from
 * a publisher at the near broker over the bridge to a subscriber (QoS 0) at the far one. `--window` messages at most are
 * on their way, so that nothing queues up and nothing has to be dropped. Measures messages a second and the CPU of both
 * brokers for a message, which counts on a machine that has other work. Goal: Mosquitto times 3 at QoS 1.
 */
import { spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from '@recado/client/testing'
import { Connect, Decoder, encode, PacketType, Publish, Pubrel, Subscribe } from '@recado/protocol'
import { contestantsOf } from './lib/contestants.mjs'
import { optionsFrom } from './lib/options.mjs'
import { BenchError, cpuMicroseconds, has, startBroker, stopAll } from './lib/processes.mjs'
import { aligned, median } from './lib/results.mjs'

const usage = `npm run bench:bridge -- [options]

  --rounds N      default 3
  --duration S    of each measurement; default 3
  --size BYTES    payload; default 64
  --window N      messages on their way at once; default 1000
  --mqtt 4|5      version of the bridge; default 4
  --qos LIST      default 0,1,2
  --disk          sessions are kept on the disk, as the default of either broker is
  --node PATH     the Node of Recado
  --only NAME     recado or mosquitto`
const { values: options } = optionsFrom(
  usage,
  {
    options: {
      rounds: { type: 'string', default: '3' },
      duration: { type: 'string', default: '3' },
      size: { type: 'string', default: '64' },
      window: { type: 'string', default: '1000' },
      mqtt: { type: 'string', default: '4' },
      qos: { type: 'string', default: '0,1,2' },
      disk: { type: 'boolean', default: false },
      node: { type: 'string', default: process.execPath },
      only: { type: 'string', default: '' },
    },
  },
  ['rounds', 'duration', 'size', 'window'],
)
const VERSIONS = { 4: 'mqttv311', 5: 'mqttv50' }
const GOAL = 3
const BROKER_CPU = '0'
const OWN_CPU = '1'
/** Messages before each measurement, for compilers and caches, and the time that they may take, in milliseconds. */
const WARM_MESSAGES = 100_000
const WARM_MS = 15_000
/** Milliseconds without a message after which those on their way count as lost. */
const STALL_MS = 2_000
const READY_MS = 30_000
const TOPIC = 'b/load'
const window = Number(options.window)
const qosList = options.qos.split(',').map(Number)
if (VERSIONS[options.mqtt] === undefined) throw new BenchError(`--mqtt ${options.mqtt}: there are 4 and 5`)
for (const qos of qosList) if (![0, 1, 2].includes(qos)) throw new BenchError(`--qos ${options.qos}: there are 0, 1, 2`)

function withBridge(contestant, farPort, qos) {
  const bridge = [
    'connection line',
    `address 127.0.0.1:${farPort}`,
    'remote_clientid line',
    `bridge_protocol_version ${VERSIONS[options.mqtt]}`,
    'cleansession false',
    'restart_timeout 1',
    `topic b/# out ${qos}`,
  ]
  return { ...contestant, files: { 'broker.conf': `${contestant.files['broker.conf']}${bridge.join('\n')}\n` } }
}

/** Connects a client of 3.1.1, and calls `onPacket` for each packet behind CONNACK. */
function client(port, clientId, onPacket) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const decoder = new Decoder({ role: 'client', protocolVersion: 4 })
    let isUp = false
    socket.once('connect', () =>
      socket.write(encode(new Connect({ protocolVersion: 4, clientId, cleanStart: true, keepAliveSeconds: 0 }), 4)),
    )
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      decoder.push(chunk)
      for (let packet = decoder.read(); packet !== null; packet = decoder.read()) {
        if (isUp) onPacket(packet)
        else if (packet.reasonCode !== 0) reject(new BenchError(`${clientId}: CONNACK ${packet.reasonCode}`))
        else {
          isUp = true
          resolve(socket)
        }
      }
    })
  })
}

/** Traffic over one bridge: publishes as long as fewer than `window` messages are on their way. */
class Traffic {
  received = 0
  lost = 0
  #published = 0
  #lastMs = performance.now()
  #id = 0
  #isReady = false
  #publisher
  #subscriber
  #timer
  #qos
  #name
  #payload = Buffer.alloc(Number(options.size), 'x')

  static async open(name, near, far, qos) {
    const traffic = new Traffic()
    traffic.#name = name
    traffic.#qos = qos
    traffic.#subscriber = await client(far, 'bench-subscriber', (packet) => {
      if (packet.type === PacketType.PUBLISH) traffic.received++
    })
    traffic.#subscriber.on('data', () => traffic.#go())
    traffic.#subscriber.write(encode(new Subscribe(1, [{ topicFilter: TOPIC, qos: 0 }]), 4))
    traffic.#publisher = await client(near, 'bench-publisher', (packet) => {
      if (packet.type === PacketType.PUBREC) traffic.#publisher.write(encode(new Pubrel(packet.packetId), 4))
    })
    return traffic
  }

  /** Waits until a message has crossed. */
  async ready() {
    const untilMs = performance.now() + READY_MS
    while (this.received === 0) {
      if (performance.now() > untilMs)
        throw new BenchError(`${this.#name}: no message crosses the bridge within ${READY_MS / 1_000} s`)
      this.#publish(1)
      await wait(100)
    }
    await wait(500)
    this.#published = this.received
    this.#isReady = true
    this.#timer = setInterval(() => this.#go(), 100)
  }

  #publish(count) {
    const packets = []
    for (let i = 0; i < count; i++) {
      this.#id = (this.#id % 65_535) + 1
      const packetId = this.#qos === 0 ? 0 : this.#id
      packets.push(encode(Publish.of({ topic: TOPIC, payload: this.#payload, qos: this.#qos, packetId }), 4))
    }
    this.#publisher.write(Buffer.concat(packets))
    this.#published += count
  }

  #go() {
    if (!this.#isReady) return
    const nowMs = performance.now()
    const room = window - (this.#published - this.received - this.lost)
    if (room >= window / 4) {
      this.#publish(room)
      this.#lastMs = nowMs
    } else if (nowMs - this.#lastMs > STALL_MS) {
      this.lost = this.#published - this.received
    }
  }

  close() {
    this.#isReady = false
    clearInterval(this.#timer)
    this.#publisher.destroy()
    this.#subscriber.destroy()
  }
}

async function measure(contestant, qos) {
  const [nearPort, farPort] = [await freePort(), await freePort()]
  const far = await startBroker(contestant, farPort, BROKER_CPU)
  let near = null
  let traffic = null
  try {
    near = await startBroker(withBridge(contestant, farPort, qos), nearPort, BROKER_CPU)
    traffic = await Traffic.open(contestant.name, nearPort, farPort, qos)
    await traffic.ready()
    const untilMs = performance.now() + WARM_MS
    while (traffic.received < WARM_MESSAGES && performance.now() < untilMs) await wait(50)
    const cpu = () => [near, far].map(({ pid }) => cpuMicroseconds(pid))
    const [before, received, startedMs] = [cpu(), traffic.received, performance.now()]
    await wait(Number(options.duration) * 1_000)
    const [after, count, seconds] = [cpu(), traffic.received - received, (performance.now() - startedMs) / 1_000]
    const [nearUs, farUs] = after.map((each, i) => (each - before[i]) / count)
    for (const [name, broker] of Object.entries({ near, far })) {
      const why = broker.ended()
      if (why !== null) throw new BenchError(`${contestant.name}, ${name}: ${why}`)
    }
    return { rate: count / seconds, nearUs, farUs, cpuUs: nearUs + farUs, lost: traffic.lost }
  } finally {
    traffic?.close()
    await near?.stop()
    await far.stop()
  }
}

async function main() {
  if (has('taskset')) spawnSync('taskset', ['-pc', OWN_CPU, String(process.pid)], { stdio: 'ignore' })
  const names = options.only === '' ? ['recado', 'mosquitto'] : [options.only]
  const nodes = options.node === process.execPath ? [] : [options.node]
  const contestants = contestantsOf({ only: names, nodes, brokers: [] }).filter(
    ({ name }) => name.endsWith('-disk') === options.disk && (nodes.length === 0 || !/^recado(-disk)?$/.test(name)),
  )
  // With 0, for no limit, a bridge of Mosquitto 2.0 says a Receive Maximum of 0 in MQTT 5.0, and is refused.
  for (const { files } of contestants)
    files['broker.conf'] = files['broker.conf'].replace('max_inflight_messages 0', 'max_inflight_messages 60000')
  for (const { name, version } of contestants) console.log(`${name}: ${version}`)
  const results = new Map()
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const qos of qosList) {
      for (const contestant of contestants) {
        const key = `${qos} ${contestant.name}`
        const list = results.get(key) ?? []
        results.set(key, list)
        list.push(await measure(contestant, qos))
      }
    }
  }
  const rows = [['QoS', 'brokers', 'messages/s', 'CPU us', 'near', 'far', 'lost', 'rate', 'CPU']]
  for (const [key, list] of results) {
    const [qos, name] = key.split(' ')
    const of = (field) => median(list.map((each) => each[field]))
    const peer = [...results].find(([other]) => other.startsWith(`${qos} mosquitto`))?.[1]
    const ratio = (field) =>
      peer === undefined || peer === list
        ? ''
        : `${median(list.map((each, i) => each[field] / peer[i][field])).toFixed(2)}x`
    const us = ['cpuUs', 'nearUs', 'farUs'].map((field) => of(field).toFixed(2))
    rows.push([qos, name, of('rate').toFixed(0), ...us, String(of('lost')), ratio('rate'), ratio('cpuUs')])
  }
  console.log(aligned(rows).join('\n'))
  console.log(`Ratios are medians of those of each round; the goal is a rate of ${GOAL}x at QoS 1.`)
}

process.once('exit', stopAll)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
try {
  await main()
} catch (error) {
  if (!(error instanceof BenchError)) throw error
  process.stderr.write(`bench:bridge: ${error.message}\n`)
  process.exitCode = 1
}
