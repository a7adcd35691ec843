import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, test } from 'node:test'
import { commandName } from './command-name.ts'

const folder = mkdtempSync(join(tmpdir(), 'recado-name-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const program = join(folder, 'lib', 'recado.js')
for (const name of ['lib', 'bin', 'empty', join('node_modules', '.bin')])
  mkdirSync(join(folder, name), { recursive: true })
writeFileSync(program, '')
symlinkSync(program, join(folder, 'bin', 'recado'))
symlinkSync(program, join(folder, 'node_modules', '.bin', 'recado'))
const path = (...names: string[]): string => names.map((name) => join(folder, name)).join(delimiter)

test('hints say recado where the shell finds it, and npx recado elsewhere', () => {
  assert.equal(commandName(program, path('empty', 'bin')), 'recado')
  assert.equal(commandName(join(folder, 'bin', 'recado'), path('bin')), 'recado')
  assert.equal(commandName(program, path('empty')), 'npx recado')
  assert.equal(commandName(program, path(join('node_modules', '.bin'))), 'npx recado')
  assert.equal(commandName(program, ''), 'npx recado')
  assert.equal(commandName(undefined, path('bin')), 'npx recado')
  assert.equal(commandName(join(folder, 'gone'), path('bin')), 'npx recado')
})
