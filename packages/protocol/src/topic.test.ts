import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MqttError } from './errors.ts'
import {
  hasWildcard,
  isTopicFilter,
  isTopicName,
  parseShare,
  parseTopicFilter,
  parseTopicName,
  topicLevels,
  topicMatches,
} from './topic.ts'

/** Applies the rules of the specification word by word, level by level: slow, recursive, obviously right. */
function naiveMatches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false
  const match = (f: string[], t: string[]): boolean => {
    if (f.length === 0) return t.length === 0
    if (f[0] === '#') return true
    if (t.length === 0) return false
    return (f[0] === '+' || f[0] === t[0]) && match(f.slice(1), t.slice(1))
  }
  return match(filter.split('/'), topic.split('/'))
}

const level = fc.constantFrom('', 'a', 'b', 'ab', '$a', 'ä', '😀')
const topicName = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/') || '/')
const topicFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/') || '/')

const matching: [filter: string, topic: string, matches: boolean][] = [
  ['a', 'a', true],
  ['a', 'A', false],
  ['a', '/a', false],
  ['a', 'a/', false],
  ['a/b', 'a/b', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/tennis/player1/#', 'sport/tennis/player12', false],
  ['sport/#', 'sport', true],
  ['sport/#', 'sport/', true],
  ['sport/#', 'sports', false],
  ['#', 'a', true],
  ['#', '/', true],
  ['/#', 'a', false],
  ['/#', '/a', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+', '/finance', false],
  ['+', 'finance', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+/+', '/', true],
  ['+/a', '/a', true],
  ['+/b/#', 'a/b', true],
  ['+/b/#', 'a/b/c/d', true],
  ['+/b/#', 'a/c', false],
  ['a/+/c', 'a//c', true],
  ['a/+/+', 'a/b', false],
  ['a/+/#', 'a', false],
  ['a/+/#', 'a/b', true],
  ['Å', 'A\u030a', false],
]
for (const [filter, topic, matches] of matching) {
  test(`the filter ${filter} ${matches ? 'matches' : 'does not match'} ${topic} [MQTT-4.7.3-4]`, () => {
    assert.equal(topicMatches(filter, topic), matches)
    assert.equal(naiveMatches(filter, topic), matches)
  })
}

const dollars: [filter: string, topic: string, matches: boolean][] = [
  ['#', '$SYS/monitor/Clients', false],
  ['+', '$SYS', false],
  ['+/monitor/Clients', '$SYS/monitor/Clients', false],
  ['+/#', '$SYS', false],
  ['$SYS/#', '$SYS/monitor/Clients', true],
  ['$SYS/#', '$SYS', true],
  ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
  ['+/$SYS', 'a/$SYS', true],
  ['a/#', 'a/$SYS', true],
]
for (const [filter, topic, matches] of dollars) {
  test(`the filter ${filter} ${matches ? 'matches' : 'does not match'} the $-topic ${topic} [MQTT-4.7.2-1]`, () => {
    assert.equal(topicMatches(filter, topic), matches)
  })
}

test('matching agrees with a naive matcher for any filter and name [MQTT-4.7.3-4]', () => {
  fc.assert(
    fc.property(topicFilter, topicName, (filter, topic) => {
      assert.equal(topicMatches(filter, topic), naiveMatches(filter, topic))
    }),
    { numRuns: 5000 },
  )
})

test('a filter made from a name by putting wildcards in place of its levels matches that name', () => {
  fc.assert(
    fc.property(topicName, fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), fc.nat(5), (topic, plus, cut) => {
      fc.pre(!topic.startsWith('$'))
      const levels = topic.split('/').map((text, i) => (plus[i] ? '+' : text))
      assert.ok(topicMatches(levels.join('/') || '/', topic))
      if (cut <= levels.length) assert.ok(topicMatches([...levels.slice(0, cut), '#'].join('/'), topic))
    }),
  )
})

const notNames: [value: string, why: string, statement: string][] = [
  ['', 'an empty string', 'MQTT-4.7.3-1'],
  ['a\0b', 'a string with U+0000', 'MQTT-4.7.3-2'],
  ['a+b', 'a string with +', 'MQTT-4.7.0-1'],
  ['a/#', 'a string with #', 'MQTT-3.3.2-2'],
  ['a\ud800', 'a string that ends with half a surrogate pair', 'MQTT-1.5.4-1'],
  ['\ud800a', 'a high surrogate before something else', 'MQTT-1.5.4-1'],
  ['\udc00\ud800', 'a surrogate pair the wrong way round', 'MQTT-1.5.4-1'],
  ['a'.repeat(65_536), 'a string of 65,536 bytes', 'MQTT-4.7.3-3'],
  ['ä'.repeat(32_768), 'a string of 32,768 two-byte characters', 'MQTT-4.7.3-3'],
  ['€'.repeat(21_846), 'a string of 21,846 three-byte characters', 'MQTT-4.7.3-3'],
  ['😀'.repeat(16_384), 'a string of 16,384 four-byte characters', 'MQTT-4.7.3-3'],
]
for (const [value, why, statement] of notNames) {
  test(`${why} is not a Topic Name [${statement}]`, () => {
    assert.equal(isTopicName(value), false)
    assert.throws(
      () => parseTopicName(value),
      (error) => error instanceof MqttError && error.code === 'ERR_MQTT_TOPIC_NAME' && error.message.length < 700,
    )
  })
}

test('up to 65,535 bytes of UTF-8 with any characters but + # U+0000 are a Topic Name [MQTT-4.7.3-3]', () => {
  for (const value of [
    ' ',
    '/',
    '//',
    '$SYS/a',
    '$share/a',
    'a b',
    '\u0001',
    '\ufeff',
    '\uffff',
    '😀',
    'a'.repeat(65_535),
    `${'ä'.repeat(32_767)}a`,
    '€'.repeat(21_845),
    `${'😀'.repeat(16_383)}abc`,
    '/'.repeat(65_535),
  ]) {
    assert.equal(isTopicName(value), true)
    assert.equal(parseTopicName(value), value)
  }
})

const filters: [value: string, valid: boolean, statement: string][] = [
  ['#', true, 'MQTT-4.7.1-1'],
  ['/#', true, 'MQTT-4.7.1-1'],
  ['a/#', true, 'MQTT-4.7.1-1'],
  ['a#', false, 'MQTT-4.7.1-1'],
  ['#a', false, 'MQTT-4.7.1-1'],
  ['#/a', false, 'MQTT-4.7.1-1'],
  ['a/#/', false, 'MQTT-4.7.1-1'],
  ['##', false, 'MQTT-4.7.1-1'],
  ['+#', false, 'MQTT-4.7.1-1'],
  ['+', true, 'MQTT-4.7.1-2'],
  ['+/+', true, 'MQTT-4.7.1-2'],
  ['/+/', true, 'MQTT-4.7.1-2'],
  ['a/+/b/#', true, 'MQTT-4.7.1-2'],
  ['a+', false, 'MQTT-4.7.1-2'],
  ['+a', false, 'MQTT-4.7.1-2'],
  ['a/b+/c', false, 'MQTT-4.7.1-2'],
  ['++', false, 'MQTT-4.7.1-2'],
  ['', false, 'MQTT-4.7.3-1'],
  ['a\0', false, 'MQTT-4.7.3-2'],
  ['\ud800', false, 'MQTT-1.5.4-1'],
  ['$share', true, 'MQTT-4.8.2-1'],
  ['$shared/a', true, 'MQTT-4.8.2-1'],
  ['$share/', false, 'MQTT-4.8.2-1'],
  ['$share//', false, 'MQTT-4.8.2-1'],
  ['$share//a', false, 'MQTT-4.8.2-1'],
  ['$share/a', false, 'MQTT-4.8.2-2'],
  ['$share/a/', false, 'MQTT-4.8.2-2'],
  ['$share/a/#', true, 'MQTT-4.8.2-2'],
  ['$share/a//', true, 'MQTT-4.8.2-2'],
  ['$share/+/a', false, 'MQTT-4.8.2-2'],
  ['$share/#', false, 'MQTT-4.8.2-2'],
  ['$share/a/$share/b/+', true, 'MQTT-4.8.2-2'],
]
for (const [value, valid, statement] of filters) {
  test(`${JSON.stringify(value)} ${valid ? 'is' : 'is not'} a Topic Filter [${statement}]`, () => {
    assert.equal(isTopicFilter(value), valid)
    if (valid) assert.equal(parseTopicFilter(value), value)
    else {
      assert.throws(
        () => parseTopicFilter(value),
        (error) => error instanceof MqttError && error.code === 'ERR_MQTT_TOPIC_FILTER',
      )
    }
  })
}

test('whatever characters there are, the judgement is that of the rules taken one by one [MQTT-4.7.1-1] [MQTT-4.7.1-2]', () => {
  const text = fc
    .array(fc.constantFrom('a', 'ß', '/', '/', '+', '#', '$share/', '\0', '\ud83d', '\ude00'), { maxLength: 9 })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, (value) => {
      const plain =
        value !== '' && !/\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)
      assert.equal(isTopicName(value), plain && !/[+#]/.test(value))
      const wildcards = value.split('/').every((text, i, all) => {
        return text === '+' || (text === '#' && i === all.length - 1) || !/[+#]/.test(text)
      })
      const share = !value.startsWith('$share/') || /^\$share\/[^/+#]+\/./s.test(value)
      assert.equal(isTopicFilter(value), plain && wildcards && share)
    }),
    { numRuns: 5000 },
  )
})

test('the length in bytes is that of the UTF-8 for any characters', () => {
  const unit = fc.constantFrom('a', 'ä', '€', '😀')
  fc.assert(
    fc.property(fc.array(unit, { minLength: 1, maxLength: 6 }), fc.integer({ min: -3, max: 3 }), (parts, delta) => {
      const bytesOf = (value: string): number => new TextEncoder().encode(value).length
      const head = parts.join('')
      const value = head + 'x'.repeat(65_535 + delta - bytesOf(head))
      assert.equal(isTopicName(value), bytesOf(value) <= 65_535)
    }),
  )
})

test('a Shared Subscription has a ShareName and a filter, anything else has neither [MQTT-4.8.2-1]', () => {
  assert.deepEqual(parseShare('$share/consumers/a/+/#'), { shareName: 'consumers', topicFilter: 'a/+/#' })
  assert.deepEqual(parseShare('$share/consumers//'), { shareName: 'consumers', topicFilter: '/' })
  assert.deepEqual(parseShare('$share/a/$share/b/c'), { shareName: 'a', topicFilter: '$share/b/c' })
  assert.equal(parseShare('a/b'), null)
  assert.equal(parseShare('$share'), null)
  assert.throws(() => parseShare('$share/a'), { code: 'ERR_MQTT_TOPIC_FILTER' })
})

test('levels are counted by their separators', () => {
  assert.equal(topicLevels('a'), 1)
  assert.equal(topicLevels('/'), 2)
  assert.equal(topicLevels('a/b/c'), 3)
  assert.equal(topicLevels('/'.repeat(65_535)), 65_536)
})

test('a filter has a wildcard when it has + or #', () => {
  assert.deepEqual(['a', 'a/+', '#', '$x'].map(hasWildcard), [false, true, true, false])
})

test('names and filters of 65,536 levels are matched without overflowing the stack', () => {
  const topic = '/'.repeat(65_535)
  assert.equal(topicMatches(topic, topic), true)
  assert.equal(topicMatches(`${'+/'.repeat(32_767)}#`, topic), true)
  assert.equal(topicMatches(`${'+/'.repeat(32_767)}+`, topic), false)
})
