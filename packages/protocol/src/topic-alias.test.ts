import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from './errors.ts'
import { Publish } from './packets.ts'
import { TopicAliasReceiver, TopicAliasSender } from './topic-alias.ts'

function publish(topic: string, topicAlias?: number): Publish {
  return Publish.of({ topic, properties: topicAlias === undefined ? {} : { topicAlias } })
}

function refusedWith(reasonCode: number): (error: unknown) => boolean {
  return (error) => error instanceof ProtocolError && error.reasonCode === reasonCode
}

test('an alias stands for the Topic Name that came with it last [MQTT-3.3.2-12]', () => {
  const receiver = new TopicAliasReceiver(2)
  assert.equal(receiver.resolve(publish('a', 1)), 'a')
  assert.equal(receiver.resolve(publish('b', 2)), 'b')
  assert.equal(receiver.resolve(publish('', 1)), 'a')
  assert.equal(receiver.resolve(publish('c', 1)), 'c')
  assert.equal(receiver.resolve(publish('', 1)), 'c')
  assert.equal(receiver.resolve(publish('', 2)), 'b')
})

test('the packet gets its Topic Name and the bytes of it', () => {
  const receiver = new TopicAliasReceiver(1)
  const first = publish('a', 1)
  first.topicField = new Uint8Array([0, 1, 0x61])
  receiver.resolve(first)
  const second = publish('', 1)
  receiver.resolve(second)
  assert.equal(second.topic, 'a')
  assert.equal(second.topicField, first.topicField)
  receiver.resolve(publish('b', 1))
  const third = publish('', 1)
  receiver.resolve(third)
  assert.equal(third.topic, 'b')
  assert.equal(third.topicField, null)
})

test('a PUBLISH without alias has its own Topic Name', () => {
  assert.equal(new TopicAliasReceiver(0).resolve(publish('a')), 'a')
  assert.throws(() => new TopicAliasReceiver(9).resolve(publish('')), refusedWith(0x82))
})

test('an alias of 0 or above the maximum is refused with 0x94 [MQTT-3.3.2-8] [MQTT-3.3.2-9]', () => {
  const receiver = new TopicAliasReceiver(2)
  assert.throws(() => receiver.resolve(publish('a', 3)), refusedWith(0x94))
  assert.throws(() => receiver.resolve(publish('', 3)), refusedWith(0x94))
  assert.throws(() => receiver.resolve(publish('a', 0)), refusedWith(0x94))
  assert.throws(() => new TopicAliasReceiver(0).resolve(publish('a', 1)), refusedWith(0x94))
})

test('an alias that stands for nothing is refused with 0x82 (section 3.3.4)', () => {
  assert.throws(() => new TopicAliasReceiver(2).resolve(publish('', 1)), refusedWith(0x82))
})

test('a sender without maximum uses no alias [MQTT-3.3.2-11]', () => {
  assert.equal(new TopicAliasSender(0).aliasFor('a'), null)
})

test('an alias is new once, then it goes alone', () => {
  const sender = new TopicAliasSender(5)
  assert.deepEqual({ ...sender.aliasFor('a') }.isNew, true)
  assert.deepEqual({ ...sender.aliasFor('a') }.isNew, false)
  assert.deepEqual({ ...sender.aliasFor('b') }.alias, 2)
  assert.deepEqual({ ...sender.aliasFor('a') }.alias, 1)
})

test('with a maximum of 1 each new topic takes the alias', () => {
  const sender = new TopicAliasSender(1)
  for (const topic of ['a', 'b', 'a']) {
    assert.equal(sender.aliasFor(topic)?.isNew, true)
    assert.equal(sender.aliasFor(topic)?.isNew, false)
    assert.equal(sender.aliasFor(topic)?.alias, 1)
  }
})

test('the alias not used for the longest time is reassigned, and the receiver always understands [MQTT-3.3.2-11]', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { maxLength: 60 }),
      (maximum, topics) => {
        const sender = new TopicAliasSender(maximum)
        const receiver = new TopicAliasReceiver(maximum)
        /** Pairs of topic and alias, the one used last at the end. */
        let model: [topic: string, alias: number][] = []
        for (const topic of topics) {
          const known = model.find(([other]) => other === topic)
          const alias = known?.[1] ?? (model.length < maximum ? model.length + 1 : model[0]![1])
          model = [...model.filter(([, other]) => other !== alias), [topic, alias]]

          const entry = sender.aliasFor(topic)!
          assert.equal(entry.alias, alias)
          assert.equal(entry.isNew, known === undefined)
          assert.equal(receiver.resolve(publish(entry.isNew ? topic : '', entry.alias)), topic)
        }
      },
    ),
    { numRuns: 1000 },
  )
})
