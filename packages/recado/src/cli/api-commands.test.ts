import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from '@recado/client'
import { main } from '../main.ts'
import { freePort, Program, run, TestIo, temporaryFolder } from '../testing/program.ts'
import { durationText } from './status.ts'
import { lineOf } from './trace.ts'
import { timeOf } from './why.ts'

/** A broker with the HTTP API, and a token for it. */
async function started(context: TestContext): Promise<{ program: Program; url: string; token: string }> {
  const file = join(temporaryFolder(context), 'tokens.json')
  const api = await freePort()
  const { code, out } = await run('token', 'create', 'test', '--role', 'operator', '--file', file)
  assert.equal(code, 0)
  const program = await Program.start(context, await freePort(), [
    `listener ${api} 127.0.0.1`,
    'protocol http_api',
    `http_api_token_file ${file}`,
  ])
  return { program, url: `http://127.0.0.1:${api}`, token: out.trim() }
}

test('recado why answers in a sentence, and --json with all of it', async (context) => {
  const { program, url, token } = await started(context)
  const client = await connect(`mqtt://127.0.0.1:${program.port}`, { clientId: 'ada' })
  context.after(() => client.close())
  await client.subscribe('other/#').ready
  await client.publish('sensors/1', 'x', { qos: 1 })
  process.env['RECADO_TOKEN'] = token
  context.after(() => delete process.env['RECADO_TOKEN'])
  const { code, out, err } = await run('why', '-t', 'sensors/1', '--client', 'ada', '--url', url)
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, /^ada .*subscri[^\n]*\n$/)
  const json = JSON.parse((await run('why', '-t', 'sensors/1', '--client', 'ada', '--url', url, '--json')).out)
  assert.equal(`${json.sentence}\n`, out)
  await program.stop('SIGTERM')
})

test('recado trace prints each step, ends with its seconds or a signal, and needs a token', async (context) => {
  const { program, url, token } = await started(context)
  const client = await connect(`mqtt://127.0.0.1:${program.port}`, { clientId: 'ada' })
  context.after(() => client.close())
  const subscription = client.subscribe('sensors/#', { qos: 1 })
  await subscription.ready
  const refused = await run('trace', '-t', 'sensors/#', '--url', url)
  assert.equal(refused.code, 1)
  assert.match(refused.err, /^recado trace: /)
  process.env['RECADO_TOKEN'] = token
  context.after(() => delete process.env['RECADO_TOKEN'])
  const io = new TestIo()
  const ended = main(['trace', '-t', 'sensors/#', '--url', url, '--payload'], io)
  // Until the trace has begun, steps are not seen.
  while (!io.out.includes('acknowledged')) {
    await client.publish('sensors/1', 'hello', { qos: 1 })
    await subscription.next()
  }
  for (const step of ['received', 'matched', 'sent'])
    assert.match(io.out, new RegExp(`^[\\d:.]{12} ${step} +ada sensors/1`, 'm'))
  io.signals.emit('SIGINT')
  assert.equal(await ended, 0)
  assert.equal(io.signals.listenerCount('SIGINT'), 0)
  const short = await run('trace', '--client', 'nobody', '--seconds', '1', '--url', url)
  assert.deepEqual(short, { code: 0, out: '', err: '' })
  await program.stop('SIGTERM')
})

test('recado status says how a broker is; --ready is for health checks', async (context) => {
  const { program, url } = await started(context)
  const client = await connect(`mqtt://127.0.0.1:${program.port}`, { clientId: 'ada' })
  context.after(() => client.close())
  const { code, out, err } = await run('status', '--url', url)
  assert.deepEqual([code, err], [0, ''])
  assert.match(
    out,
    /^ready\nrecado \S+ on [^\n]+, process \d+\nrunning for [^\n]+ of memory\n {11}1 {2}clients connected\n/,
  )
  assert.deepEqual(await run('status', '--ready', '--url', url), { code: 0, out: 'ready\n', err: '' })
  const json = JSON.parse((await run('status', '--json', '--url', url)).out)
  assert.deepEqual([json.status, json.server.pid, json.metrics.clients], ['ok', program.child.pid, 1])
  await program.stop('SIGTERM')
  assert.equal((await run('status', '--ready', '--url', url)).code, 1)
})

