import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SimClock } from '../../testing/mod.ts'
import { Timer, TimerWheel } from './timer-wheel.ts'

/** A timer fires at most this much after its time. */
const LATE_MS = 200

function make(nowMs = 0): {
  clock: SimClock
  wheel: TimerWheel
  fired: [name: string, atMs: number][]
  timer(name: string): Timer
} {
  const clock = new SimClock(nowMs)
  const wheel = new TimerWheel(clock, () => wheel.advance(clock.nowMs()))
  const fired: [string, number][] = []
  const timer = (name: string): Timer => new Timer((at) => fired.push([name, at]))
  return { clock, wheel, fired, timer }
}

test('fires once, not before its time and at most two slots after', () => {
  const { clock, wheel, fired, timer } = make()
  wheel.set(timer('a'), 1_234)
  clock.advance(1_233)
  assert.equal(fired.length, 0)
  clock.advance(LATE_MS)
  assert.equal(fired.length, 1)
  clock.advance(1_000_000)
  assert.equal(fired.length, 1)
  assert.equal(wheel.size, 0)
})

test('a cleared timer does not fire, one that is moved fires at its new time only', () => {
  const { clock, wheel, fired, timer } = make()
  const a = timer('a')
  const b = timer('b')
  wheel.set(a, 500)
  wheel.set(b, 500)
  wheel.clear(a)
  wheel.clear(a)
  wheel.set(b, 5_000)
  assert.equal(a.isSet, false)
  clock.advance(4_999)
  assert.equal(fired.length, 0)
  clock.advance(LATE_MS)
  assert.deepEqual(
    fired.map(([name]) => name),
    ['b'],
  )
})

test('moving a timer to an earlier time works', () => {
  const { clock, wheel, fired, timer } = make()
  const a = timer('a')
  wheel.set(a, 1_000_000)
  wheel.set(a, 300)
  clock.advance(300 + LATE_MS)
  assert.equal(fired.length, 1)
})

test('Infinity sets nothing', () => {
  const { wheel, timer } = make()
  const a = timer('a')
  wheel.set(a, 100)
  wheel.set(a, Number.POSITIVE_INFINITY)
  assert.equal(a.isSet, false)
  assert.equal(wheel.size, 0)
})

test('a time that is past fires soon', () => {
  const { clock, wheel, fired, timer } = make(1_000_000)
  wheel.set(timer('a'), 5)
  assert.equal(fired.length, 0)
  clock.advance(LATE_MS)
  assert.equal(fired.length, 1)
})

test('further away than a round of the wheel', () => {
  const { clock, wheel, fired, timer } = make()
  const farMs = 10 * 24 * 3_600_000
  wheel.set(timer('far'), farMs)
  wheel.set(timer('round'), 102_400)
  clock.advance(102_399)
  assert.equal(fired.length, 0)
  clock.advance(LATE_MS)
  assert.equal(fired.length, 1)
  clock.advance(farMs - clock.nowMs() - 1)
  assert.equal(fired.length, 1)
  clock.advance(LATE_MS)
  assert.equal(fired.length, 2)
})

test('a clock that jumps far ahead fires all, once', () => {
  const { clock, wheel, fired, timer } = make()
  for (let i = 0; i < 100; i++) wheel.set(timer(`${i}`), i * 5_000 + 1)
  // The process was asleep: the alarm comes late
  const late = new SimClock(10_000_000)
  wheel.advance(late.nowMs())
  assert.equal(fired.length, 100)
  clock.advance(1_000)
  assert.equal(fired.length, 100)
})

test('set again from its own callback, it fires again later, not in the same turn', () => {
  const { clock, wheel } = make()
  const times: number[] = []
  const tick = new Timer((nowMs) => {
    times.push(nowMs)
    wheel.set(tick, nowMs + 1_000)
  })
  wheel.set(tick, 1_000)
  clock.advance(10_500)
  assert.ok(times.length >= 9 && times.length <= 10, `${times.length}`)
  for (let i = 1; i < times.length; i++) assert.ok(times[i]! - times[i - 1]! >= 1_000)
})

test('a callback may clear others that are due now', () => {
  const { clock, wheel, fired, timer } = make()
  const b = timer('b')
  wheel.set(new Timer(() => wheel.clear(b)), 1_000)
  wheel.set(b, 1_000)
  clock.advance(2_000)
  assert.equal(fired.length, 0)
  assert.equal(wheel.size, 0)
})

test('an empty wheel does not wake up', () => {
  const { clock, wheel, timer } = make()
  wheel.set(timer('a'), 1_000)
  clock.advance(5_000)
  assert.equal(clock.alarmAtMs, Number.POSITIVE_INFINITY)
  const { alarms } = clock
  clock.advance(3_600_000)
  assert.equal(clock.alarms, alarms)
})

test('a wheel that was empty for long takes a timer as at first', () => {
  const { clock, wheel, fired, timer } = make()
  clock.advance(7 * 3_600_000 + 37)
  wheel.set(timer('a'), clock.nowMs() + 1_000)
  clock.advance(999)
  assert.equal(fired.length, 0)
  clock.advance(1 + LATE_MS)
  assert.equal(fired.length, 1)
})

test('any sequence of set, clear and passing time fires each timer once, in time', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), index: fc.nat(9), ms: fc.nat(300_000) }),
    fc.record({ kind: fc.constant('clear' as const), index: fc.nat(9), ms: fc.constant(0) }),
    fc.record({ kind: fc.constant('advance' as const), index: fc.constant(0), ms: fc.nat(150_000) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const clock = new SimClock(12_345)
      const wheel = new TimerWheel(clock, () => wheel.advance(clock.nowMs()))
      const due = new Map<number, number>()
      const timers = Array.from(
        { length: 10 },
        (_, index) =>
          new Timer((nowMs) => {
            const dueMs = due.get(index)
            assert.ok(dueMs !== undefined, 'fires though it is not set')
            assert.ok(nowMs >= dueMs && nowMs <= dueMs + LATE_MS, `due at ${dueMs}, fired at ${nowMs}`)
            due.delete(index)
          }),
      )
      for (const { kind, index, ms } of steps) {
        if (kind === 'advance') {
          clock.advance(ms)
        } else if (kind === 'set') {
          due.set(index, clock.nowMs() + ms)
          wheel.set(timers[index]!, clock.nowMs() + ms)
        } else {
          due.delete(index)
          wheel.clear(timers[index]!)
        }
        assert.equal(wheel.size, due.size)
      }
      clock.advance(400_000)
      assert.equal(due.size, 0)
    }),
    { numRuns: 300 },
  )
})
