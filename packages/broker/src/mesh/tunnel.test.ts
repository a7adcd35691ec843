/** Clients that another Core has accepted than the one that is their home. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connack, Disconnect, Pingreq, Pingresp, Publish, ReasonCode, Suback, Subscribe } from '@recado/protocol'
import { type Authorizer, PENDING } from '../ports.ts'
import { DURABLE } from '../testing/disk-world.ts'
import { subscriptionTo, type TestClient, will } from '../testing/test-client.ts'
import { decideLater, type WorldOptions } from '../testing/world.ts'
import { MeshWorld } from './mesh.test-support.ts'

const WINDOW_BYTES = 256 * 1024

/** Two Cores, and a client with its home at the second that the first has accepted. */
function strayed(options: WorldOptions = {}, properties = DURABLE) {
  const broker = new MeshWorld(2, options)
  const clientId = broker.idAt(1, 'client')
  const client = broker.world(0).client(clientId)
  client.connect(properties)
  broker.settle()
  return { broker, clientId, client, connack: client.take(Connack) }
}

function subscribe(broker: MeshWorld, client: TestClient, topicFilter: string): void {
  client.send(new Subscribe(1, [subscriptionTo(topicFilter, { qos: 1 })]))
  broker.settle()
  client.take(Suback)
}

test('a session is at its home, whichever Core accepts its client [MQTT-3.2.2-3]', () => {
  const { broker, clientId, client, connack } = strayed()
  assert.equal(connack.sessionPresent, false)
  assert.equal(broker.world(0).core.sessions.get(clientId), undefined)
  assert.equal(broker.world(1).core.sessions.get(clientId)?.connection?.remoteAddress, '192.0.2.1:50000')
  client.drop()
  broker.settle()
  for (const core of [1, 0]) {
    const again = broker.world(core).client(clientId)
    again.connect(DURABLE)
    broker.settle()
    assert.equal(again.take(Connack).sessionPresent, true, `at core ${core}`)
    again.drop()
    broker.settle()
  }
  assert.deepEqual(
    broker.meshes.map((mesh) => mesh.figures.tunnels),
    [0, 0],
  )
})

test('a client that connects at another Core takes its session over [MQTT-3.1.4-3]', () => {
  for (const [first, second] of [
    [0, 1],
    [1, 0],
    [0, 0],
  ] as const) {
    const broker = new MeshWorld(2)
    const clientId = broker.idAt(1, 'client')
    const before = broker.world(first).client(clientId)
    before.connect(DURABLE)
    broker.settle()
    before.take(Connack)
    const after = broker.world(second).client(clientId)
    after.connect(DURABLE)
    broker.settle()
    assert.equal(before.take(Disconnect).reasonCode, ReasonCode.SessionTakenOver)
    assert.equal(before.isClosed, true)
    assert.equal(after.take(Connack).sessionPresent, true)
  }
})

test('messages go through a tunnel in both directions', () => {
  const { broker, client } = strayed()
  subscribe(broker, client, 't')
  for (let i = 0; i < 5; i++) client.publish({ topic: 't', payload: `${i}`, qos: 0 })
  broker.settle()
  assert.deepEqual(client.takePayloads(), ['0', '1', '2', '3', '4'])
  client.send(new Pingreq())
  broker.settle()
  client.take(Pingresp)
})

test('a client without a Client Identifier gets one that has its home where it is [MQTT-3.1.3-6]', () => {
  const broker = new MeshWorld(3)
  for (const [i, world] of broker.worlds.entries()) {
    for (let n = 0; n < 10; n++) {
      const client = world.client('')
      client.connect({ cleanStart: true })
      broker.settle()
      const clientId = client.take(Connack).properties.assignedClientIdentifier!
      assert.equal(broker.mesh(i).isHome(clientId), true)
    }
  }
})

test('a client that does not read keeps no more than the window in the other Core', () => {
  const { broker, client } = strayed()
  subscribe(broker, client, 't')
  client.block()
  const count = 200
  const payload = new Uint8Array(10_000)
  for (let i = 0; i < count; i++) {
    payload[0] = i
    broker.world(1).publish({ topic: 't', payload: new Uint8Array(payload), qos: 1 })
    broker.run()
  }
  assert.ok(broker.mesh(1).waitingBytes < 2 * WINDOW_BYTES, `${broker.mesh(1).waitingBytes} bytes`)
  client.acknowledges = true
  client.drain()
  broker.settle().settle()
  const got = client.received.filter((packet) => packet instanceof Publish).map((publish) => publish.payload[0])
  assert.deepEqual(
    got,
    Array.from({ length: count }, (_, i) => i),
  )
})

test('a client whose home does not read is not read where it was accepted', () => {
  const { authorizer, decisions } = decideLater()
  const { broker, client } = strayed({ authorizer })
  const payload = new Uint8Array(20_000)
  for (let i = 0; i < 40; i++) {
    client.publish({ topic: 't', payload, qos: 0 })
    broker.run()
  }
  assert.equal(decisions.length, 1)
  assert.equal(client.transport.isPaused, true)
  for (let i = 0; i < 40; i++) {
    assert.equal(decisions.length, i + 1)
    decisions[i]!(0)
    broker.run()
  }
  assert.equal(client.transport.isPaused, false)
})

