import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestContext } from '../../testing/test-context.ts'
import type { BufferPool, PooledBuffer } from './buffer-pool.ts'

const MiB = 1024 * 1024

function make(): { context: TestContext; pool: BufferPool; allocated: () => number } {
  let allocated = 0
  const context = new TestContext({
    allocate: (bytes) => {
      allocated++
      return new Uint8Array(bytes)
    },
  })
  return { context, pool: context.buffers, allocated: () => allocated }
}

test('a buffer comes again when its last user has let go, and not before', () => {
  const { pool } = make()
  const first = pool.take(20_000)
  first.hold()
  first.release()
  assert.notEqual(pool.take(20_000), first)
  first.release()
  assert.equal(pool.take(20_000), first)
})

test('one that was kept never comes again', () => {
  const { pool } = make()
  const first = pool.take(20_000)
  first.keep()
  first.release()
  assert.equal(pool.freeBytes, 0)
  assert.notEqual(pool.take(20_000), first)
})

test('a buffer has room for what was asked for, and a quarter more at most', () => {
  const { pool } = make()
  for (const bytes of [8_192, 8_193, 16_384, 65_536, 65_560, 131_072, 1_048_600, 10_485_800]) {
    const { length } = pool.take(bytes).bytes
    assert.ok(length >= bytes && length <= 1.25 * bytes, `${bytes}: ${length}`)
  }
})

test('the pool is bounded', () => {
  const { pool } = make()
  const buffers = Array.from({ length: 100 }, () => pool.take(MiB))
  for (const buffer of buffers) buffer.release()
  assert.ok(pool.freeBytes > 0 && pool.freeBytes <= 32 * MiB)
})

test('what is not used any more is given back, and the clock is left alone then', () => {
  const { context, pool, allocated } = make()
  const buffers = Array.from({ length: 16 }, () => pool.take(MiB))
  for (const buffer of buffers) buffer.release()
  // What is in use again and again stays.
  for (let i = 0; i < 50; i++) {
    const used = pool.take(MiB)
    context.simClock.advance(100)
    used.release()
  }
  assert.equal(allocated(), 16)
  assert.equal(pool.freeBytes, MiB)
  context.simClock.advance(10_000)
  assert.equal(pool.freeBytes, 0)
  assert.equal(context.wheel.size, 0)
})

test('clear gives everything back', () => {
  const { context, pool } = make()
  const buffers: PooledBuffer[] = [20_000, 50_000, MiB].map((bytes) => pool.take(bytes))
  for (const buffer of buffers) buffer.release()
  // A look has passed, and found them unused.
  context.simClock.advance(1_100)
  pool.take(MiB).release()
  pool.clear()
  assert.equal(pool.freeBytes, 0)
  context.simClock.advance(10_000)
  assert.equal(context.metrics.coreFaults, 0)
  assert.equal(context.wheel.size, 0)
})
