/* Every limit and every supported option is read by some code, and the rule catches those that are not. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { limitTable } from '../../packages/broker/dist/mod.js'
import { optionTable } from '../../packages/recado/dist/config/schema.js'
import { filesBelow, root } from '../lib/workspace.mjs'
import { unreadLimits, unreadOptions } from './wired.mjs'

const files = filesBelow('packages')
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

test('every limit of the broker is read somewhere', () => {
  assert.deepEqual(unreadLimits(Object.keys(limitTable), files), [], 'limits in limits.ts that no code reads')
})

test('every supported option of mosquitto.conf is read somewhere', () => {
  assert.deepEqual(unreadOptions(optionTable, files), [], 'options in config/options that no code looks up')
})

test('a limit or an option that is wired to nothing is caught', () => {
  const broker = (text) => [{ path: 'packages/broker/src/core/a.ts', text }]
  assert.deepEqual(unreadLimits(['aMax'], broker('f(limits.aMax)')), [])
  assert.deepEqual(unreadLimits(['aMax'], broker("f('aMax') // limits.aMax")), ['aMax'])
  assert.deepEqual(unreadLimits(['aMax'], [{ path: 'packages/broker/src/core/limits.ts', text: 'aMax' }]), ['aMax'])
  assert.deepEqual(unreadLimits(['aMax'], [{ path: 'packages/broker/src/a.test.ts', text: 'aMax' }]), ['aMax'])
  const recado = (path) => [{ path: `packages/recado/src/${path}`, text: "valueOf('port')" }]
  assert.deepEqual(unreadOptions([{ name: 'port' }], recado('config/config.ts')), [])
  assert.deepEqual(unreadOptions([{ name: 'port' }], recado('config/options/listeners.ts')), ['port'])
  assert.deepEqual(unreadOptions([{ name: 'port' }], recado('lint/lint.ts')), ['port'])
  assert.deepEqual(unreadOptions([{ name: 'port', instead: 'nothing' }], []), [])
})
