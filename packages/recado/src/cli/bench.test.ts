/** `recado bench` as `main` runs it, on a broker in this process. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { createServer } from 'node:net'
import { PassThrough, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { type Broker, type BrokerOptions, createBroker, type Observer } from '@recado/broker'
import type { Io } from '../io.ts'
import { main } from '../main.ts'
import type { BenchResult } from './bench-report.ts'

class TestIo implements Io {
  readonly stdin: PassThrough = new PassThrough()
  readonly signals: EventEmitter = new EventEmitter()
  out = ''
  err = ''
  readonly stdout: Writable = new Writable({
    write: (chunk, _encoding, done) => {
      this.out += String(chunk)
      done()
    },
  })
  readonly stderr = {
    write: (text: string): void => {
      this.err += text
    },
  }
  exit(): void {
    throw new Error('exit')
  }
}

async function brokerOf(context: TestContext, options: BrokerOptions = {}): Promise<{ broker: Broker; port: number }> {
  const broker = createBroker(options)
  const { port } = await broker.listen({ port: 0, host: '127.0.0.1' })
  context.after(() => broker.close())
  return { broker, port }
}

async function bench(
  port: number,
  line: string,
  io: TestIo = new TestIo(),
): Promise<{ code: number; result: BenchResult }> {
  const code = await main(['bench', ...line.split(' '), '-h', '127.0.0.1', '-p', String(port), '--json', '--quiet'], io)
  assert.equal(io.err, '')
  return { code, result: JSON.parse(io.out) as BenchResult }
}

for (const qos of [0, 1, 2]) {
  for (const version of [4, 5]) {
    test(`pair counts every message at QoS ${qos} of version ${version}, as fast as it goes`, async (context) => {
      const { port } = await brokerOf(context)
      const { code, result } = await bench(port, `pair -c 3 -q ${qos} -V ${version} -L 1000 -s 64`)
      assert.equal(code, 0)
      const { connections, published, receivedTotal, expected, lost, duplicated, outOfOrder, latencyUs, ackUs } = result
      assert.deepEqual(
        { connections, published, receivedTotal, expected, lost, duplicated, outOfOrder },
        { connections: 6, published: 1000, receivedTotal: 1000, expected: 1000, lost: 0, duplicated: 0, outOfOrder: 0 },
      )
      assert.equal(latencyUs?.count, 1000)
      assert.equal(ackUs?.count, qos === 0 ? undefined : 1000)
    })
  }
}

test('pair at a fixed rate sends what is due, whoever is the subscriber', async (context) => {
  const { port } = await brokerOf(context)
  const { code, result } = await bench(port, 'pair -c 10 --subs 1 -I 10 -q 1 -L 100')
  assert.equal(code, 0)
  assert.equal(result.expected, 100)
  assert.equal(result.receivedTotal, 100)
  assert.ok(result.elapsedSeconds > 0.05, `${result.elapsedSeconds} s for 100 messages at 1,000/s`)
})

test('a Shared Subscription gets each message once, and gaps of its members are not losses', async (context) => {
  const { port } = await brokerOf(context)
  const { code, result } = await bench(port, 'pair -c 4 --subs 3 --filter $share/g/recado/bench/+ -q 1 -L 400')
  assert.equal(code, 0)
  assert.equal(result.receivedTotal, 400)
  assert.equal(result.expected, 400)
})

test('more subscribers than topics: several to a topic', async (context) => {
  const { port } = await brokerOf(context)
  const { result } = await bench(port, 'pair -c 2 --subs 6 -L 100')
  assert.equal(result.expected, 300)
  assert.equal(result.receivedTotal, 300)
})

test('sub counts what pub of another run sends, until its limit', async (context) => {
  let subscribed: () => void = () => {}
  const isSubscribed = new Promise<void>((resolve) => {
    subscribed = resolve
  })
  const { port } = await brokerOf(context, { observer: { 'subscription.made': () => subscribed() } })
  const sub = bench(port, 'sub -c 1 -q 1 -t recado/# -L 50')
  await isSubscribed
  const pub = await bench(port, 'pub -c 5 -q 1 -I 0 -L 50')
  assert.equal(pub.code, 0)
  assert.equal(pub.result.published, 50)
  const { code, result } = await sub
  assert.equal(code, 0)
  assert.equal(result.receivedTotal, 50)
  assert.equal(result.lost, 0)
})

/** Calls back when the broker has so many clients, once they have read their CONNACK. */
function observerOf(clients: number, then: () => void): Observer {
  let connected = 0
  return {
    'client.connected': () => {
      if (++connected === clients) setImmediate(then)
    },
  }
}

test('conn opens connections and holds them until a signal', async (context) => {
  const io = new TestIo()
  const { port } = await brokerOf(context, { observer: observerOf(20, () => io.signals.emit('SIGINT')) })
  // The broker has accepted the last one; the signal may be here before its CONNACK is.
  const { code, result } = await bench(port, 'conn -c 20', io)
  assert.equal(code, 0)
  assert.ok(result.connections >= 1 && result.connections <= 20, `${result.connections} connections`)
  assert.equal(result.connectUs?.count, result.connections)
  assert.equal(io.signals.eventNames().length, 0)
})

test('a run that has lost all its connections ends, with exit code 2 and the reason', async (context) => {
  let broker: Broker | null = null
  const opened = await brokerOf(context, {
    observer: { 'subscription.made': () => setImmediate(() => void broker?.close()) },
  })
  broker = opened.broker
  const { code, result } = await bench(opened.port, 'sub -c 1')
  assert.equal(code, 2)
  assert.equal(result.disconnects, 1)
  assert.deepEqual(result.failures, { 'DISCONNECT: Server Shutting Down': 1 })
})

test('a broker that refuses makes exit code 1 and a reason', async (context) => {
  const { port } = await brokerOf(context, { authenticate: () => false })
  const { code, result } = await bench(port, 'pair -c 1 -L 1')
  assert.equal(code, 1)
  assert.equal(result.connections, 0)
  assert.match(Object.keys(result.failures ?? {}).join(), /^refused: /)
})

test('nobody listening is exit code 1 and a reason', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  const { code, result } = await bench(port, 'conn -c 2')
  assert.equal(code, 1)
  assert.deepEqual(result.failures, { ECONNREFUSED: 2 })
})

test('without --json the report is for people; bad arguments and --help as everywhere', async (context) => {
  const { port } = await brokerOf(context)
  const io = new TestIo()
  assert.equal(
    await main(['bench', 'pair', '-c', '1', '-L', '10', '-p', String(port), '-h', '127.0.0.1', '--quiet'], io),
    0,
  )
  assert.match(io.out, /^received {5}10 of 10, /m)
  const bad = new TestIo()
  assert.equal(await main(['bench', 'pair', '-c', 'x'], bad), 1)
  assert.equal(
    bad.err,
    'recado bench: --count x: expected a whole number from 1 to 1000000 ("recado bench --help" has them all)\n',
  )
  const help = new TestIo()
  assert.equal(await main(['bench', '--help'], help), 0)
  assert.match(help.out, /^recado bench: load an MQTT server/)
})
