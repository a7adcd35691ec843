import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../random.ts'
import { median, type Point, quantile, trendOf } from './trend.ts'

const series = (value: (at: number) => number, count = 120): Point[] =>
  Array.from({ length: count }, (_, i) => ({ at: i * 30, value: value(i * 30) }))
const bound = { part: 0.1, floor: 1 }

test('a saw with noise and peaks is flat', () => {
  const random = new Random(1)
  const trend = trendOf(
    series((at) => 100 + ((at / 30) % 7) * 3 + random.next() * 20 + (random.chance(0.05) ? 500 : 0)),
    bound,
  )
  assert.equal(trend?.isGrowing, false)
})

test('a leak of a fifth in the second half is seen through the same noise', () => {
  const random = new Random(1)
  const trend = trendOf(
    series((at) => 100 + at / 90 + ((at / 30) % 7) * 3 + random.next() * 20 + (random.chance(0.05) ? 500 : 0)),
    bound,
  )
  assert.ok(trend?.isGrowing)
  assert.ok(Math.abs(trend.growth - 20) < 8, `${trend.growth}`)
})

test('what grows while it warms up and then stays is flat', () => {
  assert.equal(
    trendOf(
      series((at) => Math.min(at, 1_200)),
      bound,
    )?.isGrowing,
    false,
  )
})

test('a growth that is certain and less than what is allowed is flat', () => {
  assert.equal(
    trendOf(
      series((at) => 1_000 + at / 100),
      bound,
    )?.isGrowing,
    false,
  )
})

test('a few points say nothing', () => {
  assert.equal(
    trendOf(
      series((at) => at, 10),
      bound,
    ),
    null,
  )
  assert.equal(trendOf([], bound), null)
})

test('median and quantile', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
  assert.equal(median([]), 0)
  assert.equal(quantile([5, 1, 4, 2, 3], 0.99), 5)
  assert.equal(quantile([5, 1, 4, 2, 3], 0.5), 3)
})
