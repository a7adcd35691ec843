import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encode, Pingreq, Pingresp } from '@recado/protocol'
import { decideLater, type TestClient, World } from '../testing/mod.ts'

describe('its share of a turn', () => {
  test('a connection that has sent a great many packets goes on in the next turn, others come first', () => {
    const world = new World()
    const [flood, a] = ['flood', 'a'].map((name) => world.client(name)) as [TestClient, TestClient]
    flood.connected()
    a.connected()
    a.subscribe('t')
    let pings = 0
    let pingsBefore = -1
    const watch = (): void => {
      pings += flood.takeAll().length
      if (pingsBefore < 0 && a.received.length > 0) pingsBefore = pings
      if (pings < 30_000) world.clock.defer(watch)
    }
    world.together(() => {
      world.clock.defer(watch)
      flood.transport.receive(Uint8Array.from({ length: 60_000 }, (_, i) => (i % 2 === 0 ? 0xc0 : 0)))
      a.transport.receive(encode(a.makePublish({ topic: 't', payload: '1' }), 5))
    })
    assert.deepEqual(a.takePayloads(), ['1'])
    assert.equal(pings, 30_000)
    assert.ok(pingsBefore <= 4_000, `${pingsBefore} before`)
  })

  test('what follows a great many packets keeps its order, also in pieces', () => {
    const world = new World()
    const [flood, a] = ['flood', 'a'].map((name) => world.client(name)) as [TestClient, TestClient]
    flood.connected()
    a.connected()
    a.subscribe('t')
    flood.chunkSizes = [7_001, 13, 50_000]
    flood.send(...Array.from({ length: 9_000 }, (_, i) => flood.makePublish({ topic: 't', payload: `${i}` })))
    assert.deepEqual(
      a.takePayloads(),
      Array.from({ length: 9_000 }, (_, i) => `${i}`),
    )
  })
})

describe('a decision that takes time', () => {
  test('nothing more is read until it is there; what has come meanwhile follows in its order', () => {
    const { authorizer, decisions } = decideLater()
    const world = new World({ authorizer })
    const [slow, a] = ['slow', 'a'].map((name) => world.client(name)) as [TestClient, TestClient]
    slow.connected()
    a.connected()
    a.subscribe('t')
    for (const payload of ['1', '2']) slow.publish({ topic: 't', payload })
    slow.send(new Pingreq())
    assert.ok(slow.transport.isPaused)
    assert.equal(decisions.length, 1)
    world.together(() => decisions[0]!(0))
    // The next one waits for its own.
    assert.ok(slow.transport.isPaused)
    assert.deepEqual(a.takePayloads(), ['1'])
    assert.deepEqual(slow.takeAll(), [])
    world.together(() => decisions[1]!(0))
    assert.equal(slow.transport.isPaused, false)
    assert.deepEqual(a.takePayloads(), ['2'])
    slow.take(Pingresp)
  })
})
