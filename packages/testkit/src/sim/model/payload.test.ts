import assert from 'node:assert/strict'
import { test } from 'node:test'
import { payloadSize, textOf } from './payload.ts'

test('a payload has the size of its bytes, whether they are UTF-8 or not', () => {
  for (const bytes of [[], [0x6d, 0x31], [0xf5, 0xcf, 0xa5, 0x64], [0xff], [...new TextEncoder().encode('€ 5 日')]])
    assert.equal(payloadSize(textOf(Uint8Array.from(bytes))), bytes.length)
})
