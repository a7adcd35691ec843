/*
 * package-lock.json is one that `npm ci` takes on a fresh clone. When a registry lacks a platform's package, npm leaves
 * it out of the lock file without a word, and `npm ci` then fails for everybody.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { installNeeded, root } from '../lib/workspace.mjs'

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))

test('every optional dependency, whatever its platform, is in the lock file', () => {
  const missing = []
  for (const [path, { optional, optionalDependencies = {} }] of Object.entries(packages)) {
    // What only an optional package wants is not asked for by `npm ci`.
    if (optional) continue
    for (const name of Object.keys(optionalDependencies)) {
      const places = [`${path}/node_modules/${name}`, `node_modules/${name}`]
      if (!places.some((place) => place in packages)) missing.push(`${path} wants ${name}`)
    }
  }
  assert.deepEqual(missing, [])
})

test('an install is needed when packages are missing or of another version, and only then', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const write = (path, entries) => writeFileSync(join(folder, path), JSON.stringify({ packages: entries }))
  const wanted = {
    '': { name: 'x' },
    'packages/a': {},
    'node_modules/a': { link: true },
    'node_modules/b': { version: '1.0.0' },
    'node_modules/c': { version: '1.0.0', optional: true },
  }
  write('package-lock.json', wanted)
  assert.equal(installNeeded(folder), 'nothing is installed yet')
  mkdirSync(join(folder, 'node_modules', 'b'), { recursive: true })
  write('node_modules/.package-lock.json', { 'node_modules/b': { version: '1.0.0' } })
  assert.equal(installNeeded(folder), 'a is missing')
  mkdirSync(join(folder, 'node_modules', 'a'))
  assert.equal(installNeeded(folder), null)
  write('node_modules/.package-lock.json', { 'node_modules/b': { version: '0.9.0' } })
  assert.equal(installNeeded(folder), 'b is not at version 1.0.0')
})
