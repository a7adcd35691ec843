/**
 * The same ACL file for both brokers, the same clients, the same answers: random files against Debian's mosquitto.
 *
 * A file has many users, so that one start of both brokers tests many cases. The topics, users and Client Identifiers are few, so
 * that rules, names and topics meet often.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { type Disconnect, Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { type BrokerKind, startBroker } from './broker.ts'
import { skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const skip = skipWithout('mosquitto')
const topics = [
  'a',
  'b',
  'a/b',
  'a/b/c',
  'a/a b',
  '/a',
  'a/',
  'a//b',
  'u1/a',
  'u2/c2',
  'c1',
  'x/c1/x',
  '$x/a',
  '$SYS/broker/connection/b/state',
  '$SYS/a',
]
const levels = ['a', 'b', 'c', '+', '#', '', 'a b', '%u', '%c', 'u1', 'c1', 'x', '$x', '$SYS']

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

function aclFile(seed: number, users: readonly string[]): string {
  const below = random(seed)
  const one = <T>(of: readonly T[]): T => of[below(of.length)] as T
  const filter = (): string => {
    const parts = Array.from({ length: 1 + below(3) }, () => one(levels))
    const hash = parts.indexOf('#')
    const text = (hash === -1 ? parts : parts.slice(0, hash + 1)).join('/')
    return text === '' ? 'a' : text
  }
  const rule = (keyword: string): string => {
    const access = one(['read ', 'write ', 'readwrite ', 'deny ', ''])
    const text = filter()
    return `${keyword} ${access === '' && /[ ]/.test(text) ? 'read ' : access}${text}`
  }
  const rules = (keyword: string, most: number): string[] =>
    Array.from({ length: below(most + 1) }, () => rule(keyword))
  return [
    ...rules('topic', 4),
    'user admin',
    'topic #',
    'topic $x/#',
    'topic $SYS/#',
    ...users.flatMap((user) => [`user ${user}`, ...rules('topic', 4), ...rules('pattern', below(4) === 0 ? 1 : 0)]),
    ...rules('pattern', 2),
    '',
  ].join('\n')
}

interface Login {
  clientId: string
  username: string | undefined
}

/** Names with wildcards and slashes among them. */
const logins: readonly Login[] = [
  ...['u1', 'u2', 'u3', 'u4', 'u5', '', 'u+', '#', 'a/b', '%c', undefined].map((username, i) => ({
    clientId: `c${i}`,
    username,
  })),
  ...['c+', '#', 'a/b', '%u'].map((clientId) => ({ clientId, username: 'u1' })),
]

const nameOf = ({ clientId, username }: Login): string => `${clientId} as ${username ?? 'nobody'}`

/** Rights of each client to publish and receive, retained messages too. */
async function answersOf(kind: BrokerKind, folder: string, acl: string): Promise<Record<string, unknown>> {
  const path = join(folder, `acl-${kind}`)
  writeFileSync(path, acl)
  const broker = await startBroker(kind, { config: [`acl_file ${path}`], inProcess: true })
  const clients: SocketClient[] = []
  const open = async ({ clientId, username }: Login): Promise<SocketClient> => {
    const client = await SocketClient.connect(broker, { clientId, ...(username === undefined ? {} : { username }) })
    assert.equal(client.connack.reasonCode, 0)
    clients.push(client)
    return client
  }
  try {
    const answers: Record<string, unknown> = {}
    const readers = await Promise.all(logins.map((login) => open({ ...login, clientId: `${login.clientId}` })))
    for (const reader of readers) await subscribe(reader)
    const admin = await open({ clientId: 'admin', username: 'admin' })
    await publishAll(admin, true)
    for (const [i, login] of logins.entries()) answers[`${nameOf(login)} receives`] = await received(readers[i]!)
    for (const [i, login] of logins.entries()) {
      answers[`${nameOf(login)} publishes`] = await publishAll(readers[i]!, false)
    }
    // The retained messages of the admin, and none of the others: those were not retained.
    for (const [i, login] of logins.entries()) {
      await received(readers[i]!)
      answers[`${nameOf(login)} finds`] = [await subscribe(readers[i]!), await received(readers[i]!)]
    }
    return answers
  } finally {
    for (const client of clients) client.destroy()
    await broker.stop()
  }
}

async function subscribe(client: SocketClient): Promise<readonly number[]> {
  const subscription = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  const filters = ['#', '$x/#', '$SYS/a', '$SYS/broker/connection/#']
  client.send(
    new Subscribe(
      1,
      filters.map((topicFilter) => ({ topicFilter, ...subscription })),
    ),
  )
  return (await client.next(Suback)).reasonCodes
}

/** Reason Codes by topic. */
async function publishAll(client: SocketClient, retain: boolean): Promise<Record<string, number>> {
  const codes: Record<string, number> = {}
  for (const [index, topic] of topics.entries()) {
    client.send(Publish.of({ topic, payload: new Uint8Array([1]), qos: 1, packetId: index + 1, retain }))
    for (;;) {
      const packet = await client.next<Puback | Publish>(Object as never)
      if (!(packet instanceof Puback)) continue
      // That nobody receives it is not a matter of rights, and Mosquitto counts whom it refuses it to.
      codes[topic] = packet.reasonCode === 0x10 ? 0 : packet.reasonCode
      break
    }
  }
  return codes
}

/** Topics that came in before the answer to another subscription. */
async function received(client: SocketClient): Promise<string[]> {
  const subscription = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 2 } as const
  client.send(new Subscribe(2, [{ topicFilter: 'nothing', ...subscription }]))
  const seen: string[] = []
  for (;;) {
    const packet = await client.next<Suback | Publish | Disconnect>(Object as never)
    if (packet instanceof Publish) seen.push(packet.topic)
    else if (packet instanceof Suback) return seen.sort()
  }
}

async function bothAgree(context: TestContext, seed: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'recado-acl-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  // Started by root, mosquitto reads it as another user.
  chmodSync(folder, 0o755)
  const acl = aclFile(seed, ['u1', 'u2', 'u3', 'u4', 'u+', 'a/b', '%c'])
  const [ours, theirs] = await Promise.all([answersOf('recado', folder, acl), answersOf('mosquitto', folder, acl)])
  for (const [question, answer] of Object.entries(theirs)) {
    assert.deepEqual(ours[question], answer, `seed ${seed}: ${question} otherwise than with mosquitto, with\n${acl}`)
  }
}

const seeds = process.env['RECADO_ACL_SEEDS']?.split(',').map(Number) ?? [11, 12, 13, 14, 15, 16, 17, 18]
for (const seed of seeds) {
  test(
    `a random ACL file gives everybody the rights that mosquitto gives: seed ${seed}`,
    { skip, timeout: testTimeoutMs },
    (context) => bothAgree(context, seed),
  )
}
