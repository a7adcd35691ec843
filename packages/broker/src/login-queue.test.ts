import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FairQueue } from './login-queue.ts'
import type { LoginQueueOptions } from './ports.ts'

const queue = (options: Partial<LoginQueueOptions> = {}, nowMs?: () => number): FairQueue<string> =>
  new FairQueue({ waitingMax: 10, waitingPerNetworkMax: 5, failuresPerSecondMax: 0, ...options }, nowMs)

const drained = (from: FairQueue<string>): string[] => {
  const items: string[] = []
  for (let item = from.shift(); item !== undefined; item = from.shift()) items.push(item)
  return items
}

test('networks take turns: of one that has many one comes, then one of each other', () => {
  const waiting = queue()
  for (const item of ['a1', 'a2', 'a3']) waiting.push('10.0.0.1:1', item)
  waiting.push('10.0.0.2:1', 'b1')
  waiting.push('[2001:db8::1]:1', 'c1')
  assert.deepEqual(drained(waiting), ['a1', 'b1', 'c1', 'a2', 'a3'])
  assert.equal(waiting.networks, 0)
})

test('all addresses of a /64 are one network, those of IPv4 each its own', () => {
  const waiting = queue({ waitingPerNetworkMax: 2 })
  for (let i = 1; i <= 4; i++) {
    assert.equal(waiting.push(`[2001:db8:0:1::${i}]:1`, 'x'), i <= 2 ? null : 'x')
    assert.equal(waiting.push(`10.0.0.${i}:1`, 'y'), null)
  }
  assert.equal(waiting.isRefusing('[2001:db8:0:1:ffff::]:9'), true)
  assert.equal(waiting.isRefusing('[2001:db8:0:2::]:9'), false)
})

test('when it is full the network that has most gives way, its newest first; who has most himself is refused', () => {
  const waiting = queue({ waitingMax: 6 })
  for (let i = 1; i <= 5; i++) waiting.push('10.0.0.1:1', `a${i}`)
  waiting.push('10.0.0.2:1', 'b1')
  assert.equal(waiting.push('10.0.0.3:1', 'c1'), 'a5')
  assert.equal(waiting.push('10.0.0.1:1', 'a6'), 'a6')
  assert.equal(waiting.push('10.0.0.2:1', 'b2'), 'a4')
  assert.equal(waiting.push('10.0.0.2:1', 'b3'), 'b3', 'it would have as many as the first')
  assert.equal(waiting.length, 6)
  assert.deepEqual(drained(waiting), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
})

test('a network whose logins fail faster than it may is refused until it has slowed down; others are not', () => {
  let nowMs = 0
  const waiting = queue({ failuresPerSecondMax: 10 }, () => nowMs)
  for (let i = 0; i < 20; i++) {
    assert.equal(waiting.isRefusing('10.0.0.1:1'), false, `${i}`)
    waiting.failed('10.0.0.1:1')
  }
  assert.equal(waiting.isRefusing('10.0.0.1:2'), true)
  assert.equal(waiting.isRefusing('10.0.0.2:1'), false)
  nowMs += 100
  assert.equal(waiting.isRefusing('10.0.0.1:1'), false)
  waiting.failed('10.0.0.1:1')
  assert.equal(waiting.isRefusing('10.0.0.1:1'), true)
  nowMs += 60_000
  for (let i = 0; i < 20; i++) waiting.failed('10.0.0.1:1')
  assert.equal(waiting.isRefusing('10.0.0.1:1'), true, 'no more than the burst is saved up')
})

test('what is remembered of networks is bounded', () => {
  const waiting = queue({ failuresPerSecondMax: 10 })
  for (let i = 0; i < 30_000; i++) waiting.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:1`)
  assert.equal(waiting.networks, 10_000)
})

test('nothing is lost and nothing comes twice, whatever is pushed and taken', () => {
  const step = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant('shift' as const))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const waiting = queue({ waitingMax: 8, waitingPerNetworkMax: 4 })
      const inside = new Set<string>()
      for (const [i, what] of steps.entries()) {
        if (what === 'shift') {
          const item = waiting.shift()
          assert.equal(item === undefined, inside.size === 0)
          if (item !== undefined) assert.ok(inside.delete(item))
        } else {
          const out = waiting.push(`10.0.0.${what}:1`, `${i}`)
          if (out !== `${i}`) {
            inside.add(`${i}`)
            if (out !== null) assert.ok(inside.delete(out))
          }
        }
        assert.equal(waiting.length, inside.size)
        assert.ok(inside.size <= 8)
      }
      assert.deepEqual(new Set(waiting.takeAll()), inside)
    }),
  )
})
