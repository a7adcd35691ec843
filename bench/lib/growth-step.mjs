/**
 * One step of growth.mjs, in a process of its own: a broker with so many transports, subscriptions or retained
 * messages. Sends its parent one object of unit costs.
 *
 * The broker is the real one, fed through `broker.attach` with the bytes that a client would send; bytes that it writes
 * are counted and dropped. Between two chunks the event loop turns, as it does with sockets: turns end and timers run.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createBroker } from '../../packages/broker/dist/mod.js'
import { Connect, encode, Publish, Subscribe } from '../../packages/protocol/dist/mod.js'

const VERSION = 4
const BATCH = 100
const MESSAGES = 200_000
/** Longest time in milliseconds for all retained messages to come. */
const HITS_MS = 60_000
/** Number of units in a broker that is thrown away: code compiled there is not compiled during the measurement. */
const WARM_UP = 20_000
const [kind, text] = process.argv.slice(2)

/** Transport that accepts everything at once. */
class CountingTransport {
  remoteAddress = '192.0.2.1:1'
  listener = 'growth'
  bufferedBytes = 0
  bytesWritten = 0
  handler = null
  write(bytes) {
    this.bytesWritten += bytes.length
    return true
  }
  writeAll(pieces) {
    for (const piece of pieces) this.write(piece)
    return true
  }
  end() {}
  destroy() {}
  pause() {}
  resume() {}
}

