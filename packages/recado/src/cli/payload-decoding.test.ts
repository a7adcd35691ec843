import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from '@msgpack/msgpack'
import { Message } from '@recado/client'
import { type Properties, Publish } from '@recado/protocol'
import * as fc from 'fast-check'
import { printJson } from './json-text.ts'
import { PayloadDecoder } from './payload-decoding.ts'
import { type Decoding, decodings } from './tool-options.ts'

function message(payload: Uint8Array | string, topic: string = 't', properties: Properties = {}): Message {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  return new Message(Publish.of({ topic, payload: bytes, qos: 0, retain: false, packetId: 0, properties }), null)
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

function decoded(decoding: Decoding, given: Message, decoder: PayloadDecoder = new PayloadDecoder(decoding)): unknown {
  const json = decoder.decode(given)
  return json === null ? null : JSON.parse(Buffer.from(printJson(json, false), 'latin1').toString())
}

test('CBOR, as in appendix A of RFC 8949', () => {
  for (const [bytes, expected] of [
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['1bffffffffffffffff', '18446744073709551615'],
    ['c249010000000000000000', '18446744073709551616'],
    ['f97e00', 'NaN'],
    ['f90000', 0],
    ['f6', null],
    ['4401020304', { $base64: 'AQIDBA==' }],
    ['c11a514b67b0', '2013-03-21T20:04:00.000Z'],
    ['c482211996b3', { $tag: 4, value: [-2, 38579] }],
    ['a201020304', { 1: 2, 3: 4 }],
    ['63e6b0b4', '水'],
  ] as const) {
    const found = new PayloadDecoder('cbor').decode(message(hex(bytes)))
    const text = Buffer.from(printJson(found!, false), 'latin1').toString()
    // Numbers beyond those of JavaScript are whole in the text.
    if (typeof expected === 'string' && /^\d+$/.test(expected)) assert.equal(text, expected)
    else assert.deepEqual(JSON.parse(text), expected, bytes)
  }
})

test('MessagePack, with bytes, times and types of others', () => {
  const value = { a: [1, -2, 1.5, true, null], b: Uint8Array.of(1), c: 'ü', d: new Date(0) }
  const expected = { a: [1, -2, 1.5, true, null], b: { $base64: 'AQ==' }, c: 'ü', d: '1970-01-01T00:00:00.000Z' }
  assert.deepEqual(decoded('msgpack', message(encode(value))), expected)
  assert.deepEqual(decoded('msgpack', message(hex('c7020501ff'))), { $type: 5, $base64: 'Af8=' })
})

// Made by npm's sparkplug-payload 1.0.3.
const birth =
  'CIDQlf+8MRIaCgR0ZW1wEAEYgdCV/7wxIAppAAAAAACANUASEQoFY291bnQQAiADUPv///8PEhQKA2JpZxADIAhY////////////ARISCgNsb3cgBFj9//////////8B' +
  'Eg8KBXNtYWxsIAFQ/f///w8SCgoBZiAJZQAAwD8SCAoCb24gC3ABEgwKAXMgDHoFZ3LDvG4SDQoHbm90aGluZyAMOAESDwoFYnl0ZXMgEYIBAwEC/xIrCgJkcyAQigEi' +
  'CAISAWESAWIYAxgMIgkKAggBCgMyAXgiCQoCCAIKAzIBeRIgCgF0IBOSARgKAnYxEgcKAW0gC3AAGgcKAXAQAxgHKAESJAoFcHJvcHMgA0oXCgR1bml0CgFxEgUIDEIB' +
  'QxIFCAMYwAFQARgA'
const data = 'CILQlf+8MRINEAEgCmkAAAAAAAA2QBgB'

test('Sparkplug B: values of every kind, and names for the aliases of a birth', () => {
  const decoder = new PayloadDecoder('auto')
  const from = (text: string): Buffer => Buffer.from(text, 'base64')
  const unnamed = decoded('auto', message(from(data), 'spBv1.0/g/NDATA/n'), decoder) as { metrics: unknown[] }
  assert.deepEqual(unnamed.metrics, [{ alias: 1, type: 'Double', value: 22 }])
  const born = decoded('auto', message(from(birth), 'spBv1.0/g/NBIRTH/n'), decoder) as Record<string, unknown>
  assert.deepEqual([born['timestamp'], born['seq']], [1_700_000_000_000, 0])
  const metrics = new Map((born['metrics'] as { name: string; value: unknown }[]).map((each) => [each.name, each]))
  const values = Object.fromEntries([...metrics].map(([name, { value }]) => [name, value]))
  assert.deepEqual(values, {
    ...{ temp: 21.5, count: -5, big: Number(18446744073709551615n), low: -3, small: -3, f: 1.5, on: true, s: 'grün' },
    ...{ nothing: null, bytes: { $base64: 'AQL/' }, props: 1 },
    ds: {
      columns: ['a', 'b'],
      types: ['Int32', 'String'],
      rows: [
        [1, 'x'],
        [2, 'y'],
      ],
    },
    t: {
      ...{ version: 'v1', isDefinition: true, metrics: [{ name: 'm', type: 'Boolean', value: false }] },
      parameters: [{ name: 'p', value: 7, type: 'Int32' }],
    },
  })
  assert.deepEqual(metrics.get('props'), { name: 'props', type: 'Int32', value: 1, properties: { unit: 'C', q: 192 } })
  const named = decoded('auto', message(from(data), 'spBv1.0/g/DDATA/n/device'), decoder) as { metrics: unknown[] }
  assert.deepEqual(named.metrics, [{ alias: 1, type: 'Double', value: 22, name: 'temp' }])
  // Of another node it is another metric.
  const other = decoded('auto', message(from(data), 'spBv1.0/g/NDATA/other'), decoder) as { metrics: unknown[] }
  assert.deepEqual(other.metrics, [{ alias: 1, type: 'Double', value: 22 }])
})

test('auto finds the form by topic, Content Type and bytes, and leaves text alone', () => {
  assert.deepEqual(decoded('auto', message('{"a": 1}')), { a: 1 })
  assert.equal(decoded('auto', message('on')), null)
  assert.deepEqual(decoded('auto', message(hex('a2616101616202'))), { a: 1, b: 2 })
  assert.deepEqual(decoded('auto', message(encode({ a: 1, b: [2] }))), { a: 1, b: [2] })
  assert.equal(decoded('auto', message(hex('07'))), null, 'a lone number could be anything')
  assert.equal(decoded('auto', message(hex('07'), 't', { contentType: 'application/cbor' })), 7)
  assert.deepEqual(decoded('auto', message(encode([1]), 't', { contentType: 'application/msgpack; x=y' })), [1])
  assert.deepEqual(decoded('auto', message('{"online":true}', 'spBv1.0/STATE/host')), { online: true })
})

test('what is something else is null, and said so where one form was asked for', () => {
  for (const [decoding, bytes] of [
    ['cbor', '8301'],
    ['cbor', '00ff'],
    ['msgpack', 'dd7fffffff01'],
    ['sparkplug', '0affffffff7f'],
    ['json', '7b'],
  ] as const) {
    const decoder = new PayloadDecoder(decoding)
    assert.equal(decoder.decode(message(hex(bytes))), null, bytes)
    assert.match(
      decoder.complaint(message(hex(bytes))) ?? '',
      /^Error: Message payload is not valid \w+.* on topic t\.\n$/,
    )
  }
  assert.equal(new PayloadDecoder('auto').complaint(message('x')), null)
})

test('nesting that would exhaust the stack, and any bytes at all, are decoded or not, and nothing is thrown', () => {
  for (const byte of ['81', '91', 'd8c0', 'a100', '8100']) {
    for (const decoding of ['cbor', 'msgpack'] as const) {
      new PayloadDecoder(decoding).decode(message(hex(`${byte.repeat(100_000)}00`)))
    }
  }
  let nested = Buffer.from([0x08, 0x01])
  for (let depth = 0; depth < 60; depth++) {
    const length = (bytes: Buffer): Buffer => Buffer.from([0x80 | (bytes.length & 0x7f), bytes.length >> 7])
    const template = Buffer.concat([Buffer.of(0x12), length(nested), nested])
    nested = Buffer.concat([Buffer.of(0x92, 0x01), length(template), template])
  }
  const metric = Buffer.concat([
    Buffer.of(0x12),
    Buffer.from([0x80 | (nested.length & 0x7f), nested.length >> 7]),
    nested,
  ])
  assert.equal(new PayloadDecoder('sparkplug').decode(message(metric)), null)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(...decodings), (bytes, decoding) => {
      const json = new PayloadDecoder(decoding).decode(message(bytes, 'spBv1.0/g/NDATA/n'))
      if (json !== null) printJson(json, true)
    }),
    { numRuns: 2_000 },
  )
})
