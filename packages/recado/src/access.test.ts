/* Password and ACL files in the running program: how it starts with them, and what SIGHUP does. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { passwordHash } from '@recado/broker'
import { SocketClient } from '@recado/broker/testing'
import { type Connack, Disconnect, Pingreq, Pingresp, Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { configFile, freePort, Program, run, temporaryFolder } from './testing/program.ts'

/** A file that can be written again. */
function writable(context: TestContext, name: string, text: string): { path: string; write(text: string): void } {
  const path = join(temporaryFolder(context), name)
  const write = (next: string): void => writeFileSync(path, next)
  write(text)
  return { path, write }
}

/** SIGHUP, until the log says what came of it. */
async function hangUp(program: Program, expected: RegExp): Promise<void> {
  const { length } = program.err
  program.child.kill('SIGHUP')
  while (!expected.test(program.err.slice(length))) {
    await new Promise((resolve) => program.child.stderr!.once('data', resolve))
  }
}

const publish = (topic: string, packetId: number): Publish =>
  Publish.of({ topic, payload: new Uint8Array([packetId]), qos: 1, packetId })
const subscribe = (topicFilter: string): Subscribe =>
  new Subscribe(1, [{ topicFilter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }])

test('an ACL file holds from the start; after SIGHUP subscriptions that are not allowed any more stop delivering', async (context) => {
  const acl = writable(context, 'acl', 'topic a/#\ntopic write b\n')
  const program = await Program.start(context, await freePort(), [`acl_file ${acl.path}`])
  const client = await SocketClient.connect(program)
  client.send(subscribe('#'), publish('a/1', 1), publish('b', 2), publish('c', 3))
  assert.deepEqual((await client.next(Suback)).reasonCodes, [0])
  assert.equal((await client.next(Publish)).topic, 'a/1')
  const codes = [await client.next(Puback), await client.next(Puback), await client.next(Puback)]
  assert.deepEqual(
    codes.map(({ reasonCode }) => reasonCode),
    [0, 0x10, 0x87],
  )
  acl.write('topic write a/#\ntopic b\n')
  await hangUp(program, /SIGHUP: ACL file \S+ read again\./)
  client.send(publish('a/1', 1), publish('b', 2))
  assert.equal((await client.next(Puback)).reasonCode, 0x10)
  assert.equal((await client.next(Publish)).topic, 'b')
  acl.write('topic b\nnonsense\n')
  await hangUp(program, /stays as it was: \S+acl:2: "nonsense" is unknown/)
  await client.next(Puback)
  client.send(publish('a/1', 3))
  assert.equal((await client.next(Puback)).reasonCode, 0x10)
  client.destroy()
  await program.stop('SIGTERM')
})

test('a broker does not start with an ACL file that it cannot understand', async (context) => {
  const acl = writable(context, 'acl', '# fine\ntopic a/#/b\n')
  const { code, err } = await run(
    '-c',
    configFile(context, `listener ${await freePort()} 127.0.0.1\nacl_file ${acl.path}\n`),
  )
  assert.equal(code, 13)
  assert.equal(err, `recado: ${acl.path}:2: "a/#/b" is not a topic or Topic Filter\n`)
})

test('after SIGHUP clients whose user is gone or has another password are disconnected with 0x98, others stay', async (context) => {
  const line = async (name: string, password: string): Promise<string> =>
    `${name}:${await passwordHash('sha512-pbkdf2', new TextEncoder().encode(password), 5)}\n`
  const [ada, bob, eve] = [await line('ada', 'x'), await line('bob', 'x'), await line('eve', 'x')]
  const passwords = writable(context, 'passwords', ada + bob + eve)
  const program = await Program.start(context, await freePort(), [`password_file ${passwords.path}`])
  const connect = (username: string | undefined, password: string): Promise<SocketClient & { connack: Connack }> =>
    SocketClient.connect(program, {
      clientId: username ?? 'nobody',
      ...(username === undefined ? {} : { username, password: new TextEncoder().encode(password) }),
    })
  const clients = await Promise.all(['ada', 'bob', 'eve', undefined].map((name) => connect(name, 'x')))
  assert.deepEqual(
    clients.map(({ connack }) => connack.reasonCode),
    [0, 0, 0, 0],
  )
  passwords.write(`${ada}${await line('eve', 'y')}damaged\n`)
  await hangUp(program, /SIGHUP: password file \S+ read again\./)
  assert.match(program.err, /Warning: \S+passwords:3: the line does not have the form NAME:HASH/)
  for (const gone of [clients[1]!, clients[2]!]) {
    assert.equal((await gone.next(Disconnect)).reasonCode, 0x98)
    await gone.closed()
  }
  for (const client of [clients[0]!, clients[3]!]) {
    client.send(new Pingreq())
    await client.next(Pingresp)
    client.destroy()
  }
  assert.equal((await connect('eve', 'x')).connack.reasonCode, 0x87)
  const { connack, ...again } = await connect('eve', 'y')
  assert.equal(connack.reasonCode, 0)
  again.socket.destroy()
  assert.doesNotMatch(program.err, /\$7\$/, 'no hash is logged')
  await program.stop('SIGTERM')
})
