import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode as encodePack } from '@msgpack/msgpack'
import { encode as encodeCbor } from 'cbor2'
import { base64Of, decode, fromHex, hex, preview } from './decode.ts'
import { rememberNames } from './sparkplug-names.ts'
import type { Bytes } from './types.ts'

function payloadOf(bytes: Uint8Array): Bytes {
  let text: string | null
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    text = null
  }
  return { text, base64: base64Of(bytes), bytes: bytes.length, isWhole: true }
}
const textPayload = (text: string): Bytes => payloadOf(new TextEncoder().encode(text))

test('the best guess is JSON, text or hexadecimal', async () => {
  assert.deepEqual(await decode(textPayload('{"a":1}'), 'auto'), { text: '{\n  "a": 1\n}', as: 'json', fault: null })
  assert.equal((await decode(textPayload('21.5'), 'auto')).as, 'text')
  assert.equal((await decode(textPayload('{"a":'), 'auto')).as, 'text')
  const binary = await decode(payloadOf(Uint8Array.of(0, 255, 65)), 'auto')
  assert.equal(binary.as, 'hex')
  assert.match(binary.text, /^000000 {2}00 ff 41 +\.\.A$/)
})

test('CBOR and MessagePack are decoded, and what is neither is shown in hexadecimal with the reason', async () => {
  const value = { t: 21.5, raw: Uint8Array.of(1, 255) }
  for (const [view, bytes] of [
    ['cbor', encodeCbor(value)],
    ['msgpack', encodePack(value)],
  ] as const) {
    const decoded = await decode(payloadOf(bytes), view)
    assert.equal(decoded.fault, null)
    assert.deepEqual(JSON.parse(decoded.text), { t: 21.5, raw: "h'01ff'" })
    const broken = await decode(payloadOf(bytes.subarray(0, 3)), view)
    assert.equal(broken.as, 'hex')
    assert.match(broken.fault ?? '', /CBOR|MessagePack/)
  }
  assert.equal((await decode(textPayload('no'), 'json')).fault, 'JSON')
})

const le = (write: (view: DataView) => void, bytes: number): number[] => {
  const made = new Uint8Array(bytes)
  write(new DataView(made.buffer))
  return [...made]
}
const varint = (value: bigint): number[] =>
  value < 0x80n ? [Number(value)] : [Number(value & 0x7fn) | 0x80, ...varint(value >> 7n)]
const tag = (number: number, wire: number): number[] => varint(BigInt((number << 3) | wire))
const whole = (number: number, value: bigint): number[] => [...tag(number, 0), ...varint(value)]
const part = (number: number, bytes: readonly number[]): number[] => [
  ...tag(number, 2),
  ...varint(BigInt(bytes.length)),
  ...bytes,
]
const word = (number: number, text: string): number[] => part(number, [...new TextEncoder().encode(text)])

