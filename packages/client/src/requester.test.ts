import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionError, Puback, Publish, ReasonCode, Suback, Unsuback } from '@recado/protocol'
import { ClientClosedError, NoResponderError, NotSupportedError, PayloadError, SubscribeError } from './errors.ts'
import { type FakeServer, SimulatedWorld, turn } from './testing/simulated.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)

async function granted(server: FakeServer): Promise<string> {
  const { packetId, subscriptions } = await server.expect(8)
  server.send(new Suback(packetId, [1]))
  return subscriptions[0]!.topicFilter
}

/** The next request, acknowledged. */
async function taken(server: FakeServer, reasonCode = 0): Promise<Publish> {
  const request = await server.expect(3)
  server.send(new Puback(request.packetId, reasonCode))
  return request
}

function answer(server: FakeServer, request: Publish, payload: string): void {
  const { responseTopic, correlationData } = request.properties
  server.send(
    Publish.of({ topic: responseTopic!, payload: bytes(payload), properties: { correlationData: correlationData! } }),
  )
}

test('several requests wait at once, and each gets its own response', async () => {
  const { client, server } = await new SimulatedWorld().connected({ clientId: 'me' })
  const results = ['one', 'two', 'three'].map((payload) => client.request('service', payload, { decode: 'text' }))
  const topic = await granted(server)
  assert.match(topic, /^response\/me\/[0-9a-z]{16}$/)
  const requests = [await taken(server), await taken(server), await taken(server)]
  for (const request of requests.toReversed()) {
    assert.deepEqual([request.qos, request.properties.responseTopic], [1, topic])
    answer(server, request, `to ${text(request.payload)}`)
  }
  const values: string[] = (await Promise.all(results)).map(({ value }) => value)
  assert.deepEqual(values, ['to one', 'to two', 'to three'])
  // The subscription stays for the next one; what comes late or twice concerns nobody.
  answer(server, requests[0]!, 'again')
  const next = client.request('service')
  answer(server, await taken(server), '')
  assert.equal((await next).payloadLength, 0)
  client.destroy()
})

test('the Response Topic lies below the Response Information of the server', async () => {
  const { client, server, connect } = await new SimulatedWorld().connected({}, { responseInformation: 'reply/42/' })
  assert.equal(connect.properties.requestResponseInformation, true)
  const response = client.request('service')
  assert.match(await granted(server), /^reply\/42\/[0-9a-z]{16}$/)
  answer(server, await taken(server), 'x')
  await response
  client.destroy()
})

test('a signal gives up one request and no other', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const abort = new AbortController()
  const given = assert.rejects(client.request('service', 'a', { signal: abort.signal }), /enough/)
  const other = client.request('service', 'b')
  await granted(server)
  const requests = [await taken(server), await taken(server)]
  const first = requests.find((request) => text(request.payload) === 'a')!
  const second = requests.find((request) => text(request.payload) === 'b')!
  abort.abort(new Error('enough'))
  await given
  answer(server, first, 'late')
  answer(server, second, 'in time')
  assert.equal((await other).text(), 'in time')
  await assert.rejects(client.request('service', 'c', { signal: abort.signal }), /enough/)
  client.destroy()
  await turn()
  assert.equal(world.timers, 0)
})

test('0x10 No matching subscribers ends a request with NoResponderError', async () => {
  const { client, server } = await new SimulatedWorld().connected()
  const rejected = assert.rejects(client.request('nobody/here'), (error) => {
    return error instanceof NoResponderError && /"nobody\/here"/.test(error.message)
  })
  await granted(server)
  await taken(server, ReasonCode.NoMatchingSubscribers)
  await rejected
  client.destroy()
})

test('requests survive a reconnect, and end with the client', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const response = client.request('service', 'a')
  const topic = await granted(server)
  await server.expect(3)
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept()
  assert.equal(await granted(again), topic)
  answer(again, await taken(again), 'after all')
  assert.equal((await response).text(), 'after all')
  const lost = assert.rejects(client.request('service', 'b'), ClientClosedError)
  await taken(again)
  await client.close()
  await lost
  await assert.rejects(client.request('service'), ClientClosedError)
})

test('a Response Topic of the application is subscribed to for as long as somebody waits', async () => {
  const { client, server } = await new SimulatedWorld().connected()
  const options = { responseTopic: 'own/reply', properties: { correlationData: bytes('7') } }
  const response = client.request('service', 'a', options)
  assert.equal(await granted(server), 'own/reply')
  const request = await taken(server)
  assert.deepEqual(
    request.properties,
    options.properties.correlationData && { responseTopic: 'own/reply', ...options.properties },
  )
  await assert.rejects(client.request('service', 'b', options), OptionError)
  answer(server, request, 'x')
  await response
  const { packetId, topicFilters } = await server.expect(10)
  assert.deepEqual(topicFilters, ['own/reply'])
  server.send(new Unsuback(packetId, [0]))
  client.destroy()
})

