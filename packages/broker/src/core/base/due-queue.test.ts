import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DueQueue } from './due-queue.ts'

test('Entries come in the order of their time, and of their number at one time', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 })), (times) => {
      const queue = new DueQueue<{ dueAtMs: number; number: number }>()
      const entries = times.map((dueAtMs, number) => ({ dueAtMs, number }))
      for (const entry of entries) queue.add(entry)
      const kept = entries.filter(({ number }) => number % 3 > 0)
      queue.keep(({ number }) => number % 3 > 0)
      assert.equal(queue.size, kept.length)
      const taken = []
      for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) taken.push(entry)
      kept.sort((a, b) => a.dueAtMs - b.dueAtMs || a.number - b.number)
      assert.deepEqual(taken, kept)
      assert.equal(queue.first, undefined)
    }),
  )
})
