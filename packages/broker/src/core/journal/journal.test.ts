/**
 * Acknowledged messages are kept: the journal on a disk that forgets everything that was not flushed.
 *
 * `Disk` does nothing by itself: a test decides when a batch is done, when it fails, and when the power goes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Connack,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  Suback,
  Subscribe,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import { type Change, MemoryStore } from '../../adapters/memory-store.ts'
import { subscriptionTo, type TestClient, will } from '../../testing/test-client.ts'
import { World, type WorldOptions } from '../../testing/world.ts'

class Disk extends MemoryStore {
  readonly #under: { changes: readonly Change[]; done: (error: Error | null) => void }[] = []
  /** Rows written since the beginning, removals not counted. */
  puts = 0

  override get isPersistent(): boolean {
    return true
  }

  protected override commit(changes: readonly Change[], done: (error: Error | null) => void): void {
    this.#under.push({ changes, done })
  }

  get isBusy(): boolean {
    return this.#under.length > 0
  }

  /** The batch under way is safe. */
  flush(): void {
    const batch = this.#under.shift()
    assert.ok(batch !== undefined, 'no batch is under way')
    this.puts += batch.changes.filter(({ value }) => value !== null).length
    this.tables.apply(batch.changes)
    batch.done(null)
  }

  step(): boolean {
    if (this.isBusy) this.flush()
    else return false
    return true
  }

  fail(error: Error): void {
    this.#under.shift()!.done(error)
  }

  rows(table: number): number {
    return this.tables.rows(table).length
  }

  /** The disk as it is after a power cut: what was under way is lost. */
  afterCrash(): Disk {
    const disk = new Disk()
    for (let table = 0; table < 8; table++) {
      const changes = this.tables.rows(table).map((row) => ({ ...row, table }))
      disk.tables.apply(changes)
    }
    return disk
  }
}

const MESSAGES = 3
const FLIGHTS = 4
const RECEIVED = 5

class DurableWorld extends World {
  readonly disk: Disk
  constructor(disk: Disk = new Disk(), options: WorldOptions = {}) {
    super({ ...options, store: disk })
    this.disk = disk
    this.run()
  }

  /** Writes all changes, and makes them safe. */
  settle(): this {
    for (let rounds = 0; rounds < 100; rounds++) {
      this.run()
      if (this.disk.isBusy) this.disk.flush()
      else this.advance(100)
      this.run()
      if (!this.disk.isBusy && rounds > 5) return this
    }
    throw new Error('the journal does not come to rest')
  }

  /** Flushes the batch that the turn has started. */
  flush(): this {
    this.disk.flush()
    this.run()
    return this
  }

  /** The power goes; the broker starts again, `laterMs` later. */
  restarted(laterMs = 0): DurableWorld {
    return new DurableWorld(this.disk.afterCrash(), { nowMs: this.clock.nowMs() + laterMs })
  }

  /** A durable session that is away, subscribed to `t/#`. */
  absent(clientId: string, qos: 0 | 1 | 2 = 2): TestClient {
    const client = this.durable(clientId)
    client.send(new Subscribe(1, [subscriptionTo('t/#', { qos })]))
    this.settle()
    client.take(Suback)
    client.drop()
    this.settle()
    return client
  }

  durable(clientId: string): TestClient {
    const client = this.client(clientId)
    client.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
    return client
  }

  back(clientId: string, receiveMaximum = 100): TestClient {
    const client = this.client(clientId)
    const connack = client.connected({
      cleanStart: false,
      properties: { sessionExpiryIntervalSeconds: 1000, receiveMaximum },
    })
    assert.equal(connack.sessionPresent, true)
    return client
  }
}

test('PUBACK for a message to an absent durable session leaves when the message is on disk, not before', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'm' })
  pub.hasNothing()
  world.flush()
  assert.equal(pub.take(Puback).reasonCode, 0)
  const sub = world.restarted().back('sub')
  assert.deepEqual(sub.takePayloads(), ['m'])
})

test('a message that nobody durable waits for is acknowledged at once and written nowhere', () => {
  const world = new DurableWorld()
  const sub = world.client('sub')
  sub.connected()
  sub.subscribe('t/#')
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'm' })
  pub.take(Puback)
  world.settle()
  assert.equal(world.disk.puts, 0)
})

