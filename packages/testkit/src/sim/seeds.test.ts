import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSeeds } from './seeds.ts'

test('SIGTERM ends a run of many seeds after the one at hand, with the summary of those that have run', async (t) => {
  const lines: string[] = []
  t.mock.method(console, 'log', (line: string) => lines.push(line))
  const seeds: number[] = []
  let ended = 0
  const exitCode = await runSeeds({
    ...{ from: 5, count: 100, goesOn: true },
    run: (seed) => {
      seeds.push(seed)
      if (seed === 7) process.emit('SIGTERM')
      return Promise.resolve({ seed, violations: [], events: 1, simulatedMs: 1 })
    },
    replayOf: () => '',
    ended: (runs) => {
      ended = runs
    },
  })
  assert.deepEqual([seeds, ended, exitCode], [[5, 6, 7], 3, 0])
  assert.match(lines.join('\n'), /^3 seeds from 5: 0 failed/)
  assert.equal(process.listenerCount('SIGTERM'), 0)
})
