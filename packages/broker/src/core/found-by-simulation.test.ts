/**
 * Defects that the simulation has found (packages/testkit/src/sim), each as the shortest case that shows it.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, Puback, Pubcomp, type Publish, Pubrec, Pubrel, ReasonCode, Suback, Subscribe } from '@recado/protocol'
import { Table } from '../ports.ts'
import { SimStore } from '../testing/sim-store.ts'
import { type TestClient, will } from '../testing/test-client.ts'
import { decideLater, World, type WorldOptions } from '../testing/world.ts'

const durable = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 3600 } }
const FAILURE = new Error('the disk is full')

function withDisk(options: WorldOptions = {}, disk: SimStore = new SimStore()) {
  return { disk, world: new World({ store: disk, ...options }) }
}

/** Finishes all writes that are on their way to the disk. */
function settle(world: World, disk: SimStore): void {
  for (let i = 0; i < 10; i++) {
    world.advance(60)
    world.together(() => disk.flush())
  }
}

/** The batch on its way fails, and the next ones do not: who comes back now does not wait for the disk. */
function fail(world: World, disk: SimStore): void {
  disk.failure = FAILURE
  world.together(() => disk.step())
  disk.failure = null
}

function rows(disk: SimStore, table: number): number {
  let count = 0
  disk.scanKeys(table, () => count++)
  return count
}

function subscriber(world: World, disk: SimStore, clientId: string, ...topicFilters: string[]): TestClient {
  const client = world.client(clientId)
  client.connected(durable)
  for (const [i, topicFilter] of topicFilters.entries()) {
    client.send(subscribeTo(client, topicFilter, i + 1))
    settle(world, disk)
    client.takeAll()
  }
  return client
}

