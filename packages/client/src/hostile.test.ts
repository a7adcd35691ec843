/** Servers that lie, break off, flood or fall silent: every promise ends in a typed error, and nothing is left behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Auth,
  Connack,
  Connect,
  Disconnect,
  encode,
  MqttError,
  type Packet,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  ReasonCode,
  Suback,
  Subscribe,
  Unsuback,
} from '@recado/protocol'
import type { Client } from './client.ts'
import { QueueFullError, SubscribeError } from './errors.ts'
import { type FakeServer, SimulatedWorld, turn } from './testing/simulated.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** Packets that a server may send between CONNECT and CONNACK, and the `code` that connect() rejects with. */
const handshakes: [string, (server: FakeServer, world: SimulatedWorld) => void | Promise<void>, string][] = [
  ['closes', (server) => server.break(null), 'ERR_MQTT_CONNECTION_LOST'],
  ['breaks off', (server) => server.break(), 'ERR_MQTT_CONNECTION_LOST'],
  ['says nothing', (_server, world) => world.advance(30_000), 'ERR_MQTT_CONNECT_TIMEOUT'],
  [
    'speaks HTTP',
    (server) => server.transport.deliver(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
    'ERR_MQTT_PROTOCOL',
  ],
  [
    'sends half a CONNACK and closes',
    (server) => {
      server.transport.deliver(bytes(0x20, 3, 0))
      server.break(null)
    },
    'ERR_MQTT_CONNECTION_LOST',
  ],
  ['announces 256 MiB', (server) => server.transport.deliver(bytes(0x30, 0xff, 0xff, 0xff, 0x7f)), 'ERR_MQTT_PROTOCOL'],
  [
    'sends a length without end',
    (server) => server.transport.deliver(bytes(0x20, 0xff, 0xff, 0xff, 0xff, 0xff)),
    'ERR_MQTT_PROTOCOL',
  ],
  ['publishes before CONNACK', (server) => server.send(Publish.of({ topic: 'a' })), 'ERR_MQTT_PROTOCOL'],
  [
    'sends AUTH that nobody asked for',
    (server) => server.send(new Auth(0x18, { authenticationMethod: 'x' })),
    'ERR_MQTT_PROTOCOL',
  ],
  ['has a session that was to be new', (server) => server.send(new Connack(true, 0)), 'ERR_MQTT_PROTOCOL'],
  [
    'disconnects before CONNACK [MQTT-3.14.0-1]',
    (server) => server.send(new Disconnect(ReasonCode.ServerBusy)),
    'ERR_MQTT_PROTOCOL',
  ],
  [
    'refuses with a code that is none',
    (server) => server.transport.deliver(bytes(0x20, 3, 0, 0x7f, 0)),
    'ERR_MQTT_PROTOCOL',
  ],
]

for (const [what, act, code] of handshakes) {
  test(`a server that ${what}: connect() rejects with ${code}, and nothing is left`, async () => {
    const world = new SimulatedWorld()
    const client = world.client({ protocolVersion: 5, maximumPacketSize: 100_000 })
    const waiting = [client.publish('a', 'x', { qos: 1 }), client.subscribe('a').ready, client.request('b')]
    const settled = Promise.allSettled(waiting)
    const rejected = assert.rejects(client.connect(), (error) => {
      assert.ok(error instanceof MqttError)
      assert.equal(error.code, code)
      assert.ok(error.message.length > 10)
      return true
    })
    const server = await world.connection()
    await server.expect(1)
    await act(server, world)
    await rejected
    for (const result of await settled) assert.ok(result.status === 'rejected' && result.reason instanceof MqttError)
    assert.equal(client.state.name, 'closed')
    await turn()
    assert.deepEqual([world.timers, world.wakers, server.transport.closed], [0, 0, true])
  })
}

test('a server that stops reading: what is published waits, up to the limits of the queue', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected({ queue: { messagesMax: 10 }, keepAliveSeconds: 10 })
  server.transport.full = true
  const first = client.publish('a', 'x')
  await turn()
  const waiting = Array.from({ length: 10 }, () => client.publish('a', 'x', { qos: 1 }))
  const settled = Promise.allSettled([first, ...waiting])
  await assert.rejects(client.publish('a', 'x', { qos: 1 }), QueueFullError)
  await assert.rejects(client.publish('a', 'x'), QueueFullError)
  await client.close({ drainMs: 0 })
  const [written, ...rest] = await settled
  assert.equal(written?.status, 'fulfilled')
  for (const result of rest) {
    assert.ok(result.status === 'rejected' && result.reason instanceof MqttError)
    assert.equal(result.reason.code, 'ERR_MQTT_CLOSED')
  }
  assert.deepEqual([world.timers, world.wakers], [0, 0])
})

