import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Publish, type QoS, Suback } from '@recado/protocol'
import * as v from 'valibot'
import type { Client } from './client.ts'
import { PayloadError } from './errors.ts'
import type { Message } from './message.ts'
import { type FakeServer, SimulatedWorld, turn } from './testing/simulated.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const publish = (
  topic: string,
  payload: string | Uint8Array,
  packetId = 0,
  qos: QoS = packetId === 0 ? 0 : 1,
): Publish => {
  return Publish.of({ topic, payload: typeof payload === 'string' ? bytes(payload) : payload, qos, packetId })
}

async function world(): Promise<{ client: Client; server: FakeServer }> {
  const { client, server } = await new SimulatedWorld().connected()
  return { client, server }
}

async function granted(server: FakeServer): Promise<void> {
  const { packetId, subscriptions } = await server.expect(8)
  server.send(
    new Suback(
      packetId,
      subscriptions.map(({ qos }) => qos),
    ),
  )
}

const Reading = v.object({ celsius: v.number() })

test('text, json, a Standard Schema and a function make value, and its type', async () => {
  const { client, server } = await world()
  const text = client.subscribe('a/:id', { decode: 'text' })
  const json = client.subscribe('b', { decode: 'json' })
  const schema = client.subscribe('c', { decode: Reading })
  const length = client.subscribe('d', { decode: async (message) => message.payloadLength })
  const plain = client.subscribe('e')
  for (let i = 0; i < 5; i++) await granted(server)
  server.send(
    publish('a/x', 'é'),
    publish('b', '[1]'),
    publish('c', '{"celsius":21}'),
    publish('d', '123'),
    publish('e', 'z'),
  )
  const first = (await text.next()).value!
  const value: string = first.value
  assert.deepEqual([value, first.params.id, first.text()], ['é', 'x', 'é'])
  const anything: unknown = (await json.next()).value?.value
  assert.deepEqual(anything, [1])
  const celsius: number | undefined = (await schema.next()).value?.value.celsius
  assert.equal(celsius, 21)
  const count: number | undefined = (await length.next()).value?.value
  assert.equal(count, 3)
  const raw: Uint8Array | undefined = (await plain.next()).value?.value
  assert.deepEqual(Uint8Array.from(raw!), bytes('z'))
  client.destroy()
})

test("onInvalid: 'error' ends the iteration with PayloadError; 'skip', the default, goes on", async () => {
  const { client, server } = await world()
  const strict = client.subscribe('a', { decode: Reading, onInvalid: 'error' })
  const lenient = client.subscribe('b', { decode: Reading })
  await granted(server)
  await granted(server)
  server.send(
    publish('a', '{"celsius":"hot"}'),
    publish('b', 'no JSON'),
    publish('b', ''),
    publish('b', '{"celsius":1}'),
  )
  await assert.rejects(strict.next(), (error) => {
    assert.ok(error instanceof PayloadError)
    assert.equal(error.code, 'ERR_MQTT_PAYLOAD')
    assert.match(error.message, /^the payload of "a" does not fit the schema: celsius: /)
    assert.equal(error.issues.length, 1)
    return true
  })
  assert.deepEqual((await server.expect(10)).topicFilters, ['a'])
  assert.deepEqual(await strict.next(), { value: undefined, done: true })
  assert.equal((await lenient.next()).value?.value.celsius, 1)
  assert.deepEqual([strict.invalid, lenient.invalid], [1, 2])
  client.destroy()
})

test('messages come in order however long decoding takes, and invalid ones are told to onInvalid', async () => {
  const { client, server } = await world()
  const waiting: (() => void)[] = []
  const told: string[] = []
  const slow = client.subscribe('a', {
    decode: async (message) => {
      const text = message.text()
      if (text === 'bad') throw new Error('no good')
      if (text === 'slow') await new Promise<void>((resolve) => waiting.push(resolve))
      return text
    },
    onInvalid: (error, message) => told.push(`${message.text()}: ${(error.cause as Error).message}`),
  })
  await granted(server)
  server.send(publish('a', 'bad'), publish('a', 'slow'), publish('a', 'fast'))
  const results = [slow.next(), slow.next()]
  await turn()
  waiting[0]!()
  assert.deepEqual(
    (await Promise.all(results)).map(({ value }) => value?.value),
    ['slow', 'fast'],
  )
  assert.deepEqual(told, ['bad: no good'])
  client.destroy()
})

test("with a handler and onInvalid: 'error' an invalid payload goes to onHandlerError, and the next message comes", async () => {
  const { client, server } = await world()
  const errors: unknown[] = []
  const seen: number[] = []
  client.onHandlerError = (error) => errors.push(error)
  client.subscribe(
    'a',
    { qos: 1, decode: Reading, onInvalid: 'error' },
    (message) => void seen.push(message.value.celsius),
  )
  const parse = async (message: Message): Promise<number> => message.json() as number
  client.subscribe('b', { decode: parse, onInvalid: 'error' }, (message) => {
    seen.push(message.value)
  })
  await granted(server)
  await granted(server)
  server.send(publish('a', 'x', 1), publish('a', '{"celsius":7}', 2), publish('b', '{'), publish('b', '8'))
  assert.deepEqual([(await server.expect(4)).packetId, (await server.expect(4)).packetId], [1, 2])
  await turn()
  assert.deepEqual(seen, [7, 8])
  assert.ok(errors.length === 2 && errors.every((error) => error instanceof PayloadError))
  client.destroy()
})

test("with ack: 'manual' an invalid message is refused with 0x99, as nobody else could acknowledge it", async () => {
  const { client, server } = await world()
  const subscription = client.subscribe('a', { qos: 1, ack: 'manual', decode: 'json', onInvalid: 'skip' })
  await granted(server)
  server.send(publish('a', Uint8Array.of(0xff), 1), publish('a', '1', 2))
  const { value } = await subscription.next()
  assert.equal((await server.expect(4)).reasonCode, 0x99)
  value!.ack()
  assert.equal((await server.expect(4)).reasonCode, 0)
  client.destroy()
})

test('each subscription has its own value of the same message', async () => {
  const { client, server } = await world()
  const wide = client.subscribe(['+', ':any/:more'], { decode: 'text', identifier: false })
  const narrow = client.subscribe('a/:id', { decode: 'json', identifier: false })
  await granted(server)
  await granted(server)
  server.send(publish('a/b', '1'))
  const one = (await wide.next()).value!
  const two = (await narrow.next()).value!
  assert.deepEqual([one.value, one.params], ['1', { any: 'a', more: 'b' }])
  assert.deepEqual([two.value, two.params], [1, { id: 'b' }])
  client.destroy()
})
