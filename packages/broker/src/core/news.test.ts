/** News of the broker itself (`PublishOptions.isNews`): the topics below `$SYS`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBroker } from '../broker.ts'
import { DiskWorld } from '../testing/disk-world.ts'
import { SimStore, World } from '../testing/mod.ts'

const news = { topic: '$SYS/broker/uptime', payload: '10 seconds', qos: 2, retain: true, isNews: true } as const

test('news is retained for whoever subscribes, and not stored', () => {
  const world = new DiskWorld()
  world.publish({ topic: 'kept', payload: 'x', qos: 1, retain: true })
  world.publish(news)
  const a = world.client('a')
  world.connected(a)
  a.acknowledges = true
  world.subscribed(a, '$SYS/#')
  assert.deepEqual(a.takePayloads(), ['10 seconds'])
  world.settle()
  const after = world.crash()
  assert.equal(after.core.retained.get(news.topic), undefined)
  assert.notEqual(after.core.retained.get('kept'), undefined)
})

test('news in the place of a retained message that was stored takes that off the disk', () => {
  const world = new DiskWorld()
  world.publish({ ...news, payload: 'of an embedding program', isNews: false })
  world.settle()
  world.publish(news)
  world.settle()
  assert.equal(world.crash().core.retained.get(news.topic), undefined)
})

test('neither limits of retained messages nor a disk that is full keep news out', () => {
  const world = new DiskWorld({ limits: { retainedMessagesMax: 0 } })
  world.disk.failure = new Error('full')
  world.publish({ topic: 't', payload: 'x', qos: 1, retain: true })
  world.settle()
  for (const payload of ['1 seconds', '2 seconds']) world.publish({ ...news, payload })
  assert.equal(world.core.retained.get(news.topic)?.payloadLength, 9)
  assert.equal(world.metric('dropped.store-failed') + world.metric('dropped.retained-limit'), 1)
})

test('a subscriber whose queue is full misses news, and the others get it', () => {
  const world = new World({ limits: { queueMessagesMax: 1 } })
  const full = world.client('full')
  full.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } })
  full.subscribe('#', { qos: 2 })
  full.subscribe('$SYS/#', { qos: 2 })
  full.drop()
  const other = world.client('other')
  other.connected()
  other.acknowledges = true
  other.subscribe('$SYS/#', { qos: 2 })
  world.publish({ topic: 't', payload: 'fills the queue', qos: 1 })
  world.publish({ ...news, payload: '1 seconds' })
  world.publish({ ...news, payload: '2 seconds' })
  assert.deepEqual(other.takePayloads(), ['1 seconds', '2 seconds'])
  assert.equal(world.metric('dropped.queue-full'), 2)
})

test('what the store has made safe is counted by batches, rows and time, and how far it is behind while it fails', () => {
  const world = new DiskWorld()
  world.publish({ topic: 't', payload: 'x', qos: 1, retain: true })
  world.settle()
  assert.ok(world.metric('storeBatches') >= 1)
  assert.ok(world.metric('storeRows') >= 2, 'the message and the time')
  assert.ok(world.metric('storeMs') >= 0)
  assert.equal(world.metric('storeLagMs'), 0)
  world.disk.failure = new Error('full')
  world.publish({ topic: 't', payload: 'y', qos: 1, retain: true })
  world.settle()
  world.advance(10_000)
  assert.ok(world.metric('storeLagMs') >= 10_000)
  world.disk.failure = null
  world.advance(1_000)
  world.settle()
  assert.equal(world.metric('storeLagMs'), 0)
})

test('an embedding program publishes news without waking the disk up', async () => {
  const store = new SimStore()
  const broker = createBroker({ store })
  const { reasonCode } = await broker.publish({ topic: '$SYS/a', payload: 'x', qos: 2, retain: true, isNews: true })
  assert.equal(reasonCode, 0x10)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(store.writes, 0)
  const kept = broker.publish({ topic: 'a', payload: 'x', qos: 2, retain: true })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(store.flush(), 1)
  await kept
})
