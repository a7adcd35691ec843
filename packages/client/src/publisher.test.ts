import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError, OptionError, Puback, Pubcomp, Pubrec, ReasonCode } from '@recado/protocol'
import { ConnectionLostError, PublishError, QueueFullError } from './errors.ts'
import { SimulatedWorld, turn } from './testing/simulated.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

test('QoS 0 resolves when written, QoS 1 with PUBACK, QoS 2 with PUBCOMP', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  assert.deepEqual((await client.publish('t', 'zero')).packetId, 0)
  assert.equal(text((await server.expect(3)).payload), 'zero')
  const one = client.publish('t', 'one', { qos: 1, retain: true })
  const publish = await server.expect(3)
  assert.deepEqual([publish.qos, publish.retain, publish.dup], [1, true, false])
  server.send(new Puback(publish.packetId, ReasonCode.NoMatchingSubscribers, { reasonString: 'nobody' }))
  assert.deepEqual(await one, {
    reasonCode: 0x10,
    reasonString: 'nobody',
    properties: { reasonString: 'nobody' },
    packetId: publish.packetId,
  })
  const two = client.publish('t', Uint8Array.of(1, 2), { qos: 2 })
  const { packetId } = await server.expect(3)
  server.send(new Pubrec(packetId))
  assert.equal((await server.expect(6)).packetId, packetId)
  server.send(new Pubcomp(packetId))
  assert.equal((await two).packetId, packetId)
  assert.deepEqual(client.pending, { queued: 0, inflight: 0, unacknowledged: 0 })
  client.destroy()
})

test('a message that the server refuses rejects with PublishError [MQTT-4.4.0-2]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const one = assert.rejects(client.publish('t', 'x', { qos: 1 }), (error) => {
    return error instanceof PublishError && error.reasonCode === ReasonCode.NotAuthorized && error.topic === 't'
  })
  server.send(new Puback((await server.expect(3)).packetId, ReasonCode.NotAuthorized))
  await one
  const two = assert.rejects(client.publish('t', 'x', { qos: 2 }), PublishError)
  server.send(new Pubrec((await server.expect(3)).packetId, ReasonCode.QuotaExceeded))
  await two
  assert.deepEqual(server.received, [])
  client.destroy()
})

test('never more in flight than the Receive Maximum of the server, in order [MQTT-3.3.4-7]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({}, { receiveMaximum: 2 })
  const results = ['1', '2', '3', '4', '5'].map((payload) => client.publish('t', payload, { qos: 1 }))
  const seen: string[] = []
  for (let i = 0; i < 5; i++) {
    await turn()
    assert.ok(server.received.length <= 2)
    assert.equal(client.pending.inflight, Math.min(2, 5 - i))
    const publish = await server.expect(3)
    seen.push(text(publish.payload))
    server.send(new Puback(publish.packetId))
  }
  await Promise.all(results)
  assert.deepEqual(seen, ['1', '2', '3', '4', '5'])
  client.destroy()
})

test('QoS 0 passes messages that wait for the window [MQTT-3.3.4-8]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({}, { receiveMaximum: 1 })
  const results = Promise.allSettled([
    client.publish('t', '1', { qos: 1 }),
    client.publish('t', '2', { qos: 1 }),
    client.publish('t', '0'),
  ])
  assert.equal(text((await server.expect(3)).payload), '1')
  assert.equal(text((await server.expect(3)).payload), '0')
  client.destroy()
  await results
})

test('a smaller Receive Maximum after a reconnect holds for resends too [MQTT-3.3.4-7] [MQTT-4.9.0-1]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({}, { receiveMaximum: 10 })
  const results = ['1', '2', '3'].map((payload) => client.publish('t', payload, { qos: 1 }))
  await turn()
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({ receiveMaximum: 1 }, true)
  for (const payload of ['1', '2', '3']) {
    await turn()
    assert.equal(again.received.length, 1)
    const publish = await again.expect(3)
    assert.deepEqual([text(publish.payload), publish.dup], [payload, true])
    again.send(new Puback(publish.packetId))
  }
  await Promise.all(results)
  client.destroy()
})

test('messages published while not connected wait in order, up to the limits', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ queue: { messagesMax: 3 } })
  server.break()
  await turn()
  const results = [client.publish('t', '1'), client.publish('t', '2', { qos: 1 }), client.publish('t', '3')]
  await assert.rejects(client.publish('t', '4'), QueueFullError)
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  for (const payload of ['1', '2', '3']) {
    const publish = await again.expect(3)
    assert.equal(text(publish.payload), payload)
    if (publish.qos === 1) again.send(new Puback(publish.packetId))
  }
  await Promise.all(results)
  client.destroy()
})