test('acknowledgements for nothing, for the wrong flow and with too few codes settle nothing wrongly', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const once = client.publish('a', 'x', { qos: 1 })
  const twice = client.publish('a', 'x', { qos: 2 })
  const subscription = client.subscribe(['a', 'b'])
  const [one, two] = [(await server.expect(3)).packetId, (await server.expect(3)).packetId]
  const { packetId } = await server.expect(8)
  let settled = 0
  for (const promise of [once, twice]) void promise.then(() => settled++)
  server.send(new Puback(999), new Pubcomp(998), new Suback(997, [0]), new Pubcomp(one), new Pubrec(997))
  await turn()
  assert.equal(settled, 0)
  server.send(new Suback(packetId, [0]))
  await assert.rejects(subscription.ready, SubscribeError)
  server.send(new Puback(one), new Pubrec(two), new Pubcomp(two))
  await Promise.all([once, twice])
  client.destroy()
})

test('UNSUBACK for a SUBSCRIBE ends the connection, and the SUBSCRIBE is sent again', async () => {
  const world = new SimulatedWorld()
  const { client, server } = await world.connected()
  const subscription = client.subscribe('a')
  server.send(new Unsuback((await server.expect(8)).packetId, [0]))
  assert.equal((await server.expect(14)).reasonCode, ReasonCode.ProtocolError)
  await world.advance(1_000)
  const again = await world.connection()
  await again.accept({}, true)
  again.send(new Suback((await again.expect(8)).packetId, [0]))
  await subscription.ready
  client.destroy()
})

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

class Chaos {
  readonly random: () => number
  readonly world = new SimulatedWorld()
  readonly promises: Promise<unknown>[] = []
  readonly client: Client

  constructor(seed: number, version: ProtocolVersion) {
    this.random = generator(seed)
    this.world.chance = this.random()
    this.client = this.world.client({
      protocolVersion: version,
      keepAliveSeconds: 10,
      receiveMaximum: 1 + this.below(20),
      reconnect: { minMs: 1, maxMs: 100, attemptsMax: 3, retry: () => true },
      queue: { messagesMax: 20, overflow: this.below(2) === 0 ? 'error' : 'drop-oldest' },
      authentication: { method: 'm', respond: (data) => data },
    })
    this.client.onHandlerError = () => {}
  }

  below(count: number): number {
    return Math.floor(this.random() * count)
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!
  }

  keep(make: () => Promise<unknown>): void {
    try {
      this.promises.push(make().then(undefined, (error: unknown) => assertTyped(error)))
    } catch (error) {
      assertTyped(error)
    }
  }

  /** Something an application does. */
  call(): void {
    const { client } = this
    const topic = this.pick(['a', 'a/b', 'c'])
    const qos = this.pick([0, 1, 2] as const)
    const ack = this.pick(['auto', 'manual'] as const)
    switch (this.below(9)) {
      case 0:
      case 1:
        this.keep(() => client.publish(topic, 'x'.repeat(this.below(100)), { qos }))
        break
      case 2: {
        const overflow = this.pick(['backpressure', 'drop-oldest', 'error'] as const)
        this.keep(async () => {
          const subscription = client.subscribe(`${topic}/:rest`, { qos, ack, overflow, bufferMax: 3, decode: 'json' })
          for await (const message of subscription) if (message.qos > 0) message.ack()
        })
        break
      }
      case 3:
        this.keep(() => client.subscribe(topic, { qos, ack }, async (message) => message.ack()).ready)
        break
      case 4:
        this.keep(() => client.unsubscribe(topic))
        break
      case 5:
        this.keep(() => client.request(topic, 'x'))
        break
      case 6:
        this.keep(() => client.respond(topic, { qos }, () => 'answer').ready)
        break
      case 7:
        this.keep(() => client.reauthenticate())
        break
      default: {
        const abort = new AbortController()
        this.keep(() => client.publish(topic, 'x', { qos, signal: abort.signal }))
        abort.abort()
      }
    }
  }

