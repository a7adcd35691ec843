import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '@recado/client'
import { serve } from './testing/api.ts'

test('the API tells about the server, clients, sessions and subscriptions, in pages and sorted', async (context) => {
  const { ask, mqttPort, broker } = await serve(context)
  const ids = ['c1', 'c2', 'c3', 'c4', 'c5']
  const clients = await Promise.all(ids.map((clientId) => connect(`mqtt://127.0.0.1:${mqttPort}`, { clientId })))
  for (const [index, client] of clients.entries()) {
    for (let i = 0; i <= index; i++) await client.subscribe(`f/${i}`).ready
  }
  const server = await ask('/api/v1/server')
  assert.equal(server.status, 200, server.text)
  assert.equal(server.json().version, '1.2.3')
  const first = (await ask('/api/v1/clients?limit=2')).json()
  assert.deepEqual(
    first.items.map((each: { clientId: string }) => each.clientId),
    ['c1', 'c2'],
  )
  const second = (await ask(`/api/v1/clients?limit=10&cursor=${first.next}`)).json()
  assert.deepEqual([second.items.length, second.next], [3, null])
  const idsOf = (page: { items: { clientId: string }[] }): string[] => page.items.map(({ clientId }) => clientId)
  const most = (await ask('/api/v1/clients?sort=-subscriptions&limit=2')).json()
  assert.deepEqual(idsOf(most), ['c5', 'c4'])
  const next = (await ask(`/api/v1/clients?sort=-subscriptions&limit=2&cursor=${most.next}`)).json()
  assert.deepEqual(idsOf(next), ['c3', 'c2'])
  assert.deepEqual(idsOf((await ask('/api/v1/clients?q=C3')).json()), ['c3'])
  assert.deepEqual(idsOf((await ask('/api/v1/sessions?topicFilter=f/4')).json()), ['c5'])
  assert.deepEqual(idsOf((await ask('/api/v1/subscriptions?topic=f/3')).json()), ['c4', 'c5'])
  assert.equal((await ask('/api/v1/clients/c1')).json().session.subscriptions, 1)
  assert.equal((await ask('/api/v1/clients/none')).status, 404)
  for (const client of clients) await client.close()
  while (broker.clients().length > 0) await new Promise((resolve) => setImmediate(resolve))
})

test('an operator publishes, retains, disconnects and ends sessions; each change is in the audit log', async (context) => {
  const { ask, mqttPort, tokenOf, lines } = await serve(context)
  const token = tokenOf('operator')
  const client = await connect(`mqtt://127.0.0.1:${mqttPort}`, { clientId: 'ada', reconnect: false })
  const messages = client.subscribe('a/#')
  await messages.ready
  const sent = await ask('/api/v1/publish', {
    method: 'POST',
    token,
    body: { topic: 'a/b', payload: 'hello', qos: 1, retain: true },
  })
  assert.deepEqual([sent.status, sent.json()], [200, { reasonCode: 0 }])
  for await (const { topic, payload } of messages) {
    assert.deepEqual([topic, Buffer.from(payload).toString()], ['a/b', 'hello'])
    break
  }
  const retained = (await ask('/api/v1/retained/message?topic=a/b', { token })).json()
  assert.equal(retained.payload.text, 'hello')
  const levels = (await ask('/api/v1/topics?below=a', { token })).json()
  assert.deepEqual(levels.items, [
    { name: 'b', topic: 'a/b', hasMessage: true, hasBelow: false, messages: 1, published: 1 },
  ])
  const gone = await ask('/api/v1/retained?topicFilter=a/%23', { method: 'DELETE', token })
  assert.deepEqual(gone.json(), { messages: 1 })
  assert.equal((await ask('/api/v1/retained/message?topic=a/b', { token })).status, 404)
  assert.equal((await ask('/api/v1/clients/ada', { method: 'DELETE', token })).status, 204)
  assert.equal((await ask('/api/v1/clients/ada', { method: 'DELETE', token })).status, 404)
  const { items } = (await ask('/api/v1/audit', { token })).json()
  assert.deepEqual(
    items.map((line: { operation: string }) => line.operation),
    ['disconnectClient', 'deleteRetained', 'publish'],
  )
  assert.ok(lines.some((line) => line.includes('published 5 bytes to "a/b"')))
  await client.close().catch(() => undefined)
})

