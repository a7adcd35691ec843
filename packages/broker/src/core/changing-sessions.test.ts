/**
 * Sessions that change while they live: how long they are kept, the protocol version, Receive Maximum, Maximum Packet Size and
 * rights, from one connection to the next, with messages in every state.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Pubrec } from '@recado/protocol'
import { DiskWorld, DURABLE } from '../testing/disk-world.ts'

/** Resumes the session, and wants it no longer than this connection. */
const untilClosed = { cleanStart: false }

describe('a durable session whose client comes back and wants it no longer than its connection', () => {
  for (const version of [5, 4] as const) {
    const from = version === 5 ? 'from 5.0' : 'from 3.1.1'

    const comesBack = () => {
      const world = new DiskWorld()
      const before = world.client('s', { version })
      world.connected(before, version === 5 ? DURABLE : untilClosed)
      before.disconnect()
      const s = world.client('s')
      assert.ok(world.connected(s, untilClosed).sessionPresent)
      world.subscribed(s, 't/+')
      const p = world.client('p')
      p.connected()
      return { world, s, p }
    }

    for (const qos of [1, 2] as const) {
      test(`gets a message of QoS ${qos} and acknowledges it (${from})`, () => {
        const { world, s, p } = comesBack()
        s.acknowledges = true
        p.publish({ topic: 't/e', payload: 'one', qos })
        world.settle()
        assert.deepEqual(s.takePayloads(), ['one'])
        if (qos === 1) p.take(Puback)
        else p.take(Pubrec)
        assert.equal(world.metric('inflight'), 0)
      })

      test(`gets a retained message of QoS ${qos} (${from})`, () => {
        const { world, s, p } = comesBack()
        p.publish({ topic: 'r/e', payload: 'kept', qos, retain: true })
        world.settle()
        world.subscribed(s, 'r/+')
        world.settle()
        assert.deepEqual(s.takePayloads(), ['kept'])
      })

      test(`is over after a crash, with all that it had at QoS ${qos} (${from})`, () => {
        const { world, s, p } = comesBack()
        p.publish({ topic: 't/e', payload: 'one', qos })
        world.settle()
        s.takePayloads()
        const again = world.crash()
        assert.ok(!again.connected(again.client('s'), untilClosed).sessionPresent)
      })
    }
  }
})
