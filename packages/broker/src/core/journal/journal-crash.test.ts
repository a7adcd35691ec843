/** Acknowledged work is there after a crash, in its order and once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, Publish, Pubrec, Pubrel, Subscribe } from '@recado/protocol'
import { subscriptionTo, will } from '../../testing/test-client.ts'
import { Disk, DurableWorld, FLIGHTS, MESSAGES } from './journal.test-support.ts'

test('a message to many sessions is written once, and goes when the last of them has it', () => {
  const world = new DurableWorld()
  for (let i = 0; i < 20; i++) world.absent(`sub${i}`, 1)
  const pub = world.publisher()
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
  const pub = world.publisher()
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
  const pub = world.publisher()
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
  const pub = world.publisher()
  for (const payload of ['a', 'b', 'c', 'd']) pub.publish({ topic: 't/1', qos: 1, payload })
  world.settle()
  const sub = world.back('sub', 2)
  const first = sub.takePublish()
  const second = sub.takePublish()
  sub.hasNothing()
  world.settle()
  const again = world.restarted().back('sub', 10)
  const came = [0, 1, 2, 3].map(() => again.takePublish())
  assert.deepEqual(
    came.map(({ payload, dup }) => [payload, dup]),
    [
      ['a', true],
      ['b', true],
      ['c', false],
      ['d', false],
    ],
  )
  const packetIds = came.map(({ packetId }) => packetId)
  assert.deepEqual(packetIds.slice(0, 2), [first.packetId, second.packetId])
  assert.equal(new Set(packetIds).size, 4)
})

test('a message that is sent while its row is being written is in flight after a crash', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const sub = world.back('sub', 1)
  const pub = world.publisher()
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
  const pub = world.publisher()
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

test('a session that ends leaves nothing on disk, however long its queue was', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.publisher()
  for (let i = 0; i < 3_000; i++) pub.publish({ topic: 't/1', qos: 1, payload: `m${i}` })
  world.settle()
  world.client('sub').connect({ cleanStart: true })
  world.settle()
  for (let table = 1; table < 8; table++) assert.equal(world.disk.rows(table), 0, `table ${table}`)
})

test('a crash while a session is being removed leaves no rows of nobody behind', () => {
  const world = new DurableWorld()
  world.absent('sub')
  const pub = world.publisher()
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
  const pub = world.publisher()
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
