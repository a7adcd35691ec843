/**
 * Dynamic security beside Mosquitto's plugin: the same file, the same commands by the real mosquitto_ctrl and as JSON,
 * the same answers; random roles, and the same rights; and a file that one broker wrote is read by the other.
 *
 * Debian has Mosquitto 2.0. What 2.1 answers otherwise is taken out before the comparison (`since21`), or not asked.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { Disconnect, type Packet, Puback, Publish, Suback, Subscribe, Unsuback, Unsubscribe } from '@recado/protocol'
import { type BrokerKind, type RunningBroker, startBroker } from './broker.ts'
import { Child } from './child.ts'
import { peerPath, skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const skip = skipWithout('mosquitto', 'mosquitto_ctrl', 'mosquitto_dynamic_security')
const options = { skip, timeout: testTimeoutMs }
const kinds: readonly BrokerKind[] = ['recado', 'mosquitto']

/** A file of dynamic security with an administrator, made by mosquitto_ctrl; `also`: more of it. */
async function securityFile(context: TestContext, also: Record<string, unknown[]> = {}): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-dynsec-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'dynsec.json')
  const { code, err } = await runCtrl(['dynsec', 'init', path, 'admin', 'secret'])
  assert.equal(code, 0, err)
  const made = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown[]>
  for (const [name, list] of Object.entries(also)) made[name] = [...(made[name] ?? []), ...list]
  writeFileSync(path, JSON.stringify(made))
  // Started by root, mosquitto writes it as another user.
  chmodSync(folder, 0o777)
  chmodSync(path, 0o666)
  return path
}

async function runCtrl(args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []]
  const child = new Child(peerPath('mosquitto_ctrl'), args, {
    onLine: (line) => out.push(line),
    onErrorLine: (line) => err.push(line),
    input: '',
  })
  const { code } = await child.exited
  return { code, out: out.join('\n'), err: err.join('\n') }
}

function startWith(context: TestContext, kind: BrokerKind, path: string): Promise<RunningBroker> {
  const config = [`plugin ${peerPath('mosquitto_dynamic_security')}`, `plugin_opt_config_file ${path}`]
  return startBroker(kind, { config, inProcess: true }).then((broker) => {
    context.after(() => broker.stop())
    return broker
  })
}

const ctrl = ({ port }: RunningBroker, args: readonly string[], user = ['admin', 'secret']) =>
  runCtrl(['-h', '127.0.0.1', '-p', `${port}`, '-u', user[0]!, '-P', user[1]!, 'dynsec', ...args])

const commands = `
createRole r1 | createRole r1
addRoleACL r1 publishClientSend a/# allow 5 | addRoleACL r1 publishClientSend a/b deny 10 | addRoleACL r1 publishClientSend a/b allow 1
addRoleACL r1 subscribePattern a/# allow | addRoleACL r1 subscribeLiteral x allow 3 | addRoleACL r1 publishClientReceive q deny 3
addRoleACL r1 unsubscribePattern # deny 3 | addRoleACL r1 unsubscribeLiteral x deny 3
addRoleACL r1 nonsense a/b allow 1 | addRoleACL r1 publishClientSend a/#/b allow 1 | addRoleACL none publishClientSend a allow
getRole r1 | getRole none | listRoles | listRoles 1 | listRoles 1 1
createClient bob -p pw -i bobid | createClient bob -p pw | createClient eve -p pw2 | createClient nopw
addClientRole bob r1 4 | addClientRole bob r1 4 | addClientRole bob none | addClientRole nobody r1
getClient bob | getClient nobody | listClients | listClients 1 | listClients 1 1 | listClients 0
createGroup g1 | createGroup g0 | createGroup g1
addGroupRole g1 r1 7 | addGroupRole g1 r1 7 | addGroupRole none r1 | addGroupRole g1 none
addGroupClient g1 bob 3 | addGroupClient g1 bob 3 | addGroupClient g0 bob | addGroupClient g0 eve | addGroupClient none eve | addGroupClient g0 nobody
getGroup g1 | getGroup none | listGroups | listGroups 1 1 | getClient bob
setAnonymousGroup g0 | setAnonymousGroup none | getAnonymousGroup | deleteGroup g1 | deleteGroup g1
removeGroupRole g0 r1 | removeGroupRole none r1 | removeGroupClient g0 bob | removeGroupClient g0 nobody
setDefaultACLAccess publishClientSend allow | getDefaultACLAccess
setClientId eve eveid | setClientId nobody x | setClientPassword eve newpw | setClientPassword nobody pw
disableClient eve | getClient eve | enableClient eve | getClient eve | disableClient nobody
removeRoleACL r1 publishClientSend a/b | removeRoleACL r1 publishClientSend a/b | removeRoleACL r1 nonsense a/b
removeClientRole bob r1 | removeClientRole bob none | deleteRole r1 | deleteRole r1 | listRoles
deleteClient bob | deleteClient bob | listClients`
  .split(/[\n|]/)
  .map((line) => line.trim())
  .filter((line) => line !== '')

