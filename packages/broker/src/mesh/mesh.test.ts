/** Several Cores as one broker: what clients of different Cores are promised, step by step. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Packet, Puback, Pubcomp, Publish, Pubrec, Pubrel, Suback, Subscribe } from '@recado/protocol'
import { DURABLE } from '../testing/disk-world.ts'
import { rowsOf } from '../testing/store-suite.ts'
import { subscriptionTo, type TestClient } from '../testing/test-client.ts'
import { MeshWorld } from './mesh.test-support.ts'

const RECEIVED = 5
const FORWARDED = 9

test('clients are let in when the filters of all other Cores are known, and not before', () => {
  const broker = new MeshWorld(3)
  assert.deepEqual(
    broker.meshes.map(({ isReady }) => isReady),
    [true, true, true],
  )
  broker.loses = ({ from }) => from === 2
  broker.crash(0).settle()
  assert.deepEqual(
    broker.meshes.map(({ isReady }) => isReady),
    [false, true, true],
  )
  const early = broker.world(0).client('early').open()
  broker.run()
  assert.equal(early.isClosed, true)
  broker.loses = () => false
  broker.advance(10_000).settle()
  assert.equal(broker.mesh(0).isReady, true)
})

test('each process of a Core has an epoch of its own, which is on the disk before it speaks', () => {
  const broker = new MeshWorld(2)
  const epochs = [broker.mesh(0).epoch]
  for (let i = 0; i < 3; i++) {
    broker.crash(0)
    assert.equal(broker.frames.length, 0)
    broker.settle()
    epochs.push(broker.mesh(0).epoch)
  }
  assert.deepEqual(epochs, [1, 2, 3, 4])
})

test('SUBACK waits until every other Core knows the filter [MQTT-3.8.4-1]', () => {
  const broker = new MeshWorld(3)
  const client = broker.world(0).client(broker.idAt(0, 'a'))
  client.connected({ cleanStart: true })
  broker.loses = ({ from, to }) => from === 0 && to === 2
  client.send(new Subscribe(1, [subscriptionTo('t/+', { qos: 1 })]))
  broker.settle()
  assert.deepEqual(broker.mesh(1).filtersOf(0), ['t/+'])
  assert.deepEqual(broker.mesh(2).filtersOf(0), [])
  assert.equal(client.received.length, 0)
  broker.loses = () => false
  broker.advance(10_000)
  assert.deepEqual(broker.mesh(2).filtersOf(0), ['t/+'])
  assert.deepEqual(client.take(Suback).reasonCodes, [1])
})

test('a filter is known elsewhere once, from its first subscription to its last', () => {
  const broker = new MeshWorld(2)
  const world = broker.world(0)
  const [a, b] = [world.client(broker.idAt(0, 'a')), world.client(broker.idAt(0, 'b'))]
  for (const client of [a, b]) {
    client.connected({ cleanStart: true })
    client.send(new Subscribe(1, [subscriptionTo('t', { qos: 1 })]))
  }
  broker.settle()
  assert.deepEqual(broker.mesh(1).filtersOf(0), ['t'])
  assert.equal(broker.world(1).metric('subscriptions'), 0)
  for (const client of [a, b]) client.take(Suback)
  a.unsubscribe('t')
  broker.settle()
  assert.deepEqual(broker.mesh(1).filtersOf(0), ['t'])
  b.unsubscribe('t')
  broker.settle()
  assert.deepEqual(broker.mesh(1).filtersOf(0), [])
  assert.equal(broker.world(1).core.router.filterCount, 0)
})

function packetsOf<T extends Packet>(client: TestClient, type: abstract new (...args: never[]) => T): T[] {
  return client.received.filter((packet): packet is T & Packet => packet instanceof type)
}

/** Two Cores: a durable subscriber at the second, who is away, and a publisher at the first. */
function pair(topicFilter: string, isPublisherDurable = false) {
  const broker = new MeshWorld(2)
  const subscriber = broker.world(1).durable(broker.idAt(1, 'subscriber'))
  subscriber.send(new Subscribe(1, [subscriptionTo(topicFilter, { qos: 2 })]))
  broker.settle()
  subscriber.take(Suback)
  subscriber.drop()
  const publisher = isPublisherDurable
    ? broker.world(0).durable(broker.idAt(0, 'publisher'))
    : broker.world(0).client(broker.idAt(0, 'publisher'))
  if (!isPublisherDurable) publisher.connected({ cleanStart: true })
  broker.settle()
  return { broker, publisher }
}

/** Topics and payloads that the durable subscriber gets when it comes back. */
function waitingFor(broker: MeshWorld): string[] {
  const client = broker.world(1).durable(broker.idAt(1, 'subscriber'))
  client.acknowledges = true
  broker.settle()
  return packetsOf(client, Publish).map(({ topic, payload }) => `${topic} ${new TextDecoder().decode(payload)}`)
}

