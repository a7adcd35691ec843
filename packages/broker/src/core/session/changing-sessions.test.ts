/**
 * Sessions that change while they live: how long they are kept, the protocol version, Receive Maximum, Maximum Packet Size and
 * rights, from one connection to the next, with messages in every state.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Puback, Pubcomp, Publish, Pubrec, Pubrel } from '@recado/protocol'
import type { Authorizer, ClientInfo } from '../../ports.ts'
import { DiskWorld, DURABLE } from '../../testing/disk-world.ts'
import { delivered, type TestClient } from '../../testing/test-client.ts'
import type { WorldOptions } from '../../testing/world.ts'

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

function back(world: DiskWorld, clientId: string, properties: { receiveMaximum?: number; maximumPacketSize?: number }) {
  const client = world.client(clientId)
  client.connect({ cleanStart: false, properties: { sessionExpiryIntervalSeconds: 3600, ...properties } })
  return client
}

/** Received packets: payloads of PUBLISH with `!` for DUP, and `PUBREL`. */
function heard(client: TestClient): string[] {
  return client.takeAll().flatMap((packet) => {
    if (packet instanceof Pubrel) return ['PUBREL']
    return packet instanceof Publish ? [`${delivered(packet).payload}${packet.dup ? '!' : ''}`] : []
  })
}

describe('a QoS 2 PUBLISH that waits for the disk while its client comes back', () => {
  const begin = () => {
    const world = new DiskWorld()
    world.durable('s', 't')
    const s = back(world, 's', { receiveMaximum: 20 })
    world.settle()
    heard(s)
    const p = world.client('p')
    p.connected()
    const publish = (payload: string) => p.publish({ topic: 't', payload, qos: 2 })
    for (const payload of ['m1', 'm2', 'm3', 'm4', 'm5']) publish(payload)
    world.settle()
    assert.deepEqual(heard(s), ['m1', 'm2', 'm3', 'm4', 'm5'])
    publish('m6')
    publish('m7')
    return { world, p }
  }

  test('leaves behind what is older, and within the new Receive Maximum [MQTT-4.6.0-6] [MQTT-3.3.4-9]', () => {
    const { world } = begin()
    const s = back(world, 's', { receiveMaximum: 2 })
    world.settle()
    const sent = s.received.filter((packet) => packet instanceof Publish)
    assert.deepEqual(heard(s), ['m1!', 'm2!'])
    s.acknowledges = true
    for (const { packetId } of sent) s.send(new Pubrec(packetId))
    world.settle()
    // One that has never been sent is not a duplicate. [MQTT-4.3.3-2]
    assert.deepEqual(heard(s), ['m3!', 'm4!', 'm5!', 'm6', 'm7'])
    world.settle()
    assert.equal(world.metric('inflight'), 0)
  })

  test('leaves in its turn also when the disk fails meanwhile, and CONNACK has not waited for it', () => {
    const { world } = begin()
    world.disk.failure = new Error('the disk is full')
    world.together(() => world.disk.flush(1))
    const s = back(world, 's', { receiveMaximum: 2 })
    assert.deepEqual(heard(s), ['m1!', 'm2!'])
    world.disk.failure = null
    world.advance(1_100)
    world.settle()
    assert.deepEqual(heard(s), [], 'more than the Receive Maximum')
    s.acknowledges = true
    for (const packetId of [1, 2]) s.send(new Pubrec(packetId))
    for (let i = 0; i < 4; i++) world.settle()
    assert.deepEqual(heard(s), ['m3!', 'm4!', 'm5!', 'm6', 'm7'])
    assert.equal(world.metric('inflight'), 0)
  })

  test('leaves once, and without DUP, where the Receive Maximum has room for it', () => {
    const { world } = begin()
    const s = back(world, 's', { receiveMaximum: 20 })
    world.settle()
    assert.deepEqual(heard(s), ['m1!', 'm2!', 'm3!', 'm4!', 'm5!', 'm6', 'm7'])
  })

  test('is sent without DUP when its client was away meanwhile', () => {
    const { world } = begin()
    world.core.sessions.get('s')!.connection!.destroy()
    world.settle()
    const s = back(world, 's', { receiveMaximum: 20 })
    world.settle()
    assert.deepEqual(heard(s), ['m1!', 'm2!', 'm3!', 'm4!', 'm5!', 'm6', 'm7'])
  })

  test('is sent with DUP after a crash: nobody knows whether it has left', () => {
    const { world } = begin()
    world.settle()
    const again = world.crash()
    const s = back(again, 's', { receiveMaximum: 20 })
    again.settle()
    assert.deepEqual(heard(s), ['m1!', 'm2!', 'm3!', 'm4!', 'm5!', 'm6!', 'm7!'])
  })
})

