import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PacketType, Pingreq } from '@recado/protocol'
import { World, will } from '../../testing/mod.ts'

const names = new Map(Object.entries(PacketType).map(([name, type]) => [type as number, name]))

test('each packet is told to whoever wants to know of it, without payloads', () => {
  const world = new World({
    trace: true,
    authorizer: {
      publish: (_client, topic) => (topic === 'forbidden' ? 0x87 : 0),
      subscribe: () => 0,
    },
  })
  const a = world.client('a')
  a.acknowledges = true
  a.connected({ will: will({ topic: 'gone' }) })
  a.subscribe('t/#', { qos: 1 })
  a.publish({ topic: 't/1', payload: 'hello', qos: 1, retain: true })
  a.publish({ topic: 'forbidden', payload: 'x', qos: 2 })
  a.takeAll()
  a.unsubscribe('t/#')
  a.send(new Pingreq())
  const told = world.events.flatMap(({ name, event }) => {
    if (name !== 'packet.received' && name !== 'packet.sent') return []
    const { type, ...rest } = event.packet
    return [[name === 'packet.sent' ? 'to' : 'from', names.get(type), rest]]
  })
  const publish = { packetId: 2, qos: 1, dup: false, topic: 't/1', payloadBytes: 5 }
  assert.deepEqual(told, [
    ['from', 'CONNECT', { isRefused: false }],
    ['to', 'CONNACK', { reasonCode: 0, sessionPresent: false }],
    ['from', 'SUBSCRIBE', { packetId: 1, isRefused: false }],
    ['to', 'SUBACK', { packetId: 1 }],
    ['from', 'PUBLISH', { ...publish, retain: true, reasonCode: 0, isRefused: false }],
    ['to', 'PUBLISH', { ...publish, packetId: 1, retain: false }],
    ['to', 'PUBACK', { packetId: 2, reasonCode: 0 }],
    ['from', 'PUBACK', { packetId: 1, reasonCode: 0, isRefused: false }],
    [
      'from',
      'PUBLISH',
      {
        packetId: 3,
        qos: 2,
        retain: false,
        dup: false,
        topic: 'forbidden',
        payloadBytes: 1,
        reasonCode: 0x87,
        isRefused: true,
      },
    ],
    ['to', 'PUBREC', { packetId: 3, reasonCode: 0x87 }],
    ['from', 'UNSUBSCRIBE', { packetId: 4, topicFilters: ['t/#'], isRefused: false }],
    ['to', 'UNSUBACK', { packetId: 4 }],
    ['from', 'PINGREQ', { isRefused: false }],
    ['to', 'PINGRESP', {}],
  ])
})
