import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SystemProcessMemory } from './process-memory.ts'

/** Bytes used while 40 MiB are kept; they are garbage when it returns. */
function usedWith40MiB(memory: SystemProcessMemory): number {
  const kept = Array.from({ length: 40 }, () => new Uint8Array(1024 * 1024).fill(1))
  memory.collect()
  const used = memory.usedBytes()
  assert.equal(kept.length, 40)
  return used
}

test('what is kept is counted, and garbage is gone after a collection', async () => {
  const memory = new SystemProcessMemory()
  memory.collect()
  const before = memory.usedBytes()
  const during = usedWith40MiB(memory)
  assert.ok(during - before > 30 * 1024 * 1024, `${during - before}`)
  memory.collect()
  // V8 sweeps buffers on another thread.
  while (memory.usedBytes() > during - 20 * 1024 * 1024) {
    await new Promise((resolve) => setImmediate(resolve))
    memory.collect()
  }
})
