/** State that a broker has again after its end, orderly or not. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Connack, Puback, Pubrec, ReasonCode } from '@recado/protocol'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import type { WorldOptions } from '../../testing/world.ts'

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

test('with upgradeQoS what was published at QoS 0 waits on the disk, and is in flight, at the QoS of the subscription', () => {
  let world = new DiskWorld({ upgradeQoS: true })
  const s = world.client('s')
  world.connected(s)
  world.subscribed(s, 't', { qos: 2 })
  world.publish({ topic: 't', payload: 'in flight' })
  world.settle()
  assert.equal(s.takePublish().qos, 2)
  s.drop()
  world.publish({ topic: 't', payload: 'waits' })
  world = world.settle().crash()
  const back = world.client('s')
  world.connected(back)
  const [again, next] = [back.takePublish(), back.takePublish()]
  assert.deepEqual([again.payload, again.qos, again.dup], ['in flight', 2, true])
  assert.deepEqual([next.payload, next.qos, next.dup], ['waits', 2, false])
})

/** A world with 1,250 messages for `s`, which is away, most of them on the disk only; `p` is their publisher. */
function queuedOnDisk() {
  const world = new DiskWorld({ limits: { anonymousQueueMessagesMax: 100_000 } })
  world.durable('s', 't').drop()
  const p = world.client('p')
  p.connected()
  for (let part = 0; part < 5; part++) {
    world.together(() => {
      for (let i = 0; i < 250; i++) p.publish({ topic: 't', payload: `${i}`, qos: 1 })
    })
    world.settle()
  }
  return { world, p }
}

test('a session that ends counts every message that it drops, also those that are on the disk only', () => {
  const { world } = queuedOnDisk()
  assert.equal(world.metric('queuedMessages'), 1_250)
  world.core.removeSession('s')
  assert.equal(world.metric('dropped.session-ended'), 1_250)
  const again = world.settle().crash()
  assert.equal(again.metric('queuedMessages'), 0)
})

test('a queue that an operator empties is empty on the disk, too, and takes new messages in order', () => {
  const { world, p } = queuedOnDisk()
  assert.equal(world.core.drain('nobody'), null)
  assert.equal(world.core.drain('s'), 1_250)
  assert.deepEqual(
    [world.metric('queuedMessages'), world.metric('queuedBytes'), world.metric('dropped.drained')],
    [0, 0, 1_250],
  )
  // Before the rows are gone from the disk.
  world.together(() => {
    for (const payload of ['new 1', 'new 2']) p.publish({ topic: 't', payload, qos: 1 })
  })
  world.settle()
  const again = world.settle().crash()
  assert.equal(again.metric('queuedMessages'), 2)
  const back = again.client('s')
  back.acknowledges = true
  again.connected(back)
  assert.deepEqual(back.takePayloads(), ['new 1', 'new 2'])
})

