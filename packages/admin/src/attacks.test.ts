/** Attacks on the API: none may get in, stop it, or make it say what is not its own. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { test } from 'node:test'
import { http } from '@recado/broker'
import { connect } from '@recado/client'
import { UNREAD_MS } from './http/unread.ts'
import { serve } from './testing/api.ts'

/** Sends bytes as they are; resolves with all that comes back. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connectSocket(port, '127.0.0.1')
  let got = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    got += chunk
  })
  socket.on('error', () => undefined)
  socket.write(text, 'latin1')
  await once(socket, 'close')
  return got
}

test('tokens that are wrong, cut, of another case or too long let nobody in', async (context) => {
  const { ask, tokens, tokenOf } = await serve(context)
  const token = tokenOf('admin')
  const { text: short } = tokens.create({ name: 'x', role: 'admin', expiresAtMs: Date.now() - 1, createdBy: 'test' })
  const [id] = token.slice(4).split('_')
  const wrong = [
    token.slice(0, -1),
    `${token}x`,
    token.toUpperCase(),
    short,
    `rcd_${id}_${'A'.repeat(43)}`,
    'rcd_',
    'x'.repeat(8_000),
    '..',
  ]
  for (const each of wrong) assert.equal((await ask('/api/v1/tokens', { token: each })).status, 401, each)
  for (const authorization of ['Bearer', 'Basic', 'Basic !!!', 'Digest a=b', `Bearer ${token} ${token}`, 'null']) {
    assert.equal((await ask('/api/v1/tokens', { headers: { authorization } })).status, 401, authorization)
  }
  assert.equal((await ask('/api/v1/tokens', { token })).status, 200)
})

test('guesses at a password are slowed down by address', async (context) => {
  const { ask } = await serve(context)
  const statuses: number[] = []
  for (let i = 0; i < 12; i++) statuses.push((await ask('/api/v1/session', { login: `ada:guess${i}` })).status)
  assert.deepEqual(statuses.slice(0, 10), Array(10).fill(401))
  assert.ok(statuses.includes(429), String(statuses))
  const late = await ask('/api/v1/session', { login: 'ada:lovelace' })
  assert.deepEqual([late.status, Number(late.headers['retry-after']) > 0], [429, true])
})

test('a flood of requests is answered with 429, and a wait', async (context) => {
  const { ask } = await serve(context, { admin: { requestsPerSecond: 5 } })
  const all = await Promise.all(Array.from({ length: 60 }, () => ask('/api/v1/server')))
  const refused = all.filter(({ status }) => status === 429)
  assert.ok(refused.length > 0 && refused.length < 60)
  assert.ok(refused.every(({ headers }) => Number(headers['retry-after']) >= 1))
})

test('a request over the limit is refused late, and closes its connection without an answer to those behind it', async (context) => {
  const { port } = await serve(context, { admin: { requestsPerSecond: 1 } })
  const one = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const statuses = (await raw(port, one.repeat(9))).match(/(?<=HTTP\/1\.1 )\d{3}/g)
  assert.deepEqual(statuses, ['200', '200', '200', '200', '200', '429'])
  // Who sends on regardless is not even told.
  assert.doesNotMatch(await raw(port, one.repeat(100)), /HTTP\/1\.1 429/)
})

test('bodies that are too large, of another type or no JSON are refused', async (context) => {
  const { ask, tokenOf, port } = await serve(context)
  const token = tokenOf('operator')
  const publish = { method: 'POST', token }
  assert.equal((await ask('/api/v1/publish', { ...publish, raw: 'x'.repeat(2_000_000) })).status, 413)
  assert.equal((await ask('/api/v1/publish', { ...publish, raw: '{"topic":' })).status, 400)
  assert.equal((await ask('/api/v1/publish', { ...publish, raw: Buffer.from([0xff, 0xfe]) })).status, 400)
  const form = { 'content-type': 'text/plain' }
  assert.equal((await ask('/api/v1/publish', { ...publish, raw: '{"topic":"a"}', headers: form })).status, 415)
  const gzip = { 'content-encoding': 'gzip' }
  assert.equal((await ask('/api/v1/publish', { ...publish, raw: '{"topic":"a"}', headers: gzip })).status, 415)
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  assert.equal((await ask('/api/v1/publish', { ...publish, raw: deep })).status, 422)
  const proto = '{"topic":"a","__proto__":{"role":"admin"}}'
  assert.equal((await ask('/api/v1/publish', { ...publish, raw: proto })).status, 422)
  // A body without a length that never ends.
  const chunked = `POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
  const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`
  assert.match(await raw(port, chunked + chunk.repeat(40)), /^HTTP\/1\.1 413 /)
})

test('requests that are no HTTP, or are smuggled in another, end the connection', async (context) => {
  const { port, ask } = await serve(context)
  const both =
    'POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
  for (const text of [
    both,
    'nonsense\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
  ]) {
    assert.match(await raw(port, text), /^HTTP\/1\.1 4\d\d /)
  }
  assert.equal((await ask('/livez')).status, 200)
})

test('a Host header that is none is the fault of who sent it, and HTTP/1.0 needs none', async (context) => {
  const { port, lines } = await serve(context)
  assert.match(await raw(port, 'GET /livez HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 .*\{"status":"ok"\}$/s)
  // Without a name of this machine nobody is served without a login.
  assert.match(await raw(port, 'GET /api/v1/server HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 401 /)
  for (const host of ['a b/c@d', '[::1', 'x/../y', 'evil:99999999']) {
    const request = `GET /api/v1/server HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    assert.match(await raw(port, request), /^HTTP\/1\.1 400 .*application\/problem\+json/s, host)
  }
  assert.deepEqual(lines, [])
})

test('a connection whose answer is not read is closed after a time, and one that reads is not', async (context) => {
  const { admin, broker } = await serve(context)
  const timeouts: (number | undefined)[] = []
  const watched = http(async (request, response) => {
    await admin.handler(request, response)
    timeouts.push(request.socket.timeout)
  }, admin.serverOptions)
  const { port } = await broker.listen({ port: 0, host: '127.0.0.1', protocol: watched })
  // Answers that nobody reads, until the socket takes no more.
  const socket = connectSocket(port, '127.0.0.1').pause()
  context.after(() => socket.destroy())
  socket.on('error', () => undefined)
  socket.write('GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(300))
  while (!timeouts.includes(UNREAD_MS)) await new Promise((resolve) => setImmediate(resolve))
  const { keepAliveTimeout } = admin.serverOptions
  const text = await raw(port, 'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  assert.match(text, /^HTTP\/1\.1 200 /)
  assert.ok(keepAliveTimeout! <= UNREAD_MS)
})

test('paths lead nowhere else', async (context) => {
  const { ask, tokenOf } = await serve(context)
  const token = tokenOf('admin')
  for (const path of [
    '/api/v1/../../etc/passwd',
    '/api/v1/%2e%2e/%2e%2e/etc/passwd',
    '/api/v1/clients/..%2f..%2fetc',
    '/api/v1//server',
    '/api/v1/server/',
    '/API/v1/server',
    '/api/v1/server%00',
    '/api/v1/clients/%ff',
    '/api/v1/__proto__',
    '/api/v1/constructor',
    'http://evil.example/api/v1/nothing',
  ]) {
    const { status, text } = await ask(path, { token })
    assert.ok([400, 404].includes(status), `${path}: ${status} ${text}`)
  }
})

test('names with markup, quotes and line feeds come out as JSON, and nothing of them in a header', async (context) => {
  const { ask, mqttPort, tokenOf } = await serve(context)
  const token = tokenOf('operator')
  const name = '"><script>alert(1)</script>\u2028'
  const client = await connect(`mqtt://127.0.0.1:${mqttPort}`, { clientId: name })
  await client.publish(`t/${name}`, name, { qos: 1, retain: true })
  const clients = await ask('/api/v1/clients', { token })
  assert.equal(clients.headers['content-type'], 'application/json')
  assert.equal(clients.headers['x-content-type-options'], 'nosniff')
  assert.match(String(clients.headers['content-security-policy']), /default-src 'none'/)
  assert.equal(clients.json().items[0].clientId, name)
  assert.equal((await ask('/api/v1/retained', { token })).json().items[0].payload.text, name)
  const split = encodeURIComponent('x\r\nSet-Cookie: a=b')
  const missing = await ask(`/api/v1/clients/${split}`, { token })
  assert.deepEqual([missing.status, missing.headers['set-cookie']], [404, undefined])
  assert.equal((await ask(`/api/v1/clients/${encodeURIComponent(name)}`, { token })).status, 200)
  assert.equal((await ask(`/api/v1/clients/${encodeURIComponent(name)}`, { token, method: 'DELETE' })).status, 204)
  const scrape = await ask('/metrics', { token })
  assert.doesNotMatch(scrape.text, /<script/)
  await client.close().catch(() => undefined)
})

test('no page of another site reads or changes anything', async (context) => {
  const { ask } = await serve(context)
  const origin = 'https://evil.example'
  const got = await ask('/api/v1/clients', { headers: { origin } })
  assert.equal(got.headers['access-control-allow-origin'], undefined)
  const preflight = await ask('/api/v1/publish', { method: 'OPTIONS', headers: { origin } })
  assert.deepEqual([preflight.status, preflight.headers['access-control-allow-origin']], [405, undefined])
  const login = 'olga:ladyzhenskaya'
  const body = { topic: 'a' }
  assert.equal((await ask('/api/v1/publish', { method: 'POST', login, body, headers: { origin } })).status, 403)
  const forged = { method: 'POST', body: { username: 'olga', password: 'ladyzhenskaya' }, headers: { origin } }
  assert.equal((await ask('/api/v1/session', forged)).status, 403)
})

test('messages of the broker itself are not forged', async (context) => {
  const { ask, tokenOf } = await serve(context)
  const token = tokenOf('operator')
  for (const topic of ['$SYS/broker/version', '$CONTROL/dynamic-security/v1']) {
    assert.equal((await ask('/api/v1/publish', { method: 'POST', token, body: { topic } })).status, 403, topic)
  }
})

test('a flood of wrong tokens gets in nowhere, and MQTT clients go on', async (context) => {
  const { port, mqttPort, ask, tokenOf, lines } = await serve(context)
  const client = await connect(`mqtt://127.0.0.1:${mqttPort}`, { clientId: 'ada' })
  context.after(() => client.close())
  const messages = client.subscribe('t', { qos: 1 })
  await messages.ready
  const counts = new Map<string, number>()
  const wrong = `rcd_0123456789ab_${'A'.repeat(43)}`
  const one = `GET /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${wrong}\r\n\r\n`
  const floods = Array.from({ length: 10 }, async () => {
    const last = one.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
    const text = await raw(port, one.repeat(99) + last)
    for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d{3})/g)) counts.set(status!, (counts.get(status!) ?? 0) + 1)
  })
  for (let i = 0; i < 20; i++) {
    await client.publish('t', String(i), { qos: 1 })
    await messages.next()
  }
  await Promise.all(floods)
  // What comes behind a request that is refused is not answered.
  assert.ok(counts.get('401')! >= 500 && (counts.get('429') ?? 0) <= 10, JSON.stringify([...counts]))
  assert.ok([...counts.keys()].every((status) => status === '401' || status === '429'))
  assert.deepEqual(
    lines.filter((line) => line.includes('api.failed')),
    [],
  )
  // Once the flood is over, the address may ask again.
  const token = tokenOf('admin')
  while ((await ask('/api/v1/tokens', { token })).status !== 200) await new Promise((resolve) => setImmediate(resolve))
})

test('heads and bodies that do not come to their end are cut off', async (context) => {
  const { admin, broker, tokenOf, ask, port } = await serve(context)
  const hasty = { ...admin.serverOptions, headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 }
  const slow = await broker.listen({ port: 0, host: '127.0.0.1', protocol: http(admin.handler, hasty) })
  const head = `POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tokenOf('operator')}\r\n`
  assert.match(await raw(slow.port, head), /^HTTP\/1\.1 408 /)
  const body = 'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"topic":'
  assert.match(await raw(slow.port, head + body), /^(?:HTTP\/1\.1 408 .*)?/)
  // Those in use are short enough, too.
  const { headersTimeout, requestTimeout } = admin.serverOptions
  assert.ok(headersTimeout! <= 10_000 && requestTimeout! <= 20_000)
  assert.equal((await ask('/livez')).status, 200)
  assert.notEqual(port, slow.port)
})