test('Sparkplug B has its metrics with name, alias, type and value; DATA has the names that BIRTH has bound', async () => {
  const birth = [
    ...whole(1, 1_700_000_000_000n),
    ...part(2, [
      ...word(1, 'Temp'),
      ...whole(2, 7n),
      ...whole(4, 9n),
      ...tag(12, 5),
      ...le((v) => v.setFloat32(0, 21.5, true), 4),
    ]),
    // -5 as an Int32: 32 bits without sign.
    ...part(2, [...word(1, 'Level'), ...whole(2, 8n), ...whole(10, 0xffff_fffbn), ...whole(4, 3n)]),
    ...part(2, [...word(1, 'Big'), ...whole(4, 8n), ...whole(11, 18_446_744_073_709_551_615n)]),
    ...part(2, [...word(1, 'On'), ...whole(4, 11n), ...whole(14, 1n)]),
    ...part(2, [...word(1, 'Name'), ...whole(4, 12n), ...word(15, '<b>pump</b>')]),
    ...part(2, [...word(1, 'At'), ...whole(4, 13n), ...whole(11, 0n)]),
    ...part(2, [...word(1, 'Gone'), ...whole(4, 3n), ...whole(7, 1n)]),
    ...part(2, [
      ...word(1, 'Pair'),
      ...whole(4, 24n),
      ...part(
        16,
        le((v) => v.setBigInt64(0, 0x2_ffff_ffffn, true), 8),
      ),
    ]),
    ...part(2, [
      ...word(1, 'Unit'),
      ...whole(4, 12n),
      ...part(9, [...word(1, 'engUnit'), ...part(2, [...whole(1, 12n), ...word(8, '°C')])]),
      ...word(15, 'x'),
    ]),
    ...part(2, [
      ...word(1, 'Table'),
      ...whole(4, 16n),
      ...part(17, [
        ...whole(1, 2n),
        ...word(2, 'a'),
        ...word(2, 'b'),
        ...part(3, [3, 12]),
        ...part(4, [...part(1, whole(1, 1n)), ...part(1, word(6, 'y'))]),
      ]),
    ]),
    ...whole(3, 0n),
  ]
  const topic = 'spBv1.0/plant/NBIRTH/edge'
  const shown = await decode(payloadOf(Uint8Array.from(birth)), 'auto', topic)
  assert.deepEqual([shown.as, shown.fault], ['sparkplug', null])
  assert.deepEqual(JSON.parse(shown.text), {
    timestamp: '2023-11-14T22:13:20.000Z',
    seq: 0,
    metrics: [
      { name: 'Temp', alias: 7, type: 'Float', value: 21.5 },
      { name: 'Level', alias: 8, type: 'Int32', value: -5 },
      { name: 'Big', type: 'UInt64', value: '18446744073709551615' },
      { name: 'On', type: 'Boolean', value: true },
      { name: 'Name', type: 'String', value: '<b>pump</b>' },
      { name: 'At', type: 'DateTime', value: '1970-01-01T00:00:00.000Z' },
      { name: 'Gone', type: 'Int32', value: null },
      { name: 'Pair', type: 'Int32Array', value: [-1, 2] },
      { name: 'Unit', properties: { engUnit: '°C' }, type: 'String', value: 'x' },
      { name: 'Table', type: 'DataSet', value: { columns: ['a', 'b'], types: ['Int32', 'String'], rows: [[1, 'y']] } },
    ],
  })
  const data = payloadOf(
    Uint8Array.from([...part(2, [...whole(2, 8n), ...whole(10, 3n), ...whole(4, 3n)]), ...whole(3, 1n)]),
  )
  const namelessly = [{ alias: 8, type: 'Int32', value: 3 }]
  assert.deepEqual(JSON.parse((await decode(data, 'sparkplug', 'spBv1.0/plant/NDATA/edge')).text).metrics, namelessly)
  await rememberNames(topic, payloadOf(Uint8Array.from(birth)))
  const named = JSON.parse((await decode(data, 'auto', 'spBv1.0/plant/DDATA/edge/device')).text).metrics
  assert.deepEqual(named, [{ name: 'Level', alias: 8, type: 'Int32', value: 3 }])
  assert.deepEqual(JSON.parse((await decode(data, 'sparkplug', 'spBv1.0/plant/NDATA/other')).text).metrics, namelessly)
})

test('whatever bytes are looked at as Sparkplug B, they are shown', async () => {
  let seed = 7
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % below
  }
  for (let round = 0; round < 3_000; round++) {
    const bytes = Uint8Array.from({ length: random(60) }, () =>
      random(3) === 0 ? random(256) : [10, 18, 2, 8, 4][random(5)]!,
    )
    const { as, fault, text } = await decode(payloadOf(bytes), 'sparkplug')
    assert.equal(as === 'hex', fault !== null, text)
  }
  let nested: number[] = []
  for (let level = 0; level < 40; level++) nested = part(18, part(2, nested)).concat(whole(4, 19n))
  assert.match((await decode(payloadOf(Uint8Array.from(part(2, nested))), 'sparkplug')).fault ?? '', /levels/)
  // A BooleanArray that says that it has four thousand million elements.
  const huge = part(2, [...whole(4, 32n), ...part(16, [255, 255, 255, 255, 1])])
  assert.match((await decode(payloadOf(Uint8Array.from(huge)), 'sparkplug')).fault ?? '', /BooleanArray/)
  assert.equal((await decode(textPayload('hello'), 'auto', 'spBv1.0/plant/NDATA/edge')).as, 'text')
})

test('hexadecimal is read back, and a preview is one line', () => {
  assert.deepEqual(fromHex('01 fF:00'), Uint8Array.of(1, 255, 0))
  assert.equal(fromHex('0'), null)
  assert.equal(fromHex('zz'), null)
  assert.equal(hex(new Uint8Array(17)).split('\n').length, 2)
  assert.equal(preview(textPayload('a\n  b')), 'a b')
  assert.equal(preview(payloadOf(Uint8Array.of(0, 1))), '00 01')
})