test('a publisher that waits for a queue gets its acknowledgement when an operator empties it', () => {
  const world = new DiskWorld()
  world.durable('s', 't').drop()
  const p = world.client('p')
  p.connected()
  p.publish({ topic: 't', payload: 'x', qos: 1 })
  assert.equal(world.core.drain('s'), 1)
  world.settle()
  assert.equal(p.take(Puback).reasonCode, 0)
  assert.equal(world.settle().crash().metric('queuedMessages'), 0)
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

describe('Session Expiry of a client that was connected when the broker was killed [MQTT-4.1.0-2]', () => {
  /** A client with this Session Expiry Interval says nothing for so long; then the broker is down for a while. */
  const isPresentAfter = (
    expirySeconds: number,
    quietMs: number,
    downMs: number,
  ): { isPresent: boolean; writes: number } => {
    const world = new DiskWorld({ limits: { sessionExpirySecondsMax: 0xffff_ffff } })
    const connect = {
      cleanStart: false,
      properties: { sessionExpiryIntervalSeconds: expirySeconds },
      keepAliveSeconds: 0,
    }
    world.connected(world.client('s'), connect)
    const before = world.disk.writes
    for (let at = 0; at < quietMs; at += 500) {
      world.advance(200)
      world.settle()
    }
    const again = world.crash(downMs)
    const writes = world.disk.writes - before
    return { isPresent: again.connected(again.client('s'), connect).sessionPresent, writes }
  }

  test('runs while the broker is down', () => {
    assert.equal(isPresentAfter(2, 0, 6_000).isPresent, false)
    assert.equal(isPresentAfter(2, 20_000, 6_000).isPresent, false)
    assert.equal(isPresentAfter(60, 300_000, 121_000).isPresent, false)
  })

  test('does not begin before the broker was killed, however long nothing had happened', () => {
    assert.equal(isPresentAfter(2, 60_000, 500).isPresent, true)
    assert.equal(isPresentAfter(60, 600_000, 50_000).isPresent, true)
    assert.equal(isPresentAfter(86_400, 600_000, 80_000_000).isPresent, true)
  })

  test('costs a write now and then, and none for a session that never expires', () => {
    assert.equal(isPresentAfter(0xffff_ffff, 600_000, 1e12).isPresent, true)
    assert.ok(isPresentAfter(0xffff_ffff, 600_000, 0).writes <= 1)
    const { writes } = isPresentAfter(3600, 600_000, 0)
    assert.ok(writes >= 5 && writes <= 12, `${writes} writes in ten minutes`)
  })
})

test('Packet Identifiers do not begin again after a restart: a client may still know one of before', () => {
  for (const answers of ['recado', 'mosquitto-2.1'] as const) {
    let world = new DiskWorld({ answers })
    const given: number[][] = []
    for (let start = 0; start < 3; start++) {
      const s = world.client('s')
      s.acknowledges = true
      world.connected(s)
      if (start === 0) world.subscribed(s, 't', { qos: 2 })
      const packetIds: number[] = []
      for (let i = 0; i < 4; i++) {
        world.publish({ topic: 't', payload: `${i}`, qos: 2 })
        world.settle()
        packetIds.push(s.takePublish().packetId)
      }
      given.push(packetIds)
      world = world.settle().crash(2_000)
    }
    const different = new Set(given.flat()).size
    assert.deepEqual(given[0], [1, 2, 3, 4])
    assert.equal(different, answers === 'recado' ? 12 : 4, `${answers}: ${given.join(' ')}`)
  }
})

describe('messages at QoS 0 that wait on the disk (4.3.1)', () => {
  const PAYLOADS = ['1', '2', '3', '4']

  /** A world in which they wait for `s`, behind one at QoS 1. */
  function waiting(): DiskWorld {
    const world = new DiskWorld({ queueQoS0: true })
    const s = world.durable('s', 't')
    s.drop()
    for (const payload of PAYLOADS) world.publish({ topic: 't', payload })
    return world.settle()
  }

  for (const inFlight of ['lost', 'durable'] as const)
    test(`come once or not at all, whenever the broker is killed; the batch on its way is ${inFlight}`, () => {
      let came = 0
      for (let batches = 0; batches < 8; batches++) {
        let world = waiting()
        let s = world.client('s')
        s.connect(DURABLE)
        for (let i = 0; i < batches; i++) {
          world.advance(60)
          world.together(() => world.disk.flush())
        }
        if (s.received[0] instanceof Connack) s.take(Connack)
        const first = s.takePayloads()
        // However often it is killed before the client is back.
        world = world.crash(0, { queueQoS0: true }, inFlight).settle().crash()
        s = world.client('s')
        world.connected(s)
        world.settle()
        const all = [...first, ...s.takePayloads()]
        assert.deepEqual(all, [...new Set(all)].sort(), `after ${batches} batches`)
        came = Math.max(came, all.length)
        world.publish({ topic: 't', payload: 'new' })
        world.settle()
        assert.deepEqual(s.takePayloads(), ['new'])
        assert.equal(world.metric('queuedMessages'), 0)
      }
      assert.equal(came, PAYLOADS.length)
    })

  test('are there after an orderly end in the middle, all that have not been sent', () => {
    let world = waiting()
    let s = world.client('s')
    world.connected(s)
    s.drop()
    world = world.settle().crash(0)
    const first = s.takePayloads()
    s = world.client('s')
    world.connected(s)
    world.settle()
    assert.deepEqual([...first, ...s.takePayloads()], PAYLOADS)
  })

  test('are sent at once while the disk fails', () => {
    const world = waiting()
    world.disk.failure = new Error('full')
    world.client('p').connect(DURABLE)
    world.settle()
    const s = world.client('s')
    world.connected(s)
    assert.deepEqual(s.takePayloads(), PAYLOADS)
  })
})
