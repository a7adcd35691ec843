/** Numbers of listeners that are added up while connections come and go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ListenerCounts, type ListenerSum } from './listener-counts.ts'
import { Traffic } from './traffic.ts'

interface Open {
  readonly listener: string
  readonly isActive: boolean
  readonly traffic: Traffic
}

function scene(): {
  counts: ListenerCounts
  open: Set<Open>
  connect: (messages: number) => Open
  close: (each: Open) => void
} {
  const counts = new ListenerCounts()
  const open = new Set<Open>()
  const connect = (messages: number): Open => {
    const traffic = Object.assign(new Traffic(), { connectedAtMs: 1, messagesReceived: messages })
    const each = { listener: 'main', isActive: true, traffic }
    open.add(each)
    return each
  }
  const close = (each: Open): void => {
    open.delete(each)
    counts.closed(each)
  }
  return { counts, open, connect, close }
}

/** Ends a sum; returns connections, all that were ever opened, and messages. */
function numbersOf(sum: ListenerSum): number[] {
  while (sum.step());
  const [view] = sum.views
  return [view!.connections, view!.connectionsOpened, view!.messagesReceived]
}

test('a connection that closes while listeners are added up counts once, before its turn or after it', () => {
  const { counts, open, connect, close } = scene()
  const [before, counted, waiting] = [connect(1), connect(10), connect(100)]
  connect(1_000)
  close(before)
  const sum = counts.sum(open)
  sum.step()
  close(counted)
  close(waiting)
  assert.deepEqual(numbersOf(sum), [2, 4, 1_111])
  assert.deepEqual(numbersOf(counts.sum(open)), [1, 4, 1_111])
})

test('a counter is never lower than it was in the sum before', () => {
  const { counts, open, connect, close } = scene()
  const all = Array.from({ length: 20 }, () => connect(1))
  let last = 0
  for (let round = 0; round < 10; round++) {
    const sum = counts.sum(open)
    for (let i = 0; i < 2 * round; i++) sum.step()
    // One of the first, which has been counted, and one of the last, which has not.
    close(all[round]!)
    close(all[19 - round]!)
    for (const { traffic } of open) traffic.messagesReceived++
    const [, opened, messages] = numbersOf(sum)
    assert.equal(opened, 20)
    assert.ok(messages! >= last, `${messages} after ${last}`)
    last = messages!
  }
})

test('what closes after a sum is not added to it', () => {
  const { counts, open, connect, close } = scene()
  const each = connect(1)
  const sum = counts.sum(open)
  numbersOf(sum)
  close(each)
  assert.equal(sum.views[0]!.messagesReceived, 1)
})
