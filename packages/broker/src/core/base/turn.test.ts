import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { Faults } from './faults.ts'
import { Metrics } from './metrics.ts'
import { ALONE, Turn } from './turn.ts'

let clock: SimClock
let turn: Turn
let ends = 0

beforeEach(() => {
  clock = new SimClock()
  ends = 0
  turn = new Turn(clock, new Faults(new Metrics(), null), () => {
    ends++
    turn.flush()
    turn.measureLine()
  })
})

/** Reaction of a connection to a chunk; returns true when that was the whole turn. */
function chunk(): boolean {
  const isTurn = turn.beginChunk()
  if (isTurn) turn.end()
  return isTurn
}

/** So many iterations of the event loop with one chunk each; how many of them ended their turn themselves. */
function alone(iterations: number): number {
  let count = 0
  for (let i = 0; i < iterations; i++) {
    if (chunk()) count++
    clock.runTurns()
  }
  return count
}

describe('a turn', () => {
  test('ends once for all chunks of an iteration', () => {
    for (let i = 0; i < 5; i++) chunk()
    assert.equal(ends, 0)
    clock.runTurns()
    assert.equal(ends, 1)
  })

  test('ends with its chunk when those before were alone too', () => {
    assert.equal(alone(ALONE), 0)
    assert.equal(chunk(), true)
    assert.equal(ends, ALONE + 1)
  })

  for (const offset of [0, 1])
    test(`waits for company now and then, and stays with it once it has come (${offset})`, () => {
      alone(ALONE)
      let waits = 0
      for (let i = 0; i < 10 * ALONE; i++) {
        if (!chunk()) waits++
        clock.runTurns()
      }
      assert.ok(waits >= 18 && waits <= 20, `${waits} of ${10 * ALONE}`)
      // Within one round of them a second chunk in the iteration is noticed, wherever the round begins.
      alone(offset)
      for (let i = 0; i < ALONE / 2 + 3; i++) {
        chunk()
        chunk()
        clock.runTurns()
      }
      ends = 0
      for (let i = 0; i < 3; i++) chunk()
      clock.runTurns()
      assert.equal(ends, 1)
    })

  test('of one chunk counts as a turn', () => {
    alone(ALONE + 10)
    assert.equal(turn.number, ALONE + 10)
  })

  test('that something else began is joined by a chunk', () => {
    alone(ALONE)
    turn.begin()
    assert.equal(chunk(), false)
    assert.equal(ends, ALONE)
    clock.runTurns()
    assert.equal(ends, ALONE + 1)
  })

  test('without a chunk says nothing about chunks', () => {
    alone(ALONE)
    turn.begin()
    clock.runTurns()
    assert.equal(chunk(), true)
  })
})
