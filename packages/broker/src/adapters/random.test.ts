import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SystemRandom } from './random.ts'

test('as many bytes as asked for, and never the same ones again', () => {
  const random = new SystemRandom()
  const seen = new Set<string>()
  // Several times what is asked of the system at once, in pieces that do not divide it.
  for (let i = 0; i < 1_000; i++) {
    const text = random.hex(17)
    assert.match(text, /^[0-9a-f]{34}$/)
    seen.add(text)
  }
  assert.equal(seen.size, 1_000)
})

test('no two pieces overlap', () => {
  const random = new SystemRandom()
  const bytes = Array.from({ length: 600 }, () => random.hex(8)).join('')
  const windows = new Set<string>()
  for (let i = 0; i + 16 <= bytes.length; i += 2) windows.add(bytes.slice(i, i + 16))
  assert.equal(windows.size, 600 * 8 - 7)
})

test('more than is asked of the system at once', () => {
  assert.equal(new SystemRandom().hex(10_000).length, 20_000)
  assert.equal(new SystemRandom().hex(0), '')
})