test('a broker that cannot be used is exit code 1, with its problems', async (context) => {
  const answer = { status: 'not ready', problems: ['the store does not take writes: no space'] }
  const server = createServer((_request, response) => {
    response.writeHead(503, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }).listen(0, '127.0.0.1')
  context.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `127.0.0.1:${(server.address() as AddressInfo).port}`
  assert.deepEqual(await run('status', '--ready', '--url', url), {
    code: 1,
    out: 'NOT READY\n  the store does not take writes: no space\n',
    err: '',
  })
  for (const [seconds, text] of [
    [0, '0 s'],
    [59.9, '59 s'],
    [3_600, '1 h'],
    [273_845, '3 d 4 h'],
  ] as const)
    assert.equal(durationText(seconds), text)
})

test('who cannot be asked is said, with what to do', async (context) => {
  const port = await freePort()
  const page = createServer((_request, response) => response.end('<p>hello</p>')).listen(0, '127.0.0.1')
  context.after(() => page.close())
  await new Promise((resolve) => page.once('listening', resolve))
  const other = (page.address() as AddressInfo).port
  // As an MQTT broker does with a request.
  const mqtt = createTcpServer((socket) => socket.on('error', () => {}).on('data', () => socket.destroy()))
  mqtt.listen(0, '127.0.0.1')
  context.after(() => mqtt.close())
  await new Promise((resolve) => mqtt.once('listening', resolve))
  const mqttPort = (mqtt.address() as AddressInfo).port
  for (const [argv, error] of [
    [
      ['why', '-t', 'a', '--url', `127.0.0.1:${port}`],
      `why: 127.0.0.1:${port}: nothing listens there. The broker needs a listener`,
    ],
    [
      ['why', '-t', 'a', '--url', `127.0.0.1:${other}`],
      `why: 127.0.0.1:${other} answers, but not as Recado's HTTP API does`,
    ],
    [
      ['why', '-t', 'a', '--url', `127.0.0.1:${mqttPort}`],
      `why: 127.0.0.1:${mqttPort}: what listens there does not speak HTTP`,
    ],
    [['why', '-t', 'a', '--url', 'http://x/api'], 'why: --url http://x/api: expected an address without a path'],
    [['why'], 'why: -t TOPIC missing'],
    [['why', '-t', 'a/#'], 'why: -t a/#: a message has a topic without wildcards'],
    [['why', '-t', 'a', '--at', 'noon'], 'why: --at noon: expected a time such as'],
    [['trace'], 'trace: which messages? Give -t FILTER'],
    [['trace', '-t', 'a/#/b'], 'trace: -t a/#/b: not a Topic Filter'],
    [['trace', '-t', 'a', '--seconds', '0'], 'trace: --seconds 0: give a whole number from 1 to 3600'],
  ] as const) {
    const { code, err } = await run(...argv)
    assert.equal(code, 1, argv.join(' '))
    assert.ok(err.startsWith(`recado ${error}`), err)
  }
})

test('a time of day is the last one; a step is one line', () => {
  const now = new Date(2026, 10, 29, 0, 10)
  assert.equal(timeOf('23:58', now), String(new Date(2026, 10, 28, 23, 58).getTime()))
  assert.equal(timeOf('0:09:30', now), String(new Date(2026, 10, 29, 0, 9, 30).getTime()))
  assert.equal(timeOf('2026-11-29T14:03:07Z', now), String(Date.UTC(2026, 10, 29, 14, 3, 7)))
  assert.equal(timeOf(undefined, now), undefined)
  assert.equal(
    lineOf({ atMs: 0, step: 'dropped', clientId: 'a\nb', topic: 't', reason: 'queue-full', qos: 1, user: null }),
    '00:00:00.000 dropped      a\\x0ab t reason=queue-full qos=1',
  )
})
