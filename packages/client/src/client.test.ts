import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Auth,
  Connack,
  Disconnect,
  MqttError,
  OptionError,
  type Packet,
  Pingresp,
  ProtocolError,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  ReasonCode,
  Suback,
} from '@recado/protocol'
import {
  CallbackError,
  ClientClosedError,
  ConnectionLostError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  DisconnectedError,
  KeepAliveError,
  UnreachableError,
} from './errors.ts'
import type { ClientState } from './state.ts'
import { SimulatedWorld, turn } from './testing/simulated.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

test('connect resolves with CONNACK and says what the server said', async () => {
  const world = new SimulatedWorld()
  const { client, connect } = await world.connected({}, { assignedClientIdentifier: 'chosen', receiveMaximum: 7 })
  assert.equal(connect.protocolVersion, 5)
  assert.equal(connect.clientId, '')
  assert.equal(connect.keepAliveSeconds, 60)
  assert.equal(client.clientId, 'chosen')
  assert.equal(client.session?.properties.receiveMaximum, 7)
  assert.equal(client.state.name, 'connected')
  client.destroy()
  await turn()
  assert.equal(world.timers, 0)
})

test('CONNECT carries Will, credentials and properties', async () => {
  const world = new SimulatedWorld()
  const { client, connect } = await world.connected({
    url: 'mqtt://user:p%40ss@server',
    clientId: 'me',
    receiveMaximum: 5,
    topicAliasMaximum: 3,
    maximumPacketSize: 1000,
    sessionExpiryIntervalSeconds: 60,
    properties: { userProperties: [['a', 'b']] },
    will: { topic: 'w', payload: 'gone', qos: 1, retain: true, properties: { willDelayIntervalSeconds: 3 } },
  })
  assert.equal(connect.username, 'user')
  assert.equal(text(connect.password!), 'p@ss')
  assert.deepEqual(connect.properties, {
    userProperties: [['a', 'b']],
    requestResponseInformation: true,
    receiveMaximum: 5,
    topicAliasMaximum: 3,
    maximumPacketSize: 1000,
    sessionExpiryIntervalSeconds: 60,
  })
  assert.equal(connect.will?.topic, 'w')
  assert.equal(text(connect.will!.payload), 'gone')
  assert.equal(connect.will?.properties.willDelayIntervalSeconds, 3)
  client.destroy()
})

test('credentials are asked for on each attempt', async () => {
  const world = new SimulatedWorld()
  let asked = 0
  const client = world.client({
    credentials: async () => {
      asked++
      return { username: `user${asked}`, password: 'x' }
    },
  })
  const connecting = client.connect()
  const server = await world.connection()
  assert.equal((await server.accept()).username, 'user1')
  await connecting
  server.break()
  await world.advance(1000)
  assert.equal((await (await world.connection()).accept()).username, 'user2')
  client.destroy()
})

test('when credentials cannot be had, connect() says so, and a reconnect tries again', async () => {
  const world = new SimulatedWorld()
  let offline = true
  const credentials = async (): Promise<{ password: string }> => {
    if (offline) throw new TypeError('fetch failed')
    return { password: 'x' }
  }
  await assert.rejects(world.client({ credentials }).connect(), (error) => {
    assert.ok(error instanceof CallbackError && error.cause instanceof TypeError)
    return error.message === 'credentials failed: fetch failed'
  })
  offline = false
  const { client, server } = await world.connected({ credentials, reconnect: { maxMs: 1_000 } })
  offline = true
  server.break()
  await world.advance(10_000)
  assert.ok(client.state.name === 'reconnecting' && client.state.error instanceof CallbackError)
  offline = false
  await world.advance(1_000)
  await (await world.connection()).accept()
  await turn()
  assert.equal(client.state.name, 'connected')
  client.destroy()
  await turn()
  assert.equal(world.timers, 0)
})

