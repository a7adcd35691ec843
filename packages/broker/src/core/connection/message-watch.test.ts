/** Messages that are followed on their way: what the watch is told, and when. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Puback, Pubrec } from '@recado/protocol'
import type { MessageWatch } from '../../ports.ts'
import { DiskWorld, World } from '../../testing/mod.ts'
import { MessageCountdown } from '../base/message-countdown.ts'

/** A watch that follows topics that begin with `seen`, and keeps what it is told. */
function watchOf(): { watch: MessageWatch; told: string[] } {
  const told: string[] = []
  const watch: MessageWatch = {
    published(client, { topic, qos }) {
      told.push(`published ${topic} by ${client?.clientId} at QoS ${qos}`)
      return topic.startsWith('seen')
    },
    delivered: (client, { topic }) => void told.push(`delivered ${topic} to ${client.clientId}`),
    acknowledged: ({ topic }) => void told.push(`acknowledged ${topic}`),
    committed: () => void told.push('committed'),
  }
  return { watch, told }
}

test('a followed message is told of when it is published, delivered and acknowledged; others only when published', () => {
  const world = new World()
  const { watch, told } = watchOf()
  const s = world.client('s')
  s.connected()
  s.subscribe('#', { qos: 1 })
  const p = world.client('p')
  p.connected()
  world.core.watch(new MessageCountdown(watch))
  p.publish({ topic: 'seen', qos: 1 })
  p.publish({ topic: 'seen/0' })
  p.publish({ topic: 'other', qos: 2 })
  world.core.watch(null)
  p.publish({ topic: 'seen', qos: 1 })
  assert.deepEqual(told, [
    'published seen by p at QoS 1',
    'delivered seen to s',
    'acknowledged seen',
    'published seen/0 by p at QoS 0',
    'delivered seen/0 to s',
    'published other by p at QoS 2',
  ])
})

test('the acknowledgement of a followed message is told of when the disk has it, and the batch as well', () => {
  const world = new DiskWorld()
  const { watch, told } = watchOf()
  world.durable('s', '#').drop()
  const p = world.client('p')
  p.connected()
  world.core.watch(new MessageCountdown(watch))
  world.together(() => {
    p.publish({ topic: 'seen/1', qos: 1 })
    p.publish({ topic: 'seen/2', qos: 2 })
  })
  assert.deepEqual(told.slice(0, 2), ['published seen/1 by p at QoS 1', 'published seen/2 by p at QoS 2'])
  assert.ok(!told.includes('acknowledged seen/1'))
  world.settle()
  p.take(Puback)
  p.take(Pubrec)
  assert.deepEqual(told.slice(2).sort(), ['acknowledged seen/1', 'acknowledged seen/2', 'committed'])
})
