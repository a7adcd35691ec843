import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { stackOf } from './stack.ts'

/** Map of a file with one line: column 0 is line 7 of the broker's core, column 20 line 3 of `serve.js`, both column 5. */
const map = {
  version: 3,
  sources: ['../../broker/dist/core/core.js', '../dist/serve.js'],
  names: [],
  mappings: 'AAMI,oBCJA',
}

test('a stack of a bundle has the places of the sources, and others stay as they are', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-stack-'))
  context.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'bundle'))
  const file = join(folder, 'bundle', 'chunk.js')
  writeFileSync(file, 'exports.a=()=>Error;exports.b=()=>new Error("b")')
  writeFileSync(`${file}.map`, JSON.stringify(map))
  const { b } = createRequire(import.meta.url)(file) as { b: () => Error }
  const [first, step] = stackOf(b()).split('\n')
  assert.equal(first, 'Error: b')
  assert.match(step!, /^ {4}at exports\.b \(packages\/recado\/dist\/serve\.js:3:5\)$/)

  const error = new Error('x')
  error.stack = `Error: x\n    at ${file}:1:2\n    at ${join(folder, 'bundle', 'other.js')}:1:2\n    at node:net:1:2`
  assert.equal(
    stackOf(error),
    `Error: x\n    at packages/broker/dist/core/core.js:7:5\n    at ${join(folder, 'bundle', 'other.js')}:1:2\n    at node:net:1:2`,
  )
})

test('what has no stack is reported by its text', () => {
  assert.equal(stackOf('no error'), 'no error')
  const error = new Error('without')
  delete (error as { stack?: string }).stack
  assert.equal(stackOf(error), 'without')
})
