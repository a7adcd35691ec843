import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditions } from './conditions.ts'
import { keyOf, planOf } from './plan.ts'
import { Tally } from './tally.ts'

test('a tally counts what came, what did not, what came twice and what came late', () => {
  const tally = new Tally()
  const payloads = [0, 10, 20, 30].map((ms) => tally.next(20, ms))
  assert.equal(payloads[3], `3 ${'.'.repeat(18)}`)
  tally.receive(payloads[0]!, 5)
  tally.receive(payloads[2]!, 25)
  tally.receive(payloads[1]!, 110)
  tally.recoverFromMs = 115
  tally.receive(payloads[1]!, 120)
  assert.equal(tally.isComplete, false)
  assert.equal(tally.recoveredMs, 0)
  assert.deepEqual(tally.result(), {
    sent: 4,
    delivered: 3,
    lost: 1,
    duplicated: 1,
    disordered: 1,
    p50Ms: 5,
    p95Ms: 100,
    maxMs: 100,
  })
  tally.receive(payloads[3]!, 130)
  assert.equal(tally.isComplete, true)
  assert.equal(tally.recoveredMs, 130)
  assert.throws(() => tally.receive('4 ', 140), /a message that nobody sent: 4 /)
})

test('the plans have each cell once, and the whole one has those of the usual one', () => {
  const [usual, whole] = [planOf(false), planOf(true)].map((cells) => cells.map(keyOf)) as [string[], string[]]
  assert.equal(new Set(usual).size, usual.length)
  assert.equal(whole.length, conditions.length * 3 * 5 * 3 * 2)
  assert.deepEqual(
    usual.filter((key) => !whole.includes(key)),
    [],
  )
})
