import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { main } from '../main.ts'
import { run, TestIo } from '../testing/program.ts'
import type { ClientRow } from './clients.ts'
import { columns, type Overview, plainLines, screenLines } from './top-screen.ts'

const client = (clientId: string, more: Partial<ClientRow['session']> = {}): ClientRow => ({
  ...{ clientId, username: null, protocolVersion: 5, remoteAddress: '127.0.0.1:5', listener: '*:1883', tls: null },
  ...{ connectedAtMs: 0, keepAliveSeconds: 60, waitingBytes: 2_048, isCongested: false, will: null },
  traffic: { bytesReceived: 1, bytesSent: 2, messagesReceived: 3, messagesSent: 4 },
  rates: { bytesReceived: 1, bytesSent: 2, messagesReceived: 1_234, messagesSent: 0.5 },
  session: {
    ...{ isDurable: false, expirySeconds: 0, subscriptions: 1, queuedMessages: 7, queuedBytes: 70, inflight: 2 },
    droppedMessages: 0,
    ...more,
  },
})

const overview: Overview = {
  ...{ status: 'ok', problems: [], version: '1.2.3', host: 'pi', uptimeSeconds: 3_700, residentBytes: 64 * 1_048_576 },
  rates: { messagesReceived: 1_234, messagesSent: 0.5, bytesReceived: 2_048, bytesSent: 0, dropped: 3 },
  values: { clients: 2, sessions: 3, subscriptions: 4, retainedMessages: 5, queuedMessages: 7, inflight: 2 },
  dropped: { expired: 2, 'queue-full': 1_000, loop: 0 },
  clients: [client('ada'), client('b\x1b[2Job', { queuedMessages: 0 })],
}

test('the table has the broker above and its clients below', () => {
  assert.deepEqual(plainLines(overview), [
    'recado 1.2.3 on pi, up 1 h 1 min, 64.0 MiB of memory: ready',
    'clients 2  sessions 3  subscriptions 4  retained 5  slow readers 0',
    'in 1234/s (2.0 KiB/s)  out 0.50/s (0 B/s)  queued 7  in flight 2  store lag 0 ms',
    'dropped 3.00/s: queue-full 1,000, expired 2',
    '',
    'CLIENT      USER  IN/S  OUT/S  QUEUE  FLIGHT  DROPS  WAITING  SUBS  ADDRESS',
    'ada         -     1234   0.50      7       2      0  2.0 KiB     1  127.0.0.1:5',
    'b\\x1b[2Job  -     1234   0.50      0       2      0  2.0 KiB     1  127.0.0.1:5',
  ])
  const none = plainLines({
    ...overview,
    status: 'not ready',
    problems: ['the disk is full'],
    dropped: {},
    clients: [],
  })
  assert.match(none[0]!, /: NOT READY: the disk is full$/)
  assert.deepEqual([none[3], none.at(-1)], ['dropped 3.00/s, none since the start', 'no clients are connected'])
})

test('a screen has no more and no wider lines than the terminal', () => {
  const options = { column: columns.find(({ name }) => name === 'queue')!, isStopped: false, fault: null }
  const lines = screenLines(overview, { ...options, width: 40, height: 6 })
  assert.equal(lines.length, 6)
  assert.ok(lines.every((line) => [...line].length <= 40))
  assert.match(screenLines(overview, { ...options, width: 200, height: 24 })[4]!, / \*QUEUE /)
  assert.deepEqual(screenLines(overview, { ...options, width: 20, height: 1 }), ['q end  r turn  c cl…'])
  const gone = screenLines(overview, { ...options, width: 80, height: 24, fault: 'nothing listens there' })
  assert.equal(gone.at(-1), '! nothing listens there')
  assert.match(screenLines(overview, { ...options, width: 80, height: 24, isStopped: true }).at(-1)!, /^stopped/)
})

