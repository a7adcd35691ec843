import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  MqttError,
  OptionError,
  type Properties,
  Puback,
  Publish,
  type QoS,
  ReasonCode,
  Suback,
  Unsuback,
} from '@recado/protocol'
import type { Client } from './client.ts'
import {
  BufferOverflowError,
  ClientClosedError,
  NotSupportedError,
  SubscribeError,
  UnsubscribeError,
} from './errors.ts'
import type { SubscribeOptions } from './options.ts'
import type { MessageHandler, Subscription } from './subscription.ts'
import { type FakeServer, SimulatedWorld, turn } from './testing/simulated.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

function publish(topic: string, payload: string, identifiers?: number[], qos: QoS = 0, packetId = 0): Publish {
  const properties: Properties = identifiers === undefined ? {} : { subscriptionIdentifiers: identifiers }
  return Publish.of({ topic, payload: bytes(payload), qos, packetId, properties })
}

async function subscribed(
  client: Client,
  server: FakeServer,
  filter: string | string[],
  options: SubscribeOptions = {},
  handler?: MessageHandler,
): Promise<Subscription> {
  const subscription =
    handler === undefined ? client.subscribe(filter, options) : client.subscribe(filter, options, handler)
  const { packetId, subscriptions } = await server.expect(8)
  server.send(
    new Suback(
      packetId,
      subscriptions.map(({ qos }) => qos),
    ),
  )
  await subscription.ready
  return subscription
}

test('SUBSCRIBE carries the options, and ready resolves with what was granted', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = client.subscribe(['a/+', '$share/g/b'], {
    qos: 2,
    retainAsPublished: true,
    retainHandling: 1,
    properties: { userProperties: [['x', 'y']] },
  })
  const subscribe = await server.expect(8)
  assert.deepEqual(subscribe.subscriptions, [
    { topicFilter: 'a/+', qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 1 },
    { topicFilter: '$share/g/b', qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 1 },
  ])
  assert.deepEqual(subscribe.properties, { userProperties: [['x', 'y']], subscriptionIdentifiers: [1] })
  server.send(new Suback(subscribe.packetId, [1, 2], { reasonString: 'fine' }))
  assert.deepEqual(await subscription.ready, {
    reasonCodes: [1, 2],
    reasonString: 'fine',
    properties: { reasonString: 'fine' },
  })
  client.destroy()
})

test('messages go by Subscription Identifier to each subscription that matched', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const all = await subscribed(client, server, '#')
  const some = await subscribed(client, server, 'a/b')
  server.send(publish('a/b', 'both', [1, 2]), publish('a/b', 'one', [1]))
  await turn()
  assert.deepEqual([all.buffered, some.buffered], [2, 1])
  assert.equal((await some.next()).value?.text(), 'both')
  client.destroy()
})

test('without identifiers messages go to every subscription whose filter matches', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ protocolVersion: 4 })
  const wide = await subscribed(client, server, ['a/#', '+/b'])
  const shared = await subscribed(client, server, '$share/g/a/b')
  const other = await subscribed(client, server, 'c')
  server.send(publish('a/b', 'x'))
  await turn()
  assert.deepEqual([wide.buffered, shared.buffered, other.buffered], [1, 1, 0])
  client.destroy()
})

test('two subscriptions to one filter both get its messages, and it is unsubscribed with the last', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const first = await subscribed(client, server, 'a')
  const second = await subscribed(client, server, ['a', 'b'])
  // The server knows the filter by the later identifier.
  server.send(publish('a', 'x', [2]), publish('b', 'y', [2]))
  assert.deepEqual([first.buffered, second.buffered], [1, 2])
  await first.unsubscribe()
  await turn()
  assert.deepEqual(server.received, [])
  server.send(publish('a', 'z', [2]))
  assert.deepEqual([first.buffered, second.buffered], [1, 3])
  const unsubscribed = second.unsubscribe()
  const { packetId, topicFilters } = await server.expect(10)
  assert.deepEqual(topicFilters, ['a', 'b'])
  server.send(new Unsuback(packetId, [0, 0]))
  await unsubscribed
  const left: (string | undefined)[] = []
  for await (const message of second) left.push(message.text())
  assert.deepEqual(left, ['x', 'y', 'z'])
  client.destroy()
})