function memory() {
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function open(broker, bytes) {
  const transport = new CountingTransport()
  transport.handler = broker.attach(transport)
  if (transport.handler === null) throw new Error('the broker takes no more connections')
  transport.handler.onData(bytes)
  return transport
}

function connectBytes(clientId) {
  return encode(new Connect({ protocolVersion: VERSION, cleanStart: true, keepAliveSeconds: 600, clientId }), VERSION)
}

/** Opens clients. Their packets are made before the clock runs. */
async function openMany(broker, packets) {
  const transports = []
  for (let i = 0; i < packets.length; i++) {
    transports.push(open(broker, packets[i]))
    if (i % BATCH === BATCH - 1) await nextTurn()
  }
  await nextTurn()
  return transports
}

const connects = (many, prefix) => Array.from({ length: many }, (_, i) => connectBytes(`${prefix}-${i}`))

const subscription = (topicFilter) => ({
  topicFilter,
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
})

/** CPU microseconds of this process for each of `times` runs. */
async function cpuEach(times, work) {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

function mustBe(what, is, expected) {
  if (is !== expected) throw new Error(`${what}: ${is}, not ${expected}`)
}

/** Publishes messages to `topicOf(i)` in chunks of 64 from one publisher; each must reach `copies` subscribers. */
async function publishMany(broker, publisher, topicOf, many, copies) {
  const chunks = []
  const payload = new Uint8Array(64)
  for (let i = 0; i < many; i += 64) {
    const packets = []
    for (let j = i; j < Math.min(i + 64, many); j++)
      packets.push(encode(Publish.of({ topic: topicOf(j), payload }), VERSION))
    chunks.push(Buffer.concat(packets))
  }
  const before = broker.metrics().messagesSent
  const each = await cpuEach(many, async () => {
    for (const chunk of chunks) {
      publisher.handler.onData(chunk)
      await nextTurn()
    }
  })
  mustBe('delivered', broker.metrics().messagesSent - before, many * copies)
  return each
}

const steps = {
  /** Measures connected clients, and messages between a hundred of them. */
  async transports(broker, count) {
    const packets = connects(count, 'client')
    const before = memory()
    let transports = []
    const connect = await cpuEach(count, async () => {
      transports = await openMany(broker, packets)
    })
    const after = memory()
    mustBe('connections', broker.metrics().connections, count)
    const stride = Math.floor(count / 100)
    for (let i = 0; i < 100; i++) {
      transports[i * stride].handler.onData(encode(new Subscribe(1, [subscription(`pair/${i}`)]), VERSION))
    }
    await nextTurn()
    const message = await publishMany(broker, transports[0], (i) => `pair/${i % 100}`, MESSAGES, 1)
    return {
      'heap bytes each': (after - before) / count,
      'CPU us to connect': connect,
      'CPU us per message': message,
    }
  },

  /** Measures a thousand clients with count / 1,000 subscriptions each, one in ten with `+`. */
  async subscriptions(broker, count) {
    const clients = await openMany(broker, connects(1_001, 'client'))
    const publisher = clients.pop()
    const filterOf = (i) => (i % 10 === 0 ? `site/${i % 1000}/device/${i}/+` : `site/${i % 1000}/device/${i}/state`)
    const perClient = count / 1_000
    const packets = []
    for (let client = 0; client < 1_000; client++) {
      for (let first = 0; first < perClient; first += BATCH) {
        const subscriptions = []
        for (let i = first; i < Math.min(first + BATCH, perClient); i++) {
          subscriptions.push(subscription(filterOf(client * perClient + i)))
        }
        packets.push([client, encode(new Subscribe(1 + first, subscriptions), VERSION)])
      }
    }
    const before = memory()
    const subscribe = await cpuEach(count, async () => {
      for (const [i, [client, packet]] of packets.entries()) {
        clients[client].handler.onData(packet)
        if (i % 10 === 9) await nextTurn()
      }
      await nextTurn()
    })
    const after = memory()
    mustBe('subscriptions', broker.metrics().subscriptions, count)
    // A prime stride: each topic once, none near the one before.
    const topicOf = (i) => {
      const k = (i * 7919) % count
      return `site/${k % 1000}/device/${k}/state`
    }
    const fresh = await publishMany(broker, publisher, topicOf, Math.min(MESSAGES, count), 1)
    const cached = await publishMany(broker, publisher, (i) => topicOf(i % 100), MESSAGES, 1)
    return {
      'heap bytes each': (after - before) / count,
      'CPU us to subscribe': subscribe,
      'us per message, topics anew': fresh,
      'us per message, 100 topics': cached,
    }
  },

  /** Measures retained messages of 64 bytes; a client subscribes to a thousandth of them, and one to all. */
  async retained(broker, count) {
    const [publisher, one, all] = await openMany(broker, connects(3, 'client'))
    const payload = new Uint8Array(64)
    const bytesOf = (i) =>
      encode(Publish.of({ topic: `site/${i % 1000}/device/${i}/state`, payload, retain: true }), VERSION)
    const chunks = []
    for (let i = 0; i < count; i += BATCH) {
      const packets = []
      for (let j = i; j < Math.min(i + BATCH, count); j++) packets.push(bytesOf(j))
      chunks.push(Buffer.concat(packets))
    }
    const retain = async () => {
      for (const chunk of chunks) {
        publisher.handler.onData(chunk)
        await nextTurn()
      }
    }
    const before = memory()
    const first = await cpuEach(count, retain)
    const after = memory()
    mustBe('retained messages', broker.metrics().retainedMessages, count)
    const again = await cpuEach(count, retain)
    // The broker looks for them step by step, turn by turn.
    const hits = async (client, filters, expected) => {
      const sent = broker.metrics().messagesSent
      const packets = filters.map((filter) => encode(new Subscribe(1, [subscription(filter)]), VERSION))
      const cpu = await cpuEach(1, async () => {
        for (const packet of packets) {
          client.handler.onData(packet)
          await nextTurn()
        }
        const until = Date.now() + HITS_MS
        while (broker.metrics().messagesSent - sent < expected && Date.now() < until) await nextTurn()
      })
      const found = broker.metrics().messagesSent - sent
      return { found, each: cpu / Math.max(found, 1) }
    }
    // Many of them: one alone takes less time than the clock of the CPU can show.
    const sites = Array.from({ length: 200 }, (_, site) => `site/${site}/device/+/state`)
    const part = await hits(one, sites, (sites.length * count) / 1_000)
    mustBe('found', part.found, (sites.length * count) / 1_000)
    const whole = await hits(all, ['#'], count)
    mustBe('found', whole.found, count)
    return {
      'heap bytes each': (after - before) / count,
      'CPU us to retain': first,
      'to replace': again,
      'us per hit, 1 of 1000': part.each,
      'us per hit, #': whole.each,
    }
  },
}

const newBroker = () =>
  createBroker({
    limits: { connectionsMax: 2_000_000, sessionsMax: 2_000_000, outputBytesMax: Number.MAX_SAFE_INTEGER },
  })

await steps[kind](newBroker(), WARM_UP)
// Only the broker's timer still references the broker and its clients now.
const result = await steps[kind](newBroker(), Number(text))
process.send(result, () => process.exit(0))