test('transformUrl is asked on each attempt where to connect', async () => {
  const world = new SimulatedWorld()
  let signature = 0
  const client = world.client({
    url: 'wss://user:secret@server/mqtt',
    transformUrl: async (href) => `${href}?signature=${++signature}`,
  })
  const connecting = client.connect()
  const server = await world.connection()
  assert.equal(server.address.path, '/mqtt?signature=1')
  assert.equal((await server.accept()).username, 'user')
  await connecting
  assert.equal(client.session?.server, 'wss://server:443/mqtt')
  server.break()
  await world.advance(1_000)
  assert.equal((await world.connection()).address.path, '/mqtt?signature=2')
  client.destroy()
  const wrong = world.client({ transformUrl: () => 'nonsense', retryFirst: true })
  await assert.rejects(wrong.connect(), OptionError)
})

test('a refusal rejects with its Reason Code and closes the client', async () => {
  const world = new SimulatedWorld()
  const client = world.client()
  const connecting = client.connect()
  const server = await world.connection()
  await server.expect(1)
  server.send(new Connack(false, ReasonCode.NotAuthorized, { reasonString: 'no' }))
  await assert.rejects(connecting, (error) => {
    assert.ok(error instanceof ConnectionRefusedError)
    assert.equal(error.reasonCode, ReasonCode.NotAuthorized)
    assert.equal(error.reasonString, 'no')
    assert.equal(error.code, 'ERR_MQTT_CONNECTION_REFUSED')
    return true
  })
  assert.equal(client.state.name, 'closed')
  await turn()
  assert.equal(world.timers, 0)
})

test('a server that refuses 5.0 in the form of 3.1.1 is tried again with 3.1.1', async () => {
  const world = new SimulatedWorld()
  const client = world.client()
  const connecting = client.connect()
  const first = await world.connection()
  await first.expect(1)
  first.transport.deliver(Uint8Array.of(0x20, 2, 0, 1))
  const second = await world.connection()
  const connect = await second.accept()
  assert.equal(connect.protocolVersion, 4)
  assert.notEqual(connect.clientId, '')
  await connecting
  assert.equal(client.session?.protocolVersion, 4)
  client.destroy()
})

test('a server that hangs up on 5.0 is tried again with 3.1.1, and a second hang-up is the end', async () => {
  const world = new SimulatedWorld()
  const client = world.client()
  const connecting = client.connect()
  const rejected = assert.rejects(connecting, ConnectionLostError)
  for (let i = 0; i < 2; i++) {
    const server = await world.connection()
    await server.expect(1)
    server.break(null)
  }
  await rejected
  assert.equal(world.timers, 0)
})

test('retryFirst also falls back to 3.1.1 when the old server was down at first', async () => {
  const world = new SimulatedWorld()
  world.unreachable = new UnreachableError('down')
  const client = world.client({ retryFirst: true })
  const connecting = client.connect()
  await world.advance(1_000)
  world.unreachable = null
  await world.advance(30_000)
  const first = await world.connection()
  await first.expect(1)
  first.transport.deliver(Uint8Array.of(0x20, 2, 0, 1))
  assert.equal((await (await world.connection()).accept()).protocolVersion, 4)
  await connecting
  client.destroy()
})

test('a server that hangs up on a reconnect is not taken for an old one', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  server.break()
  await world.advance(1_000)
  const second = await world.connection()
  await second.expect(1)
  second.break(null)
  await world.advance(1_000)
  assert.equal((await (await world.connection()).accept()).protocolVersion, 5)
  client.destroy()
})

test('no fallback when the protocol version was asked for', async () => {
  const world = new SimulatedWorld()
  const client = world.client({ protocolVersion: 5 })
  const connecting = client.connect()
  const server = await world.connection()
  await server.expect(1)
  server.transport.deliver(Uint8Array.of(0x20, 2, 0, 1))
  await assert.rejects(connecting, (error) => {
    return error instanceof ConnectionRefusedError && error.reasonCode === ReasonCode.UnsupportedProtocolVersion
  })
})

test('an unreachable server rejects; several servers are tried in order', async () => {
  const world = new SimulatedWorld()
  world.unreachable = new UnreachableError('nobody there')
  await assert.rejects(world.client().connect(), UnreachableError)
  world.unreachable = null
  const client = world.client({ url: ['mqtt://one', 'mqtt://two:99'] })
  const connecting = client.connect()
  const one = await world.connection()
  assert.equal(one.address.host, 'one')
  await one.expect(1)
  one.send(new Connack(false, ReasonCode.ServerBusy))
  const two = await world.connection()
  assert.deepEqual([two.address.host, two.address.port], ['two', 99])
  await two.accept()
  await connecting
  client.destroy()
})

