/** Tests of what an inspector reports about a broker in a simulated world. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, ReasonCode, Subscribe } from '@recado/protocol'
import type { Core } from '../core/core.ts'
import { DiskWorld, subscriptionTo, type TestClient, type TestClientOptions, World, will } from '../testing/mod.ts'
import { Inspector } from './inspector.ts'
import type { Listing } from './listing.ts'
import { RECENT_ERRORS_MAX, RecentErrors } from './recent-errors.ts'

function inspectorOf(core: Core): Inspector {
  const errors = new RecentErrors(() => core.turn.nowMs)
  core.observe(errors.observer)
  return new Inspector(core, errors)
}

function scene(options: ConstructorParameters<typeof World>[0] = {}): { world: World; inspect: Inspector } {
  const world = new World(options)
  return { world, inspect: inspectorOf(world.core) }
}

const KEPT = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 100 } }

function kept(world: World, clientId: string, options: TestClientOptions = {}, more: object = {}): TestClient {
  const client = world.client(clientId, options)
  client.connected({ ...KEPT, ...more })
  return client
}

async function all<T>(listing: Listing<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of listing) items.push(item)
  return items
}

const idsOf = async (listing: Listing<{ clientId: string }>): Promise<string[]> =>
  (await all(listing)).map(({ clientId }) => clientId)

test('a client as it is: who, from where, since when, and what it has said and heard', () => {
  const { world, inspect } = scene()
  const nowMs = world.clock.nowMs()
  const client = kept(
    world,
    'a',
    { remoteAddress: '10.0.0.1:5', listener: 'main' },
    { username: 'ada', keepAliveSeconds: 30, will: will({ topic: 'gone', payload: 'xyz', qos: 1, retain: true }) },
  )
  client.subscribe('t', { qos: 1 })
  world.advance(10_000)
  client.publish({ topic: 't', payload: '12345', qos: 1 })
  const view = inspect.client('a')!
  assert.equal(view.username, 'ada')
  assert.equal(view.remoteAddress, '10.0.0.1:5')
  assert.equal(view.listener, 'main')
  assert.equal(view.protocolVersion, 5)
  assert.equal(view.peer, null)
  assert.equal(view.connectedAtMs, nowMs)
  assert.equal(view.keepAliveSeconds, 30)
  assert.equal(view.receiveMaximum, 1_000)
  assert.equal(view.maximumPacketSize, null)
  assert.equal(view.loginExpiresAtMs, null)
  assert.equal(view.isPaused, false)
  assert.deepEqual(view.will, { topic: 'gone', qos: 1, retain: true, payloadBytes: 3, delaySeconds: 0 })
  const { metrics } = world.core
  const { bytesReceived, bytesSent } = metrics
  assert.deepEqual({ ...view.traffic }, { bytesReceived, bytesSent, messagesReceived: 1, messagesSent: 1 })
  assert.equal(view.rates.overSeconds, 10)
  assert.equal(view.rates.messagesReceived, 0.1)
  assert.equal(view.session.inflight, 1)
  assert.equal(view.session.subscriptions, 1)
  assert.equal(view.session.lastEnd, null)
  assert.equal(inspect.client('b'), null)
})

test('a listener has the numbers of its connections, of those that have closed too', async () => {
  const { world, inspect } = scene()
  assert.deepEqual(await inspect.listeners(), [])
  const a = kept(world, 'a', { listener: 'main' })
  a.publish({ topic: 't' })
  const gone = kept(world, 'gone', { listener: 'other' })
  gone.subscribe('t')
  a.publish({ topic: 't' })
  world.run()
  gone.drop()
  world.client('silent', { listener: 'other' }).open().drop()
  world.run()
  const [main, other] = await inspect.listeners()
  const { bytesReceived, bytesSent } = world.core.metrics
  assert.equal(main!.bytesReceived + other!.bytesReceived, bytesReceived)
  assert.equal(main!.bytesSent + other!.bytesSent, bytesSent)
  const counts = { connectionsOpened: 1, connectionsRefused: 0, messagesReceived: 2, messagesSent: 0 }
  assert.deepEqual(
    { ...main, bytesReceived: 0, bytesSent: 0 },
    { listener: 'main', connections: 1, clients: 1, ...counts, bytesReceived: 0, bytesSent: 0 },
  )
  const { listener, connections, clients, connectionsOpened, connectionsRefused, messagesSent } = other!
  assert.deepEqual([listener, connections, clients], ['other', 0, 0])
  assert.deepEqual([connectionsOpened, connectionsRefused, messagesSent], [2, 1, 1])
})

test('rates of a client that is looked at often are of the last 5 to 10 seconds', () => {
  const { world, inspect } = scene()
  const client = kept(world, 'a', {}, { keepAliveSeconds: 0 })
  const rateAfter = (seconds: number, messages: number): number[] => {
    for (let i = 0; i < messages; i++) client.publish({ topic: 't' })
    world.advance(seconds * 1_000)
    const { rates } = inspect.client('a')!
    return [rates.overSeconds, rates.messagesReceived]
  }
  assert.deepEqual(rateAfter(100, 100), [100, 1])
  assert.deepEqual(rateAfter(5, 10), [5, 2])
  assert.deepEqual(rateAfter(1, 2), [6, 2])
  assert.deepEqual(rateAfter(4, 38), [5, 8])
})

test('a session whose client is away: its end, its queue, its Will, and when it will be over', () => {
  const { world, inspect } = scene()
  const a = kept(world, 'a', {}, { will: will({ topic: 'w', properties: { willDelayIntervalSeconds: 50 } }) })
  a.subscribe('t', { qos: 1 })
  world.advance(1_000)
  a.drop()
  const awayMs = world.clock.nowMs()
  world.publish({ topic: 't', payload: 'one', qos: 1 })
  const session = inspect.session('a')!
  assert.equal(session.isConnected, false)
  assert.deepEqual(session.lastEnd, {
    atMs: awayMs,
    byClient: false,
    reasonCode: ReasonCode.UnspecifiedError,
    why: 'the connection was closed',
  })
  assert.equal(session.expirySeconds, 100)
  assert.equal(session.expiresAtMs, awayMs + 100_000)
  assert.equal(session.queuedMessages, 1)
  assert.equal(session.pendingWill!.dueAtMs, awayMs + 50_000)
  assert.equal(inspect.client('a'), null)
})

test('a session that never ends says so, and one from the store knows since when its client is away', () => {
  const world = new DiskWorld({ limits: { sessionExpirySecondsMax: 0xffff_ffff } })
  world.connected(world.client('a'), { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 0xffff_ffff } })
  const again = world.settle().crash()
  const session = inspectorOf(again.core).session('a')!
  assert.equal(session.isDurable, true)
  assert.equal(session.expirySeconds, null)
  assert.equal(session.expiresAtMs, null)
  assert.equal(session.lastEnd!.reasonCode, null)
})

test('queries by Client Identifier, user, listener, address, Topic Filter and queue', async () => {
  const { world, inspect } = scene({ sessionOwner: 'refuse' })
  kept(world, 'ada-1', { listener: 'x', remoteAddress: '10.0.0.1:1' }, { username: 'ada' }).subscribe('a/#', { qos: 1 })
  kept(world, 'ada-2', { listener: 'y', remoteAddress: '10.0.0.2:1' }, { username: 'ada' }).drop()
  kept(world, 'bob-1', { listener: 'x', remoteAddress: '10.0.0.1:2' }, { username: 'bob' }).subscribe('$share/g/a/b')
  const away = kept(world, 'away', {})
  away.subscribe('b', { qos: 1 })
  away.drop()
  world.publish({ topic: 'b', qos: 1 })
  assert.deepEqual(await idsOf(inspect.clients()), ['ada-1', 'bob-1'])
  assert.deepEqual(await idsOf(inspect.clients({ listener: 'x', username: 'b*' })), ['bob-1'])
  assert.deepEqual(await idsOf(inspect.clients({ remoteAddress: '10.0.0.1:*' })), ['ada-1', 'bob-1'])
  assert.deepEqual(await idsOf(inspect.clients({ topicFilter: 'a/#' })), ['ada-1'])
  assert.deepEqual(await idsOf(inspect.clients({ topicFilter: '$share/*' })), ['bob-1'])
  assert.deepEqual(await idsOf(inspect.clients({ clientId: 'ada-2' })), [])
  assert.deepEqual(await idsOf(inspect.sessions({ clientId: 'ada-2' })), ['ada-2'])
  assert.deepEqual(await idsOf(inspect.sessions({ username: 'ada' })), ['ada-1', 'ada-2'])
  assert.deepEqual(await idsOf(inspect.sessions({ isConnected: false })), ['ada-2', 'away'])
  assert.deepEqual(await idsOf(inspect.sessions({ queuedMin: 1 })), ['away'])
  assert.deepEqual(
    (await inspect.sessions().page({ limit: 3 })).next,
    `k${Buffer.from('away', 'utf16le').toString('base64url')}`,
  )
})

test('subscriptions: all, by Topic Filter, and those that would get what is published to a topic', async () => {
  const { world, inspect } = scene()
  const a = kept(world, 'a')
  a.subscribe('x/+', { qos: 1, noLocal: true, identifier: 7 })
  a.subscribe('y')
  kept(world, 'b').subscribe('$share/g/x/1', { qos: 2, retainAsPublished: true })
  const filters = async (query: object): Promise<string[]> =>
    (await all(inspect.subscriptions(query))).map(({ clientId, topicFilter }) => `${clientId} ${topicFilter}`)
  assert.deepEqual(await filters({}), ['a x/+', 'a y', 'b $share/g/x/1'])
  assert.deepEqual(await filters({ topic: 'x/1' }), ['a x/+', 'b $share/g/x/1'])
  assert.deepEqual(await filters({ topicFilter: 'x/*', clientId: 'a' }), ['a x/+'])
  assert.deepEqual((await inspect.subscriptions({ clientId: 'b' }).page()).items, [
    {
      clientId: 'b',
      isConnected: true,
      topicFilter: '$share/g/x/1',
      shareName: 'g',
      qos: 2,
      noLocal: false,
      retainAsPublished: true,
      subscriptionIdentifier: null,
    },
  ])
  assert.throws(() => inspect.subscriptions({ topic: 'x/+' }), { code: 'ERR_MQTT_TOPIC_NAME' })
})

test('retained messages: by Topic Filter, with the beginning of the payload, without those that have expired', async () => {
  const { world, inspect } = scene()
  world.publish({ topic: 'a/1', payload: 'x'.repeat(2_000), retain: true, qos: 1 })
  world.publish({ topic: 'a/2', retain: true, payload: 'y', properties: { messageExpiryIntervalSeconds: 10 } })
  world.publish({ topic: '$SYS/z', payload: 'z', retain: true })
  const topics = async (query: object): Promise<string[]> =>
    (await all(inspect.retained(query))).map(({ topic }) => topic)
  assert.deepEqual(await topics({}), ['a/1', 'a/2', '$SYS/z'])
  assert.deepEqual(await topics({ topicFilter: '#' }), ['a/1', 'a/2'])
  const message = inspect.retainedMessage('a/1', { payloadBytesMax: 3 })!
  assert.equal(message.payloadBytes, 2_000)
  assert.equal(new TextDecoder().decode(message.payload), 'xxx')
  assert.equal(inspect.retainedMessage('a/1')!.payload.length, 1_024)
  assert.equal(inspect.retainedMessage('a/2')!.expiresAtMs, world.clock.nowMs() + 10_000)
  world.advance(10_000)
  assert.deepEqual(await topics({ topicFilter: 'a/+' }), ['a/1'])
  assert.equal(inspect.retainedMessage('a/2'), null)
  assert.deepEqual(
    (await inspect.retained().page()).items.map(({ topic }) => topic),
    ['$SYS/z', 'a/1'],
  )
  assert.throws(() => inspect.retained({ topicFilter: 'a#' }), { code: 'ERR_MQTT_TOPIC_FILTER' })
})

test('what is in flight, and what each waits for', () => {
  const { world, inspect } = scene()
  const a = kept(world, 'a')
  a.subscribe('t')
  world.publish({ topic: 't', payload: '1', qos: 1 })
  world.publish({ topic: 't', payload: '2', qos: 2 })
  const said = inspect
    .inFlight('a')!
    .map(({ packetId, qos, waitsFor, message }) => [
      packetId,
      qos,
      waitsFor,
      new TextDecoder().decode(message!.payload),
    ])
  assert.deepEqual(said, [
    [1, 1, 'PUBACK', '1'],
    [2, 2, 'PUBREC', '2'],
  ])
  a.send(new Puback(1))
  assert.deepEqual(
    inspect.inFlight('a')!.map(({ packetId }) => packetId),
    [2],
  )
  assert.equal(inspect.inFlight('b'), null)
})

test('the first messages of a queue, also of one that is on the disk, and the queue stays as it is', () => {
  const world = new DiskWorld()
  const a = world.durable('a', 't')
  a.drop()
  for (let i = 0; i < 1_500; i++) world.publish({ topic: 't', payload: `${i}`, qos: 1 })
  world.settle()
  for (let i = 1_500; i < 1_600; i++) world.publish({ topic: 't', payload: `${i}`, qos: 1 })
  world.settle()
  const look = (each: DiskWorld): void => {
    const inspect = inspectorOf(each.core)
    const texts = inspect.queue('a', { first: 1_000 })!.map(({ message }) => new TextDecoder().decode(message!.payload))
    assert.deepEqual(
      texts,
      Array.from({ length: 1_000 }, (_, i) => `${i}`),
    )
    const session = each.core.sessions.get('a')!
    assert.equal(session.queue.length, 1_600)
    assert.equal(new TextDecoder().decode(session.queue.look(1_599)!.message!.payload), '1599')
  }
  look(world)
  const again = world.crash()
  look(again)
  const back = again.client('a')
  back.acknowledges = true
  again.connected(back)
  again.settle()
  assert.equal(back.takePayloads().length, 1_600)
  assert.equal(inspectorOf(again.core).queue('nobody'), null)
})

test('the last errors: refused, failed and disconnected, latest first and no more than there is room for', () => {
  const { world, inspect } = scene({ limits: { nameBytesMax: 300 } })
  world.client('y'.repeat(301)).connect()
  world.advance(1_000)
  const a = kept(world, 'a')
  a.send(new Subscribe(1, [subscriptionTo('t')]))
  a.disconnect()
  const b = kept(world, 'b')
  b.drop(new Error('ECONNRESET'))
  kept(world, 'x'.repeat(300)).sendBytes(Uint8Array.of(0, 0))
  const said = inspect.errors().map(({ kind, clientId, reasonCode }) => [kind, clientId.slice(0, 3), reasonCode])
  assert.deepEqual(said, [
    ['disconnected', 'xxx', ReasonCode.ProtocolError],
    ['failed', 'b', ReasonCode.UnspecifiedError],
    ['disconnected', 'b', ReasonCode.UnspecifiedError],
    ['refused', '', ReasonCode.ClientIdentifierNotValid],
  ])
  assert.equal(inspect.errors({ clientId: 'b' }).length, 2)
  assert.equal(inspect.errors({ clientId: 'x*' })[0]!.clientId.length, 200)
  for (let i = 0; i < RECENT_ERRORS_MAX + 5; i++) kept(world, `d${i}`).drop()
  const last = inspect.errors()
  assert.equal(last.length, RECENT_ERRORS_MAX)
  assert.equal(last[0]!.clientId, `d${RECENT_ERRORS_MAX + 4}`)
})

test('a query with a misspelt field is an error that says what was meant', () => {
  const { inspect } = scene()
  assert.throws(() => inspect.clients({ clientID: 'a' } as never), /clientId/)
  assert.throws(() => inspect.queue('a', { first: 0 }), { code: 'ERR_MQTT_OPTION' })
})
