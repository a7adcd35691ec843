import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../random.ts'
import { Kind, NOTHING, type Packet, type Properties, Property } from './codec.ts'
import { FOREVER, Message, matches, numberIn, payloadOf, Retained, SubscriptionPeriod, Subscriptions } from './model.ts'
import { Chooser, parse, print } from './script.ts'

class Scene {
  readonly found: string[] = []
  readonly retained: Retained = new Retained()
  readonly subscriptions: Subscriptions = new Subscriptions(0, true, this.retained, (kind) => this.found.push(kind))

  message(number: number, sentAt: number, more: { qos?: number; retain?: boolean; topic?: string } = {}): Message {
    const { qos = 2, retain = false, topic = 'a' } = more
    const properties: Properties = []
    const what = { number, publisher: 1, topic, qos, retain, payload: payloadOf(number, 20), properties }
    const message = new Message({ ...what, expirySeconds: 0, isWill: false, sentAt })
    if (retain) this.retained.add(message)
    return message
  }

  subscribe(askedAt: number, grantedAt: number, more: Partial<SubscriptionPeriod> = {}): SubscriptionPeriod {
    const options = { qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 }
    const period = new SubscriptionPeriod({ filter: 'a', ...options, ...more, askedAt })
    this.subscriptions.subscribe(period)
    if (grantedAt < FOREVER) this.subscriptions.granted(period, grantedAt)
    return period
  }

  come(message: Message, packet: Partial<Packet> = {}, isRepeat = false): string[] {
    this.found.length = 0
    const whole = { ...NOTHING, kind: Kind.Publish, qos: 2, payload: message.payload, ...packet }
    this.subscriptions.receive({ packet: whole, topic: message.topic, message, version: 5, isRepeat })
    return [...this.found]
  }
}

test('a message comes once, as long as it is not sent again under its packet id', () => {
  const scene = new Scene()
  scene.subscribe(1, 2)
  const message = scene.message(1, 3)
  assert.deepEqual(scene.come(message), [])
  assert.deepEqual(scene.come(message, { dup: true }, true), [])
  assert.deepEqual(scene.come(message), ['twice'])
})

test('a message that was acknowledged before the subscription was asked for must not come', () => {
  const scene = new Scene()
  const message = scene.message(1, 1)
  message.doneAt = 2
  scene.subscribe(3, 4)
  assert.deepEqual(scene.come(message), ['unexpected'])
})

test('a message is owed by a subscription that was granted before it was sent and stood when it was acknowledged', () => {
  const scene = new Scene()
  const message = scene.message(1, 5)
  message.state = 'accepted'
  message.doneAt = 9
  assert.equal(scene.subscriptions.owedBy(message).length, 0)
  const early = scene.subscribe(1, 2)
  assert.deepEqual(scene.subscriptions.owedBy(message), [early])
  scene.subscriptions.unsubscribe('a', 8)
  assert.equal(scene.subscriptions.owedBy(message).length, 0)
})

test('order is judged by first receipts, per publisher, topic and QoS', () => {
  const scene = new Scene()
  scene.subscribe(1, 2)
  assert.deepEqual(scene.come(scene.message(2, 3)), [])
  assert.deepEqual(scene.come(scene.message(1, 3)), ['order'])
  assert.deepEqual(scene.come(scene.message(3, 3)), [])
})

test('the QoS is the lower one of message and subscription; RETAIN, content and properties are those of the message', () => {
  const scene = new Scene()
  scene.subscribe(1, 2, { qos: 1 })
  assert.deepEqual(scene.come(scene.message(1, 3)), ['qos'])
  assert.deepEqual(scene.come(scene.message(2, 3), { qos: 1 }), [])
  assert.deepEqual(scene.come(scene.message(3, 3), { qos: 1, retain: true }), ['unexpected'])
  assert.deepEqual(scene.come(scene.message(4, 3), { qos: 1, payload: payloadOf(4, 21) }), ['changed'])
  const identified: Properties = [[Property.SubscriptionIdentifier, 5]]
  assert.deepEqual(scene.come(scene.message(5, 3), { qos: 1, properties: identified }), ['identifier'])
})

test('what is retained is the last message that was accepted, or one that may have come after it', () => {
  const scene = new Scene()
  const [first, second, third] = [1, 3, 5].map((tick) => scene.message(tick, tick, { retain: true })) as [
    Message,
    Message,
    Message,
  ]
  assert.equal(scene.retained.candidates('a').mayBeNone, true)
  first.state = 'accepted'
  first.doneAt = 2
  second.state = 'accepted'
  second.doneAt = 4
  const { messages, mayBeNone } = scene.retained.candidates('a')
  assert.deepEqual(messages, [second, third])
  assert.equal(mayBeNone, false)
  third.state = 'refused'
  assert.deepEqual(scene.retained.candidates('a').messages, [second])
  assert.equal(scene.retained.wasReplaced(first, 4), false)
  assert.equal(scene.retained.wasReplaced(first, 5), true)
})

test('filters match as section 4.7 has it', () => {
  const pairs: [string, string, boolean][] = [
    ['#', 'a/b', true],
    ['a/#', 'a', true],
    ['a/+', 'a', false],
    ['+', 'a/b', false],
    ['+/c', 'b/c', true],
    ['a/b', 'a/b', true],
    ['a/b', 'a/c', false],
  ]
  for (const [filter, topic, expected] of pairs) assert.equal(matches(filter, topic), expected, `${filter} ${topic}`)
})

test('a payload tells its number, and has the size that was asked for', () => {
  assert.equal(numberIn(payloadOf(123, 50)), 123)
  assert.equal(payloadOf(123, 50).length, 50)
  assert.equal(numberIn(payloadOf(1, 0)), null)
})

test('the same seed makes the same script, and a script can be printed and read', () => {
  const scriptOf = (seed: number) => {
    const chooser = new Chooser(new Random(seed))
    return Array.from({ length: 2_000 }, () => chooser.next())
  }
  assert.deepEqual(scriptOf(7), scriptOf(7))
  assert.notDeepEqual(scriptOf(7), scriptOf(8))
  assert.deepEqual(parse(print(scriptOf(7))), scriptOf(7))
  const kinds = new Set(scriptOf(7).map((op) => op.do))
  assert.equal(kinds.size, 15)
})
