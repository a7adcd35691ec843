/** The countdown to the next message that a watch is told of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApplicationMessage } from '../../ports.ts'
import { MessageCountdown } from './message-countdown.ts'

/** A countdown, and the numbers of messages that its watch was told. */
function countdown(): { countdown: MessageCountdown; told: number[]; publish: (messages: number) => void } {
  const told: number[] = []
  const made = new MessageCountdown({
    published(_client, _message, messages) {
      told.push(messages)
      return true
    },
    delivered: () => undefined,
    acknowledged: () => undefined,
    committed: () => undefined,
  })
  const publish = (messages: number): void => {
    for (let i = 0; i < messages; i++) made.next(null, {} as ApplicationMessage)
  }
  return { countdown: made, told, publish }
}

test('at first the watch is told of each message, then of one in so many, with all that it stands for', () => {
  const { countdown: made, told, publish } = countdown()
  publish(3)
  assert.deepEqual(told, [1, 1, 1])
  made.every = 10
  publish(25)
  // The countdown that had begun is not made longer.
  assert.deepEqual(told.slice(3), [1, 10, 10])
  assert.equal(made.messages, 28)
})

test('a countdown is made shorter at once, and what has passed is counted', () => {
  const { countdown: made, told, publish } = countdown()
  made.every = 1_000
  publish(1)
  publish(400)
  assert.equal(made.messages, 401)
  made.every = 5
  assert.equal(made.messages, 401)
  publish(5)
  assert.deepEqual(told, [1, 405])
  made.every = 1
  publish(2)
  assert.deepEqual(told.slice(2), [1, 1])
  assert.equal(made.messages, 408)
})

test('the watch may set the pace when it is told of a message', () => {
  const told: number[] = []
  const made: MessageCountdown = new MessageCountdown({
    published(_client, _message, messages) {
      told.push(messages)
      made.every = 4
      return false
    },
    delivered: () => undefined,
    acknowledged: () => undefined,
    committed: () => undefined,
  })
  for (let i = 0; i < 9; i++) assert.equal(made.next(null, {} as ApplicationMessage), false)
  assert.deepEqual(told, [1, 1, 4])
})
