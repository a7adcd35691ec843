import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RestartPause } from './restart-pause.ts'

test('a constant pause is always the same', () => {
  const pause = new RestartPause({ kind: 'constant', seconds: 7 }, () => 0.9)
  assert.deepEqual([pause.nextMs(), pause.nextMs()], [7_000, 7_000])
})

test('with jitter each pause is between the base and three times the last one, up to the cap', () => {
  let chance = 1
  const restart = { kind: 'jitter', baseSeconds: 5, capSeconds: 30, stableSeconds: 0 } as const
  const pause = new RestartPause(restart, () => chance)
  assert.deepEqual([pause.nextMs(), pause.nextMs(), pause.nextMs()], [15_000, 30_000, 30_000])
  chance = 0
  assert.equal(pause.nextMs(), 5_000)
})

test('a connection that has lasted makes pauses begin at the base again', () => {
  const restart = { kind: 'jitter', baseSeconds: 5, capSeconds: 300, stableSeconds: 60 } as const
  const pause = new RestartPause(restart, () => 1)
  assert.equal(pause.nextMs(), 15_000)
  pause.connectionEnded(59_000)
  assert.equal(pause.nextMs(), 45_000)
  pause.connectionEnded(60_000)
  assert.equal(pause.nextMs(), 15_000)
})
