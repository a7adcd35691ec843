import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bridgesFrom } from '../config/bridges.ts'
import { parseConfigFile } from '../config/parse.ts'
import { TopicMap } from './topic-map.ts'

function mapOf(...lines: string[]): TopicMap {
  const text = `connection b\naddress hub\n${lines.map((line) => `topic ${line}`).join('\n')}`
  const parsed = parseConfigFile('a.conf', { read: () => text, list: () => [] })
  return new TopicMap(bridgesFrom(parsed.bridges, []).bridges[0]!.topics)
}

test('prefixes are taken off and put on, in both directions', () => {
  const map = mapOf('# both 1 near/ far/house/')
  assert.equal(map.remote('near/a/b')?.topic, 'far/house/a/b')
  assert.equal(map.local('far/house/a/b'), 'near/a/b')
  assert.deepEqual([...map.remote('near/a')!.field], [0, 11, ...new TextEncoder().encode('far/house/a')])
})

test('a topic that no line of the direction matches has no name on the other side', () => {
  const map = mapOf('a/# out', 'b/# in')
  assert.equal(map.remote('b/1'), null)
  assert.equal(map.local('a/1'), null)
  assert.equal(map.local('b/1'), 'b/1')
})

test('the first line with a prefix maps, whatever lines without one stand before it', () => {
  const map = mapOf('a/# out', 'a/+ out 0 "" one/', '# out 0 "" two/')
  assert.equal(map.remote('a/b')?.topic, 'one/a/b')
  assert.equal(map.remote('a/b/c')?.topic, 'two/a/b/c')
})

test('a line without pattern maps one topic to one', () => {
  const map = mapOf('"" both 0 here/t there/u')
  assert.equal(map.remote('here/t')?.topic, 'there/u')
  assert.equal(map.local('there/u'), 'here/t')
  assert.equal(map.local('there/u/v'), null)
})

test('a Shared Subscription brings the topics of its Topic Filter', () => {
  assert.equal(mapOf('$share/g/jobs/# in 1').local('jobs/1'), 'jobs/1')
})

test('a topic that would be empty without its prefix has no name on the other side', () => {
  assert.equal(mapOf('# out 0 near/').remote('near/'), null)
})
