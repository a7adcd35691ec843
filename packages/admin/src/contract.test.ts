/** The OpenAPI document and the API agree: its examples work, and requests made at random get the statuses that it names. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { AdminHost } from './host.ts'
import { openApi } from './http/openapi.ts'
import type { Operation } from './http/operation.ts'
import { type Got, type Served, serve } from './testing/api.ts'

/** Program that can everything. */
const host: Partial<AdminHost> = {
  listeners: () => [
    {
      ...{ name: '*:1883', address: '*:1883', protocol: 'mqtt', tls: false, allowAnonymous: true },
      certificateExpiresAtMs: null,
    },
  ],
  bridges: () => [
    {
      ...{ name: 'b', state: 'connected', address: 'other:1883', connections: 1, lastError: '', nextTrySeconds: null },
      ...{ lagSeconds: 0, queuedMessages: 0, inFlight: 0 },
    },
  ],
  configuration: async () => ({
    file: null,
    settings: [{ name: 'persistence', value: 'true', from: 'default' }],
    lints: [{ level: 'note', where: 'default configuration', text: 'x' }],
  }),
  checkRights: () => ({ isAllowed: true, by: 'acl:1: topic readwrite #' }),
  bans: () => [{ kind: 'clientid', name: 'noisy', untilMs: 1, by: 'ada' }],
  ban: () => undefined,
  unban: () => false,
  reload: async () => ({ isDone: true, lines: ['read again'] }),
  setPassword: async (username) => (username === 'ada' ? 'done' : 'no-user'),
  backup: async () => ({ bytes: 3, stream: Readable.from([Buffer.from('mdb')]) }),
  logTypes: () => ['error'],
  setLogTypes: () => undefined,
  disk: async () => ({ fileBytes: 1, freeBytes: 2 }),
}

async function served(context: TestContext): Promise<Served & { token: string }> {
  const api = await serve(context, { host, admin: { requestsPerSecond: 100_000 } })
  await api.broker.publish({ topic: 'sensors/1/temperature', payload: '21.5', retain: true })
  return { ...api, token: api.tokenOf('admin') }
}

const statusesOf = ({ operation, document }: { operation: Operation; document: Document }): string[] =>
  Object.keys(document.paths[operation.path]![operation.method]!.responses)

interface Document {
  readonly paths: Record<string, Record<string, { responses: Record<string, unknown> }>>
}

function request(operation: Operation, query: string, body: unknown): { path: string; body?: unknown } {
  const path = query === '' ? operation.path : `${operation.path}?${query}`
  return body === undefined ? { path } : { path, body }
}

test('every example of the API works, and its answer is as the document says', async (context) => {
  const { admin, ask, token } = await served(context)
  for (const operation of await admin.operations()) {
    const { example, method, answer, mediaType } = operation
    if (example === undefined) continue
    const { path, body } = request(operation, example.query ?? '', example.body)
    const got = await ask(path, { method: method.toUpperCase(), token, ...(body === undefined ? {} : { body }) })
    assert.ok(got.status < 300, `${operation.id}: ${got.status} ${got.text}`)
    if (answer === null || mediaType !== undefined) continue
    const value = got.json() as unknown
    const parsed = answer.safeParse(value)
    assert.ok(parsed.success, `${operation.id}: ${parsed.error?.message}`)
    // What no schema names would be missing now.
    assert.deepEqual(parsed.data, value, operation.id)
  }
})

test('every operation has a description that is complete, and an id of its own', async (context) => {
  const { admin } = await served(context)
  const ids = (await admin.operations()).map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  for (const { id, path, params, method, body } of await admin.operations()) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!)
    assert.deepEqual(Object.keys(params?.shape ?? {}), named, id)
    assert.ok(method !== 'get' || body === undefined, `${id}: GET has no body`)
  }
})

/** Text that is hard: empty, long, with wildcards, NUL, markup, half characters. */
const text = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'a/b',
    '+',
    '#',
    '$SYS/x',
    '\0',
    '<script>',
    '../..',
    '%',
    '🙂',
    '-1',
    '1e9',
    'true',
    'null',
  ),
  fc.string({ unit: 'binary', maxLength: 50 }),
)
const value = fc.oneof(
  text,
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.double(),
  fc.array(text, { maxLength: 3 }),
  fc.dictionary(text, text, { maxKeys: 3 }),
)

function fieldsOf(schema: { shape?: Record<string, unknown> } | undefined): string[] {
  return Object.keys(schema?.shape ?? {})
}

test('whatever is sent, the answer has a status of the document, and failures are problem documents', async (context) => {
  const { admin, ask, token, lines } = await served(context)
  const document = openApi(await admin.operations(), '1') as unknown as Document
  const isKnown = (operation: Operation, { status, headers, text: body }: Got): void => {
    assert.ok(statusesOf({ operation, document }).includes(String(status)), `${operation.id}: ${status} ${body}`)
    if (status < 400) return
    const type = status === 503 && operation.id === 'isReady' ? 'application/json' : 'application/problem+json'
    assert.equal(headers['content-type'], type, operation.id)
  }
  for (const operation of await admin.operations()) {
    // A stream goes on for its time.
    if (operation.mediaType === 'text/event-stream') continue
    const [params, query, fields] = [operation.params, operation.query, operation.body].map((each) =>
      fieldsOf(each as never),
    )
    const some = (names: string[] | undefined, of: fc.Arbitrary<unknown>): fc.Arbitrary<Record<string, unknown>> =>
      fc.record(Object.fromEntries((names ?? []).map((name) => [name, of])), { requiredKeys: [] })
    const asked = fc.record({
      params: fc.record(Object.fromEntries((params ?? []).map((name) => [name, text.filter((each) => each !== '')]))),
      query: some(query, text),
      body: fc.oneof(some(fields, value), value),
    })
    await fc.assert(
      fc.asyncProperty(asked, async (each) => {
        let path = operation.path
        for (const [name, of] of Object.entries(each.params)) {
          const part = encodeURIComponent(Buffer.from(String(of)).toString())
          // A path of dots is another path.
          path = path.replace(`{${name}}`, /^\.+$/.test(part) ? 'x' : part)
        }
        const search = new URLSearchParams(each.query as Record<string, string>).toString()
        const method = operation.method.toUpperCase()
        const body = operation.body === undefined ? {} : { body: each.body ?? null }
        isKnown(operation, await ask(`${path}${search === '' ? '' : `?${search}`}`, { method, token, ...body }))
      }),
      { numRuns: 10, endOnFailure: true, includeErrorInReport: true },
    )
  }
  assert.deepEqual(
    lines.filter((line) => line.includes('api.failed')),
    [],
  )
})

test('an address that is none is not banned', async (context) => {
  const banned: string[] = []
  const ban = (kind: string, name: string): void => void banned.push(`${kind} ${name}`)
  const { ask, tokenOf } = await serve(context, { host: { ban } })
  const token = tokenOf('operator')
  for (const [name, status] of [
    ['foo bar', 422],
    ['192.0.2.300', 422],
    ['192.0.2.7', 201],
    ['2001:db8::7', 201],
  ] as const) {
    const answer = await ask('/api/v1/bans', { method: 'POST', token, body: { kind: 'address', name } })
    assert.equal(answer.status, status, answer.text)
  }
  assert.deepEqual(banned, ['address 192.0.2.7', 'address 2001:db8::7'])
})
