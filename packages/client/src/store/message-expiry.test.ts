/** Message Expiry Interval: the time that a message waits here counts, in the queue and in the store. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback } from '@recado/protocol'
import type { Client } from '../client.ts'
import { MessageExpiredError } from '../errors.ts'
import type { ConnectOptions } from '../options.ts'
import { Outgoing } from '../outgoing.ts'
import { type FakeServer, SimulatedWorld, turn } from '../testing/simulated.ts'
import { MemoryRows, memory } from './memory.ts'
import { encodeMessage, RowKind, rowKey } from './session-rows.ts'
import type { SessionStore } from './session-store.ts'
import { StoredSession } from './stored-session.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const lasting = (seconds: number): { properties: { messageExpiryIntervalSeconds: number } } => ({
  properties: { messageExpiryIntervalSeconds: seconds },
})

async function offline(options: ConnectOptions = {}, laterMs = 0): Promise<{ world: SimulatedWorld; client: Client }> {
  const world = new SimulatedWorld()
  world.epoch += laterMs
  world.unreachable = Object.assign(new Error('no network'), { code: 'ERR_MQTT_UNREACHABLE' })
  const client = world.client({ retryFirst: true, reconnect: { minMs: 100, maxMs: 100 }, ...options })
  client.connect().catch(() => {})
  await turn()
  return { world, client }
}

async function online(world: SimulatedWorld, sessionPresent = false): Promise<FakeServer> {
  world.unreachable = null
  await world.advance(100)
  const server = await world.connection()
  await server.accept({}, sessionPresent)
  await turn()
  return server
}

/** A process that stores messages and ends, and the next one so much later. */
async function restarted(store: SessionStore, laterMs: number, publish: (client: Client) => void): Promise<FakeServer> {
  const first = await offline({ store })
  publish(first.client)
  await turn()
  first.client.destroy()
  await first.client.closed
  const { world } = await offline({ store }, laterMs)
  return await online(world)
}

test('what has waited goes out with the time that is left, rounded up; what is sent at once is as it was', async () => {
  const { world, client } = await offline()
  for (const qos of [0, 1] as const) client.publish('t', 'waits', { qos, ...lasting(10) }).catch(() => {})
  await world.advance(3_400)
  const server = await online(world)
  for (const _ of [0, 1]) assert.equal((await server.expect(3)).properties.messageExpiryIntervalSeconds, 7)
  client.publish('t', 'now', { qos: 1, ...lasting(10) }).catch(() => {})
  assert.equal((await server.expect(3)).properties.messageExpiryIntervalSeconds, 10)
  client.publish('t', 'now or never', { qos: 1, ...lasting(0) }).catch(() => {})
  assert.equal((await server.expect(3)).properties.messageExpiryIntervalSeconds, 0)
  client.destroy()
})

test('what has expired is not sent: publish() rejects, and the others go on', async () => {
  const { world, client } = await offline()
  const expired = client.publish('t', 'expired', { qos: 1, ...lasting(1) })
  const lasts = client.publish('t', 'lasts', { qos: 1, ...lasting(60) })
  expired.catch(() => {})
  await world.advance(2_000)
  const server = await online(world)
  await assert.rejects(expired, MessageExpiredError)
  const publish = await server.expect(3)
  assert.equal(text(publish.payload), 'lasts')
  server.send(new Puback(publish.packetId))
  await lasts
  assert.deepEqual(server.received, [])
  client.destroy()
})

test('what is in flight is sent again with the time that is left, 1 at least, so that its flow ends', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ reconnect: { minMs: 100, maxMs: 100 } })
  for (const seconds of [2, 10]) client.publish('t', 'x', { qos: 1, ...lasting(seconds) }).catch(() => {})
  await turn()
  world.unreachable = new Error('no network')
  server.break()
  await world.advance(5_000)
  const again = await online(world, true)
  for (const left of [1, 5]) {
    const { dup, properties } = await again.expect(3)
    assert.deepEqual([dup, properties.messageExpiryIntervalSeconds], [true, left])
  }
  client.destroy()
})

test('the time between two processes counts too, and what has expired in the store is told to onUndelivered', async () => {
  const store = memory()
  const server = await restarted(store, 3_000, (client) => {
    client.publish('t', 'expired', { qos: 1, ...lasting(2) }).catch(() => {})
    client.publish('t', 'lasts', { qos: 1, ...lasting(60) }).catch(() => {})
  })
  const publish = await server.expect(3)
  assert.deepEqual([text(publish.payload), publish.properties.messageExpiryIntervalSeconds], ['lasts', 57])
  assert.deepEqual(server.received, [])
})

test('a clock that was set back meanwhile gives nobody more than the whole interval', async () => {
  const server = await restarted(memory(), -3_600_000, (client) => {
    client.publish('t', 'x', { qos: 1, ...lasting(60) }).catch(() => {})
  })
  assert.equal((await server.expect(3)).properties.messageExpiryIntervalSeconds, 60)
})

test('a row without a date, of a version before this one, counts from when it is read', async () => {
  const rows = new MemoryRows()
  const bytes = Uint8Array.of(120)
  const fields = [Uint8Array.of(0, 1, 116), bytes, 1, false, lasting(60).properties] as const
  const message = new Outgoing('t', ...fields, Uint8Array.of(5, 2, 0, 0, 0, 60))
  await rows.open()
  await rows.write(new Map([[rowKey(RowKind.Message, 1), encodeMessage(message, Number.POSITIVE_INFINITY)]]))
  await rows.close()
  const { world, client } = await offline({ store: new StoredSession(rows) })
  await world.advance(2_000)
  const server = await online(world)
  assert.equal((await server.expect(3)).properties.messageExpiryIntervalSeconds, 58)
  client.destroy()
})

test('a message that expires after it was stored is told to onUndelivered, or counted', async () => {
  const { world, client } = await offline({ store: memory() })
  const undelivered: string[] = []
  client.onUndelivered = ({ topic }, { code }) => undelivered.push(`${topic} ${code}`)
  await client.publish('t', 'x', { qos: 2, until: 'stored', ...lasting(1) })
  await world.advance(1_000)
  await online(world)
  assert.deepEqual(undelivered, ['t ERR_MQTT_MESSAGE_EXPIRED'])
  assert.deepEqual(client.pending, { queued: 0, inflight: 0, unacknowledged: 0 })
  client.destroy()
})
