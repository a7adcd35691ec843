import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteWriter } from './byte-writer.ts'

test('raw bytes of one array again and again go where they belong, also when the array that is written to is another meanwhile', () => {
  const source = Uint8Array.from({ length: 300 }, (_, i) => i).subarray(3)
  const writer = new ByteWriter(new Uint8Array(50).subarray(9, 29))
  const ranges = [
    [0, 9],
    [9, 20],
    [20, 133],
    [133, 140],
    [140, 297],
  ] as const
  for (const [start, end] of ranges) writer.raw(source, start, end)
  assert.deepEqual(writer.bytes.subarray(0, writer.length), source)
  const first = writer.bytes
  writer.bytes = new Uint8Array(64)
  writer.reset()
  writer.raw(source, 7, 40)
  assert.deepEqual(writer.bytes.subarray(0, 33), source.subarray(7, 40))
  assert.deepEqual(first.subarray(0, 297), source)
})
