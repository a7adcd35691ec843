import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePort, Program, run, runWith, temporaryFolder } from '../testing/program.ts'

async function brokerOf(
  context: TestContext,
): Promise<{ file: string; port: number; ask(...argv: string[]): ReturnType<typeof run> }> {
  const file = join(temporaryFolder(context), 'dynsec.json')
  const made = await run('ctrl', 'dynsec', 'init', file, 'admin', 'administrator')
  assert.equal(made.code, 0, made.err)
  const port = await freePort()
  await Program.start(context, port, ['plugin mosquitto_dynamic_security.so', `plugin_opt_config_file ${file}`])
  return {
    ...{ file, port },
    ask: (...argv) => run('ctrl', '-p', String(port), '-u', 'admin', '-P', 'administrator', 'dynsec', ...argv),
  }
}

test('the file of init is for its owner and group, and a broker starts with it', async (context) => {
  const { file, ask } = await brokerOf(context)
  assert.equal(statSync(file).mode & 0o777 & ~0o640, 0)
  assert.doesNotMatch(readFileSync(file, 'utf8'), /administrator/)
  assert.deepEqual(await ask('listClients'), { code: 0, out: 'admin\n', err: '' })
  const again = await run('ctrl', 'dynsec', 'init', file, 'admin', 'x')
  assert.equal(again.code, 1)
  assert.match(again.err, /^dynsec init: Unable to open '.*' for writing \(.*exist.*\)\.\n$/)
})

test('defaults are changed to what was asked for, and what is refused is exit code 1', async (context) => {
  const { ask } = await brokerOf(context)
  assert.equal((await ask('setDefaultACLAccess', 'subscribe', 'allow')).code, 0)
  assert.match((await ask('getDefaultACLAccess')).out, /^subscribe {12}: allow$/m)
  assert.deepEqual(await ask('getClient', 'nobody'), { code: 1, out: '', err: 'getClient: Error: Client not found.\n' })
  assert.equal((await ask('createClient', 'ann', '-i', 'device', '-p', 'secret')).code, 0)
  assert.match((await ask('getClient', 'ann')).out, /^Username: {4}ann\nClientid: {4}device\n/)
})

test('--json prints the data of the answer', async (context) => {
  const { port } = await brokerOf(context)
  const { out } = await run(
    'ctrl',
    '--json',
    '-p',
    String(port),
    '-u',
    'admin',
    '-P',
    'administrator',
    'dynsec',
    'listRoles',
  )
  assert.deepEqual(JSON.parse(out).roles, ['admin'])
})

test('what is wrong is one line', async () => {
  for (const [argv, expected] of [
    [['dynsec', 'getClient'], 'recado ctrl: getClient takes USER\n'],
    [['dynsec', 'addClientRole', 'a', 'b', 'high'], 'recado ctrl: the priority needs a whole number, not "high"\n'],
    [
      ['dynsec', 'addRoleACL', 'a', 'subscribe', 'b', 'allow'],
      /^recado ctrl: "subscribe" is no ACLTYPE; there is publishClientSend, /,
    ],
    [
      ['dynsec', 'addRoleACL', 'a', 'subscribeLiteral', 'b', 'yes'],
      'recado ctrl: access must be "allow" or "deny", not "yes"\n',
    ],
    [['dynsec', 'getClints', 'a'], `Command 'getClints' not recognised. Did you mean "getClient"?\n`],
    [['bridge', 'list'], 'recado ctrl: unknown module "bridge": there are dynsec and broker\n'],
    [['dynsec', 'init', 'file'], 'recado ctrl: init takes FILE USER [PASSWORD]\n'],
    [['-p', '1', '-h', '127.0.0.1', 'dynsec', 'listClients'], 'Error: Connection refused\n'],
  ] as const) {
    const { code, err } = await run('ctrl', ...argv)
    assert.equal(code, 1, argv.join(' '))
    if (typeof expected === 'string') assert.equal(err, expected)
    else assert.match(err, expected)
  }
  const differ = await runWith('one\ntwo\n', 'ctrl', 'dynsec', 'setClientPassword', 'ann')
  assert.deepEqual([differ.code, differ.err], [1, 'recado ctrl: the passwords are not the same\n'])
})

test('broker lists listeners and plugins, in the form of mosquitto_ctrl 2.1', async (context) => {
  const port = await freePort()
  await Program.start(context, port, ['enable_control_api true'])
  const ask = (...argv: string[]): ReturnType<typeof run> => run('ctrl', '-p', String(port), 'broker', ...argv)
  const listeners = `Listener 1:
  Port:              ${port}
  Protocol:          mqtt
  Bind address:      127.0.0.1
  TLS:               false

`
  assert.deepEqual(await ask('listListeners'), { code: 0, out: listeners, err: '' })
  assert.deepEqual(await ask('listPlugins'), { code: 0, out: '', err: '' })
  assert.equal((await ask('listListeners', 'x')).err, 'recado ctrl: listListeners takes nothing\n')
  assert.equal((await ask('init')).err, "Command 'init' not recognised.\n")
  assert.match((await run('ctrl', 'bridge', 'x')).err, /unknown module "bridge": there are dynsec and broker/)
})

test('plugins are listed with their topics', async (context) => {
  const file = join(temporaryFolder(context), 'dynsec.json')
  await run('ctrl', 'dynsec', 'init', file, 'admin', 'administrator')
  const contents = JSON.parse(readFileSync(file, 'utf8'))
  for (const acltype of ['publishClientSend', 'publishClientReceive', 'subscribePattern'])
    contents.roles[0].acls.push({ acltype, topic: '$CONTROL/broker/#', allow: true })
  writeFileSync(file, JSON.stringify(contents))
  const port = await freePort()
  const config = ['enable_control_api true', 'plugin mosquitto_dynamic_security.so', `plugin_opt_config_file ${file}`]
  await Program.start(context, port, config)
  const login = ['-p', String(port), '-u', 'admin', '-P', 'administrator']
  const { out } = await run('ctrl', ...login, 'broker', 'listPlugins')
  assert.equal(out, 'Plugin:            dynamic-security\nControl endpoints: $CONTROL/dynamic-security/v1\n')
})
