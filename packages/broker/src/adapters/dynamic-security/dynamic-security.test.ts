/**
 * Logins and commands of dynamic security as a whole, on a real file, with a broker that notes what it is asked for.
 */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Connect } from '@recado/protocol'
import { type DynamicSecurity, type DynamicSecurityOptions, dynamicSecurity } from '../../access.ts'
import type { ClientInfo, ConnectRequest } from '../../ports.ts'
import { COMMANDS_MAX, commandNames } from './commands.ts'
import type { ControlledBroker } from './dynamic-security.ts'

function folderFor(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'recado-dynsec-'))
  context.after(() => {
    chmodSync(folder, 0o755)
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

const client = (username?: string, clientId = 'c'): ClientInfo => ({
  clientId,
  username,
  protocolVersion: 5,
  remoteAddress: '[::1]:4711',
  listener: '*:1883',
  peer: null,
  isBridge: false,
  grants: undefined,
  memo: null,
})

function login(username: string, password: string, clientId = 'c'): ConnectRequest {
  const connect = new Connect({
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId,
    username,
    password: new TextEncoder().encode(password),
  })
  return { connect, clientId, remoteAddress: '10.0.0.1:1', listener: '*:1883', peer: null, identity: null }
}

/** Notes what is published, and who is disconnected of those that are connected. */
class FakeBroker implements ControlledBroker {
  readonly connected: ClientInfo[] = []
  readonly kicked: (string | undefined)[] = []
  readonly published: { topic: string; payload: string }[] = []
  rechecks = 0
  send: (client: ClientInfo, payload: Uint8Array) => Promise<unknown> = () =>
    Promise.reject(new Error('nobody listens'))
  control(_topic: string, handler: FakeBroker['send']): { close(): void } {
    this.send = handler
    return { close: () => {} }
  }
  publish(options: { topic: string; payload: string }): Promise<unknown> {
    this.published.push(options)
    return Promise.resolve()
  }
  clients(): readonly ClientInfo[] {
    return this.connected
  }
  disconnect(isMeant: (client: ClientInfo) => boolean): number {
    const meant = this.connected.filter(isMeant)
    this.kicked.push(...meant.map(({ username }) => username))
    return meant.length
  }
  recheck(): void {
    this.rechecks++
  }
  /** Carries out commands; returns the answers. */
  async ask(...commands: Record<string, unknown>[]): Promise<Record<string, unknown>[]> {
    await this.send(client('admin'), new TextEncoder().encode(JSON.stringify({ commands })))
    const { topic, payload } = this.published.at(-1)!
    assert.equal(topic, '$CONTROL/dynamic-security/v1/response')
    return (JSON.parse(payload) as { responses: Record<string, unknown>[] }).responses
  }
}

async function opened(
  context: TestContext,
  options: Partial<DynamicSecurityOptions> = {},
): Promise<{ security: DynamicSecurity; broker: FakeBroker; path: string; log: string[] }> {
  const path = options.path ?? join(folderFor(context), 'dynsec.json')
  const log: string[] = []
  const security = await dynamicSecurity({
    path,
    initPassword: 'a long password',
    onLog: (level, text) => log.push(`${level} ${text}`),
    ...options,
  })
  context.after(() => security.close())
  const broker = new FakeBroker()
  security.attach(broker)
  return { security, broker, path, log }
}

/** Whether somebody gets in. */
async function letsIn(security: DynamicSecurity, request: ConnectRequest): Promise<boolean> {
  const decision = await security.authenticate(request)
  return decision !== null && (decision.reasonCode ?? 0) === 0
}

test('a file that is not there is made, with an administrator who may give commands', async (context) => {
  const { security, path, log } = await opened(context)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.match(log[0]!, /did not exist and has been made: the password of admin is that of MOSQUITTO_DYNSEC_PASSWORD/)
  assert.equal(await letsIn(security, login('admin', 'a long password')), true)
  assert.equal(await letsIn(security, login('admin', 'another')), false)
  const { publish, subscribe, mayReceive } = security.rights()
  const admin = client('admin')
  assert.equal(publish!(admin, '$CONTROL/dynamic-security/v1', { qos: 0, retain: false }), true)
  assert.equal(publish!(admin, 'a', { qos: 0, retain: false }), false)
  assert.equal(mayReceive!(admin, '$CONTROL/dynamic-security/v1/response'), true)
  const subscription = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  assert.equal(subscribe!(admin, { topicFilter: '$SYS/#', ...subscription }), true)
})

test('without a password for it passwords are made up, and written where only the owner reads', async (context) => {
  const path = join(folderFor(context), 'dynsec.json')
  const security = await dynamicSecurity({ path })
  context.after(() => security.close())
  assert.equal(statSync(`${path}.pw`).mode & 0o777, 0o600)
  const [admin, demo] = readFileSync(`${path}.pw`, 'utf8').trim().split('\n')
  assert.equal(await letsIn(security, login('admin', admin!.replace(/^admin /, ''))), true)
  assert.equal(await letsIn(security, login('democlient', demo!.replace(/^democlient /, ''))), true)
  assert.equal(security.rights().publish!(client('democlient'), 'a/b', { qos: 0, retain: false }), true)
})

test('the first password may come from a file; what cannot be used ends the start, and makes nothing', async (context) => {
  const folder = folderFor(context)
  const passwordInitFile = join(folder, 'secret')
  writeFileSync(passwordInitFile, 'from the file  \nnot this')
  const { security } = await opened(context, { path: join(folder, 'a.json'), passwordInitFile })
  assert.equal(await letsIn(security, login('admin', 'from the file')), true)
  const path = join(folder, 'b.json')
  const code = 'ERR_MQTT_DYNAMIC_SECURITY'
  await assert.rejects(dynamicSecurity({ path, passwordInitFile: join(folder, 'none') }), { code })
  await assert.rejects(dynamicSecurity({ path, initPassword: 'short' }), { code, message: /at least 12 characters/ })
  writeFileSync(passwordInitFile, '\n')
  await assert.rejects(dynamicSecurity({ path, passwordInitFile }), { code, message: /has no password/ })
  assert.equal(existsSync(path), false)
})

test('a damaged file ends the start and is left alone; an empty one lets nobody in', async (context) => {
  const folder = folderFor(context)
  const path = join(folder, 'dynsec.json')
  writeFileSync(path, '{"clients": [')
  await assert.rejects(dynamicSecurity({ path }), { code: 'ERR_MQTT_DYNAMIC_SECURITY', message: /is not JSON/ })
  assert.equal(readFileSync(path, 'utf8'), '{"clients": [')
  writeFileSync(path, '')
  const { security } = await opened(context, { path })
  assert.match(security.warnings.join('\n'), /is empty, so nobody can log in/)
  assert.equal(await letsIn(security, login('admin', 'a long password')), false)
})

test('a client that is disabled, or has another Client Identifier, is refused as one with a wrong password', async (context) => {
  const { security, broker } = await opened(context)
  await broker.ask(
    { command: 'createClient', username: 'ada', password: 'lovelace', clientid: 'engine' },
    { command: 'createClient', username: 'bob', password: 'builder' },
    { command: 'createClient', username: 'eve' },
  )
  assert.equal(await letsIn(security, login('ada', 'lovelace', 'engine')), true)
  const refusals = [
    await security.authenticate(login('ada', 'lovelace', 'other')),
    await security.authenticate(login('ada', 'wrong', 'engine')),
    await security.authenticate(login('nobody', 'x')),
    await security.authenticate(login('eve', 'x')),
  ]
  for (const refusal of refusals) assert.deepEqual(refusal, refusals[0])
  assert.equal(await letsIn(security, login('bob', 'builder')), true)
  await broker.ask({ command: 'disableClient', username: 'bob' })
  assert.equal(await letsIn(security, login('bob', 'builder')), false)
  await broker.ask({ command: 'enableClient', username: 'bob' })
  assert.equal(await letsIn(security, login('bob', 'builder')), true)
  assert.equal(await security.authenticate({ ...login('', 'x') }), null)
})

test('who has logged in stays while his line is what it was', async (context) => {
  const { security, broker } = await opened(context)
  await broker.ask({ command: 'createClient', username: 'ada', password: 'lovelace' })
  const { credential } = (await security.authenticate(login('ada', 'lovelace')))!
  assert.equal(security.isStillValid(client('ada'), credential), true)
  assert.equal(security.isKnown(client('ada')), true)
  await broker.ask({ command: 'setClientId', username: 'ada', clientid: 'other' })
  assert.equal(security.isStillValid(client('ada'), credential), false)
  await broker.ask(
    { command: 'setClientId', username: 'ada' },
    { command: 'setClientPassword', username: 'ada', password: 'x' },
  )
  assert.equal(security.isStillValid(client('ada'), credential), false)
  await broker.ask({ command: 'deleteClient', username: 'ada' })
  assert.equal(security.isKnown(client('ada')), false)
})

test('whoever loses or gets a right is disconnected, and nobody else', async (context) => {
  const { broker } = await opened(context)
  await broker.ask(
    { command: 'createRole', rolename: 'r' },
    { command: 'createClient', username: 'direct', roles: [{ rolename: 'r' }] },
    { command: 'createClient', username: 'grouped' },
    { command: 'createClient', username: 'other' },
    { command: 'createGroup', groupname: 'g', roles: [{ rolename: 'r' }] },
    { command: 'addGroupClient', groupname: 'g', username: 'grouped' },
  )
  broker.connected.push(client('direct'), client('grouped'), client('other'), client(undefined))
  const kickedBy = async (...commands: Record<string, unknown>[]): Promise<(string | undefined)[]> => {
    broker.kicked.length = 0
    await broker.ask(...commands)
    return broker.kicked
  }
  const acl = { acltype: 'publishClientSend', topic: 'a', allow: true }
  assert.deepEqual(await kickedBy({ command: 'addRoleACL', rolename: 'r', ...acl }), ['direct', 'grouped'])
  assert.deepEqual(await kickedBy({ command: 'modifyRole', rolename: 'r', textname: 'R' }), [])
  assert.deepEqual(await kickedBy({ command: 'listClients', verbose: true }), [])
  assert.deepEqual(await kickedBy({ command: 'setAnonymousGroup', groupname: 'g' }), [undefined])
  assert.deepEqual(await kickedBy({ command: 'removeGroupRole', groupname: 'g', rolename: 'r' }), [
    'grouped',
    undefined,
  ])
  assert.deepEqual(await kickedBy({ command: 'modifyClient', username: 'other', textname: 'O' }), ['other'])
  assert.deepEqual(await kickedBy({ command: 'modifyGroup', groupname: 'g', clients: [{ username: 'other' }] }), [
    'grouped',
    'other',
    undefined,
  ])
  assert.deepEqual(await kickedBy({ command: 'deleteClient', username: 'nobody' }), [])
  assert.deepEqual(await kickedBy({ command: 'deleteRole', rolename: 'r' }), ['direct'])
  assert.deepEqual(await kickedBy({ command: 'deleteGroup', groupname: 'g' }), [])
})

test('a change is on the disk when it is answered, and the old file until then', async (context) => {
  const { broker, path } = await opened(context)
  await broker.ask({ command: 'createClient', username: 'ada', password: 'lovelace' })
  const text = readFileSync(path, 'utf8')
  assert.match(text, /"username":\t"ada"/)
  assert.doesNotMatch(text, /lovelace/)
  assert.equal(existsSync(`${path}.new`), false)
  const { security } = await opened(context, { path })
  assert.equal(await letsIn(security, login('ada', 'lovelace')), true)
})

test('a change that cannot be written is none: its command is told so, and the others are answered', async (context) => {
  const { security, broker, path, log } = await opened(context)
  await broker.ask({ command: 'createClient', username: 'bob', password: 'builder' })
  const before = readFileSync(path, 'utf8')
  // A folder stands in the way of the file that is written first, and cannot be removed.
  mkdirSync(`${path}.new`)
  const answers = await broker.ask(
    { command: 'createClient', username: 'ada', password: 'lovelace', correlationData: '7' },
    { command: 'getClient', username: 'bob' },
    { command: 'deleteClient', username: 'bob' },
  )
  assert.deepEqual(answers[0], { command: 'createClient', error: 'Internal error', correlationData: '7' })
  assert.equal(answers[1]!['error'], undefined)
  assert.deepEqual(answers[2], { command: 'deleteClient', error: 'Internal error' })
  assert.match(log.at(-1)!, /^error dynsec: .* cannot be written, so the change was not made/)
  assert.equal(security.has('ada'), false)
  assert.equal(await letsIn(security, login('bob', 'builder')), true)
  assert.equal(readFileSync(path, 'utf8'), before)
  rmSync(`${path}.new`, { recursive: true })
  assert.equal((await broker.ask({ command: 'createClient', username: 'ada' }))[0]!['error'], undefined)
})

test('requests that wait together are carried out in their order, each with its own answer', async (context) => {
  const { broker } = await opened(context)
  const names = Array.from({ length: 20 }, (_, i) => `u${i}`)
  await Promise.all(
    names.map((username) =>
      broker.send(
        client('admin'),
        new TextEncoder().encode(
          JSON.stringify({ commands: [{ command: 'createClient', username, password: username }] }),
        ),
      ),
    ),
  )
  assert.equal(broker.published.length, names.length)
  const [details] = await broker.ask({ command: 'getDetails' })
  assert.deepEqual(details!['data'], { clientCount: 21, groupCount: 1, roleCount: 7, changeIndex: 20 })
})

test('a name with a code point that no client may send is refused', async (context) => {
  const { broker } = await opened(context)
  const odd = '\uffffLO'
  const answers = await broker.ask(
    { command: 'createClient', username: odd },
    { command: 'createClient', username: 'ada', clientid: '\u0001' },
    { command: 'createRole', rolename: odd },
    { command: 'createGroup', groupname: odd },
    { command: 'createRole', rolename: 'r' },
    { command: 'addRoleACL', rolename: 'r', acltype: 'publishClientSend', topic: odd, allow: true },
  )
  assert.deepEqual(
    answers.flatMap(({ error }) => error ?? []),
    ['Username', 'Client ID', 'Role name', 'Group name', 'Topic'].map((what) => `${what} not valid UTF-8`),
  )
})

test('clients are told with the addresses that they are connected from', async (context) => {
  const { broker } = await opened(context)
  broker.connected.push(client('admin'), { ...client('admin'), remoteAddress: '10.0.0.1:5' })
  const [answer] = await broker.ask({ command: 'getClient', username: 'admin' })
  const { client: told } = answer!['data'] as { client: Record<string, unknown> }
  assert.deepEqual(told['connections'], [{ address: '::1' }, { address: '10.0.0.1' }])
})

test('the addresses may be left out, as in Mosquitto 2.0', async (context) => {
  const { broker } = await opened(context, { showsConnections: false })
  const [answer] = await broker.ask({ command: 'getClient', username: 'admin' })
  const { client: told } = answer!['data'] as { client: Record<string, unknown> }
  assert.equal('connections' in told, false)
})

test('a file that was changed by hand is read again, or stays as it was', async (context) => {
  const { security, broker, path } = await opened(context)
  const tree = JSON.parse(readFileSync(path, 'utf8')) as { clients: unknown[] }
  tree.clients.push({ username: 'ada', disabled: true })
  writeFileSync(path, JSON.stringify(tree))
  await security.reload()
  assert.equal(security.has('ada'), true)
  writeFileSync(path, 'x')
  await assert.rejects(security.reload(), { code: 'ERR_MQTT_DYNAMIC_SECURITY' })
  assert.equal(security.has('ada'), true)
  await broker.ask({ command: 'deleteClient', username: 'ada' })
  assert.equal(security.has('ada'), false)
})

test('what comes is answered, whatever it is, and nothing of it is logged but names', async (context) => {
  const { broker, log } = await opened(context)
  const odd = [null, 5, 'x', [], {}, { groupname: 5 }, { username: null, rolename: [] }, { acls: [null, 5, {}] }]
  for (const command of commandNames) {
    for (const more of odd) {
      const object =
        typeof more === 'object' && more !== null && !Array.isArray(more) ? more : { roles: more, clients: more }
      const [answer] = await broker.ask({ command, ...object, correlationData: 'c' })
      assert.equal(String(answer!['command']).toLowerCase(), command.toLowerCase())
      assert.equal(answer!['correlationData'], 'c')
    }
  }
  await broker.ask({ command: 'createClient', username: 'ada', password: 'hunter2' })
  assert.doesNotMatch(log.join('\n'), /hunter2/)
  assert.match(log.at(-1)!, /^information dynsec: c\/admin \| createClient \| username=ada \| password=\*+$/)
})

test('a message with more than a thousand commands is refused as a whole, and logged once', async (context) => {
  const { broker, security, log } = await opened(context)
  log.length = 0
  const create = { command: 'createClient', username: 'ada', password: 'x' }
  const answers = await broker.ask(create, ...Array.from({ length: COMMANDS_MAX }, () => ({ command: 'getDetails' })))
  const error = 'Too many commands: 1001, of at most 1000 in a message'
  assert.deepEqual(answers, [{ command: 'Unknown command', error }])
  assert.equal(security.has('ada'), false)
  assert.deepEqual(log, [`information dynsec: c/admin | refused: ${error}`])
  assert.equal(
    (await broker.ask(...Array.from({ length: COMMANDS_MAX }, () => ({ command: 'getDetails' })))).length,
    COMMANDS_MAX,
  )
})

test('an answer that becomes too large ends with an error, and nothing after it is carried out', async (context) => {
  const { broker, security, log } = await opened(context)
  const correlationData = 'x'.repeat(1_000_000)
  const ask = { command: 'getDetails', correlationData }
  const create = { command: 'createClient', username: 'ada', password: 'x' }
  const answers = await broker.ask(ask, ask, ask, ask, ask, create)
  assert.deepEqual(
    answers.map(({ error }) => error),
    [
      ...[undefined, undefined, undefined, undefined],
      'Answer larger than 4194304 bytes: ask for less, by count and offset; 1 commands after this one were not carried out',
    ],
  )
  assert.equal(security.has('ada'), false)
  assert.equal(log.filter((line) => line.includes('refused: Answer larger')).length, 1)
  const changed = await broker.ask(ask, ask, ask, ask, { ...create, correlationData }, { ...create, username: 'bob' })
  assert.equal(changed[4]!['error'], undefined)
  assert.match(String(changed[5]!['error']), /^Answer larger/)
  assert.deepEqual([security.has('ada'), security.has('bob')], [true, false])
})

test('requests that wait are bounded together: more are refused with 0x97, and taken again when there is room', async (context) => {
  const { broker, log } = await opened(context)
  const large = new TextEncoder().encode(JSON.stringify({ commands: [], filler: 'x'.repeat(9 * 1024 * 1024) }))
  const first = broker.send(client('admin', 'a'), large)
  assert.equal(await broker.send(client('admin', 'b'), large), 0x97)
  assert.equal(await first, 0)
  assert.match(log.join('\n'), /error dynsec: b \| too many requests wait, this one is refused/)
  assert.equal(await broker.send(client('admin', 'b'), large), 0)
})

test('a name with U+0000, which Mosquitto would read as a shorter one, is no name', async (context) => {
  const { broker, path } = await opened(context)
  const [role, user, member] = await broker.ask(
    { command: 'createRole', rolename: 'dynsec-admin\0x' },
    { command: 'createClient', username: 'admin\0x', password: 'secret' },
    { command: 'addClientRole', username: 'admin', rolename: 'client\0x' },
  )
  for (const answer of [role, user, member])
    assert.match(String(answer?.['error']), /^Invalid\/missing (role|user)name$/)
  assert.doesNotMatch(readFileSync(path, 'utf8'), /u0000/)
})