/** An API that counts what it is asked for, and may stop answering. */
async function api(context: TestContext) {
  const state = { isGone: false, sorts: [] as string[], limits: [] as number[] }
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://api')
    if (state.isGone) {
      response.destroy()
      return
    }
    const answer = (): object => {
      switch (pathname) {
        case '/readyz':
          return { status: 'ok', problems: [] }
        case '/api/v1/server':
          return { version: '1.2.3', host: 'pi', uptimeSeconds: 1, memory: { residentBytes: 1 } }
        case '/api/v1/metrics':
          return { metrics: [{ name: 'clients', value: 2 }] }
        case '/api/v1/history':
          return { series: { messagesReceived: [1, 2], messagesSent: [] } }
        case '/api/v1/drops':
          return { byReason: {} }
        default:
          state.sorts.push(searchParams.get('sort')!)
          state.limits.push(Number(searchParams.get('limit')))
          return { items: [client('ada')] }
      }
    }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer()))
  }).listen(0, '127.0.0.1')
  context.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  return { state, url: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}

test('recado top prints a plain table once where stdout is no terminal, and JSON on demand', async (context) => {
  const { state, url } = await api(context)
  const { code, out, err } = await run('top', '--sort', 'queue', '--limit', '5', '--url', url)
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, /^recado 1\.2\.3 on pi, up 1 s, 1 B of memory: ready\nclients 2 /)
  assert.match(out, /\nin 2\.00\/s [^\n]*out 0\.00\/s/)
  assert.deepEqual([state.sorts, state.limits], [['-queuedMessages'], [5]])
  const json = JSON.parse((await run('top', '--json', '--url', url)).out)
  assert.deepEqual([json.values, json.clients[0].clientId], [{ clients: 2 }, 'ada'])
  assert.equal((await run('top', '--sort', 'colour', '--url', url)).code, 1)
  state.isGone = true
  const gone = await run('top', '--url', url)
  assert.deepEqual([gone.code, gone.out], [1, ''])
})

test('on a terminal keys sort, a broker that goes is said, and the terminal is as it was afterwards', async (context) => {
  const { state, url } = await api(context)
  const io = new TestIo()
  const raw: boolean[] = []
  Object.assign(io.stdin, { isTTY: true, isRaw: false, setRawMode: (isRaw: boolean) => raw.push(isRaw) })
  Object.assign(io.stdout, { isTTY: true, columns: 100, rows: 12 })
  const ended = main(['top', '--every', '3600', '--url', url], io)
  await io.until(() => io.out.includes('*IN/S'))
  assert.ok(io.out.startsWith('\x1b[?1049h\x1b[?25l'))
  io.stdin.write('u')
  await io.until(() => io.out.includes('*QUEUE'))
  io.stdin.write('r')
  while (state.sorts.at(-1) !== 'queuedMessages') await new Promise((resolve) => setImmediate(resolve))
  io.stdin.write('c')
  while (state.sorts.at(-1) !== 'clientId') await new Promise((resolve) => setImmediate(resolve))
  Object.assign(io.stdout, { columns: 60, rows: 8 })
  io.stdout.emit('resize')
  while (state.limits.at(-1) !== 8) await new Promise((resolve) => setImmediate(resolve))
  state.isGone = true
  // Those of the last requests may still come.
  while (!io.out.includes('\n! ')) {
    io.stdin.write('i')
    await new Promise((resolve) => setImmediate(resolve))
  }
  io.stdin.write(' ')
  io.stdin.write('q')
  assert.equal(await ended, 0)
  assert.ok(io.out.endsWith('\x1b[?25h\x1b[?1049l'))
  assert.deepEqual(raw, [true, false])
  assert.equal(io.signals.listenerCount('SIGINT'), 0)
  assert.equal(io.stdout.listenerCount('resize'), 0)
})

test('a signal ends it, too', async (context) => {
  const { url } = await api(context)
  const io = new TestIo()
  Object.assign(io.stdout, { isTTY: true, columns: 80, rows: 24 })
  const ended = main(['top', '--url', url], io)
  await io.until(() => io.out.includes('*IN/S'))
  io.signals.emit('SIGTERM')
  assert.equal(await ended, 0)
  assert.ok(io.out.endsWith('\x1b[?1049l'))
})
