import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, ReasonCode, Suback, Subscribe, Unsuback, Unsubscribe } from '@recado/protocol'
import type { Authorizer } from '../../ports.ts'
import { subscriptionTo, will } from '../../testing/test-client.ts'
import { World, type WorldOptions } from '../../testing/world.ts'
import type { TopicRewrite } from '../base/topic-rewrites.ts'

const OLD_TO_NEW: TopicRewrite = { action: 'all', from: 'old/#', to: 'new/$1' }

function worldWith(topicRewrites: readonly TopicRewrite[] = [OLD_TO_NEW], options: WorldOptions = {}): World {
  return new World({ ...options, topicRewrites })
}

test('A message is published to the topic that its own becomes, also with a Topic Alias and RETAIN', () => {
  const world = worldWith()
  const watch = world.client('watch')
  watch.connected()
  watch.subscribe('#')
  const a = world.client('a')
  a.connected()
  a.publish({ topic: 'old/t', payload: '1', retain: true, properties: { topicAlias: 1 } })
  a.publish({ topic: '', payload: '2', properties: { topicAlias: 1 } })
  assert.deepEqual([watch.takePublish().topic, watch.takePublish().topic], ['new/t', 'new/t'])
  assert.equal(world.core.retained.get('old/t'), undefined)
  assert.notEqual(world.core.retained.get('new/t'), undefined)
  assert.equal(world.metric('topicsRewritten'), 2)
})

test('A subscription is to the Topic Filter that its own becomes, with its retained messages, and ends by its own', () => {
  const world = worldWith()
  world.publish({ topic: 'new/kept', payload: 'kept', retain: true })
  const a = world.client('a')
  a.connected()
  a.subscribe('old/+')
  assert.deepEqual(a.takePayloads(), ['kept'])
  world.publish({ topic: 'new/t', payload: 'now' })
  assert.deepEqual(a.takePublish().topic, 'new/t')
  a.send(new Unsubscribe(9, ['old/+', 'old/+']))
  assert.deepEqual(a.take(Unsuback).reasonCodes, [ReasonCode.Success, ReasonCode.NoSubscriptionExisted])
  world.publish({ topic: 'new/t', payload: 'later' })
  a.hasNothing()
})

test('The group of a Shared Subscription stays', () => {
  const world = worldWith()
  const a = world.client('a')
  a.connected()
  a.subscribe('$share/g/old/#')
  world.publish({ topic: 'new/t', payload: 'x' })
  assert.deepEqual(a.takePayloads(), ['x'])
  assert.equal(world.metric('sharedSubscriptions'), 1)
})

test('A result that is no Topic Filter is refused with 0x8F', () => {
  const world = worldWith([{ action: 'subscribe', from: 'old/#', to: '$1/end' }])
  const a = world.client('a')
  a.connected()
  a.send(new Subscribe(1, [subscriptionTo('old/#'), subscriptionTo('old/a')]))
  assert.deepEqual(a.take(Suback).reasonCodes, [ReasonCode.TopicFilterInvalid, 2])
})

test('Rights are those of the result, for PUBLISH, SUBSCRIBE and Will', () => {
  const asked: string[] = []
  const authorizer: Authorizer = {
    publish: (_client, topic) => {
      asked.push(`publish ${topic}`)
      return topic.startsWith('new/') ? ReasonCode.NotAuthorized : 0
    },
    subscribe: (_client, { topicFilter }) => {
      asked.push(`subscribe ${topicFilter}`)
      return ReasonCode.NotAuthorized
    },
  }
  const world = worldWith([OLD_TO_NEW], { authorizer })
  const a = world.client('a')
  a.connected()
  a.publish({ topic: 'old/t', qos: 1 })
  assert.equal(a.take(Puback).reasonCode, ReasonCode.NotAuthorized)
  a.send(new Subscribe(1, [subscriptionTo('old/t')]))
  assert.deepEqual(a.take(Suback).reasonCodes, [ReasonCode.NotAuthorized])
  world.client('b').connect({ will: will({ topic: 'old/w' }) })
  assert.deepEqual(asked, ['publish new/t', 'subscribe new/t', 'publish new/w'])
  assert.equal(world.eventsOf('connection.refused')[0]?.reasonCode, ReasonCode.NotAuthorized)
})

test('The mount point stands before the result, and a delay before what is rewritten', () => {
  const world = worldWith([OLD_TO_NEW], { delayedPublish: true })
  const watch = world.client('watch')
  watch.connected({ keepAliveSeconds: 0 })
  watch.subscribe('#')
  const a = world.client('a', { settings: { mountPoint: 'm/' } })
  a.connected({ keepAliveSeconds: 0 })
  a.publish({ topic: 'old/t' })
  a.publish({ topic: '$delayed/1/old/later' })
  world.advance(1_200)
  assert.deepEqual([watch.takePublish().topic, watch.takePublish().topic], ['m/new/t', 'm/new/later'])
})

test('Rules that a reload changes hold from then on', () => {
  const world = worldWith([])
  const a = world.client('a')
  a.connected()
  a.subscribe('#')
  a.publish({ topic: 'old/1' })
  const { options } = world.core
  world.core.reconfigure({ options: { ...options, topicRewrites: [OLD_TO_NEW] } })
  a.publish({ topic: 'old/2' })
  world.core.reconfigure({ options: { ...options, topicRewrites: [] } })
  a.publish({ topic: 'old/3' })
  assert.deepEqual(
    [1, 2, 3].map(() => a.takePublish().topic),
    ['old/1', 'new/2', 'old/3'],
  )
})