test('a server that does not answer is given up after connectTimeoutMs', async () => {
  const world = new SimulatedWorld()
  world.silent = true
  const connecting = world.client({ connectTimeoutMs: 500 }).connect()
  const rejected = assert.rejects(connecting, ConnectTimeoutError)
  await world.advance(500)
  await rejected
  world.silent = false
  const second = world.client({ connectTimeoutMs: 500 }).connect()
  const rejectedToo = assert.rejects(second, ConnectTimeoutError)
  await (await world.connection()).expect(1)
  await world.advance(500)
  await rejectedToo
  assert.equal(world.timers, 0)
})

test('an aborted connect rejects with the reason of the signal and leaves nothing', async () => {
  const world = new SimulatedWorld()
  world.silent = true
  const abort = new AbortController()
  const client = world.client()
  const rejected = assert.rejects(client.connect(abort.signal), /enough/)
  await turn()
  abort.abort(new Error('enough'))
  await rejected
  assert.equal(client.state.name, 'closed')
  assert.equal(world.timers, 0)
})

test('a malformed packet from the server ends the connection with DISCONNECT 0x81 and a ProtocolError [MQTT-4.13.1-1] [MQTT-4.13.2-1]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  server.transport.deliver(Uint8Array.of(0x36, 4, 0, 1, 0x61, 0))
  const disconnect = await server.expect(14)
  assert.equal(disconnect.reasonCode, ReasonCode.MalformedPacket)
  await turn()
  assert.equal(client.state.name, 'reconnecting')
  assert.ok(client.state.name === 'reconnecting' && client.state.error instanceof ProtocolError)
  client.destroy()
  assert.equal(world.timers, 0)
})

test('PINGREQ goes out before the keep alive is over, and silence ends the connection [MQTT-3.1.2-20]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ keepAliveSeconds: 10 })
  await world.advance(9_000)
  await server.expect(12)
  server.send(new Pingresp())
  await world.advance(9_000)
  await server.expect(12)
  await world.advance(5_000)
  assert.ok(client.state.name === 'reconnecting' && client.state.error instanceof KeepAliveError)
  client.destroy()
  assert.equal(world.timers, 0)
})

test('a tab that is shown again asks the server at once, and does not wait to reconnect', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({
    keepAliveSeconds: 10,
    reconnect: { minMs: 60_000, maxMs: 60_000 },
  })
  world.wake()
  await turn()
  assert.deepEqual(server.received, [], 'nothing was late')
  world.sleep(12_000)
  world.wake()
  await server.expect(12)
  await world.advance(5_000)
  assert.ok(client.state.name === 'reconnecting' && client.state.error instanceof KeepAliveError)
  world.wake()
  await (await world.connection()).accept()
  await turn()
  assert.equal(client.state.name, 'connected')
  client.destroy()
  await turn()
  assert.deepEqual([world.timers, world.wakers], [0, 0])
})

test('after a sleep that the server did not wait for, what is published goes out on the next connection, also at QoS 0', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ keepAliveSeconds: 10 })
  world.sleep(16_000)
  const published = client.publish('a', 'x')
  await turn()
  assert.deepEqual(server.received, [])
  assert.ok(client.state.name === 'reconnecting' && /sent nothing for 16 s/.test(client.state.error.message))
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept()
  assert.equal(text((await again.expect(3)).payload), 'x')
  await published
  client.destroy()
})

test('Server Keep Alive wins over ours [MQTT-3.1.2-21] [MQTT-3.2.2-21]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ keepAliveSeconds: 100 }, { serverKeepAliveSeconds: 5 })
  await world.advance(4_500)
  await server.expect(12)
  client.destroy()
})