test('mosquitto_ctrl prints the same for every command, byte for byte', options, async (context) => {
  const both = await Promise.all(
    kinds.map(async (kind) => {
      const broker = await startWith(context, kind, await securityFile(context))
      const answers: Record<string, unknown> = {}
      for (const [index, line] of commands.entries()) answers[`${index} ${line}`] = await ctrl(broker, line.split(' '))
      return answers
    }),
  )
  assert.deepEqual(both[0], both[1])
})

/** Removes output that only 2.1 has. */
const since21 = (text: string): string =>
  text.replace(/,"connections":\[[^\]]*\]/g, '').replace(/"allowwildcardsubs":true,/g, '')

const one = (command: string, more: Record<string, unknown> = {}): string =>
  JSON.stringify({ commands: [{ command, ...more }] })

const acl = (topic: string, priority?: unknown, allow?: unknown, acltype = 'publishClientSend') => ({
  acltype,
  topic,
  priority,
  allow,
})

const payloads: readonly string[] = [
  'no json',
  '',
  '[]',
  '{}',
  '{"commands":{}}',
  '{"commands":[]}',
  '{"commands":[1]}',
  '{"commands":[{}]}',
  one('nonsense', { correlationData: 'x' }),
  one('getDetailsOfNothing'),
  one('listClients', { correlationData: 5 }),
  JSON.stringify({ commands: [{ command: 'createRole', rolename: 'a' }, { command: 'listRoles' }] }),
  one('createRole'),
  one('createRole', { rolename: 5 }),
  one('createRole', { rolename: 'b', textname: 5 }),
  one('createRole', { rolename: 'b', textdescription: [] }),
  one('createRole', {
    rolename: 'b',
    textname: 'B "quoted" \\ / ü €',
    textdescription: 'tab\tline\n',
    acls: [
      acl('x', 1, true),
      acl('y', 3, false),
      acl('z', 3, true),
      acl('w'),
      acl('v', -3, true, 'SUBSCRIBEPATTERN'),
      { topic: 'none' },
      acl('q', 1, true, 'what'),
    ],
    correlationData: 'corr "1"',
  }),
  one('getRole', { rolename: 'b' }),
  one('GETROLE', { ROLENAME: 'b' }),
  one('modifyRole', { rolename: 'none' }),
  one('modifyRole', { rolename: 'b', textname: '', acls: [acl('only', 2, true)] }),
  one('getRole', { rolename: 'b', correlationData: 'z' }),
  one('listRoles', { verbose: true }),
  one('listRoles', { verbose: 'yes', count: 1, offset: 'x' }),
  one('listRoles', { count: 0 }),
  one('createClient'),
  one('createClient', { username: 'u', password: 5 }),
  one('createClient', { username: 'u', clientid: 5 }),
  one('createClient', { username: 'u', textname: {} }),
  one('createClient', { username: 'u', roles: {} }),
  one('createClient', { username: 'u', roles: [{}] }),
  one('createClient', { username: 'u', roles: [{ rolename: 'none' }] }),
  one('createClient', { username: 'u', groups: [{ groupname: 'none' }] }),
  one('createGroup', { groupname: 'g', textname: 'G', roles: [{ rolename: 'b', priority: 2 }, { rolename: 'a' }] }),
  one('createGroup', { groupname: 'h', roles: [{ rolename: 'none' }] }),
  one('createGroup', { groupname: 5 }),
  one('createClient', {
    username: 'u',
    password: 'p',
    clientid: 'c',
    textname: 'U',
    textdescription: 'the user',
    roles: [{ rolename: 'a' }, { rolename: 'b', priority: 5 }],
    groups: [{ groupname: 'g', priority: 3 }],
  }),
  one('createClient', { username: 'u' }),
  one('createClient', { username: 'ä', password: 'p' }),
  one('createClient', { username: 'Z', password: 'p' }),
  one('getClient', { username: 'u', correlationData: 'c' }),
  one('listClients', { verbose: true }),
  one('listClients', { offset: -1, count: 2 }),
  one('modifyClient', { username: 'none' }),
  one('modifyClient', { username: 'u', roles: [{ rolename: 'none' }] }),
  one('modifyClient', { username: 'u', roles: 5 }),
  one('modifyClient', { username: 'u', clientid: '', textname: 'other', roles: [{ rolename: 'a', priority: 9 }] }),
  one('getClient', { username: 'u' }),
  one('modifyClient', { username: 'u', groups: [] }),
  one('getClient', { username: 'u' }),
  one('getGroup', { groupname: 'g' }),
  one('modifyGroup', { groupname: 'none' }),
  one('modifyGroup', { groupname: 'g', roles: [{}] }),
  one('modifyGroup', { groupname: 'g', textname: 'g2', clients: [{ username: 'u', priority: 1 }, { username: 'Z' }] }),
  one('getGroup', { groupname: 'g', correlationData: '1' }),
  one('listGroups', { verbose: true }),
  one('setClientPassword', { username: 'u', password: '' }),
  one('setClientPassword', { username: 'u' }),
  one('setClientId', { username: 'u', clientid: 5 }),
  one('setClientId', { username: 'u' }),
  one('setDefaultACLAccess', { acls: 5 }),
  one('setDefaultACLAccess', {
    acls: [{ acltype: 'Subscribe', allow: true }, { acltype: 'subscribe' }, { acltype: 'what', allow: true }, {}],
  }),
  one('getDefaultACLAccess', { correlationData: 'd' }),
  one('addRoleACL', { rolename: 'b' }),
  one('addRoleACL', { rolename: 'b', acltype: 'publishClientSend' }),
  one('addRoleACL', { rolename: 'b', ...acl('t', 'high', 'yes') }),
  one('removeRoleACL', { rolename: 'b', acltype: 'publishClientSend', topic: 'not/there' }),
  one('getRole', { rolename: 'b' }),
  one('getAnonymousGroup', { correlationData: 'x' }),
  one('setAnonymousGroup', { groupname: 'g', correlationData: 'x' }),
  one('getAnonymousGroup'),
]

