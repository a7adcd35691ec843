import assert from 'node:assert/strict'
import { test } from 'node:test'
import { believedPath, marksOf, pathProperty, withPath, writeMarks } from './bridge-path.ts'

const bytes = (length: number, at = -1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i === at ? 1 : 0))

test('marks written as bytes are those of the text', () => {
  for (const [topic, payload] of [
    ['', bytes(0)],
    ['a/b', bytes(1)],
    ['/', bytes(5_000)],
  ] as const) {
    const written = new Uint8Array(18)
    writeMarks(written, 1, topic, payload)
    assert.equal(Buffer.from(written.subarray(1, 17)).toString(), marksOf(topic, payload))
    assert.deepEqual([written[0], written[17]], [0, 0])
  }
})

test('marks differ with the topic, the length of a payload, and its first and last 2,048 bytes', () => {
  const messages: [string, Uint8Array][] = [
    ['a/b', bytes(0)],
    ['b/b', bytes(0)],
    ['a/c', bytes(0)],
    ['a/b', bytes(1)],
    ['a/b', bytes(5_000)],
    ['a/b', bytes(5_000, 0)],
    ['a/b', bytes(5_000, 2_047)],
    ['a/b', bytes(5_000, 2_952)],
    ['a/b', bytes(5_000, 4_999)],
  ]
  assert.equal(new Set(messages.map(([topic, payload]) => marksOf(topic, payload))).size, messages.length)
})

test('a path without marks is believed, as there is nothing to compare', () => {
  for (const path of ['a,b', '']) assert.equal(believedPath(path, 't', bytes(1), true), path)
})

test('the last topic level and the payload make a message known again, and the whole topic where it is kept', () => {
  const value = pathProperty(withPath({}, 'a,b', marksOf('x/t', bytes(1))))
  const told = (topic: string, keepsTopic: boolean): string | null => believedPath(value, topic, bytes(1), keepsTopic)
  assert.deepEqual([told('x/t', true), told('y/t', false), told('t', false)], ['a,b', 'a,b', 'a,b'])
  assert.deepEqual([told('y/t', true), told('x/u', false)], ['*', '*'])
})
