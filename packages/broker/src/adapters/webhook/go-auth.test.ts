/** A service of mosquitto-go-auth: the form of questions and answers, and rights put together with an ACL file. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Connect } from '@recado/protocol'
import { aclFile, type GoAuthOptions, goAuth, goAuthRights } from '../../access.ts'
import type { AuthorizeHooks } from '../../hooks.ts'
import type { ClientInfo, ConnectRequest } from '../../ports.ts'

type Answer = number | [status: number, body: string]

/** A service that answers by path, and the questions that it was asked. */
async function service(
  context: TestContext,
  answers: Record<string, (body: string) => Answer>,
): Promise<{ options: GoAuthOptions; asked: string[] }> {
  const asked: string[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    asked.push(`${request.url} ${body}`)
    const answer = answers[request.url ?? '']?.(body) ?? 404
    const [status, text] = typeof answer === 'number' ? [answer, ''] : answer
    response.writeHead(status).end(text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const urls = { userUrl: `${base}/user`, superuserUrl: `${base}/superuser`, aclUrl: `${base}/acl` }
  return { options: { ...urls, cacheMs: 0 }, asked }
}

const client = (username: string | undefined = 'ada', clientId = 'c'): ClientInfo => ({
  clientId,
  username,
  protocolVersion: 5,
  remoteAddress: '10.0.0.1:1',
  listener: '*:1883',
  peer: null,
  isBridge: false,
  grants: undefined,
  memo: null,
})

function login(username: string | undefined, password?: string): ConnectRequest {
  const connect = new Connect({
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId: 'c',
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: new TextEncoder().encode(password) }),
  })
  return { connect, clientId: 'c', remoteAddress: '10.0.0.1:1', listener: '*:1883', peer: null, identity: null }
}

const subscription = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
const publish = (rights: AuthorizeHooks, who: ClientInfo, topic: string) =>
  rights.publish!(who, topic, { qos: 0, retain: false })
const subscribe = (rights: AuthorizeHooks, who: ClientInfo, topicFilter: string) =>
  rights.subscribe!(who, { topicFilter, ...subscription })
const isYes = async (answer: unknown): Promise<boolean> => {
  const value = await answer
  return value === true || value === 0
}

test('a login is asked about as by go-auth: 2xx is yes, 4xx is no, anything else is no answer', async (context) => {
  let status = 200
  const { options, asked } = await service(context, { '/user': () => status })
  const errors: Error[] = []
  const source = goAuth({ ...options, onError: (error) => errors.push(error) })
  assert.deepEqual(await source.authenticate(login('ada', 'sécret')), {})
  assert.deepEqual(asked, ['/user {"clientid":"c","password":"sécret","username":"ada"}'])
  for (status of [400, 401, 403, 404]) assert.equal((await source.authenticate(login('ada', 'x')))?.reasonCode, 0x87)
  assert.deepEqual(errors, [])
  for (status of [302, 500, 502]) assert.equal((await source.authenticate(login('ada', 'x')))?.reasonCode, 0x88)
  assert.equal(errors.length, 3)
  assert.equal(await source.authenticate(login(undefined, 'x')), null)
  assert.equal(await source.authenticate(login('ada')), null)
})

test('questions may be forms, and answers texts or JSON', async (context) => {
  let body = 'ok'
  const { options, asked } = await service(context, { '/user': () => [200, body] })
  const decide = async (response: 'text' | 'json'): Promise<number | undefined> =>
    (await goAuth({ ...options, params: 'form', response }).authenticate(login('a&b', 'p=1')))?.reasonCode
  assert.equal(await decide('text'), undefined)
  assert.deepEqual(asked, ['/user clientid=c&password=p%3D1&username=a%26b'])
  body = 'no'
  assert.equal(await decide('text'), 0x87)
  for (const [text, code] of [
    ['{"ok":true}', undefined],
    ['{"Ok":true,"Error":""}', undefined],
    ['{"ok":false,"error":"x"}', 0x87],
    ['{}', 0x87],
    ['{"ok":"yes"}', 0x88],
    ['nonsense', 0x88],
  ] as const) {
    body = text
    assert.equal(await decide('json'), code, text)
  }
})

