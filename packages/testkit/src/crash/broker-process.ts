/**
 * The broker of a crash run: a real process on one port and one data folder, killed and started again and again.
 *
 * Used by `run.ts`. It never ends by itself: when it does, that is a fault of the broker's and `onDeath` tells it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Child } from '../peers/child.ts'
import { peerPath } from '../peers/find.ts'

export type CrashedBroker = 'recado' | 'mosquitto'

const recadoBin: string = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))
const START_MS = 30_000

export class BrokerProcess {
  readonly port: number
  readonly dataFolder: string
  readonly #kind: CrashedBroker
  readonly #folder: string
  readonly #onDeath: (what: string) => void
  #child: Child | null = null

  private constructor(kind: CrashedBroker, port: number, onDeath: (what: string) => void) {
    this.#kind = kind
    this.port = port
    this.#onDeath = onDeath
    this.#folder = mkdtempSync(join(tmpdir(), 'recado-crash-'))
    this.dataFolder = join(this.#folder, 'data')
    mkdirSync(this.dataFolder)
    const config = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${this.dataFolder}/`,
      'max_queued_messages 0',
      'max_queued_bytes 0',
    ]
    // As often as Mosquitto can: its default is every 30 minutes. As root it would give up the right to its own folder.
    if (kind === 'mosquitto') config.push('autosave_interval 1', 'user root')
    writeFileSync(this.#configPath, `${config.join('\n')}\n`)
  }

  static async create(kind: CrashedBroker, onDeath: (what: string) => void): Promise<BrokerProcess> {
    return new BrokerProcess(kind, await freePort(), onDeath)
  }

  get #configPath(): string {
    return join(this.#folder, 'mosquitto.conf')
  }

  /** Starts it without waiting. */
  launch(): void {
    const args = ['-c', this.#configPath]
    const child =
      this.#kind === 'recado'
        ? new Child(process.execPath, [recadoBin, ...args])
        : new Child(peerPath('mosquitto'), args)
    child.endInput()
    this.#child = child
    child.exited.then(
      ({ code, signal }) => {
        if (this.#child === child) this.#onDeath(`ended by itself (${code ?? signal})\n${child.describe()}`)
      },
      (error: Error) => this.#onDeath(`cannot be started: ${error.message}`),
    )
  }

  /** Resolves when it accepts connections. @throws when it does not, in time. */
  async ready(): Promise<void> {
    const child = this.#child
    const deadline = Date.now() + START_MS
    while (!(await accepts(this.port))) {
      if (child?.hasExited) throw new Error(`the broker did not start\n${child.describe()}`)
      if (Date.now() > deadline)
        throw new Error(`the broker does not listen after ${START_MS} ms\n${child?.describe()}`)
      await after(5)
    }
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    await child?.stop('SIGKILL')
  }

  /** The last lines of its log. */
  describe(): string {
    return this.#child?.describe() ?? ''
  }

  /** Ends it and removes what it left; `keepData` leaves the data folder for a look. */
  async dispose(keepData: boolean): Promise<void> {
    await this.kill()
    if (!keepData) rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