test('leaving a for await loop unsubscribes', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = await subscribed(client, server, 'a')
  server.send(publish('a', '1', [1]), publish('a', '2', [1]))
  const looped = (async () => {
    for await (const message of subscription) {
      assert.equal(message.text(), '1')
      break
    }
  })()
  const { packetId } = await server.expect(10)
  server.send(new Unsuback(packetId, [0]))
  await looped
  assert.equal(subscription.buffered, 0)
  assert.deepEqual(await subscription.next(), { value: undefined, done: true })
  client.destroy()
})

test('a refused filter rejects ready and the iteration, and unsubscribes the granted ones', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = client.subscribe(['a', 'b'])
  const next = subscription.next()
  const { packetId } = await server.expect(8)
  server.send(new Suback(packetId, [0, ReasonCode.NotAuthorized]))
  await assert.rejects(next, SubscribeError)
  await assert.rejects(subscription.ready, (error) => {
    return error instanceof SubscribeError && error.reasonCode === ReasonCode.NotAuthorized && /"b"/.test(error.message)
  })
  assert.deepEqual((await server.expect(10)).topicFilters, ['a'])
  client.destroy()
})

test('with partial: true the granted filters go on', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = client.subscribe(['a', 'b'], { partial: true })
  const { packetId } = await server.expect(8)
  server.send(new Suback(packetId, [0, 0x87]))
  assert.deepEqual((await subscription.ready).reasonCodes, [0, 0x87])
  server.send(publish('a', 'x', [1]))
  assert.equal(subscription.buffered, 1)
  client.destroy()
})

test('a handler that returns a promise gets the next message when it is done', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const started: string[] = []
  const release: (() => void)[] = []
  await subscribed(client, server, 'a', {}, (message) => {
    started.push(message.text())
    return new Promise<void>((resolve) => release.push(resolve))
  })
  server.send(publish('a', '1', [1]), publish('a', '2', [1]), publish('a', '3', [1]))
  await turn()
  assert.deepEqual(started, ['1'])
  release.shift()!()
  await turn()
  assert.deepEqual(started, ['1', '2'])
  client.destroy()
})

test('what a handler throws goes to onHandlerError, and the next message comes', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const errors: unknown[] = []
  client.onHandlerError = (error) => errors.push((error as Error).message)
  await subscribed(client, server, 'a', {}, async (message) => {
    throw new Error(message.text())
  })
  await subscribed(client, server, 'b', {}, (message) => {
    throw new Error(message.text())
  })
  server.send(publish('a', '1', [1]), publish('a', '2', [1]), publish('b', '3', [2]))
  await turn()
  assert.deepEqual(errors.sort(), ['1', '2', '3'])
  client.destroy()
})

test("overflow: 'backpressure' stops reading until half is read", async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = await subscribed(client, server, 'a', { bufferMax: 4 })
  for (let i = 0; i < 4; i++) server.send(publish('a', String(i), [1]))
  assert.equal(server.transport.paused, true)
  await subscription.next()
  assert.equal(server.transport.paused, true)
  await subscription.next()
  assert.equal(server.transport.paused, false)
  client.destroy()
})

test('reading goes on while the application waits for the server, so that a loop that publishes does not hang', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = await subscribed(client, server, 'a', { bufferMax: 2 })
  server.send(publish('a', '1', [1]), publish('a', '2', [1]))
  assert.equal(server.transport.paused, true)
  const published = client.publish('b', 'x', { qos: 1 })
  assert.equal(server.transport.paused, false)
  const { packetId } = await server.expect(3)
  server.send(...Array.from({ length: 100 }, () => publish('a', 'more', [1])), new Puback(packetId))
  await published
  assert.equal(server.transport.paused, true)
  assert.equal(subscription.buffered, 16)
  assert.equal(subscription.dropped, 86)
  client.destroy()
})

