/** Servers that end the connection because of something that was sent: pauses grow, the packet is found and set aside, the rest goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Connack,
  Disconnect,
  Pingresp,
  Puback,
  Pubcomp,
  type Publish,
  Pubrec,
  ReasonCode,
  Suback,
  Unsuback,
} from '@recado/protocol'
import { DisconnectedError, MessageExpiredError, SetAsideError, UnreachableError } from './errors.ts'
import type { ConnectOptions } from './options.ts'
import type { ReconnectingState } from './state.ts'
import { memory } from './store/memory.ts'
import type { SessionStore } from './store/session-store.ts'
import { type FakeServer, SimulatedWorld, turn } from './testing/simulated.ts'

type Received = Parameters<typeof answer>[1]

/** Answers a packet as a correct server does. */
function answer(server: FakeServer, packet: Awaited<ReturnType<FakeServer['next']>>): void {
  switch (packet.type) {
    case 3:
      if (packet.qos === 1) server.send(new Puback(packet.packetId))
      if (packet.qos === 2) server.send(new Pubrec(packet.packetId))
      break
    case 6:
      server.send(new Pubcomp(packet.packetId))
      break
    case 8:
      server.send(
        new Suback(
          packet.packetId,
          packet.subscriptions.map(({ qos }) => qos),
        ),
      )
      break
    case 10:
      server.send(
        new Unsuback(
          packet.packetId,
          packet.topicFilters.map(() => 0),
        ),
      )
      break
    case 12:
      server.send(new Pingresp())
      break
    default:
  }
}

/** A server that takes every connection, and has a rule of its own: `true` if it has dealt with the packet. */
class Server {
  readonly world: SimulatedWorld = new SimulatedWorld()
  connections = 0
  readonly delivered: string[] = []
  readonly #rule: (server: FakeServer, packet: Received) => boolean
  readonly #keepsSession: boolean

  constructor(rule: (server: FakeServer, packet: Received) => boolean, keepsSession = true) {
    this.#rule = rule
    this.#keepsSession = keepsSession
    void this.#serve()
  }

