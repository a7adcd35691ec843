/* Tokens and webhooks in the running program. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SocketClient } from '@recado/broker/testing'
import { Auth, type Connack, Disconnect, Puback, Publish, Suback, Subscribe } from '@recado/protocol'
import { configFile, freePort, Program, printed, run, temporaryFolder } from './testing/program.ts'

const secret = 'a secret of at least thirty-two bytes'
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const nowSeconds = (): number => Math.floor(Date.now() / 1_000)

function token(claims: Record<string, unknown>): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ alg: 'HS256' })}.${encode({ exp: nowSeconds() + 3_600, ...claims })}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const connect = (
  program: Program,
  username: string,
  password: string,
  clientId = username,
): Promise<SocketClient & { connack: Connack }> =>
  SocketClient.connect(program, { clientId, username, password: bytes(password) })

const subscribe = (topicFilter: string): Subscribe =>
  new Subscribe(1, [{ topicFilter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }])
const publish = (topic: string): Publish => Publish.of({ topic, payload: bytes('x'), qos: 1, packetId: 1 })

async function codeOf(client: SocketClient, packet: Subscribe | Publish): Promise<number> {
  client.send(packet)
  if (packet instanceof Subscribe) return (await client.next(Suback)).reasonCodes[0]!
  return (await client.next(Puback)).reasonCode
}

function withSecret(context: TestContext): string {
  const path = join(temporaryFolder(context), 'secret')
  writeFileSync(path, `${secret}\n`)
  return path
}

test('a token logs in, beside a password file, has its rights, and ends the connection when it does', async (context) => {
  const passwords = join(temporaryFolder(context), 'passwords')
  await printed('passwd', '-c', '-b', passwords, 'bob', 'x')
  const program = await Program.start(context, await freePort(), [
    `jwt_secret_file ${withSecret(context)}`,
    'jwt_audience mqtt',
    'allow_anonymous false',
    `password_file ${passwords}`,
  ])
  const acl = { publish: ['to/%u/#'], subscribe: ['from/#'] }
  const ada = await connect(program, 'whoever', token({ sub: 'ada', aud: 'mqtt', acl }))
  assert.equal(ada.connack.reasonCode, 0)
  assert.equal(await codeOf(ada, publish('to/ada/x')), 0x10)
  assert.equal(await codeOf(ada, publish('to/bob/x')), 0x87)
  assert.equal(await codeOf(ada, subscribe('from/+')), 0)
  assert.equal(await codeOf(ada, subscribe('#')), 0x87)
  const bob = await connect(program, 'bob', 'x')
  assert.equal(await codeOf(bob, publish('from/bob')), 0)
  assert.equal((await ada.next(Publish)).topic, 'from/bob')
  assert.equal((await connect(program, 'bob', token({ sub: 'bob', aud: 'other' }))).connack.reasonCode, 0x87)
  assert.equal((await connect(program, 'bob', 'y')).connack.reasonCode, 0x87)
  const short = await connect(program, 'eve', token({ sub: 'eve', aud: 'mqtt', exp: nowSeconds() + 2 }))
  assert.equal((await short.next(Disconnect)).reasonCode, 0x87)
  for (const client of [ada, bob]) client.destroy()
  assert.match(program.err, /client|connected/i)
  assert.ok(!program.err.includes('eyJ'), 'no token is logged')
  await program.stop('SIGTERM')
})

test('a new token on the open connection renews it, and its rights hold at once', async (context) => {
  const program = await Program.start(context, await freePort(), [`jwt_secret_file ${withSecret(context)}`])
  const client = await SocketClient.connect(program, {
    clientId: 'c',
    properties: {
      authenticationMethod: 'JWT',
      authenticationData: bytes(token({ sub: 'ada', acl: { publish: ['a'], subscribe: ['#'] } })),
    },
  })
  assert.equal(client.connack.reasonCode, 0)
  assert.equal(await codeOf(client, subscribe('#')), 0)
  const renewed = token({ sub: 'ada', acl: { publish: ['b'], subscribe: ['b'] } })
  client.send(new Auth(0x19, { authenticationMethod: 'JWT', authenticationData: bytes(renewed) }))
  assert.equal((await client.next(Auth)).reasonCode, 0)
  assert.equal(await codeOf(client, publish('a')), 0x87)
  client.send(publish('b'))
  assert.equal((await client.next(Publish)).topic, 'b')
  await client.next(Puback)
  const other = await SocketClient.connect(program, { clientId: 'other' })
  assert.equal(
    await codeOf(other, publish('a')),
    0x10,
    'the old subscription does not bring what the new token does not grant',
  )
  other.destroy()
  client.send(new Auth(0x19, { authenticationMethod: 'JWT', authenticationData: bytes(token({ sub: 'bob' })) }))
  assert.equal((await client.next(Disconnect)).reasonCode, 0x87)
  await program.stop('SIGTERM')
})

test('a webhook decides about users that the password file does not know, and about rights', async (context) => {
  const questions: Record<string, unknown>[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const question = JSON.parse(body) as Record<string, unknown>
    questions.push({ ...question, url: request.url, key: request.headers['x-key'] })
    const isYes = request.url === '/login' ? question['password'] === 'right' : question['topic'] === 'yes'
    response.writeHead(isYes ? 204 : 403).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const folder = temporaryFolder(context)
  const [passwords, headers] = [join(folder, 'passwords'), join(folder, 'headers')]
  await printed('passwd', '-c', '-b', passwords, 'bob', 'x')
  writeFileSync(headers, '# secret\nx-key: 42\n')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const program = await Program.start(context, await freePort(), [
    `password_file ${passwords}`,
    `webhook_login_url ${url}/login`,
    `webhook_rights_url ${url}/rights`,
    `webhook_header_file ${headers}`,
  ])
  const bob = await connect(program, 'bob', 'x')
  assert.equal(bob.connack.reasonCode, 0)
  assert.equal(questions.length, 0)
  assert.equal((await connect(program, 'ada', 'wrong')).connack.reasonCode, 0x87)
  const ada = await connect(program, 'ada', 'right')
  assert.equal(ada.connack.reasonCode, 0)
  assert.equal(await codeOf(ada, publish('yes')), 0x10)
  assert.equal(await codeOf(ada, publish('no')), 0x87)
  assert.equal(await codeOf(ada, subscribe('yes')), 0)
  assert.equal(await codeOf(ada, subscribe('no')), 0x87)
  assert.ok(questions.every(({ key }) => key === '42'))
  const before = questions.length
  assert.equal(await codeOf(ada, publish('no')), 0x87)
  assert.equal(questions.length, before, 'the answer is remembered')
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
  assert.equal((await connect(program, 'eve', 'right')).connack.reasonCode, 0x88)
  const unavailable = /Error: the webhook gives no answer: http:\S+: .*ECONNREFUSED.* \(1 since the last such line\)/
  while (!unavailable.test(program.err)) await once(program.child.stderr!, 'data')
  assert.ok(!/right\b.*"|wrong/.test(program.err))
  assert.equal((await connect(program, 'eva', 'right')).connack.reasonCode, 0x88)
  for (const client of [ada, bob]) client.destroy()
  await program.stop('SIGTERM')
  const told = (what: RegExp): number[] => [...program.err.matchAll(what)].map(([, count]) => Number(count))
  assert.deepEqual(told(/for client ada are being dropped: not-authorized \((\d+) since/g), [1, 1])
  assert.deepEqual(told(/ECONNREFUSED.* \((\d+) since/g), [1, 1], 'the rest is told at the end')
})

test('a webhook is asked about subscriptions again after SIGHUP, and when another user resumes their session', async (context) => {
  const denied = new Set<string>()
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { username, topic, action } = JSON.parse(body) as Record<string, string>
    response.writeHead(action === 'subscribe' && denied.has(`${username} ${topic}`) ? 403 : 204).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const passwords = join(temporaryFolder(context), 'passwords')
  for (const [name, flags] of [
    ['ada', ['-c', '-b']],
    ['bob', ['-b']],
    ['eve', ['-b']],
  ] as const)
    await printed('passwd', ...flags, passwords, name, 'x')
  const program = await Program.start(context, await freePort(), [
    `password_file ${passwords}`,
    'session_owner off',
    `webhook_rights_url http://127.0.0.1:${(server.address() as AddressInfo).port}/rights`,
  ])
  const resume = (username: string): ReturnType<typeof connect> =>
    SocketClient.connect(program, {
      clientId: 'wsess',
      username,
      password: bytes('x'),
      cleanStart: false,
      properties: { sessionExpiryIntervalSeconds: 600 },
    })
  const ada = await resume('ada')
  for (const topicFilter of ['A/#', 'B', 'C']) assert.equal(await codeOf(ada, subscribe(topicFilter)), 0)
  const eve = await connect(program, 'eve', 'x')
  const next = async (client: SocketClient): Promise<string> => (await client.next(Publish)).topic
  await codeOf(eve, publish('A/1'))
  assert.equal(await next(ada), 'A/1')
  denied.add('ada A/#')
  program.child.kill('SIGHUP')
  const ended = /Subscription of wsess to A\/# has ended: it is not allowed any more \(0x87\)/
  while (!ended.test(program.err)) await once(program.child.stderr!, 'data')
  for (const topic of ['A/2', 'B']) await codeOf(eve, publish(topic))
  assert.equal(await next(ada), 'B')
  ada.destroy()
  denied.add('bob B')
  const bob = await resume('bob')
  assert.equal(bob.connack.sessionPresent, true)
  for (const topic of ['A/3', 'B', 'C']) await codeOf(eve, publish(topic))
  assert.equal(await next(bob), 'C')
  for (const client of [bob, eve]) client.destroy()
  await program.stop('SIGTERM')
})

test('settings that cannot be carried out are a line on stderr, and nothing is started', async (context) => {
  const folder = temporaryFolder(context)
  writeFileSync(join(folder, 'short'), 'secret')
  writeFileSync(join(folder, 'headers'), 'nonsense')
  for (const [lines, what] of [
    [['jwt_secret_file FOLDER/none'], /:2: jwt_secret_file \S+ cannot be read: no such file or directory$/m],
    [['jwt_key_file /'], /:2: jwt_key_file \/ cannot be read: it is a directory$/m],
    [['password_file /none'], /:2: password_file \/none cannot be read: no such file or directory$/m],
    [['acl_file /none'], /:2: acl_file \/none cannot be read: no such file or directory$/m],
    [
      ['webhook_login_url http://a/', 'webhook_header_file /none'],
      /:3: webhook_header_file \/none cannot be read: no such file or directory$/m,
    ],
    [[`jwt_secret_file ${folder}/short`], /has 6 bytes/],
    [['jwt_secret_file a', 'jwt_key_file b'], /:\d: jwt_secret_file and jwt_key_file cannot both be given/],
    [['jwt_jwks_url http://example.com/'], /only by https/],
    [[`jwt_secret_file ${withSecret(context)}`, 'jwt_algorithms RS256'], /"RS256" does not fit/],
    [['webhook_rights_url http://a/', 'acl_file b'], /webhook_rights_url and acl_file cannot both be given/],
    [['webhook_login_url nonsense'], /is not a URL/],
    [
      ['webhook_login_url http://a/', `webhook_header_file ${folder}/headers`],
      /headers:1: the line is not "name: value"/,
    ],
  ] as const) {
    const { code, err } = await run(
      '-c',
      configFile(context, `listener ${await freePort()} 127.0.0.1\n${lines.join('\n')}\n`),
    )
    // What contradicts itself is a fault of the configuration, what cannot be opened one of what it names.
    assert.equal(code, /cannot both be given/.test(err) ? 3 : 13, lines.join())
    assert.match(err, what)
    assert.equal(err.split('\n').length, 2, err)
  }
})
