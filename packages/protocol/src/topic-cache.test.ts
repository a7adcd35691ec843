import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Decoder } from './decoder.ts'
import { encode, encodeTopicField } from './encoder.ts'
import { Publish } from './packets.ts'
import { TopicCache } from './topic-cache.ts'
import { connectBytes } from './wire-cases.ts'

function decoderWith(topicCache: TopicCache): (topic: string) => Publish {
  const decoder = new Decoder({ role: 'server', topicCache })
  decoder.push(connectBytes(4))
  decoder.read()
  return (topic) => {
    decoder.push(encode(Publish.of({ topic }), 4))
    return decoder.read() as Publish
  }
}

it('a Topic Name is kept while there is room, and is the same object from then on', () => {
  const read = decoderWith(new TopicCache())
  const { topicField } = read('a/b')
  assert.deepEqual(topicField, encodeTopicField('a/b'))
  assert.equal(read('a/b').topicField, topicField)
})

it('a full cache takes a Topic Name when it comes for the second time', () => {
  const read = decoderWith(new TopicCache(2))
  read('a')
  read('b')
  assert.equal(read('c').topicField, null)
  const { topicField } = read('c')
  assert.notEqual(topicField, null)
  assert.equal(read('c').topicField, topicField)
})

it('connections share it', () => {
  const topicCache = new TopicCache()
  const [one, other] = [decoderWith(topicCache), decoderWith(topicCache)]
  const { topicField } = one('a/ä')
  assert.notEqual(topicField, null)
  const packet = other('a/ä')
  assert.equal(packet.topicField, topicField)
  assert.equal(packet.topic, 'a/ä')
})

it('more Topic Names than slots are decoded all the same', () => {
  const read = decoderWith(new TopicCache(4))
  for (let round = 0; round < 4; round++)
    for (let i = 0; i < 100; i++) {
      const { topic, topicField } = read(`site/${i}/temperature`)
      assert.equal(topic, `site/${i}/temperature`)
      if (topicField !== null) assert.deepEqual(topicField, encodeTopicField(topic))
    }
})

it('nearly all of 500 Topic Names in turn find their place', () => {
  const read = decoderWith(new TopicCache())
  let hits = 0
  for (let round = 0; round < 5; round++) {
    hits = 0
    for (let i = 0; i < 500; i++) if (read(`site/${i}/temperature`).topicField !== null) hits++
  }
  assert.ok(hits >= 490, `${hits} of 500`)
})

it('Topic Names of every length from 1 to 140 are told apart by each of their bytes', () => {
  const read = decoderWith(new TopicCache())
  for (let length = 1; length <= 140; length++) {
    const base = 'x'.repeat(length)
    for (let round = 0; round < 3; round++) {
      for (const at of [0, length >> 1, length - 1]) {
        const topic = `${base.slice(0, at)}y${base.slice(at + 1)}`
        const packet = read(topic)
        assert.equal(packet.topic, topic)
        if (length > 128) assert.equal(packet.topicField, null)
      }
      assert.equal(read(base).topic, base)
    }
  }
})
