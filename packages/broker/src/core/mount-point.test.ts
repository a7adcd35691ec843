import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connack, type Packet, Publish } from '@recado/protocol'
import { World, will } from '../testing/mod.ts'

const settings = { mountPoint: 'site-1/' }

test('what a client publishes, and its Will, stand below the mount point; what it receives does not', () => {
  const world = new World()
  const inside = world.client('inside', { settings })
  const outside = world.client('outside')
  inside.connected({ will: will({ topic: 'gone', payload: 'w' }) })
  outside.connected()
  assert.equal(inside.subscribe('#', { qos: 1 }), 1)
  assert.equal(outside.subscribe('#', { qos: 0 }), 0)
  inside.publish({ topic: 'a/b', payload: '1' })
  outside.publish({ topic: 'site-1/c', payload: '2' })
  outside.publish({ topic: 'site-2/c', payload: '3' })
  outside.publish({ topic: 'site-1', payload: '4' })
  assert.deepEqual(
    inside.takeAll().map((packet) => (packet as Publish).topic),
    ['a/b', 'c'],
  )
  inside.drop()
  assert.deepEqual(
    outside.takeAll().map((packet) => (packet as Publish).topic),
    ['site-1/a/b', 'site-1/c', 'site-2/c', 'site-1', 'site-1/gone'],
  )
})

test('subscriptions, shared ones too, and their end are below the mount point', () => {
  const world = new World()
  const inside = world.client('inside', { settings })
  inside.connected()
  assert.equal(inside.subscribe('$share/g/t/+', { qos: 0 }), 0)
  assert.equal(inside.subscribe('x', { qos: 0 }), 0)
  world.publish({ topic: 'site-1/t/1' })
  world.publish({ topic: 't/1' })
  world.publish({ topic: 'site-1/x' })
  assert.deepEqual(
    inside.takeAll().map((packet) => (packet as Publish).topic),
    ['t/1', 'x'],
  )
  assert.equal(inside.unsubscribe('$share/g/t/+'), 0)
  assert.equal(inside.unsubscribe('x'), 0)
  assert.equal(inside.unsubscribe('x'), 0x11)
  world.publish({ topic: 'site-1/x' })
  inside.hasNothing()
})

test('Topic Aliases go both ways', () => {
  const world = new World()
  const inside = world.client('inside', { settings })
  inside.connected({ properties: { topicAliasMaximum: 5 } })
  inside.subscribe('a')
  inside.publish({ topic: 'a', payload: '1', properties: { topicAlias: 1 } })
  inside.publish({ topic: '', payload: '2', properties: { topicAlias: 1 } })
  const [first, second] = inside.takeAll() as Packet[] as [Publish, Publish]
  assert.equal(first.topic, 'a')
  assert.equal(second.topic, '')
  assert.equal(second.properties.topicAlias, first.properties.topicAlias)
})

test('a mount point without / takes no filter that begins with a wildcard, and does not end the connection for it', () => {
  const world = new World()
  const old = world.client('old', { version: 4, settings: { mountPoint: 'site-' } })
  old.connected()
  assert.equal(old.subscribe('#'), 0x80)
  assert.equal(old.subscribe('1/#', { qos: 0 }), 0)
  world.publish({ topic: 'site-1/a' })
  assert.equal(old.take(Publish).topic, '1/a')
})

test('the user name may be the Client Identifier; without one the client is refused', () => {
  const world = new World()
  const own = { settings: { clientIdFromUsername: true } }
  world.client('whatever', own).connected({ username: 'ada' })
  assert.equal(world.eventsOf('client.connected')[0]!.client.clientId, 'ada')
  assert.equal(world.client('whatever', own).connect().take(Connack).reasonCode, 0x87)
})
