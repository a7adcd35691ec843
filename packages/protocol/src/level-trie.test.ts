import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type LevelNode, LevelTrie } from './level-trie.ts'

const level = fc.constantFrom('', 'a', 'b', 'ab', '+', '$')
const text = fc
  .tuple(fc.array(level, { maxLength: 6 }), fc.boolean())
  .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/') || '/')

function childrenOf<V>(node: LevelNode<V>): LevelNode<V>[] {
  return [node.plus, node.hash, node.only, ...(node.more?.values() ?? [])].filter((child) => child !== null)
}

/** Checks the invariants in the header of level-trie.ts; returns the number of nodes. */
function check<V>(trie: LevelTrie<V>, texts: Set<string>): number {
  const seen = new Set<string>()
  let nodes = 0
  const look = (node: LevelNode<V>, parent: LevelNode<V>, prefix: string): void => {
    nodes++
    assert.ok(node.to > parent.to)
    assert.ok(node.text.startsWith(prefix))
    assert.ok(node.to === node.text.length || node.text[node.to] === '/')
    if (node.to === node.text.length) seen.add(node.text)
    else {
      assert.equal(node.text.length, node.to + 1)
      assert.ok(node.childCount() > 1, 'a branch with less than two children')
    }
    assert.equal(node.childCount(), childrenOf(node).length)
    if (node.more !== null) {
      assert.equal(node.only, null)
      assert.ok(node.more.size > 1)
      for (const [key, child] of node.more) assert.equal(child.text.slice(node.to + 1).split('/')[0], key)
    }
    for (const child of childrenOf(node)) look(child, node, node.text.slice(0, node.to))
  }
  for (const root of [trie.rootFor(''), trie.rootFor('$')]) {
    for (const child of childrenOf(root)) look(child, root, '')
  }
  assert.deepEqual([...seen].sort(), [...texts].sort())
  return nodes
}

test('the shape is as promised after any sequence of insert and remove', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), text), { maxLength: 60 }), (steps) => {
      const trie = new LevelTrie<string>()
      const texts = new Set<string>()
      for (const [isInsert, each] of steps) {
        if (isInsert) {
          const node = trie.insert(each)
          assert.equal(node.text, each)
          assert.equal(trie.find(each), node)
          node.value = each
          texts.add(each)
        } else {
          assert.equal(trie.remove(each), texts.delete(each))
          assert.equal(trie.find(each), null)
        }
        assert.equal(trie.size, texts.size)
        assert.equal(check(trie, texts), trie.nodeCount)
        assert.ok(trie.nodeCount <= 2 * trie.size)
      }
      for (const each of texts) assert.equal(trie.find(each)?.value, each)
      for (const each of texts) assert.equal(trie.remove(each), true)
      assert.equal(trie.nodeCount, 0)
      assert.equal(check(trie, new Set()), 0)
    }),
    { numRuns: 1000 },
  )
})

test('two texts that part after 65,535 equal levels are three nodes', () => {
  const trie = new LevelTrie<number>()
  const deep = '/'.repeat(65_534)
  trie.insert(`${deep}a`)
  trie.insert(`${deep}b`)
  assert.equal(trie.nodeCount, 3)
  assert.equal(trie.remove(`${deep}a`), true)
  assert.equal(trie.nodeCount, 1)
})

test('long levels of long texts are found by their key, whatever characters they have', () => {
  const trie = new LevelTrie<number>()
  const levels = ['\ufeffbeginning with a byte order mark', '😀'.repeat(20), 'plain text of some length']
  for (const each of levels) trie.insert(`${each}/${'x'.repeat(1000)}`)
  for (const each of levels) assert.ok(trie.find(`${each}/${'x'.repeat(1000)}`))
  for (const each of levels) assert.equal(trie.remove(`${each}/${'x'.repeat(1000)}`), true)
  assert.equal(trie.nodeCount, 0)
})
