/**
 * Reports the broker's state to the service manager: sd_notify(3), for units of `Type=notify` and `Type=notify-reload`,
 * with a watchdog.
 *
 * `serve.ts` opens one at the start, while it still has all of its privileges. Invariants: without NOTIFY_SOCKET it
 * does nothing; a service manager that does not answer never holds up or ends the broker.
 *
 * Messages are sent by this very process (`node-unix-socket`), because a unit with `NotifyAccess=main` accepts no
 * others. Where that module is missing, the program `systemd-notify` sends them: as root in the name of this process,
 * else for units with `NotifyAccess=all`.
 */
import { spawn } from 'node:child_process'
import { type DgramSocket, openDatagramSocket } from './unix-datagram.ts'

export interface Notifier {
  /** Reports that the sockets are open. Begins to feed the watchdog, if there is one. */
  ready(status: string): void
  /** Reports that settings are being read again; `ready` ends it. */
  reloading(): void
  stopping(): void
  close(): void
}

const RETRY_MS = 50
const TRIES = 40

const SILENT: Notifier = { ready() {}, reloading() {}, stopping() {}, close() {} }

type Environment = Readonly<Record<string, string | undefined>>

/** @param onFailure called once with the reason why nothing can be sent */
export function openNotifier(environment: Environment, onFailure: (why: string) => void): Notifier {
  const path = environment['NOTIFY_SOCKET']
  if (path === undefined || path === '') return SILENT
  return new SocketNotifier(path, environment, onFailure)
}

class SocketNotifier implements Notifier {
  readonly #path: string
  readonly #onFailure: (why: string) => void
  readonly #socket: DgramSocket | null
  readonly #watchdogMs: number
  #hasFailed = false
  #isClosed = false
  #watchdog: NodeJS.Timeout | null = null

  constructor(path: string, environment: Environment, onFailure: (why: string) => void) {
    this.#path = path
    this.#onFailure = onFailure
    this.#socket = path.startsWith('/') ? openDatagramSocket() : null
    this.#socket?.on('error', (error) => this.#failed(error))
    const watchdogPid = environment['WATCHDOG_PID']
    const isOurs = watchdogPid === undefined || watchdogPid === String(process.pid)
    const microseconds = Number(environment['WATCHDOG_USEC'] ?? 0)
    this.#watchdogMs = isOurs && microseconds > 0 ? microseconds / 1000 : 0
  }

  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${status.replace(/[\r\n]+/g, ' ')}\nMAINPID=${process.pid}`)
    if (this.#watchdogMs === 0 || this.#watchdog !== null) return
    // Fed by the event loop itself: the watchdog is there for a loop that hangs.
    this.#watchdog = setInterval(() => this.#send('WATCHDOG=1'), this.#watchdogMs / 2)
    this.#watchdog.unref()
  }

  reloading(): void {
    // From the clock that cannot be set: `Type=notify-reload` compares it.
    const microseconds = process.hrtime.bigint() / 1000n
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${microseconds}`)
  }

  stopping(): void {
    this.#send('STOPPING=1')
  }

  close(): void {
    if (this.#watchdog !== null) clearInterval(this.#watchdog)
    this.#watchdog = null
    this.#isClosed = true
    this.#socket?.close()
  }

  /**
   * Sends a message. A busy service manager has room for ten messages: each is tried again, except the watchdog's,
   * which comes anew.
   */
  #send(message: string, triesLeft: number = message === 'WATCHDOG=1' ? 0 : TRIES): void {
    if (this.#socket === null) {
      this.#sendByProgram(message)
      return
    }
    const failed = (error: Error): void => {
      if (triesLeft === 0 || this.#isClosed) this.#failed(error)
      else setTimeout(() => this.#send(message, triesLeft - 1), RETRY_MS).unref()
    }
    const bytes = Buffer.from(message)
    try {
      this.#socket.sendTo(bytes, 0, bytes.length, this.#path, (error) => {
        if (error) failed(error)
      })
    } catch (error) {
      failed(error as Error)
    }
  }

  #sendByProgram(message: string): void {
    const child = spawn('systemd-notify', message.split('\n'), { stdio: 'ignore' })
    child.on('error', (error) => this.#failed(error))
    child.on('exit', (code) => {
      if (code !== 0) this.#failed(new Error(`systemd-notify ended with exit code ${code}`))
    })
    child.unref()
  }

  #failed({ message }: Error): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#onFailure(message)
  }
}
