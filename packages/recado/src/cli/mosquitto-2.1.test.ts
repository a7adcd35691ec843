/* Options that Mosquitto 2.1 added to its clients, on a broker of our own: there is no 2.1 among the peers. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { getServers, setServers } from 'node:dns'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { type Broker, createBroker, type ListenOptions } from '@recado/broker'
import { connect } from '@recado/client'
import { testCertificate, testKey } from '@recado/client/testing'
import { runPub } from './pub.ts'
import { latencyLine, runRr } from './rr.ts'
import { runSub } from './sub.ts'
import { hasColour } from './terminal.ts'

class Recorder extends Writable {
  text = ''
  readonly changed: EventEmitter = new EventEmitter()

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    this.changed.emit('change')
    done()
  }
}

interface Running {
  readonly code: Promise<number>
  readonly stdout: Recorder
  readonly stderr: Recorder
  readonly signals: EventEmitter
}

const tools = { pub: runPub, sub: runSub, rr: runRr }

function start(tool: keyof typeof tools, ...argv: string[]): Running {
  const [stdout, stderr, signals] = [new Recorder(), new Recorder(), new EventEmitter()]
  const io = { stdin: Readable.from([]), stdout, stderr, signals, env: {} }
  return { code: tools[tool](argv, io), stdout, stderr, signals }
}

async function run(tool: keyof typeof tools, ...argv: string[]): Promise<[code: number, out: string, err: string]> {
  const running = start(tool, ...argv)
  return [await running.code, running.stdout.text, running.stderr.text]
}

async function brokerOf(context: TestContext, options: ListenOptions = {}): Promise<{ broker: Broker; at: string[] }> {
  const broker = createBroker()
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0, ...options })
  return { broker, at: ['-h', 'localhost', '-p', String(port)] }
}

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'recado-cli-'))
  context.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const tls = { cert: testCertificate, key: testKey }

test('--ws and -L ws:// speak MQTT in a WebSocket, also with TLS and over a unix-domain socket', async (context) => {
  const folder = folderOf(context)
  const ca = join(folder, 'ca.pem')
  writeFileSync(ca, testCertificate)
  const message = ['-t', 'a', '-m', 'x', '-q', '1']
  const plain = await brokerOf(context, { webSocket: true })
  assert.deepEqual(await run('pub', ...plain.at, '--ws', ...message), [0, '', ''])
  const url = `ws://localhost:${plain.at[3]}/a`
  assert.deepEqual(await run('pub', '-L', url, '-m', 'x', '-q', '1'), [0, '', ''])
  assert.notEqual((await run('pub', ...plain.at, ...message))[0], 0, 'without --ws it is no WebSocket')
  const secure = await brokerOf(context, { webSocket: true, tls })
  const keylog = join(folder, 'keys')
  const trusted = ['--cafile', ca, '--tls-keylog', keylog]
  assert.deepEqual(await run('pub', ...secure.at, '--ws', ...trusted, ...message), [0, '', ''])
  assert.match(readFileSync(keylog, 'utf8'), /^CLIENT_HANDSHAKE_TRAFFIC_SECRET |\nCLIENT_HANDSHAKE_TRAFFIC_SECRET /)
  const path = join(folder, 'socket')
  await brokerOf(context, { path, webSocket: true })
  assert.deepEqual(await run('pub', '--unix', path, '--ws', ...message), [0, '', ''])
})

test('--tls-keylog writes the secrets of the connection, for the user alone; --insecure as in 2.1 takes any certificate', async (context) => {
  const folder = folderOf(context)
  const [ca, keylog] = [join(folder, 'ca.pem'), join(folder, 'keys')]
  writeFileSync(ca, testCertificate)
  const { at } = await brokerOf(context, { tls })
  const message = ['-t', 'a', '-m', 'x', '-q', '1']
  assert.deepEqual(await run('pub', ...at, '--cafile', ca, '--tls-keylog', keylog, ...message), [0, '', ''])
  assert.match(readFileSync(keylog, 'utf8'), /^(?:[A-Z_0-9]+ [0-9a-f]+ [0-9a-f]+\n)+$/)
  assert.equal(statSync(keylog).mode & 0o777, 0o600)
  const unwritable = await run('pub', ...at, '--cafile', ca, '--tls-keylog', join(folder, 'no', 'keys'), ...message)
  assert.equal(unwritable[0], 1)
  assert.match(unwritable[2], /^Error: Problem setting TLS options: .*keys cannot be written/)
  const untrusted = [...at, '--tls-use-os-certs', '--insecure', ...message]
  assert.equal((await run('pub', ...untrusted))[0], 1)
  assert.equal((await run('pub', '--as-mosquitto', '2.0', ...untrusted))[0], 1)
  assert.deepEqual(await run('pub', '--as-mosquitto', '2.1', ...untrusted), [0, '', ''])
})

/** Answers each question for an SRV record with one: this target and port. */
async function nameServer(context: TestContext, target: string, port: number): Promise<string[]> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (query, from) => {
    const labels: string[] = []
    let at = 12
    for (; query[at] !== 0; at += 1 + query[at]!) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
    const name = labels.join('.')
    asked.push(name)
    const isKnown = name.endsWith('.example')
    const head = Buffer.from(query.subarray(0, at + 5))
    head.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2)
    head.writeUInt16BE(isKnown ? 1 : 0, 6)
    head.writeUInt16BE(0, 8)
    head.writeUInt16BE(0, 10)
    const host = Buffer.concat([
      ...target.split('.').map((each) => Buffer.from(`${String.fromCharCode(each.length)}${each}`)),
      Buffer.of(0),
    ])
    const record = Buffer.alloc(18)
    record.writeUInt16BE(0xc00c, 0)
    record.writeUInt16BE(33, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt32BE(60, 6)
    record.writeUInt16BE(6 + host.length, 10)
    record.writeUInt16BE(port, 16)
    socket.send(isKnown ? Buffer.concat([head, record, host]) : head, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const before = getServers()
  setServers([`127.0.0.1:${socket.address().port}`])
  context.after(() => {
    setServers(before)
    socket.close()
  })
  return asked
}

test('-S finds the server by the SRV records of a domain', async (context) => {
  const { at } = await brokerOf(context)
  const asked = await nameServer(context, 'localhost', Number(at[3]))
  const message = ['-t', 'a', '-m', 'x', '-q', '1']
  assert.deepEqual(await run('pub', '-S', '-h', 'home.example', ...message), [0, '', ''])
  assert.deepEqual(asked, ['_mqtt._tcp.home.example'])
  assert.deepEqual(await run('pub', '-S', '-h', 'home.invalid', ...message), [
    1,
    '',
    'Unable to connect (Lookup error.).\n',
  ])
  asked.length = 0
  await run('pub', '-S', '-h', 'home.example', '--tls-use-os-certs', ...message)
  assert.deepEqual(asked, ['_secure-mqtt._tcp.home.example'])
})

test('--latency says how long a response took, in the unit that suits', async (context) => {
  const { at } = await brokerOf(context)
  const responder = await connect(`mqtt://localhost:${at[3]}`)
  context.after(() => responder.destroy())
  await responder.respond('ask', {}, () => 'answer').ready
  const [code, out, err] = await run('rr', ...at, '-t', 'ask', '-e', 'reply', '-n', '--latency', '-W', '20')
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, /^answer\nLatency: (?:\d+\.\d{6}(?:ms|µs)|\d\.\d{9})\n$/)
  assert.deepEqual([999n, 1_500n, 2_345_678n, 1_020_000_003n].map(latencyLine), [
    'Latency: 999ns\n',
    'Latency: 1.500000µs\n',
    'Latency: 2.345678ms\n',
    'Latency: 1.020000003\n',
  ])
})