test('PUBACK waits until the message is on the disk of the other Core [MQTT-4.3.2-4]', () => {
  const { broker, publisher } = pair('t')
  publisher.publish({ topic: 't', payload: 'x', qos: 1, packetId: 7 })
  broker.run()
  assert.equal(publisher.received.length, 0)
  broker.settle()
  assert.equal(publisher.take(Puback).packetId, 7)
  broker.crash(1).settle()
  assert.deepEqual(waitingFor(broker), ['t x'])
})

test('a message is kept for a Core that is down, and PUBACK waits for its next process', () => {
  const { broker, publisher } = pair('t')
  broker.loses = ({ to }) => to === 1
  publisher.publish({ topic: 't', payload: '1', qos: 1, packetId: 7 })
  publisher.publish({ topic: 't', payload: '2', qos: 1, packetId: 8 })
  broker.settle()
  assert.equal(publisher.received.length, 0)
  broker.loses = () => false
  broker.crash(1).settle()
  assert.deepEqual([publisher.take(Puback).packetId, publisher.take(Puback).packetId], [7, 8])
  assert.deepEqual(waitingFor(broker), ['t 1', 't 2'])
})

test('a message at QoS 2 leaves when its receipt is on the disk', () => {
  const { broker, publisher } = pair('t', true)
  publisher.publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 })
  broker.run()
  assert.equal(rowsOf(broker.world(1).disk, FORWARDED).length, 0)
  broker.settle()
  assert.equal(rowsOf(broker.world(0).disk, RECEIVED).length, 1)
  assert.equal(rowsOf(broker.world(1).disk, FORWARDED).length, 1)
  assert.equal(publisher.take(Pubrec).packetId, 7)
  publisher.send(new Pubrel(7))
  broker.settle()
  assert.equal(publisher.take(Pubcomp).packetId, 7)
  assert.equal(rowsOf(broker.world(0).disk, RECEIVED).length, 0)
  assert.equal(rowsOf(broker.world(1).disk, FORWARDED).length, 0)
  assert.deepEqual(waitingFor(broker), ['t x'])
})

test('a message at QoS 2 comes once, whichever Core crashes before PUBREC [MQTT-4.3.3-10]', () => {
  for (const crashed of [[0], [1], [0, 1], [1, 0]]) {
    const { broker, publisher } = pair('t', true)
    // The other Core has it, and its acknowledgement is lost.
    broker.loses = ({ from }) => from === 1
    publisher.publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 })
    broker.settle()
    assert.equal(publisher.received.length, 0)
    broker.loses = () => false
    for (const core of crashed) broker.crash(core)
    broker.settle()
    const again = crashed.includes(0) ? broker.world(0).durable(broker.idAt(0, 'publisher')) : publisher
    if (crashed.includes(0)) again.publish({ topic: 't', payload: 'x', qos: 2, packetId: 7, dup: true })
    broker.advance(10_000).settle()
    assert.equal(again.take(Pubrec).packetId, 7, `crash of ${crashed}`)
    assert.deepEqual(waitingFor(broker), ['t x'], `crash of ${crashed}`)
  }
})

test('a message at QoS 2 comes once though its publisher has no session any more when it is sent again', () => {
  const { broker, publisher } = pair('t', true)
  // The other Core has it, and its acknowledgement is lost.
  broker.loses = ({ from }) => from === 1
  publisher.publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 })
  broker.settle()
  broker.world(0).core.removeSession(publisher.clientId)
  broker.settle()
  broker.loses = () => false
  broker.crash(1).settle().settle()
  assert.deepEqual(waitingFor(broker), ['t x'])
  for (const { figures } of broker.meshes) assert.deepEqual([figures.unreleased, figures.seen], [0, 0])
})

test('a number that was released while the other Core was down is forgotten there', () => {
  const { broker, publisher } = pair('t', true)
  publisher.publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 })
  broker.settle()
  publisher.take(Pubrec)
  broker.loses = ({ to }) => to === 1
  publisher.send(new Pubrel(7))
  broker.settle()
  assert.equal(rowsOf(broker.world(1).disk, FORWARDED).length, 1)
  broker.loses = () => false
  broker.crash(1).settle().settle()
  assert.equal(rowsOf(broker.world(1).disk, FORWARDED).length, 0)
})

test('a message from another Core goes to no third one, and not back', () => {
  const broker = new MeshWorld(3)
  const clients = broker.worlds.map((world, i) => {
    const client = world.client(broker.idAt(i, 'c'))
    client.connected({ cleanStart: true })
    client.send(new Subscribe(1, [subscriptionTo('#', { qos: 1 })]))
    return client
  })
  broker.settle()
  for (const client of clients) client.take(Suback)
  clients[0]!.publish({ topic: 't', payload: 'x', qos: 0 })
  broker.settle()
  assert.deepEqual(
    clients.map((client) => packetsOf(client, Publish).length),
    [1, 1, 1],
  )
})