test('what cannot be is refused: before 5.0, a refused Response Topic, a payload that does not fit', async () => {
  const old = await new SimulatedWorld().connected({ protocolVersion: 4 })
  await assert.rejects(old.client.request('service'), NotSupportedError)
  old.client.destroy()
  const { client, server } = await new SimulatedWorld().connected()
  const refused = assert.rejects(client.request('service'), SubscribeError)
  server.send(new Suback((await server.expect(8)).packetId, [ReasonCode.NotAuthorized]))
  await refused
  const invalid = assert.rejects(client.request('service', '', { decode: 'json' }), PayloadError)
  await granted(server)
  answer(server, await taken(server), '{')
  await invalid
  await assert.rejects(client.request('a/+'))
  client.destroy()
})

test('a request made before the connection waits for it, or for its failure', async () => {
  const world = new SimulatedWorld()
  const client = world.client()
  const response = client.request('service')
  const connecting = client.connect()
  const server = await world.connection()
  await server.accept()
  await connecting
  await granted(server)
  answer(server, await taken(server), 'x')
  await response
  client.destroy()
  const never = world.client()
  const rejected = assert.rejects(never.request('service'), ClientClosedError)
  await never.close()
  await rejected
})

test('respond publishes what the responder returns to where the request wants it', async () => {
  const { client, server } = await new SimulatedWorld().connected()
  client.respond('double/:unit', { qos: 1, decode: 'json' }, async (request) => {
    const doubled = Number(request.value) * 2
    return { payload: `${doubled} ${request.params.unit}`, properties: { contentType: 'text/plain' } }
  })
  await granted(server)
  const properties = { responseTopic: 'reply', correlationData: bytes('c') }
  server.send(Publish.of({ topic: 'double/m', qos: 1, packetId: 9, payload: bytes('21'), properties }))
  const response = await server.expect(3)
  assert.deepEqual([response.topic, text(response.payload), response.qos], ['reply', '42 m', 1])
  assert.deepEqual(response.properties, { contentType: 'text/plain', correlationData: bytes('c') })
  await turn()
  assert.deepEqual(server.received, [], 'the request is acknowledged only when the response has arrived')
  server.send(new Puback(response.packetId))
  assert.equal((await server.expect(4)).packetId, 9)
  client.destroy()
})

test('respond answers several requests at once, up to concurrencyMax', async () => {
  const { client, server } = await new SimulatedWorld().connected()
  const release: (() => void)[] = []
  client.respond('service', { concurrencyMax: 2 }, (request) => {
    const answer = request.text()
    return new Promise<string>((resolve) => release.push(() => resolve(answer)))
  })
  await granted(server)
  for (const name of ['a', 'b', 'c']) {
    server.send(Publish.of({ topic: 'service', payload: bytes(name), properties: { responseTopic: `reply/${name}` } }))
  }
  await turn()
  assert.equal(release.length, 2)
  release[1]!()
  assert.equal((await server.expect(3)).topic, 'reply/b')
  await turn()
  assert.equal(release.length, 3)
  client.destroy()
  assert.throws(() => client.respond('x', () => ''), ClientClosedError)
  const { client: other } = await new SimulatedWorld().connected()
  assert.throws(() => other.respond('x', { concurrencyMax: 0 }, () => ''), OptionError)
  other.destroy()
})

test('a responder that throws is heard of, and its request is acknowledged; no Response Topic, no response', async () => {
  const { client, server } = await new SimulatedWorld().connected()
  const errors: string[] = []
  client.onHandlerError = (error) => errors.push((error as Error).message)
  client.respond('service', { qos: 1 }, (request) => {
    if (request.text() === 'bad') throw new Error('no')
    return request.text() === 'quiet' ? undefined : 'answer'
  })
  await granted(server)
  const request = (packetId: number, payload: string, responseTopic?: string): Publish => {
    const properties = responseTopic === undefined ? {} : { responseTopic }
    return Publish.of({ topic: 'service', qos: 1, packetId, payload: bytes(payload), properties })
  }
  server.send(request(1, 'bad', 'reply'), request(2, 'no topic'), request(3, 'quiet', 'reply'))
  for (const packetId of [1, 2, 3]) assert.equal((await server.expect(4)).packetId, packetId)
  assert.deepEqual(errors, ['no'])
  client.destroy()
})
