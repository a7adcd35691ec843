import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Broker, createBroker } from '@recado/broker'
import { testCertificate, testKey } from '@recado/client/testing'
import { lessons } from '../learn/lessons.ts'
import { main } from '../main.ts'
import { printed, run, TestIo, temporaryFolder } from '../testing/program.ts'

async function brokerOf(
  context: TestContext,
  options: Parameters<typeof createBroker>[0] = {},
): Promise<{ broker: Broker; url: string }> {
  const broker = createBroker(options)
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0 })
  return { broker, url: `mqtt://127.0.0.1:${port}` }
}

/** The broker hears of the end of a connection a moment later. */
async function nothingIsLeft(broker: Broker): Promise<void> {
  while (broker.metrics().connections > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const { sessions, retainedMessages } = broker.metrics()
  assert.deepEqual([sessions, retainedMessages], [0, 0])
}

test('each page of docs/learn has a lesson', async () => {
  const folder = fileURLToPath(new URL('../../../../docs/learn', import.meta.url))
  const pages = readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md')
  assert.deepEqual(lessons.map(({ name }) => `${name}.md`).sort(), pages.sort())
  const list = await printed('learn', '--language', 'es')
  assert.equal(list.split('\n').length, lessons.length + 1)
  assert.match(list, /^sessions +sesiones, mensajes retenidos, Wills$/m)
})

for (const { name } of lessons)
  test(`the lesson ${name} plays to its end in both languages, and leaves nothing`, async (context) => {
    const { broker, url } = await brokerOf(context)
    const [english, spanish] = [
      await printed('learn', '--language', 'en', name, url),
      await printed('learn', '--language', 'es', name, url),
    ]
    const packets = (text: string): string[] =>
      [...text.matchAll(/ -> [^\n]*? {2}([A-Z]+) {2}/g)].map(([, type]) => type!)
    assert.deepEqual(packets(spanish), packets(english))
    assert.ok(packets(english).length >= 4)
    assert.doesNotMatch(english, /no field of this packet/)
    await nothingIsLeft(broker)
  })

test('the bytes of each field are explained; --brief leaves them out', async (context) => {
  const { url } = await brokerOf(context)
  const whole = await printed('learn', '--language', 'en', 'publishing', url)
  assert.match(
    whole,
    /\npublisher -> server {2}PUBLISH {2}\d+ bytes\n {5}1 {2}3c {26}packet type 3, PUBLISH; flags 1100 \(DUP, QoS 2\)\n/,
  )
  const brief = await printed('learn', '--language', 'en', '--brief', 'publishing', url)
  assert.doesNotMatch(brief, /packet type/)
  assert.match(brief, /\nserver -> publisher {2}PUBREC {2}4 bytes\n\npublisher -> server/)
})

test('a server with logins refuses the wrong one, and lets in whom the command line names', async (context) => {
  const { url } = await brokerOf(context, {
    authenticate: ({ connect: { username, password } }) =>
      username === 'ada' && new TextDecoder().decode(password) === 'secret',
  })
  const withUser = url.replace('//', '//ada:secret@')
  const text = await printed('learn', '--language', 'en', 'security', withUser)
  assert.match(text, /Connect Reason Code 0x87: Not Authorized/)
  assert.match(text, /\nserver -> stranger {2}\(the server closes the connection\)\n/)
  const { code, err } = await run('learn', '--language', 'en', 'bytes', url)
  assert.equal(code, 1)
  assert.match(
    err,
    /^recado learn: the server refuses the connection \(.*\); log in with -u NAME and RECADO_PASSWORD\n$/,
  )
})

test('a server whose certificate is not trusted gets no password, but with --insecure', async (context) => {
  const passwords: string[] = []
  const broker = createBroker({
    authenticate: ({ connect: { password } }) => {
      passwords.push(new TextDecoder().decode(password))
      return true
    },
  })
  context.after(() => broker.close())
  const tls = { cert: testCertificate, key: testKey }
  const [plain, webSocket] = [
    await broker.listen({ port: 0, tls }),
    await broker.listen({ port: 0, tls, webSocket: true }),
  ]
  const ca = join(temporaryFolder(context), 'ca.pem')
  writeFileSync(ca, testCertificate)
  for (const url of [
    `mqtts://ada:secret@localhost:${plain.port}`,
    `wss://ada:secret@localhost:${webSocket.port}/mqtt`,
  ]) {
    const learn = ['learn', '--language', 'en', 'publishing', url]
    const { code, err } = await run(...learn)
    assert.equal(code, 1)
    assert.match(err, /^recado learn: the certificate of localhost is not trusted, and nothing was sent: .*--cafile/)
    assert.deepEqual(passwords.splice(0), [])
    await printed(...learn, '--insecure')
    await printed(...learn, '--cafile', ca)
    assert.ok(passwords.splice(0).every((password) => password === 'secret'))
  }
  const other = `mqtts://ada:secret@127.0.0.1:${plain.port}`
  const { err } = await run('learn', '--language', 'en', 'publishing', other, '--cafile', ca)
  assert.match(err, /^recado learn: the certificate of 127\.0\.0\.1 is not trusted, .*altnames/)
  assert.deepEqual(passwords, [])
})

test('on a terminal it waits for Enter, and q ends it', async (context) => {
  const { broker, url } = await brokerOf(context)
  const io = new TestIo(true)
  Object.assign(io.stdin, { isTTY: true })
  Object.assign(io.stdout, { isTTY: true })
  const ended = main(['learn', '--language', 'en', 'sessions', url], io)
  // Behind the first CONNACK it waits.
  while (!io.out.includes('CONNACK')) await new Promise((resolve) => setImmediate(resolve))
  assert.doesNotMatch(io.out, /SUBACK/)
  io.stdin.write('\n')
  while (!io.out.includes('SUBACK')) await new Promise((resolve) => setImmediate(resolve))
  io.stdin.write('q\n')
  assert.equal(await ended, 0)
  assert.doesNotMatch(io.out, /Session Present: 1/)
  await nothingIsLeft(broker)
})

test('wrong arguments say what to write', async () => {
  for (const [argv, error] of [
    [['bites'], 'there is no lesson "bites", did you mean "bytes"? The lessons are bytes, connecting'],
    [['--language', 'fr'], '--language fr: there is en, es'],
    [['bytes', 'http://x'], 'http: is not a protocol for MQTT'],
    [['bytes', '-t', 'a/#'], '--topic a/#: not a Topic Name of at most 100 characters'],
  ] as const) {
    const { code, err } = await run('learn', ...argv)
    assert.equal(code, 1)
    assert.ok(err.startsWith(`recado learn: ${error}`), err)
  }
})