const subscription = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const

/** Sends a payload as the administrator; returns the answer. */
async function ask(client: SocketClient, payload: string, packetId: number): Promise<string> {
  const topic = '$CONTROL/dynamic-security/v1'
  client.send(Publish.of({ topic, payload: new TextEncoder().encode(payload), qos: 1, packetId }))
  let text: string | null = null
  let isAcknowledged = false
  while (text === null || !isAcknowledged) {
    const packet = await client.next<Packet>(Object as never)
    if (packet instanceof Publish) text = new TextDecoder().decode(packet.payload)
    else if (packet instanceof Puback) isAcknowledged = packet.reasonCode === 0
  }
  return text
}

test('commands as JSON are answered with the same JSON, byte for byte', options, async (context) => {
  const both = await Promise.all(
    kinds.map(async (kind) => {
      const broker = await startWith(context, kind, await securityFile(context))
      const password = new TextEncoder().encode('secret')
      const admin = await SocketClient.connect(broker, { clientId: 'a', username: 'admin', password })
      context.after(() => admin.destroy())
      admin.send(new Subscribe(1, [{ topicFilter: '$CONTROL/dynamic-security/v1/response', ...subscription }]))
      await admin.next(Suback)
      const answers: Record<string, string> = {}
      for (const [index, payload] of payloads.entries())
        answers[`${index} ${payload}`] = since21(await ask(admin, payload, index + 1))
      return answers
    }),
  )
  assert.deepEqual(both[0], both[1])
})

