import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ReasonCode } from '@recado/protocol'
import { type Authorizer, PENDING } from '../../ports.ts'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import type { TestClient } from '../../testing/test-client.ts'
import { World, type WorldOptions } from '../../testing/world.ts'
import type { AutoSubscription } from '../base/options.ts'

function filtersOf(world: World, clientId: string): string[] {
  return [...(world.core.sessions.get(clientId)?.subscriptions.values() ?? [])].map(({ topicFilter }) => topicFilter)
}

function connected(
  autoSubscriptions: readonly AutoSubscription[],
  options: WorldOptions = {},
  username?: string,
  version: 3 | 4 | 5 = 5,
): { world: World; a: TestClient } {
  const world = new World({ ...options, autoSubscriptions })
  world.publish({ topic: 'inbox/a', payload: 'kept', retain: true })
  const a = world.client('a', { version })
  a.connected({ keepAliveSeconds: 0, ...(username === undefined ? {} : { username }) })
  return { world, a }
}

describe('a client that is let in', () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: is subscribed after CONNACK, and gets what is retained`, () => {
      const { world, a } = connected([{ topicFilter: 'inbox/%c', qos: 1 }], {}, undefined, version)
      assert.deepEqual(a.takePayloads(), ['kept'])
      world.publish({ topic: 'inbox/a', payload: 'new', qos: 2 })
      const { payload, qos } = a.takePublish()
      assert.deepEqual([payload, qos], ['new', 1])
      assert.equal(world.metric('subscriptionsAutomatic'), 1)
    })
  }

  test('has the options: no retained messages, No Local, Retain As Published', () => {
    const { world, a } = connected([
      { topicFilter: 'inbox/#', retainHandling: 2, noLocal: true, retainAsPublished: true },
    ])
    a.hasNothing()
    a.publish({ topic: 'inbox/a', payload: 'mine' })
    a.hasNothing()
    world.publish({ topic: 'inbox/a', payload: 'x', retain: true })
    assert.equal(a.takePublish().retain, true)
  })

  test('does not get a subscription to a name that it does not have, or that has a wildcard', () => {
    const rules = [{ topicFilter: 'u/%u' }, { topicFilter: 'c/%c/#' }]
    assert.deepEqual(filtersOf(connected(rules).world, 'a'), ['c/a/#'])
    assert.deepEqual(filtersOf(connected(rules, {}, 'ada').world, 'a'), ['u/ada', 'c/a/#'])
    assert.deepEqual(filtersOf(connected(rules, {}, 'a/+').world, 'a'), ['c/a/#'])
  })

  test('gets it below the mount point, and as it stands though topics are rewritten', () => {
    const topicRewrites = [{ action: 'all', from: 'inbox/#', to: 'other/$1' }] as const
    const world = new World({ autoSubscriptions: [{ topicFilter: 'inbox/%c' }], topicRewrites })
    world.client('a', { settings: { mountPoint: 'm/' } }).connected()
    assert.deepEqual(filtersOf(world, 'a'), ['m/inbox/a'])
  })

  test('may not have what its rights do not allow, also when the answer comes late', () => {
    const decisions: ((reasonCode: ReasonCode) => void)[] = []
    const authorizer: Authorizer = {
      publish: () => 0,
      subscribe: (_client, { topicFilter }, decide) => {
        if (topicFilter === 'no') return ReasonCode.NotAuthorized
        decisions.push(decide)
        return PENDING
      },
    }
    const { world, a } = connected([{ topicFilter: 'no' }, { topicFilter: 'late' }], { authorizer })
    assert.deepEqual(filtersOf(world, 'a'), [])
    world.together(() => decisions[0]!(0))
    assert.deepEqual(filtersOf(world, 'a'), ['late'])
    world.publish({ topic: 'late', payload: 'x' })
    assert.deepEqual(a.takePayloads(), ['x'])
    assert.equal(world.metric('subscriptionsRefused'), 1)
  })

  test('may end it, and has it again with its next CONNECT', () => {
    const { world, a } = connected([{ topicFilter: 'inbox/%c' }])
    a.takePayloads()
    a.unsubscribe('inbox/a')
    assert.deepEqual(filtersOf(world, 'a'), [])
    a.disconnect()
    world.client('a').connected()
    assert.deepEqual(filtersOf(world, 'a'), ['inbox/a'])
  })
})

test('A resumed session keeps its own subscription to that Topic Filter, and is not sent what is retained again', () => {
  const world = new DiskWorld({ autoSubscriptions: [{ topicFilter: 'inbox/%c', qos: 0 }] })
  world.publish({ topic: 'inbox/a', payload: 'kept', retain: true })
  const a = world.client('a')
  world.connected(a)
  assert.deepEqual(a.takePayloads(), ['kept'])
  world.subscribed(a, 'inbox/a', { qos: 2, retainHandling: 2 })
  a.takeAll()
  a.drop()
  const again = world.client('a')
  world.connected(again)
  again.hasNothing()
  world.publish({ topic: 'inbox/a', payload: 'x', qos: 2 })
  world.settle()
  assert.equal(again.takePublish().qos, 2)
})

test('It is on the disk with the session: what comes while the client is away waits', () => {
  const first = new DiskWorld({ autoSubscriptions: [{ topicFilter: 'inbox/%c', qos: 1 }] })
  const a = first.client('a')
  first.connected(a, DURABLE)
  a.drop()
  first.settle()
  const world = first.crash()
  world.publish({ topic: 'inbox/a', payload: 'waits', qos: 1 })
  world.settle()
  const again = world.client('a')
  world.connected(again)
  assert.deepEqual(again.takePayloads(), ['waits'])
})

test('A bridge of Mosquitto’s kind gets none', () => {
  const world = new World({ autoSubscriptions: [{ topicFilter: 'inbox/%c' }] })
  world.client('b', { version: 4 }).connected({ isBridge: true })
  assert.deepEqual(filtersOf(world, 'b'), [])
})
