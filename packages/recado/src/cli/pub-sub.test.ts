import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { after, before, suite, test } from 'node:test'
import { createBroker } from '@recado/broker'
import { freePort, mosquittoVersion, type RunningServer, startMosquitto } from '@recado/client/testing'
import type { CliIo } from './io.ts'
import { runPub } from './pub.ts'
import { runRr } from './rr.ts'
import { runSub } from './sub.ts'

class Recorder extends Writable {
  text = ''
  readonly #changed = new EventEmitter()

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('latin1')
    this.#changed.emit('change')
    done()
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) await new Promise((resolve) => this.#changed.once('change', resolve))
  }
}

interface Run {
  io: CliIo
  stdout: Recorder
  stderr: Recorder
  signals: EventEmitter
}

function io(stdin: Readable = Readable.from([])): Run {
  const stdout = new Recorder()
  const stderr = new Recorder()
  const signals = new EventEmitter()
  return { io: { stdin, stdout, stderr, signals, env: {} }, stdout, stderr, signals }
}

const version = mosquittoVersion()
const skip = version === null && process.env['CI'] !== 'true' ? 'mosquitto is not installed' : false

suite('recado pub and recado sub on mosquitto', { skip }, () => {
  let server: RunningServer
  let address: string[]
  before(async () => {
    server = await startMosquitto({ user: { name: 'ann', password: 'secret' } })
    address = ['-h', '127.0.0.1', '-p', String(server.port), '-u', 'ann', '-P', 'secret']
  })
  after(() => server.stop())

  async function pub(argv: string[], stdin?: Readable): Promise<{ code: number; stdout: string; stderr: string }> {
    const run = io(stdin)
    const code = await runPub([...address, ...argv], run.io)
    return { code, stdout: run.stdout.text, stderr: run.stderr.text }
  }

  /** A running `recado sub` that is subscribed. */
  async function sub(argv: string[]): Promise<Run & { ended: Promise<number> }> {
    const run = io()
    const debug = new PassThrough()
    const ended = runSub([...address, '-d', ...argv], run.io)
    await run.stdout.until(/Subscribed \(mid/)
    debug.destroy()
    return { ...run, ended }
  }

  /** Output without the lines of -d. */
  const output = (run: Run): string => run.stdout.text.replace(/^(?:Client .*|Subscribed .*)\n/gm, '')

  for (const protocolVersion of ['mqttv31', 'mqttv311', 'mqttv5']) {
    test(`messages of every kind arrive, at QoS 0, 1 and 2 (${protocolVersion})`, { timeout: 300_000 }, async () => {
      const topic = `pub-sub/${protocolVersion}`
      const run = await sub(['-t', `${topic}/#`, '-v', '-q', '2', '-C', '9', '-V', protocolVersion])
      const common = ['-t', `${topic}/t`, '-V', protocolVersion]
      for (const qos of ['0', '1', '2']) assert.equal((await pub([...common, '-q', qos, '-m', `qos ${qos}`])).code, 0)
      assert.equal(
        (await pub([...common, '-q', '1', '-l'], Readable.from([Buffer.from('one\ntw'), Buffer.from('o')]))).code,
        0,
      )
      assert.equal((await pub([...common, '-q', '1', '-s'], Readable.from([Buffer.from('whole')]))).code, 0)
      assert.equal((await pub([...common, '-q', '1', '-n'])).code, 0)
      assert.equal(
        (await pub([...common, '-q', '1', '-m', 'again', '--repeat', '2', '--repeat-delay', '0.01'])).code,
        0,
      )
      assert.equal(await run.ended, 0)
      const payloads = ['qos 0', 'qos 1', 'qos 2', 'one', 'two', 'whole', '(null)', 'again', 'again']
      assert.equal(output(run), payloads.map((payload) => `${topic}/t ${payload}\n`).join(''))
    })
  }

  test('-D publish topic-alias does not keep a message from being sent', { timeout: 300_000 }, async () => {
    const run = await sub(['-t', 'alias', '-C', '2', '-V', '5', '-F', '%t %p %C'])
    const alias = ['-D', 'publish', 'content-type', 'text/plain', '-D', 'publish', 'topic-alias', '4']
    const sent = await pub(
      ['-t', 'alias', '-V', '5', '-q', '1', '-l', ...alias],
      Readable.from([Buffer.from('1\n2\n')]),
    )
    assert.deepEqual([sent.code, sent.stderr], [0, ''])
    assert.equal(await run.ended, 0)
    assert.equal(output(run), 'alias 1 text/plain\nalias 2 text/plain\n')
  })

  test('SIGINT ends sub with code 0', { timeout: 300_000 }, async () => {
    const run = await sub(['-t', 'sigint'])
    run.signals.emit('SIGINT')
    assert.equal(await run.ended, 0)
    assert.equal(run.signals.listenerCount('SIGINT'), 0)
  })

  test('-W ends sub with code 27', { timeout: 300_000 }, async () => {
    const run = io()
    assert.equal(await runSub([...address, '-t', 'timeout', '-W', '1'], run.io), 27)
    assert.equal(run.stderr.text, 'Timed out\n')
  })

  test('-E ends when subscribed; --quiet says nothing', { timeout: 300_000 }, async () => {
    const run = io()
    assert.equal(await runSub([...address, '-t', 'a', '-t', 'b', '-E', '-d', '--quiet'], run.io), 0)
    assert.equal(run.stdout.text + run.stderr.text, '')
  })

  test('retained messages: -R, --retained-only, --remove-retained', { timeout: 300_000 }, async () => {
    const topic = 'pub-sub/retained'
    await pub(['-t', `${topic}/a`, '-m', 'kept', '-r', '-q', '1'])
    const only = await sub(['-t', `${topic}/#`, '--retained-only'])
    await only.stdout.until(/kept/)
    await pub(['-t', `${topic}/b`, '-m', 'fresh', '-q', '1'])
    assert.equal(await only.ended, 0)
    assert.equal(output(only), 'kept\n')
    const none = await sub(['-t', `${topic}/#`, '-R', '-C', '1'])
    await pub(['-t', `${topic}/b`, '-m', 'fresh', '-q', '1'])
    assert.equal(await none.ended, 0)
    assert.equal(output(none), 'fresh\n')
    const remove = await sub(['-t', `${topic}/#`, '--remove-retained', '-C', '1'])
    assert.equal(await remove.ended, 0)
    const empty = io()
    assert.equal(await runSub([...address, '-t', `${topic}/#`, '-W', '1'], empty.io), 27)
    assert.equal(empty.stdout.text, '')
  })

  test('-T filters out and -U unsubscribes in a kept session', { timeout: 300_000 }, async () => {
    const session = ['-i', `keeper${process.pid}`, '-c', '-q', '1']
    assert.equal(await runSub([...address, ...session, '-t', 'keep/#', '-t', 'drop/#', '-E'], io().io), 0)
    assert.equal(await runSub([...address, ...session, '-t', 'keep/#', '-U', 'drop/#', '-E'], io().io), 0)
    await pub(['-t', 'drop/x', '-m', 'dropped', '-q', '1'])
    await pub(['-t', 'keep/filtered', '-m', 'filtered', '-q', '1'])
    await pub(['-t', 'keep/x', '-m', 'kept', '-q', '1'])
    const run = await sub([...session, '-t', 'keep/#', '-T', 'keep/filtered', '-C', '1'])
    assert.equal(await run.ended, 0)
    assert.equal(output(run), 'kept\n')
  })

  test('a refused connection: the words and codes of Mosquitto', { timeout: 300_000 }, async () => {
    const wrong = ['-h', '127.0.0.1', '-p', String(server.port), '-u', 'ann', '-P', 'wrong', '-t', 'a']
    const run = io()
    assert.equal(await runSub(wrong, run.io), 5)
    assert.equal(run.stderr.text, 'Connection error: Connection Refused: not authorised.\n')
    const publisher = io()
    assert.equal(await runPub([...wrong, '-m', 'x', '-V', '5'], publisher.io), 0x87)
    assert.match(publisher.stderr.text, /^Connection error: Not authorized\n/)
  })

  test('nobody there: code 1 and one line', { timeout: 300_000 }, async () => {
    const run = io()
    assert.equal(await runPub(['-h', '127.0.0.1', '-p', String(await freePort()), '-t', 'a', '-n'], run.io), 1)
    assert.equal(run.stderr.text, 'Error: Connection refused\n')
  })

  test('a reader that goes away ends sub', { timeout: 300_000 }, async () => {
    const run = await sub(['-t', 'gone'])
    run.stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    assert.equal(await run.ended, 0)
  })
})

test('a QoS that the server does not take is an error in the words of mosquitto_pub', async () => {
  const broker = createBroker({ limits: { maximumQoS: 1 } })
  const { port } = await broker.listen({ port: 0, host: '127.0.0.1' })
  try {
    const run = io()
    const argv = ['-h', '127.0.0.1', '-p', String(port), '-V', '5', '-t', 'a', '-m', 'x', '-q', '2']
    assert.equal(await runPub(argv, run.io), 1)
    assert.equal(run.stderr.text, 'Error: Message QoS not supported on broker, try a lower QoS.\n')
  } finally {
    await broker.close({ timeoutMs: 100 })
  }
})

test('--help and --version', async () => {
  for (const run of [runPub, runSub, runRr]) {
    const help = io()
    assert.equal(await run(['--help'], help.io), 0)
    assert.match(help.stdout.text, /--will-topic/)
    assert.equal(await run(['--version'], io().io), 0)
  }
})