test("overflow: 'drop-oldest' keeps the newest and counts", async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = await subscribed(client, server, 'a', { bufferMax: 2, overflow: 'drop-oldest' })
  for (let i = 0; i < 5; i++) server.send(publish('a', String(i), [1]))
  assert.equal(subscription.dropped, 3)
  assert.equal((await subscription.next()).value?.text(), '3')
  client.destroy()
})

test("overflow: 'error' ends the subscription", async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = await subscribed(client, server, 'a', { bufferMax: 1, overflow: 'error' })
  server.send(publish('a', '1', [1]), publish('a', '2', [1]))
  await assert.rejects(subscription.next(), BufferOverflowError)
  assert.deepEqual(await subscription.next(), { value: undefined, done: true })
  await server.expect(10)
  client.destroy()
})

test('an aborted subscription ends with the reason of the signal and unsubscribes', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const abort = new AbortController()
  const subscription = await subscribed(client, server, 'a', { signal: abort.signal })
  const next = subscription.next()
  abort.abort(new Error('enough'))
  await assert.rejects(next, /enough/)
  await server.expect(10)
  const never = client.subscribe('b', { signal: abort.signal })
  await assert.rejects(never.next(), /enough/)
  await assert.rejects(never.ready, /enough/)
  assert.deepEqual(server.received, [])
  client.destroy()
})

test('subscriptions made before connect() are sent with it; messages of an older session go to onMessage', async () => {
  const world = new SimulatedWorld()
  const client = world.client({ cleanStart: false, clientId: 'me' })
  const subscription = client.subscribe('a')
  const others: string[] = []
  client.onMessage = (message) => others.push(message.topic)
  const connecting = client.connect()
  const server = await world.connection()
  await server.accept({}, true)
  // Identifier 1 was somebody else's in the session that was kept.
  server.send(publish('x', 'old', [1]), publish('a', 'ours', [1]))
  await connecting
  assert.deepEqual(others, ['x'])
  assert.equal((await subscription.next()).value?.topic, 'a')
  await server.expect(8)
  client.destroy()
})

test('close() lets what is buffered be read, then ends the iteration', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = await subscribed(client, server, 'a')
  server.send(publish('a', '1', [1]))
  await client.close()
  const seen: string[] = []
  for await (const message of subscription) seen.push(message.text())
  assert.deepEqual(seen, ['1'])
  assert.throws(() => client.subscribe('b'), ClientClosedError)
  await assert.rejects(client.unsubscribe('b'), ClientClosedError)
})

test('unsubscribe() answers with the Reason Codes, and rejects with a refusal', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = await subscribed(client, server, 'a')
  const done = client.unsubscribe(['a', 'old'])
  server.send(new Unsuback((await server.expect(10)).packetId, [0, ReasonCode.NoSubscriptionExisted]))
  assert.deepEqual((await done).reasonCodes, [0, 0x11])
  assert.equal(subscription.ended, true)
  const refused = assert.rejects(client.unsubscribe('x'), UnsubscribeError)
  server.send(new Unsuback((await server.expect(10)).packetId, [ReasonCode.NotAuthorized]))
  await refused
  client.destroy()
})

test('what the server cannot do is refused by name', async () => {
  const world = new SimulatedWorld()
  const limits = { wildcardSubscriptionAvailable: false, sharedSubscriptionAvailable: false }
  const { client } = await world.connected({}, limits)
  await assert.rejects(client.subscribe('a/#').ready, NotSupportedError)
  await assert.rejects(client.subscribe('$share/g/a').next(), NotSupportedError)
  assert.throws(() => client.subscribe('a/#/b'), MqttError)
  assert.throws(() => client.subscribe([]), OptionError)
  assert.throws(() => client.subscribe('$share/g/a', { noLocal: true }), OptionError)
  client.destroy()
  const old = await world.connected({ protocolVersion: 4 })
  await assert.rejects(old.client.subscribe('a', { noLocal: true }).ready, NotSupportedError)
  old.client.destroy()
})