test('bytes that have waited are not overtaken by those that come when the connection is read again', () => {
  const asked: string[] = []
  const decisions: ((reasonCode: number) => void)[] = []
  const authorizer: Authorizer = {
    publish: (_client, topic, _qos, _retain, decide) => {
      asked.push(topic)
      decisions.push(decide)
      return PENDING
    },
    subscribe: () => 0,
  }
  const { broker, client } = strayed({ authorizer })
  for (const topic of ['1', '2']) {
    client.publish({ topic, qos: 0 })
    broker.run()
  }
  client.publish({ topic: '3', qos: 0 })
  broker.world(0).run()
  const frames = broker.frames.splice(0)
  assert.ok(frames.length > 0)
  broker.world(1).together(() => {
    decisions[0]!(0)
    for (const { frame } of frames) broker.mesh(1).onFrame(frame)
  })
  for (let i = 1; i < 3; i++) {
    broker.run()
    decisions[i]!(0)
  }
  assert.deepEqual(asked, ['1', '2', '3'])
})

test('DISCONNECT counts that comes while its connection is not read, and is closed behind it [MQTT-3.14.4-3]', () => {
  const { authorizer, decisions } = decideLater()
  const options = { ...DURABLE, will: will({ topic: 'will' }) }
  const broker = new MeshWorld(2, { authorizer: { ...authorizer, will: () => 0 } })
  const client = broker.world(0).client(broker.idAt(1, 'client'))
  client.connect(options)
  broker.settle()
  client.take(Connack)
  client.publish({ topic: 't', qos: 0 })
  broker.run()
  client.send(new Disconnect(0))
  client.drop()
  broker.run()
  decisions[0]!(0)
  broker.settle()
  assert.equal(broker.world(1).metric('willsPublished'), 0)
  assert.equal(broker.world(1).metric('clients'), 0)
})

test('the Will of a client is published when the Core is gone that has accepted it [MQTT-3.1.2-8]', () => {
  const { broker } = strayed({}, { ...DURABLE, will: will({ topic: 'will', payload: 'gone' }) })
  broker.crash(0).settle()
  assert.equal(broker.world(1).metric('willsPublished'), 1)
  assert.equal(broker.mesh(1).figures.tunnels, 0)
})

test('a connection ends when the process of its home does', () => {
  const { broker, client } = strayed()
  broker.crash(1).settle()
  assert.equal(client.isClosed, true)
  assert.deepEqual(
    broker.meshes.map((mesh) => mesh.figures.tunnels),
    [0, 0],
  )
})

test('a refusal of the home reaches the client', () => {
  const broker = new MeshWorld(2, { limits: { connectionsMax: 1 } })
  for (const name of ['a', 'b']) {
    const client = broker.world(0).client(broker.idAt(1, name))
    client.connect({ cleanStart: true })
    broker.settle()
    assert.equal(client.take(Connack).reasonCode, name === 'a' ? 0 : ReasonCode.ServerBusy)
  }
})

test('a connection that says nothing, or no CONNECT, is ended where it was accepted', () => {
  const broker = new MeshWorld(2)
  const silent = broker.world(0).client('silent').open()
  const wrong = broker.world(0).client('wrong').open()
  assert.equal(broker.mesh(0).figures.doorways, 2)
  wrong.sendBytes(Uint8Array.of(0xc0, 0))
  broker.settle()
  assert.equal(wrong.isClosed, true)
  broker.advance(60_000).settle()
  assert.equal(silent.isClosed, true)
  assert.deepEqual([broker.mesh(0).figures.doorways, broker.mesh(0).figures.tunnels], [0, 0])
})

test('of too many connections without CONNECT the oldest ends', () => {
  const broker = new MeshWorld(2, { limits: { pendingConnectionsMax: 2 } })
  const clients = Array.from({ length: 5 }, (_, i) => broker.world(0).client(`c${i}`).open())
  broker.settle()
  assert.equal(broker.mesh(0).figures.doorways, 2)
  assert.deepEqual(
    clients.map(({ isClosed }) => isClosed),
    [true, false, false, false, false],
  )
})

test('a CONNECT in single bytes finds its home', () => {
  const broker = new MeshWorld(2)
  const client = broker.world(0).client(broker.idAt(1, 'client'))
  client.chunkSizes = [1]
  client.connect(DURABLE)
  broker.settle()
  assert.equal(client.take(Connack).reasonCode, 0)
})

test('a client that comes by another Core waits until its home is ready', () => {
  const broker = new MeshWorld(3)
  // The third Core says nothing for a while.
  broker.loses = ({ from, to }) => from === 2 && to === 1
  broker.crash(1).settle()
  assert.deepEqual([broker.mesh(0).isReady, broker.mesh(1).isReady], [true, false])
  const early = broker.world(0).client(broker.idAt(1, 'client'))
  early.connect(DURABLE)
  broker.settle()
  early.hasNothing()
  broker.loses = () => false
  broker.advance(10_000).settle()
  assert.equal(early.take(Connack).reasonCode, 0)
})
