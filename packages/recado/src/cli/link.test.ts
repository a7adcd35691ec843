import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, lstatSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { printed, run, temporaryFolder } from '../testing/program.ts'

const skip = process.platform === 'win32' ? 'links as Unix has them' : false
const names = [
  'mosquitto',
  'mosquitto_ctrl',
  'mosquitto_passwd',
  'mosquitto_pub',
  'mosquitto_rr',
  'mosquitto_signal',
  'mosquitto_sub',
]

function call(path: string, ...argv: string[]): [code: number | null, out: string, err: string] {
  const env = {
    ...process.env,
    HOME: '/nowhere',
    XDG_CONFIG_HOME: '/nowhere',
    PATH: `${join(process.execPath, '..')}:/usr/bin:/bin`,
  }
  const { status, stdout, stderr } = spawnSync(path, argv, { encoding: 'utf8', env })
  return [status, stdout, stderr]
}

test("under the names of Mosquitto's programs it is these programs", { skip }, async (context) => {
  const folder = temporaryFolder(context)
  const out = await printed('link', folder)
  assert.deepEqual(readdirSync(folder).sort(), names)
  assert.deepEqual(
    out.trim().split('\n').sort(),
    names.map((name) => join(folder, name)),
  )
  const usage = (tool: string): string => `\nUse 'mosquitto_${tool} --help' to see usage.\n`
  assert.deepEqual(call(join(folder, 'mosquitto_pub'), '-t'), [
    1,
    '',
    `Error: -t argument given but no topic specified.\n\n${usage('pub')}`,
  ])
  const none = 'Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U).\n'
  assert.deepEqual(call(join(folder, 'mosquitto_sub')), [1, '', none + usage('sub')])
  assert.match(call(join(folder, 'mosquitto_rr'), '--version')[1], /^mosquitto_rr version 2\.1\.\d+ running on recado/)
  assert.deepEqual(call(join(folder, 'mosquitto_signal'), '-p'), [
    1,
    '',
    'Error: -p argument given but process ID missing.\n',
  ])
  const passwords = join(folder, 'passwords')
  assert.deepEqual(call(join(folder, 'mosquitto_passwd'), '-c', '-b', passwords, 'ada', 'x'), [
    0,
    'Adding password for user ada\n',
    '',
  ])
  const missing = `Error: Unable to open password file ${passwords}.none. No such file or directory.\n`
  assert.deepEqual(call(join(folder, 'mosquitto_passwd'), '-b', `${passwords}.none`, 'ada', 'x'), [1, '', missing])
  assert.match(call(join(folder, 'mosquitto'), '--help')[1], /recado is an MQTT .* broker/)
})

test('with --as-mosquitto 2.0 the tools have the words of 2.0', { skip }, async (context) => {
  const folder = temporaryFolder(context)
  await printed('link', '--as-mosquitto', '2.0', folder)
  const none = "Error: You must specify a topic to subscribe to.\n\nUse 'mosquitto_sub --help' to see usage.\n"
  assert.deepEqual(call(join(folder, 'mosquitto_sub')), [1, '', none])
  const passwords = join(folder, 'passwords')
  assert.deepEqual(call(join(folder, 'mosquitto_passwd'), '-c', '-b', passwords, 'ada', 'x'), [0, '', ''])
  // Again, and with another version.
  await printed('link', folder)
  assert.ok(lstatSync(join(folder, 'mosquitto_sub')).isSymbolicLink())
})

test("somebody else's files are left alone, unless --force says so", { skip }, async (context) => {
  const folder = temporaryFolder(context)
  const own = join(folder, 'mosquitto_sub')
  writeFileSync(own, '#!/bin/sh\necho mine\n')
  chmodSync(own, 0o755)
  const refused = await run('link', folder)
  assert.deepEqual([refused.code, refused.err], [1, `recado link: ${own} is not ours: --force writes over\n`])
  assert.deepEqual(readdirSync(folder), ['mosquitto_sub'])
  assert.deepEqual(JSON.parse(await printed('link', '--json', '--only', 'mosquitto_pub', folder)), {
    linked: [join(folder, 'mosquitto_pub')],
  })
  assert.equal(await printed('link', '--remove', folder), `removed ${join(folder, 'mosquitto_pub')}\n`)
  assert.deepEqual(readdirSync(folder), ['mosquitto_sub'])
  await printed('link', '--force', folder)
  assert.equal(readdirSync(folder).length, names.length)
  await printed('link', '--remove', folder)
  assert.deepEqual(readdirSync(folder), [])
  assert.match(
    (await run('link', join(folder, 'none'))).err,
    /^recado link: there is no folder .*none: make it first\n$/,
  )
})
