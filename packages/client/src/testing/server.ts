/**
 * Servers for the client's interoperability suite: what a suite asks of one (`StartServer`), Debian's mosquitto as one, and
 * `Relay`, which stands between client and server so that a test can break connections.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import { accepts } from './accepts.ts'
import { testCertificate, testKey } from './certificate.ts'
import { freePort } from './free-port.ts'

export interface ServerOptions {
  /** Default: a free one. */
  port?: number
  /** Only this user may connect. */
  user?: { name: string; password: string }
  maximumQoS?: 0 | 1
  /** A WebSocket listener as well. */
  webSocket?: boolean
  /** A unix-domain socket as well. */
  unixSocket?: boolean
}

/** Listens on 127.0.0.1. */
export interface RunningServer {
  readonly port: number
  readonly webSocketPort?: number | undefined
  readonly unixPath?: string | undefined
  /** Ends it at once; its sessions may be gone. */
  stop(): Promise<void>
}

/** Resolves when the server accepts connections. Rejects with `CannotServe` for options that it does not have. */
export type StartServer = (options: ServerOptions) => Promise<RunningServer>

/** The test that asked for it is skipped. */
export class CannotServe extends Error {}

/** Resolves when something accepts connections there. */
async function listening(port: number, process: ChildProcess, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (process.exitCode !== null) throw new Error(`mosquitto ended:\n${log()}`)
    if (await accepts(port)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`mosquitto does not listen:\n${log()}`)
}

/** `null`: Debian's mosquitto is not installed. */
export function mosquittoVersion(): string | null {
  const { stdout, error } = spawnSync(MOSQUITTO, ['-h'], { encoding: 'utf8', env: withSbin() })
  return error === undefined ? (/version (\S+)/.exec(stdout)?.[1] ?? null) : null
}

const MOSQUITTO = 'mosquitto'

function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` }
}

export const startMosquitto: StartServer = async (options) => {
  const port = options.port ?? (await freePort())
  const folder = mkdtempSync(join(tmpdir(), 'recado-client-'))
  const lines = [`listener ${port} 127.0.0.1`, `allow_anonymous ${options.user === undefined}`]
  if (options.user !== undefined) {
    const file = join(folder, 'passwords')
    spawnSync('mosquitto_passwd', ['-c', '-b', file, options.user.name, options.user.password])
    lines.push(`password_file ${file}`)
  }
  if (options.maximumQoS !== undefined) lines.push(`max_qos ${options.maximumQoS}`)
  const webSocketPort = options.webSocket ? await freePort() : undefined
  if (webSocketPort !== undefined) lines.push(`listener ${webSocketPort} 127.0.0.1`, 'protocol websockets')
  const unixPath = options.unixSocket ? join(folder, 'socket') : undefined
  if (unixPath !== undefined) lines.push(`listener 0 ${unixPath}`)
  // Started by root it would become the user mosquitto, who cannot read the files of the test.
  if (process.getuid?.() === 0) lines.push('user root')
  writeFileSync(join(folder, 'conf'), `${lines.join('\n')}\n`)
  const child = spawn(MOSQUITTO, ['-c', join(folder, 'conf')], { stdio: ['ignore', 'pipe', 'pipe'], env: withSbin() })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (log += data.toString()))
  await listening(port, child, () => log)
  // Its WebSocket listener opens later than the first one.
  if (webSocketPort !== undefined) await listening(webSocketPort, child, () => log)
  return {
    port,
    webSocketPort,
    unixPath,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Passes bytes on to `port`, until told to stop. */
export class Relay {
  readonly #server: Server | TlsServer
  readonly #target: number
  readonly #sockets = new Set<Socket>()
  #bytesLeft = Number.POSITIVE_INFINITY
  #refusing = false

  private constructor(target: number, isTls: boolean) {
    this.#target = target
    const onConnection = (socket: Socket): void => this.#handle(socket)
    this.#server = isTls
      ? createTlsServer({ cert: testCertificate, key: testKey }, onConnection)
      : createServer(onConnection)
  }

  /** With `isTls` clients speak TLS to it (certificate: `testCertificate`), and it speaks plainly to the server. */
  static async start(target: number, isTls = false): Promise<Relay> {
    const relay = new Relay(target, isTls)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Breaks all connections. */
  cut(): void {
    this.#bytesLeft = Number.POSITIVE_INFINITY
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Breaks all connections when so many more bytes have come from clients, in the middle of whatever is there. */
  cutAfter(bytes: number): void {
    this.#bytesLeft = bytes
  }

  /** Whether new connections are refused. */
  refuse(refusing: boolean): void {
    this.#refusing = refusing
  }

  async stop(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #handle(socket: Socket): void {
    if (this.#refusing) {
      socket.destroy()
      return
    }
    const server = connect(this.#target, '127.0.0.1')
    for (const end of [socket, server]) {
      this.#sockets.add(end)
      end.on('error', () => {})
      end.on('close', () => {
        this.#sockets.delete(end)
        socket.destroy()
        server.destroy()
      })
    }
    server.on('data', (data) => socket.write(data))
    socket.on('data', (data) => {
      server.write(data.subarray(0, this.#bytesLeft))
      this.#bytesLeft -= data.length
      if (this.#bytesLeft <= 0) this.cut()
    })
  }
}