test('a message that every durable subscriber acknowledges at once is never written, and its publisher is acknowledged', () => {
  const world = new DurableWorld()
  const sub = world.durable('sub')
  sub.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 1 })]))
  world.settle()
  sub.take(Suback)
  const before = world.disk.puts
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'm' })
  pub.hasNothing()
  const { packetId } = sub.takePublish()
  sub.send(new Puback(packetId))
  pub.take(Puback)
  world.settle()
  assert.equal(world.disk.puts, before)
})

test('a subscriber that does not acknowledge in time makes the message be written, and then the publisher is acknowledged', () => {
  const world = new DurableWorld()
  const sub = world.durable('sub')
  sub.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 1 })]))
  world.settle()
  sub.take(Suback)
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'm' })
  const first = sub.takePublish()
  world.advance(10)
  world.flush()
  pub.take(Puback)
  const again = world.restarted().back('sub')
  const resent = again.takePublish()
  assert.deepEqual([resent.payload, resent.packetId, resent.dup], ['m', first.packetId, true])
})

test('acknowledgements leave in the order of the messages, also where a later one has nothing to wait for [MQTT-4.6.0-2]', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  const first = pub.publish({ topic: 't/1', qos: 1, payload: 'a' })
  const second = pub.publish({ topic: 'nobody', qos: 1, payload: 'b' })
  pub.hasNothing()
  world.flush()
  assert.deepEqual([pub.take(Puback).packetId, pub.take(Puback).packetId], [first, second])
})

test('a retained message is acknowledged when it is on disk, and is there after a crash', () => {
  const world = new DurableWorld()
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 'r', qos: 1, payload: 'old', retain: true })
  pub.hasNothing()
  world.flush()
  pub.take(Puback)
  pub.publish({ topic: 'r', qos: 1, payload: 'new', retain: true })
  world.flush()
  pub.take(Puback)
  pub.publish({ topic: 'gone', qos: 1, payload: 'x', retain: true })
  world.settle()
  pub.publish({ topic: 'gone', qos: 1, payload: '', retain: true })
  world.settle()
  const next = world.restarted()
  const sub = next.client('sub')
  sub.connected()
  sub.subscribe('#')
  const message = sub.takePublish()
  assert.deepEqual([message.topic, message.payload, message.retain], ['r', 'new', true])
  sub.hasNothing()
})

test('SUBACK and UNSUBACK of a durable session leave when the change is on disk', () => {
  const world = new DurableWorld()
  const sub = world.durable('sub')
  world.settle()
  sub.send(new Subscribe(1, [subscriptionTo('a', { qos: 1 }), subscriptionTo('b', { qos: 2, noLocal: true })]))
  sub.hasNothing()
  world.flush()
  assert.deepEqual(sub.take(Suback).reasonCodes, [1, 2])
  sub.send(new Unsubscribe(2, ['a']))
  sub.hasNothing()
  world.flush()
  sub.take(Unsuback)
  const next = world.restarted()
  const session = next.core.sessions.get('sub')!
  assert.deepEqual(
    [...session.subscriptions.values()].map(({ topicFilter }) => topicFilter),
    ['b'],
  )
  assert.equal(session.subscriptions.get('b')!.noLocal, true)
})

test('PUBREC of a message for a durable session, and its packet id, are on disk together', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.durable('pub')
  world.settle()
  const packetId = pub.publish({ topic: 't/1', qos: 2, payload: 'm' })
  pub.hasNothing()
  world.flush()
  pub.take(Pubrec)
  assert.equal(world.disk.rows(RECEIVED), 1)
  // The client did not see the PUBREC and sends again after the crash: known, not delivered twice.
  const next = world.restarted()
  const again = next.back('pub')
  again.publish({ topic: 't/1', qos: 2, payload: 'm', packetId, dup: true })
  again.take(Pubrec)
  again.send(new Pubrel(packetId))
  again.hasNothing()
  next.settle()
  again.take(Pubcomp)
  const sub = next.back('sub')
  next.settle()
  assert.deepEqual(sub.takePayloads(), ['m'])
})

