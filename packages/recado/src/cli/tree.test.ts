import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Broker, createBroker } from '@recado/broker'
import { freePort, run, TestIo } from '../testing/program.ts'
import { runTree } from './tree.ts'

async function brokerOf(
  context: TestContext,
  options: Parameters<typeof createBroker>[0] = {},
): Promise<{ broker: Broker; at: string[] }> {
  const broker = createBroker(options)
  context.after(() => broker.close())
  const { port } = await broker.listen({ port: 0 })
  return { broker, at: ['-h', '127.0.0.1', '-p', String(port)] }
}

async function fill(broker: Broker): Promise<void> {
  await broker.publish({ topic: 'home/lamp', payload: 'on', retain: true })
  await broker.publish({ topic: 'home/sensor', payload: Buffer.from('a26161016162820203', 'hex'), retain: true })
  await broker.publish({ topic: 'raw', payload: Uint8Array.of(0, 255, 1), retain: true })
}

test('into a pipe the tree is printed once, after some seconds', async (context) => {
  const { broker, at } = await brokerOf(context)
  await fill(broker)
  const { code, out, err } = await run('tree', ...at, '--for', '0.3')
  assert.deepEqual([code, err], [0, ''])
  assert.equal(
    out,
    '├─ home\n│  ├─ lamp = on  (retained)\n│  └─ sensor = {"a":1,"b":[2,3]}  (retained)\n└─ raw = 3 bytes: 00ff01  (retained)\n',
  )
  assert.equal((await run('tree', ...at, '--for', '0.3', '-t', 'raw')).out, 'raw = 3 bytes: 00ff01  (retained)\n')
  assert.equal((await run('tree', ...at, '--for', '0.3', '--depth', '1', '-t', 'home/#')).out, 'home/...  2 topics\n')
})

test('--json has every topic with its payload', async (context) => {
  const { broker, at } = await brokerOf(context)
  await fill(broker)
  const { out } = await run('tree', ...at, '--for', '0.3', '--json')
  const rest = { retain: true, qos: 0, messages: 0, rate: 0 }
  assert.deepEqual(JSON.parse(out), {
    topics: [
      { topic: 'home/lamp', ...rest, payload: 'on' },
      { topic: 'home/sensor', ...rest, payload: { a: 1, b: [2, 3] } },
      { topic: 'raw', ...rest, 'payload-base64': 'AP8B' },
    ],
    untracked: 0,
  })
})

test('on a terminal the tree is shown in place, and what others have sent is not obeyed', async (context) => {
  const { broker, at } = await brokerOf(context, { allowControlCharacters: true })
  await broker.publish({ topic: 'evil/\u009b2J', payload: '\u001b[2J', retain: true })
  const io = new TestIo()
  Object.assign(io.stdout, { isTTY: true, columns: 40, rows: 10 })
  const code = runTree(at, io)
  await io.until(() => io.out.includes('messages/s'))
  io.signals.emit('SIGINT')
  assert.equal(await code, 0)
  const [screen = '', after = ''] = io.out.split('\x1b[?25h\x1b[?1049l')
  assert.ok(screen.startsWith('\x1b[?1049h\x1b[?25l\x1b[H\x1b[J\x1b[H'))
  assert.match(
    screen,
    /evil\x1b\[K\r\n {2}└─ \\x9b2J = \\x1b\[2J {2}\(retained\)\x1b\[K\r\n1 topics, 0\.0 messages\/s\x1b\[K\x1b\[J/,
  )
  assert.equal(after, 'evil\n  └─ \\x9b2J = \\x1b[2J  (retained)\n')
})

test('-h is the host, and --help the help', async () => {
  const { code, out } = await run('tree', '--help')
  assert.equal(code, 0)
  assert.match(out, /-h, --host HOST/)
  assert.doesNotMatch(out, /-h, --help/)
})

test('what is wrong is one line and an exit code', async (context) => {
  const { at } = await brokerOf(context, { authenticate: () => ({ reasonCode: 0x86 }) })
  const refused = await run('tree', ...at)
  assert.equal(refused.code, 0x86)
  assert.match(refused.err, /^Connection error: Bad user name or password\n/)
  const nobody = await run('tree', '-h', '127.0.0.1', '-p', String(await freePort()))
  assert.deepEqual([nobody.code, nobody.err], [1, 'Error: Connection refused\n'])
  for (const [argv, expected] of [
    [
      ['-t', 'a/#/b'],
      'recado tree: -t a/#/b: not a Topic Filter (+ stands for one whole level, # for all levels at the end)\n',
    ],
    [['--for', 'x'], 'recado tree: --for needs a number above 0, not "x"\n'],
    [['-k', '1'], 'recado tree: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n'],
    [['--decode', 'xml'], 'recado tree: --decode xml: there is auto, json, cbor, msgpack, sparkplug\n'],
  ] as const) {
    assert.deepEqual(await run('tree', ...argv), { code: 1, out: '', err: expected })
  }
  const denied = await brokerOf(context, { authorize: { subscribe: () => false } })
  const { code, err } = await run('tree', ...denied.at)
  assert.deepEqual([code, err], [1, 'The subscription was denied: Not authorized.\n'])
})

test('the terminal is as it was after an error, which is printed behind it', async (context) => {
  const { at } = await brokerOf(context)
  const io = new TestIo()
  const broken = (): never => {
    throw new Error('no size')
  }
  Object.defineProperties(io.stdout, { isTTY: { value: true }, columns: { get: broken } })
  assert.equal(await runTree(at, io), 1)
  assert.ok(io.out.endsWith('\x1b[?25h\x1b[?1049l'), JSON.stringify(io.out))
  assert.equal(io.err, 'Error: no size\n')
})
