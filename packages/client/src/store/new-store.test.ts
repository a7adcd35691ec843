/** A session at the server that the store knows nothing of, and sessions that MQTT 3.1 says nothing of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Publish, Pubrec, Pubrel } from '@recado/protocol'
import type { ConnectOptions } from '../options.ts'
import { type FakeServer, SimulatedWorld, turn } from '../testing/simulated.ts'
import { memory } from './memory.ts'
import type { SessionStore } from './session-store.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

async function begun(
  store: SessionStore,
  options: ConnectOptions = { clientId: 'me' },
): Promise<{ world: SimulatedWorld; client: ReturnType<SimulatedWorld['client']>; connecting: Promise<unknown> }> {
  const world = new SimulatedWorld()
  const client = world.client({ store, ...options })
  const connecting = client.connect()
  connecting.catch(() => {})
  await turn()
  return { world, client, connecting }
}

// Found by the simulation, seed 643: the server held identifiers of a session whose store had been lost.
test('with a new store and a given Client Identifier the first session is a new one, whatever the server still has', async () => {
  const store = memory()
  const first = await begun(store)
  // It ends before the server has answered: there is still no session that this store knows.
  assert.equal((await (await first.world.connection()).expect(1)).cleanStart, true)
  first.client.destroy()
  await first.client.closed

  const second = await begun(store)
  const server = await second.world.connection()
  assert.equal((await server.accept()).cleanStart, true)
  await second.connecting
  second.client.publish('t', 'x', { qos: 2 }).catch(() => {})
  const { packetId } = await server.expect(3)
  server.break()
  await second.world.advance(1_000)
  assert.equal((await (await second.world.connection()).accept({}, true)).cleanStart, false)
  second.client.destroy()
  await second.client.closed

  const third = await begun(store)
  const next = await third.world.connection()
  assert.equal((await next.accept({}, true)).cleanStart, false)
  const again = await next.expect(3)
  assert.deepEqual([again.packetId, again.dup], [packetId, true])
  third.client.destroy()
})

test('who has not given a Client Identifier has a new one, and no session to forget', async () => {
  const { world, client } = await begun(memory(), {})
  assert.equal((await (await world.connection()).accept()).cleanStart, false)
  client.destroy()
})

for (const protocolVersion of [4, 3] as const) {
  test(`before 5.0 (${protocolVersion}) a connection with Clean Session ends what the server still has, and another one follows`, async () => {
    const store = memory()
    const { world, client, connecting } = await begun(store, { clientId: 'me', protocolVersion })
    const wiping = await world.connection()
    assert.equal((await wiping.accept()).cleanStart, true)
    await wiping.expect(14)
    const server = await world.connection()
    assert.equal((await server.accept()).cleanStart, false)
    await connecting
    client.destroy()
    await client.closed
    const next = await begun(store, { clientId: 'me', protocolVersion })
    assert.equal((await (await next.world.connection()).accept({}, protocolVersion > 3)).cleanStart, false)
    next.client.destroy()
  })
}

test('a client that is closed while it ends the old session before 5.0 opens no other connection', async () => {
  const { world, client, connecting } = await begun(memory(), { clientId: 'me', protocolVersion: 4 })
  const wiping = await world.connection()
  await wiping.expect(1)
  await client.close()
  await assert.rejects(connecting)
  await turn()
  assert.equal(world.servers.length, 0)
  assert.equal(world.timers, 0)
})

function silentServer(server: FakeServer): Promise<unknown> {
  // MQTT 3.1 has no Session Present.
  return server.accept({}, false)
}

test('with MQTT 3.1, which does not say whether there was a session, a store that has one goes on with it', async () => {
  const store = memory()
  const options = { protocolVersion: 3 } as const
  const first = await begun(store, options)
  const server = await first.world.connection()
  await silentServer(server)
  await first.connecting
  first.client.subscribe('t', { qos: 2 }, () => {})
  await server.expect(8)
  server.send(Publish.of({ topic: 't', qos: 2, packetId: 7 }))
  await server.expect(5)
  for (const payload of ['released', 'sent']) first.client.publish('t', payload, { qos: 2 }).catch(() => {})
  const [released, sent] = [await server.expect(3), await server.expect(3)]
  server.send(new Pubrec(released.packetId))
  await server.expect(6)
  first.client.destroy()
  await first.client.closed

  const next = await begun(store, options)
  const again = await next.world.connection()
  await silentServer(again)
  const seen: string[] = []
  next.client.onMessage = (message) => void seen.push(message.topic)
  assert.equal((await again.expect(6)).packetId, released.packetId)
  const resent = await again.expect(3)
  assert.deepEqual([text(resent.payload), resent.packetId, resent.dup], ['sent', sent.packetId, true])
  again.send(Publish.of({ topic: 't', qos: 2, packetId: 7, dup: true }))
  assert.equal((await again.expect(5)).packetId, 7)
  again.send(new Pubrel(7))
  assert.equal((await again.expect(7)).packetId, 7)
  assert.deepEqual(seen, [])
  next.client.destroy()
})
