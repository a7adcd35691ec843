import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ReasonCode, Subscribe } from '@recado/protocol'
import { byGrants } from '../grants.ts'
import { authorizerOf } from '../hooks.ts'
import { SimStore, subscriptionTo, World } from '../testing/mod.ts'

const STATE = '$SYS/broker/connection/edge.out/state'
const will = (topic: string): { topic: string; payload: Uint8Array; qos: 1; retain: true; properties: object } => ({
  topic,
  payload: Buffer.from('0'),
  qos: 1,
  retain: true,
  properties: {},
})

for (const version of [3, 4] as const) {
  describe(`a bridge of Mosquitto's kind, level 0x8${version}`, () => {
    test('does not get its own messages back, and gets what is published with RETAIN as it is', () => {
      const world = new World()
      const bridge = world.client('edge', { version })
      bridge.connected({ isBridge: true })
      bridge.subscribe('#', { qos: 1 })
      bridge.acknowledges = true
      bridge.publish({ topic: 'mine', payload: 'x', qos: 0 })
      world.publish({ topic: 'theirs', payload: 'y', retain: true })
      world.publish({ topic: 'plain', payload: 'z' })
      const got = [bridge.takePublish(), bridge.takePublish()]
      assert.deepEqual(
        got.map(({ topic, retain }) => [topic, retain]),
        [
          ['theirs', true],
          ['plain', false],
        ],
      )
    })

    test('a client without the bit gets both as before', () => {
      const world = new World()
      const client = world.client('edge', { version })
      client.connected()
      client.subscribe('#')
      client.publish({ topic: 'mine', payload: 'x', qos: 0 })
      world.publish({ topic: 'theirs', payload: 'y', retain: true })
      assert.deepEqual([client.takePublish().topic, client.takePublish().retain], ['mine', false])
    })

    test('its subscriptions are the same after a restart of the broker', () => {
      const store = new SimStore()
      const settle = (world: World, disk: SimStore): void => {
        world.together(() => disk.flush())
        world.run()
      }
      const before = new World({ store })
      const bridge = before.client('edge', { version })
      bridge.connect({ isBridge: true, cleanStart: false })
      settle(before, store)
      bridge.send(new Subscribe(1, [subscriptionTo('#', { qos: 1 })]))
      settle(before, store)
      const disk = store.crash()
      const after = new World({ store: disk, nowMs: before.clock.nowMs() })
      settle(after, disk)
      const again = after.client('edge', { version })
      again.connect({ isBridge: true, cleanStart: false })
      settle(after, disk)
      again.takeAll()
      again.acknowledges = true
      again.publish({ topic: 'mine', payload: 'x', qos: 0 })
      after.publish({ topic: 'theirs', payload: 'y', qos: 1, retain: true })
      settle(after, disk)
      const { topic, retain } = again.takePublish()
      assert.deepEqual({ topic, retain }, { topic: 'theirs', retain: true })
    })

    test('a Shared Subscription of its own has no No Local, which it may not have [MQTT-3.8.3-4]', () => {
      const world = new World()
      const bridge = world.client('edge', { version })
      bridge.connected({ isBridge: true })
      bridge.subscribe('$share/g/t')
      bridge.publish({ topic: 't', payload: 'x', qos: 0 })
      assert.equal(bridge.takePublish().payload, 'x')
    })
  })
}

describe('the state of a connection', () => {
  test('is taken from a bridge, retained, and from its Will; elsewhere below $SYS nothing is', () => {
    const world = new World()
    const watcher = world.client('watcher')
    watcher.connected()
    watcher.subscribe('$SYS/#')
    const bridge = world.client('edge', { version: 4 })
    bridge.connected({ isBridge: true, will: will(STATE) })
    bridge.publish({ topic: STATE, payload: '1', qos: 0, retain: true })
    bridge.publish({ topic: '$SYS/broker/version', payload: 'lie', qos: 0 })
    assert.equal(watcher.takePublish().payload, '1')
    bridge.drop()
    assert.equal(watcher.takePublish().payload, '0')
    watcher.hasNothing()
    const late = world.client('late')
    late.connected()
    late.subscribe(STATE)
    assert.deepEqual(late.takePayloads(), ['0'])
  })

  test('of MQTT 5.0, which has no bit, is taken from the client of that identifier only', () => {
    const world = new World()
    const own = world.client('edge.out')
    own.connected({ will: will(STATE) })
    own.publish({ topic: STATE, payload: '1', qos: 0, retain: true })
    assert.equal(world.metric('retainedMessages'), 1)
    const other = world.client('other')
    other.connected()
    other.publish({ topic: STATE, payload: 'lie', qos: 0, retain: true })
    assert.equal(world.metric('dropped.not-authorized'), 1)
    for (const topic of [STATE, '$SYS/x']) {
      const liar = world.client('liar')
      liar.connect({ will: will(topic) })
      assert.equal((liar.takeAll()[0] as { reasonCode?: number }).reasonCode, ReasonCode.NotAuthorized)
    }
  })

  test('level 0x85 is a bridge of MQTT 5.0: its subscriptions say themselves what they want', () => {
    const world = new World()
    const bridge = world.client('edge')
    bridge.connected({ isBridge: true })
    bridge.subscribe('t')
    bridge.publish({ topic: 't', payload: 'x', qos: 0, retain: true })
    const { payload, retain } = bridge.takePublish()
    assert.deepEqual({ payload, retain }, { payload: 'x', retain: false })
    bridge.publish({ topic: STATE, payload: '1', qos: 0 })
    assert.equal(world.metric('dropped.not-authorized'), 0)
  })

  test('byGrants asks for a right to it, and for no other right of the bridge', () => {
    const world = new World({ authorizer: authorizerOf(byGrants(), () => {}) })
    const bridge = world.client('edge', { version: 4 })
    bridge.connected({ isBridge: true })
    bridge.publish({ topic: STATE, payload: '1', qos: 0, retain: true })
    bridge.publish({ topic: '$SYS/x', payload: '1', qos: 0, retain: true })
    assert.equal(world.metric('retainedMessages'), 1)
  })
})
