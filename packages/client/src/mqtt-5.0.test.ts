/* Statements about clients that belong to no single file: the whole client against a server that the test scripts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Auth,
  Connack,
  OptionError,
  ProtocolError,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  ReasonCode,
  Suback,
} from '@recado/protocol'
import { NotSupportedError } from './errors.ts'
import type { Message } from './message.ts'
import { SimulatedWorld, turn } from './testing/simulated.ts'

const publish = (qos: 1 | 2, packetId: number, payload = 'x'): Publish =>
  Publish.of({ topic: 't', payload: new TextEncoder().encode(payload), qos, packetId })

test('a server that has a session, where a new one was asked for, is left [MQTT-3.2.2-4]', async () => {
  const world = new SimulatedWorld()
  const client = world.client({ cleanStart: true })
  const connecting = client.connect()
  const server = await world.connection()
  await server.accept({}, true)
  await assert.rejects(connecting, ProtocolError)
  assert.ok(server.transport.closed)
  assert.equal(client.state.name, 'closed')
})

test('until CONNACK nothing but CONNECT and AUTH is sent, whatever waits [MQTT-3.1.2-30] [MQTT-3.1.0-1]', async () => {
  const world = new SimulatedWorld()
  const client = world.client({ authentication: { method: 'm', respond: () => new Uint8Array(1) } })
  client.subscribe('t', { qos: 1 }, () => undefined)
  const published = client.publish('t', 'x', { qos: 1 })
  const connecting = client.connect()
  const server = await world.connection()
  await server.expect(1)
  server.send(new Auth(ReasonCode.ContinueAuthentication, { authenticationMethod: 'm' }))
  await server.expect(15)
  await turn()
  assert.deepEqual(server.received, [])
  server.send(new Connack(false, 0, { authenticationMethod: 'm' }))
  await connecting
  const { packetId } = await server.expect(8)
  server.send(new Suback(packetId, [1]))
  server.send(new Puback((await server.expect(3)).packetId))
  await published
  client.destroy()
})

test('a client without Authentication Method sends no AUTH, and takes none [MQTT-4.12.0-7]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  await assert.rejects(client.reauthenticate(), OptionError)
  await turn()
  assert.deepEqual(server.received, [])
  server.send(new Auth(ReasonCode.ContinueAuthentication, { authenticationMethod: 'm' }))
  assert.equal((await server.expect(14)).reasonCode, ReasonCode.ProtocolError)
  client.destroy()
})

test('re-authentication is AUTH 0x19 with the method of CONNECT [MQTT-4.12.1-1] [MQTT-4.12.0-5]', async () => {
  const world = new SimulatedWorld()
  const { client, server, connect } = await world.connected({
    authentication: { method: 'm', respond: () => new Uint8Array([1]) },
  })
  assert.equal(connect.properties.authenticationMethod, 'm')
  const done = client.reauthenticate()
  const auth = await server.expect(15)
  assert.deepEqual([auth.reasonCode, auth.properties.authenticationMethod], [ReasonCode.ReAuthenticate, 'm'])
  server.send(new Auth(0, { authenticationMethod: 'm' }))
  await done
  client.destroy()
})

test('PUBRECs and PUBACKs go out in the order of their messages [MQTT-4.6.0-3] [MQTT-4.6.0-2] [MQTT-3.1.1:4.6.0-3]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const messages: Message[] = []
  const subscription = client.subscribe('t', { qos: 2, ack: 'manual' }, (message) => void messages.push(message))
  server.send(new Suback((await server.expect(8)).packetId, [2]))
  await subscription.ready
  server.send(publish(2, 1), publish(2, 2), publish(1, 3), publish(2, 4))
  await turn()
  for (const index of [3, 1, 2, 0]) messages[index]!.ack()
  await turn()
  const order = server.received.map((packet) => [packet.type, 'packetId' in packet ? packet.packetId : 0])
  assert.deepEqual(order, [
    [5, 1],
    [5, 2],
    [4, 3],
    [5, 4],
  ])
  client.destroy()
})

test('PUBRELs go out in the order of the PUBRECs [MQTT-4.6.0-4]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const published = ['a', 'b', 'c'].map((payload) => client.publish('t', payload, { qos: 2 }))
  const ids: number[] = []
  for (let i = 0; i < 3; i++) ids.push((await server.expect(3)).packetId)
  const [a, b, c] = ids as [number, number, number]
  server.send(new Pubrec(c), new Pubrec(a), new Pubrec(b))
  for (const packetId of [c, a, b]) assert.equal((await server.expect(6)).packetId, packetId)
  server.send(new Pubcomp(a), new Pubcomp(b), new Pubcomp(c))
  await Promise.all(published)
  client.destroy()
})

test('a received QoS 2 message is acknowledged and released under its Packet Identifier [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-2.2.1-5]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  server.send(publish(2, 77))
  assert.equal((await server.expect(5)).packetId, 77)
  server.send(new Pubrel(77))
  assert.equal((await server.expect(7)).packetId, 77)
  client.destroy()
})

test('at Receive Maximum everything but PUBLISH of QoS 1 and 2 is sent and answered as ever [MQTT-3.3.4-8] [MQTT-4.9.0-3]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ keepAliveSeconds: 10 }, { receiveMaximum: 1 })
  const first = client.publish('t', 'fills it', { qos: 2 })
  const second = client.publish('t', 'waits', { qos: 1 })
  const { packetId } = await server.expect(3)
  await client.publish('t', 'QoS 0')
  assert.equal((await server.expect(3)).qos, 0)
  const subscription = client.subscribe('u')
  server.send(new Suback((await server.expect(8)).packetId, [0]))
  await subscription.ready
  server.send(publish(1, 7), publish(2, 8))
  assert.equal((await server.expect(4)).packetId, 7)
  assert.equal((await server.expect(5)).packetId, 8)
  await world.advance(9_000)
  await server.expect(12)
  server.send(new Pubrec(packetId))
  assert.equal((await server.expect(6)).packetId, packetId)
  server.send(new Pubcomp(packetId))
  await first
  const next = await server.expect(3)
  assert.equal(new TextDecoder().decode(next.payload), 'waits')
  server.send(new Puback(next.packetId))
  await second
  client.destroy()
})

test('after DISCONNECT nothing is sent any more [MQTT-3.14.4-1]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const closing = client.close()
  await server.expect(14)
  server.send(publish(1, 1), publish(2, 2))
  await closing
  await turn()
  assert.deepEqual(server.received, [])
  assert.ok(server.transport.closed)
})

test('no packet is larger than the server takes: SUBSCRIBE and UNSUBSCRIBE are refused, acknowledgements lose what makes them too large [MQTT-3.2.2-15] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.14.2-3] [MQTT-3.14.2-4]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({}, { maximumPacketSize: 60 })
  const long = 'x'.repeat(100)
  await assert.rejects(client.subscribe(long).ready, NotSupportedError)
  await assert.rejects(client.unsubscribe(long), NotSupportedError)
  const messages: Message[] = []
  const subscription = client.subscribe('t', { qos: 2, ack: 'manual' }, (message) => void messages.push(message))
  server.send(new Suback((await server.expect(8)).packetId, [2]))
  await subscription.ready
  server.send(publish(1, 1), publish(2, 2), publish(1, 3))
  await turn()
  const code = ReasonCode.ImplementationSpecificError
  messages[0]!.ack(code, { reasonString: long })
  messages[1]!.ack(code, { reasonString: 'short', userProperties: [['a', long]] })
  messages[2]!.ack(code, { reasonString: 'short' })
  const [puback, pubrec, second] = [await server.expect(4), await server.expect(5), await server.expect(4)]
  assert.deepEqual([puback.reasonCode, puback.properties.reasonString], [code, undefined])
  assert.deepEqual([pubrec.reasonCode, { ...pubrec.properties }], [code, { reasonString: 'short' }])
  assert.deepEqual([second.reasonCode, { ...second.properties }], [code, { reasonString: 'short' }])
  const closing = client.close({ properties: { reasonString: long, userProperties: [['a', 'b']] } })
  const disconnect = await server.expect(14)
  assert.equal(disconnect.properties.reasonString, undefined)
  await closing
})
