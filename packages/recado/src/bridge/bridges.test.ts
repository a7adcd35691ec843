/** Bridges between brokers of this process, over sockets. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Broker, createBroker, lmdb } from '@recado/broker'
import { testCertificate, testKey } from '@recado/client/testing'
import { type BridgeConfig, bridgesFrom } from '../config/bridges.ts'
import { parseConfigFile } from '../config/parse.ts'
import { Bridges } from './bridges.ts'

function configsOf(text: string): readonly BridgeConfig[] {
  const { bridges, faults } = bridgesFrom(
    parseConfigFile('a.conf', { read: () => text, list: () => [] }).bridges,
    [],
    'edge',
  )
  assert.deepEqual(faults, [])
  return bridges
}

/** A broker that ends with the test. */
function brokerOf(t: TestContext): Broker {
  const broker = createBroker()
  t.after(() => broker.close())
  return broker
}

class Log {
  readonly lines: string[] = []
  #changed: () => void = () => {}

  readonly log = (_type: string, _event: string, text: string): void => {
    this.lines.push(text)
    this.#changed()
  }

  async until(pattern: RegExp): Promise<void> {
    while (!this.lines.some((line) => pattern.test(line))) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }
}

function bridgesAt(t: TestContext, broker: Broker, text: string): { bridges: Bridges; log: Log } {
  const log = new Log()
  const bridges = new Bridges(broker, log, () => {})
  t.after(() => bridges.stop())
  bridges.take(configsOf(text))
  bridges.start()
  return { bridges, log }
}

/** Messages of a broker below `t/`, to be awaited. */
class Inbox {
  readonly seen: string[] = []
  #changed: () => void = () => {}

  constructor(broker: Broker) {
    broker.subscribe('t/#', ({ topic, payload }) => {
      this.seen.push(`${topic} ${new TextDecoder().decode(payload)}`)
      this.#changed()
    })
  }

  async until(text: string): Promise<void> {
    while (!this.seen.includes(text)) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }
}

test('a ring of three brokers carries each message once, with MQTT 5.0', { timeout: 300_000 }, async (t) => {
  const ring = [brokerOf(t), brokerOf(t), brokerOf(t)]
  const ports: number[] = []
  for (const broker of ring) ports.push((await broker.listen({ host: '127.0.0.1', port: 0 })).port!)
  const inboxes = ring.map((broker) => new Inbox(broker))
  const logs = ring.map(
    (broker, i) =>
      bridgesAt(
        t,
        broker,
        `connection b${i}\naddress 127.0.0.1:${ports[(i + 1) % 3]}\nlocal_clientid l${i}\nremote_clientid r${i}\nbridge_protocol_version mqttv50\ntopic t/# out 1\n`,
      ).log,
  )
  for (const log of logs) await log.until(/connected to/)
  await ring[0]!.publish({ topic: 't/1', payload: 'once', qos: 1 })
  await ring[1]!.publish({ topic: 't/2', payload: 'end', qos: 1 })
  for (const inbox of inboxes) {
    await inbox.until('t/1 once')
    await inbox.until('t/2 end')
  }
  // What goes round comes to its beginning last.
  while (ring[0]!.metrics()['dropped.loop']! + ring[1]!.metrics()['dropped.loop']! < 2) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const { seen } of inboxes) assert.deepEqual([...seen].sort(), ['t/1 once', 't/2 end'])
})

test('a bridge connects by TLS with a certificate authority, and by a pre-shared key', {
  timeout: 300_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'recado-bridge-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'ca.pem'), testCertificate)
  const key = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
  const listeners = [
    { tls: { cert: testCertificate, key: testKey } },
    { tls: { psk: (identity: string) => (identity === 'edge' ? key : null) } },
  ]
  const options = [`bridge_cafile ${folder}/ca.pem`, `bridge_identity edge\nbridge_psk ${key.toString('hex')}`]
  for (const [i, listener] of listeners.entries()) {
    const far = brokerOf(t)
    const { port } = await far.listen({ host: '127.0.0.1', port: 0, ...listener })
    const near = brokerOf(t)
    const inbox = new Inbox(far)
    bridgesAt(t, near, `connection b\naddress localhost:${port}\n${options[i]}\ntopic t/# out 1\n`)
    await near.publish({ topic: 't/1', payload: 'secret', qos: 1 })
    await inbox.until('t/1 secret')
  }
})

