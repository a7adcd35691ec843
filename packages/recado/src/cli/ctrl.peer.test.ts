/** `recado ctrl dynsec` beside Debian's mosquitto_ctrl 2.0.11, on Debian's broker and on ours: same commands, same output, same exit codes. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { accepts } from '@recado/client/testing'
import { peerPath, skipWithout } from '@recado/testkit'
import { freePort, Program, run, temporaryFolder } from '../testing/program.ts'

const skip = skipWithout('mosquitto', 'mosquitto_ctrl', 'mosquitto_dynamic_security')
const options = { skip, timeout: 300_000 }

interface Result {
  code: number | null
  out: string
  err: string
}

async function called(program: string, argv: readonly string[]): Promise<Result> {
  const child = spawn(program, argv)
  const result: Result = { code: null, out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    result.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    result.err += text
  })
  ;[result.code] = (await once(child, 'close')) as [number]
  // Mosquitto's warns each time that nothing is encrypted.
  result.err = result.err.replace(/^Warning: You are running mosquitto_ctrl without encryption\.\n[^\n]*\n\n/, '')
  return result
}

// No options from the files of whoever runs them.
for (const name of ['HOME', 'XDG_CONFIG_HOME']) process.env[name] = '/nowhere'
/** In this process: one of its own for each of a hundred commands costs half a minute of CPU. */
const recado = (...argv: string[]): Promise<Result> => run('ctrl', ...argv)
const mosquitto = (...argv: string[]): Promise<Result> => called(peerPath('mosquitto_ctrl'), argv)

/**
 * Commands in an order in which each finds what it needs. Two are not among them: with setDefaultACLAccess Mosquitto's tool does not do what it says,
 * and Mosquitto's broker dies when the group of anonymous clients is deleted.
 */
const commands: readonly string[] = [
  'listClients',
  'createRole reader',
  'createRole reader',
  'addRoleACL reader subscribePattern home/# allow',
  'addRoleACL reader publishClientSend home/lamp deny 5',
  'addRoleACL reader nonsense home/# allow',
  'getRole reader',
  'getRole nobody',
  'removeRoleACL reader publishClientSend home/lamp',
  'getRole reader',
  'createClient ann -p secret',
  'createClient bob -c device -p secret',
  'createClient ann -p again',
  'getClient ann',
  'getClient bob',
  'getClient nobody',
  'addClientRole ann reader',
  'addClientRole bob reader 7',
  'addClientRole bob nothing',
  'setClientId ann mine',
  'setClientPassword ann other',
  'disableClient bob',
  'createGroup staff',
  'addGroupRole staff reader 3',
  'addGroupClient staff ann 2',
  'addGroupClient staff bob',
  'addGroupClient staff nobody',
  'getGroup staff',
  'getGroup nothing',
  'getClient ann',
  'getClient bob',
  'enableClient bob',
  'listClients',
  'listClients 1 1',
  'listGroups',
  'listRoles',
  'setAnonymousGroup staff',
  'getAnonymousGroup',
  'getDefaultACLAccess',
  'setDefaultACLAccess nonsense allow',
  'addRoleACL reader subscribePattern home/#',
  'getClient',
  'removeGroupClient staff ann',
  'removeGroupRole staff reader',
  'getGroup staff',
  'setAnonymousGroup nothing',
  'removeClientRole ann reader',
  'deleteClient bob',
  'deleteRole reader',
  'createGroup other',
  'deleteGroup other',
  'getClient ann',
  'nonsense',
]

/** Starts a broker with the file that `init` of the tool has made. */
async function brokerOf(
  context: TestContext,
  kind: 'mosquitto' | 'recado',
  make: (...argv: string[]) => Promise<Result>,
): Promise<number> {
  const folder = temporaryFolder(context)
  chmodSync(folder, 0o777)
  const file = join(folder, 'dynsec.json')
  const made = await make('dynsec', 'init', file, 'admin', 'administrator')
  assert.equal(made.code, kind === 'mosquitto' ? made.code : 0, made.err)
  const lines = [`plugin ${peerPath('mosquitto_dynamic_security')}`, `plugin_opt_config_file ${file}`]
  const port = await freePort()
  if (kind === 'recado') {
    await Program.start(context, port, lines)
    return port
  }
  const conf = join(folder, 'conf')
  writeFileSync(conf, `user root\nlistener ${port} 127.0.0.1\n${lines.join('\n')}\n`)
  const server = spawn(peerPath('mosquitto'), ['-c', conf], { stdio: 'ignore' })
  context.after(async () => {
    server.kill('SIGKILL')
    await once(server, 'exit')
  })
  while (!(await accepts(port))) assert.equal(server.exitCode, null, 'the broker has ended')
  return port
}

for (const kind of ['mosquitto', 'recado'] as const) {
  test(`every command on ${kind} has the output and exit code of mosquitto_ctrl`, options, async (context) => {
    // Each tool has a broker of its own, whose file the other has made.
    const [one, two] = [await brokerOf(context, kind, mosquitto), await brokerOf(context, kind, recado)]
    const different: unknown[] = []
    for (const command of commands) {
      const argv = (port: number): string[] => [
        '-p',
        String(port),
        '-u',
        'admin',
        '-P',
        'administrator',
        'dynsec',
        ...command.split(' '),
      ]
      const [ours, theirs] = await Promise.all([recado('--as-mosquitto', '2.0', ...argv(one)), mosquitto(...argv(two))])
      if (JSON.stringify(ours) !== JSON.stringify(theirs)) different.push({ command, ours, theirs })
    }
    assert.deepEqual(different, [])
  })
}