test('topics are asked about with acc; a superuser may everything', async (context) => {
  const { options, asked } = await service(context, {
    '/superuser': (body) => (body.includes('root') ? 200 : 403),
    '/acl': (body) => (/"topic":"a/.test(body) && !body.includes('"acc":1') ? 200 : 403),
  })
  const rights = goAuthRights({ acl: null, service: goAuth(options), denySpecialCharacters: true })
  assert.equal(await isYes(publish(rights, client(), 'a/1')), true)
  assert.deepEqual(asked.splice(0), [
    '/superuser {"username":"ada"}',
    '/acl {"acc":2,"clientid":"c","topic":"a/1","username":"ada"}',
  ])
  assert.equal(await isYes(publish(rights, client(), 'b')), false)
  assert.equal(await isYes(publish(rights, client('root'), 'b')), true)
  assert.equal(await isYes(subscribe(rights, client(), 'a/#')), true)
  assert.match(asked.at(-1)!, /"acc":4,"clientid":"c","topic":"a\/#"/)
  // A topic without wildcards is asked about as it is read, too.
  assert.equal(await isYes(subscribe(rights, client(), 'a/1')), false)
  assert.equal(await isYes(subscribe(rights, client(), '$share/g/a/#')), true)
  assert.equal(rights.decidesAtSubscribe!(client()), true)
})

test('answers are remembered for cacheMs, and forgotten when told', async (context) => {
  const { options, asked } = await service(context, { '/superuser': () => 403, '/acl': () => 200 })
  const source = goAuth({ ...options, cacheMs: 60_000 })
  const rights = goAuthRights({ acl: null, service: source, denySpecialCharacters: true })
  const ada = client()
  await publish(rights, ada, 'a')
  assert.equal(publish(rights, ada, 'a'), true)
  assert.equal(asked.length, 2)
  source.forget()
  await publish(rights, ada, 'a')
  assert.equal(asked.length, 4)
})

test('what the file allows the service is not asked about, and a deny of the file holds for each message', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-go-auth-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'acl')
  writeFileSync(path, 'user ada\ntopic read a/#\ntopic deny a/secret\ntopic write w\n')
  const acl = await aclFile({ path })
  let isAllowed = false
  const { options, asked } = await service(context, {
    '/superuser': () => 403,
    '/acl': () => (isAllowed ? 200 : 403),
  })
  const rights = goAuthRights({ acl, service: goAuth(options), denySpecialCharacters: true })
  const ada = client()
  assert.equal(publish(rights, ada, 'w'), true)
  assert.equal(subscribe(rights, ada, 'a/+'), true)
  assert.deepEqual(asked, [])
  assert.equal(await isYes(subscribe(rights, ada, '#')), false)
  isAllowed = true
  assert.equal(await isYes(subscribe(rights, ada, '#')), true)
  assert.equal(rights.mayReceive!(ada, 'x'), true)
  assert.equal(rights.mayReceive!(ada, 'a/secret'), false)
  const alone = goAuthRights({ acl, service: null, denySpecialCharacters: true })
  assert.deepEqual(
    [alone.mayReceive!(ada, 'a/b'), alone.mayReceive!(ada, 'x'), publish(alone, ada, 'x')],
    [true, false, false],
  )
})

test('without an ACL file and a service everything is allowed to users, and nothing to others', () => {
  const rights = goAuthRights({ acl: null, service: null, denySpecialCharacters: true })
  assert.equal(publish(rights, client(), 'a'), true)
  assert.equal(publish(rights, client(), '$SYS/x'), false)
  for (const who of [{ ...client(), username: undefined }, client(''), client('a+'), client('ada', '#')]) {
    assert.equal(publish(rights, who, 'a'), false)
    assert.equal(subscribe(rights, who, 'a'), false)
    assert.equal(rights.mayReceive!(who, 'a'), false)
  }
  const open = goAuthRights({ acl: null, service: null, denySpecialCharacters: false })
  assert.equal(publish(open, client('a+'), 'a'), true)
})

test('an address that is none is told', () => {
  for (const url of ['nonsense', 'ftp://x/'])
    assert.throws(() => goAuth({ userUrl: url }), { code: 'ERR_MQTT_WEBHOOK' })
})