test("with overflow 'drop-oldest' the oldest waiting message makes room", async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ queue: { bytesMax: 20, overflow: 'drop-oldest' } })
  server.break()
  await turn()
  const first = assert.rejects(client.publish('t', 'x'.repeat(10)), QueueFullError)
  const second = client.publish('t', 'y'.repeat(10))
  await first
  await assert.rejects(client.publish('t', 'z'.repeat(30)), QueueFullError)
  await assert.rejects(second, QueueFullError)
  client.destroy()
})

test('queue.offlineQoS0: false refuses QoS 0 while not connected', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ queue: { offlineQoS0: false } })
  server.break()
  await turn()
  await assert.rejects(client.publish('t', 'x'), ConnectionLostError)
  client.destroy()
})

test('a full network holds QoS 0 back until it drains', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  server.transport.full = true
  await client.publish('t', '1')
  await turn()
  let done = false
  const waiting = client.publish('t', '2').then(() => {
    done = true
  })
  await turn()
  assert.equal(done, false)
  server.transport.drain()
  await waiting
  assert.equal(text((await server.expect(3)).payload), '1')
  assert.equal(text((await server.expect(3)).payload), '2')
  client.destroy()
})

test('an aborted publish is not sent while it waits; in flight it goes on', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({}, { receiveMaximum: 1 })
  const abort = new AbortController()
  const payload = Uint8Array.of(1)
  const first = assert.rejects(client.publish('t', payload, { qos: 1, signal: abort.signal }), /stop/)
  const second = assert.rejects(client.publish('t', 'never', { qos: 1, signal: abort.signal }), /stop/)
  const third = client.publish('t', 'third', { qos: 1 })
  const publish = await server.expect(3)
  abort.abort(new Error('stop'))
  await first
  await second
  // The bytes are the caller's again, and what is resent is what was sent.
  payload[0] = 9
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({ receiveMaximum: 1 }, true)
  const resent = await again.expect(3)
  assert.deepEqual([...resent.payload], [1])
  again.send(new Puback(publish.packetId))
  const last = await again.expect(3)
  assert.equal(text(last.payload), 'third')
  again.send(new Puback(last.packetId))
  await third
  await assert.rejects(client.publish('t', '', { signal: abort.signal }), /stop/)
  client.destroy()
})

test('what this server cannot take is refused before it is sent [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15] [MQTT-3.2.2-18] [MQTT-3.3.2-2]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected(
    {},
    { maximumQoS: 1, retainAvailable: false, maximumPacketSize: 100 },
  )
  await assert.rejects(client.publish('t', '', { qos: 2 }), { limit: 'maximumQoS' })
  await assert.rejects(client.publish('t', '', { retain: true }), { limit: 'retainAvailable' })
  await assert.rejects(client.publish('t', 'x'.repeat(200)), { limit: 'maximumPacketSize' })
  await assert.rejects(client.publish('t', '', { properties: { topicAlias: 1 } }), { code: 'ERR_MQTT_OPTION' })
  await assert.rejects(client.publish('a/#'), MqttError)
  await assert.rejects(client.publish(''), MqttError)
  await assert.rejects(client.publish('t', '', { qos: 3 as 2 }), OptionError)
  await assert.rejects(client.publish('t', 5 as unknown as string), OptionError)
  await turn()
  assert.deepEqual(server.received, [])
  client.destroy()
})

test('Topic Aliases are used as far as the server allows, and start anew with each connection [MQTT-3.2.2-17] [MQTT-3.3.2-7] [MQTT-3.3.2-9]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({}, { topicAliasMaximum: 1 })
  const seen = async (from: typeof server): Promise<[string, number | undefined]> => {
    const publish = await from.expect(3)
    return [publish.topic, publish.properties.topicAlias]
  }
  for (let i = 0; i < 2; i++) await client.publish('a', 'x')
  await client.publish('b', 'x', { properties: { contentType: 'text' } })
  await client.publish('b', 'x', { properties: { contentType: 'text' } })
  assert.deepEqual(await seen(server), ['a', 1])
  assert.deepEqual(await seen(server), ['', 1])
  assert.deepEqual(await seen(server), ['b', 1])
  assert.deepEqual(await seen(server), ['', 1])
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({ topicAliasMaximum: 1 }, true)
  await turn()
  await client.publish('b', 'x')
  assert.deepEqual(await seen(again), ['b', 1])
  client.destroy()
})

test('PUBREC for an unknown packet id answers PUBREL with 0x92', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  server.send(new Pubrec(77), new Puback(78), new Pubcomp(79))
  const pubrel = await server.expect(6)
  assert.deepEqual([pubrel.packetId, pubrel.reasonCode], [77, ReasonCode.PacketIdentifierNotFound])
  client.destroy()
})

test('a large payload goes by reference and arrives whole', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const payload = new Uint8Array(100_000).map((_, i) => i)
  await client.publish('t', payload)
  await client.publish('t', 'after')
  assert.deepEqual((await server.expect(3)).payload, payload)
  assert.equal(text((await server.expect(3)).payload), 'after')
  client.destroy()
})
