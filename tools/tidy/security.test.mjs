/* SECURITY.md: every threat has an asset, an attacker, a defence, and tests that are there. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../lib/workspace.mjs'

const text = readFileSync(join(root, 'SECURITY.md'), 'utf8')
const [, table = ''] = /<!-- threats: begin -->([\s\S]*?)<!-- threats: end -->/.exec(text) ?? []
const rows = table
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .slice(2)
  .map((line) => line.split('|').map((cell) => cell.trim()))

test('SECURITY.md has a table of threats with five columns', () => {
  assert.ok(rows.length > 10, `${rows.length} rows`)
  for (const row of rows) assert.equal(row.length, 7, row.join('|'))
})

test('every threat in SECURITY.md names who, what, how, and test files that exist', () => {
  const wrong = []
  for (const [, threat, asset, attacker, defence, tests] of rows) {
    const files = [...tests.matchAll(/`([^`]+)`/g)].map(([, path]) => path)
    if (!/^S\d/.test(asset) || !/^A\d/.test(attacker) || defence.length < 5) wrong.push(`${threat}: incomplete`)
    if (files.length === 0) wrong.push(`${threat}: no test`)
    for (const path of files) {
      if (!/\.(test|sim)\.(ts|mjs)$/.test(path)) wrong.push(`${threat}: ${path} is not a test`)
      else if (!existsSync(join(root, path))) wrong.push(`${threat}: ${path} does not exist`)
    }
  }
  assert.deepEqual(wrong, [])
})
