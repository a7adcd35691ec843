/** A short run of mutated sessions on a real broker process. The long one is `npm run fuzz -- --target live`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runLive } from './live.ts'

test('300 mutated sessions over sockets: the broker lives, the bystander loses nothing, nothing stays open', {
  timeout: 300_000,
  skip: process.platform !== 'linux' && 'counts sockets in /proc',
}, async () => {
  const result = await runLive({ sessions: 300, seed: 1 })
  assert.deepEqual(result.findings, [])
  assert.equal(result.sessions, 300)
  assert.ok(result.bystander.sent > 0)
})