  async #serve(): Promise<void> {
    for (;;) {
      const server = await this.world.connection()
      this.connections++
      void this.#handle(server, this.connections)
    }
  }

  async #handle(server: FakeServer, number: number): Promise<void> {
    const { cleanStart } = await server.expect(1)
    server.send(new Connack(this.#keepsSession && number > 1 && !cleanStart, 0))
    for (;;) {
      const packet = await server.next()
      if (server.transport.closed) continue
      if (this.#rule(server, packet)) continue
      if (packet.type === 3) this.delivered.push(packet.topic)
      answer(server, packet)
    }
  }
}

const hangUp = (server: FakeServer): true => {
  server.break(null)
  return true
}
const says = (server: FakeServer, reasonCode: ReasonCode): true => {
  server.send(new Disconnect(reasonCode))
  server.break(null)
  return true
}
const isPoison = (packet: Received): packet is Publish => packet.type === 3 && packet.topic === 'poison'

// ---- E1: pauses grow

const storms: [string, (server: FakeServer, packet: Received) => boolean][] = [
  ['drops on SUBSCRIBE', (server, packet) => packet.type === 8 && hangUp(server)],
  ['answers SUBSCRIBE with 0x89', (server, packet) => packet.type === 8 && says(server, ReasonCode.ServerBusy)],
  ['answers SUBSCRIBE with 0x97', (server, packet) => packet.type === 8 && says(server, ReasonCode.QuotaExceeded)],
]

for (const [what, rule] of storms) {
  test(`a server that ${what} gets few connections, with growing pauses, and the state says why`, async () => {
    const server = new Server(rule)
    const { world } = server
    const client = world.client()
    const states: ReconnectingState[] = []
    client.onState((state) => {
      if (state.name === 'reconnecting') states.push(state)
    })
    await client.connect()
    client.subscribe('a')
    await world.advance(10_000)
    assert.ok(server.connections >= 3 && server.connections <= 7, `${server.connections} connections`)
    assert.deepEqual(
      states.map(({ shortLived, attempt }) => [shortLived, attempt]),
      states.map((_, index) => [index + 1, index + 1]),
    )
    for (let i = 1; i < states.length; i++) assert.ok(states[i]!.delayMs > states[i - 1]!.delayMs)
    client.destroy()
    assert.equal(world.timers, 0)
  })
}

test('two clients with one identifier on 3.1.1 do not storm the server', async () => {
  let last: FakeServer | null = null
  const server = new Server((connection, packet) => {
    if (packet.type === 12 && connection !== last) return hangUp(connection)
    return false
  })
  const { world } = server
  const dial = world.dial
  // Whoever connects throws the other out.
  Object.assign(world, {
    dial: async (...given: Parameters<typeof dial>) => {
      const transport = await dial(...given)
      last?.break(null)
      last = (transport as unknown as { server: FakeServer }).server
      return transport
    },
  })
  const options: ConnectOptions = { clientId: 'twin', protocolVersion: 4, cleanStart: true, retryFirst: true }
  const clients = [world.client(options), world.client(options)]
  for (const client of clients) client.connect().catch(() => {})
  await world.advance(10_000)
  assert.ok(server.connections <= 14, `${server.connections} connections`)
  const before = server.connections
  await world.advance(60_000)
  assert.ok(server.connections - before <= 20, `${server.connections - before} more`)
  for (const client of clients) client.destroy()
})

test('a connection that holds for reconnect.stableMs makes the pauses short again', async () => {
  const server = new Server(() => false)
  const { world } = server
  world.chance = 1
  const client = world.client({ reconnect: { minMs: 100, maxMs: 1_000, stableMs: 5_000 } })
  const states: ReconnectingState[] = []
  client.onState((state) => {
    if (state.name === 'reconnecting') states.push(state)
  })
  const connections: FakeServer[] = []
  const dial = world.dial
  Object.assign(world, {
    dial: async (...given: Parameters<typeof dial>) => {
      const transport = await dial(...given)
      connections.push((transport as unknown as { server: FakeServer }).server)
      return transport
    },
  })
  await client.connect()
  for (const heldMs of [0, 4_000, 5_000]) {
    await world.advance(heldMs)
    connections.at(-1)!.break()
    await world.advance(1_000)
  }
  assert.deepEqual(
    states.map(({ delayMs, attempt, shortLived }) => [delayMs, attempt, shortLived]),
    [
      [300, 1, 1],
      [900, 2, 2],
      [300, 1, 0],
    ],
  )
  client.destroy()
})

test('attemptsMax also ends a client whose connections never hold', async () => {
  const server = new Server((connection, packet) => packet.type === 8 && hangUp(connection))
  const client = server.world.client({ reconnect: { attemptsMax: 3 } })
  await client.connect()
  client.subscribe('a')
  await server.world.advance(60_000)
  assert.equal(client.state.name, 'closed')
  assert.equal(server.connections, 4)
})

// ---- E2: messages that the server hangs up on

for (const [protocolVersion, qos, cleanStart] of [
  [4, 1, true],
  [4, 2, true],
  [4, 1, false],
  [4, 2, false],
  [5, 1, true],
  [5, 2, true],
] as const) {
  const how = `MQTT ${protocolVersion}, QoS ${qos}${cleanStart ? '' : ', kept session'}`
  test(`${how}: a message that the server hangs up on is set aside, and the rest goes on`, async () => {
    const server = new Server((connection, packet) => isPoison(packet) && hangUp(connection))
    const { world } = server
    const client = world.client({ protocolVersion, cleanStart })
    await client.connect()
    client.subscribe('a')
    const before = ['1', '2'].map((topic) => client.publish(topic, 'x', { qos }))
    const refused = assert.rejects(client.publish('poison', 'x', { qos }), (error) => {
      assert.ok(error instanceof SetAsideError)
      assert.equal(error.code, 'ERR_MQTT_SET_ASIDE')
      assert.deepEqual([error.packet, error.topics], ['PUBLISH', ['poison']])
      assert.equal((error.cause as Error).name, 'ConnectionLostError')
      return true
    })
    const after = ['3', '4', '5', '6'].map((topic) => client.publish(topic, 'x', { qos }))
    await world.advance(30_000)
    await refused
    await Promise.all([...before, ...after])
    assert.ok(server.connections <= 8, `${server.connections} connections`)
    assert.deepEqual([...new Set(server.delivered)].sort(), ['1', '2', '3', '4', '5', '6'])
    assert.equal(client.connected, true)
    assert.equal(client.pending.inflight, 0)
    await world.advance(20_000)
    await client.publish('7', 'x', { qos })
    client.destroy()
    await turn()
    assert.equal(world.timers, 0)
  })
}

test('several bad messages are each found, also behind many good ones, in few connections', async () => {
  const server = new Server((connection, packet) => {
    return packet.type === 3 && /^(3|50|51)$/.test(packet.topic) && hangUp(connection)
  })
  const { world } = server
  const client = world.client({ protocolVersion: 4 })
  await client.connect()
  const all = Promise.allSettled(
    Array.from({ length: 100 }, (_, number) => client.publish(String(number), 'x', { qos: 1 })),
  )
  await world.advance(600_000)
  const failed = (await all).flatMap(({ status }, number) => (status === 'rejected' ? [number] : []))
  assert.deepEqual(failed, [3, 50, 51])
  assert.ok(server.connections <= 18, `${server.connections} connections`)
  client.destroy()
})

test('a server that just ends its connections makes nobody lose a message', async () => {
  let isBad = true
  // It answers nothing, not even PINGREQ.
  const server = new Server((connection) => isBad && hangUp(connection))
  const { world } = server
  const client = world.client({ protocolVersion: 4 })
  await client.connect()
  const published = client.publish('a', 'x', { qos: 1 })
  await world.advance(300_000)
  assert.ok(server.connections > 10)
  isBad = false
  await world.advance(60_000)
  await published
  client.destroy()
})

test('silence, and connections that end long after the message, are not held against it', async () => {
  const server = new Server((connection, packet) => {
    if (packet.type === 3) world.setTimer(() => connection.break(), 15_000)
    return packet.type === 3
  })
  const { world } = server
  const client = world.client({ protocolVersion: 4 })
  await client.connect()
  let isSettled = false
  const published = client.publish('a', 'x', { qos: 1 }).finally(() => {
    isSettled = true
  })
  published.catch(() => {})
  await world.advance(600_000)
  assert.equal(isSettled, false)
  client.destroy()
})

test('a message that expires while it is suspected is no longer looked for', async () => {
  const server = new Server((connection, packet) => isPoison(packet) && hangUp(connection), false)
  const { world } = server
  const client = world.client()
  await client.connect()
  const properties = { messageExpiryIntervalSeconds: 1 }
  const refused = assert.rejects(client.publish('poison', 'x', { qos: 1, properties }), MessageExpiredError)
  const after = client.publish('a', 'x', { qos: 1 })
  await world.advance(30_000)
  await refused
  await after
  client.destroy()
})

async function oneLoss(server: Server, store: SessionStore): Promise<unknown> {
  const client = server.world.client({ store, protocolVersion: 4, clientId: 'c', reconnect: false })
  const undelivered: unknown[] = []
  client.onUndelivered = ({ topic }, error) => void undelivered.push([topic, error.code])
  await client.connect()
  await server.world.advance(1_000)
  await client.close()
  return undelivered
}

test('with a store the count goes over processes that each live for one connection', async () => {
  const store = memory()
  const server = new Server((connection, packet) => isPoison(packet) && hangUp(connection))
  const first = server.world.client({ store, protocolVersion: 4, clientId: 'c', reconnect: false })
  await first.connect()
  await first.publish('before', 'x', { qos: 1 })
  await first.publish('poison', 'x', { qos: 2, until: 'stored' })
  await first.publish('after', 'x', { qos: 1, until: 'stored' })
  await server.world.advance(1_000)
  await first.closed
  const found: unknown[] = []
  for (let i = 0; i < 5; i++) found.push(await oneLoss(server, store))
  assert.deepEqual(found, [[], [], [], [['poison', 'ERR_MQTT_SET_ASIDE']], []])
  assert.deepEqual(server.delivered, ['before', 'after'])
})

// ---- E3: DISCONNECT that is about a packet

for (const reasonCode of [ReasonCode.MalformedPacket, ReasonCode.ProtocolError, ReasonCode.PacketTooLarge]) {
  test(`DISCONNECT 0x${reasonCode.toString(16)} after one message sets it aside at once, and the client goes on`, async () => {
    const server = new Server((connection, packet) => isPoison(packet) && says(connection, reasonCode))
    const { world } = server
    const client = world.client()
    await client.connect()
    const seen = client.subscribe('a')
    await seen.ready
    const refused = assert.rejects(client.publish('poison', 'x', { qos: 1 }), (error) => {
      assert.ok(error instanceof SetAsideError && error.cause instanceof DisconnectedError)
      assert.equal(error.cause.reasonCode, reasonCode)
      return true
    })
    await world.advance(5_000)
    await refused
    assert.equal(server.connections, 2)
    assert.equal(client.connected, true)
    assert.equal(seen.ended, false)
    client.destroy()
  })
}

test('DISCONNECT 0x81 after a QoS 0 message: the client goes on', async () => {
  const server = new Server((connection, packet) => isPoison(packet) && says(connection, ReasonCode.MalformedPacket))
  const client = server.world.client()
  await client.connect()
  await client.publish('poison', 'x')
  await server.world.advance(5_000)
  assert.equal(client.connected, true)
  assert.equal(server.connections, 2)
  client.destroy()
})

test('DISCONNECT 0x81 after several packets: the one is found among messages and subscriptions', async () => {
  const server = new Server((connection, packet) => {
    return packet.type === 8 && packet.subscriptions[0]!.topicFilter === 'bad' && says(connection, 0x81)
  }, false)
  const { world } = server
  const client = world.client()
  await client.connect()
  const good = ['1', '2'].map((topic) => client.subscribe(topic))
  const bad = client.subscribe('bad')
  const last = client.subscribe('3')
  const published = ['a', 'b'].map((topic) => client.publish(topic, 'x', { qos: 1 }))
  await world.advance(30_000)
  await assert.rejects(bad.ready, SetAsideError)
  await assert.rejects(bad.next(), { code: 'ERR_MQTT_SET_ASIDE', packet: 'SUBSCRIBE', topics: ['bad'] })
  await Promise.all([...good, last].map(({ ready }) => ready))
  await Promise.all(published)
  assert.ok(server.connections <= 3, `${server.connections} connections`)
  client.destroy()
})

test('an UNSUBSCRIBE that the server disconnects for rejects', async () => {
  const server = new Server((connection, packet) => packet.type === 10 && says(connection, 0x82))
  const client = server.world.client()
  await client.connect()
  const refused = assert.rejects(client.unsubscribe('a'), { code: 'ERR_MQTT_SET_ASIDE', packet: 'UNSUBSCRIBE' })
  await server.world.advance(5_000)
  await refused
  assert.equal(client.connected, true)
  client.destroy()
})

test('DISCONNECT 0x87 after a message is tried again, and the message set aside; 0x81 after nothing is final', async () => {
  const server = new Server((connection, packet) => isPoison(packet) && says(connection, ReasonCode.NotAuthorized))
  const client = server.world.client()
  await client.connect()
  const refused = assert.rejects(client.publish('poison', 'x', { qos: 1 }), SetAsideError)
  await server.world.advance(30_000)
  await refused
  assert.equal(client.connected, true)
  client.destroy()
  const world = new SimulatedWorld()
  const { client: idle, server: angry } = await world.connected()
  angry.send(new Disconnect(ReasonCode.MalformedPacket))
  await turn()
  assert.equal(idle.state.name, 'closed')
})

test('with a server that cannot be reached, nothing is held against a message', async () => {
  const server = new Server(() => false)
  const { world } = server
  const client = world.client()
  await client.connect()
  world.unreachable = new UnreachableError('down')
  const published = client.publish('a', 'x', { qos: 1 })
  await published
  client.destroy()
})
