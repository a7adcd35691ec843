import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arrival, MessageStream } from './bench-stream.ts'

function arrivals(...numbers: number[]): { stream: MessageStream; kinds: string } {
  const stream = new MessageStream()
  const letters: Record<number, string> = { [Arrival.New]: 'n', [Arrival.Duplicate]: 'd', [Arrival.Late]: 'l' }
  return { kinds: numbers.map((number) => letters[stream.accept(number)]).join(''), stream }
}

test('messages in their order are new and none is missing', () => {
  const { stream, kinds } = arrivals(0, 1, 2, 3)
  assert.equal(kinds, 'nnnn')
  assert.equal(stream.missing, 0)
})

test('a subscriber may come when the publisher is at any number', () => {
  const { stream, kinds } = arrivals(5_000_000, 5_000_001)
  assert.equal(kinds, 'nn')
  assert.equal(stream.missing, 0)
})

test('a gap is missing until it is filled, and then that one was out of order', () => {
  const { stream, kinds } = arrivals(0, 1, 4)
  assert.equal(kinds, 'nnn')
  assert.equal(stream.missing, 2)
  assert.equal(stream.accept(3), Arrival.Late)
  assert.equal(stream.missing, 1)
  assert.equal(stream.accept(5), Arrival.New)
  assert.equal(stream.missing, 1)
})

test('the same message again is a duplicate, in line or not', () => {
  assert.equal(arrivals(0, 0, 1, 1, 0, 2).kinds, 'ndnddn')
  assert.equal(arrivals(0, 4, 4, 2, 2, 0).kinds, 'nndldd')
})

test('a message before the first is out of order and counts', () => {
  const { stream, kinds } = arrivals(10, 8, 8, 9)
  assert.equal(kinds, 'nldl')
  assert.equal(stream.missing, 0)
})

test('what is remembered does not grow, over any number of messages and gaps', () => {
  const stream = new MessageStream()
  let sent = 0
  for (let number = 0; number < 100_000; number += number % 1_000 === 999 ? 9_000 : 1) {
    assert.equal(stream.accept(number), Arrival.New)
    sent++
  }
  assert.equal(stream.distinct, sent)
  assert.equal(stream.accept(10), Arrival.Duplicate)
})

test('a stream agrees with a set of all numbers, for messages shuffled within the window', () => {
  let state = 1
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  for (let round = 0; round < 20; round++) {
    const stream = new MessageStream()
    const seen = new Set<number>()
    let last = -1
    for (let i = 0; i < 3_000; i++) {
      const number = Math.max(0, i + random(200) - 100)
      const expected = seen.has(number) ? Arrival.Duplicate : number > last ? Arrival.New : Arrival.Late
      assert.equal(stream.accept(number), expected, `round ${round}, message ${i}, number ${number}`)
      seen.add(number)
      last = Math.max(last, number)
    }
    assert.equal(stream.distinct, seen.size)
    assert.equal(stream.missing, last - Math.min(...seen) + 1 - seen.size)
  }
})
