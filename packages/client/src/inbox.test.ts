import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Packet, Publish, Pubrel, type QoS, ReasonCode, Suback } from '@recado/protocol'
import type { Client } from './client.ts'
import type { SubscribeOptions } from './options.ts'
import type { Subscription } from './subscription.ts'
import { type FakeServer, SimulatedWorld, turn } from './testing/simulated.ts'

function publish(packetId: number, qos: QoS, payload = String(packetId), dup = false): Publish {
  return Publish.of({ topic: 'a', qos, packetId, dup, payload: new TextEncoder().encode(payload) })
}

const brief = (packet: Packet): string => {
  const { packetId, reasonCode } = packet as { packetId?: number; reasonCode?: number }
  return `${packet.type} ${packetId}${reasonCode ? ` 0x${reasonCode.toString(16)}` : ''}`
}

async function receiving(
  options: SubscribeOptions = {},
  receiveMaximum = 100,
): Promise<{ world: SimulatedWorld; client: Client; server: FakeServer; subscription: Subscription }> {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ receiveMaximum })
  const subscription = client.subscribe('a', options)
  const { packetId } = await server.expect(8)
  server.send(new Suback(packetId, [2]))
  await subscription.ready
  return { world, client, server, subscription }
}

const sent = async (server: FakeServer): Promise<string[]> => {
  await turn()
  return server.received.splice(0).map(brief)
}

test('messages are acknowledged when they are handed out', async () => {
  const { client, server, subscription } = await receiving()
  server.send(publish(1, 1), publish(2, 2))
  assert.deepEqual(await sent(server), [])
  await subscription.next()
  assert.deepEqual(await sent(server), ['4 1'])
  await subscription.next()
  assert.deepEqual(await sent(server), ['5 2'])
  server.send(new Pubrel(2))
  assert.deepEqual(await sent(server), ['7 2'])
  client.destroy()
})

test('manual acknowledgements go out in the order of the messages [MQTT-4.6.0-2]', async () => {
  const { client, server, subscription } = await receiving({ ack: 'manual' })
  server.send(publish(1, 1), publish(2, 1), publish(3, 2))
  const messages = [await subscription.next(), await subscription.next(), await subscription.next()]
  messages[1]!.value?.ack()
  messages[2]!.value?.ack(ReasonCode.QuotaExceeded)
  assert.deepEqual(await sent(server), [])
  messages[0]!.value?.ack(ReasonCode.NotAuthorized)
  messages[0]!.value?.ack()
  assert.deepEqual(await sent(server), ['4 1 0x87', '4 2', '5 3 0x97'])
  assert.equal(client.pending.unacknowledged, 0)
  client.destroy()
})

test('PUBREL for a message that is not finished ends its flow: no PUBREC follows, which could be for the next message', async () => {
  const { client, server, subscription } = await receiving({ ack: 'manual' })
  server.send(publish(2, 2, 'given up'), new Pubrel(2))
  assert.deepEqual(await sent(server), ['7 2'])
  server.send(publish(2, 2, 'new'))
  const [first, second] = [await subscription.next(), await subscription.next()]
  assert.equal(first.value?.text(), 'given up')
  first.value?.ack()
  assert.deepEqual(await sent(server), [])
  server.send(publish(2, 2, 'new', true))
  assert.deepEqual(await sent(server), [])
  second.value?.ack()
  assert.deepEqual(await sent(server), ['5 2'])
  assert.equal(client.pending.unacknowledged, 0)
  client.destroy()
})

test('a QoS 2 message is handed on once, over any number of repetitions and connections [MQTT-4.3.3-10]', async () => {
  const { world, client, server, subscription } = await receiving()
  server.send(publish(5, 2), publish(5, 2, '5', true))
  assert.equal(subscription.buffered, 1)
  await subscription.next()
  assert.deepEqual(await sent(server), ['5 5'])
  server.send(publish(5, 2, '5', true))
  assert.deepEqual(await sent(server), ['5 5'])
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  again.send(publish(5, 2, '5', true), new Pubrel(5), new Pubrel(5))
  assert.deepEqual(await sent(again), ['5 5', '7 5', '7 5 0x92'])
  assert.equal(subscription.buffered, 0)
  again.send(publish(5, 2, 'new'))
  assert.equal(subscription.buffered, 1)
  client.destroy()
})

test('an acknowledgement after a reconnect: void at QoS 1, sent at QoS 2', async () => {
  const { world, client, server, subscription } = await receiving({ ack: 'manual' })
  server.send(publish(1, 1), publish(2, 2))
  const [one, two] = [await subscription.next(), await subscription.next()]
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  again.send(publish(1, 1, '1', true), publish(2, 2, '2', true))
  await turn()
  assert.equal(subscription.buffered, 1)
  one.value?.ack()
  two.value?.ack()
  assert.deepEqual(await sent(again), ['5 2'])
  const { value } = await subscription.next()
  assert.equal(value?.dup, true)
  value?.ack()
  assert.deepEqual(await sent(again), ['4 1'])
  client.destroy()
})

test('a server that exceeds our Receive Maximum is told 0x93 [MQTT-3.3.4-7]', async () => {
  const { client, server } = await receiving({}, 2)
  server.send(publish(1, 1), publish(2, 1), publish(3, 1))
  assert.deepEqual(await sent(server), ['14 undefined 0x93'])
  client.destroy()
})

test('Topic Aliases of the server are resolved, and an unknown one ends the connection [MQTT-3.3.2-10]', async () => {
  const { client, server, subscription } = await receiving()
  const aliased = (topic: string, topicAlias: number): Publish => Publish.of({ topic, properties: { topicAlias } })
  server.send(aliased('a', 3), aliased('', 3))
  assert.equal((await subscription.next()).value?.topic, 'a')
  assert.equal((await subscription.next()).value?.topic, 'a')
  server.send(aliased('', 4))
  assert.deepEqual(await sent(server), ['14 undefined 0x82'])
  client.destroy()
})

test('messages that nobody wants are acknowledged and counted [MQTT-4.5.0-2]', async () => {
  const { client, server, subscription } = await receiving()
  server.send(Publish.of({ topic: 'other', qos: 1, packetId: 9 }))
  assert.deepEqual(await sent(server), ['4 9'])
  assert.equal(client.unmatchedMessages, 1)
  assert.equal(subscription.buffered, 0)
  client.destroy()
})

test('a handler that returns a promise delays the acknowledgement until it settles', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  let done: () => void = () => {}
  client.subscribe('a', () => {
    return new Promise<void>((resolve) => {
      done = resolve
    })
  })
  await server.expect(8)
  server.send(publish(1, 1))
  assert.deepEqual(await sent(server), [])
  done()
  assert.deepEqual(await sent(server), ['4 1'])
  client.destroy()
})