test('reconnects with growing, random pauses and resets them after a connection that held', async () => {
  const world = new SimulatedWorld()
  world.chance = 1
  const { client, server } = await world.connected({ reconnect: { minMs: 100, maxMs: 1000 } })
  const delays: number[] = []
  client.onState((state) => {
    if (state.name === 'reconnecting') delays.push(state.delayMs)
  })
  world.unreachable = new UnreachableError('down')
  server.break()
  await world.advance(5_000)
  assert.deepEqual(delays.slice(0, 4), [300, 900, 1000, 1000])
  world.unreachable = null
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept()
  await turn()
  assert.equal(client.state.name, 'connected')
  await world.advance(20_000)
  again.break()
  await turn()
  assert.equal(delays.at(-1), 300)
  client.destroy()
  assert.equal(world.timers, 0)
})

test('reconnect.attemptsMax ends the client, and everything that waits with it', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ reconnect: { minMs: 10, maxMs: 10, attemptsMax: 2 } })
  const subscription = client.subscribe('a')
  const published = client.publish('a', 'x', { qos: 1 })
  const results = Promise.allSettled([published, subscription.next(), subscription.ready])
  await turn()
  world.unreachable = new UnreachableError('down')
  server.break()
  await world.advance(100)
  assert.ok((await client.closed) instanceof UnreachableError)
  const [publish, next, ready] = await results
  assert.ok(publish.status === 'rejected' && publish.reason instanceof ClientClosedError)
  assert.ok(next.status === 'rejected' && next.reason instanceof UnreachableError)
  assert.ok(ready.status === 'rejected')
  await assert.rejects(client.publish('a'), ClientClosedError)
  assert.equal(world.timers, 0)
})

test('reconnect: false closes the client with the error', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ reconnect: false })
  server.break()
  assert.ok((await client.closed) instanceof ConnectionLostError)
})

test('a session that was taken over is not fought for', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  server.send(new Disconnect(ReasonCode.SessionTakenOver))
  const why = await client.closed
  assert.ok(why instanceof DisconnectedError)
  assert.equal(why.reasonCode, ReasonCode.SessionTakenOver)
})

test('goes where the Server Reference points', async () => {
  const world = new SimulatedWorld()
  const client = world.client()
  const connecting = client.connect()
  const first = await world.connection()
  await first.expect(1)
  first.send(new Connack(false, ReasonCode.UseAnotherServer, { serverReference: 'other:2883' }))
  const second = await world.connection()
  assert.deepEqual([second.address.host, second.address.port], ['other', 2883])
  await second.accept()
  await connecting
  second.send(new Disconnect(ReasonCode.ServerMoved, { serverReference: '[::1]:3883' }))
  await world.advance(1_000)
  const third = await world.connection()
  assert.deepEqual([third.address.host, third.address.port], ['::1', 3883])
  client.destroy()
})

test('subscribes again exactly when the server has lost the session', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = client.subscribe(['a', 'b'], { qos: 1 })
  const subscribe = await server.expect(8)
  server.send(new Suback(subscribe.packetId, [1, 1]))
  await subscription.ready
  server.break()
  await world.advance(1_000)
  const kept = await world.connection()
  assert.equal((await kept.accept({}, true)).cleanStart, false)
  await turn()
  assert.deepEqual(kept.received, [])
  kept.break()
  await world.advance(1_000)
  const lost = await world.connection()
  await lost.accept()
  const again = await lost.expect(8)
  assert.deepEqual(
    again.subscriptions.map(({ topicFilter }) => topicFilter),
    ['a', 'b'],
  )
  client.destroy()
})

test('a SUBSCRIBE that was not answered is sent again, session or not', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = client.subscribe('a')
  await server.expect(8)
  server.break()
  await world.advance(1_000)
  const kept = await world.connection()
  await kept.accept({}, true)
  const again = await kept.expect(8)
  kept.send(new Suback(again.packetId, [0]))
  assert.deepEqual((await subscription.ready).reasonCodes, [0])
  client.destroy()
})