test('PUBCOMP leaves when the packet id is forgotten on disk, so that a new message under it is not taken for the old one', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.durable('pub')
  world.settle()
  const packetId = pub.publish({ topic: 't/1', qos: 2, payload: 'first' })
  world.flush()
  pub.take(Pubrec)
  pub.send(new Pubrel(packetId))
  pub.hasNothing()
  world.flush()
  pub.take(Pubcomp)
  const next = world.restarted()
  const again = next.back('pub')
  again.publish({ topic: 't/1', qos: 2, payload: 'second', packetId })
  next.settle()
  again.take(Pubrec)
  const sub = next.back('sub')
  next.settle()
  assert.deepEqual(sub.takePayloads(), ['first', 'second'])
})

test('a QoS 2 PUBLISH that is sent again before the first is on disk is not acknowledged earlier', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.durable('pub')
  world.settle()
  const packetId = pub.publish({ topic: 't/1', qos: 2, payload: 'm' })
  pub.drop()
  // Its CONNACK would wait for the disk, and for the message with it.
  world.disk.fail(new Error('the disk is full'))
  world.run()
  const again = world.back('pub')
  again.publish({ topic: 't/1', qos: 2, payload: 'm', packetId, dup: true })
  again.hasNothing()
  world.advance(1_000)
  world.settle()
  again.take(Pubrec)
  again.hasNothing()
})

test('the first QoS 2 PUBLISH to a durable session waits until its packet id is on disk', () => {
  const world = new DurableWorld()
  const sub = world.durable('sub')
  sub.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 2 })]))
  world.settle()
  sub.take(Suback)
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 2, payload: 'm' })
  sub.hasNothing()
  world.flush()
  const first = sub.takePublish()
  assert.equal(first.dup, false)
  const again = world.restarted().back('sub')
  const resent = again.takePublish()
  assert.deepEqual([resent.payload, resent.packetId, resent.dup], ['m', first.packetId, true])
})

test('PUBREL to a durable session waits until the PUBREC is on disk; after a crash PUBREL comes again, not PUBLISH', () => {
  const world = new DurableWorld()
  const sub = world.durable('sub')
  sub.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 2 })]))
  world.settle()
  sub.take(Suback)
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 2, payload: 'm' })
  world.flush()
  const { packetId } = sub.takePublish()
  sub.send(new Pubrec(packetId))
  sub.hasNothing()
  world.flush()
  sub.take(Pubrel)
  const next = world.restarted()
  const again = next.back('sub')
  assert.equal(again.take(Pubrel).packetId, packetId)
  again.hasNothing()
  again.send(new Pubcomp(packetId))
  next.settle()
  assert.equal(next.disk.rows(MESSAGES) + next.disk.rows(FLIGHTS), 0)
})

test('a message to many sessions is written once, and goes when the last of them has it', () => {
  const world = new DurableWorld()
  for (let i = 0; i < 20; i++) world.absent(`sub${i}`, 1)
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'm' })
  world.settle()
  assert.equal(world.disk.rows(MESSAGES), 1)
  for (let i = 0; i < 10; i++) {
    const sub = world.back(`sub${i}`)
    sub.send(new Puback(sub.takePublish().packetId))
  }
  world.settle()
  assert.equal(world.disk.rows(MESSAGES), 1)
  const next = world.restarted()
  for (let i = 0; i < 20; i++) {
    const sub = next.back(`sub${i}`)
    if (i < 10) sub.hasNothing()
    else sub.send(new Puback(sub.takePublish().packetId))
  }
  next.settle()
  assert.equal(next.disk.rows(MESSAGES) + next.disk.rows(FLIGHTS), 0)
})

test('after a crash messages for several sessions and for one come in the order in which they were published', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const other = world.durable('other')
  other.send(new Subscribe(1, [subscriptionTo('t/shared', { qos: 1 })]))
  world.settle()
  other.drop()
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/alone', qos: 1, payload: 'first' })
  pub.publish({ topic: 't/shared', qos: 1, payload: 'second' })
  pub.publish({ topic: 't/alone', qos: 1, payload: 'third' })
  world.settle()
  const sub = world.restarted().back('sub')
  assert.deepEqual(sub.takePayloads(), ['first', 'second', 'third'])
})

