import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_PROPERTIES, type QoS, ReasonCode } from '@recado/protocol'
import { TestContext, type TestContextOptions } from '../../testing/test-context.ts'
import { Message, Taking } from '../base/message.ts'
import { Intake } from './intake.ts'
import { RetainedMessages } from './retained.ts'
import { Router } from './router.ts'
import { Readiness, type Subscriber, SubscriptionEntry } from './subscriber.ts'

/** A subscriber that keeps what it is given: nothing of a session is needed. */
class Ear implements Subscriber {
  readonly isDurable = false
  readiness: number = Readiness.Ready
  routeStamp = 0
  routeIndex = 0
  readonly heard: string[] = []
  isFull = false
  fails = false

  deliver(message: Message): void {
    if (this.fails) throw new Error('deaf')
    this.heard.push(`${message.topic} ${Buffer.from(message.payload).toString()}`)
  }
  refuses(): boolean {
    return this.isFull
  }
  mayReceive(): boolean {
    return true
  }
  fault(): void {}
}

function routing(options: TestContextOptions = {}) {
  const context = new TestContext(options)
  const router = new Router(context.limits, context.metrics)
  const retained = new RetainedMessages(context, null)
  const intake = new Intake(context, null, router, retained)
  const subscribe = (topicFilter: string, noLocal = false, subscriber = new Ear()): Ear => {
    const options = { topicFilter, qos: 2, noLocal, retainAsPublished: false, subscriptionIdentifier: 0 } as const
    router.subscribe(new SubscriptionEntry(subscriber, options))
    return subscriber
  }
  const message = (topic: string, o: { qos?: QoS; retain?: boolean; publisher?: object } = {}): Message => {
    const { qos = 0, retain = false, publisher = null } = o
    const parts = { topic, payload: Buffer.from('x'), qos, retain, properties: NO_PROPERTIES }
    return Message.of(parts, publisher, context.turn.nowMs)
  }
  return { context, router, retained, intake, subscribe, message }
}

test('the work for a birth of Sparkplug is that of its delivery and of its certificate', () => {
  const worksOf = (sparkplugAware: boolean, ...topics: string[]): number[] => {
    const { intake, subscribe, message } = routing({ options: { sparkplugAware } })
    for (let i = 0; i < 80; i++) subscribe('spBv1.0/#')
    for (let i = 0; i < 160; i++) subscribe('$sparkplug/#')
    return topics.map((topic) => intake.accept(message(topic)).work)
  }
  const birth = 'spBv1.0/g/NBIRTH/n'
  const [ofBirth = 0, ofCertificate = 0] = worksOf(false, birth, `$sparkplug/certificates/${birth}`)
  assert.ok(ofBirth >= 10 && ofCertificate >= 20)
  assert.deepEqual(worksOf(true, birth), [ofBirth + ofCertificate])
})

describe('the answer to the publisher', () => {
  test('is 0x00 when somebody matches and 0x10 when nobody does; nothing is owed without a store', () => {
    const { intake, subscribe, message } = routing()
    const ear = subscribe('a/+')
    assert.equal(intake.accept(message('a/b')).reasonCode, ReasonCode.Success)
    const { reasonCode, hasRows, isRetained, owesDisk } = intake.accept(message('b'))
    assert.equal(reasonCode, ReasonCode.NoMatchingSubscribers)
    assert.deepEqual([hasRows, isRetained, owesDisk], [false, false, false])
    assert.deepEqual(ear.heard, ['a/b x'])
  })

  test('says that a retained message has to be on the disk', () => {
    const { intake, retained, message } = routing()
    assert.equal(intake.accept(message('a', { retain: true })).owesDisk, true)
    assert.notEqual(retained.get('a'), undefined)
  })

  test('is 0x97 when one who would get it is full, and then nobody gets it', () => {
    const { context, router, intake, subscribe, message } = routing()
    const [full, other] = [subscribe('a'), subscribe('a')]
    full.isFull = true
    router.fullSubscribers = 1
    assert.equal(intake.accept(message('a', { qos: 1 }), Taking.Told).reasonCode, ReasonCode.QuotaExceeded)
    assert.deepEqual(other.heard, [])
    assert.equal(context.metrics.dropped['queue-full'], 1)
    // One that cannot be told is delivered to whoever has room.
    assert.equal(intake.accept(message('a', { qos: 1 })).reasonCode, ReasonCode.Success)
    assert.deepEqual(other.heard, ['a x'])
  })

  test('is 0x90 for a topic over a limit', () => {
    const { intake, message } = routing({ limits: { topicLevelsMax: 2 } })
    assert.equal(intake.accept(message('a/b/c')).reasonCode, ReasonCode.TopicNameInvalid)
  })

  test('is 0x83 when one of them has thrown; the others have the message', () => {
    const { intake, subscribe, message } = routing()
    const [deaf, other] = [subscribe('a'), subscribe('#')]
    deaf.fails = true
    assert.equal(intake.accept(message('a')).reasonCode, ReasonCode.ImplementationSpecificError)
    assert.deepEqual(other.heard, ['a x'])
  })

  test('is filled anew for each message', () => {
    const { intake, message } = routing()
    const first = intake.accept(message('a', { retain: true }))
    assert.equal(first.isRetained, true)
    assert.equal(intake.accept(message('b')), first)
    assert.equal(first.isRetained, false)
  })
})

test('the publisher is forgotten when No Local has been looked at', () => {
  const { intake, retained, subscribe, message } = routing()
  const ear = subscribe('a', true)
  intake.accept(message('a', { publisher: ear, retain: true }))
  assert.deepEqual(ear.heard, [])
  assert.equal(retained.get('a')!.publisher, null)
})

test('a route that a subscription has overtaken is found again before it is used', () => {
  const { router, subscribe, message } = routing()
  subscribe('a')
  for (const topicFilter of ['a', '#']) {
    const found = router.find('a')!
    const late = subscribe(topicFilter)
    router.deliver(found, message('a'))
    assert.deepEqual(late.heard, ['a x'], topicFilter)
  }
})

test('an expired retained message goes when its time has come, though nobody looks', () => {
  const { context, retained, intake } = routing()
  const properties = { messageExpiryIntervalSeconds: 10 }
  const parts = { topic: 'a', payload: Buffer.from('x'), qos: 0, retain: true, properties } as const
  intake.accept(Message.of(parts, null, context.turn.nowMs))
  context.run()
  context.simClock.advance(61_000)
  assert.equal(retained.get('a'), undefined)
  assert.equal(context.metrics.retainedMessages, 0)
})
