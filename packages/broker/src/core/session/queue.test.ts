import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Holdings } from '../base/holdings.ts'
import { Message } from '../base/message.ts'
import { Metrics } from '../base/metrics.ts'
import { Delivery } from '../journal/delivery.ts'
import { RowState } from '../journal/message-row.ts'
import { Queue } from './queue.ts'

let names = 0
function delivery(bytes = 10): Delivery {
  const topic = `t${names++}`
  const payload = new Uint8Array(Math.max(0, bytes - topic.length))
  const message = Message.of({ topic, payload, qos: 1, retain: false, properties: {} }, null, 0)
  return new Delivery(message, 1, false, null, null)
}

describe('in memory', () => {
  test('first in, first out, counted in messages and bytes', () => {
    const queue = new Queue(null, new Holdings({ memoryQueueBytesMax: 1_000_000 }), new Metrics())
    const items = Array.from({ length: 1_000 }, () => delivery(20))
    for (const item of items) queue.push(item)
    assert.equal(queue.length, 1_000)
    assert.equal(queue.bytes, 20_000)
    for (const item of items) {
      assert.equal(queue.peek(), item)
      assert.equal(queue.shift(), item)
    }
    assert.equal(queue.length, 0)
    assert.equal(queue.bytes, 0)
    assert.equal(queue.peek(), undefined)
    assert.equal(queue.shift(), undefined)
  })

  test('removeWhere takes out what it is told and keeps the order of the rest', () => {
    const queue = new Queue(null, new Holdings({ memoryQueueBytesMax: 1_000_000 }), new Metrics())
    const items = Array.from({ length: 100 }, () => delivery(10))
    for (const item of items) queue.push(item)
    for (let i = 0; i < 30; i++) queue.shift()
    const removed = queue.removeWhere((item) => items.indexOf(item) % 2 === 0)
    assert.deepEqual(
      removed,
      items.slice(30).filter((_, i) => i % 2 === 0),
    )
    assert.equal(queue.bytes, 350)
    assert.deepEqual(
      Array.from({ length: 35 }, () => queue.shift()),
      items.slice(30).filter((_, i) => i % 2 === 1),
    )
  })

  test('clear gives all back', () => {
    const queue = new Queue(null, new Holdings({ memoryQueueBytesMax: 1_000_000 }), new Metrics())
    const items = [delivery(), delivery()]
    for (const item of items) queue.push(item)
    assert.deepEqual(queue.clear(), items)
    assert.deepEqual([queue.length, queue.bytes], [0, 0])
    assert.equal(queue.handOutStored()(), null)
  })

  test('any sequence of push and shift behaves like an array', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (pushes) => {
        const queue = new Queue(null, new Holdings({ memoryQueueBytesMax: 1_000_000 }), new Metrics())
        const model: Delivery[] = []
        for (const isPush of pushes) {
          if (isPush) {
            const item = delivery(8 + (model.length % 5))
            queue.push(item)
            model.push(item)
          } else {
            assert.equal(queue.shift(), model.shift())
          }
          assert.equal(queue.length, model.length)
          assert.equal(queue.peek(), model[0])
        }
      }),
    )
  })
})

describe('of a durable session', () => {
  /** A queue, and all of its deliveries as the disk has them. */
  function durable(): { queue: Queue; store(item: Delivery): void; push(): Delivery; readBacks: () => number } {
    const disk = new Map<number, Delivery>()
    let readBacks = 0
    let position = 0
    const queue = new Queue(
      (entry) => {
        readBacks++
        return disk.get(entry.position) ?? null
      },
      new Holdings({ memoryQueueBytesMax: 1_000_000 }),
      new Metrics(),
    )
    return {
      queue,
      readBacks: () => readBacks,
      push() {
        const item = delivery(100)
        item.position = ++position
        item.bytes = 100
        item.key = 100
        item.rowState = RowState.Pending
        queue.push(item)
        return item
      },
      store(item) {
        item.rowState = RowState.Stored
        disk.set(item.position, item)
      },
    }
  }

  test('what is long and on disk is read back in order, counted all the while', () => {
    const { queue, store, push, readBacks } = durable()
    const items = Array.from({ length: 5_000 }, () => push())
    for (const item of items) store(item)
    queue.noteStored()
    assert.equal(queue.length, 5_000)
    assert.equal(queue.bytes, 500_000)
    for (const [i, item] of items.entries()) {
      assert.equal(queue.shift(), item)
      assert.equal(queue.length, 4_999 - i)
    }
    assert.equal(queue.bytes, 0)
    assert.ok(readBacks() > 1_000, 'most of it was not in memory')
  })

  test('what is not on disk yet stays behind what is', () => {
    const { queue, store, push } = durable()
    const items = Array.from({ length: 3_000 }, () => push())
    for (const item of items.slice(0, 2_000)) store(item)
    queue.noteStored()
    items.push(push())
    for (const item of items) assert.equal(queue.shift(), item)
  })

  test('a row that cannot be read is passed over and not counted any more', () => {
    const { queue, push, store } = durable()
    const items = Array.from({ length: 3_000 }, () => push())
    for (const item of items) store(item)
    queue.noteStored()
    const lost = new Queue(() => null, new Holdings({ memoryQueueBytesMax: 1_000_000 }), new Metrics())
    for (let i = 1; i <= 100; i++) lost.restore(i, 50, i % 2 === 0)
    assert.equal(lost.length, 100)
    assert.equal(lost.bytes, 5_000)
    for (let i = 0; i < 10; i++) lost.shift()
    assert.deepEqual([lost.length, lost.bytes], [0, 0])
    assert.ok(items.length > 0)
  })

  test('clear leaves what is on disk only to handOutStored', () => {
    const { queue, store, push } = durable()
    const items = Array.from({ length: 3_000 }, () => push())
    for (const item of items) store(item)
    queue.noteStored()
    const inMemory = queue.clear()
    let onDisk = 0
    const takeStored = queue.handOutStored()
    for (let entry = takeStored(); entry !== null; entry = takeStored()) onDisk++
    assert.equal(inMemory.length + onDisk, 3_000)
    assert.ok(onDisk > 0)
    assert.equal(queue.length, 0)
    assert.equal(queue.bytes, 0)
  })
})
