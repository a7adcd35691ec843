import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJson, printJson } from './json-text.ts'

const again = (text: string, pretty = false): string | null => {
  const value = parseJson(text)
  return value === null ? null : printJson(value, pretty)
}

test('JSON keeps the order and the repetitions of members, and every kind of value', () => {
  assert.equal(
    again(' {"b":1,"1":[true,false,null,[]],"a":{},"b":"x"} '),
    '{"b":1,"1":[true,false,null,[]],"a":{},"b":"x"}',
  )
})

test('numbers are printed with as many digits as they need', () => {
  const cases: [string, string][] = [
    ['1.50', '1.5'],
    ['-0', '-0'],
    ['1e3', '1000'],
    ['123456789012345678', '1.2345678901234568e+17'],
    ['0.1', '0.1'],
    ['1e-7', '1e-07'],
    ['0.0001', '0.0001'],
    ['100000000000000', '100000000000000'],
    ['1e300', '1e+300'],
    ['3.141592653589793', '3.1415926535897931'],
  ]
  for (const [given, printed] of cases) assert.equal(again(given), printed, given)
})

test('escapes are read, and only those that are needed are written', () => {
  assert.equal(again('"\\u0041\\/\\n\\u001f\\"\\\\"'), '"A/\\n\\u001f\\"\\\\"')
  assert.equal(Buffer.from(again('"\\u00e9\\ud83d\\ude00"')!, 'latin1').toString(), '"é😀"')
})

test('what is not JSON is null', () => {
  const wrong = [
    '',
    '{',
    '{"a"',
    '{"a":}',
    '[1,]',
    '[1 2]',
    '01',
    '1.',
    'tru',
    '"a',
    '"\\x"',
    '"\\ud800"',
    '{} x',
    '"\n"',
  ]
  for (const text of wrong) assert.equal(again(text), null, text)
  assert.equal(again('['.repeat(100_000)), null)
})

test('pretty JSON has tabs, and arrays on one line', () => {
  assert.equal(
    again('{"a":1,"b":[1,{"c":null}],"d":{}}', true),
    '{\n\t"a":\t1,\n\t"b":\t[1, {\n\t\t\t"c":\tnull\n\t\t}],\n\t"d":\t{\n\t}\n}',
  )
})
