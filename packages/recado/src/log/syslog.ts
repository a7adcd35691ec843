/**
 * Log lines to syslog: datagrams to /dev/log, as syslog(3) sends them (RFC 3164) or in the form of RFC 5424.
 *
 * `log.ts` opens one for `log_dest syslog`. The invariants: a syslog that is not there, or does not read, neither holds up nor ends the broker; what cannot be
 * sent is counted and told with the next line that can be.
 */
import { hostname } from 'node:os'
import type { SyslogFormat } from '../config/log.ts'
import type { LogType } from '../log.ts'
import { type LogDestination, lostText } from '../log-stream.ts'
import { type DgramSocket, openDatagramSocket } from '../unix-datagram.ts'

const PATH = '/dev/log'
const DAEMON = 3
const LOCAL0 = 16
/** Bytes that wait for a syslog that does not read. */
const WAITING_BYTES_MAX = 1024 * 1024
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Severities of syslog for each type, as Mosquitto gives them. */
export const severities: Readonly<Record<LogType, number>> = {
  error: 3,
  warning: 4,
  notice: 5,
  subscribe: 5,
  unsubscribe: 5,
  information: 6,
  debug: 7,
  websockets: 7,
}

export interface SyslogOptions {
  readonly format: SyslogFormat
  /** 0 to 7 for local0 to local7; null: daemon. */
  readonly facility: number | null
  /** Told once, until it works again. */
  readonly onFailure: (why: string) => void
  readonly path?: string
  readonly now?: () => number
  /** Name of the program that writes the lines: `recado`. */
  readonly name?: string
}

export class SyslogDestination implements LogDestination {
  readonly #options: SyslogOptions
  readonly #path: string
  readonly #socket: DgramSocket | null
  #waitingBytes = 0
  #lost = 0
  #hasFailed = false

  constructor(options: SyslogOptions) {
    this.#options = options
    this.#path = options.path ?? PATH
    this.#socket = openDatagramSocket()
    this.#socket?.on('error', (error) => this.#failed(error.message))
    if (this.#socket === null) {
      this.#failed('the npm package node-unix-socket has no binary for this system; log to stderr or a file instead')
    }
  }

  get isOpen(): boolean {
    return !this.#hasFailed
  }

  write(line: string, type: LogType, event: string): void {
    const lost = this.#lost
    this.#lost = 0
    if (lost > 0) this.#send(lostText(lost).trimEnd(), type, event, lost)
    this.#send(line.trimEnd(), type, event, 1)
  }

  /** @param worth lines that are lost with it */
  #send(text: string, type: LogType, event: string, worth: number): void {
    const bytes = Buffer.from(this.#head(type, event) + text)
    const length = bytes.length
    if (this.#socket === null || this.#waitingBytes + length > WAITING_BYTES_MAX) {
      this.#lost += worth
      return
    }
    const failed = (error: Error): void => {
      this.#lost += worth
      this.#failed(error.message)
    }
    this.#waitingBytes += length
    try {
      this.#socket.sendTo(bytes, 0, length, this.#path, (error) => {
        this.#waitingBytes -= length
        if (error) failed(error)
        else this.#hasFailed = false
      })
    } catch (error) {
      this.#waitingBytes -= length
      failed(error as Error)
    }
  }

  #head(type: LogType, event: string): string {
    const { format, facility, name = 'recado', now = Date.now } = this.#options
    const priority = (facility === null ? DAEMON : LOCAL0 + facility) * 8 + severities[type]
    const time = new Date(now())
    if (format === 'rfc5424') {
      return `<${priority}>1 ${time.toISOString()} ${hostname() || '-'} ${name} ${process.pid} ${event} - `
    }
    const day = String(time.getDate()).padStart(2)
    const clock = time.toTimeString().slice(0, 8)
    return `<${priority}>${MONTHS[time.getMonth()]} ${day} ${clock} ${name}[${process.pid}]: `
  }

  #failed(why: string): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#options.onFailure(why)
  }

  reopen(): void {
    // There is nothing that is open: each datagram finds its way by itself.
  }

  close(): void {
    this.#socket?.close()
  }
}
