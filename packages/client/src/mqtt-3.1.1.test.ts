/* Statements of MQTT 3.1.1 about clients, whose numbers are its own: the whole client against a server that the test scripts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, Pubcomp, Publish, Pubrec, Pubrel } from '@recado/protocol'
import { SimulatedWorld, turn } from './testing/simulated.ts'

const old = { protocolVersion: 4, clientId: 'a', cleanStart: false } as const
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

test('without a Client Identifier there is a new session, or a name made up for it [MQTT-3.1.1:3.1.3-7]', async () => {
  for (const clientId of ['', undefined]) {
    const world = new SimulatedWorld()
    const { client, connect } = await world.connected({
      protocolVersion: 4,
      cleanStart: false,
      ...(clientId === undefined ? {} : { clientId }),
    })
    assert.ok(connect.cleanStart || connect.clientId !== '', JSON.stringify(connect))
    client.destroy()
  }
})

test('each new SUBSCRIBE, UNSUBSCRIBE and PUBLISH has an unused Packet Identifier [MQTT-3.1.1:2.3.1-1] [MQTT-3.1.1:2.3.1-2]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected(old)
  client.subscribe('a', { qos: 1 }, () => undefined)
  client.unsubscribe('b').catch(() => undefined)
  for (const qos of [1, 2] as const) client.publish('t', 'x', { qos }).catch(() => undefined)
  await turn()
  const ids = server.received.map((packet) => ('packetId' in packet ? packet.packetId : 0))
  assert.equal(ids.length, 4)
  assert.equal(new Set(ids).size, 4)
  assert.ok(!ids.includes(0))
  client.destroy()
})

test('what is sent again has its Packet Identifier, DUP and its place; PUBREL is not preceded by its PUBLISH [MQTT-3.1.1:2.3.1-3] [MQTT-3.1.1:4.3.2-1] [MQTT-3.1.1:4.3.3-1] [MQTT-3.1.1:4.4.0-1] [MQTT-3.1.1:4.6.0-1]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected(old)
  const sent = [
    client.publish('t', 'one', { qos: 1 }),
    client.publish('t', 'two', { qos: 2 }),
    client.publish('t', 'three', { qos: 1 }),
  ]
  const ids: number[] = []
  for (let i = 0; i < 3; i++) {
    const publish = await server.expect(3)
    assert.equal(publish.dup, false)
    ids.push(publish.packetId)
  }
  const [one, two, three] = ids as [number, number, number]
  server.send(new Pubrec(two))
  assert.equal((await server.expect(6)).packetId, two)
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  const first = await again.expect(3)
  assert.deepEqual([text(first.payload), first.packetId, first.dup], ['one', one, true])
  const third = await again.expect(3)
  assert.deepEqual([text(third.payload), third.packetId, third.dup], ['three', three, true])
  assert.equal((await again.expect(6)).packetId, two)
  again.send(new Puback(one), new Pubcomp(two), new Puback(three))
  await Promise.all(sent)
  client.destroy()
})

test('messages are acknowledged under their Packet Identifiers, QoS 2 handed on once [MQTT-3.1.1:2.3.1-6] [MQTT-3.1.1:4.3.2-2] [MQTT-3.1.1:4.3.3-2] [MQTT-3.1.1:4.5.0-2]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected(old)
  const seen: string[] = []
  client.onMessage = (message) => void seen.push(message.text())
  const message = (qos: 1 | 2, packetId: number, dup = false): Publish =>
    Publish.of({ topic: 't', payload: new TextEncoder().encode(`${qos}`), qos, packetId, dup })
  server.send(message(1, 4), message(2, 5), message(2, 5, true), new Pubrel(5))
  assert.equal((await server.expect(4)).packetId, 4)
  assert.equal((await server.expect(5)).packetId, 5)
  assert.equal((await server.expect(5)).packetId, 5)
  assert.equal((await server.expect(7)).packetId, 5)
  assert.deepEqual(seen, ['1', '2'])
  client.destroy()
})

test('PINGREQ goes out when nothing else does [MQTT-3.1.1:3.1.2-23]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ ...old, keepAliveSeconds: 10 })
  await world.advance(9_000)
  await server.expect(12)
  client.destroy()
})

test('acknowledgements and PUBRELs go out in their order [MQTT-3.1.1:4.6.0-2] [MQTT-3.1.1:4.6.0-4]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected(old)
  for (const packetId of [9, 4, 7])
    server.send(Publish.of({ topic: 't', payload: new Uint8Array(0), qos: 1, packetId }))
  for (const packetId of [9, 4, 7]) assert.equal((await server.expect(4)).packetId, packetId)
  const published = ['a', 'b'].map((payload) => client.publish('t', payload, { qos: 2 }))
  const a = (await server.expect(3)).packetId
  const b = (await server.expect(3)).packetId
  server.send(new Pubrec(b), new Pubrec(a))
  assert.equal((await server.expect(6)).packetId, b)
  assert.equal((await server.expect(6)).packetId, a)
  server.send(new Pubcomp(a), new Pubcomp(b))
  await Promise.all(published)
  client.destroy()
})

test('after DISCONNECT the client sends nothing more and closes [MQTT-3.1.1:3.14.4-1] [MQTT-3.1.1:3.14.4-2]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected(old)
  const closing = client.close()
  await server.expect(14)
  server.send(Publish.of({ topic: 't', payload: new Uint8Array(1), qos: 1, packetId: 1 }))
  await closing
  await turn()
  assert.deepEqual(server.received, [])
  assert.ok(server.transport.closed)
})
