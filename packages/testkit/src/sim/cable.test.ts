/** A simulated Network Connection keeps what the client library may count on: a transport that is destroyed closes, once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BrokerEnd, Cable } from './cable.ts'
import { Chance } from './chance.ts'
import { Loop } from './loop.ts'

const broker: BrokerEnd = {
  onOpen: () => ({ onData() {}, onDrain() {}, onClose() {} }),
  onWrite() {},
  onChunk() {},
  onPaused() {},
  onResumed() {},
  onDrained() {},
  onEnd() {},
  onClosed() {},
  isDead: () => false,
  failed: (text) => assert.fail(text),
}

test('a client that destroys a silent connection is told of its end, even one that the broker has given up', async () => {
  for (const isGivenUp of [false, true]) {
    const loop = new Loop(new Chance(1, 'loop'), 0)
    let closes = 0
    const cable = new Cable(
      'c',
      loop,
      new Chance(1, 'cable'),
      { latencyMs: 1, jitterMs: 0, splits: 0, joins: 0, capacityBytes: 1024 },
      { onData() {}, onDrain() {}, onClose: () => void closes++ },
      broker,
      () => {},
    )
    cable.open()
    cable.fallSilent()
    if (isGivenUp) cable.socket.destroy()
    await loop.run(1_000, () => false)
    assert.equal(closes, 0, 'nobody tells the client')
    cable.cut()
    cable.cut()
    await loop.run(2_000, () => false)
    assert.equal(closes, 1)
  }
})
