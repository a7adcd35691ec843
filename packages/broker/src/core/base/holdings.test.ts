/** Limits on what all sessions together keep: clients with little are not kept out by clients with much. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, ReasonCode, Subscribe } from '@recado/protocol'
import { SimStore, subscriptionTo, type TestClient, World, type WorldOptions } from '../../testing/mod.ts'
import { hasShare } from './holdings.ts'

const MiB = 1024 * 1024

/** A client with a session that is kept. */
function kept(world: World, clientId: string, more: object = {}, acknowledges = false): TestClient {
  const client = world.client(clientId)
  client.acknowledges = acknowledges
  client.connected({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 1000 }, ...more })
  return client
}

/** Sessions that are away, each subscribed to its own name at QoS 1. */
function away(world: World, names: readonly string[], more: object = {}): void {
  for (const name of names) {
    const client = kept(world, name, more)
    client.subscribe(name, { qos: 1 })
    client.drop()
  }
}

function scene(options: WorldOptions): { world: World; publisher: TestClient } {
  const world = new World(options)
  const publisher = world.client('publisher')
  publisher.connected({ keepAliveSeconds: 0 })
  return { world, publisher }
}

/** The Reason Code that the publisher gets. */
function publish(publisher: TestClient, topic: string, bytes: number, more: object = {}): number {
  publisher.publish({ topic, payload: new Uint8Array(bytes), qos: 1, ...more })
  return publisher.take(Puback).reasonCode
}

test('the first half is for whoever comes; then nobody may have more than what is free', () => {
  assert.equal(hasShare(100, 40, 40, 10), true)
  assert.equal(hasShare(100, 60, 50, 1), false)
  assert.equal(hasShare(100, 60, 5, 10), true)
  assert.equal(hasShare(100, 95, 0, 6), false)
  assert.equal(hasShare(100, 95, 0, 5), true)
})

describe('properties count', () => {
  const userProperties: [string, string][] = [['name', 'x'.repeat(50_000)]]

  test('towards the bytes of a queue: 5.0 is told 0x97, and what was acknowledged is delivered', () => {
    const { world, publisher } = scene({ limits: { queueBytesMax: 100_000 } })
    away(world, ['a'])
    const codes = Array.from({ length: 4 }, () => publish(publisher, 'a', 1, { properties: { userProperties } }))
    assert.deepEqual(codes, [0, ReasonCode.QuotaExceeded, ReasonCode.QuotaExceeded, ReasonCode.QuotaExceeded])
    assert.equal(kept(world, 'a').takePayloads().length, 1)
  })

  test('towards the bytes of retained messages', () => {
    const { world, publisher } = scene({ limits: { retainedBytesMax: 120_000 } })
    const codes = ['a', 'b', 'c'].map((topic) =>
      publish(publisher, topic, 1, { retain: true, properties: { userProperties } }),
    )
    assert.deepEqual(codes, [ReasonCode.NoMatchingSubscribers, ReasonCode.NoMatchingSubscribers, 0x97])
    assert.ok(world.metric('retainedBytes') > 100_000)
  })

  test('a message that only fits by its payload is refused, not acknowledged and dropped', () => {
    const { world, publisher } = scene({ limits: { queueBytesMax: 40_000 } })
    away(world, ['a'])
    assert.equal(publish(publisher, 'a', 1, { properties: { userProperties } }), ReasonCode.QuotaExceeded)
    assert.equal(world.metric('dropped.queue-full'), 1)
  })
})

