import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Connect } from '@recado/protocol'
import { makeLoginQueue } from '../../login-queue.ts'
import type { ClientInfo, ConnectDecision, ConnectRequest } from '../../ports.ts'
import { Webhook, type WebhookOptions } from './webhook.ts'

type Answer = (question: Record<string, unknown>, response: ServerResponse, request: IncomingMessage) => void

/** A service that answers, and the questions that it was asked. */
async function service(
  context: TestContext,
  answer: Answer,
): Promise<{ url: string; asked: Record<string, unknown>[] }> {
  const asked: Record<string, unknown>[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const question = JSON.parse(body) as Record<string, unknown>
    asked.push(question)
    answer(question, response, request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/login`, asked }
}

const say =
  (status: number, body: unknown = undefined): Answer =>
  (_, response) =>
    response.writeHead(status).end(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body))

function request(username: string, password: string | Uint8Array = 'x'): ConnectRequest {
  const connect = new Connect({
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId: 'c',
    username,
    password: typeof password === 'string' ? new TextEncoder().encode(password) : password,
  })
  return { connect, clientId: 'c', remoteAddress: '10.0.0.1:1000', listener: '*:1883', peer: null, identity: null }
}

const client = (): ClientInfo => ({
  clientId: 'c',
  username: 'ada',
  protocolVersion: 5,
  remoteAddress: '10.0.0.1:1000',
  listener: '*:1883',
  peer: null,
  isBridge: false,
  grants: undefined,
  memo: null,
})

async function login(
  context: TestContext,
  answer: Answer,
  options: WebhookOptions = {},
): Promise<ConnectDecision | null> {
  const { url } = await service(context, answer)
  return new Webhook({ loginUrl: url, ...options }, makeLoginQueue).authenticate(request('ada'))
}

test('a login is asked about with all that is known of it', async (context) => {
  const { url, asked } = await service(context, say(204))
  const hook = new Webhook({ loginUrl: url, cacheMs: 0 }, makeLoginQueue)
  assert.deepEqual(await hook.authenticate(request('ada', 'sécret')), {})
  await hook.authenticate(request('ada', new Uint8Array([0xff, 0])))
  const common = {
    clientId: 'c',
    username: 'ada',
    remoteAddress: '10.0.0.1',
    listener: '*:1883',
    protocolVersion: 5,
    certificate: null,
  }
  assert.deepEqual(asked, [
    { ...common, password: 'sécret' },
    { ...common, passwordBase64: '/wA=' },
  ])
})

test('2xx is yes, 401 and 403 are no, and a body may say no, ignore, or more', async (context) => {
  assert.deepEqual(await login(context, say(200)), {})
  assert.deepEqual(await login(context, say(200, {})), {})
  const twice = '{"a":{"x":1},"b":{"x":"a,{\\"x"},"x":["x","x",{"x":1},{"x":2}]}'
  assert.deepEqual(
    await login(context, say(200, twice)),
    {},
    'other names mean nothing, and are none of the same object',
  )
  assert.equal((await login(context, say(401)))?.reasonCode, 0x87)
  assert.equal((await login(context, say(403, { result: 'allow' })))?.reasonCode, 0x87)
  assert.equal((await login(context, say(200, { result: 'deny' })))?.reasonCode, 0x87)
  assert.equal(await login(context, say(200, { result: 'ignore' })), null)
  const full = { result: 'allow', username: 'lovelace', expiresAt: 2_000_000_000, acl: { publish: ['a/#'] } }
  assert.deepEqual(await login(context, say(200, full)), {
    username: 'lovelace',
    expiresAtMs: 2_000_000_000_000,
    grants: { publish: ['a/#'], subscribe: [] },
  })
})

test('anything else refuses with 0x88, and somebody is told, without the password', async (context) => {
  for (const [answer, what] of [
    [say(500), /status 500/],
    [say(404), /status 404/],
    [say(302), /redirect|unexpected|status 302/],
    [say(200, 'yes'), /not JSON/],
    [say(200, '[]'), /not an object/],
    [say(200, ' '), /not JSON/],
    [say(200, '\n'), /not JSON/],
    [say(200, 'null'), /not an object/],
    [say(200, { result: null }), /not allow, deny or ignore/],
    [say(200, '{"result":"deny","result":"allow"}'), /a member twice/],
    [say(200, '{"result":"deny","\\u0072esult":"allow"}'), /a member twice/],
    [say(200, '{"acl":{"publish":["a"],"x":[{"y":1}],"publish":["#"]}}'), /a member twice/],
    [say(200, { result: 'allow', acl: [] }), /an acl that does not have/],
    [say(200, { acl: null }), /an acl that does not have/],
    [say(200, { acl: 'a' }), /an acl that does not have/],
    [say(200, { acl: { publish: 'a' } }), /an acl that does not have/],
    [say(200, '{"expiresAt":1e308}'), /an expiresAt that is not/],
    [say(200, '{"expiresAt":1e999}'), /an expiresAt that is not/],
    [say(200, { result: 'maybe' }), /not allow, deny or ignore/],
    [say(200, { username: 7 }), /a username that is empty, not a string/],
    [say(200, { expiresAt: 'soon' }), /an expiresAt that is not/],
    [say(200, { acl: { publish: ['a/#/b'] } }), /an acl that does not have/],
    [say(200, `{"x":"${'x'.repeat(70_000)}"}`), /more than 65536 bytes/],
    [(_, response) => response.destroy(), /closed|other side|reset|hang up/],
  ] as const satisfies [Answer, RegExp][]) {
    const errors: Error[] = []
    const decision = await login(context, answer, { onError: (error) => errors.push(error) })
    assert.equal(decision?.reasonCode, 0x88, String(what))
    assert.match(errors[0]?.message ?? '', what)
    assert.ok(!errors[0]!.message.includes('password'))
  }
})

test('a service that does not answer in time refuses', async (context) => {
  const errors: Error[] = []
  const decision = await login(context, () => {}, { timeoutMs: 50, onError: (error) => errors.push(error) })
  assert.equal(decision?.reasonCode, 0x88)
  assert.match(errors[0]!.message, /did not answer within 50 ms/)
})

test('an answer is remembered for the same question only; the same question at the same time is asked once', async (context) => {
  const { url, asked } = await service(context, say(204))
  const hook = new Webhook({ loginUrl: url, cacheMs: 60_000 }, makeLoginQueue)
  await Promise.all([hook.authenticate(request('ada')), hook.authenticate(request('ada'))])
  await hook.authenticate(request('ada'))
  assert.equal(asked.length, 1)
  await hook.authenticate(request('ada', 'other'))
  await hook.authenticate(request('bob'))
  assert.equal(asked.length, 3)
  hook.forget()
  await hook.authenticate(request('ada'))
  assert.equal(asked.length, 4)
})

test('no more requests than allowed are under way, and over the limit a login is refused with 0x89', async (context) => {
  const open: ServerResponse[] = []
  let came: () => void = () => {}
  const { url } = await service(context, (_, response) => {
    open.push(response)
    came()
  })
  const hook = new Webhook({ loginUrl: url, concurrency: 2, waitingMax: 1, cacheMs: 0 }, makeLoginQueue)
  const logins = ['a', 'b', 'c', 'd'].map((name) => hook.authenticate(request(name)))
  assert.equal((await logins[3])?.reasonCode, 0x89)
  while (open.length < 2) await new Promise<void>((resolve) => (came = resolve))
  open[0]!.writeHead(204).end()
  while (open.length < 3) await new Promise<void>((resolve) => (came = resolve))
  for (const response of open.slice(1)) response.writeHead(204).end()
  assert.deepEqual(await Promise.all(logins.slice(0, 3)), [{}, {}, {}])
})

test('rights are asked about once for a client and a topic, and then known at once', async (context) => {
  const { url, asked } = await service(context, ({ topic }, response) =>
    response.writeHead(topic === 'yes' ? 204 : 403).end(),
  )
  const hook = new Webhook({ rightsUrl: url }, makeLoginQueue)
  const ada = client()
  const options = { qos: 1, retain: false }
  assert.equal(await hook.publish(ada, 'yes', options), 0)
  assert.equal(await hook.publish(ada, 'no', options), 0x87)
  assert.equal(hook.publish(ada, 'yes', options), true)
  assert.equal(hook.publish(ada, 'no', options), false)
  const subscription = {
    topicFilter: 'yes',
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  } as const
  assert.equal(await hook.subscribe(ada, subscription), 0)
  const common = { clientId: 'c', username: 'ada', remoteAddress: '10.0.0.1', listener: '*:1883', retain: false }
  assert.deepEqual(asked, [
    { action: 'publish', topic: 'yes', qos: 1, ...common },
    { action: 'publish', topic: 'no', qos: 1, ...common },
    { action: 'subscribe', topic: 'yes', qos: 0, ...common },
  ])
  hook.forget()
  assert.ok(hook.publish(ada, 'yes', options) instanceof Promise)
  assert.equal(await hook.authenticate(request('ada')), null, 'it is not asked about logins')
})

test('rights that cannot be asked about are not given', async () => {
  const errors: Error[] = []
  const hook = new Webhook({ rightsUrl: 'http://127.0.0.1:1/', onError: (error) => errors.push(error) }, makeLoginQueue)
  assert.equal(await hook.publish(client(), 'a', { qos: 0, retain: false }), 0x80)
  assert.equal(errors.length, 1)
})

test('an address that is none is an error at once', () => {
  for (const [options, what] of [
    [{}, /give loginUrl, rightsUrl or both/],
    [{ loginUrl: 'nonsense' }, /is not a URL/],
    [{ rightsUrl: 'ftp://a' }, /neither http nor https/],
  ] as const) {
    assert.throws(() => new Webhook(options, makeLoginQueue), { code: 'ERR_MQTT_WEBHOOK', message: what })
  }
})

test('an answer from before `forget` is neither shared nor remembered, and rights are asked for again', async (context) => {
  const waiting: ServerResponse[] = []
  let wake: () => void = () => {}
  const { url, asked } = await service(context, (_, response) => {
    waiting.push(response)
    wake()
  })
  const questions = async (count: number): Promise<void> => {
    while (asked.length < count || waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve))
  }
  const hook = new Webhook({ loginUrl: url, rightsUrl: url }, makeLoginQueue)
  const before = hook.authenticate(request('ada'))
  await questions(1)
  hook.forget()
  const after = hook.authenticate(request('ada'))
  await questions(2)
  waiting[0]!.writeHead(200).end()
  waiting[1]!.writeHead(403).end()
  assert.equal((await before)?.reasonCode, undefined)
  assert.equal((await after)?.reasonCode, 0x87)
  assert.equal((await hook.authenticate(request('ada')))?.reasonCode, 0x87, 'what is remembered is the later answer')
  assert.equal(asked.length, 2)

  const may = hook.publish(client(), 't', { qos: 0, retain: false })
  await questions(3)
  hook.forget()
  waiting[2]!.writeHead(200).end()
  await questions(4)
  waiting[3]!.writeHead(403).end()
  assert.equal(await may, 0x87)
})

test('networks take turns at the webhook: of honest ones nobody is turned away beside a flood of wrong ones', async (context) => {
  const waiting: (() => void)[] = []
  const { url, asked } = await service(context, ({ password }, response) => {
    waiting.push(() => response.writeHead(password === 'right' ? 200 : 403).end())
    if (waiting.length === 2) for (const answer of waiting.splice(0)) answer()
  })
  const hook = new Webhook({ loginUrl: url, concurrency: 2, waitingMax: 100, failuresPerSecondMax: 0 }, makeLoginQueue)
  const login = (from: string, i: number, password: string): Promise<ConnectDecision | null> =>
    hook.authenticate({ ...request(`u${i}`, password), remoteAddress: from })
  const flood = Array.from({ length: 1_000 }, (_, i) => login(`[2001:db8::${i.toString(16)}]:1`, i, 'wrong'))
  const honest = Array.from({ length: 40 }, (_, i) => login(`10.0.0.${i}:1`, 2_000 + i, 'right'))
  const codes = (await Promise.all(honest)).map((decision) => decision?.reasonCode ?? 0)
  assert.deepEqual(codes, new Array(40).fill(0))
  const refused = (await Promise.all(flood)).map((decision) => decision?.reasonCode)
  assert.ok(refused.filter((code) => code === 0x89).length >= 900)
  assert.ok(asked.length < 150)
})

test('where more logins are wrong than may be, the service is not asked; who is remembered is let in, and rights are asked about', async (context) => {
  const { url, asked } = await service(context, ({ username }, response) =>
    response.writeHead(username === 'ada' ? 200 : 403).end(),
  )
  const hook = new Webhook({ loginUrl: url, rightsUrl: url, failuresPerSecondMax: 2 }, makeLoginQueue)
  assert.equal((await hook.authenticate(request('ada')))?.reasonCode, undefined)
  for (let i = 0; i < 4; i++) assert.equal((await hook.authenticate(request(`eve${i}`)))?.reasonCode, 0x87)
  const { length } = asked
  assert.equal((await hook.authenticate(request('eve9')))?.reasonCode, 0x89)
  assert.equal((await hook.authenticate(request('ada')))?.reasonCode, undefined)
  assert.equal(asked.length, length)
  assert.equal(await hook.publish(client(), 't', { qos: 0, retain: false }), 0)
})
