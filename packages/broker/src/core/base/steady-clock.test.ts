import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ReasonCode } from '@recado/protocol'
import { Table } from '../../ports.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { SimStore } from '../../testing/sim-store.ts'
import { World } from '../../testing/world.ts'
import { encodeTime, SteadyClock, TIME_KEY } from './steady-clock.ts'

function storeWith(value: Uint8Array | null): SimStore {
  const store = new SimStore()
  if (value === null) return store
  store.write(
    () => store.put(Table.Meta, TIME_KEY, 0, 0, value),
    () => {},
  )
  store.flush()
  return store
}

describe('the time of a broker', () => {
  test('is that of the machine, when that is not behind what was noted', () => {
    for (const noted of [null, encodeTime(5_000), encodeTime(10_000)]) {
      const clock = new SteadyClock(new SimClock(10_000), storeWith(noted))
      assert.equal(clock.nowMs(), 10_000)
      assert.equal(clock.behindMs, 0)
    }
  })

  test('goes on from what was noted, alarms included', () => {
    const machine = new SimClock(10_000)
    const clock = new SteadyClock(machine, storeWith(encodeTime(70_000)))
    assert.equal(clock.nowMs(), 70_000)
    let calls = 0
    clock.alarm(71_000, () => calls++)
    machine.advance(999)
    assert.equal(calls, 0)
    machine.advance(1)
    assert.equal(calls, 1)
    assert.equal(clock.nowMs(), 71_000)
    clock.alarm(Number.POSITIVE_INFINITY, () => {})
    assert.equal(machine.alarmAtMs, Number.POSITIVE_INFINITY)
  })

  test('takes a row that cannot be read for none', () => {
    for (const value of [Uint8Array.of(1), encodeTime(Number.NaN), encodeTime(Number.POSITIVE_INFINITY)])
      assert.equal(new SteadyClock(new SimClock(10_000), storeWith(value)).behindMs, 0)
  })

  test('does not change when a login ends, which is by the clock of the machine', () => {
    const world = new World({
      nowMs: 10_000,
      store: storeWith(encodeTime(1_000_000)),
      authenticator: { authenticate: (_request, decide) => decide({ expiresAtMs: 15_000 }) },
    })
    assert.equal(world.core.context.clockBehindMs, 990_000)
    const a = world.client('a')
    a.connected()
    world.advance(4_900)
    assert.equal(a.isClosed, false)
    world.advance(300)
    a.isDisconnectedWith(ReasonCode.NotAuthorized)
  })

  test('is noted with each batch, and at an orderly end without one', () => {
    const store = new SimStore()
    const world = new World({ nowMs: 10_000, store })
    world.advance(3_600_000)
    world.core.finish(() => {})
    world.run()
    store.flush()
    assert.deepEqual(store.get(Table.Meta, TIME_KEY, 0, 0), encodeTime(3_610_000))
  })
})