describe('in memory', () => {
  test('those who hoard leave room for one that has little, and 5.0 publishers are told 0x97', () => {
    const limits = { memoryQueueBytesMax: 8 * MiB }
    const { world, publisher } = scene({ limits })
    const hoarders = Array.from({ length: 20 }, (_, i) => `hoarder${i}`)
    away(world, [...hoarders, 'honest'])
    for (let round = 0; round < 20; round++) for (const hoarder of hoarders) publish(publisher, hoarder, 100_000)
    assert.ok(world.metric('dropped.queues-full') > 100)
    assert.ok(world.metric('memoryBytes') <= limits.memoryQueueBytesMax)
    for (let i = 0; i < 3; i++) assert.equal(publish(publisher, 'honest', 50_000), 0)
    assert.equal(kept(world, 'honest', {}, true).takePayloads().length, 3)
  })

  test('a message that many wait for counts once, and nothing is left when all have it', () => {
    const { world, publisher } = scene({})
    const names = Array.from({ length: 50 }, (_, i) => `s${i}`)
    for (const name of names) {
      const client = kept(world, name)
      client.subscribe('all', { qos: 2 })
      client.drop()
    }
    for (let i = 0; i < 10; i++) publish(publisher, 'all', 10_000)
    assert.ok(world.metric('memoryBytes') < 110_000)
    for (const name of names) {
      const client = kept(world, name, {}, true)
      client.drop()
    }
    assert.equal(world.metric('queuedMessages') + world.metric('inflight'), 0)
    assert.equal(world.metric('memoryBytes'), 0)
  })

  test('sessions that end let go of what waits and of what is in flight', () => {
    const { world, publisher } = scene({ limits: { inflightMax: 2 } })
    away(world, ['a'])
    for (let i = 0; i < 5; i++) publish(publisher, 'a', 1_000)
    const a = kept(world, 'a')
    assert.equal(a.takePayloads().length, 2)
    a.drop()
    world.client('a').connected({ cleanStart: true })
    assert.equal(world.metric('memoryBytes'), 0)
  })
})

describe('in flight', () => {
  test('inflightBytesMax: more wait in the queue until some are acknowledged; one always goes', () => {
    const { world, publisher } = scene({ limits: { inflightBytesMax: 2_000 } })
    const a = kept(world, 'a')
    a.subscribe('a', { qos: 1 })
    for (let i = 0; i < 5; i++) publish(publisher, 'a', 3_000)
    const first = a.takePublish()
    a.hasNothing()
    assert.equal(world.metric('queuedMessages'), 4)
    a.send(new Puback(first.packetId))
    a.takePublish()
    a.hasNothing()
  })

  test('what is resent after a reconnect counts, and is let go when it is acknowledged', () => {
    const { world, publisher } = scene({ limits: { inflightBytesMax: 2_000 } })
    const a = kept(world, 'a')
    a.subscribe('a', { qos: 1 })
    for (let i = 0; i < 3; i++) publish(publisher, 'a', 1_500)
    a.drop()
    kept(world, 'a', {}, true)
    assert.equal(world.metric('queuedMessages') + world.metric('inflight'), 0)
    assert.equal(world.metric('memoryBytes'), 0)
  })
})

describe('on disk', () => {
  test('storedBytesMax holds for all queues together; it is counted after a restart, and freed by removal', () => {
    const store = new SimStore()
    const limits = { storedBytesMax: 2 * MiB }
    const { world, publisher } = scene({ store, limits })
    const settle = (each: World, disk: SimStore): void => {
      for (let i = 0; i < 20; i++) {
        each.advance(100)
        disk.flush()
        each.run()
      }
    }
    const clients = Array.from({ length: 5 }, (_, i) => {
      const client = kept(world, `s${i}`)
      client.send(new Subscribe(1, [subscriptionTo(`s${i}`, { qos: 1 })]))
      return client
    })
    settle(world, store)
    for (const client of clients) client.drop()
    settle(world, store)
    for (let i = 0; i < 100; i++) publisher.publish({ topic: `s${i % 5}`, payload: new Uint8Array(50_000), qos: 1 })
    settle(world, store)
    const codes = publisher.takeAll().map((packet) => (packet as Puback).reasonCode)
    assert.ok(codes.includes(ReasonCode.QuotaExceeded))
    assert.equal(codes.filter((code) => code === 0).length, world.metric('queuedMessages'))
    const stored = world.metric('storedBytes')
    assert.ok(stored > MiB && stored <= limits.storedBytesMax, `${stored}`)
    const disk = store.crash()
    const next = new World({ store: disk, limits })
    assert.equal(next.metric('storedBytes'), stored)
    for (let i = 0; i < 5; i++) next.client(`s${i}`).connect({ cleanStart: true })
    settle(next, disk)
    assert.equal(next.metric('storedBytes'), 0)
  })
})

describe('anonymous clients', () => {
  test('have smaller queues than those with a User Name', () => {
    const { world, publisher } = scene({ limits: { anonymousQueueMessagesMax: 2 } })
    away(world, ['anonymous'])
    away(world, ['known'], { username: 'ada' })
    const to = (topic: string): number[] => Array.from({ length: 3 }, () => publish(publisher, topic, 1))
    assert.deepEqual(to('anonymous'), [0, 0, ReasonCode.QuotaExceeded])
    assert.deepEqual(to('known'), [0, 0, 0])
  })
})
