/** What a broker knows again after its end, orderly or not. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Pubrec, ReasonCode } from '@recado/protocol'
import { DiskWorld } from '../testing/disk-world.ts'
import type { WorldOptions } from '../testing/world.ts'

describe('a queue that was full before the broker ended refuses the next message, and nothing is acknowledged that is not kept', () => {
  const cases: [what: string, limits: WorldOptions['limits'], payloadBytes: number][] = [
    ['by messages', { queueMessagesMax: 3 }, 2],
    ['by bytes', { queueBytesMax: 100_000 }, 33_000],
  ]
  for (const [what, limits = {}, payloadBytes] of cases) {
    for (const qos of [1, 2] as const) {
      test(`${what}, QoS ${qos}`, () => {
        const payload = (name: string): string => name.padEnd(payloadBytes, '.')
        let world = new DiskWorld({ limits })
        world.durable('s', 't/#').drop()
        const publish = (name: string): number => {
          const p = world.client('p')
          p.connected()
          p.publish({ topic: `t/${name}`, payload: payload(name), qos })
          world.settle()
          const { reasonCode } = qos === 1 ? p.take(Puback) : p.take(Pubrec)
          p.disconnect()
          return reasonCode
        }
        assert.deepEqual(['a0', 'a1', 'a2', 'a3'].map(publish), [0, 0, 0, ReasonCode.QuotaExceeded])
        world = world.crash()
        assert.equal(publish('b0'), ReasonCode.QuotaExceeded)
        const back = world.client('s')
        back.acknowledges = true
        world.connected(back)
        assert.deepEqual(back.takePayloads(), ['a0', 'a1', 'a2'].map(payload))
        assert.equal(publish('c0'), 0)
      })
    }
  }
})

test('a retained message that expires after the restart goes, also when nobody asks for it', () => {
  const world = new DiskWorld()
  const p = world.client('p')
  p.connected()
  p.publish({ topic: 't', payload: 'x', retain: true, properties: { messageExpiryIntervalSeconds: 100 } })
  p.publish({ topic: 'stays', payload: 'x', retain: true })
  world.settle()
  const again = world.crash()
  assert.equal(again.metric('retainedMessages'), 2)
  again.advance(200_000)
  assert.equal(again.metric('retainedMessages'), 1)
})
