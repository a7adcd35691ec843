import assert from 'node:assert/strict'
import { test } from 'node:test'
import { between, quantile } from './latency.ts'

test('quantiles are linear within a bucket, and of what came in between only', () => {
  const bounds = [0.001, 0.01, 0.1]
  assert.equal(quantile(bounds, [0, 0, 0, 0], 0.5), null)
  assert.equal(quantile(bounds, [10, 0, 0, 0], 0.5), 0.0005)
  assert.equal(quantile(bounds, [0, 10, 0, 0], 1)?.toFixed(6), '0.010000')
  assert.equal(quantile(bounds, [5, 0, 0, 5], 0.99), 0.1)
  assert.deepEqual(between([1, 2, 3, 4], [1, 5, 3, 4]), [0, 3, 0, 0])
  assert.deepEqual(between(undefined, [1, 2]), [1, 2])
})