test('what is in flight is resent in order: PUBLISH with DUP, then PUBREL of what was received [MQTT-4.4.0-1]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const results = ['one', 'two', 'three'].map((payload, i) => client.publish('t', payload, { qos: i === 1 ? 2 : 1 }))
  const ids: number[] = []
  for (let i = 0; i < 3; i++) ids.push((await server.expect(3)).packetId)
  server.send(new Pubrec(ids[1]!))
  await server.expect(6)
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  const seen: string[] = []
  for (let i = 0; i < 3; i++) {
    const packet = await again.next()
    if (packet.type === 3) seen.push(`PUBLISH ${packet.packetId} dup ${packet.dup} ${text(packet.payload)}`)
    else seen.push(`${packet.type} ${(packet as { packetId: number }).packetId}`)
  }
  assert.deepEqual(seen, [`PUBLISH ${ids[0]} dup true one`, `PUBLISH ${ids[2]} dup true three`, `6 ${ids[1]}`])
  again.send(new Puback(ids[0]!), new Puback(ids[2]!, 0x10), new Pubcomp(ids[1]!))
  assert.deepEqual(
    (await Promise.all(results)).map(({ reasonCode }) => reasonCode),
    [0, 0, 0x10],
  )
  client.destroy()
})

test('when the session is lost, unconfirmed messages are sent as new and confirmed ones are done [MQTT-3.2.2-5]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const first = client.publish('t', 'one', { qos: 1 })
  const second = client.publish('t', 'two', { qos: 2 })
  await server.expect(3)
  const { packetId } = await server.expect(3)
  server.send(new Pubrec(packetId))
  await server.expect(6)
  server.break()
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept()
  assert.equal((await second).reasonCode, 0)
  const resent = await again.expect(3)
  assert.equal(resent.dup, false)
  assert.equal(text(resent.payload), 'one')
  again.send(new Puback(resent.packetId))
  await first
  client.destroy()
})

test('close waits for messages on their way, then sends DISCONNECT and ends the session that it made [MQTT-3.14.4-2]', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const published = client.publish('t', 'x', { qos: 1 })
  const closing = client.close()
  const { packetId } = await server.expect(3)
  await turn()
  assert.deepEqual(server.received, [])
  await assert.rejects(client.publish('t'), ClientClosedError)
  server.send(new Puback(packetId))
  await published
  const disconnect = await server.expect(14)
  assert.deepEqual([disconnect.reasonCode, disconnect.properties.sessionExpiryIntervalSeconds], [0, 0])
  await closing
  assert.equal(await client.closed, null)
  assert.equal(world.timers, 0)
})

test('close gives up waiting after drainMs and rejects what is left', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ sessionExpiryIntervalSeconds: 10 })
  const rejected = assert.rejects(client.publish('t', 'x', { qos: 1 }), ClientClosedError)
  const closing = client.close({ drainMs: 100 })
  await server.expect(3)
  await world.advance(100)
  const disconnect = await server.expect(14)
  assert.equal(disconnect.properties.sessionExpiryIntervalSeconds, undefined)
  await closing
  await rejected
  assert.equal(world.timers, 0)
})

test('close while reconnecting is immediate', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  server.break()
  await turn()
  await client.close()
  assert.equal(client.state.name, 'closed')
  assert.equal(world.timers, 0)
})

test('states() has every state, and ends', async () => {
  const world = new SimulatedWorld()
  const client = world.client()
  const names: ClientState['name'][] = []
  const collected = (async () => {
    for await (const { name } of client.states()) names.push(name)
  })()
  const connecting = client.connect()
  const server = await world.connection()
  await server.accept()
  await connecting
  server.break()
  await world.advance(1_000)
  await (await world.connection()).accept()
  await turn()
  await client.close()
  await collected
  assert.deepEqual(names, ['idle', 'connecting', 'connected', 'reconnecting', 'connected', 'closing', 'closed'])
})

test('states() ends with the reason of its signal', async () => {
  const world = new SimulatedWorld()
  const { client } = await world.connected()
  const abort = new AbortController()
  const states = client.states(abort.signal)
  assert.equal((await states.next()).value?.name, 'connected')
  const waiting = states.next()
  abort.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
  assert.deepEqual(await states.next(), { value: undefined, done: true })
  await assert.rejects(client.states(abort.signal).next(), /enough/)
  client.destroy()
})

