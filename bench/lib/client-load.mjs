/**
 * One client, one scenario, in a process of its own: `bench/client.mjs` starts it. Prints one JSON line: messages,
 * seconds, CPU seconds of this process, heap.
 *
 *     node [--expose-gc] client-load.mjs CLIENT send|receive QOS URL VERSION SECONDS SIZE [MESSAGES]
 *
 * With MESSAGES it ends after so many, and prints the heap on the way (after garbage collection).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'

const [name, direction, qosText, url, versionText, secondsText, sizeText, messagesText] = process.argv.slice(2)
const qos = Number(qosText)
const protocolVersion = Number(versionText)
const messagesMax = Number(messagesText ?? 0)
/** Publishes between two waits, as many as an application may have going that does not wait for each. */
const BATCH = 500
const HEAP_SAMPLES = 10

const payload = Buffer.alloc(Number(sizeText), 97)
const topic = direction === 'receive' ? `flood/${qos}/${payload.length}` : 'sensors/kitchen/temperature'

/** Clients under test. `sendBatch` resolves when all messages are written (QoS 0) or acknowledged. */
const clients = {
  async recado(store) {
    const { connect } = await import('../../packages/client/dist/mod.js')
    const client = await connect(url, store === undefined ? { protocolVersion } : { protocolVersion, store })
    const options = { qos }
    return {
      async sendBatch() {
        if (qos === 0) {
          for (let i = 1; i < BATCH; i++) client.publish(topic, payload, options)
          await client.publish(topic, payload, options)
          return
        }
        const published = new Array(BATCH)
        for (let i = 0; i < BATCH; i++) published[i] = client.publish(topic, payload, options)
        await Promise.all(published)
      },
      async receive(onMessage) {
        await client.subscribe(topic, { qos }, (message) => onMessage(message.payload.length)).ready
      },
      close: () => client.destroy(),
    }
  },
  async stored() {
    const { lmdb } = await import('../../packages/client/dist/store/lmdb.js')
    const folder = mkdtempSync(join(tmpdir(), 'recado-bench-store-'))
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
    return await clients.recado(lmdb({ path: folder }))
  },
  async mqttjs() {
    const { default: mqtt } = await import('mqtt')
    const client = await mqtt.connectAsync(url, { protocolVersion, clean: true })
    const options = { qos }
    return {
      sendBatch() {
        return new Promise((resolve, reject) => {
          let left = BATCH
          const onDone = (error) => {
            if (error) reject(error)
            else if (--left === 0) resolve()
          }
          for (let i = 0; i < BATCH; i++) client.publish(topic, payload, options, onDone)
        })
      },
      async receive(onMessage) {
        client.on('message', (_topic, bytes) => onMessage(bytes.length))
        await client.subscribeAsync(topic, { qos })
      },
      close: () => client.end(true),
    }
  },
}

const heap = []
function sampleHeap() {
  globalThis.gc?.()
  heap.push(process.memoryUsage().heapUsed)
}

let count = 0
let bytes = 0
const client = await clients[name]()
const isCounted = messagesMax > 0
let nextSample = 0

/** Sends a batch; returns true when the run is over. */
function step() {
  if (!isCounted) return false
  if (count >= nextSample) {
    sampleHeap()
    nextSample += messagesMax / HEAP_SAMPLES
  }
  return count >= messagesMax
}

async function sendFor(seconds) {
  const until = performance.now() + seconds * 1000
  while (isCounted ? !step() : performance.now() < until) {
    await client.sendBatch()
    count += BATCH
  }
}

let whenReceived = () => {}
if (direction === 'receive') {
  await client.receive((length) => {
    count++
    bytes += length
    if (isCounted && (count >= nextSample || count >= messagesMax) && step()) whenReceived()
  })
}

async function run(seconds) {
  if (direction === 'send') await sendFor(seconds)
  else if (isCounted)
    await new Promise((resolve) => {
      whenReceived = resolve
    })
  else await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}

if (!isCounted) await run(1)
count = 0
const cpu = process.cpuUsage()
const start = performance.now()
await run(Number(secondsText))
const seconds = (performance.now() - start) / 1000
const { user, system } = process.cpuUsage(cpu)
if (direction === 'receive' && bytes === 0) throw new Error('nothing was received')
console.log(JSON.stringify({ messages: count, seconds, cpuSeconds: (user + system) / 1e6, heap }))
client.close()
