/**
 * The broker of a crash or soak run: a real process on one port and one data folder, stopped and started again and
 * again.
 *
 * Used by `run.ts` and `soak/soak-broker.ts`. The process must not end by itself: that is a fault of the broker, which
 * `onDeath` reports.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { accepts, freePort } from '@recado/client/testing'
import { Child } from '../peers/child.ts'
import { peerPath } from '../peers/find.ts'

export type CrashedBroker = 'recado' | 'mosquitto'

const recadoBin: string = fileURLToPath(new URL('../../../recado/bin/recado.js', import.meta.url))
const START_MS = 90_000

export interface BrokerProcessOptions {
  /** Arguments of Node before the program, for Recado. */
  nodeArguments?: readonly string[]
  /** More lines of mosquitto.conf. */
  config?: readonly string[]
  /** Returns the whole mosquitto.conf instead, for this data folder; `config` is not used then. */
  wholeConfig?: (dataFolder: string) => string
  /** Called with each line of its standard output. */
  onLine?: (line: string) => void
  /** Called with each line of its standard error. */
  onErrorLine?: (line: string) => void
  /** Another place than this machine's loopback. */
  place?: BrokerPlace
}

/** A network namespace: the port that is free there, and how a process is started in it. */
export interface BrokerPlace {
  /** Address at which this process reaches the broker. */
  readonly host: string
  readonly port: number
  /** Converts a command to one that runs there, as the same process. */
  commandFor(command: string, args: readonly string[]): [command: string, args: string[]]
}

export class BrokerProcess {
  readonly port: number
  readonly dataFolder: string
  readonly #kind: CrashedBroker
  readonly #folder: string
  readonly #onDeath: (what: string) => void
  readonly #options: BrokerProcessOptions
  #child: Child | null = null
  /** End of the process that is under way: a second kill waits for the same end. */
  #ending: Promise<unknown> = Promise.resolve()

  private constructor(
    kind: CrashedBroker,
    port: number,
    onDeath: (what: string) => void,
    options: BrokerProcessOptions,
  ) {
    this.#kind = kind
    this.#options = options
    this.port = port
    this.#onDeath = onDeath
    this.#folder = mkdtempSync(join(tmpdir(), 'recado-crash-'))
    this.dataFolder = join(this.#folder, 'data')
    mkdirSync(this.dataFolder)
    writeFileSync(this.#configPath, options.wholeConfig?.(this.dataFolder) ?? this.#ownConfig())
  }

  #ownConfig(): string {
    const { place, config = [] } = this.#options
    const lines = [
      place ? `listener ${this.port}` : `listener ${this.port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${this.dataFolder}/`,
      'max_queued_messages 0',
      'max_queued_bytes 0',
      ...config,
    ]
    // As often as Mosquitto can: its default is every 30 minutes. Started as root it would give up the right to its own
    // folder.
    if (this.#kind === 'mosquitto') lines.push('autosave_interval 1', 'user root')
    return `${lines.join('\n')}\n`
  }

  static async create(
    kind: CrashedBroker,
    onDeath: (what: string) => void,
    options: BrokerProcessOptions = {},
  ): Promise<BrokerProcess> {
    return new BrokerProcess(kind, options.place?.port ?? (await freePort()), onDeath, options)
  }

  /** Process id; `null` while it does not run. */
  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  get #configPath(): string {
    return join(this.#folder, 'mosquitto.conf')
  }

  /** Starts it without waiting. `environment` has variables beside those of this process. */
  launch(environment: Readonly<Record<string, string>> = {}): void {
    const args = ['-c', this.#configPath]
    const options = { ...this.#options, environment }
    const { nodeArguments = [], place } = this.#options
    const command: [string, string[]] =
      this.#kind === 'recado'
        ? [process.execPath, [...nodeArguments, recadoBin, ...args]]
        : [peerPath('mosquitto'), args]
    const child = new Child(...(place?.commandFor(...command) ?? command), options)
    child.endInput()
    this.#child = child
    child.exited.then(
      ({ code, signal }) => {
        if (this.#child === child) this.#onDeath(`ended by itself (${code ?? signal})\n${child.describe()}`)
      },
      (error: Error) => this.#onDeath(`cannot be started: ${error.message}`),
    )
  }

  /** Resolves when it accepts connections. @throws when it does not within its time */
  async ready(): Promise<void> {
    const child = this.#child
    const deadline = Date.now() + START_MS
    while (!(await accepts(this.port, this.#options.place?.host))) {
      if (child?.hasExited) throw new Error(`the broker did not start\n${child.describe()}`)
      if (Date.now() > deadline)
        throw new Error(`the broker does not listen after ${START_MS} ms\n${child?.describe()}`)
      await after(5)
    }
  }

  /** Kills it; SIGKILL is sent before this returns. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child !== null) this.#ending = child.stop('SIGKILL')
    await this.#ending
  }

  /** Asks it to end, as a service manager does. @throws when it does not end cleanly */
  async terminate(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null) return
    const { code, signal } = await child.stop('SIGTERM')
    if (code !== 0) throw new Error(`the broker did not end cleanly: ${code ?? signal}\n${child.describe()}`)
  }

  /** Returns the last lines of its log. */
  describe(): string {
    return this.#child?.describe() ?? ''
  }

  /** Ends it and removes its files; `keepData` leaves the data folder for an inspection. */
  async dispose(keepData: boolean): Promise<void> {
    await this.kill()
    if (!keepData) rmSync(this.#folder, { recursive: true, force: true })
  }
}
