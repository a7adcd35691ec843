/** The simulation with bridges: it is deterministic, and finds nothing in its first seeds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BridgeRunPlan, makePlan } from './plan.ts'
import { arrivalsOf, linksOf } from './routes.ts'
import { runBridgePlan } from './run.ts'

/** Seeds that failed once, for defects of the bridge. */
const FOUND = [
  36, 66, 79, 93, 425, 11_560, 12_989, 20_302, 20_955, 30_167, 30_222, 30_736, 31_613, 33_021, 34_534, 47_242, 50_460,
  51_376, 112_417, 211_295, 501_933,
] as const

test('with bridges the same seed gives the same trace, byte for byte', async () => {
  for (const seed of [2, 18]) {
    const first = await runBridgePlan(makePlan(seed), { trace: true })
    const second = await runBridgePlan(makePlan(seed), { trace: true })
    assert.ok(first.trace.length > 50)
    assert.equal(first.trace.join('\n'), second.trace.join('\n'))
  }
})

test('15 seeds with bridges keep every promise, and those that have found something', async () => {
  for (const seed of [...Array.from({ length: 15 }, (_, i) => i + 1), ...FOUND]) {
    const [first] = (await runBridgePlan(makePlan(seed))).violations
    assert.equal(first, undefined, `npm run sim:bridge -- --seed ${seed}: ${first?.checker}: ${first?.text}`)
  }
})

test('the judge knows where a message goes in a ring', () => {
  for (const [shape, places] of [
    ['ring-out', [0, 1, 2]],
    ['ring-in', [0, 2, 1]],
  ] as const) {
    let seed = 1
    const isPlain = ({ bridges }: BridgeRunPlan): boolean =>
      bridges.some(({ options }) => options.includes('bridge_path off'))
    while (makePlan(seed).shape !== shape || isPlain(makePlan(seed))) seed++
    const plan = makePlan(seed)
    const arrivals = arrivalsOf(linksOf(plan), 0, 'a/0')
    assert.deepEqual(
      arrivals.map(({ broker }) => broker),
      places,
    )
  }
})
