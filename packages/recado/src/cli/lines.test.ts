import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { readLines } from './lines.ts'

async function lines(...chunks: string[]): Promise<string[]> {
  const read: string[] = []
  for await (const line of readLines(Readable.from(chunks.map((chunk) => Buffer.from(chunk, 'latin1'))))) {
    read.push(line.toString('latin1'))
  }
  return read
}

test('lines are split at line feeds only, over any split of the input, and keep their bytes', async () => {
  assert.deepEqual(await lines('a\n', 'b'), ['a', 'b'])
  assert.deepEqual(await lines('a', 'b\r', '\n\n', '\xff\n'), ['ab\r', '', '\xff'])
  assert.deepEqual(await lines(), [])
})