/** Small and the same everywhere: xorshift. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const topics = ['a', 'b', 'a/b', 'a/b/c', 'b/a', '/a', 'a/', 'x/y/z']
// Without `/#`, which for 2.0 covers `#`; for 2.1 not any more.
const filters = [...topics, '#', 'a/#', 'a/+', '+', '+/b', '+/+', 'a/b/#', '+/+/c', '/+', 'x/y/z/#']
const users = ['u1', 'u2', 'u3', 'u4']

/** Random roles, groups and clients with the password p. */
function randomSecurity(seed: number): Record<string, unknown[]> {
  const below = random(seed)
  const pick = <T>(of: readonly T[]): T => of[below(of.length)] as T
  const some = <T>(most: number, make: (index: number) => T): T[] =>
    Array.from({ length: below(most + 1) }, (_, i) => make(i))
  const types = ['publishClientSend', 'publishClientReceive', 'subscribeLiteral', 'subscribePattern']
  const rule = () =>
    acl(pick(filters), below(4), below(3) > 0, pick([...types, 'unsubscribeLiteral', 'unsubscribePattern']))
  // A topic once: of two rules for it 2.1 has the first, 2.0 both.
  const rules = () => [...new Map(some(8, rule).map((each) => [`${each.acltype} ${each.topic}`, each])).values()]
  const roles = Array.from({ length: 6 }, (_, i) => ({ rolename: `r${i}`, acls: rules() }))
  const someRoles = () => some(3, () => ({ rolename: `r${below(6)}`, priority: below(3) }))
  const login = { password: HASH, salt: SALT, iterations: 101 }
  const clients = users.map((username) => ({ username, ...login, roles: someRoles() }))
  const members = () => some(3, () => ({ username: pick(users), priority: below(3) }))
  const groups = Array.from({ length: 3 }, (_, i) => ({ groupname: `g${i}`, roles: someRoles(), clients: members() }))
  return { roles, clients, groups }
}

// Of the password p, made by mosquitto_ctrl.
let HASH = ''
let SALT = ''

const byName = (names: readonly string[], codes: readonly number[]): Record<string, number> =>
  Object.fromEntries(names.map((name, i) => [name, codes[i]!]))

type Rights = Record<string, Record<string, unknown>>

/**
 * Rights of a user: Reason Codes of SUBACK and UNSUBACK by filter, of PUBACK by topic, and the topics that reach the
 * user.
 */
async function rightsOf(broker: RunningBroker, username: string): Promise<Record<string, unknown>> {
  const password = new TextEncoder().encode('p')
  const client = await SocketClient.connect(broker, { clientId: `c-${username}`, username, password })
  assert.equal(client.connack.reasonCode, 0)
  const next = async <T extends Packet>(type: abstract new (...args: never[]) => T): Promise<T> => {
    for (;;) {
      const packet = await client.next<Packet>(Object as never)
      if (packet instanceof type) return packet
      if (packet instanceof Publish) arrived.push(packet.topic)
      else assert.ok(!(packet instanceof Disconnect), `${username} was disconnected`)
    }
  }
  const arrived: string[] = []
  const rights: Record<string, unknown> = {}
  client.send(
    new Subscribe(
      1,
      filters.map((topicFilter) => ({ topicFilter, ...subscription, qos: 0 })),
    ),
  )
  rights['subscribe'] = byName(filters, (await next(Suback)).reasonCodes)
  const published: number[] = []
  for (const [index, topic] of topics.entries()) {
    client.send(Publish.of({ topic, payload: new Uint8Array([1]), qos: 1, packetId: index + 1 }))
    const { reasonCode } = await next(Puback)
    published.push(reasonCode === 0x10 ? 0 : reasonCode)
  }
  rights['publish'] = byName(topics, published)
  client.send(new Unsubscribe(2, filters))
  rights['unsubscribe'] = byName(filters, (await next(Unsuback)).reasonCodes)
  rights['arrived'] = [...new Set(arrived)].sort()
  client.destroy()
  return rights
}

