import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SystemClock } from './clock.ts'
import { SystemRandom } from './random.ts'

test('the time is that of the system and does not go back', () => {
  const clock = new SystemClock()
  assert.ok(Math.abs(clock.nowMs() - Date.now()) < 60_000)
  let last = clock.nowMs()
  for (let i = 0; i < 1_000; i++) {
    const now = clock.nowMs()
    assert.ok(now >= last)
    last = now
  }
})

test('defer calls back after this turn, in order', async () => {
  const clock = new SystemClock()
  const order: number[] = []
  await new Promise<void>((resolve) => {
    clock.defer(() => order.push(1))
    clock.defer(() => {
      order.push(2)
      resolve()
    })
    order.push(0)
  })
  assert.deepEqual(order, [0, 1, 2])
})

test('the alarm rings at its time; a later call replaces it, Infinity takes it away', async () => {
  const clock = new SystemClock()
  // The alarm does not keep the process alive; this does.
  const alive = setInterval(() => {}, 1_000)
  const rung: string[] = []
  clock.alarm(clock.nowMs() + 1, () => rung.push('replaced'))
  const atMs = clock.nowMs() + 15
  await new Promise<void>((resolve) => {
    clock.alarm(atMs, () => {
      rung.push('kept')
      resolve()
    })
  })
  assert.ok(clock.nowMs() >= atMs - 1)
  clock.alarm(clock.nowMs(), () => rung.push('taken away'))
  clock.alarm(Number.POSITIVE_INFINITY, () => {})
  await new Promise<void>((resolve) => clock.after(5, resolve))
  assert.deepEqual(rung, ['kept'])
  clearInterval(alive)
})

test('an alarm further away than a timer can be does not ring at once', async () => {
  const clock = new SystemClock()
  let isRung = false
  clock.alarm(clock.nowMs() + 0xffff_ffff * 1000, () => {
    isRung = true
  })
  await new Promise<void>((resolve) => clock.after(5, resolve))
  assert.equal(isRung, false)
  clock.alarm(Number.POSITIVE_INFINITY, () => {})
})

test('random hex digits have the length asked for and differ', () => {
  const random = new SystemRandom()
  assert.match(random.hex(16), /^[0-9a-f]{32}$/)
  assert.notEqual(random.hex(16), random.hex(16))
})
