/** The attacks on what is kept, short, each beside an honest pair: nobody loses anything. The long ones are `npm run attack`. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { contestants, runAttack } from './run.ts'
import { storageAttacks } from './storage-attacks.ts'

describe('attacks on what is kept', {
  timeout: 300_000,
  skip: process.platform !== 'linux' && 'reads the memory of a process in /proc',
}, () => {
  const [recado] = contestants
  /** So low that a second is enough to get there. */
  const config = [
    ...recado!.config,
    'max_unfinished_bytes 4000000',
    'max_will_bytes 1000000',
    'max_stored_bytes 10000000',
    'max_memory_queued_bytes 4000000',
    'max_retained_bytes 4000000',
    'max_session_bytes 1000000',
  ]
  for (const attack of storageAttacks) {
    test(`${attack.name}: nobody honest loses anything or is thrown out, and memory and disk stay within bounds`, async () => {
      const result = await runAttack({
        attack,
        contestant: { ...recado!, config },
        quietMs: 100,
        attackMs: 1_000,
        lateMs: 60_000,
      })
      assert.equal(result.died, '')
      const { sent, lost, disordered, disconnects } = result.felt
      assert.ok(sent > 0 && result.size > 0)
      assert.deepEqual([lost, disordered, disconnects], [0, 0, 0])
      assert.ok(result.memoryPeakMB < 400, `${result.memoryPeakMB} MB of memory`)
      assert.ok(result.diskPeakMB < 200, `${result.diskPeakMB} MB on disk`)
    })
  }
})
