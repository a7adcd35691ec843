import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Broker, createBroker, type ListenOptions } from '@recado/broker'
import { testCertificate, testKey } from '@recado/client/testing'
import { triedStatements } from '../doctor/conformance.ts'
import type { Finding } from '../doctor/findings.ts'
import { addressOf, clientOf, openStream } from '../doctor/target.ts'
import { freePort, run, temporaryFolder } from '../testing/program.ts'

interface Report {
  server: string
  faults: number
  warnings: number
  limits: Record<string, unknown> | null
  findings: Finding[]
}

async function examined(...argv: string[]): Promise<{ code: number; report: Report }> {
  const { code, out, err } = await run('doctor', '--json', ...argv)
  assert.equal(err, '')
  return { code, report: JSON.parse(out) as Report }
}

async function brokerOf(
  context: TestContext,
  options: Parameters<typeof createBroker>[0] = {},
  listen: ListenOptions = {},
): Promise<{ broker: Broker; port: number }> {
  const broker = createBroker(options)
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0, ...listen })
  return { broker, port }
}

const texts = ({ findings }: Report, state: Finding['state']): string[] =>
  findings.filter((each) => each.state === state).map(({ text }) => text)

test('of our own broker all is well, and nothing is left on it', async (context) => {
  const { broker, port } = await brokerOf(context)
  const { code, report } = await examined(`mqtt://localhost:${port}`)
  assert.deepEqual(texts(report, 'fault'), [])
  assert.deepEqual(texts(report, 'warning'), [])
  assert.equal(code, 0)
  assert.equal(report.limits?.['Maximum QoS'], 2)
  assert.match(
    texts(report, 'ok').join('\n'),
    /MQTT 5\.0[\s\S]*MQTT 3\.1\.1[\s\S]*MQTT 3\.1 [\s\S]*Wills\n[\s\S]*\d+ statements of the specification are kept/,
  )
  const { retained, subscriptions } = broker.metrics() as unknown as Record<string, number>
  assert.deepEqual([retained ?? 0, subscriptions], [0, 0])
  const { out } = await run('doctor', `localhost:${port}`, '--skip-specification')
  assert.match(
    out,
    /^network\n {2}ok {6}localhost is [\s\S]*\n\nlimits\n {2}note {4}Maximum QoS: 2\n[\s\S]*\nmqtt:\/\/localhost:\d+: 0 faults, 0 warnings\n$/,
  )
})

test('after a trusted handshake later connections take no other certificate', async (context) => {
  const { port } = await brokerOf(context, {}, { tls: { cert: testCertificate, key: testKey } })
  for (const isCertificateChecked of [true, false]) {
    const target = {
      ...addressOf(`mqtts://ada:secret@localhost:${port}`),
      ...{ topic: 'recado/doctor', tls: {}, isCertificateChecked, timeoutMs: 60_000 },
    }
    const client = clientOf(target)
    const connected = client.connect().then(
      () => true,
      () => false,
    )
    assert.equal(await connected, !isCertificateChecked)
    await client.close()
    if (isCertificateChecked)
      await assert.rejects(openStream(target), /the certificate of localhost is not trusted, and nothing was sent/)
    else (await openStream(target)).destroy()
  }
})

test('by TLS and WebSocket, with a login', async (context) => {
  const folder = temporaryFolder(context)
  writeFileSync(join(folder, 'ca.pem'), testCertificate)
  const passwords: (string | undefined)[] = []
  const authenticate = ({ connect }: { connect: { username?: string | null; password?: Uint8Array } }): boolean => {
    passwords.push(connect.username === 'ada' ? Buffer.from(connect.password ?? []).toString() : undefined)
    return connect.username === 'ada'
  }
  const { port } = await brokerOf(context, { authenticate } as never, {
    tls: { cert: testCertificate, key: testKey },
    webSocket: true,
  })
  const url = `wss://ada:secret@localhost:${port}/mqtt`
  const trusted = await examined(url, '--cafile', join(folder, 'ca.pem'))
  assert.deepEqual(texts(trusted.report, 'fault'), [])
  assert.equal(trusted.code, 0)
  assert.match(trusted.report.server, /^wss:\/\/localhost:\d+\/mqtt$/)
  assert.ok(texts(trusted.report, 'ok').includes('clients without a user name are refused'))
  assert.ok(!JSON.stringify(trusted.report).includes('secret'))
  assert.ok(passwords.includes('secret'))

  passwords.length = 0
  const untrusted = await examined(url, '--skip-specification')
  const [chain, kept] = texts(untrusted.report, 'fault')
  assert.match(chain!, /^the chain of certificates is not trusted: /)
  assert.equal(kept, 'user name and password are not sent: the server may be another one')
  // It lets nobody in without them.
  assert.equal(untrusted.code, 2)
  assert.deepEqual([...new Set(passwords)], [undefined])

  const insecure = await examined(url, '--skip-specification', '--insecure')
  assert.deepEqual([texts(insecure.report, 'fault'), insecure.code], [[chain], 1])
  assert.ok(passwords.includes('secret'))
})