test('roles: a viewer changes nothing, an operator makes no tokens, and who has no role gets nothing', async (context) => {
  const { ask } = await serve(context)
  const body = { topic: 'a', payload: 'b' }
  const publish = (login: string) => ask('/api/v1/publish', { method: 'POST', login, body })
  assert.equal((await publish('vera:rubin')).status, 403)
  assert.equal((await publish('bob:builder')).status, 403)
  assert.equal((await publish('olga:wrong')).status, 401)
  assert.equal((await publish('olga:ladyzhenskaya')).status, 200)
  const token = { name: 't', role: 'viewer' }
  assert.equal((await ask('/api/v1/tokens', { method: 'POST', login: 'olga:ladyzhenskaya', body: token })).status, 403)
  const made = await ask('/api/v1/tokens', { method: 'POST', login: 'ada:lovelace', body: token })
  assert.equal(made.status, 201)
  const { text, id } = made.json()
  assert.equal((await ask('/api/v1/session', { token: text })).json().role, 'viewer')
  assert.equal((await ask(`/api/v1/tokens/${id}`, { method: 'DELETE', login: 'ada:lovelace' })).status, 204)
  assert.equal((await ask('/api/v1/session', { token: text })).status, 401)
})

test('a session by cookie needs its second secret for a change, and ends at logout', async (context) => {
  const { ask } = await serve(context)
  const body = { username: 'olga', password: 'ladyzhenskaya' }
  const begun = await ask('/api/v1/session', { method: 'POST', body })
  assert.equal(begun.status, 200)
  const [set = ''] = begun.headers['set-cookie'] ?? []
  assert.match(set, /^recado_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
  const cookie = set.split(';')[0]!
  const { csrf } = begun.json()
  const publish = (headers: Record<string, string>) =>
    ask('/api/v1/publish', { method: 'POST', body: { topic: 'a' }, headers: { cookie, ...headers } })
  assert.equal((await publish({})).status, 403)
  assert.equal((await publish({ 'x-recado-csrf': csrf })).status, 200)
  assert.equal((await publish({ 'x-recado-csrf': csrf, origin: 'https://evil.example' })).status, 403)
  assert.equal((await publish({ 'x-recado-csrf': csrf, 'sec-fetch-site': 'cross-site' })).status, 403)
  const session = { headers: { cookie } }
  assert.equal((await ask('/api/v1/session', session)).json().user, 'olga')
  assert.equal((await ask('/api/v1/session', { method: 'DELETE', ...session })).status, 204)
  assert.equal((await ask('/api/v1/session', session)).json().user, 'anonymous')
})

test('without a login only this machine gets in, by a name of this machine, and only to look', async (context) => {
  const { ask } = await serve(context)
  assert.equal((await ask('/api/v1/clients')).status, 200)
  for (const headers of [
    { host: 'evil.example' },
    { host: '127.0.0.1.evil.example' },
    { 'x-forwarded-for': '10.0.0.1' },
    { forwarded: 'for=10.0.0.1' },
  ]) {
    assert.equal((await ask('/api/v1/clients', { headers })).status, 401, JSON.stringify(headers))
  }
  assert.equal((await ask('/api/v1/publish', { method: 'POST', body: { topic: 'a' } })).status, 403)
  assert.equal((await ask('/api/v1/retained')).status, 403)
  assert.equal((await ask('/livez', { headers: { host: 'evil.example' } })).status, 200)
})

test('/metrics has every metric of the table with its unit; /livez and /readyz answer', async (context) => {
  const problems: string[] = []
  const { ask } = await serve(context, { host: { problems: () => problems } })
  const text = await ask('/metrics')
  assert.equal(text.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  assert.match(text.text, /^# TYPE recado_messages_received_total counter$/m)
  assert.match(text.text, /^recado_dropped_messages_total\{reason="queue-full"\} 0$/m)
  assert.match(text.text, /^recado_received_bytes_total \d+$/m)
  assert.match(text.text, /^recado_store_lag_seconds 0$/m)
  const open = await ask('/metrics', { headers: { accept: 'application/openmetrics-text; version=1.0.0' } })
  assert.match(open.text, /^# TYPE recado_messages_received counter$/m)
  assert.ok(open.text.endsWith('# EOF\n'))
  const names = text.text.split('\n').filter((line) => line.startsWith('# TYPE '))
  assert.equal(new Set(names).size, names.length, 'no family stands twice')
  assert.deepEqual((await ask('/livez')).json(), { status: 'ok' })
  assert.deepEqual((await ask('/readyz')).json(), { status: 'ok', problems: [] })
  problems.push('The disk is full.')
  assert.equal((await ask('/readyz')).status, 503)
})

test('answers have an ETag, and problems say what to do', async (context) => {
  const { ask } = await serve(context)
  const first = await ask('/api/v1/openapi.json')
  const etag = first.headers.etag!
  assert.equal((await ask('/api/v1/openapi.json', { headers: { 'if-none-match': etag } })).status, 304)
  const wrong = await ask('/api/v1/clients?limit=0&sort=x')
  assert.equal(wrong.status, 422)
  assert.equal(wrong.headers['content-type'], 'application/problem+json')
  assert.equal(wrong.json().faults[0].where, 'query.limit')
  const sort = await ask('/api/v1/clients?sort=x')
  assert.match(sort.json().detail, /take one of clientId, /)
  assert.equal((await ask('/api/v1/nothing')).status, 404)
  const method = await ask('/api/v1/clients', { method: 'PUT', body: {} })
  assert.deepEqual([method.status, method.headers.allow], [405, 'GET'])
  assert.equal((await ask('/api/v1/clients?cursor=xx')).status, 400)
})

test('/metrics has histograms of sampled messages and the numbers of each listener, in both forms', async (context) => {
  const { ask, mqttPort, broker } = await serve(context)
  const client = await connect(`mqtt://127.0.0.1:${mqttPort}`, { clientId: 'ada' })
  context.after(() => client.close())
  const messages = client.subscribe('t', { qos: 1 })
  await messages.ready
  await client.publish('t', 'x', { qos: 1 })
  await messages.next()
  let text = ''
  // The values are those of the end of the turn.
  while (!/^recado_publish_to_acknowledge_seconds_count 1$/m.test(text)) text = (await ask('/metrics')).text
  assert.match(text, /^# TYPE recado_publish_to_deliver_seconds histogram$/m)
  assert.match(text, /^recado_publish_to_deliver_seconds_bucket\{le="\+Inf"\} 1$/m)
  assert.match(text, /^recado_publish_to_deliver_seconds_bucket\{le="0\.0001"\} [01]$/m)
  assert.match(text, /^recado_commit_seconds_count 0$/m)
  assert.match(text, /^# TYPE recado_listener_messages_received_total counter$/m)
  const [view] = await broker.inspect.listeners()
  assert.match(text, new RegExp(`^recado_listener_messages_received_total\\{listener="${view!.listener}"\\} 1$`, 'm'))
  assert.match(text, /^recado_listener_clients\{listener="[^"]+"\} 1$/m)
  const { text: open, headers } = await ask('/metrics', { headers: { accept: 'application/openmetrics-text' } })
  assert.equal(headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  assert.match(open, /^# TYPE recado_listener_messages_received counter$/m)
  assert.match(open, /\n# EOF\n$/)
})

test('topics that are published to have their last publisher and their rate', async (context) => {
  const { ask, mqttPort, broker } = await serve(context)
  const ada = await connect(`mqtt://127.0.0.1:${mqttPort}`, { clientId: 'ada' })
  context.after(() => ada.close())
  for (let i = 0; i < 3; i++) await ada.publish('a/1', 'x', { qos: 1 })
  await broker.publish({ topic: 'b', payload: 'x', retain: true })
  const { items } = (await ask('/api/v1/publications?sort=-messages')).json()
  assert.deepEqual(
    items.map(({ topic, clientId, qos, retain, messages }: Record<string, unknown>) => [
      ...[topic, clientId, qos, retain, messages],
    ]),
    [
      ['a/1', 'ada', 1, false, 3],
      ['b', null, 0, true, 1],
    ],
  )
  assert.equal((await ask('/api/v1/publications?topicFilter=a/%23&client=ada&limit=1')).json().items.length, 1)
  assert.equal((await ask('/api/v1/publications?sort=colour')).status, 400)
  const off = await serve(context, { admin: { decisionsMax: 0 } })
  assert.equal((await off.ask('/api/v1/publications')).status, 501)
})
