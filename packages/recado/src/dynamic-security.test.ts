/**
 * Dynamic security in the running program: from the configuration to a client that is disconnected, SIGHUP,
 * --test-config.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { Disconnect, type Packet, Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { configFile, freePort, Program, run, temporaryFolder } from './testing/program.ts'

const lines = (path: string): string[] => [
  'plugin /usr/lib/mosquitto_dynamic_security.so',
  `plugin_opt_config_file ${path}`,
]

/** A file with an administrator whose password is in `secret`. */
async function startWith(context: TestContext): Promise<{ program: Program; path: string; config: string[] }> {
  const folder = temporaryFolder(context)
  const path = join(folder, 'dynsec.json')
  writeFileSync(join(folder, 'secret'), 'administrator')
  const config = [...lines(path), `plugin_opt_password_init_file ${join(folder, 'secret')}`, 'log_type all']
  return { program: await Program.start(context, await freePort(), config), path, config }
}

const log = async (program: Program, expected: RegExp): Promise<void> => {
  while (!expected.test(program.err)) await new Promise((resolve) => program.child.stderr!.once('data', resolve))
}

const connect = (program: Program, username: string, password: string, clientId = username) =>
  SocketClient.connect(program, { clientId, username, password: new TextEncoder().encode(password) })

const subscription = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const

class Admin {
  readonly #client: SocketClient
  constructor(client: SocketClient) {
    this.#client = client
  }
  static async connect(program: Program): Promise<Admin> {
    const client = await connect(program, 'admin', 'administrator')
    client.send(new Subscribe(1, [{ topicFilter: '$CONTROL/dynamic-security/#', ...subscription }]))
    await client.next(Suback)
    return new Admin(client)
  }
  async ask(...commands: Record<string, unknown>[]): Promise<Record<string, unknown>[]> {
    const payload = new TextEncoder().encode(JSON.stringify({ commands }))
    this.#client.send(Publish.of({ topic: '$CONTROL/dynamic-security/v1', payload, qos: 1, packetId: 1 }))
    const packets = [await this.#client.next<Packet>(Object as never), await this.#client.next<Packet>(Object as never)]
    const publish = packets.find((packet) => packet instanceof Publish)!
    assert.ok(packets.some((packet) => packet instanceof Puback && packet.reasonCode === 0))
    return (JSON.parse(new TextDecoder().decode(publish.payload)) as { responses: Record<string, unknown>[] }).responses
  }
}

const publishAs = async (client: SocketClient, topic: string): Promise<number> => {
  client.send(Publish.of({ topic, payload: new Uint8Array([1]), qos: 1, packetId: 1 }))
  return (await client.next(Puback)).reasonCode
}

test('an administrator makes users and roles, and who loses a right is disconnected', async (context) => {
  const { program, path } = await startWith(context)
  const admin = await Admin.connect(program)
  assert.deepEqual(
    await admin.ask(
      { command: 'createRole', rolename: 'r', acls: [{ acltype: 'publishClientSend', topic: 'a/%u', allow: true }] },
      { command: 'createClient', username: 'ada', password: 'lovelace', roles: [{ rolename: 'r' }] },
    ),
    [{ command: 'createRole' }, { command: 'createClient' }],
  )
  const ada = await connect(program, 'ada', 'lovelace')
  assert.equal(await publishAs(ada, 'a/ada'), 0x10)
  assert.equal(await publishAs(ada, 'a/bob'), 0x87)
  assert.equal(await publishAs(ada, '$CONTROL/dynamic-security/v1'), 0x87)
  ada.send(new Subscribe(2, [{ topicFilter: '$CONTROL/#', ...subscription }]))
  assert.deepEqual((await ada.next(Suback)).reasonCodes, [0x87])
  await admin.ask({ command: 'removeClientRole', username: 'ada', rolename: 'r' })
  assert.equal((await ada.next(Disconnect)).reasonCode, 0x98)
  const again = await connect(program, 'ada', 'lovelace')
  assert.equal(await publishAs(again, 'a/ada'), 0x87)
  await log(program, /dynsec: admin\/admin \| removeClientRole \| username=ada \| rolename=r/)
  assert.match(readFileSync(path, 'utf8'), /"ada"/)
  assert.doesNotMatch(program.err, /lovelace/)
})

test('SIGHUP reads the file again: who is not in it any more is disconnected', async (context) => {
  const { program, path } = await startWith(context)
  const admin = await Admin.connect(program)
  await admin.ask({ command: 'createClient', username: 'ada', password: 'lovelace' })
  const ada = await connect(program, 'ada', 'lovelace')
  const tree = JSON.parse(readFileSync(path, 'utf8')) as { clients: { username: string }[] }
  tree.clients = tree.clients.filter(({ username }) => username !== 'ada')
  writeFileSync(path, JSON.stringify(tree))
  program.child.kill('SIGHUP')
  assert.equal((await ada.next(Disconnect)).reasonCode, 0x98)
  await log(program, /dynamic security .* read again/)
  assert.deepEqual(await admin.ask({ command: 'getClient', username: 'ada' }), [
    { command: 'getClient', error: 'Client not found' },
  ])
})

test('a subscription that is not allowed any more ends when its session comes back', async (context) => {
  const { program } = await startWith(context)
  const admin = await Admin.connect(program)
  const acls = [
    { acltype: 'subscribePattern', topic: 'a/#', allow: true },
    { acltype: 'publishClientSend', topic: 'a/#', allow: true },
    { acltype: 'publishClientReceive', topic: '#', allow: true },
  ]
  await admin.ask(
    { command: 'createRole', rolename: 'r', acls },
    { command: 'createClient', username: 'ada', password: 'x', roles: [{ rolename: 'r' }] },
    { command: 'createClient', username: 'bob', password: 'x', roles: [{ rolename: 'r' }] },
  )
  const durable = { cleanStart: false, properties: { sessionExpiryIntervalSeconds: 60 } }
  const login = { clientId: 'ada', username: 'ada', password: new TextEncoder().encode('x') }
  const ada = await SocketClient.connect(program, { ...login, ...durable })
  ada.send(new Subscribe(1, [{ topicFilter: 'a/#', ...subscription, qos: 1 }]))
  assert.deepEqual((await ada.next(Suback)).reasonCodes, [1])
  await admin.ask({ command: 'removeClientRole', username: 'ada', rolename: 'r' })
  await ada.next(Disconnect)
  const bob = await connect(program, 'bob', 'x')
  assert.equal(await publishAs(bob, 'a/1'), 0)
  const again = await SocketClient.connect(program, { ...login, ...durable })
  assert.equal(again.connack.sessionPresent, true)
  await log(program, /a\/#.*withdrawn|withdrawn.*a\/#|subscription.*a\/#/i)
  assert.equal(await publishAs(bob, 'a/2'), 0x10)
})

test('--test-config says what is taken, and makes no file', async (context) => {
  const path = join(temporaryFolder(context), 'dynsec.json')
  const file = configFile(context, `${lines(path).join('\n')}\n`)
  const { code, out, err } = await run('-c', file, '--test-config')
  assert.equal(code, 0, err)
  assert.match(out, /mosquitto_dynamic_security\.so is taken for dynamic security of our own/)
  assert.match(err, /dynsec\.json is not there: a start makes it/)
  assert.equal(existsSync(path), false)
  writeFileSync(path, 'damaged')
  const damaged = await run('-c', file, '--test-config')
  assert.notEqual(damaged.code, 0)
  assert.match(damaged.err, /dynsec\.json is not JSON/)
})