test('a queue longer than the head in memory comes back in order, before and after a crash', () => {
  const world = new DurableWorld(new Disk(), { limits: { queueMessagesMax: 10_000 } })
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  const expected: string[] = []
  for (let i = 0; i < 5_000; i++) {
    pub.publish({ topic: 't/1', qos: 1, payload: `m${i}` })
    expected.push(`m${i}`)
    if (i % 100 === 0) world.settle()
  }
  world.settle()
  for (const next of [world.restarted(), world]) {
    const sub = next.client('sub')
    sub.acknowledges = true
    sub.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000, receiveMaximum: 50 } })
    next.settle()
    assert.deepEqual(sub.takePayloads(), expected)
    next.settle()
    assert.equal(next.disk.rows(MESSAGES), 0)
  }
})

test('what is in flight is sent again after a crash, before the queue, under its packet ids', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  for (const payload of ['a', 'b', 'c', 'd']) pub.publish({ topic: 't/1', qos: 1, payload })
  world.settle()
  const sub = world.back('sub', 2)
  const first = sub.takePublish()
  const second = sub.takePublish()
  sub.hasNothing()
  world.settle()
  const again = world.restarted().back('sub', 10)
  assert.deepEqual(
    [0, 1, 2, 3].map(() => again.takePublish()).map(({ payload, packetId, dup }) => [payload, packetId, dup]),
    [
      ['a', first.packetId, true],
      ['b', second.packetId, true],
      ['c', second.packetId + 1, false],
      ['d', second.packetId + 2, false],
    ],
  )
})

test('a message that is sent while its row is being written is in flight after a crash', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const sub = world.back('sub', 1)
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'a' })
  const first = sub.takePublish()
  pub.publish({ topic: 't/1', qos: 1, payload: 'b' })
  assert.ok(world.disk.isBusy)
  sub.send(new Puback(first.packetId))
  const second = sub.takePublish()
  world.settle()
  const again = world.restarted().back('sub')
  const resent = again.takePublish()
  assert.deepEqual([resent.payload, resent.packetId, resent.dup], ['b', second.packetId, true])
})

test('expiry runs on while the broker is down', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'short', properties: { messageExpiryIntervalSeconds: 10 } })
  pub.publish({ topic: 't/1', qos: 1, payload: 'long', properties: { messageExpiryIntervalSeconds: 500 } })
  world.settle()
  const next = world.restarted(100_000)
  const sub = next.back('sub')
  const message = sub.takePublish()
  assert.equal(message.payload, 'long')
  assert.ok(message.properties.messageExpiryIntervalSeconds! <= 400)
  const last = world.restarted(1_100_000)
  last.advance(1_000)
  assert.equal(last.core.sessions.get('sub'), undefined)
  last.settle()
  assert.equal(last.disk.rows(MESSAGES), 0)
})

test('a delayed Will of a client that was lost, or that was connected, is published after a crash', () => {
  const world = new DurableWorld()
  world.absent('watcher')
  for (const clientId of ['lost', 'connected']) {
    const client = world.client(clientId)
    client.connected({
      cleanStart: false,
      properties: { sessionExpiryIntervalSeconds: 1000 },
      will: will({ topic: `t/${clientId}`, payload: 'gone', qos: 1, properties: { willDelayIntervalSeconds: 60 } }),
    })
    if (clientId === 'lost') client.drop()
  }
  world.settle()
  const next = world.restarted(50_000)
  next.advance(20_000)
  next.settle()
  const watcher = next.back('watcher')
  assert.deepEqual(watcher.takePublish().topic, 't/lost')
  watcher.hasNothing()
  next.advance(60_000)
  next.settle()
  assert.deepEqual(watcher.takePublish().topic, 't/connected')
})

