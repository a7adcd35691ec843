/** The journal by itself: batches, gates and elision, with a simulated disk and sessions that are no more than what it knows of them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_PROPERTIES } from '@recado/protocol'
import { Table } from '../../ports.ts'
import { SimStore } from '../../testing/sim-store.ts'
import { TestContext } from '../../testing/test-context.ts'
import { Message } from '../base/message.ts'
import { Delivery } from './delivery.ts'
import type { DurableSession } from './durable-session.ts'
import { Journal } from './journal.ts'
import { PendingCallback } from './pending-ack.ts'

function setup() {
  const store = new SimStore()
  let journal: Journal | null = null
  const context = new TestContext({
    store,
    endTurn: () => {
      journal?.turnEnded()
      context.turn.flush()
      context.turn.measureLine()
    },
  })
  journal = new Journal(store, context)
  const safe: string[] = []
  const session = (number: number): DurableSession => ({
    number,
    connection: null,
    queue: { noteStored: () => safe.push(`stored ${number}`) },
    onSafe: () => safe.push(`safe ${number}`),
  })
  const deliver = (message: Message, to: DurableSession, isLive: boolean): Delivery => {
    const delivery = new Delivery(message, 1, false, null, null)
    delivery.session = to
    journal!.deliver(message, delivery, isLive, false)
    return delivery
  }
  const message = (): Message => {
    const parts = { topic: 't', payload: new Uint8Array(3), qos: 1, retain: false, properties: NO_PROPERTIES } as const
    return Message.of(parts, null, context.turn.nowMs)
  }
  const rows = (table: number): number => {
    let count = 0
    store.scanKeys(table, () => count++)
    return count
  }
  return { store, context, journal, session, deliver, message, safe, rows }
}

describe('a message for durable sessions', () => {
  test('is one row, however many wait for it, and its acknowledgement waits for that row', () => {
    const { store, context, journal, session, deliver, message, safe, rows } = setup()
    const m = message()
    for (const number of [1, 2, 3]) deliver(m, session(number), false)
    const answers: string[] = []
    assert.equal(journal.owe(m, new PendingCallback(() => answers.push('acknowledged')), false), true)
    context.run()
    assert.deepEqual(answers, [])
    store.flush()
    context.run()
    assert.equal(rows(Table.Messages), 1)
    assert.deepEqual(answers, ['acknowledged'])
    assert.deepEqual(safe, ['stored 1', 'stored 2', 'stored 3'])
  })

  test('is never written when all that were sent it acknowledge before', () => {
    const { store, context, journal, session, deliver, message, rows } = setup()
    const m = message()
    const deliveries = [1, 2].map((number) => deliver(m, session(number), true))
    const answers: string[] = []
    journal.owe(m, new PendingCallback(() => answers.push('acknowledged')), false)
    context.run()
    for (const delivery of deliveries) journal.complete(delivery)
    assert.deepEqual(answers, ['acknowledged'])
    context.simClock.advance(1_000)
    store.flush()
    context.run()
    assert.equal(rows(Table.Messages), 0)
  })
})

test('a change opens its gate when the batch that has it is on the disk, not before', () => {
  const { store, context, journal } = setup()
  const order: string[] = []
  journal.change(Table.Sessions, 1, 0, 0, Uint8Array.of(1), new PendingCallback(() => order.push('first')))
  context.run()
  journal.change(Table.Sessions, 2, 0, 0, Uint8Array.of(2), new PendingCallback(() => order.push('second')))
  context.run()
  assert.deepEqual(order, [])
  store.flush()
  context.run()
  store.flush()
  context.run()
  assert.deepEqual(order, ['first', 'second'])
})