test('enhanced authentication: each AUTH is answered by the application [MQTT-4.12.0-3]', async () => {
  const world = new SimulatedWorld()
  const asked: (string | undefined)[] = []
  const client = world.client({
    authentication: {
      method: 'SCRAM',
      respond: (data) => {
        asked.push(data === undefined ? undefined : text(data))
        return new TextEncoder().encode(`answer${asked.length}`)
      },
    },
  })
  const connecting = client.connect()
  const server = await world.connection()
  const connect = await server.expect(1)
  assert.equal(text(connect.properties.authenticationData!), 'answer1')
  const challenge = { authenticationMethod: 'SCRAM', authenticationData: new TextEncoder().encode('challenge') }
  server.send(new Auth(ReasonCode.ContinueAuthentication, challenge))
  assert.equal(text((await server.expect(15)).properties.authenticationData!), 'answer2')
  server.send(new Connack(false, 0))
  await connecting
  const reauthenticated = client.reauthenticate()
  assert.equal((await server.expect(15)).reasonCode, ReasonCode.ReAuthenticate)
  server.send(new Auth(ReasonCode.Success, { authenticationMethod: 'SCRAM' }))
  await reauthenticated
  assert.deepEqual(asked, [undefined, 'challenge', undefined])
  client.destroy()
})

test('packets that only clients send, or that come at the wrong time, end the connection', async () => {
  const wrong: Packet[] = [new Connack(false, 0), new Auth(ReasonCode.Success)]
  for (const packet of wrong) {
    const world = new SimulatedWorld()
    const { client, server } = await world.connected({ reconnect: false })
    server.send(packet)
    assert.ok((await client.closed) instanceof ProtocolError, `packet type ${packet.type}`)
  }
})

test('a server that sends but does not read is given up', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ reconnect: false, receiveMaximum: 65_535 })
  server.transport.full = true
  client.publish('a', 'x')
  await turn()
  const flood = Array.from({ length: 60_000 }, (_, i) => Publish.of({ topic: 'a', qos: 1, packetId: i + 1 }))
  for (let i = 0; i < 20 && client.state.name === 'connected'; i++) {
    server.send(...flood)
    await turn()
  }
  assert.equal((await client.closed)?.code, 'ERR_MQTT_SERVER_STALLED')
})

test('options that cannot be are refused by name', () => {
  const world = new SimulatedWorld()
  assert.throws(() => world.client({ url: 'http://x' }), OptionError)
  assert.throws(() => world.client({ url: 'nonsense' }), OptionError)
  assert.throws(() => world.client({ keepAliveSeconds: 70_000 }), /keepAliveSeconds/)
  assert.throws(() => world.client({ receiveMaximum: 0 }), /receiveMaximum/)
  assert.throws(() => world.client({ protocolVersion: 6 as 5 }), /protocolVersion/)
  assert.throws(() => world.client({ will: { topic: 'a/#' } }), MqttError)
})

test('retryFirst goes on until there is a server, or the signal says enough', async () => {
  const world = new SimulatedWorld()
  world.unreachable = new UnreachableError('down')
  const client = world.client({ retryFirst: true })
  const connecting = client.connect()
  await world.advance(10_000)
  world.unreachable = null
  await world.advance(30_000)
  await (await world.connection()).accept()
  await connecting
  client.destroy()
  world.unreachable = new UnreachableError('down')
  const abort = new AbortController()
  const given = world.client({ retryFirst: true })
  const rejected = assert.rejects(given.connect(abort.signal), /enough/)
  await world.advance(10_000)
  abort.abort(new Error('enough'))
  await rejected
  assert.equal(given.state.name, 'closed')
  await turn()
  assert.equal(world.timers, 0)
})

test('retryFirst: a first connection that is lost at once is no reason to give up (seed 5139970)', async () => {
  const world = new SimulatedWorld()
  world.unreachable = new UnreachableError('down')
  const client = world.client({ retryFirst: true })
  const connecting = client.connect()
  const published = client.publish('a', 'x', { qos: 1 })
  await world.advance(10_000)
  world.unreachable = null
  await world.advance(30_000)
  const first = await world.connection()
  await first.expect(1)
  first.send(new Connack(false, 0, {}))
  first.break()
  await connecting
  await world.advance(30_000)
  const second = await world.connection()
  await second.accept()
  const { packetId } = await second.expect(3)
  second.send(new Puback(packetId, 0))
  await published
  assert.equal(client.connected, true)
  client.destroy()
})
