import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode as encodePack } from '@msgpack/msgpack'
import { encode as encodeCbor } from 'cbor2'
import { base64Of, decode, fromHex, hex, preview } from './decode.ts'
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

test('hexadecimal is read back, and a preview is one line', () => {
  assert.deepEqual(fromHex('01 fF:00'), Uint8Array.of(1, 255, 0))
  assert.equal(fromHex('0'), null)
  assert.equal(fromHex('zz'), null)
  assert.equal(hex(new Uint8Array(17)).split('\n').length, 2)
  assert.equal(preview(textPayload('a\n  b')), 'a b')
  assert.equal(preview(payloadOf(Uint8Array.of(0, 1))), '00 01')
})
