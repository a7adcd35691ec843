import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ring } from './ring.ts'

test('a ring is a queue, whatever the order of pushes, shifts and unshifts', () => {
  const ring = new Ring<number>()
  const model: number[] = []
  let seed = 1
  for (let i = 0; i < 20_000; i++) {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff
    const choice = (seed >> 16) % 10
    if (choice < 5) {
      ring.push(i)
      model.push(i)
    } else if (choice < 6) {
      ring.unshift(i)
      model.unshift(i)
    } else assert.equal(ring.shift(), model.shift())
    assert.equal(ring.size, model.length)
    assert.equal(ring.peek(), model[0])
    assert.equal(ring.at(model.length - 1), model.at(-1))
  }
  ring.clear()
  assert.equal(ring.shift(), undefined)
})
