import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rateText, TopicTree } from './topic-tree.ts'

const live = { retain: false, qos: 0 as const }
const kept = { retain: true, qos: 1 as const }

function treeOf(...messages: readonly (readonly [topic: string, text: string, retain?: boolean])[]): TopicTree {
  const tree = new TopicTree()
  for (const [topic, text, retain] of messages) tree.add(topic, text, retain === true ? kept : live)
  return tree
}

test('topics stand below each other, in the order of their names, with their last values', () => {
  const tree = treeOf(
    ['home/room10/light', 'off'],
    ['home/room2/light', 'on'],
    ['home', 'here', true],
    ['office', 'x\ny'],
    ['home/room2/light', 'off'],
  )
  assert.deepEqual(tree.lines(9), [
    '├─ home = here  (retained)',
    '│  ├─ room2',
    '│  │  └─ light = off',
    '│  └─ room10',
    '│     └─ light = off',
    '└─ office = x y',
  ])
  assert.equal(tree.topics, 4)
  assert.deepEqual(
    tree.list().map(({ topic, text, count }) => [topic, text, count]),
    [
      ['home', 'here', 0],
      ['home/room2/light', 'off', 2],
      ['home/room10/light', 'off', 1],
      ['office', 'x\ny', 1],
    ],
  )
})

test('what is deeper than may be shown is summed up, and the depth is chosen so that it fits', () => {
  const tree = treeOf(['a/b/c', '1'], ['a/b/d', '2'], ['a/e', '3'], ['f', '4'])
  tree.tick(1)
  assert.deepEqual(tree.lines(1), ['├─ a/...  3 topics, 3.00/s', '└─ f = 4  1.00/s'])
  assert.deepEqual(tree.lines(2), ['├─ a', '│  ├─ b/...  2 topics, 2.00/s', '│  └─ e = 3  1.00/s', '└─ f = 4  1.00/s'])
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 20].map((height) => tree.depthFor(height)),
    [1, 1, 1, 2, 2, 3, 3],
  )
})

test('levels may be empty, and a topic may be a level of another', () => {
  const tree = treeOf(['/a', '1'], ['a', '2'], ['a/', '3'])
  assert.deepEqual(tree.lines(9), ["├─ ''", '│  └─ a = 1', '└─ a = 2', "   └─ '' = 3"])
})

test('rates follow within a few seconds and come to rest', () => {
  const tree = treeOf()
  for (let second = 0; second < 20; second++) {
    for (let i = 0; i < 10; i++) tree.add('a', 'x', live)
    tree.add('kept', 'x', kept)
    tree.tick(1)
  }
  const [a, retained] = tree.list()
  assert.ok(Math.abs(a!.rate - 10) < 0.1)
  assert.equal(retained!.rate, 0)
  for (let second = 0; second < 40; second++) tree.tick(1)
  assert.equal(tree.list()[0]!.rate, 0)
  assert.deepEqual([0.5, 12.34, 1234.5].map(rateText), ['0.50/s', '12.3/s', '1235/s'])
})

test('topics beyond the most that are kept are counted, and those that are kept go on', () => {
  const tree = new TopicTree()
  for (let i = 0; i < 20_010; i++) tree.add(`t/${i}`, 'x', live)
  tree.add('t/5', 'again', live)
  tree.add('t', 'no', live)
  assert.equal(tree.topics, 20_000)
  assert.equal(tree.untracked, 11)
  assert.equal(tree.list().find(({ topic }) => topic === 't/5')!.text, 'again')
  tree.add('t/6', 'y'.repeat(10_000), live)
  assert.equal(tree.list().find(({ topic }) => topic === 't/6')!.text.length, 4_003)
})

test('a topic of very many levels is shown and listed, its lowest ones as one name', () => {
  const topic = `${'a/'.repeat(30_000)}b`
  const tree = treeOf([topic, 'x'], ['a/c', 'y'])
  tree.tick(1)
  assert.deepEqual(
    tree.list().map((each) => each.topic),
    [topic, 'a/c'],
  )
  assert.equal(tree.lines(Number.POSITIVE_INFINITY).length, 101)
  assert.equal(tree.depthFor(20), 19)
})

test('a topic with control characters stays within its line', () => {
  assert.deepEqual(treeOf(['a\n\x1b[2J', 'x']).lines(9), ['a\\x0a\\x1b[2J = x'])
})