test('--message-rate counts each second and prints no message; -w writes each topic on a line of its own', async (context) => {
  const { broker, at } = await brokerOf(context)
  const rate = start('sub', ...at, '-t', 'a/#', '--message-rate')
  const watch = start('sub', ...at, '-t', 'a/#', '-w', '-F', '%t=%p', '-C', '3')
  await until(() => broker.metrics().subscriptions === 2)
  for (const [topic, payload] of [
    ['a/1', 'one'],
    ['a/2', 'two'],
    ['a/1', 'again'],
  ] as const) {
    await broker.publish({ topic, payload })
  }
  assert.equal(await watch.code, 0)
  assert.equal(
    watch.stdout.text,
    '\x1b[2J\x1b[1;1HBroker: localhost\n' +
      '\x1b[2;1H\x1b[Ka/1=one\n\x1b[2;1H\n\x1b[3;1H\x1b[Ka/2=two\n\x1b[3;1H\n\x1b[2;1H\x1b[Ka/1=again\n\x1b[3;1H\n',
  )
  const seen = (): number => [...rate.stdout.text.matchAll(/\d+/g)].reduce((sum, [count]) => sum + Number(count), 0)
  while (seen() < 3) await once(rate.stdout.changed, 'change')
  rate.signals.emit('SIGINT')
  assert.equal(await rate.code, 0)
  assert.match(rate.stdout.text, /^(?:\d\n)+$/)
  assert.equal(seen(), 3)
})