test('a failing disk: 0x97 to those who can be told, no acknowledgement to others, and all goes on when it recovers', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const five = world.client('five')
  five.connected()
  const four = world.client('four', { version: 4 })
  four.connected()
  five.publish({ topic: 't/1', qos: 1, payload: 'first' })
  world.disk.fail(new Error('disk full'))
  world.run()
  assert.equal(five.take(Puback).reasonCode, 0x97)
  five.publish({ topic: 't/1', qos: 1, payload: 'refused' })
  assert.equal(five.take(Puback).reasonCode, 0x97)
  four.publish({ topic: 't/1', qos: 1, payload: 'refused' })
  four.hasNothing()
  four.publish({ topic: 'elsewhere', qos: 1, payload: 'fine' })
  four.take(Puback)
  const late = world.client('late')
  assert.equal(late.connect({ properties: { sessionExpiryIntervalSeconds: 9 } }).take(Connack).reasonCode, 0x97)
  assert.ok(world.events.some(({ name }) => name === 'store.failed'))
  world.advance(1_000)
  world.flush()
  five.hasNothing()
  assert.ok(world.events.some(({ name }) => name === 'store.recovered'))
  world.settle()
  const sub = world.restarted().back('sub')
  assert.deepEqual(sub.takePayloads(), ['first'])
})

test('a message that is acknowledged while the batch that holds it fails needs no row', () => {
  const world = new DurableWorld()
  const sub = world.durable('sub')
  sub.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 1 })]))
  world.settle()
  sub.take(Suback)
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'm' })
  world.advance(10)
  assert.ok(world.disk.isBusy)
  sub.send(new Puback(sub.takePublish().packetId))
  world.disk.fail(new Error('I/O error'))
  world.run()
  pub.take(Puback)
  world.advance(1_000)
  world.settle()
  assert.equal(world.disk.rows(MESSAGES), 0)
})

test('a batch that fails does not count anybody as done twice', () => {
  const world = new DurableWorld()
  for (const clientId of ['a', 'b', 'c']) world.absent(clientId, 1)
  const pub = world.client('pub')
  pub.connected()
  pub.publish({ topic: 't/1', qos: 1, payload: 'm' })
  world.settle()
  const a = world.back('a')
  a.send(new Puback(a.takePublish().packetId))
  world.advance(60)
  assert.ok(world.disk.isBusy)
  for (let times = 0; times < 3; times++) {
    world.disk.fail(new Error('I/O error'))
    world.run()
    world.advance(1_000)
  }
  world.settle()
  const next = world.restarted()
  for (const clientId of ['b', 'c']) assert.deepEqual(next.back(clientId).takePayloads(), ['m'])
})

test('rows of an ended session are removed also when the disk fails in between', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  for (let i = 0; i < 3_000; i++) pub.publish({ topic: 't/1', qos: 1, payload: `m${i}` })
  world.settle()
  world.client('sub').connect({ cleanStart: true })
  world.advance(60)
  assert.ok(world.disk.isBusy)
  world.disk.fail(new Error('I/O error'))
  world.run()
  world.advance(1_000)
  world.settle()
  assert.equal(world.disk.rows(MESSAGES), 0)
})

test('publishers that were held back go on when what they sent has been acknowledged, without any batch', () => {
  const world = new DurableWorld(new Disk(), {
    limits: { packetBytesMax: 64 * 1024 * 1024, inflightBytesMax: 64 * 1024 * 1024 },
  })
  const sub = world.durable('sub')
  sub.send(new Subscribe(1, [subscriptionTo('t/#', { qos: 1 })]))
  world.settle()
  sub.take(Suback)
  const pub = world.client('pub')
  pub.connected()
  const payload = new Uint8Array(20 * 1024 * 1024)
  world.together(() => {
    for (let i = 0; i < 2; i++) pub.publish({ topic: 't/1', qos: 1, payload })
  })
  world.run()
  assert.equal(pub.transport.isPaused, true)
  for (const packet of sub.takeAll()) if (packet instanceof Publish) sub.send(new Puback(packet.packetId))
  world.run()
  assert.equal(pub.transport.isPaused, false)
  assert.equal(pub.received.length, 2)
})

