import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rewrittenFilter, rewrittenTopic } from './rewrites.ts'
import type { Rewrite } from './types.ts'

const names = { clientId: 'c0', username: '' }
const rule = (from: string, to: string, action: Rewrite['action'] = 'all'): Rewrite => ({ action, from, to })
const topic = (rewrites: Rewrite[], name: string): string => rewrittenTopic(rewrites, name, names, true)

test('the first rule that matches holds, and its result is not rewritten again', () => {
  assert.equal(topic([rule('a', 'b'), rule('b', 'c'), rule('a', 'd')], 'a'), 'b')
  assert.equal(topic([rule('a', 'b', 'subscribe')], 'a'), 'a')
})

test('wildcards of a rule are carried over, and # that stands for no level takes the / along', () => {
  assert.equal(topic([rule('+/+/c', 'r/$2/$1')], 'a/b/c'), 'r/b/a')
  assert.equal(topic([rule('a/#', 'r/$1')], 'a/b/c'), 'r/b/c')
  assert.equal(topic([rule('a/#', 'r/$1')], 'a'), 'r')
  assert.equal(topic([rule('#', 'r/$1')], '$x/y'), '$x/y')
})

test('a rule with a name that the client lacks does not apply', () => {
  assert.equal(topic([rule('a', 'to/%c')], 'a'), 'to/c0')
  assert.equal(topic([rule('a', 'to/%u')], 'a'), 'a')
})

test('the topic behind a delay is rewritten, and the group of a Shared Subscription stays', () => {
  assert.equal(topic([rule('a', 'b')], '$delayed/5/a'), '$delayed/5/b')
  assert.equal(rewrittenFilter([rule('a/#', 'b/$1')], '$share/g/a/+', names), '$share/g/b/+')
  assert.equal(rewrittenFilter([rule('a/+', 'b/$1')], 'a/#', names), 'a/#')
})