test('a file that is missing is told with its option, and the broker and other bridges go on', {
  timeout: 300_000,
}, async (t) => {
  const far = brokerOf(t)
  const { port } = await far.listen({ host: '127.0.0.1', port: 0 })
  const inbox = new Inbox(far)
  const near = brokerOf(t)
  const { log } = bridgesAt(
    t,
    near,
    `connection wrong\naddress localhost\nbridge_cafile /nonexistent.pem\ntopic t/# out\nconnection right\naddress 127.0.0.1:${port}\ntopic t/# out 1\n`,
  )
  await near.publish({ topic: 't/1', payload: 'x', qos: 1 })
  await inbox.until('t/1 x')
  assert.match(log.lines.join('\n'), /wrong: bridge_cafile \/nonexistent.pem cannot be read/)
})

test('another configuration closes, opens and changes bridges, and leaves the others alone', {
  timeout: 300_000,
}, async (t) => {
  const far = brokerOf(t)
  const { port } = await far.listen({ host: '127.0.0.1', port: 0 })
  const inbox = new Inbox(far)
  const near = brokerOf(t)
  const section = (name: string, topic: string, more = ''): string =>
    `connection ${name}\naddress 127.0.0.1:${port}\ntopic t/${topic} out 1\n${more}`
  const { bridges, log } = bridgesAt(
    t,
    near,
    section('kept', 'kept') + section('gone', 'gone') + section('changed', 'a'),
  )
  for (const name of ['kept', 'gone', 'changed']) await log.until(new RegExp(`Bridge ${name} connected`))
  log.lines.length = 0
  assert.equal(bridges.figures().length, 3)
  bridges.take(
    configsOf(
      section('kept', 'kept') + section('changed', 'b', 'bridge_reload_type immediate\n') + section('new', 'new'),
    ),
  )
  for (const name of ['changed', 'new']) await log.until(new RegExp(`Bridge ${name} connected`))
  assert.ok(!log.lines.some((line) => line.includes('kept')), log.lines.join('\n'))
  for (const topic of ['gone', 'a', 'b', 'new', 'kept'])
    await near.publish({ topic: `t/${topic}`, payload: 'x', qos: 1 })
  for (const topic of ['b', 'new', 'kept']) await inbox.until(`t/${topic} x`)
  assert.deepEqual([...inbox.seen].sort(), ['t/b x', 't/kept x', 't/new x'])
  assert.equal(near.inspect.session('local.edge.gone'), null)
  // Nobody would change its state any more.
  assert.equal(near.inspect.retainedMessage('$SYS/broker/connection/edge.gone/state'), null)
  assert.notEqual(near.inspect.retainedMessage('$SYS/broker/connection/edge.kept/state'), null)
  // Lazy: at the next connection.
  bridges.take(configsOf(section('kept', 'other')))
  await near.publish({ topic: 't/kept', payload: 'still', qos: 1 })
  await inbox.until('t/kept still')
  far.disconnect(() => true)
  await log.until(/Bridge kept connected/)
  await near.publish({ topic: 't/other', payload: 'x', qos: 1 })
  await inbox.until('t/other x')
})

test('a bridge whose section has got a fault goes on as it was, with what waits for it', async (t) => {
  const broker = brokerOf(t)
  const section = 'connection b\naddress 127.0.0.1:1\nrestart_timeout 60\ntopic t/# out 1\n'
  const { bridges, log } = bridgesAt(t, broker, section)
  await broker.publish({ topic: 't/1', payload: 'x', qos: 1 })
  bridges.take([], ['b'])
  assert.equal(bridges.figures()[0]!.queuedMessages, 1)
  assert.ok(log.lines.includes('Bridge b goes on as it was: its section has a fault.'))
  bridges.take(configsOf(section))
  assert.equal(bridges.figures()[0]!.queuedMessages, 1)
  bridges.take([])
  assert.deepEqual(bridges.figures(), [])
})

test('the session of a bridge that was taken out of the file while the broker was stopped is told at the start', {
  timeout: 300_000,
}, async (t) => {
  const path = mkdtempSync(join(tmpdir(), 'recado-bridge-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  const far = brokerOf(t)
  const { port } = await far.listen({ host: '127.0.0.1', port: 0 })
  const first = createBroker({ store: await lmdb({ path }) })
  const before = bridgesAt(t, first, `connection old\naddress 127.0.0.1:${port}\ntopic t/# out 1\n`)
  await before.log.until(/connected to/)
  before.bridges.stop()
  await first.publish({ topic: 't/1', payload: 'x', qos: 1 })
  await first.close()
  const second = createBroker({ store: await lmdb({ path }) })
  t.after(() => second.close())
  const { log } = bridgesAt(t, second, '')
  assert.match(log.lines.join('\n'), /The session local.edge.old of a bridge .* keeps 1 message and gets more/)
})
