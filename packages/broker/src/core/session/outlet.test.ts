/** A session with an outlet of its own: what it sends, without connections, transports or a broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_PROPERTIES, type QoS } from '@recado/protocol'
import type { DropReason } from '../../ports.ts'
import { TestContext } from '../../testing/test-context.ts'
import { Message } from '../base/message.ts'
import { Router } from '../routing/router.ts'
import type { MessageWriter, Outlet } from './outlet.ts'
import { Session, type SessionParts } from './session.ts'
import { ReviewLine } from './subscription-review.ts'

class Pipe implements Outlet, MessageWriter {
  readonly clientId = 'a'
  readonly username = undefined
  readonly protocolVersion = 5
  readonly isBridge = false
  readonly remoteAddress = ''
  readonly listener = ''
  readonly peer = null
  readonly grants = undefined
  memo: unknown = null
  readonly limits
  readonly readGate = { noteRightAcknowledgement: () => {}, noteStray: () => {} }
  readonly publishWriter: MessageWriter = this
  readonly sent: string[] = []
  hasRoom = true

  constructor({ limits }: TestContext) {
    this.limits = limits
  }

  makeRoom(): boolean {
    return this.hasRoom
  }
  write({ topic }: Message, qos: QoS, _retain: boolean, dup: boolean, packetId: number): boolean {
    this.sent.push(`${topic} q${qos} ${packetId}${dup ? ' dup' : ''}`)
    return true
  }
  unsentReason(): DropReason {
    return 'packet-too-large'
  }
  sendPubrel(packetId: number): void {
    this.sent.push(`PUBREL ${packetId}`)
  }
  flush(): void {}
  closeWith(): void {}
  destroy(): void {}
  fault(_where: string, error: unknown): void {
    throw error
  }
}

function setup() {
  const context = new TestContext()
  const router = new Router(context.limits, context.metrics)
  const reviews = new ReviewLine(context.turn)
  const noop = (): void => {}
  const parts: SessionParts = {
    ...{ context, journal: null, router, timeNotes: null, reviews },
    ...{ expire: noop, storeMark: noop },
  }
  const session = new Session(parts, 'a', 0)
  session.expirySeconds = 60
  const options = {
    topicFilter: '#',
    qos: 2,
    noLocal: false,
    retainAsPublished: false,
    subscriptionIdentifier: 0,
  } as const
  session.subscriptions.add(options)
  const publish = (topic: string, qos: QoS): void => {
    const parts = { topic, payload: new Uint8Array(1), qos, retain: false, properties: NO_PROPERTIES }
    router.deliver(router.find(topic)!, Message.of(parts, null, context.turn.nowMs))
  }
  return { context, session, publish }
}

test('messages go out by the outlet, within the Receive Maximum, and wait when there is none', () => {
  const { context, session, publish } = setup()
  publish('waited', 1)
  publish('lost', 0)
  assert.equal(session.queue.length, 1)
  assert.equal(context.metrics.dropped['offline-qos0'], 1)
  const pipe = new Pipe(context)
  session.attach(pipe, 2)
  publish('second', 2)
  publish('third', 1)
  assert.deepEqual(pipe.sent, ['waited q1 1', 'second q2 2'])
  session.handlePuback(1)
  assert.deepEqual(pipe.sent.slice(2), ['third q1 3'])
})

test('an outlet that takes no more gets no QoS 0, and the rest when it has room again', () => {
  const { context, session, publish } = setup()
  const pipe = new Pipe(context)
  session.attach(pipe, 10)
  pipe.hasRoom = false
  publish('a', 0)
  publish('b', 1)
  assert.deepEqual(pipe.sent, [])
  assert.equal(context.metrics.dropped['slow-reader'], 1)
  pipe.hasRoom = true
  session.advance()
  assert.deepEqual(pipe.sent, ['b q1 1'])
})

test('what was in flight goes out again by the next outlet, with DUP', () => {
  const { context, session, publish } = setup()
  session.attach(new Pipe(context), 10)
  publish('a', 1)
  session.detach()
  const next = new Pipe(context)
  session.attach(next, 10)
  assert.deepEqual(next.sent, ['a q1 1 dup'])
})
