/**
 * The servers of the network laboratory, each on a host of its own: Recado, Debian's Mosquitto, aedes.
 *
 * `run.ts` starts one of each kind for all cells, `cell.ts` one of its own when its clock is to step. The observer of a
 * cell reaches a server over a cable that never fails (`host`), the device over the cell's line.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TestAuthority } from '@recado/broker/testing'
import { Site } from '../bridge/sites.ts'
import { BrokerProcess } from '../crash/broker-process.ts'
import { Child } from '../peers/child.ts'
import { skipWithout } from '../peers/find.ts'
import { Inbox } from '../peers/inbox.ts'
import { SERVER_ADDRESS, SERVER_NAME } from './line.ts'
import { PLAIN_PORT, TLS_PORT } from './ports.ts'

export const serverNames = ['recado', 'mosquitto', 'aedes'] as const
export type ServerName = (typeof serverNames)[number]

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** Certificate of the servers, and the one that devices trust, as files. */
export class LabCertificates {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'recado-lab-tls-'))
  readonly ca: string = join(this.#folder, 'ca.pem')
  readonly cert: string = join(this.#folder, 'server.pem')
  readonly key: string = join(this.#folder, 'server.key')

  constructor() {
    const authority = new TestAuthority('network laboratory')
    const server = authority.issue(SERVER_NAME, { altNames: [SERVER_NAME, SERVER_ADDRESS] })
    writeFileSync(this.ca, authority.cert)
    writeFileSync(this.cert, server.cert)
    writeFileSync(this.key, server.key)
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export class LabServer {
  readonly site: Site = new Site()
  readonly #stops: (() => Promise<unknown>)[] = []
  /** Reason why it ended by itself; '' while it runs. */
  died = ''

  /** Reason why such a server cannot be started here, or `false`. */
  static skip(name: ServerName, hasClock: boolean): string | false {
    return (name === 'mosquitto' && skipWithout('mosquitto')) || (hasClock && skipWithout('faketime'))
  }

  /** @param environment variables of the server's process, for a clock of its own */
  static async start(
    name: ServerName,
    certificates: LabCertificates,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<LabServer> {
    const server = new LabServer()
    try {
      server.site.ip('addr', 'add', `${SERVER_ADDRESS}/32`, 'dev', 'lo')
      await server.#program(here('name-server.js'), [SERVER_NAME, SERVER_ADDRESS], {})
      if (name === 'aedes')
        await server.#program(here('aedes-server.js'), [certificates.cert, certificates.key], environment)
      else await server.#broker(name, certificates, environment)
      return server
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  /** Starts a program of Node, and waits for its first line. */
  async #program(
    script: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<void> {
    const lines: Inbox<string> = new Inbox(`first line of ${script}`, () => child.describe())
    const child: Child = new Child(...this.site.commandFor(process.execPath, [script, ...args]), {
      onLine: (line) => lines.push(line),
      environment,
    })
    child.exited.then(
      ({ code, signal }) => {
        this.died ||= `${script} ended with ${code ?? signal}\n${child.describe()}`
        lines.fail(new Error(this.died))
      },
      (error: Error) => lines.fail(error),
    )
    this.#stops.push(() => child.stop('SIGKILL'))
    await lines.next()
  }

  async #broker(
    name: 'recado' | 'mosquitto',
    { cert, key }: LabCertificates,
    environment: Readonly<Record<string, string>>,
  ): Promise<void> {
    const onDeath = (what: string): void => {
      this.died ||= `${name} ${what}`
    }
    const wholeConfig = (folder: string): string =>
      [
        'allow_anonymous true',
        'persistence true',
        `persistence_location ${folder}/`,
        // Mosquitto: otherwise it gives up the right to its own folder when root starts it.
        ...(name === 'mosquitto' ? ['user root'] : []),
        `listener ${PLAIN_PORT}`,
        `listener ${TLS_PORT}`,
        `certfile ${cert}`,
        `keyfile ${key}`,
        '',
      ].join('\n')
    const broker = await BrokerProcess.create(name, onDeath, { place: this.site, wholeConfig })
    this.#stops.push(() => broker.dispose(false))
    broker.launch(environment)
    await broker.ready()
  }

  async stop(): Promise<void> {
    try {
      for (const stop of this.#stops.reverse()) await stop()
    } finally {
      this.site.remove()
    }
  }
}