test('a session that ends leaves nothing on disk, however long its queue was', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  for (let i = 0; i < 3_000; i++) pub.publish({ topic: 't/1', qos: 1, payload: `m${i}` })
  world.settle()
  world.client('sub').connect({ cleanStart: true })
  world.settle()
  for (let table = 1; table < 8; table++) assert.equal(world.disk.rows(table), 0, `table ${table}`)
})

test('a crash while a session is being removed leaves no rows of nobody behind', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  for (let i = 0; i < 1_500; i++) pub.publish({ topic: 't/1', qos: 1, payload: `m${i}` })
  world.settle()
  const disk = world.disk.afterCrash()
  disk.write(
    () => disk.remove(1, world.core.sessions.get('sub')!.number, 0, 0),
    () => {},
  )
  disk.flush()
  const next = new DurableWorld(disk).settle()
  for (let table = 1; table < 8; table++) assert.equal(next.disk.rows(table), 0, `table ${table}`)
})

test('power loss at every batch: what was acknowledged is there, QoS 2 once, in order', () => {
  // The same script, cut after each possible number of batches.
  for (let batches = 0; batches < 60; batches++) {
    const world = new DurableWorld()
    world.absent('sub')
    const pub = world.durable('pub')
    world.settle()
    const acknowledged: string[] = []
    const sent: string[] = []
    let left = batches
    const step = (): void => {
      if (left > 0 && world.disk.isBusy) {
        left--
        world.flush()
      }
      for (const packet of pub.takeAll()) {
        if (packet instanceof Pubrec) {
          acknowledged.push(`m${packet.packetId}`)
          pub.send(new Pubrel(packet.packetId))
        } else if (packet instanceof Puback) acknowledged.push(`m${packet.packetId}`)
      }
    }
    for (let i = 0; i < 20; i++) {
      const packetId = 100 + i
      sent.push(`m${packetId}`)
      pub.publish({ topic: 't/1', qos: i % 3 === 0 ? 1 : 2, payload: `m${packetId}`, packetId })
      step()
      if (i % 4 === 0) world.advance(60)
      step()
    }
    const next = world.restarted()
    const sub = next.client('sub')
    sub.acknowledges = true
    sub.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 } })
    next.settle()
    const got = sub.takeAll().flatMap((packet) => (packet instanceof Publish ? [packet] : []))
    const payloads = got.map((packet) => new TextDecoder().decode(packet.payload))
    for (const message of acknowledged) assert.ok(payloads.includes(message), `${message} lost at batch ${batches}`)
    for (const qos of [1, 2]) {
      const ofQoS = got.filter((packet) => packet.qos === qos).map((packet) => new TextDecoder().decode(packet.payload))
      assert.equal(new Set(ofQoS).size, ofQoS.length, 'delivered twice')
      assert.deepEqual(ofQoS, [...ofQoS].sort(), 'out of order')
    }
  }
})

test('rows whose key was written before properties counted are found, delivered and removed', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.client('pub')
  pub.connected()
  const properties = { contentType: 'text/plain' }
  for (const payload of ['a', 'b']) pub.publish({ topic: 't/1', qos: 1, payload, properties })
  world.settle()
  const disk = world.disk.afterCrash()
  const keys: [number, number, number, Uint8Array][] = []
  disk.scan(MESSAGES, (position, session, key, value) => keys.push([position, session, key, value]))
  assert.deepEqual(
    keys.map(([, , key]) => key),
    [17, 17],
  )
  disk.write(
    () => {
      for (const [position, session, key, value] of keys) {
        disk.remove(MESSAGES, position, session, key)
        disk.put(MESSAGES, position, session, 4, new Uint8Array(value))
      }
    },
    () => {},
  )
  disk.flush()
  const next = new DurableWorld(disk, { nowMs: world.clock.nowMs() })
  assert.equal(next.metric('queuedBytes'), 8)
  const sub = next.back('sub')
  for (const payload of ['a', 'b']) {
    const publish = sub.takePublish()
    assert.deepEqual([publish.payload, publish.properties], [payload, properties])
    sub.send(new Puback(publish.packetId))
  }
  next.settle()
  assert.equal(next.metric('queuedBytes'), 0)
  assert.equal(next.disk.rows(MESSAGES), 0)
})
