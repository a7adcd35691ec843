/** The session of a bridge at its broker, on a simulated disk; what it says to the remote broker is kept by the test. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connack, Disconnect, type Properties, Publish, type QoS, ReasonCode } from '@recado/protocol'
import { marksOf } from './core/base/bridge-path.ts'
import type { DropReason } from './ports.ts'
import { type RelayedMessage, type RelayPeer, RelaySession } from './relay.ts'
import { DiskWorld, DURABLE, type TestClient } from './testing/mod.ts'

/** Remote broker that keeps what it is sent. */
class Peer implements RelayPeer {
  readonly sent: string[] = []
  isReading = true
  ended = ''

  makeRoom(): boolean {
    return this.isReading
  }

  publish(message: RelayedMessage, qos: QoS, _retain: boolean, dup: boolean, packetId: number): DropReason | null {
    this.sent.push(`${message.topic} q${qos} ${packetId}${dup ? ' dup' : ''}`)
    return null
  }

  sendPubrel(packetId: number): void {
    this.sent.push(`pubrel ${packetId}`)
  }

  sendAck(packetType: 4 | 5 | 7, packetId: number): void {
    this.sent.push(`ack${packetType} ${packetId}`)
  }

  flush(): void {}
  pause(): void {}
  resume(): void {}

  end(why: string): void {
    this.ended = why
  }

  take(): string[] {
    return this.sent.splice(0)
  }
}

const OPTIONS = {
  clientId: 'local.b',
  username: undefined,
  cleanStart: false,
  queueQoS0: false,
  subscriptions: [{ topicFilter: 'a/#', qos: 2 as QoS }],
}

function opened(world: DiskWorld): RelaySession {
  const relay = new RelaySession(world.core, OPTIONS)
  relay.open()
  world.settle()
  return relay
}

function attached(world: DiskWorld, relay: RelaySession, isFarNew = false): Peer {
  const peer = new Peer()
  relay.openSession()
  relay.attach(peer, 'hub:1883', 20, isFarNew)
  world.settle()
  return peer
}

const incoming = (qos: QoS, packetId: number): Publish =>
  Publish.of({ topic: 'far/b', payload: Uint8Array.of(1), qos, packetId })

test('what is in flight, what waits and what was received survives a crash, and the note about the remote broker too', () => {
  const world = new DiskWorld()
  const client = world.client('c')
  world.connected(client, DURABLE)
  world.subscribed(client, 'b', { qos: 2 })
  client.disconnect()
  const relay = opened(world)
  relay.note = 'known'
  const peer = attached(world, relay)
  world.publish({ topic: 'a/1', payload: 'x', qos: 1 })
  world.publish({ topic: 'a/2', payload: 'x', qos: 2 })
  world.settle()
  assert.deepEqual(peer.take(), ['a/1 q1 1', 'a/2 q2 2'])
  relay.handlePubrec(2, ReasonCode.Success)
  relay.handlePublish(incoming(2, 7), 'b')
  world.settle()
  assert.deepEqual(peer.take().sort(), ['ack5 7', 'pubrel 2'])
  relay.detach('lost')
  world.publish({ topic: 'a/3', payload: 'x', qos: 1 })
  world.settle()

  const after = world.crash()
  const again = opened(after)
  assert.equal(again.note, 'known')
  assert.equal(again.openSession(), true)
  const back = attached(after, again)
  const [resent, pubrel, next, ...others] = back.take()
  assert.deepEqual([resent, pubrel, others], ['a/1 q1 1 dup', 'pubrel 2', []])
  assert.match(next!, /^a\/3 q1 \d+$/)
  const { messagesReceived, duplicatesReceived } = after.core.metrics
  again.handlePublish(incoming(2, 7), 'b')
  after.settle()
  assert.deepEqual(back.take(), ['ack5 7'])
  assert.equal(after.core.metrics.duplicatesReceived, duplicatesReceived + 1)
  assert.equal(after.core.metrics.messagesReceived, messagesReceived + 1)
})

test('PUBACK and PUBREC leave when the message is on the disk, where a durable session waits for it', () => {
  const world = new DiskWorld()
  const client = world.client('c')
  world.connected(client, DURABLE)
  world.subscribed(client, 'b', { qos: 2 })
  client.disconnect()
  world.settle()
  const relay = opened(world)
  const peer = attached(world, relay)
  world.together(() => relay.handlePublish(incoming(1, 5), 'b'))
  world.run()
  assert.deepEqual(peer.take(), [])
  world.settle()
  assert.deepEqual(peer.take(), ['ack4 5'])
})

test('a remote broker with a new session begins with its identifiers anew', () => {
  const world = new DiskWorld()
  const relay = opened(world)
  let peer = attached(world, relay)
  relay.handlePublish(incoming(2, 7), 'b')
  world.settle()
  relay.detach('lost')
  peer = attached(world, relay, true)
  const before = world.core.metrics.duplicatesReceived
  relay.handlePublish(incoming(2, 7), 'b')
  world.settle()
  assert.deepEqual(peer.take(), ['ack5 7'])
  assert.equal(world.core.metrics.duplicatesReceived, before)
})