function subscribeTo(client: TestClient, topicFilter: string, identifier: number) {
  return new Subscribe(
    client.packetId(),
    [{ topicFilter, qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
    { subscriptionIdentifiers: [identifier] },
  )
}

describe('a session that gets a message twice, by a shared subscription as well', () => {
  test('gets both after a crash, each with its own Subscription Identifier', () => {
    const { world, disk } = withDisk()
    subscriber(world, disk, 'a', 't', '$share/g/t').drop()
    const publisher = world.client('p')
    publisher.connected()
    publisher.publish({ topic: 't', qos: 1 })
    settle(world, disk)
    const again = withDisk({}, disk.crash())
    const a = again.world.client('a')
    a.connected(durable)
    const got = a.takeAll().map((packet) => (packet as Publish).properties.subscriptionIdentifiers)
    assert.deepEqual(got, [[1], [2]])
  })

  test('still gets the second when the first is acknowledged before a crash', () => {
    const { world, disk } = withDisk({ limits: { inflightMax: 1 } })
    subscriber(world, disk, 'a', 't', '$share/g/t').drop()
    const publisher = world.client('p')
    publisher.connected()
    publisher.publish({ topic: 't', qos: 1 })
    settle(world, disk)
    const a = world.client('a')
    a.connected(durable)
    const first = a.takePublish()
    a.send(new Puback(first.packetId))
    settle(world, disk)
    const again = withDisk({}, disk.crash())
    const back = again.world.client('a')
    back.connected(durable)
    assert.deepEqual(back.takePublish().properties.subscriptionIdentifiers, [2])
    back.hasNothing()
  })

  test('a publisher is acknowledged only when both are safe', () => {
    const { world, disk } = withDisk()
    subscriber(world, disk, 'a', 't', '$share/g/t').drop()
    const publisher = world.client('p')
    publisher.connected()
    publisher.publish({ topic: 't', qos: 1 })
    publisher.hasNothing()
    settle(world, disk)
    publisher.take(Puback)
    assert.equal(rows(disk, Table.Messages), 2)
  })
})

test('a delayed Will of a client that was connected at a shutdown is published after the restart', () => {
  const { world, disk } = withDisk()
  const a = world.client('a')
  a.connected({ ...durable, will: will({ topic: 'w', properties: { willDelayIntervalSeconds: 5 } }) })
  settle(world, disk)
  world.core.shutDown(ReasonCode.ServerShuttingDown, 'shutting down')
  world.core.finish(() => {})
  settle(world, disk)
  const again = withDisk({}, disk.crash())
  const watcher = again.world.client('watcher')
  watcher.connected()
  watcher.subscribe('w')
  again.world.advance(6_000)
  assert.equal(watcher.takePublish().topic, 'w')
})

test('a message of two sessions that is written for one of them after a failure leaves no row behind', () => {
  const { world, disk } = withDisk()
  const a = subscriber(world, disk, 'a', 't')
  const b = subscriber(world, disk, 'b', 't')
  b.drop()
  const publisher = world.client('p')
  publisher.connected()
  disk.failure = FAILURE
  publisher.publish({ topic: 't', qos: 1 })
  world.together(() => disk.step())
  a.send(new Puback(a.takePublish().packetId))
  disk.failure = null
  world.advance(1_100)
  settle(world, disk)
  const back = world.client('b')
  back.connected(durable)
  back.send(new Puback(back.takePublish().packetId))
  settle(world, disk)
  assert.equal(rows(disk, Table.Messages), 0)
})

test('packet ids of a publisher whose session has ended are not written any more', () => {
  const { world, disk } = withDisk()
  subscriber(world, disk, 'a', 't').drop()
  const publisher = subscriber(world, disk, 'p')
  disk.failure = FAILURE
  publisher.publish({ topic: 't', qos: 2 })
  world.together(() => disk.step())
  publisher.disconnect(0, { sessionExpiryIntervalSeconds: 0 })
  disk.failure = null
  world.advance(1_100)
  settle(world, disk)
  assert.equal(rows(disk, Table.Received), 0)
})

describe('a QoS 2 message that was not accepted is new when it comes again', () => {
  test('when the connection was lost while its permission was awaited', () => {
    const { authorizer, decisions } = decideLater()
    const world = new World({ authorizer })
    const a = world.client('a')
    a.connected()
    a.subscribe('t', { qos: 2 })
    const publisher = world.client('p')
    publisher.connected(durable)
    publisher.publish({ topic: 't', qos: 2, packetId: 7 })
    publisher.drop()
    publisher.connected(durable)
    publisher.publish({ topic: 't', qos: 2, packetId: 7, dup: true })
    for (const decide of decisions) world.together(() => decide(ReasonCode.Success))
    publisher.take(Pubrec)
    assert.equal(a.takePublish().topic, 't')
    a.hasNothing()
  })

  test('when the PUBREC that refuses it has not left', () => {
    const { world, disk } = withDisk({ limits: { queueMessagesMax: 1 } })
    const a = subscriber(world, disk, 'a', 'full')
    subscriber(world, disk, 'b', 'other').drop()
    a.drop()
    const publisher = world.client('p')
    publisher.connected(durable)
    publisher.publish({ topic: 'full', qos: 1 })
    settle(world, disk)
    publisher.take(Puback)
    // An acknowledgement before it in the line waits for the disk.
    publisher.publish({ topic: 'other', qos: 1 })
    publisher.publish({ topic: 'full', qos: 2, packetId: 7 })
    publisher.hasNothing()
    publisher.drop()
    a.connected(durable)
    a.send(new Puback(a.takePublish().packetId))
    publisher.connected(durable)
    publisher.publish({ topic: 'full', qos: 2, packetId: 7, dup: true })
    settle(world, disk)
    assert.equal(a.takePublish().topic, 'full')
  })

  test('when a PUBREC has said that it could not be retained: then nobody has got it', () => {
    const { world, disk } = withDisk({ limits: { retainedMessagesMax: 1 } })
    const a = subscriber(world, disk, 'a', 't')
    const publisher = world.client('p')
    publisher.connected(durable)
    publisher.publish({ topic: 'first', payload: 'x', retain: true })
    publisher.publish({ topic: 't', payload: 'one', qos: 2, retain: true, packetId: 7 })
    settle(world, disk)
    assert.equal(publisher.take(Pubrec).reasonCode, ReasonCode.QuotaExceeded)
    a.hasNothing()
    assert.equal(rows(disk, Table.Received), 0)
  })
})

test('a QoS 2 message that comes again is acknowledged when what it made retained is on disk, though nobody waits for it', () => {
  const { world, disk } = withDisk()
  const publisher = subscriber(world, disk, 'p')
  publisher.publish({ topic: 't', payload: 'x', qos: 2, retain: true, packetId: 7 })
  publisher.drop()
  fail(world, disk)
  publisher.connected(durable)
  publisher.publish({ topic: 't', payload: 'x', qos: 2, retain: true, packetId: 7, dup: true })
  publisher.hasNothing()
  world.advance(1_000)
  settle(world, disk)
  publisher.take(Pubrec)
})

test('a QoS 2 message that comes again on the same connection is not acknowledged before it is on disk', () => {
  const { world, disk } = withDisk()
  const client = subscriber(world, disk, 'a', 't')
  client.publish({ topic: 't', payload: 'x', qos: 2, packetId: 7 })
  client.publish({ topic: 't', payload: 'x', qos: 2, packetId: 7, dup: true })
  client.hasNothing()
  settle(world, disk)
  const pubrecs = client.takeAll().filter((packet) => packet instanceof Pubrec)
  assert.deepEqual(
    pubrecs.map(({ packetId }) => packetId),
    [7, 7],
  )
})

test('a QoS 2 message that was retained is known after a crash too: it does not replace what has been retained since', () => {
  const { world, disk } = withDisk()
  const publisher = subscriber(world, disk, 'p')
  publisher.publish({ topic: 't', payload: 'old', qos: 2, retain: true, packetId: 7 })
  settle(world, disk)
  publisher.take(Pubrec)
  subscriber(world, disk, 'other').publish({ topic: 't', payload: 'new', qos: 1, retain: true })
  settle(world, disk)
  const again = withDisk({}, disk.crash())
  const back = again.world.client('p')
  back.connected(durable)
  back.publish({ topic: 't', payload: 'old', qos: 2, retain: true, packetId: 7, dup: true })
  settle(again.world, again.disk)
  back.take(Pubrec)
  const reader = again.world.client('reader')
  reader.connected()
  reader.subscribe('t')
  assert.deepEqual(reader.takePayloads(), ['new'])
  back.send(new Pubrel(7))
  settle(again.world, again.disk)
  assert.equal(rows(again.disk, Table.Received), 0)
})

test('PUBCOMP to a PUBREL that comes again waits for the disk as well: a crash would make the next message a duplicate', () => {
  const { world, disk } = withDisk()
  subscriber(world, disk, 'a', 't').drop()
  const publisher = subscriber(world, disk, 'p')
  publisher.publish({ topic: 't', qos: 2, packetId: 7 })
  settle(world, disk)
  publisher.take(Pubrec)
  publisher.send(new Pubrel(7))
  publisher.drop()
  fail(world, disk)
  publisher.connected(durable)
  publisher.send(new Pubrel(7))
  publisher.hasNothing()
  world.advance(1_000)
  settle(world, disk)
  publisher.take(Pubcomp)
  publisher.send(new Pubrel(7))
  publisher.take(Pubcomp)
})

test('a message that is too large with a Topic Alias is sent without one', () => {
  const world = new World()
  const a = world.client('a')
  // A PUBLISH at QoS 0 to `t` with this payload has 2 + 3 + 1 + 30 bytes; a Topic Alias has 3 more.
  a.connected({ properties: { maximumPacketSize: 36, topicAliasMaximum: 1 } })
  a.subscribe('t')
  const publisher = world.client('p')
  publisher.connected()
  publisher.publish({ topic: 't', payload: 'x'.repeat(30) })
  publisher.publish({ topic: 't', payload: 'x'.repeat(31) })
  assert.deepEqual(a.takePayloads(), ['x'.repeat(30)])
})

test('a full queue refuses nothing that would not wait in it: QoS 0, and what No Local keeps from its publisher', () => {
  const world = new World({ limits: { queueMessagesMax: 0 } })
  const away = world.client('away')
  away.connected(durable)
  away.subscribe('t', { qos: 0 })
  away.drop()
  const publisher = world.client('p')
  publisher.connected({ properties: { receiveMaximum: 1 } })
  publisher.subscribe('t', { qos: 1, noLocal: true })
  publisher.subscribe('busy', { qos: 1 })
  publisher.publish({ topic: 'busy', qos: 1 })
  publisher.takeAll()
  publisher.publish({ topic: 't', qos: 1 })
  assert.ok(publisher.take(Puback).reasonCode < 0x80)
})

test('a slow reader that is taken over still gets what was sent to it, and the DISCONNECT that says why', () => {
  const world = new World()
  const slow = world.client('a')
  slow.connected()
  slow.subscribe('t')
  const { transport } = slow
  slow.block()
  const publisher = world.client('p')
  publisher.connected()
  publisher.publish({ topic: 't', payload: 'one' })
  publisher.publish({ topic: 't', payload: 'two' })
  const again = world.client('a')
  again.connected()
  slow.drain()
  assert.deepEqual(slow.takePayloads(), ['one', 'two'])
  slow.isDisconnectedWith(ReasonCode.SessionTakenOver)
  assert.ok(transport.isEnded)
})

test('QoS 0 does not overtake QoS 0 that has waited [MQTT-4.6.0-6]', () => {
  const world = new World({ queueQoS0: true })
  const a = world.client('a')
  a.connected(durable)
  a.subscribe('t', { qos: 0 })
  a.subscribe('u', { qos: 1 })
  a.drop()
  const publisher = world.client('p')
  publisher.connected()
  publisher.publish({ topic: 'u', payload: '1', qos: 1 })
  publisher.publish({ topic: 'u', payload: '2', qos: 1 })
  publisher.publish({ topic: 't', payload: '3' })
  a.connected({ ...durable, properties: { ...durable.properties, receiveMaximum: 1 } })
  publisher.publish({ topic: 't', payload: '4' })
  a.send(new Puback(1))
  a.send(new Puback(2))
  assert.deepEqual(a.takePayloads(), ['1', '2', '3', '4'])
})

test('what has expired is not given to another member of a Shared Subscription [MQTT-3.3.2-5]', () => {
  const world = new World()
  const a = world.client('a')
  a.connected(durable)
  a.subscribe('$share/g/t', { qos: 1 })
  a.drop()
  const publisher = world.client('p')
  publisher.connected()
  publisher.publish({ topic: 't', payload: 'short', qos: 1, properties: { messageExpiryIntervalSeconds: 1 } })
  publisher.publish({ topic: 't', payload: 'long', qos: 1, properties: { messageExpiryIntervalSeconds: 60 } })
  const b = world.client('b')
  b.connected()
  b.subscribe('$share/g/t', { qos: 1 })
  world.advance(2_000)
  a.connected({ cleanStart: true })
  assert.deepEqual(b.takePayloads(), ['long'])
})

describe('CONNACK of a Clean Start', () => {
  function withOldSession() {
    const { world, disk } = withDisk()
    subscriber(world, disk, 'a', 't').drop()
    settle(world, disk)
    return { world, disk }
  }

  test('waits until the end of the old session is on disk', () => {
    const { world, disk } = withOldSession()
    const a = world.client('a')
    a.connect()
    assert.deepEqual(a.takeAll(), [])
    settle(world, disk)
    assert.equal(a.take(Connack).sessionPresent, false)
    const { world: after } = withDisk({}, disk.crash())
    assert.equal(after.client('a').connected(durable).sessionPresent, false)
  })

  test('waits for nothing where there is no session on disk', () => {
    const { world } = withOldSession()
    world.client('b').connected(durable)
    const ofMemory = world.client('c')
    ofMemory.connected()
    world.client('c').connected()
  })

  test('gives way to one that comes later, which waits as well', () => {
    const { world, disk } = withOldSession()
    const first = world.client('a')
    first.connect()
    const second = world.client('a')
    second.connect(durable)
    assert.equal(first.take(Connack).reasonCode >= 0x80, true)
    assert.deepEqual(second.takeAll(), [])
    settle(world, disk)
    assert.equal(second.take(Connack).sessionPresent, false)
    assert.equal(second.isClosed, false)
  })

  test('waits for what it promises, whoever has waited before and is gone', () => {
    const { world, disk } = withOldSession()
    const first = world.client('a')
    first.connect()
    const second = world.client('a')
    second.connect(durable)
    second.drop()
    const third = world.client('a')
    third.connect(durable)
    assert.deepEqual(third.takeAll(), [])
    world.together(() => disk.step())
    // That the old session is gone is safe, and not yet that there is a new one.
    assert.deepEqual(third.takeAll(), [])
    world.together(() => disk.step())
    assert.equal(third.take(Connack).sessionPresent, false)
  })

  test('does not wait for a disk that fails', () => {
    const { world, disk } = withOldSession()
    const publisher = world.client('p')
    publisher.connected(durable)
    disk.failure = FAILURE
    publisher.publish({ topic: 't', qos: 1, retain: true })
    settle(world, disk)
    world.client('a').connected()
  })
})

describe('the clock of the machine is set back while the broker is down', () => {
  const HOUR_MS = 3_600_000
  const START_MS = 1_000 * HOUR_MS

  /** Restarts the broker an hour earlier while `a` is away, has a Will that waits, and a message that expires. */
  function restarted(wait: (world: World) => void = () => {}) {
    const { world, disk } = withDisk({ nowMs: START_MS })
    const a = world.client('a')
    const properties = { sessionExpiryIntervalSeconds: 60 }
    const delayed = will({ topic: 'w', properties: { willDelayIntervalSeconds: 30 } })
    a.connected({ cleanStart: false, properties, will: delayed })
    a.send(subscribeTo(a, 't', 1))
    settle(world, disk)
    a.drop()
    const publisher = world.client('p')
    publisher.connected()
    publisher.publish({ topic: 't', qos: 1, properties: { messageExpiryIntervalSeconds: 40 } })
    settle(world, disk)
    wait(world)
    world.core.shutDown(ReasonCode.ServerShuttingDown, 'shutting down')
    world.core.finish(() => {})
    settle(world, disk)
    return withDisk({ nowMs: START_MS - HOUR_MS }, disk.crash()).world
  }

  test('a session lives no longer than its interval', () => {
    const world = restarted()
    world.advance(57_000)
    assert.equal(world.core.sessions.size, 1)
    world.advance(3_000)
    assert.equal(world.core.sessions.size, 0)
  })

  test('what has passed before an orderly end has passed', () => {
    const world = restarted((before) => before.advance(50_000))
    world.advance(7_000)
    assert.equal(world.core.sessions.size, 1)
    world.advance(3_000)
    assert.equal(world.core.sessions.size, 0)
  })

  test('a Will waits no longer than its delay', () => {
    const world = restarted()
    const watcher = world.client('watcher')
    watcher.connected()
    watcher.subscribe('w')
    world.advance(31_000)
    assert.equal(watcher.takePublish().topic, 'w')
  })

  test('a message has no more time than it had, and expires', () => {
    const world = restarted()
    const a = world.client('a')
    a.connected(durable)
    const left = a.takePublish().properties.messageExpiryIntervalSeconds ?? 0
    assert.ok(left > 35 && left <= 40, `${left} s are left`)
    const later = restarted()
    later.advance(41_000)
    const b = later.client('a')
    b.connected(durable)
    b.hasNothing()
  })
})

test('what a Shared Subscription has acknowledged goes to another member also when memory is short', () => {
  let usedBytes = 0
  const limitBytes = 64 * 1024 * 1024
  const world = new World({
    limits: { memoryBytesMax: limitBytes },
    processMemory: { usedBytes: () => usedBytes, collect: () => 0 },
  })
  for (const clientId of ['a', 'b']) {
    const client = world.client(clientId)
    client.connected(durable)
    client.subscribe('$share/g/t', { qos: 1 })
    client.drop()
  }
  const publisher = world.client('p')
  publisher.connected()
  for (const payload of ['1', '2']) publisher.publish({ topic: 't', payload, qos: 1 })
  usedBytes = 0.95 * limitBytes
  world.advance(1_000)
  assert.equal(world.core.metrics.memoryLevel, 2)
  world.core.removeSession('a')
  world.run()
  usedBytes = 0
  world.advance(1_000)
  const b = world.client('b')
  b.connected(durable)
  assert.deepEqual(b.takePayloads().sort(), ['1', '2'])
})

describe('a QoS 2 message that another member of a Shared Subscription inherits', () => {
  /** `p` publishes to a member whose session ends with its connection, and has PUBREC; then the member goes, and `heir` has the message. */
  function inherited() {
    const { world, disk } = withDisk()
    const heir = subscriber(world, disk, 'heir', '$share/g/t')
    heir.drop()
    const member = world.client('member')
    member.connected()
    member.subscribe('$share/g/t', { qos: 1 })
    const publisher = world.client('p')
    publisher.connected(durable)
    settle(world, disk)
    member.takeAll()
    publisher.publish({ topic: 't', qos: 2, packetId: 7 })
    settle(world, disk)
    publisher.take(Pubrec)
    assert.equal(member.takePublish().topic, 't')
    return { world, disk, member, publisher }
  }

  test('is known after a crash, and does not come again', () => {
    const { world, disk, member } = inherited()
    member.drop()
    settle(world, disk)
    const again = withDisk({}, disk.crash())
    const publisher = again.world.client('p')
    publisher.connected(durable)
    publisher.publish({ topic: 't', qos: 2, packetId: 7, dup: true })
    settle(again.world, again.disk)
    publisher.take(Pubrec)
    const heir = again.world.client('heir')
    heir.connected(durable)
    // Its packet id must be on disk before it leaves.
    settle(again.world, again.disk)
    heir.takePublish()
    heir.hasNothing()
  })

  test('leaves no packet id behind when PUBREL came before', () => {
    const { world, disk, member, publisher } = inherited()
    publisher.send(new Pubrel(7))
    member.drop()
    settle(world, disk)
    publisher.take(Pubcomp)
    assert.equal(rows(disk, Table.Received), 0)
    assert.equal(rows(disk, Table.Messages), 1)
  })

  test('leaves no packet id behind when PUBREL comes before its row is written', () => {
    const { world, disk, member, publisher } = inherited()
    world.together(() => {
      member.drop()
      publisher.send(new Pubrel(7))
    })
    settle(world, disk)
    publisher.take(Pubcomp)
    assert.equal(rows(disk, Table.Received), 0)
    assert.equal(rows(disk, Table.Messages), 1)
  })
})

test('SUBACK leaves once when the retained messages behind it drive a message of the same client out of its queue (seed 8090623)', () => {
  const { world, disk } = withDisk({ overflow: 'drop-oldest', queueQoS0: true, limits: { queueMessagesMax: 1 } })
  const publisher = world.client('p')
  publisher.connected()
  publisher.publish({ topic: 'r', payload: 'retained', retain: true })
  const a = world.client('a')
  a.connected({ ...durable, properties: { ...durable.properties, receiveMaximum: 1 } })
  a.send(subscribeTo(a, 't', 1))
  a.publish({ topic: 't', qos: 1, packetId: 7 })
  settle(world, disk)
  a.takeAll()
  a.send(subscribeTo(a, 'r', 2))
  // It waits in the queue, and its PUBACK behind SUBACK for the disk.
  a.publish({ topic: 't', qos: 1, packetId: 8 })
  settle(world, disk)
  a.take(Suback)
  a.take(Puback)
  assert.equal(a.takePublish().topic, 'r')
  a.hasNothing()
})

test('a new session that is only being opened when the disk fails is none that its next CONNECT could have (seed 400849)', () => {
  const { world, disk } = withDisk()
  const first = world.client('c')
  first.connect(durable)
  first.hasNothing()
  fail(world, disk)
  const second = world.client('c')
  second.connect(durable)
  assert.equal(second.take(Connack).reasonCode, ReasonCode.QuotaExceeded)
})

test('a client whose login expires while its CONNACK waits for the disk is not let in (seed 907459)', () => {
  const expiresAtMs = new World().clock.nowMs() + 1_000
  const { world, disk } = withDisk({
    authenticator: { authenticate: (_request, decide) => decide({ reasonCode: ReasonCode.Success, expiresAtMs }) },
  })
  const client = world.client('c')
  client.connect(durable)
  world.advance(1_500)
  client.hasNothing()
  settle(world, disk)
  assert.equal(client.take(Connack).reasonCode, ReasonCode.NotAuthorized)
  assert.ok(client.isClosed)
  settle(world, disk)
  assert.equal(world.core.sessions.size, 0)
  assert.equal(rows(disk, Table.Sessions), 0)
})

test('QoS 0 does not overtake what waited at QoS 0 before a restart that keeps none waiting any more (seed 1100157)', () => {
  const before = withDisk({ queueQoS0: true })
  const narrow = { ...durable, properties: { ...durable.properties, receiveMaximum: 1 } }
  const publisher = before.world.client('p')
  publisher.connected()
  const reader = before.world.client('c')
  reader.connect(narrow)
  settle(before.world, before.disk)
  reader.send(subscribeTo(reader, 't', 1))
  settle(before.world, before.disk)
  publisher.publish({ topic: 't', payload: 'in flight', qos: 1, packetId: 1 })
  publisher.publish({ topic: 't', payload: 'waiting', qos: 1, packetId: 2 })
  publisher.publish({ topic: 't', payload: 'first' })
  settle(before.world, before.disk)
  const { world, disk } = withDisk({ queueQoS0: false }, before.disk.crash('lost'))
  const heir = world.client('c')
  heir.connect(narrow)
  settle(world, disk)
  heir.take(Connack)
  const { packetId } = heir.takePublish()
  const other = world.client('p')
  other.connected()
  other.publish({ topic: 't', payload: 'second' })
  heir.hasNothing()
  heir.send(new Puback(packetId))
  // The disk knows first that they may have left.
  settle(world, disk)
  assert.deepEqual(heir.takePayloads(), ['waiting', 'first', 'second'])
})
