import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Message } from '@recado/client'
import { type Properties, Publish, type QoS } from '@recado/protocol'
import { MessagePrinter, type PrinterOptions, parseFormat } from './output-format.ts'

function message(payload: string | Uint8Array, properties: Properties = {}, qos: QoS = 1): Message {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  return new Message(Publish.of({ topic: 'a/é', payload: bytes, qos, retain: true, packetId: 7, properties }), null)
}

function printed(given: Message, options: Partial<PrinterOptions>): string {
  const errors: string[] = []
  const all = { format: undefined, verbose: false, eol: false, pretty: false, ...options }
  const line = new MessagePrinter(all, (text) => errors.push(text)).print(given).toString()
  return errors.length === 0 ? line : `${line}!${errors.join('')}`
}

test('payload alone, with topic, with and without line feed', () => {
  const given = message('x')
  assert.equal(printed(given, {}), 'x')
  assert.equal(printed(given, { eol: true }), 'x\n')
  assert.equal(printed(given, { eol: true, verbose: true }), 'a/é x\n')
  const raw = Uint8Array.of(0, 255, 10)
  const line = new MessagePrinter({ format: '%p', verbose: false, eol: false, pretty: false }, () => {}).print(
    message(raw),
  )
  assert.deepEqual([...line], [...raw])
})

test('sequences of -F', () => {
  const properties: Properties = {
    contentType: 'text',
    correlationData: Buffer.from('cd'),
    messageExpiryIntervalSeconds: 60,
    payloadFormatIndicator: 1,
    responseTopic: 'r',
    subscriptionIdentifiers: [5],
    topicAlias: 3,
    userProperties: [
      ['k', 'v'],
      ['k2', 'v2'],
    ],
  }
  const given = message('hi', properties)
  assert.equal(
    printed(given, { format: '%%|%A|%C|%D|%E|%F|%l|%m|%P|%p|%q|%R|%r|%S|%t' }),
    '%|3|text|cd|60|1|2|7|k:v k2:v2|hi|1|r|1|5|a/é',
  )
  assert.equal(printed(given, { format: '%x %X' }), '6869 6869')
  assert.equal(printed(message('hi'), { format: '[%A%C%D%E%F%P%R%S]' }), '[]')
  assert.equal(printed(given, { format: '\\\\\\0\\a\\e\\n\\r\\t\\v@@' }), '\\\0\x07\x1b\n\r\t\v@')
})

test('widths, zeros, alignment and precision', () => {
  const given = message('hello', { contentType: 'text' })
  assert.equal(printed(given, { format: '%5l|%05l|%-5l|' }), '    5|00005|5    |')
  // Bytes are counted, as printf does: é has two.
  assert.equal(printed(given, { format: '%6t|%-6t|%.2t|%6.2C|' }), '  a/é|a/é  |a/|    te|')
  assert.equal(printed(given, { format: '%3p|%7p|%-7p|%07p|' }), 'hel|  hello|hello  |00hello|')
  assert.equal(printed(given, { format: '%3E|%03A|' }), '   |000|')
})

test('times come from strftime, and @N has nine digits', () => {
  assert.match(printed(message(''), { format: '@Y-@m-@d' }), /^\d{4}-\d\d-\d\d$/)
  assert.match(printed(message(''), { format: '@N' }), /^\d{9}$/)
  assert.match(printed(message(''), { format: '%U' }), /^\d{10}\.\d{9}$/)
  assert.match(printed(message(''), { format: '%I' }), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}$/)
})

