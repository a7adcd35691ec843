/** The state of a broker before its end and after the next start is the same, for states of every kind. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Pubcomp, type Publish, Pubrec, type QoS, ReasonCode, Unsubscribe } from '@recado/protocol'
import { DiskWorld, DURABLE } from './disk-world.ts'
import { type BrokerState, differences, stateOf } from './state.ts'
import { type TestClient, will } from './test-client.ts'
import type { WorldOptions } from './world.ts'

interface State {
  readonly what: string
  readonly options?: WorldOptions
  prepare(world: DiskWorld): void
}

/** Publishes one message after the other, as somebody who does not outlive the broker. */
function publish(
  world: DiskWorld,
  topics: readonly string[],
  fields: Partial<Parameters<TestClient['publish']>[0]> = {},
): void {
  const p = world.client('p')
  world.connected(p, { cleanStart: true })
  for (const [i, topic] of topics.entries()) {
    p.publish({ topic, payload: `${topic} ${i}`, qos: ((i % 2) + 1) as QoS, ...fields })
    world.settle()
  }
  p.drop()
}

const many = (topic: string, count: number): string[] => new Array<string>(count).fill(topic)

function back(world: DiskWorld, clientId: string, receiveMaximum = 100): TestClient {
  const client = world.client(clientId)
  world.connected(client, {
    cleanStart: false,
    properties: { sessionExpiryIntervalSeconds: 3600, receiveMaximum },
  })
  return client
}

const states: readonly State[] = [
  { what: 'nothing', prepare: () => {} },
  {
    what: 'subscriptions with all options, changed and ended',
    prepare: (world) => {
      const s = world.durable('s', 'a', 'b/+', 'c/#', '$share/g/d')
      world.subscribed(s, 'a', { qos: 1, noLocal: true, retainAsPublished: true })
      world.connected(world.client('other'), { ...DURABLE, properties: { sessionExpiryIntervalSeconds: 0xffff_ffff } })
      s.send(new Unsubscribe(s.packetId(), ['c/#']))
    },
  },
  {
    what: 'messages that wait, of each QoS, with properties and an expiry',
    prepare: (world) => {
      world.durable('s', 't/#').drop()
      world.durable('other', 't/+').drop()
      publish(world, ['t/a', 't/b/c', 't/d'])
      publish(world, ['t/e'], {
        qos: 2,
        retain: true,
        properties: {
          messageExpiryIntervalSeconds: 500,
          userProperties: [['a', 'b']],
          correlationData: Uint8Array.of(1, 2),
          contentType: 'text/plain',
          responseTopic: 'answer',
          payloadFormatIndicator: 1,
        },
      })
    },
  },
  {
    what: 'a queue that is longer than its part in memory',
    prepare: (world) => {
      world.durable('s', 't').drop()
      const p = world.client('p')
      world.connected(p, { cleanStart: true })
      world.together(() => {
        for (let i = 0; i < 1_200; i++) p.publish({ topic: 't', payload: `${i}`, qos: 1 })
      })
      world.settle()
      p.drop()
    },
  },
  {
    what: 'a full queue, by messages',
    options: { limits: { queueMessagesMax: 3 } },
    prepare: (world) => {
      world.durable('s', 't').drop()
      publish(world, many('t', 5))
    },
  },
  {
    what: 'a full queue, by bytes',
    options: { limits: { queueBytesMax: 1_000 } },
    prepare: (world) => {
      world.durable('s', 't').drop()
      publish(world, many('t', 5), { payload: 'x'.repeat(300) })
    },
  },
  {
    what: 'a queue that gives up its oldest, with QoS 0',
    options: { overflow: 'drop-oldest', queueQoS0: true, limits: { queueMessagesMax: 3 } },
    prepare: (world) => {
      world.durable('s', 't').drop()
      publish(world, many('t', 3))
      publish(world, many('t', 2), { qos: 0 })
    },
  },
  {
    what: 'messages in flight, in each state, and more that wait behind a Receive Maximum',
    prepare: (world) => {
      world.durable('s', 't/#').drop()
      const s = back(world, 's', 6)
      publish(world, ['t/0', 't/1', 't/2', 't/3', 't/4', 't/5', 't/6', 't/7'])
      const sent = s.takeAll() as Publish[]
      assert.equal(sent.length, 6)
      s.send(new Pubrec(sent[3]!.packetId))
      world.settle()
      s.send(new Pubrec(sent[1]!.packetId))
      world.settle()
      s.send(new Pubcomp(sent[3]!.packetId), new Puback(sent[4]!.packetId))
      world.settle()
    },
  },
  {
    what: 'messages that went out twice, over a smaller Receive Maximum the second time',
    prepare: (world) => {
      world.durable('s', 't/#').drop()
      back(world, 's', 6)
      publish(world, many('t/a', 6), { qos: 2 })
      back(world, 's', 2)
      publish(world, many('t/a', 2), { qos: 2 })
    },
  },
  {
    what: 'received QoS 2 messages that are not released',
    prepare: (world) => {
      const s = world.durable('s', 't')
      s.publish({ topic: 't', qos: 2, packetId: 7 })
      s.publish({ topic: 'r', qos: 2, packetId: 9, retain: true, payload: 'x' })
      s.publish({ topic: 'nobody', qos: 2, packetId: 11 })
    },
  },
  {
    what: 'retained messages, replaced, removed and with an expiry',
    prepare: (world) => {
      publish(world, ['r/a', 'r/b', 'r/c', 'r/a'], { retain: true })
      publish(world, ['r/b'], { retain: true, payload: '' })
      publish(world, ['r/d'], { retain: true, properties: { messageExpiryIntervalSeconds: 100 } })
    },
  },
  {
    what: 'Wills that wait for their delay, and one that does not wait',
    prepare: (world) => {
      const properties = { willDelayIntervalSeconds: 300, userProperties: [['a', 'b']] as [string, string][] }
      const connect = { ...DURABLE, will: will({ topic: 'w', payload: 'late', qos: 1, retain: true, properties }) }
      world.connected(world.client('s'), connect)
      world.connected(world.client('now'), {
        ...DURABLE,
        will: will({ topic: 'w/now', qos: 1, retain: true, payload: 'x' }),
      })
      world.durable('watcher', 'w/#').drop()
    },
  },
  {
    what: 'members of a Shared Subscription with messages, waiting and in flight',
    prepare: (world) => {
      world.durable('s', '$share/g/t').drop()
      world.durable('other', '$share/g/t', 't').drop()
      publish(world, many('t', 4))
      back(world, 's', 1)
    },
  },
  {
    what: 'a session that is wanted no longer, and one that is kept longer since DISCONNECT',
    prepare: (world) => {
      world.durable('s', 't').drop()
      publish(world, many('t', 2))
      world.connected(world.client('s'), { cleanStart: false })
      publish(world, many('t', 2))
      world.durable('longer', 't').disconnect(0, { sessionExpiryIntervalSeconds: 10_000 })
      world.durable('over', 't').disconnect(0, { sessionExpiryIntervalSeconds: 0 })
    },
  },
  {
    what: '3.1.1 after 5.0, and 5.0 after 3.1.1',
    prepare: (world) => {
      world.durable('s', 't').drop()
      publish(world, many('t', 2))
      world.connected(world.client('s', { version: 4 }), { cleanStart: false })
      publish(world, many('t', 2))
      const old = world.client('old', { version: 4 })
      world.connected(old, { cleanStart: false })
      world.subscribed(old, 't')
      old.drop()
      publish(world, many('t', 2))
      back(world, 'old', 1)
    },
  },
]

