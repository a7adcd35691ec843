/**
 * Password files between Debian's mosquitto and us, in both directions: who makes them, who changes them, who reads them, and what clients
 * are answered.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SocketClient } from '@recado/broker/testing'
import type { ProtocolVersion } from '@recado/protocol'
import { type BrokerKind, type RunningBroker, startBroker } from './broker.ts'
import { run } from './child.ts'
import { findPeer, skipWithout } from './find.ts'
import { runOwn } from './own-broker.ts'
import { testTimeoutMs } from './stage.ts'

const skip = skipWithout('mosquitto')
const options = { skip, timeout: testTimeoutMs }
const recado = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))

function folderFor(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'recado-passwd-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  // Started by root, mosquitto reads it as another user.
  chmodSync(folder, 0o755)
  return folder
}

type Tool = (...argv: string[]) => Promise<unknown>
const mosquittoPasswd: Tool = (...argv) => run('mosquitto_passwd', argv)
const recadoPasswd: Tool = (...argv) => runOwn('passwd', ...argv)

async function brokerWith(
  context: TestContext,
  kind: BrokerKind,
  path: string,
  ...config: string[]
): Promise<RunningBroker> {
  chmodSync(path, 0o644)
  const broker = await startBroker(kind, { config: [`password_file ${path}`, ...config], inProcess: true })
  context.after(() => broker.stop())
  return broker
}

interface Login {
  username?: string
  password?: string
  protocolVersion?: ProtocolVersion
}

/** The Reason Code or return code of the CONNACK. */
async function answer({ port }: RunningBroker, { password, ...login }: Login): Promise<number> {
  const client = await SocketClient.connect(
    { port },
    { clientId: 'c', ...login, ...(password === undefined ? {} : { password: new TextEncoder().encode(password) }) },
  )
  client.destroy()
  return client.connack.reasonCode
}

for (const [maker, tool, other, otherTool, reader] of [
  ['mosquitto_passwd', mosquittoPasswd, 'recado passwd', recadoPasswd, 'recado'],
  ['recado passwd', recadoPasswd, 'mosquitto_passwd', mosquittoPasswd, 'mosquitto'],
] as const) {
  test(`what ${maker} writes ${reader} reads, also when ${other} has changed it`, options, async (context) => {
    const path = join(folderFor(context), 'passwords')
    await tool('-c', '-b', path, 'ada', 'one')
    await tool('-H', 'sha512', '-b', path, 'old', 'two words')
    await tool('-b', path, 'gone', 'x')
    await tool('-b', path, 'changed', 'before')
    await otherTool('-b', path, 'changed', 'after')
    await otherTool('-D', path, 'gone')
    await otherTool('-b', path, 'new', 'пароль')
    const broker = await brokerWith(context, reader, path)
    const right: [string, string][] = [
      ['ada', 'one'],
      ['old', 'two words'],
      ['changed', 'after'],
      ['new', 'пароль'],
    ]
    for (const [username, password] of right) {
      assert.equal(await answer(broker, { username, password }), 0, username)
      assert.equal(await answer(broker, { username, password: `${password}.` }), 0x87, username)
    }
    assert.equal(await answer(broker, { username: 'gone', password: 'x' }), 0x87)
    assert.equal(await answer(broker, { username: 'changed', password: 'before' }), 0x87)
  })

  test(`-U of ${maker} makes hashes that ${reader} reads`, options, async (context) => {
    const path = join(folderFor(context), 'passwords')
    writeFileSync(path, 'ada:one\nbob:two\n')
    await tool('-U', path)
    assert.doesNotMatch(readFileSync(path, 'utf8'), /one|two/)
    const broker = await brokerWith(context, reader, path)
    assert.equal(await answer(broker, { username: 'ada', password: 'one' }), 0)
    assert.equal(await answer(broker, { username: 'bob', password: 'one' }), 0x87)
  })
}

test('both brokers answer every kind of login alike', options, async (context) => {
  const path = join(folderFor(context), 'passwords')
  await mosquittoPasswd('-c', '-b', path, 'ada', 'one')
  await mosquittoPasswd('-b', path, 'twice', 'second')
  const text = readFileSync(path, 'utf8')
  const first = text.replaceAll('twice', 'other').replaceAll('ada', 'twice')
  writeFileSync(path, `# a comment\n${first}${text}damaged:$7$101$x\nplain:secret\nempty:\nno colon\n`)
  const logins: Login[] = [
    {},
    { username: '' },
    { username: '', password: 'one' },
    { username: 'ada' },
    { username: 'ada', password: '' },
    { username: 'ada', password: 'one' },
    { username: 'ada', password: 'two' },
    { username: 'nobody', password: 'one' },
    { username: 'twice', password: 'one' },
    { username: 'twice', password: 'second' },
    { username: 'other', password: 'second' },
    { username: 'damaged', password: 'x' },
    { username: 'plain', password: 'secret' },
    { username: 'empty', password: '' },
    { username: 'no colon', password: '' },
    { username: '# a comment', password: '' },
  ]
  for (const anonymous of [true, false]) {
    // `startBroker` allows it; of two such lines the last holds.
    const config = [`allow_anonymous ${anonymous}`]
    const [ours, theirs] = await Promise.all([
      brokerWith(context, 'recado', path, ...config),
      brokerWith(context, 'mosquitto', path, ...config),
    ])
    for (const login of logins) {
      for (const protocolVersion of [3, 4, 5] as const) {
        // 3.1.1 has no password without a user name; the client here would send what is malformed.
        const asked = { ...login, protocolVersion }
        assert.equal(await answer(ours, asked), await answer(theirs, asked), JSON.stringify({ anonymous, ...asked }))
      }
    }
  }
})

const python = findPeer('paho-python')
test('on a terminal recado passwd asks twice, shows nothing of what is typed, and echoes again afterwards', {
  ...options,
  skip: 'skip' in python ? python.skip : false,
}, async (context) => {
  const path = join(folderFor(context), 'passwords')
  const script = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
out = b''
def until(text):
    global out
    while text not in out:
        out += os.read(fd, 1000)
until(b'Password: ')
os.write(fd, b'seXcret\\x7f\\x7f\\x7f\\x7f\\x7fcret\\r')
until(b'Reenter password: ')
os.write(fd, b'secret\\r')
until(b'Adding password')
_, status = os.waitpid(pid, 0)
assert status == 0, (status, out)
assert b'cret' not in out, out
print(out.count(b'assword: '))
`
  const printed = await run((python as { path: string }).path, [
    '-c',
    script,
    process.execPath,
    recado,
    'passwd',
    '-c',
    path,
    'ada',
  ])
  assert.deepEqual(printed, ['2'])
  const broker = await brokerWith(context, 'recado', path)
  assert.equal(await answer(broker, { username: 'ada', password: 'secret' }), 0)
})