  packet(): Packet {
    const packetId = 1 + this.below(6)
    const reasonCode = this.pick([0, 0, 0, 0x10, 0x80, 0x87, 0x92])
    switch (this.below(14)) {
      case 0:
        return new Puback(packetId, reasonCode)
      case 1:
        return new Pubrec(packetId, reasonCode)
      case 2:
        return new Pubrel(packetId)
      case 3:
        return new Pubcomp(packetId)
      case 4:
        return new Suback(
          packetId,
          Array.from({ length: 1 + this.below(2) }, () => this.pick([0, 1, 2, 0x80])),
        )
      case 5:
        return new Unsuback(packetId, [0])
      case 6:
        return new Pingresp()
      case 7:
        return this.pick([
          new Pingreq(),
          new Connack(false, 0),
          new Connect({ protocolVersion: 5, cleanStart: true, keepAliveSeconds: 0, clientId: 'x' }),
          new Subscribe(1, []),
        ])
      case 8:
        return this.below(8) === 0 ? new Disconnect(this.pick([0x8b, 0x8e, 0x9c, 0x9d])) : new Pingresp()
      case 9:
        return new Auth(this.pick([0, 0x18]), { authenticationMethod: 'm' })
      default: {
        const qos = this.pick([0, 1, 2] as const)
        const topic = this.pick(['a', 'a/b', 'c', 'd'])
        const properties = this.below(3) === 0 ? { subscriptionIdentifiers: [1 + this.below(4)] } : {}
        const payload = Buffer.from(this.pick(['1', '{', '']))
        return Publish.of({
          topic,
          qos,
          packetId: qos === 0 ? 0 : packetId,
          payload,
          properties,
          dup: qos > 0 && this.below(3) === 0,
        })
      }
    }
  }

  /** Something the server does: mostly whole packets, now and then damaged ones. */
  async act(server: FakeServer): Promise<void> {
    let data: Uint8Array
    try {
      data = encode(this.packet(), server.version).slice()
    } catch {
      return // not in this version, or never
    }
    switch (this.below(20)) {
      case 0:
        data[this.below(data.length)]! ^= 1 << this.below(8)
        break
      case 1:
        data = data.subarray(0, this.below(data.length))
        break
      case 2:
        return server.break(this.below(2) === 0 ? null : new Error('broken'))
      case 3:
        await this.world.advance(this.below(12_000))
        break
      case 4:
        server.transport.full = !server.transport.full
        if (!server.transport.full) server.transport.drain()
        break
      case 5:
        this.world.sleep(this.below(30_000))
        this.world.wake()
        break
    }
    const split = this.below(data.length + 1)
    server.transport.deliver(data.slice(0, split))
    server.transport.deliver(data.slice(split))
    if (this.below(3) === 0) await turn()
  }

  async run(): Promise<void> {
    const { client, world } = this
    this.keep(() => client.connect())
    for (let steps = 0; steps < 60 && client.state.name !== 'closed'; steps++) {
      await world.advance(200)
      const server = world.servers.findLast(({ transport }) => !transport.closed)
      if (server === undefined) continue
      if (server.received.some(({ type }) => type === 1)) {
        server.received.length = 0
        if (this.below(10) > 0) server.send(new Connack(false, 0))
      }
      for (let i = 0; i < 4; i++) {
        this.call()
        await this.act(server)
      }
    }
    if (this.below(2) === 0) client.destroy()
    else {
      const closing = client.close({ drainMs: 100 })
      await world.advance(10_000)
      await closing
    }
    await client.closed
    await Promise.all(this.promises)
    await turn()
    assert.deepEqual([world.timers, world.wakers], [0, 0])
  }
}

function assertTyped(error: unknown): void {
  const isAbort = error instanceof DOMException && error.name === 'AbortError'
  if (!isAbort && !(error instanceof MqttError)) throw error
}

test('whatever a server does, every promise settles, with typed errors, and no timer is left (200 seeds)', {
  timeout: 300_000,
}, async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const chaos = new Chaos(seed, seed % 3 === 0 ? 4 : 5)
    try {
      await chaos.run()
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
  }
})
