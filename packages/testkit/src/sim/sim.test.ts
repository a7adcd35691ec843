/** The simulation itself: it is deterministic, and finds nothing in its first 200 seeds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makePlan } from './plan.ts'
import { runPlan } from './simulation.ts'

test('the same seed gives the same trace, byte for byte', async () => {
  for (const seed of [3, 10, 1653]) {
    const first = await runPlan(makePlan(seed), { trace: true })
    const second = await runPlan(makePlan(seed), { trace: true })
    assert.ok(first.trace.length > 50)
    assert.equal(first.trace.join('\n'), second.trace.join('\n'))
  }
})

test('200 seeds keep every promise', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const { violations } = await runPlan(makePlan(seed))
    const [first] = violations
    assert.equal(first, undefined, `npm run sim -- --seed ${seed}: ${first?.checker}: ${first?.text}`)
  }
})
