import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { Puback, Publish } from '@recado/protocol'
import { accountOf, isRoot } from './privileges.ts'
import { freePort, Program, temporaryFolder } from './testing/program.ts'

const skip = !isRoot() ? 'only root can give root up' : process.platform !== 'linux' ? 'looks into /proc' : false

test('user: the data folder is his, secrets of root are read, and no thread is root afterwards', {
  skip,
}, async (context) => {
  const folder = temporaryFolder(context)
  // The broker's files, in folders of root's that he may pass but not write.
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'var'), { mode: 0o755 })
  const acl = join(folder, 'acl')
  writeFileSync(acl, 'topic #\n', { mode: 0o600 })
  const [data, pidFile, log] = ['var/data', 'pid', 'log'].map((name) => join(folder, name)) as [string, string, string]
  const program = await Program.start(context, await freePort(), [
    'user nobody',
    `persistence_location ${data}`,
    `acl_file ${acl}`,
    `pid_file ${pidFile}`,
    'log_dest stderr',
    `log_dest file ${log}`,
  ])
  const { uid, gid } = accountOf('nobody')
  const tasks = `/proc/${program.child.pid}/task`
  for (const task of readdirSync(tasks)) {
    const status = readFileSync(`${tasks}/${task}/status`, 'utf8')
    assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t`, 'm'))
    assert.match(status, new RegExp(`^Gid:\\t${gid}\\t${gid}\\t${gid}\\t`, 'm'))
    assert.doesNotMatch(status, /^Groups:\t(?:.* )?0(?: |$)/m)
  }
  for (const path of [data, ...readdirSync(data).map((name) => join(data, name)), pidFile, log]) {
    assert.equal(statSync(path).uid, uid, path)
  }
  assert.equal(statSync(data).mode & 0o777, 0o700)
  const client = await SocketClient.connect(program, {
    cleanStart: false,
    clientId: 'a',
    properties: { sessionExpiryIntervalSeconds: 60 },
  })
  client.send(Publish.of({ topic: 'a', payload: new Uint8Array([1]), qos: 1, packetId: 1, retain: true }))
  assert.ok((await client.next(Puback)).reasonCode < 0x80)
  client.destroy()
  await program.stop('SIGTERM')
  assert.ok(!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '')
})

test('user: an unknown one is a line on stderr, and nothing is started', { skip }, async (context) => {
  const folder = temporaryFolder(context)
  const program = Program.spawn(context, await freePort(), ['user nosuchuser', `persistence_location ${folder}/data`])
  assert.equal(await program.ended(), 1)
  assert.equal(program.err, 'recado: there is no user "nosuchuser" on this machine (user)\n')
  assert.ok(!existsSync(`${folder}/data`))
})

test('accountOf knows users by name', { skip: process.platform === 'win32' }, () => {
  assert.deepEqual(accountOf('root'), { name: 'root', uid: 0, gid: 0 })
  assert.throws(() => accountOf('no such user'), { code: 'ERR_RECADO_USER' })
})