test('a message at QoS 0 for a Core that has not answered is dropped and counted', () => {
  const { broker, publisher } = pair('t')
  broker.loses = ({ from, to }) => from === 0 && to === 1
  broker.crash(1).settle()
  publisher.publish({ topic: 't', payload: 'x', qos: 0 })
  broker.settle()
  const drops = broker.world(0).eventsOf('message.dropped')
  assert.deepEqual(
    drops.map(({ reason, topic }) => [reason, topic]),
    [['offline-qos0', 't']],
  )
})

test('a subscriber that throws elsewhere costs its publisher the connection, and the message comes again', () => {
  const { broker, publisher } = pair('t')
  const session = broker.world(1).core.sessions.get(broker.idAt(1, 'subscriber'))!
  const deliver = session.deliver.bind(session)
  session.deliver = () => {
    session.deliver = deliver
    throw new Error('a fault of ours')
  }
  publisher.publish({ topic: 't', payload: 'x', qos: 1, packetId: 7 })
  broker.settle()
  assert.equal(packetsOf(publisher, Puback).length, 0)
  assert.equal(publisher.isClosed, true)
  const again = broker.world(0).client(broker.idAt(0, 'publisher'))
  again.connected({ cleanStart: true })
  again.publish({ topic: 't', payload: 'x', qos: 1, packetId: 7 })
  broker.settle()
  assert.equal(again.take(Puback).packetId, 7)
  assert.deepEqual(waitingFor(broker), ['t x'])
})

test('a frame that is none, or is for another Core, is counted and changes nothing', () => {
  const { broker } = pair('t')
  broker.mesh(0).onFrame(new Uint8Array(10))
  broker.loses = (carried) => {
    if (carried.to === 1) broker.mesh(0).onFrame(carried.frame)
    return true
  }
  broker.mesh(0).start()
  broker.settle()
  assert.ok(broker.world(0).metric('coreFaults') >= 1)
  assert.deepEqual(broker.mesh(0).filtersOf(1), ['t'])
})

test('Cores that have nothing to say are silent', () => {
  const { broker } = pair('t')
  broker.advance(60_000)
  let frames = 0
  broker.loses = () => ++frames < 0
  broker.advance(600_000)
  assert.equal(frames, 0)
})

const MEBIBYTE = 1024 * 1024

test('publishers are not read while too much waits for a Core that is down', () => {
  const { broker, publisher } = pair('t')
  const payload = new Uint8Array(MEBIBYTE)
  broker.loses = ({ to }) => to === 1
  for (let i = 0; i < 40; i++) publisher.publish({ topic: 't', payload, qos: 1 })
  broker.run()
  assert.equal(publisher.transport.isPaused, true)
  const { waitingBytes } = broker.mesh(0)
  assert.ok(waitingBytes > 32 * MEBIBYTE && waitingBytes < 34 * MEBIBYTE, `${waitingBytes} bytes`)
  broker.loses = () => false
  broker.crash(1)
  for (let i = 0; i < 10; i++) broker.settle()
  assert.equal(publisher.transport.isPaused, false)
  assert.equal(packetsOf(publisher, Puback).length, 40)
})

test('a Core whose disk does not keep up takes no more from others, and all of it later', () => {
  const limits = { queueBytesMax: 100 * MEBIBYTE, anonymousQueueBytesMax: 100 * MEBIBYTE }
  const broker = new MeshWorld(3, { limits })
  const subscriber = broker.world(1).durable(broker.idAt(1, 'subscriber'))
  subscriber.send(new Subscribe(1, [subscriptionTo('t', { qos: 1 })]))
  broker.settle()
  subscriber.drop()
  const publishers = [0, 2].map((core) => broker.world(core).client(broker.idAt(core, 'publisher')))
  for (const publisher of publishers) publisher.connected({ cleanStart: true })
  const count = 25
  for (let i = 0; i < count; i++) {
    const payload = new Uint8Array(MEBIBYTE)
    payload[0] = i
    for (const publisher of publishers) publisher.publish({ topic: 't', payload, qos: 1 })
    broker.run()
  }
  const waiting = broker.world(1).metric('storedBytes')
  assert.ok(waiting > 32 * MEBIBYTE && waiting < 35 * MEBIBYTE, `${waiting} bytes`)
  for (let i = 0; i < 10; i++) broker.settle()
  for (const publisher of publishers) assert.equal(packetsOf(publisher, Puback).length, count)
  assert.equal(broker.world(1).eventsOf('message.dropped').length, 0)
  const again = broker.world(1).client(broker.idAt(1, 'subscriber'))
  again.acknowledges = true
  again.connect(DURABLE)
  for (let i = 0; i < 10; i++) broker.settle()
  assert.equal(packetsOf(again, Publish).length, 2 * count)
})
