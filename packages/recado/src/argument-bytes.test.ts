import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { argumentsAsGiven, bytesOf, invalidByteOf, textOf } from './argument-bytes.ts'

const samples: (number | string)[][] = [
  [0xff, 0xfe, 0x80, 0x41],
  ['größe ', 0xe9, ' 温度 😀 ', 0xf0, 0x9f, 0x98],
  [0xed, 0xa0, 0x80, 0xed, 0xbf, 0xbf],
  [0xc0, 0xaf, 0xf5, 0x80, 0x80, 0x80, 0xe0, 0x80, 0x80],
  ['\ufffd', 0xff],
  ['plain'],
  [],
]
const bytesFrom = (parts: readonly (number | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))))

test('bytes that are text and bytes that are not come back as they were', () => {
  for (const parts of samples) {
    const bytes = bytesFrom(parts)
    assert.deepEqual(bytesOf(textOf(bytes)), bytes)
  }
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      const bytes = Buffer.from([first, second, 0xc3, 0xbc])
      assert.ok(bytesOf(textOf(bytes)).equals(bytes), bytes.toString('hex'))
    }
  }
})

test('text is left alone, and the first byte that is none is named', () => {
  assert.equal(textOf(Buffer.from('größe 😀 \ufffd')), 'größe 😀 \ufffd')
  assert.equal(invalidByteOf('größe 😀 \ufffd'), null)
  assert.equal(invalidByteOf(textOf(bytesFrom(['😀ü', 0xe9, 0xff]))), 'byte 0xe9')
})

test('arguments that are text are not looked up', () => {
  const argv = ['pub', '-m', 'größe']
  assert.equal(argumentsAsGiven(argv), argv)
})

test('arguments of a process are the bytes that it was given', { skip: process.platform !== 'linux' }, () => {
  const module = new URL('./argument-bytes.js', import.meta.url).href
  const code = `const { argumentsAsGiven, bytesOf } = await import('${module}');
    console.log(argumentsAsGiven(process.argv.slice(1)).map((a) => bytesOf(a).toString('hex')).join())`
  // A shell makes bytes that Node's own spawn would encode.
  const script = `exec '${process.execPath}' --input-type=module -e "$1" -- "$(printf '\\377\\200A')" plain "$(printf '\\357\\277\\275')"`
  const { stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', code], { encoding: 'utf8' })
  assert.equal(stdout, `ff8041,${Buffer.from('plain').toString('hex')},efbfbd\n`, stderr)
})