describe('what was in flight and may not be sent again', () => {
  /** One QoS 1 message and two QoS 2 messages are with the client, which has answered PUBREC to the last. */
  const begin = (options: WorldOptions = {}) => {
    const world = new DiskWorld(options)
    const s = world.durable('s', 't/#')
    const p = world.client('p')
    p.connected()
    p.publish({ topic: 't/one', payload: 'one '.repeat(50), qos: 1 })
    p.publish({ topic: 't/two', payload: 'two '.repeat(50), qos: 2 })
    p.publish({ topic: 't/three', payload: 'three '.repeat(50), qos: 2 })
    world.settle()
    const sent = s.takeAll() as Publish[]
    assert.equal(sent.length, 3)
    s.send(new Pubrec(sent.find(({ topic }) => topic === 't/three')!.packetId))
    world.settle()
    assert.deepEqual(heard(s), ['PUBREL'])
    return { world, p }
  }

  /** Only the flows of QoS 2 go on, to their end, and then nothing is left. */
  const isOver = (world: DiskWorld, s: TestClient): void => {
    world.settle()
    const pubrels = s.takeAll().filter((packet) => packet instanceof Pubrel)
    assert.equal(pubrels.length, 2, 'PUBREL, but no PUBLISH')
    for (const { packetId } of pubrels) s.send(new Pubcomp(packetId))
    world.settle()
    s.hasNothing()
    assert.equal(world.metric('inflight'), 0)
  }

  for (const how of ['reconnects', 'comes back after a crash']) {
    test(`because it is larger than the new Maximum Packet Size, is given up when its client ${how}`, () => {
      let { world } = begin()
      if (how !== 'reconnects') world = world.crash()
      const s = back(world, 's', { maximumPacketSize: 100 })
      world.settle()
      s.received.shift()
      isOver(world, s)
      assert.equal(world.metric('dropped.packet-too-large'), 2)
      const after = back(world, 's', {})
      world.settle()
      assert.deepEqual(heard(after), [])
    })

    test(`because a right was withdrawn, is given up when its client ${how}`, () => {
      let isAllowed = true
      const authorizer: Authorizer = { publish: () => 0, subscribe: () => 0, mayReceive: () => isAllowed }
      let { world } = begin({ authorizer })
      isAllowed = false
      world.core.recheck()
      if (how !== 'reconnects') world = world.crash()
      const s = back(world, 's', {})
      world.settle()
      s.received.shift()
      isOver(world, s)
      assert.equal(world.metric('dropped.not-authorized'), 2)
      isAllowed = true
      const after = back(world, 's', {})
      world.settle()
      assert.deepEqual(heard(after), [])
    })
  }

  test('goes to nobody else who comes with the same Client Identifier', () => {
    const mayReceive = ({ username }: ClientInfo): boolean => username !== 'eve'
    const { world } = begin({ authorizer: { publish: () => 0, subscribe: () => 0, mayReceive } })
    const eve = world.client('s')
    eve.connect({ ...DURABLE, username: 'eve' })
    world.settle()
    eve.received.shift()
    isOver(world, eve)
  })

  test('a right that is withdrawn while a QoS 2 message waits for the disk holds for it', () => {
    let isAllowed = true
    const world = new DiskWorld({ authorizer: { publish: () => 0, subscribe: () => 0, mayReceive: () => isAllowed } })
    const s = world.durable('s', 't')
    const p = world.client('p')
    p.connected()
    p.publish({ topic: 't', payload: 'secret', qos: 2 })
    isAllowed = false
    world.core.recheck()
    world.settle()
    s.hasNothing()
    p.take(Pubrec)
    assert.equal(world.metric('dropped.not-authorized'), 1)
    assert.equal(world.metric('inflight'), 0)
  })

  test('frees its packet id only with PUBCOMP: the next QoS 2 message is not taken for it', () => {
    const { world, p } = begin()
    const s = back(world, 's', { maximumPacketSize: 100 })
    s.acknowledges = true
    world.settle()
    heard(s)
    p.publish({ topic: 't/x', payload: 'next', qos: 2 })
    world.settle()
    assert.deepEqual(heard(s), ['next'])
  })
})