/** Looks again whenever something happens. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve))
}

test('-U alone ends subscriptions of a kept session, and -E ends when that is done', async (context) => {
  const { broker, at } = await brokerOf(context)
  const kept = [...at, '-i', 'me', '-c', '-q', '1', '-E']
  assert.equal((await run('sub', ...kept, '-t', 'a'))[0], 0)
  assert.equal(broker.metrics().subscriptions, 1)
  assert.deepEqual(await run('sub', ...kept, '-U', 'a'), [0, '', ''])
  assert.equal(broker.metrics().subscriptions, 0)
  const old = await run('sub', '--as-mosquitto', '2.0', ...kept, '-U', 'a')
  assert.equal(old[2].split('\n')[0], 'Error: You must specify a topic to subscribe to.')
})

test('the manner of Mosquitto: names in texts, --version, exit codes of help', async () => {
  const [code, out] = await run('sub', '--as-mosquitto', '2.1', '--version')
  assert.equal(code, 1)
  assert.match(out, /^mosquitto_sub version 2\.1\.2 running on recado \d+\.\d+\.\d+\.\n$/)
  const help = await run('pub', '--as-mosquitto', '2.0', '--help')
  assert.equal(help[0], 1)
  assert.match(help[1], /^mosquitto_pub: publish/)
  assert.equal((await run('pub', '--help'))[0], 0)
  assert.deepEqual(await run('rr', '--as-mosquitto', '3'), [1, '', 'Error: --as-mosquitto needs 2.0 or 2.1.\n'])
  assert.match(
    (await run('rr', '-d', '--as-mosquitto', '2.0'))[2],
    /^Error: --as-mosquitto must be the first argument\./,
  )
  assert.match((await run('pub', '--as-mosquitto', '2.1', '--nope'))[2], /Use 'mosquitto_pub --help' to see usage\.\n$/)
})

test('--mptcp is a warning, as Node has no Multipath TCP', async (context) => {
  const { at } = await brokerOf(context)
  const [code, , err] = await run('pub', ...at, '--mptcp', '-t', 'a', '-m', 'x')
  assert.deepEqual(
    [code, err],
    [0, 'Warning: --mptcp: Node has no Multipath TCP, the connection is one of plain TCP.\n'],
  )
})

test('where 2.0 and 2.1 have other words, each manner has its own', async (context) => {
  const { at } = await brokerOf(context)
  for (const [argv, old, since] of [
    [['-L', 'invalid://'], 'Error: unsupported URL scheme.', 'Error: Unsupported URL scheme.'],
    [
      ['-D', 'invalid', 'receive-maximum', '1'],
      'Error: Invalid command given in --property argument.',
      'Error: Invalid command invalid given in --property argument.',
    ],
    [
      ['-D', 'connect', 'invalid', '1'],
      'Error: Invalid property name given in --property argument.',
      'Error: Invalid property name invalid given in --property argument.',
    ],
    [
      [...at, '-t', 'a', '-f', '/nowhere/missing'],
      'Error: Unable to open file "/nowhere/missing".',
      'Error: Unable to read file "/nowhere/missing": No such file or directory.',
    ],
  ] as const) {
    const first = async (...manner: string[]): Promise<string> =>
      (await run('pub', ...manner, ...argv))[2].split('\n')[0]!
    assert.deepEqual(
      [await first('--as-mosquitto', '2.0'), await first('--as-mosquitto', '2.1'), await first()],
      [old, since, since],
    )
  }
  assert.match((await run('sub', '-o', 'a', '-o', 'b'))[2], /^Error: Duplicate -o argument given\.\n/)
})

test('colours are for terminals that have them, unless NO_COLOR says no', () => {
  const [terminal, pipe] = [{ isTTY: true }, {}]
  assert.deepEqual(
    [
      hasColour(terminal, {}),
      hasColour(terminal, { NO_COLOR: '' }),
      hasColour(terminal, { NO_COLOR: '1' }),
      hasColour(terminal, { TERM: 'dumb' }),
      hasColour(pipe, {}),
    ],
    [true, true, false, false, false],
  )
})

test('--json prints each message as a line of JSON, bytes that are no text in base64', async (context) => {
  const { broker, at } = await brokerOf(context)
  await broker.publish({ topic: 'a', payload: '{"on":true}', retain: true })
  await broker.publish({ topic: 'b', payload: 'text', retain: true })
  await broker.publish({ topic: 'c', payload: Uint8Array.of(0, 255), retain: true })
  const [code, out] = await run('sub', ...at, '-t', '#', '-C', '3', '--json')
  assert.equal(code, 0)
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(lines.map(({ topic, payload, 'payload-base64': bytes }) => [topic, payload ?? bytes]).sort(), [
    ['a', { on: true }],
    ['b', 'text'],
    ['c', 'AP8='],
  ])
  const [, decoded] = await run('sub', ...at, '-t', 'a', '-C', '1', '-v', '--decode', 'json', '--pretty')
  assert.equal(decoded, 'a {\n\t"on":\ttrue\n}\n')
  const [, , complaint] = await run('sub', ...at, '-t', 'b', '-C', '1', '--decode', 'cbor')
  assert.equal(complaint, 'Error: Message payload is not valid CBOR on topic b.\n')
})
