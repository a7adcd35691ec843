import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { topicMatches } from './topic.ts'
import { filterCovers, filtersOverlap } from './topic-filters.ts'

describe('Topic Filters', () => {
  const level = fc.constantFrom('a', 'b', '', '+', '$x')
  const filter = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([levels, isHash]) => [...levels, ...(isHash ? ['#'] : [])].join('/'))
    .filter((text) => text !== '')
  const topic = fc
    .array(fc.constantFrom('a', 'b', '', '$x'), { minLength: 1, maxLength: 4 })
    .map((levels) => levels.join('/'))

  test('overlap when a topic matches both, and one covers the other only when it matches all that the other does', () => {
    fc.assert(
      fc.property(filter, filter, topic, (one, other, name) => {
        if (name === '') return
        const [inOne, inOther] = [topicMatches(one, name), topicMatches(other, name)]
        if (inOne && inOther) assert.ok(filtersOverlap(one, other))
        if (inOther && !inOne) assert.ok(!filterCovers(one, other))
        assert.equal(filtersOverlap(one, other), filtersOverlap(other, one))
        if (filterCovers(one, other)) assert.ok(filtersOverlap(one, other))
      }),
      { numRuns: 2_000 },
    )
  })
})

test('one covers another when it matches all of it', () => {
  for (const [outer, inner] of [
    ['a/#', 'a/#'],
    ['a/#', 'a'],
    ['a/#', 'a/+/b'],
    ['#', 'a/+'],
    ['+/b', 'a/b'],
    ['+/#', 'a/#'],
    ['+/#', '#'],
    ['$x/#', '$x/a'],
  ] as const) {
    assert.ok(filterCovers(outer, inner), `${outer} covers ${inner}`)
  }
  for (const [outer, inner] of [
    ['a/b', 'a/+'],
    ['a/+', 'a/#'],
    ['a/+', 'a'],
    ['#', '$x/a'],
    ['+/a', '$x/a'],
  ] as const) {
    assert.ok(!filterCovers(outer, inner), `${outer} does not cover ${inner}`)
  }
})
