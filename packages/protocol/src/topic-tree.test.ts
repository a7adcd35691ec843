import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { topicMatches } from './topic.ts'
import { FilterTree, TopicTree } from './topic-tree.ts'

const level = fc.constantFrom('', 'a', 'b', 'c', '$a')
const topicName = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/') || '/')
const topicFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/') || '/')

function matchesOf<V>(tree: FilterTree<V>, topic: string): V[] {
  const out: V[] = []
  tree.match(topic, out)
  return out
}

function topicsOf<V>(tree: TopicTree<V>, filter: string): string[] {
  const topics: string[] = []
  tree.match(filter, (_value, topic) => {
    topics.push(topic)
  })
  return topics.sort()
}

describe('FilterTree', () => {
  test('finds exact filters and those with wildcards, each once', () => {
    const tree = new FilterTree<string>()
    const filters = ['a/b', 'a/+', '+/b', '+/+', 'a/#', '#', '+/#', 'a/b/#', 'a', 'a/b/c', 'b/+', '/a/b', '+']
    for (const filter of filters) tree.set(filter, filter)
    assert.equal(tree.size, filters.length)
    assert.deepEqual(matchesOf(tree, 'a/b').sort(), filters.filter((filter) => topicMatches(filter, 'a/b')).sort())
  })

  test('appends to what is in the array', () => {
    const tree = new FilterTree<number>()
    tree.set('a', 1)
    tree.set('+', 2)
    const out = [7]
    tree.match('a', out)
    assert.deepEqual(out, [7, 1, 2])
  })

  test('a wildcard in the first level does not match a $-topic [MQTT-4.7.2-1]', () => {
    const tree = new FilterTree<string>()
    for (const filter of ['#', '+', '+/#', '+/a', '$SYS/#', '$SYS/+', '$SYS/a', '$+']) tree.set(filter, filter)
    assert.deepEqual(matchesOf(tree, '$SYS/a').sort(), ['$SYS/#', '$SYS/+', '$SYS/a'])
    assert.deepEqual(matchesOf(tree, '$SYS').sort(), ['$SYS/#'])
    assert.deepEqual(matchesOf(tree, 'x/a').sort(), ['#', '+/#', '+/a'])
  })

  test('set gives a filter another value and get finds it by its text, not by matching', () => {
    const tree = new FilterTree<number>()
    for (const filter of ['a/b', 'a/+', 'a/+/c', 'a/#', '#']) {
      assert.equal(tree.get(filter), undefined)
      tree.set(filter, 1)
      tree.set(filter, 2)
      assert.equal(tree.get(filter), 2)
    }
    assert.equal(tree.size, 5)
    assert.equal(tree.get('+/b'), undefined)
    assert.equal(tree.get('a/+/+'), undefined)
    assert.equal(tree.get('a/+/c/#'), undefined)
    assert.deepEqual(matchesOf(tree, 'a/b'), [2, 2, 2, 2])
  })

  test('a value may be undefined', () => {
    const tree = new FilterTree<undefined>()
    tree.set('a', undefined)
    tree.set('+', undefined)
    assert.equal(matchesOf(tree, 'a').length, 2)
    assert.equal(tree.delete('a'), true)
    assert.equal(tree.delete('+'), true)
    assert.equal(tree.size, 0)
  })

  test('a filter that is alone costs one node, however many levels it has', () => {
    const tree = new FilterTree<number>()
    for (let i = 0; i < 100; i++) tree.set(`device/${i}/+/state/of/something`, i)
    assert.equal(tree.nodeCount, 101)
    assert.deepEqual(matchesOf(tree, 'device/42/x/state/of/something'), [42])
  })

  test('deleting all filters leaves no node', () => {
    const tree = new FilterTree<number>()
    const filters = ['a/+', 'a/+/b', 'a/+/b/c', 'a/#', '#', '+', '+/+', '+/+/+', '$SYS/#', '$SYS/+/a', 'x', '//#']
    for (const filter of filters) tree.set(filter, 0)
    for (const filter of filters) {
      assert.equal(tree.delete(filter), true)
      assert.equal(tree.delete(filter), false)
    }
    assert.equal(tree.size, 0)
    assert.equal(tree.nodeCount, 0)
  })

  test('does what a list of filters does under any sequence of set and delete', () => {
    const step = fc.tuple(fc.boolean(), topicFilter, fc.nat(9))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(topicName, { maxLength: 8 }), (steps, topics) => {
        const tree = new FilterTree<string>()
        const list = new Map<string, string>()
        for (const [isSet, filter, number] of steps) {
          if (isSet) {
            tree.set(filter, `${filter} ${number}`)
            list.set(filter, `${filter} ${number}`)
          } else {
            assert.equal(tree.delete(filter), list.delete(filter))
          }
          assert.equal(tree.size, list.size)
          assert.equal(tree.get(filter), list.get(filter))
        }
        for (const topic of topics) {
          const expected = [...list].filter(([filter]) => topicMatches(filter, topic)).map(([, value]) => value)
          assert.deepEqual(matchesOf(tree, topic).sort(), expected.sort())
        }
        for (const filter of list.keys()) assert.equal(tree.delete(filter), true)
        assert.equal(tree.size, 0)
        assert.equal(tree.nodeCount, 0)
      }),
      { numRuns: 1000 },
    )
  })

  test('filters and names of 65,536 levels overflow no stack and leave no node behind', () => {
    const tree = new FilterTree<number>()
    const deep = '/'.repeat(65_534)
    const filters = [
      `${deep}#`,
      `${deep}+`,
      `${deep}a/#`.slice(1),
      '+/'.repeat(32_767).concat('#'),
      `${deep.slice(1)}+/`,
    ]
    filters.forEach((filter, i) => {
      tree.set(filter, i)
    })
    assert.deepEqual(
      matchesOf(tree, `${deep}/`).sort(),
      filters.flatMap((filter, i) => (topicMatches(filter, `${deep}/`) ? [i] : [])),
    )
    for (const filter of filters) assert.equal(tree.delete(filter), true)
    assert.equal(tree.nodeCount, 0)
  })

  test('filters made against it cost no more than a look at each node', () => {
    // Every mixture of `+` and `a` over 14 levels: 2^14 filters, none of which matches because of the last level
    const tree = new FilterTree<number>()
    const depth = 14
    for (let bits = 0; bits < 1 << depth; bits++) {
      const levels = Array.from({ length: depth }, (_, i) => ((bits >> i) & 1 ? '+' : 'a'))
      tree.set([...levels, '+', 'x'].join('/'), bits)
    }
    const topic = [...Array.from({ length: depth }, () => 'a'), 'b', 'y'].join('/')
    assert.deepEqual(matchesOf(tree, topic), [])
    assert.equal(matchesOf(tree, topic.replace('y', 'x')).length, 1 << depth)
    assert.ok(tree.nodeCount < 2 * tree.size)
  })
})

