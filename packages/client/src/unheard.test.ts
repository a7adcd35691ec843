/**
 * Faults that no listener hears must not end the process: bad payloads from the network, and promises that are dropped
 * when a client is closed. The test runner fails a test in which an exception or a rejection goes unhandled.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type MqttError, Puback, Publish, ReasonCode, Suback } from '@recado/protocol'
import type { Client } from './client.ts'
import { ClientClosedError, PayloadError } from './errors.ts'

import { memory } from './store/memory.ts'
import { type FakeServer, SimulatedWorld, turn } from './testing/simulated.ts'

const publish = (topic: string, payload: string, packetId = 0): Publish =>
  Publish.of({ topic, payload: new TextEncoder().encode(payload), qos: packetId === 0 ? 0 : 1, packetId })

async function granted(server: FakeServer): Promise<void> {
  const { packetId } = await server.expect(8)
  server.send(new Suback(packetId, [0]))
}

// ---- payloads

test('whatever anybody publishes, a handler with decode goes on, without any listener for errors', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const seen: unknown[] = []
  client.subscribe('json', { decode: 'json' }, ({ value }) => void seen.push(value))
  client.subscribe('text', { decode: 'text' }, ({ value }) => void seen.push(value))
  client.subscribe('own', { decode: () => assert.fail('no') }, () => void seen.push('never'))
  client.subscribe('strict', { decode: 'json', onInvalid: 'error' }, ({ value }) => void seen.push(value))
  client.subscribe('sloppy', (message) => void seen.push(message.json()))
  client.subscribe('slow', async (message) => void seen.push(message.json()))
  for (let i = 0; i < 6; i++) await granted(server)
  const deep = '['.repeat(100_000)
  for (const topic of ['json', 'strict', 'sloppy', 'slow']) {
    for (const payload of ['hello', '', '{', deep, '7']) server.send(publish(topic, payload))
  }
  server.send(Publish.of({ topic: 'text', payload: Uint8Array.of(0xff, 0xfe) }), publish('text', 'x'))
  server.send(publish('own', 'x'))
  await turn()
  assert.deepEqual(seen.filter((value) => value === 7).length, 4)
  assert.ok(seen.includes('x'))
  assert.equal(client.invalidMessages, 4 * 4 + 2)
  assert.equal(client.connected, true)
  client.destroy()
})

test('an iteration skips what is invalid, and onInvalidMessage hears of it once a second, with how many there were', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ keepAliveSeconds: 0 })
  const told: unknown[] = []
  client.onInvalidMessage = (error, message, more) => {
    assert.ok(error instanceof PayloadError)
    told.push([error.topic, message.text(), more])
  }
  const subscription = client.subscribe('a', { decode: 'json' })
  await granted(server)
  const next = subscription.next()
  for (const payload of ['x', 'y', 'z']) server.send(publish('a', payload))
  await world.advance(1_000)
  server.send(publish('a', 'w'))
  await world.advance(10)
  server.send(publish('a', '1'))
  assert.equal((await next).value?.value, 1)
  assert.deepEqual(told, [
    ['a', 'x', 0],
    ['a', 'w', 2],
  ])
  assert.equal(subscription.invalid, 4)
  client.destroy()
})

test('respond: a request that cannot be read, or answered, ends nothing', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const undelivered: unknown[] = []
  client.onUndelivered = ({ topic }, error) => void undelivered.push([topic, error.code])
  client.respond('echo', { decode: 'json' }, ({ value }) => JSON.stringify(value))
  await granted(server)
  const ask = (payload: string, responseTopic: string): Publish =>
    Publish.of({
      topic: 'echo',
      payload: new TextEncoder().encode(payload),
      properties: { responseTopic, correlationData: Uint8Array.of(1) },
    })
  server.send(ask('nonsense', 'r'), ask('1', 'bell\u0007'), ask('2', 'r'))
  assert.equal((await server.expect(3)).topic, 'r')
  await turn()
  assert.deepEqual(undelivered, [['bell\u0007', 'ERR_MQTT_TOPIC_NAME']])
  assert.equal(client.invalidMessages, 1)
  client.destroy()
})

test('a responder that returns what is no response is told so', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const errors: string[] = []
  client.onHandlerError = (error) => void errors.push((error as MqttError).message)
  const answers = [{ ok: true }, 5, { payload: {} }, { qos: 7 }, { properties: { topic: 'x' } }]
  client.respond('a', () => answers.shift() as unknown as string)
  await granted(server)
  for (let i = 0; i < 5; i++) {
    server.send(Publish.of({ topic: 'a', payload: Uint8Array.of(), properties: { responseTopic: 'r' } }))
  }
  await turn()
  assert.equal(errors.length, 5)
  assert.match(
    errors.join('\n'),
    /no option ok.*payload must be.*payload must be.*qos must be.*no option properties\.topic/s,
  )
  assert.deepEqual(server.received, [])
  client.destroy()
})

test('listeners that throw disturb nothing', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ store: memory() })
  const errors: unknown[] = []
  client.onHandlerError = (error) => void errors.push(error)
  for (const name of ['onMessage', 'onInvalidMessage', 'onUndelivered'] as const) {
    client[name] = () => {
      throw new Error(name)
    }
  }
  client.subscribe('a', { decode: 'json' }, () => {})
  await granted(server)
  server.send(publish('b', 'x'), publish('a', 'x'))
  client.send('c', 'x', { qos: 1 })
  server.send(new Puback((await server.expect(3)).packetId, ReasonCode.NotAuthorized))
  await turn()
  assert.deepEqual(
    errors.map((error) => (error as Error).message),
    ['onMessage', 'onInvalidMessage', 'onUndelivered'],
  )
  await client.publish('d', 'x')
  client.destroy()
})

// ---- send

test('send never rejects: what is not delivered goes to onUndelivered, or is counted', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({}, { maximumQoS: 1 })
  client.send('a+', 'x')
  client.send('a', 'x', { qos: 2 })
  await turn()
  assert.equal(client.undeliveredMessages, 2)
  const undelivered: unknown[] = []
  client.onUndelivered = ({ topic, qos, retain, payload }, { code }) => {
    undelivered.push([topic, qos, retain, [...payload], code])
  }
  const bytes = Uint8Array.of(1)
  client.send('refused', bytes, { qos: 1, retain: true })
  bytes[0] = 9
  server.send(new Puback((await server.expect(3)).packetId, ReasonCode.QuotaExceeded))
  client.send('waits', 'x', { qos: 1 })
  client.send('fine', 'x')
  await server.expect(3)
  assert.equal((await server.expect(3)).topic, 'fine')
  client.destroy()
  client.send('late')
  await turn()
  assert.deepEqual(undelivered, [
    ['refused', 1, true, [1], 'ERR_MQTT_PUBLISH_REFUSED'],
    ['waits', 1, false, [120], 'ERR_MQTT_CLOSED'],
    ['late', 0, false, [], 'ERR_MQTT_CLOSED'],
  ])
  assert.throws(() => client.send(5 as unknown as string), { code: 'ERR_MQTT_OPTION' })
  assert.throws(() => client.send('a', 'x', { until: 'stored' } as object), { code: 'ERR_MQTT_OPTION' })
})

test('with a store, what send has given to it and close() leaves there is not undelivered', async () => {
  const world = new SimulatedWorld()
  const { client } = await world.connected({ store: memory() })
  client.send('a', 'x', { qos: 1 })
  await turn()
  client.destroy()
  await client.closed
  await turn()
  assert.equal(client.undeliveredMessages, 0)
})

// ---- promises that are dropped

/** Everything that gives a promise. */
function callEverything(client: Client): void {
  const signal = new AbortController().signal
  client.publish('a', 'x')
  client.publish('a', 'x', { qos: 1 })
  client.publish('a', 'x', { qos: 2, signal })
  client.request('a', 'x')
  client.request('a', 'x', { signal, responseTopic: 'r' })
  client.unsubscribe('a')
  client.unsubscribe('a', { signal })
  try {
    const subscription = client.subscribe('a')
    subscription.next()
    subscription.unsubscribe()
    const decoded = client.subscribe('b', { decode: 'json', signal })
    decoded.next()
    decoded.return()
    client.subscribe('c').next()
    client.subscribe('d', { decode: 'text' }).next()
    client.subscribe('e', () => {})
    client.respond('f', () => 'x')
  } catch (error) {
    assert.ok(error instanceof ClientClosedError)
  }
  client.states().next()
  client.close()
}

