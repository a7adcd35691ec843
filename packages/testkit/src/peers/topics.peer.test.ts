/**
 * What the broker does with topics (docs/topics.md), with Debian's mosquitto_pub and mosquitto_sub: rewrites,
 * subscriptions that the broker makes, delayed messages over kill -9, birth certificates of Sparkplug, and a reload.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort } from '@recado/client/testing'
import { Child, run } from './child.ts'
import { peerPath, skipWithout } from './find.ts'
import { testTimeoutMs } from './stage.ts'

const options = { skip: skipWithout('mosquitto_pub', 'mosquitto_sub'), timeout: testTimeoutMs }
const recadoBin: string = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))

class Broker {
  readonly port: number
  readonly #file: string
  #child: Child
  #lines: string[] = []
  #wake: () => void = () => {}

  private constructor(port: number, file: string) {
    this.port = port
    this.#file = file
    this.#child = this.#start()
  }

  static async start(context: TestContext, lines: readonly string[]): Promise<Broker> {
    const folder = mkdtempSync(join(tmpdir(), 'recado-topics-'))
    chmodSync(folder, 0o700)
    const port = await freePort()
    const file = join(folder, 'a.conf')
    writeFileSync(file, text(port, folder, lines))
    const broker = new Broker(port, file)
    context.after(async () => {
      await broker.stop('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    })
    await broker.says(/recado version \S+ running/)
    return broker
  }

  #start(): Child {
    const onErrorLine = (line: string): void => {
      this.#lines.push(line)
      this.#wake()
    }
    return new Child(process.execPath, [recadoBin, '-c', this.#file], { onErrorLine })
  }

  async says(expected: RegExp): Promise<void> {
    while (!this.#lines.some((line) => expected.test(line)))
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    this.#lines = []
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    process.kill(this.#child.pid, signal)
    await this.#child.exited
  }

  async restart(): Promise<void> {
    this.#lines = []
    this.#child = this.#start()
    await this.says(/recado version \S+ running/)
  }

  async reload(lines: readonly string[]): Promise<void> {
    writeFileSync(this.#file, text(this.port, join(this.#file, '..'), lines))
    process.kill(this.#child.pid, 'SIGHUP')
    await this.says(/SIGHUP: .*a\.conf/)
  }

  async publish(...args: string[]): Promise<void> {
    await run(peerPath('mosquitto_pub'), ['-h', '127.0.0.1', '-p', `${this.port}`, ...args])
  }

  /** Payloads and topics that a mosquitto_sub of its own prints before it ends by itself. */
  async receive(...args: string[]): Promise<string[]> {
    const all = ['-h', '127.0.0.1', '-p', `${this.port}`, '-v', '-W', '30', ...args]
    return await run(peerPath('mosquitto_sub'), all)
  }

  /** A mosquitto_sub that is subscribed; `lines` resolves when it has ended. */
  async subscribed(...args: string[]): Promise<{ readonly lines: Promise<string[]> }> {
    const lines: string[] = []
    let isReady: () => void = () => {}
    const ready = new Promise<void>((resolve) => {
      isReady = resolve
    })
    const all = ['-h', '127.0.0.1', '-p', `${this.port}`, '-d', '-v', '-W', '30', ...args]
    // Its debug output is block-buffered into a pipe.
    const child = new Child('stdbuf', ['-oL', peerPath('mosquitto_sub'), ...all], {
      onLine: (line) => {
        if (/received SUBACK/.test(line)) isReady()
        else if (!/^(Client |Subscribed)/.test(line)) lines.push(line)
      },
    })
    await ready
    return { lines: child.exited.then(() => lines) }
  }
}

function text(port: number, folder: string, lines: readonly string[]): string {
  const common = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', `persistence_location ${folder}/data`]
  return `${[...common, ...lines].join('\n')}\n`
}

test('a delayed message outlives kill -9, and comes once, to a session that waits', options, async (context) => {
  const broker = await Broker.start(context, ['delayed_publish true'])
  const session = ['-i', 'later', '-c', '-q', '2', '-t', 'lamp/#']
  await broker.receive(...session, '-E')
  await broker.publish('-q', '2', '-t', '$delayed/3/lamp/a', '-m', 'on')
  await broker.publish('-q', '2', '-t', '$delayed/1/lamp/b', '-m', 'before')
  await broker.stop('SIGKILL')
  await broker.restart()
  assert.deepEqual(await broker.receive(...session, '-C', '2'), ['lamp/b before', 'lamp/a on'])
  await broker.stop('SIGKILL')
  await broker.restart()
  await broker.publish('-q', '2', '-t', 'lamp/c', '-m', 'end')
  assert.deepEqual(await broker.receive(...session, '-C', '1'), ['lamp/c end'])
})

test('topics are rewritten for both sides, and otherwise after a reload', options, async (context) => {
  const broker = await Broker.start(context, ['topic_rewrite all old/# new/$1'])
  const both = await broker.subscribed('-t', 'old/#', '-C', '1')
  await broker.publish('-t', 'old/a/b', '-m', '1', '-r')
  assert.deepEqual(await both.lines, ['new/a/b 1'])
  assert.deepEqual(await broker.receive('-t', 'old/+/b', '-C', '1'), ['new/a/b 1'])
  await broker.reload(['topic_rewrite publish old/# newer/$1'])
  await broker.publish('-t', 'old/a', '-m', '2', '-r')
  assert.deepEqual(await broker.receive('-t', 'newer/#', '-C', '1'), ['newer/a 2'])
})

test('a client has the subscriptions that the broker makes', options, async (context) => {
  const broker = await Broker.start(context, ['auto_subscribe inbox/%c 1'])
  const inbox = await broker.subscribed('-i', 'ann', '-t', 'other', '-C', '1')
  await broker.publish('-q', '1', '-t', 'inbox/ann', '-m', 'hello')
  assert.deepEqual(await inbox.lines, ['inbox/ann hello'])
})

test('a birth certificate is there for a host that comes later, and nobody forges one', options, async (context) => {
  const broker = await Broker.start(context, ['sparkplug_aware true'])
  await broker.publish('-t', 'spBv1.0/g/NBIRTH/n', '-m', 'born')
  await broker.publish('-r', '-t', '$sparkplug/certificates/spBv1.0/g/NBIRTH/x', '-m', 'forged')
  assert.deepEqual(await broker.receive('-t', '$sparkplug/certificates/#', '-C', '1'), [
    '$sparkplug/certificates/spBv1.0/g/NBIRTH/n born',
  ])
})