describe('TopicTree', () => {
  test('finds the names that a filter matches, each once', () => {
    const tree = new TopicTree<string>()
    const topics = ['a', 'a/b', 'a/b/c', 'a/', '/a', 'b/b', 'a/b/c/d', 'ab', 'a/c/c', '/', '//']
    for (const topic of topics) tree.set(topic, topic)
    for (const filter of [
      'a',
      'a/b',
      '+',
      '#',
      'a/#',
      '+/b',
      'a/+/c',
      '+/+',
      '/#',
      '/+',
      'a/b/c/d/#',
      'x/#',
      'a/b/#',
    ]) {
      assert.deepEqual(topicsOf(tree, filter), topics.filter((topic) => topicMatches(filter, topic)).sort(), filter)
    }
  })

  test('a wildcard in the first level does not find $-topics [MQTT-4.7.2-1]', () => {
    const tree = new TopicTree<number>()
    for (const topic of ['$SYS/a', '$SYS', 'a', 'a/$SYS']) tree.set(topic, 0)
    assert.deepEqual(topicsOf(tree, '#'), ['a', 'a/$SYS'])
    assert.deepEqual(topicsOf(tree, '+/a'), [])
    assert.deepEqual(topicsOf(tree, '$SYS/#'), ['$SYS', '$SYS/a'])
    assert.deepEqual(topicsOf(tree, '$SYS/+'), ['$SYS/a'])
    assert.deepEqual(topicsOf(tree, '+/$SYS'), ['a/$SYS'])
  })

  test('visit ends the walk by returning false', () => {
    const tree = new TopicTree<number>()
    for (let i = 0; i < 10; i++) tree.set(`a/${i}`, i)
    for (const filter of ['#', 'a/+', 'a/3']) {
      let visits = 0
      tree.match(filter, () => {
        visits++
        return false
      })
      assert.equal(visits, 1)
    }
  })

  test('visit may delete what it is called with', () => {
    const tree = new TopicTree<number>()
    for (let i = 0; i < 100; i++) tree.set(`a/${i % 10}/${i}`, i)
    tree.set('a', 0)
    tree.set('a/1', 0)
    const visited: string[] = []
    tree.match('#', (_value, topic) => {
      visited.push(topic)
      assert.equal(tree.delete(topic), true)
    })
    assert.equal(new Set(visited).size, 102)
    assert.equal(visited.length, 102)
    assert.equal(tree.size, 0)
    assert.equal(tree.nodeCount, 0)
  })

  test('whatever visit sets and deletes, the names that stay are visited once and no name twice', () => {
    const change = fc.tuple(fc.boolean(), topicName)
    fc.assert(
      fc.property(
        fc.array(topicName, { maxLength: 12 }),
        topicFilter,
        fc.array(fc.array(change, { maxLength: 3 }), { maxLength: 12 }),
        (topics, filter, changes) => {
          const tree = new TopicTree<number>()
          for (const topic of topics) tree.set(topic, 0)
          const touched = new Set<string>()
          const visited: string[] = []
          tree.match(filter, (_value, topic) => {
            for (const [isSet, name] of changes[visited.length] ?? []) {
              touched.add(name)
              if (isSet) tree.set(name, 1)
              else tree.delete(name)
            }
            visited.push(topic)
          })
          const untouched = (name: string): boolean => !touched.has(name)
          const expected = [...new Set(topics)].filter((topic) => topicMatches(filter, topic))
          assert.deepEqual(visited.filter(untouched).sort(), expected.filter(untouched).sort())
          for (const topic of visited) assert.ok(topicMatches(filter, topic))
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('a walk in steps of any size finds the same, each once, and says when it is done', () => {
    const tree = new TopicTree<number>()
    for (let i = 0; i < 300; i++) tree.set(`${i % 7}/${i % 3}/${i}`, i)
    for (const filter of ['#', '+/1/#', '3/+/+', '+/+/x', '3/0/3', '9/9', '+/0/9']) {
      const expected = topicsOf(tree, filter).sort()
      for (const looksMax of [1, 2, 50]) {
        const matches = tree.matches(filter)
        const found: string[] = []
        let asked = 0
        for (; !matches.isDone; asked++) if (matches.next(looksMax)) found.push(matches.topic)
        assert.deepEqual(found.sort(), expected, filter)
        assert.ok(asked >= matches.looks / looksMax)
        assert.equal(matches.next(), false)
      }
    }
  })

  test('a walk for a name that is taken out meanwhile finds nothing, and nothing below it', () => {
    const tree = new TopicTree<number>()
    for (const topic of ['a', 'a/a', 'a/b']) tree.set(topic, 0)
    const matches = tree.matches('a')
    tree.delete('a')
    assert.equal(matches.next(), false)
    assert.ok(matches.isDone)
  })

  test('set gives a name another value; entries gives all in order of arrival', () => {
    const tree = new TopicTree<number>()
    tree.set('b', 1)
    tree.set('a/b', 2)
    tree.set('b', 3)
    assert.equal(tree.get('b'), 3)
    assert.equal(tree.get('a'), undefined)
    assert.equal(tree.size, 2)
    assert.deepEqual(
      [...tree.entries()],
      [
        ['b', 3],
        ['a/b', 2],
      ],
    )
  })

  test('does what a list of names does under any sequence of set and delete', () => {
    const step = fc.tuple(fc.boolean(), topicName, fc.nat())
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(topicFilter, { maxLength: 8 }), (steps, filters) => {
        const tree = new TopicTree<number>()
        const list = new Map<string, number>()
        for (const [isSet, topic, value] of steps) {
          if (isSet) {
            tree.set(topic, value)
            list.set(topic, value)
          } else {
            assert.equal(tree.delete(topic), list.delete(topic))
          }
          assert.equal(tree.size, list.size)
          assert.equal(tree.get(topic), list.get(topic))
        }
        assert.deepEqual(new Map(tree.entries()), list)
        for (const filter of filters) {
          const found: [string, number][] = []
          tree.match(filter, (value, topic) => {
            found.push([topic, value])
          })
          assert.deepEqual(found.sort(), [...list].filter(([topic]) => topicMatches(filter, topic)).sort())
        }
        for (const topic of list.keys()) assert.equal(tree.delete(topic), true)
        assert.equal(tree.size, 0)
        assert.equal(tree.nodeCount, 0)
      }),
      { numRuns: 1000 },
    )
  })

  test('names and filters of 65,536 levels overflow no stack and leave no node behind', () => {
    const tree = new TopicTree<number>()
    const deep = '/'.repeat(65_534)
    for (const topic of [`${deep}a`, `${deep}b`, deep]) tree.set(topic, 0)
    assert.equal(topicsOf(tree, '#').length, 3)
    assert.deepEqual(topicsOf(tree, `${deep}+`), [deep, `${deep}a`, `${deep}b`])
    assert.equal(topicsOf(tree, `${'+/'.repeat(32_767)}#`).length, 3)
    for (const topic of [`${deep}a`, deep, `${deep}b`]) assert.equal(tree.delete(topic), true)
    assert.equal(tree.nodeCount, 0)
  })
})