type End = (world: DiskWorld) => { before: BrokerState; again: DiskWorld }

const ends: Record<string, End> = {
  'an orderly end': (world) => {
    world.core.shutDown(ReasonCode.ServerShuttingDown, 'the end')
    world.settle()
    const before = stateOf(world.core)
    world.core.finish(() => {})
    world.settle()
    return { before, again: world.crash() }
  },
  'a crash when all clients are gone': (world) => {
    for (const connection of [...world.core.connections]) connection.transport.destroy()
    world.settle()
    return { before: stateOf(world.core), again: world.crash() }
  },
}

for (const [name, end] of Object.entries(ends)) {
  describe(`after ${name} the broker knows again`, () => {
    for (const { what, options, prepare } of states) {
      test(what, () => {
        const world = new DiskWorld(options)
        prepare(world)
        world.settle()
        const { before, again } = end(world)
        assert.deepEqual(differences(before, stateOf(again.core)), [])
      })
    }
  })
}

test('a difference says where it is', () => {
  const world = new DiskWorld()
  world.durable('s', 't').drop()
  const before = stateOf(world.core)
  publish(world, ['t'])
  const lines = differences(before, stateOf(world.core))
  assert.ok(lines.includes('sessions.s.queue.length: 0 before, 1 after'), lines.join('\n'))
  assert.ok(
    lines.some((line) => line.startsWith('sessions.s.queue.messages.0: nothing before, {')),
    lines.join('\n'),
  )
  assert.ok(lines.includes('gauges.queuedMessages: 0 before, 1 after'), lines.join('\n'))
})