for (const seed of process.env['RECADO_DYNSEC_SEEDS']?.split(',').map(Number) ?? [1, 2, 3, 4, 5, 6]) {
  test(`random roles give everybody the rights that the plugin gives: seed ${seed}`, options, async (context) => {
    const made = JSON.parse(readFileSync(await fileWithUser(context), 'utf8')) as { clients: { username: string }[] }
    const user = made.clients.find(({ username }) => username === 'p') as unknown as { password: string; salt: string }
    HASH = user.password
    SALT = user.salt
    const security = randomSecurity(seed)
    const [ours, theirs] = (await Promise.all(
      kinds.map(async (kind) => {
        const broker = await startWith(context, kind, await securityFile(context, security))
        const rights: Record<string, Record<string, unknown>> = {}
        for (const username of users) rights[username] = await rightsOf(broker, username)
        return rights
      }),
    )) as [Rights, Rights]
    for (const username of users) {
      for (const [question, answer] of Object.entries(theirs[username]!)) {
        const text = `${username}, ${question}: otherwise than by the plugin, with ${JSON.stringify(security)}`
        assert.deepEqual(ours[username]![question], answer, text)
      }
    }
  })
}

/** A file that mosquitto_ctrl made, with a user p whose password is p. */
async function fileWithUser(context: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-dynsec-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'p.json')
  const { code, err } = await runCtrl(['dynsec', 'init', path, 'p', 'p'])
  assert.equal(code, 0, err)
  return path
}

for (const [writer, reader] of [
  ['recado', 'mosquitto'],
  ['mosquitto', 'recado'],
] as const) {
  test(`a file that ${writer} wrote is read by ${reader}: users, passwords, roles`, options, async (context) => {
    const path = await securityFile(context)
    const first = await startWith(context, writer, path)
    for (const line of [
      'createClient ada -p lovelace',
      'createRole r',
      'addRoleACL r publishClientSend a/# allow 5',
      'addClientRole ada r 4',
      'createGroup g',
      'addGroupClient g ada 2',
      'setAnonymousGroup g',
    ])
      assert.equal((await ctrl(first, line.split(' '))).code, 0, line)
    chmodSync(path, 0o666)
    const second = await startWith(context, reader, path)
    for (const line of ['getClient ada', 'getRole r', 'getGroup g', 'getAnonymousGroup']) {
      assert.deepEqual(await ctrl(second, line.split(' ')), await ctrl(first, line.split(' ')), line)
    }
    const password = new TextEncoder().encode('lovelace')
    const ada = await SocketClient.connect(second, { clientId: 'x', username: 'ada', password })
    assert.equal(ada.connack.reasonCode, 0)
    ada.send(Publish.of({ topic: 'a/1', payload: new Uint8Array(), qos: 1, packetId: 1 }))
    assert.notEqual((await ada.next(Puback)).reasonCode, 0x87)
    ada.send(Publish.of({ topic: 'b', payload: new Uint8Array(), qos: 1, packetId: 2 }))
    assert.equal((await ada.next(Puback)).reasonCode, 0x87)
    ada.destroy()
    const wrong = await SocketClient.connect(second, { clientId: 'y', username: 'ada', password: new Uint8Array([1]) })
    assert.notEqual(wrong.connack.reasonCode, 0)
    wrong.destroy()
  })
}
