import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoadAverage } from './load-average.ts'

test('a steady rate is reached as exp(-t/T) says, whatever the interval', () => {
  const [short, long] = [new LoadAverage('1min'), new LoadAverage('1min')]
  for (let seconds = 0; seconds < 60; seconds += 10) short.update(100, 10)
  long.update(600, 60)
  assert.equal(short.text, (600 * (1 - Math.exp(-1))).toFixed(2))
  assert.equal(long.text, short.text)
})

test('averages over 5 and 15 minutes follow more slowly', () => {
  const texts = (['1min', '5min', '15min'] as const).map((window) => {
    const load = new LoadAverage(window)
    load.update(60, 60)
    return load.text
  })
  assert.deepEqual(texts, ['37.93', '10.88', '3.87'])
})

test('a movement of less than 0.01 is not worth a message', () => {
  const load = new LoadAverage('15min')
  assert.equal(load.text, '0.00')
  assert.equal(load.update(0, 10), false)
  assert.equal(load.update(1, 10), true)
  let last = true
  for (let i = 0; i < 1_000; i++) last = load.update(0, 10)
  assert.equal(last, false)
  assert.equal(load.text, '0.00')
})
