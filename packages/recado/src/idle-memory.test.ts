import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IdleMemory } from './idle-memory.ts'

const MB = 2 ** 20

/** Process with memory and processor time as the test sets them; a collection frees all but `alive`. */
function simulated(heapTotal: number) {
  const state = { heapTotal, heapUsed: 10 * MB, external: 2 * MB, alive: 12 * MB, cpuUs: 300_000, collections: 0 }
  const memory = new IdleMemory(
    { memoryUsage: () => state, cpuUsage: () => ({ user: state.cpuUs, system: 0 }) },
    () => {
      state.collections++
      state.heapTotal = state.alive
      state.cpuUs += 900_000
    },
  )
  const look = (count: number, busyUs = 1000): number => {
    for (let i = 0; i < count; i++) {
      state.cpuUs += busyUs
      memory.look(10_000)
    }
    return state.collections
  }
  return { state, look }
}

test('an idle process is collected once after its start', () => {
  const { look } = simulated(20 * MB)
  assert.equal(look(2), 0)
  assert.equal(look(1), 1)
  assert.equal(look(100), 1)
})

test('a process that works is left alone, and each piece of work begins the wait anew', () => {
  const { look } = simulated(20 * MB)
  assert.equal(look(10, 400_000), 0)
  assert.equal(look(2), 0)
  assert.equal(look(1, 400_000), 0)
  assert.equal(look(2), 0)
  assert.equal(look(1), 1)
})

test('after a rush it is collected again, but not for a little growth', () => {
  const { state, look } = simulated(20 * MB)
  assert.equal(look(3), 1)
  state.heapTotal = 15 * MB
  assert.equal(look(10), 1)
  state.heapTotal = 150 * MB
  assert.equal(look(1, 5_000_000), 1)
  assert.equal(look(2), 1)
  assert.equal(look(1), 2)
  assert.equal(look(50), 2)
})

test('a heap that would take long is not collected', () => {
  const { state, look } = simulated(20 * MB)
  state.heapTotal = 600 * MB
  state.heapUsed = 400 * MB
  assert.equal(look(20), 0)
  state.heapUsed = 50 * MB
  assert.equal(look(1), 1)
})

test('the collection of V8 keeps what is alive and frees the rest', () => {
  let cpuUs = 0
  const kept = { text: 'alive' }
  const dead = new WeakRef({ bytes: new Uint8Array(1000) })
  const memory = new IdleMemory({
    memoryUsage: () => process.memoryUsage(),
    cpuUsage: () => ({ user: ++cpuUs, system: 0 }),
  })
  return new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    for (let i = 0; i < 3; i++) memory.look(10_000)
    assert.equal(dead.deref(), undefined)
    assert.equal(kept.text, 'alive')
  })
})
