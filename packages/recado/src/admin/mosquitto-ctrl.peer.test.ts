/**
 * `mosquitto_ctrl broker` of Mosquitto 2.1 against its own broker and ours: the same words. It stands in the folder of the program that
 * RECADO_MOSQUITTO_21 names; Debian's 2.0 has no such commands.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { accepts } from '@recado/client/testing'
import { freePort, programPath, temporaryFolder } from '../testing/program.ts'

const mosquitto = process.env['RECADO_MOSQUITTO_21']

/** Output of both commands, with a name for each port. */
async function printed(
  context: TestContext,
  start: (file: string, folder: string) => [string, string[]],
): Promise<string> {
  const folder = temporaryFolder(context)
  chmodSync(folder, 0o777)
  const ports = [await freePort(), await freePort(), await freePort()] as const
  const [mqtt, webSocket, api] = ports
  const lines = [
    `listener ${mqtt} 127.0.0.1`,
    'allow_anonymous true',
    'enable_control_api true',
    `listener ${webSocket}`,
    'protocol websockets',
    `listener ${api} 127.0.0.1`,
    'protocol http_api',
  ]
  const file = join(folder, 'a.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  const child = spawn(...start(file, folder), { stdio: 'ignore' })
  context.after(() => child.kill('SIGKILL'))
  for (const port of ports) while (!(await accepts(port))) assert.equal(child.exitCode, null, 'the broker has ended')
  const text = ['listListeners', 'listPlugins'].map((command) => {
    const args = ['-p', String(mqtt), 'broker', command]
    const { stdout, status } = spawnSync(join(dirname(mosquitto!), 'mosquitto_ctrl'), args, { encoding: 'utf8' })
    return `${command}: exit code ${status}\n${stdout}`
  })
  return ports.reduce((all, port, index) => all.replaceAll(String(port), `PORT ${index}`), text.join('\n'))
}

test('mosquitto_ctrl broker says the same of ours as of Mosquitto 2.1', {
  skip: mosquitto === undefined && 'RECADO_MOSQUITTO_21 names no mosquitto 2.1',
}, async (context) => {
  const theirs = await printed(context, (file) => [mosquitto!, ['-c', file]])
  const ours = await printed(context, (file, folder) => [
    process.execPath,
    [programPath, '-c', file, '--data', join(folder, 'data')],
  ])
  assert.match(ours, /Listener 3:/)
  assert.equal(ours, theirs)
})
