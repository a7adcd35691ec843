/**
 * The broker under the random walk: a process of its own, as an operator would start it, on a free port and a new
 * folder.
 *
 * Recado runs with its default configuration. Every line of its output is checked for an error of its own: there may be
 * no stack and no failed hook, whatever clients do.
 */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Child } from '../peers/child.ts'
import { peerPath } from '../peers/find.ts'
import type { BrokerTraits } from './environment.ts'

const recadoBin: string = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))
const aedesServer: string = fileURLToPath(new URL('aedes-server.js', import.meta.url))
const START_MS = 60_000

/** Pattern of a stack, or of our own log's line for an error that is not the client's. */
const ERROR_LINE: RegExp =
  /(?:^|\\x0a)\s+at .+:\d+:\d+|\b(?:Type|Range|Reference|Syntax|Assertion|Mqtt)Error\b|\bcore failed/

/** Name `recado`, `mosquitto`, `aedes`, or a command with `{port}` and `{data}` in it. */
export type Target = string

/**
 * Returns the behaviour of a broker; of an unknown one every correct behaviour is expected, except promises that it
 * need not make.
 */
export function traitsOf(target: Target): BrokerTraits {
  const isRecado = target === 'recado'
  const versions = target === 'aedes' ? ([3, 4] as const) : ([3, 4, 5] as const)
  return { versions, isOnce: target !== 'mosquitto', isOnPubrel: !isRecado, isDurable: isRecado }
}

export class TargetProcess {
  readonly port: number
  readonly #target: Target
  readonly #folder: string
  readonly #onDeath: (text: string) => void
  readonly #onError: (line: string) => void
  #child: Child | null = null

  private constructor(target: Target, port: number, onDeath: (text: string) => void, onError: (line: string) => void) {
    this.#target = target
    this.port = port
    this.#onDeath = onDeath
    this.#onError = onError
    this.#folder = mkdtempSync(join(tmpdir(), 'recado-walk-'))
    mkdirSync(join(this.#folder, 'data'))
  }

  /** Starts it. `onDeath` is called when it has ended by itself, `onError` when it logs an error of its own. */
  static async start(
    target: Target,
    onDeath: (text: string) => void,
    onError: (line: string) => void,
  ): Promise<TargetProcess> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const process = new TargetProcess(target, port, onDeath, onError)
    await process.launch()
    return process
  }

  #command(): [string, string[]] {
    const { port } = this
    const data = join(this.#folder, 'data')
    switch (this.#target) {
      case 'recado':
        return [process.execPath, [recadoBin, '--data', data, '-p', String(port)]]
      case 'aedes':
        return [process.execPath, [aedesServer, String(port)]]
      case 'mosquitto': {
        const file = join(this.#folder, 'mosquitto.conf')
        // Started as root it would give up the right to its own folder
        const lines = [
          `listener ${port} 127.0.0.1`,
          'allow_anonymous true',
          'persistence true',
          `persistence_location ${data}/`,
          'user root',
        ]
        writeFileSync(file, `${lines.join('\n')}\n`)
        return [peerPath('mosquitto'), ['-c', file]]
      }
      default: {
        const line = this.#target.replaceAll('{port}', String(port)).replaceAll('{data}', data)
        return ['/bin/sh', ['-c', `exec ${line}`]]
      }
    }
  }

  async launch(): Promise<void> {
    const [command, args] = this.#command()
    const onLine = (line: string): void => {
      if (ERROR_LINE.test(line)) this.#onError(line)
    }
    const child = new Child(command, args, { onLine, onErrorLine: onLine })
    child.endInput()
    this.#child = child
    child.exited.then(
      ({ code, signal }) => {
        if (this.#child === child) this.#onDeath(`it has ended by itself (${code ?? signal})\n${child.describe()}`)
      },
      (error: Error) => this.#onDeath(`it cannot be started: ${error.message}`),
    )
    const deadline = Date.now() + START_MS
    while (!(await accepts(this.port))) {
      if (child.hasExited) throw new Error(`the broker did not start\n${child.describe()}`)
      if (Date.now() > deadline) throw new Error(`the broker does not listen after ${START_MS} ms\n${child.describe()}`)
      await after(10)
    }
  }

  /** Ends it. Returns the fault of its end; '' for none. */
  async stop(how: 'term' | 'kill'): Promise<string> {
    const child = this.#child
    this.#child = null
    if (child === null) return ''
    const { code, signal } = await child.stop(how === 'kill' ? 'SIGKILL' : 'SIGTERM')
    return how === 'term' && code !== 0 ? `SIGTERM ends it with ${code ?? signal}\n${child.describe()}` : ''
  }

  async dispose(): Promise<void> {
    await this.stop('kill')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