test('%j and %J', () => {
  const given = message('{"a": 1}', { contentType: 'x', userProperties: [['k', '"']] })
  const withoutTime = (text: string): string => text.replace(/"tst":"[^"]*"/, '"tst":0')
  const head =
    '{"tst":0,"topic":"a/é","qos":1,"retain":1,"payloadlen":8,"mid":7,"properties":{"content-type":"x","user-properties":[{"k":"\\""}]}'
  assert.equal(withoutTime(printed(given, { format: '%j' })), `${head},"payload":"{\\"a\\": 1}"}`)
  assert.equal(withoutTime(printed(given, { format: '%J' })), `${head},"payload":{"a":1}}`)
  const old = withoutTime(printed(given, { format: '%j', mosquitto: '2.0' }))
  assert.match(old, /"user-properties":\{"k":"\\""\}\}/)
  assert.match(printed(given, { format: '%j' }), /^\{"tst":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d{4}"/)
  assert.match(printed(given, { format: '%j', mosquitto: '2.0' }), /^\{"tst":"[^"]*\.\d{6}Z[+-]\d{4}"/)
  assert.match(printed(message('', {}, 0), { format: '%j' }), /"retain":1,"payloadlen":0,"payload":null\}$/)
  assert.equal(
    printed(message('{"a'), { format: '[%J]' }),
    '[]!Error: Message payload is not valid JSON on topic a/é.\n',
  )
})

test('formats that are wrong are said so in the words of Mosquitto', () => {
  assert.equal(parseFormat('%k'), "Error: Invalid format specifier 'k'.")
  assert.equal(parseFormat('x%'), 'Error: Incomplete format specifier.')
  assert.equal(parseFormat('%08'), 'Error: Incomplete format specifier.')
  for (const format of ['%1000000000p', '%.1000000000t', '%10001x']) {
    assert.match(
      String(parseFormat(format)),
      /^Error: The width or precision \d+ in the format is larger than 10000\.$/,
    )
  }
  assert.equal(typeof parseFormat('%10000p'), 'object')
  assert.equal(parseFormat('x@'), 'Error: Incomplete format specifier.')
  assert.equal(parseFormat('x\\'), 'Error: Incomplete escape specifier.')
  assert.equal(parseFormat('\\q'), "Error: Invalid escape specifier 'q'.")
})

test('hexadecimal payloads with a width and with separators, as 2.1 prints them', () => {
  const given = message('message')
  for (const [format, expected] of [
    ['%x', '6d657373616765'],
    ['%.1x', '6 d 6 5 7 3 7 3 6 1 6 7 6 5'],
    ['%.2x', '6d 65 73 73 61 67 65'],
    ['%.2:X', '6D:65:73:73:61:67:65'],
    ['%18x', '    6d657373616765'],
    ['%-18x', '6d657373616765    '],
    ['%018x', '00006d657373616765'],
    ['%3x', '6d6573'],
    ['%.x', '6d657373616765'],
  ] as const) {
    assert.equal(printed(given, { format }), expected, format)
  }
  assert.equal(printed(given, { format: '%.2x', mosquitto: '2.0' }), '6d657373616765')
})

test('payloads that are floats', () => {
  const four = Buffer.alloc(4)
  four.writeFloatLE(-0.7)
  const eight = Buffer.alloc(8)
  eight.writeDoubleLE(2.75)
  assert.equal(
    printed(message(four), { format: '%.3f|%f|%9.2f|%09.2f|%-9.1f|' }),
    '-0.700|-0.700000|    -0.70|-00000.70|-0.7     |',
  )
  assert.equal(printed(message(eight), { format: '%.3d|%.0d' }), '2.750|3')
  assert.equal(
    printed(message('x'), { format: '[%f]' }),
    '[]!Error: requested float printing, but non-float data received on topic a/é.\n',
  )
})

test('on a terminal JSON has colours, and nothing else that a terminal obeys', () => {
  const given = message(Buffer.from('{"a":[1,true,"\\u001b[2J"]}'))
  const line = printed(given, { format: '%J', isTerminal: true, colour: true })
  assert.match(line, /\x1b\[34m"payload"\x1b\[0m:\{\x1b\[34m"a"\x1b\[0m:\[\x1b\[36m1\x1b\[0m,\x1b\[35mtrue/)
  assert.match(line, /\x1b\[32m"\\u001b\[2J"/)
})
