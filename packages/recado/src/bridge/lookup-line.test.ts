import assert from 'node:assert/strict'
import type { LookupFunction } from 'node:net'
import { test } from 'node:test'
import { lookupLine } from './lookup-line.ts'

test('as many lookups as allowed are under way, and the others follow in their order', () => {
  const asked: string[] = []
  const answers: (() => void)[] = []
  const slow: LookupFunction = (hostname, _options, callback) => {
    asked.push(hostname)
    answers.push(() => callback(null, '127.0.0.1', 4))
  }
  const lookup = lookupLine(slow, 2)
  const found: string[] = []
  for (const name of ['a', 'b', 'c', 'd']) lookup(name, {}, () => void found.push(name))
  assert.deepEqual(asked, ['a', 'b'])
  answers[1]!()
  assert.deepEqual(asked, ['a', 'b', 'c'])
  answers[0]!()
  answers[2]!()
  answers[3]!()
  assert.deepEqual(found, ['b', 'a', 'c', 'd'])
})