test('no client can have the Client Identifier of a relay, also while it is away', () => {
  const world = new DiskWorld()
  const relay = opened(world)
  const thief = world.client('local.b')
  thief.connect({ cleanStart: false })
  world.settle()
  assert.equal(thief.take(Connack).reasonCode, ReasonCode.ClientIdentifierNotValid)
  relay.close(true)
  const next = world.client('local.b')
  next.connect()
  world.settle()
  assert.equal(next.take(Connack).reasonCode, ReasonCode.Success)
})

test('its own messages do not come back, and identifiers of its own packets are not given to messages', () => {
  const world = new DiskWorld()
  const relay = opened(world)
  const peer = attached(world, relay)
  const owner = {}
  assert.equal(relay.takePacketId(owner), 1)
  relay.handlePublish(incoming(1, 9), 'a/mine')
  world.publish({ topic: 'a/theirs', payload: 'x', qos: 1 })
  world.settle()
  assert.deepEqual(peer.take(), ['ack4 9', 'a/theirs q1 2'])
  assert.equal(relay.freePacketId(2), null)
  assert.equal(relay.freePacketId(1), owner)
})

test('a message that bridges have brought back to this broker is acknowledged and not taken, also from a client', () => {
  const world = new DiskWorld()
  world.core.context.identity = 'me'
  const client = world.client('c')
  client.connected()
  const properties = (path: string): object => ({ properties: { userProperties: [['recado-path', path]] } })
  client.publish({ topic: 't', payload: 'x', qos: 1, ...properties('them,me') })
  client.publish({ topic: 't', payload: 'x', qos: 1, ...properties('them,meme') })
  world.settle()
  assert.equal(world.metric('dropped.loop'), 1)
})

/** Options of a client that has copied the property of another message, with what it publishes. */
function copied(path: string, topic: string, payload: string): { properties: Properties } {
  const value = `${path}:${marksOf(topic, Buffer.from(payload))}`
  return { properties: { userProperties: [['recado-path', value] as [string, string]] } }
}

/** Client that has subscribed to everything, as a bridge does or as an application does. */
function reader(world: DiskWorld, id: string, retainAsPublished: boolean): TestClient {
  const client = world.client(id)
  client.connected()
  client.subscribe('#', { retainAsPublished })
  return client
}

test('a message with the path of another one is new: a client has answered with its properties', () => {
  const world = new DiskWorld()
  world.core.context.identity = 'me'
  const witness = reader(world, 'w', false)
  const client = world.client('c')
  client.connected()
  const brought = copied('me,them', 'lamp/set', 'on')
  client.publish({ topic: 'lamp/set', payload: 'on', ...brought })
  client.publish({ topic: 'prefix/lamp/set', payload: 'on', ...brought })
  assert.equal(world.metric('dropped.loop'), 2)
  client.publish({ topic: 'lamp/set', payload: 'off', ...brought })
  const first = witness.take(Publish)
  assert.deepEqual(first.properties, copied('*', 'lamp/set', 'off').properties)
  client.publish({ topic: 'lamp/state', payload: 'on', ...brought })
  const second = witness.take(Publish)
  client.publish({ topic: 'lamp/set', payload: 'on', properties: second.properties })
  assert.deepEqual(witness.take(Publish).properties, copied('*,*', 'lamp/set', 'on').properties)
  assert.equal(world.metric('dropped.loop'), 2)
})

test('a client that reads as an application does is no bridge: the same payload to another topic is its own', () => {
  const world = new DiskWorld()
  world.core.context.identity = 'me'
  const application = reader(world, 'a', false)
  const bridge = reader(world, 'b', true)
  const brought = copied('me,them', 'command/lamp', 'on')
  bridge.publish({ topic: 'state/lamp', payload: 'on', ...brought })
  application.publish({ topic: 'command/lamp', payload: 'on', ...brought })
  assert.equal(world.metric('dropped.loop'), 2)
  application.publish({ topic: 'state/lamp', payload: 'on', ...brought })
  assert.equal(world.metric('dropped.loop'), 2)
  assert.equal(bridge.take(Publish).topic, 'state/lamp')
})

test('a bridge that says who it is tells the path of its messages, whatever they were when it was written', () => {
  const world = new DiskWorld()
  const bridge = world.client('bridge')
  bridge.connect({ properties: { userProperties: [['recado-path', 'them']] } })
  bridge.take(Connack)
  const { identity } = world.core.context
  bridge.publish({ topic: 't', payload: 'x', ...copied(`${identity},them`, 'elsewhere', 'y') })
  assert.equal(world.metric('dropped.loop'), 1)
})

test('a message that is published anew with the property copied, over and over, comes to an end', () => {
  const world = new DiskWorld()
  const witness = reader(world, 'w', false)
  const client = world.client('c')
  client.connected()
  let { properties } = copied('them', 't', 'x')
  let times = 0
  for (;;) {
    client.publish({ topic: 't', payload: `${times}`, properties })
    const [heard] = witness.takeAll().filter((packet) => packet instanceof Publish)
    if (heard === undefined) break
    times++
    ;({ properties } = heard)
  }
  assert.equal(times, 8)
  assert.equal(world.metric('dropped.loop'), 1)
})