test('who may not publish there is told to name another topic', async (context) => {
  const may = (topic: string): boolean => topic.startsWith('mine/')
  const { port } = await brokerOf(context, {
    authorize: {
      publish: (_, topic) => may(topic),
      subscribe: (_, { topicFilter }) => may(topicFilter.replace('$share/doctor/', '')),
    },
  })
  const denied = await examined(`mqtt://localhost:${port}`, '--skip-specification')
  assert.deepEqual(texts(denied.report, 'fault'), [])
  assert.match(
    JSON.stringify(denied.report.findings),
    /allowed are perhaps other topics: --topic TOPIC \(now recado\/doctor\)/,
  )
  const allowed = await examined(`mqtt://localhost:${port}`, '--skip-specification', '--topic', 'mine/test')
  assert.ok(texts(allowed.report, 'ok').includes('retained messages'))
})

/** A server that says yes to everything. */
async function pushover(context: TestContext): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      // CONNACK of 3.1.1 or 5.0, by the level in CONNECT; and PINGRESP for whatever ends with PINGREQ.
      if (chunk[0] === 0x10) socket.write(chunk[8] === 5 ? Buffer.of(0x20, 3, 0, 0, 0) : Buffer.of(0x20, 2, 0, 0))
      if (chunk.at(-2) === 0xc0) socket.write(Buffer.of(0xd0, 0))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

test('a server that takes everything is told which statements it breaks', async (context) => {
  const port = await pushover(context)
  const { code, report } = await examined(`mqtt://127.0.0.1:${port}`, '--timeout', '0.3')
  assert.equal(code, 1)
  const broken = report.findings.filter(({ statement }) => statement !== undefined)
  assert.ok(
    broken.some(
      ({ statement, text }) =>
        statement === 'MQTT-3.1.0-2' &&
        text === 'a second CONNECT is not refused: the answer is no packet that may come there',
    ),
  )
  assert.ok(
    broken.some(
      ({ statement, text }) =>
        statement === 'MQTT-3.3.1-4' &&
        text === 'a PUBLISH with QoS 3 is not refused: it goes on as if nothing had happened',
    ),
  )
  assert.ok(broken.some(({ statement, text }) => statement === 'MQTT-3.10.4-5' && text.endsWith('there was no answer')))
  assert.match(texts(report, 'fault').join('\n'), /QoS 1: .*no answer within 0\.3 s/)
})

test('what cannot be examined is exit code 2, in time', async (context) => {
  const closed = await examined(`mqtt://127.0.0.1:${await freePort()}`)
  assert.deepEqual([closed.code, texts(closed.report, 'fault').length], [2, 1])
  const unknown = await examined('mqtt://broker.invalid')
  assert.equal(unknown.code, 2)
  assert.match(texts(unknown.report, 'fault')[0]!, /^the name broker\.invalid has no address/)
  const silent = createServer((socket) => socket.on('error', () => {}))
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  context.after(() => silent.close())
  const { port } = silent.address() as AddressInfo
  const mute = await examined(`mqtt://127.0.0.1:${port}`, '--timeout', '0.2')
  assert.equal(mute.code, 2)
  const noTls = await examined(`mqtts://127.0.0.1:${port}`, '--timeout', '0.2')
  assert.match(texts(noTls.report, 'fault')[0]!, /^no TLS: TLS handshake: no answer within 0\.2 s/)
  const { port: guarded } = await brokerOf(context, { authenticate: () => false })
  const refused = await examined(`mqtt://localhost:${guarded}`)
  assert.equal(refused.code, 2)
  assert.match(texts(refused.report, 'fault')[0]!, /^MQTT 5\.0: CONNECT is refused: /)
})

test('arguments that are wrong are one line', async () => {
  for (const [argv, expected] of [
    [[], 'recado doctor: URL missing, see recado doctor --help\n'],
    [['http://x'], 'recado doctor: http: is not a protocol for MQTT; use mqtt, mqtts, ws, wss or mqtt+unix\n'],
    [['mqtt://x', '--timeout', '0'], 'recado doctor: --timeout needs seconds, at most 300, not "0"\n'],
    [['mqtt://x', '--topic', 'a/#'], 'recado doctor: --topic a/#: not a Topic Name of at most 100 characters\n'],
    [['mqtt://x', '--cert', 'x'], "recado doctor: ENOENT: no such file or directory, open 'x'\n"],
  ] as const) {
    assert.deepEqual(await run('doctor', ...argv), { code: 1, out: '', err: expected })
  }
})

test('the statements that are tried are statements', () => {
  const page = readFileSync(new URL('../../../../docs/conformance.md', import.meta.url), 'utf8')
  const [five = '', three = ''] = page.split('## MQTT 3.1.1')
  for (const statement of triedStatements) {
    const [, old, number] = /^MQTT-(3\.1\.1:)?([\d.]+-\d+)$/.exec(statement) ?? []
    if (number === undefined) assert.match(statement, /^section [\d.]+ of 5\.0$/)
    else assert.ok((old === undefined ? five : three).includes(`| ${number} |`), statement)
  }
})
