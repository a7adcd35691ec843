/**
 * Sensor and dashboard of `examples/c-paho` on Recado: MQTT 3.1.1 and 5.0, QoS 1 and 2, over TCP, WebSocket and TLS with
 * client certificates, through `kill -9` and an orderly restart of the broker, and a Will.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TestAuthority } from '@recado/broker/testing'
import { accepts, freePort } from '@recado/client/testing'
import { Child, run } from '../peers/child.ts'
import { skipWithout } from '../peers/find.ts'
import { boundMs, Inbox } from '../peers/inbox.ts'
import { BuiltExample } from './build.ts'

const skip = skipWithout('make', 'paho-c')
const recadoBin = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))
const topic = 'casa/sala/temperatura'

suite('examples/c-paho', { skip, timeout: 300_000 }, () => {
  let example: BuiltExample
  let folder: string
  let ports: { tcp: number; tls: number; websocket: number }
  let broker: Child
  /** Programs to be ended after a test, also after one that failed. */
  const started: Child[] = []

  before(async () => {
    example = await BuiltExample.make('c-paho')
  })
  after(() => example?.remove())

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'recado-c-paho-'))
    ports = { tcp: await freePort(), tls: await freePort(), websocket: await freePort() }
    const authority = new TestAuthority('home')
    const server = authority.issue('localhost', { altNames: ['localhost'] })
    const sensor = authority.issue('sensor')
    const files = {
      'ca.pem': authority.cert,
      'server.pem': server.cert,
      'server.key': server.key,
      'sensor.pem': sensor.cert,
      'sensor.key': sensor.key,
      'recado.conf': [
        'allow_anonymous true',
        `persistence_location ${folder}/data`,
        `listener ${ports.tcp} 127.0.0.1`,
        `listener ${ports.websocket} 127.0.0.1`,
        'protocol websockets',
        `listener ${ports.tls} 127.0.0.1`,
        `cafile ${folder}/ca.pem`,
        `certfile ${folder}/server.pem`,
        `keyfile ${folder}/server.key`,
        'require_certificate true',
        '',
      ].join('\n'),
    }
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    await startBroker()
  })
  afterEach(async () => {
    for (const child of [broker, ...started.splice(0)]) await child.stop('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  async function startBroker(): Promise<void> {
    broker = new Child(process.execPath, [recadoBin, '-c', join(folder, 'recado.conf')])
    broker.endInput()
    const deadline = Date.now() + boundMs
    while (!(await accepts(ports.tls))) {
      assert.ok(!broker.hasExited && Date.now() < deadline, `the broker does not listen\n${broker.describe()}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Starts the dashboard and waits until it is subscribed. */
  async function startDashboard(args: readonly string[]): Promise<{ child: Child; lines: Inbox<string> }> {
    const lines = new Inbox<string>('reading', () => child.describe())
    const subscribed = new Inbox<void>('subscription', () => child.describe())
    const child: Child = new Child(example.program('dashboard'), ['-i', 'dashboard', '-S', folder, ...args], {
      onLine: (line) => lines.push(line),
      onErrorLine: (line) => {
        if (line === 'subscribed') subscribed.push()
      },
    })
    started.push(child)
    child.endInput()
    await subscribed.next()
    return { child, lines }
  }

  const uris = {
    TCP: () => `tcp://localhost:${ports.tcp}`,
    WebSocket: () => `ws://localhost:${ports.websocket}/mqtt`,
    'TLS with certificates': () => `ssl://localhost:${ports.tls}`,
  }
  for (const [transport, version, qos, signal] of [
    ['TCP', '4', '1', 'SIGKILL'],
    ['TCP', '5', '2', 'SIGKILL'],
    ['WebSocket', '5', '1', 'SIGTERM'],
    ['TLS with certificates', '5', '2', 'SIGKILL'],
  ] as const) {
    test(`MQTT ${version} over ${transport} at QoS ${qos} loses nothing when the broker gets ${signal}`, async () => {
      const connection = ['-u', uris[transport](), '-V', version, '-q', qos, '-A', join(folder, 'ca.pem')]
      connection.push('-C', join(folder, 'sensor.pem'), '-K', join(folder, 'sensor.key'))
      const { child, lines } = await startDashboard([...connection, '-t', topic])
      const acknowledged = new Inbox<string>('acknowledgement of all readings', () => sensor.describe())
      const sensor: Child = new Child(
        example.program('sensor'),
        [...connection, '-i', 'sensor', '-S', folder, '-n', '40', '-p', '20'],
        { onLine: (line) => acknowledged.push(line), input: '' },
      )
      started.push(sensor)
      const received = new Set<number>()
      let count = 0
      while (received.size < 40) {
        count++
        const line = await lines.next()
        const reading = /^casa\/sala\/temperatura (\{.*?\})(.*)$/.exec(line)
        assert.ok(reading !== null, `not a reading: ${JSON.stringify(line)}`)
        received.add((JSON.parse(reading[1] ?? '') as { sequence: number }).sequence)
        assert.equal(reading[2], version === '5' ? ' unit=celsius' : '')
        if (count === 11) {
          await broker.stop(signal)
          await startBroker()
        }
      }
      assert.equal(await acknowledged.next(), '40 readings acknowledged')
      if (qos === '2') assert.equal(count, 40)
      await child.stop('SIGKILL')
    })
  }

  test('readings that were published while the dashboard was away come when it is back', async () => {
    const args = ['-u', uris.TCP(), '-t', topic]
    const { child } = await startDashboard(args)
    await child.stop('SIGKILL')
    await run(example.program('sensor'), ['-u', uris.TCP(), '-i', 'sensor', '-S', folder, '-n', '3', '-p', '0'])
    const lines = await run(example.program('dashboard'), ['-i', 'dashboard', '-S', folder, ...args, '-n', '3'])
    assert.equal(lines.length, 3)
  })

  test('its Will tells that a sensor was killed', async () => {
    const { child, lines } = await startDashboard(['-u', uris.TCP(), '-t', `${topic}/estado`])
    const sensor = new Child(example.program('sensor'), ['-u', uris.TCP(), '-i', 'sensor', '-S', folder, '-n', '1000'])
    started.push(sensor)
    assert.equal(await lines.next(), `${topic}/estado online`)
    await sensor.stop('SIGKILL')
    assert.equal(await lines.next(), `${topic}/estado offline`)
    await child.stop('SIGKILL')
  })

  test('wrong arguments and a broker that is away are told in words', async () => {
    await assert.rejects(
      run(example.program('sensor'), ['-i', 'x', '-q', '0']),
      /-q must be a number from 1 to 2, not '0'/,
    )
    await assert.rejects(run(example.program('sensor'), []), /-i is missing/)
    const away = ['-i', 'x', '-S', folder, '-u', `tcp://localhost:${await freePort()}`]
    await assert.rejects(run(example.program('sensor'), away), /No connection/)
  })
})