test('a Will has no path: its client has copied the property of a message', () => {
  const world = new DiskWorld()
  const witness = reader(world, 'w', false)
  const client = world.client('c')
  const userProperties: [string, string][] = [
    ['recado-path', 'them'],
    ['unit', 'K'],
  ]
  client.connected({
    will: { topic: 't', payload: new Uint8Array(1), qos: 0, retain: false, properties: { userProperties } },
  })
  client.drop()
  world.settle()
  assert.deepEqual(witness.take(Publish).properties.userProperties, [['unit', 'K']])
})

test('the identity of a broker outlives its process, and the session of the bridge that has brought it', () => {
  const world = new DiskWorld()
  const relay = opened(world)
  relay.identity = 'me'
  world.settle()
  world.core.removeSession('local.b')
  world.settle()
  assert.equal(opened(world.crash()).identity, 'me')
})

test('a bridge that says who it is in CONNECT is told who this is, also by a broker without bridges', () => {
  const world = new DiskWorld()
  const bridge = world.client('bridge')
  bridge.connect({ properties: { userProperties: [['recado-path', 'them']] } })
  const { userProperties } = bridge.take(Connack).properties
  const identity = world.core.context.identity!
  assert.match(identity, /^[0-9a-f]{16}$/)
  assert.deepEqual(userProperties, [['recado-path', identity]])
  const other = world.client('other')
  other.connect()
  assert.equal(other.take(Connack).properties.userProperties, undefined)
  world.settle()
  assert.equal(world.crash().core.context.identity, identity)
})

test('a bridge that is owed an acknowledgement when the store begins to fail is ended instead of refused', () => {
  const world = new DiskWorld()
  const s = world.client('s')
  world.connected(s, DURABLE)
  world.subscribed(s, 't', { qos: 1 })
  s.disconnect()
  const bridge = world.client('bridge')
  bridge.connect({ properties: { userProperties: [['recado-path', 'them']] } })
  bridge.take(Connack)
  world.disk.failure = new Error('full')
  bridge.publish({ topic: 't', payload: 'x', qos: 1, properties: { userProperties: [['recado-path', 'them']] } })
  world.settle()
  assert.equal(bridge.take(Disconnect).reasonCode, ReasonCode.QuotaExceeded)
})

test('what was deleted at QoS 0 while the remote broker was away is deleted there, with the path of the deletion', () => {
  const world = new DiskWorld()
  const relay = new RelaySession(world.core, { ...OPTIONS, subscriptions: [{ topicFilter: 'a/#', qos: 0 }] })
  relay.open()
  world.settle()
  attached(world, relay)
  world.publish({ topic: 'a/1', payload: 'x', retain: true })
  world.settle()
  relay.detach('lost')
  const userProperties: [string, string][] = [['recado-path', 'origin']]
  world.publish({ topic: 'a/1', payload: '', retain: true, properties: { userProperties } })
  world.settle()
  const sent: string[] = []
  class Reader extends Peer {
    override publish(message: RelayedMessage): DropReason | null {
      sent.push(`${message.topic} ${message.payloadLength} ${JSON.stringify(message.properties)}`)
      return null
    }
  }
  relay.openSession()
  relay.attach(new Reader(), 'hub:1883', 20, false)
  relay.sendRetained(new Set(['a/#']), false, new Set())
  world.settle()
  assert.deepEqual(sent, [`a/1 0 ${JSON.stringify({ userProperties })}`])
})

test('a connection is ended while the store fails, so that its messages come again', () => {
  const world = new DiskWorld()
  const relay = opened(world)
  const peer = attached(world, relay)
  world.disk.failure = new Error('full')
  world.publish({ topic: 'a/1', payload: 'x', qos: 1, retain: true })
  world.settle()
  relay.handlePublish(incoming(1, 9), 'b')
  assert.equal(peer.ended, 'the store is failing')
  assert.equal(relay.isActive, false)
})

test('MQTT 3.1: an identifier that is held is that of an old message with DUP, and of a new one without', () => {
  const world = new DiskWorld()
  const relay = opened(world)
  attached(world, relay)
  for (const packetId of [7, 8]) relay.handlePublish(incoming(2, packetId), 'b')
  world.settle()
  relay.detach('lost')
  const peer = new Peer()
  relay.attach(peer, 'hub:1883', 20, false, true)
  const { duplicatesReceived } = world.core.metrics
  const again = incoming(2, 7)
  again.dup = true
  relay.handlePublish(again, 'b')
  relay.handlePublish(incoming(2, 8), 'b')
  world.settle()
  assert.equal(world.core.metrics.duplicatesReceived, duplicatesReceived + 1)
  assert.deepEqual(peer.take(), ['ack5 7', 'ack5 8'])
})
