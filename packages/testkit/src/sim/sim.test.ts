/**
 * The simulation itself: it is deterministic, finds nothing in its first seeds, and each change that a client or a restart may make
 * meets each state in which a message may be then.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Coverage } from './coverage.ts'
import { changes, impossible, states } from './pairs.ts'
import { makePlan, makeScenes } from './plans/make.ts'
import type { Plan } from './plans/plan.ts'
import { runPlan } from './simulation.ts'

/** So many are enough by far. */
const SCENES_MAX = 400

test('the same seed gives the same trace, byte for byte', async () => {
  for (const seed of [3, 10, 1653]) {
    const first = await runPlan(makePlan(seed), { trace: true })
    const second = await runPlan(makePlan(seed), { trace: true })
    assert.ok(first.trace.length > 50)
    assert.equal(first.trace.join('\n'), second.trace.join('\n'))
  }
})

async function run(plan: Plan, how: string, coverage = new Coverage()): Promise<void> {
  const [first] = (await runPlan(plan, { cover: coverage.note })).violations
  assert.equal(first, undefined, `npm run sim -- --seed ${plan.seed}${how}: ${first?.checker}: ${first?.text}`)
}

/** Seeds that have failed, with the plans of 30 November 2026: most often the model was wrong. */
const FAILED = [
  ...[16056324, 16059340, 16059778, 30007113, 30010863, 30011322, 30011623, 30014202],
  ...[
    40011490, 40014637, 40016041, 40054982, 50007233, 70016557, 70017794, 70018067, 70026195, 70031640, 80013653,
    90011769,
  ],
]

test('runs that have failed keep every promise', async () => {
  for (const seed of FAILED) await run(makePlan(seed), '')
})

test('50 seeds keep every promise', async () => {
  for (let seed = 1; seed <= 50; seed++) await run(makePlan(seed), '')
})

test('scenes keep every promise, and each change meets each state of a message that it can meet', async () => {
  const coverage = new Coverage()
  for (let seed = 1; seed <= SCENES_MAX && (seed <= 60 || coverage.missingPairs.length > 0); seed++)
    await run(makeScenes(seed), ' --scenes', coverage)
  assert.deepEqual(coverage.missingPairs, [])
})

test('a pair that cannot occur says why', () => {
  const reasons = changes.flatMap((change) => states.map((state) => impossible(change, state)))
  assert.ok(reasons.some((reason) => reason !== null))
  for (const reason of reasons) assert.ok(reason === null || reason.length > 20)
})
