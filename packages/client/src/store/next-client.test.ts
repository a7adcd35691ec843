/** One store object, and one client after another that has it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, Publish, Pubrel } from '@recado/protocol'
import { deferred } from '../abort.ts'
import type { SessionStoreError } from '../errors.ts'
import type { MessageHandler } from '../subscription.ts'
import { type FakeServer, SimulatedWorld, turn } from '../testing/simulated.ts'
import { MemoryRows, memory } from './memory.ts'
import type { SessionStore } from './session-store.ts'
import { StoredSession } from './stored-session.ts'

const flags = { topic: 't', qos: 2, packetId: 7 } as const

async function connected(
  store: SessionStore,
  sessionPresent: boolean,
  handler: MessageHandler,
): Promise<{ client: ReturnType<SimulatedWorld['client']>; server: FakeServer }> {
  const world = new SimulatedWorld()
  const client = world.client({ store })
  const connecting = client.connect()
  const server = await world.connection()
  await server.accept({}, sessionPresent)
  await connecting
  client.onMessage = () => {}
  client.subscribe('t', { qos: 2 }, handler)
  await server.expect(8)
  return { client, server }
}

test('a handler that ends after its client is closed notes nothing in the store, which the next client has', async () => {
  const store = memory()
  const { promise, resolve } = deferred<void>()
  const first = await connected(store, false, () => promise)
  first.server.send(Publish.of(flags))
  await turn()
  await first.client.close({ drainMs: 0 })

  const second = await connected(store, true, () => {})
  second.server.send(Publish.of({ ...flags, dup: true }))
  await second.server.expect(5)
  second.server.send(new Pubrel(7))
  await second.server.expect(7)
  resolve()
  await turn()
  await second.client.close({ drainMs: 0 })

  // Another message, which says the same, with an identifier that was free.
  let handed = 0
  const third = await connected(store, true, () => void handed++)
  third.server.send(Publish.of(flags))
  await third.server.expect(5)
  assert.equal(handed, 1)
  third.client.destroy()
})

test('a handler that ends while the store is being closed is noted in it', async () => {
  const rows = new MemoryRows()
  const store = new StoredSession(rows)
  const { promise, resolve } = deferred<void>()
  const first = await connected(store, false, () => promise)
  first.server.send(Publish.of(flags))
  await turn()
  const written = deferred<void>()
  const write = rows.write.bind(rows)
  rows.write = async (changes) => {
    await written.promise
    await write(changes)
  }
  const published = first.client.publish('t', 'x', { qos: 1 })
  const { packetId } = await first.server.expect(3)
  await turn()
  first.server.send(new Puback(packetId))
  await published
  first.client.destroy()
  resolve()
  await turn()
  written.resolve()
  await first.client.closed

  let handed = 0
  const second = await connected(store, true, () => void handed++)
  second.server.send(Publish.of({ ...flags, dup: true }))
  await second.server.expect(5)
  assert.equal(handed, 0)
  second.client.destroy()
})

test('a store that is still being closed is in use', async () => {
  const rows = new MemoryRows()
  const { promise, resolve } = deferred<void>()
  const close = rows.close.bind(rows)
  rows.close = async () => {
    await close()
    await promise
  }
  const store = new StoredSession(rows)
  const first = await connected(store, false, () => {})
  first.client.destroy()
  await turn()
  await assert.rejects(
    new SimulatedWorld().client({ store }).connect(),
    ({ code }: SessionStoreError) => code === 'ERR_MQTT_SESSION_STORE_LOCKED',
  )
  resolve()
  await first.client.closed
  const second = await connected(store, true, () => {})
  await second.client.publish('t', 'x', { qos: 1, until: 'stored' })
  second.client.destroy()
})