for (const [when, make] of [
  ['that is connected', async (world: SimulatedWorld) => (await world.connected()).client],
  ['that was never connected', async (world: SimulatedWorld) => world.client()],
  [
    'that is connecting',
    async (world: SimulatedWorld) => {
      const client = world.client()
      client.connect()
      return client
    },
  ],
  [
    'that has lost its connection',
    async (world: SimulatedWorld) => {
      const { client, server } = await world.connected()
      server.break()
      await turn()
      return client
    },
  ],
  [
    'that is closed',
    async (world: SimulatedWorld) => {
      const { client } = await world.connected()
      await client.close()
      return client
    },
  ],
] as const) {
  for (const end of ['close', 'destroy'] as const) {
    test(`a client ${when}: ${end}() with every promise dropped leaves no unheard rejection`, async () => {
      const world = new SimulatedWorld()
      const client = await make(world)
      callEverything(client)
      if (end === 'destroy') client.destroy()
      await world.advance(10_000)
      client.destroy()
      await turn()
      callEverything(client)
      await turn()
      assert.equal(client.state.name, 'closed')
    })
  }
}

test('an AbortSignal that ends everything leaves no unheard rejection', async () => {
  const world = new SimulatedWorld()
  const { client } = await world.connected({}, { receiveMaximum: 1 })
  const abort = new AbortController()
  const { signal } = abort
  for (const qos of [1, 2] as const) client.publish('a', 'x', { qos, signal })
  client.request('a', 'x', { signal })
  client.unsubscribe('a', { signal })
  client.subscribe('a', { signal }).next()
  client.subscribe('a', { signal, decode: 'json' }).next()
  client.states(signal).next()
  client.states(signal)
  await turn()
  abort.abort()
  await turn()
  client.destroy()
})

test('a server that ends the client leaves no unheard rejection', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({
    reconnect: false,
    authentication: { method: 'm', respond: () => undefined },
  })
  client.publish('a', 'x', { qos: 1 })
  client.request('a', 'x')
  client.unsubscribe('a')
  client.subscribe('a').next()
  client.subscribe('a', { decode: 'json' }).next()
  client.reauthenticate()
  await turn()
  server.break()
  await turn()
  assert.equal(client.state.name, 'closed')
  assert.ok(!((await client.closed) instanceof ClientClosedError))
})
