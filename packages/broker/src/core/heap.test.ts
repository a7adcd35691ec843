import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Connect, encode, Publish, Subscribe } from '@recado/protocol'
import { SimTransport, subscriptionTo, World } from '../testing/mod.ts'

/*
 * Disconnecting clients free everything they held. The clients come in rounds, so that the test is quick; a leak of one
 * small object per client is 100,000 of them in the end, and more than the bound.
 */
const CLIENTS = 100_000
const ROUND = 2_000
const GROWTH_BYTES_MAX = 3 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** `version` 4 ends with Clean Session, 5 with a session that expires later. */
function round(world: World, from: number, version: 4 | 5): void {
  const transports: SimTransport[] = []
  const properties = version === 5 ? { sessionExpiryIntervalSeconds: 5, topicAliasMaximum: 5 } : {}
  for (let i = from; i < from + ROUND; i++) {
    const transport = new SimTransport(world.clock, () => {})
    world.accept(transport)
    const clientId = `client-${i}`
    const packets = [
      new Connect({ protocolVersion: version, cleanStart: version === 4, keepAliveSeconds: 60, clientId, properties }),
      new Subscribe(
        1,
        ['shared/+/topic', `own/${i}`, '$share/group/work'].map((filter) => subscriptionTo(filter)),
      ),
      Publish.of({ topic: `own/${i}`, payload: new Uint8Array(20), qos: 1, packetId: 2 }),
    ]
    for (const packet of packets) transport.receive(encode(packet, version))
    transports.push(transport)
  }
  world.clock.runTurns()
  assert.equal(world.core.metrics.clients, ROUND)
  for (const transport of transports) transport.drop()
  world.clock.runTurns()
  world.advance(10_000)
  assert.equal(world.core.sessions.size, 0)
  assert.equal(world.core.connections.size, 0)
}

function heapUsed(): number {
  collectGarbage()
  collectGarbage()
  const { heapUsed: heap, external } = process.memoryUsage()
  return heap + external
}

test(`${CLIENTS} clients that connect, subscribe, publish and are lost leave the heap where it was`, () => {
  const world = new World({ observe: false })
  let next = 0
  for (let i = 0; i < 4; i++) {
    round(world, next, i % 2 === 0 ? 4 : 5)
    next += ROUND
  }
  const before = heapUsed()
  for (let i = 0; i < CLIENTS / ROUND; i++) {
    round(world, next, i % 2 === 0 ? 4 : 5)
    next += ROUND
  }
  const grown = heapUsed() - before
  assert.ok(grown < GROWTH_BYTES_MAX, `the heap has grown by ${grown} bytes`)
  assert.equal(world.metric('subscriptions'), 0)
  assert.equal(world.core.router.filterCount, 0)
  assert.equal(world.core.wheel.size, 0)
})

test('a small message that waits holds at most 4 KiB, whatever else went through meanwhile', () => {
  const world = new World({ observe: false })
  const away = world.client('away')
  const live = world.client('live')
  for (const client of [away, live]) {
    client.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
    client.subscribe(client === away ? 'rare' : 'busy', { qos: 1 })
  }
  away.drop()
  live.acknowledges = true
  const p = world.client('p')
  p.connected()
  collectGarbage()
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 300; i++) {
    p.publish({ topic: 'rare', payload: 'x', qos: 1, packetId: 1 })
    for (let j = 0; j < 17; j++) p.publish({ topic: 'busy', payload: new Uint8Array(500), qos: 1, packetId: 1 })
    live.received.length = 0
    p.received.length = 0
  }
  collectGarbage()
  collectGarbage()
  const held = process.memoryUsage().arrayBuffers - before
  assert.equal(world.metric('queuedMessages'), 300)
  assert.ok(held < 2 * 1024 * 1024, `${world.metric('queuedBytes')} bytes wait and hold ${held}`)
})

test('a message that is retained or waits does not keep the session of its publisher', async () => {
  const world = new World({ observe: false })
  const away = world.client('away')
  away.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
  away.subscribe('t/#', { qos: 1 })
  away.drop()
  const publisher = world.client('publisher')
  publisher.connected({ will: { topic: 't/will', payload: new Uint8Array(1), qos: 1, retain: true, properties: {} } })
  publisher.publish({ topic: 't/1', payload: 'x', qos: 1, packetId: 1, retain: true })
  const session = new WeakRef(world.core.sessions.get('publisher')!)
  publisher.drop()
  assert.equal(world.metric('retainedMessages'), 2)
  assert.equal(world.metric('queuedMessages'), 2)
  // What a WeakRef was asked for lives until the job ends.
  await new Promise((resolve) => setImmediate(resolve))
  collectGarbage()
  assert.equal(session.deref(), undefined)
})
