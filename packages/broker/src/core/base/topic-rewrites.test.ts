import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { faultOfRewrite, TopicRewrites } from './topic-rewrites.ts'

const ada = { clientId: 'c1', username: 'ada' }
const nobody = { clientId: 'c2', username: undefined }
const all = (from: string, to: string): TopicRewrites => new TopicRewrites([{ action: 'all', from, to }])

describe('a Topic Name', () => {
  const cases: [from: string, to: string, topic: string, result: string][] = [
    ['old/#', 'new/$1', 'old/a/b', 'new/a/b'],
    ['old/#', 'new/$1', 'old', 'new'],
    ['old/#', 'new/$1', 'older/a', 'older/a'],
    ['+/+/temp', '$2/$1/t', 'hall/1/temp', '1/hall/t'],
    ['+/#', 'all/$1/$2', 'a', 'all/a'],
    ['+/#', 'all/$1/$2', 'a/', 'all/a/'],
    ['a/+/b', 'x', 'a//b', 'x'],
    ['a/+', 'dev-$1/z', 'a/7', 'dev-7/z'],
    ['#', 'x/$1', '$SYS/a', '$SYS/a'],
    ['+/a', 'x', '$x/a', '$x/a'],
    ['a', 'by/%c/%u', 'a', 'by/c1/ada'],
    ['a/+', 'b/$1/%u', 'a/%u', 'b/%u/ada'],
  ]
  for (const [from, to, topic, result] of cases)
    test(`${topic} by ${from} -> ${to} is ${result}`, () => assert.equal(all(from, to).topicName(topic, ada), result))

  test('is rewritten by the first rule that matches, once', () => {
    const rewrites = new TopicRewrites([
      { action: 'publish', from: 'a', to: 'b' },
      { action: 'publish', from: 'b', to: 'a' },
      { action: 'publish', from: 'a', to: 'c' },
    ])
    assert.equal(rewrites.topicName('a', ada), 'b')
    assert.equal(rewrites.topicName('b', ada), 'a')
    assert.equal(rewrites.topicFilter('a', ada), 'a')
  })

  test('stays when the rule needs a user name and the client has none, or a name with a wildcard', () => {
    assert.equal(all('a', 'b/%u').topicName('a', nobody), 'a')
    assert.equal(all('a', 'b/%c').topicName('a', { clientId: 'x/#', username: undefined }), 'a')
  })
})

describe('a Topic Filter', () => {
  const cases: [from: string, to: string, filter: string, result: string][] = [
    ['old/#', 'new/$1', 'old/+/temp', 'new/+/temp'],
    ['old/#', 'new/$1', 'old/#', 'new/#'],
    ['old/+', 'new/$1', 'old/+', 'new/+'],
    ['old/+', 'new/$1', 'old/#', 'old/#'],
    ['old/#', 'new/$1', '#', '#'],
    ['old/#', 'new/$1', '+/x', '+/x'],
    ['old/#', 'new/$1', '$share/g/old/x', '$share/g/new/x'],
  ]
  for (const [from, to, filter, result] of cases)
    test(`${filter} by ${from} -> ${to} is ${result}`, () =>
      assert.equal(all(from, to).topicFilter(filter, ada), result))
})

describe('a rule is refused', () => {
  const cases: [from: string, to: string, fault: RegExp][] = [
    ['a/#/b', 'x', /"a\/#\/b" is not a Topic Filter/],
    ['$SYS/#', 'x', /topics of \$SYS cannot/],
    ['$share/g/a', 'x', /topics of \$share cannot/],
    ['a', '$CONTROL/x', /nothing can be rewritten to \$CONTROL/],
    ['a/+', 'x/$2', /\$2 in "x\/\$2" stands for nothing/],
    ['a', 'x/+', /"x\/\+" is not a Topic Name/],
    ['a', '', /"" is not a Topic Name/],
  ]
  for (const [from, to, fault] of cases)
    test(`${from} -> ${to}`, () => assert.match(faultOfRewrite({ action: 'all', from, to }) ?? '', fault))
  test('not one that is right', () => assert.equal(faultOfRewrite({ action: 'all', from: '+/#', to: '$1/%c' }), null))
})
