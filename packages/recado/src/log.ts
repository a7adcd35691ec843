/**
 * The program's log: one call per event, as a line in Mosquitto's manner or as JSON, to stdout, stderr and a file.
 *
 * `main.ts` makes one from the configuration; `observe.ts` feeds it with what happens in the broker. The invariants:
 * every site has an event name of its own (`client.connected`); one event is one line, whatever a client put into its
 * Client Identifier or topic; never a payload, never a password; nothing above `debug` per message.
 *
 * Lines are written as they come, not collected: what was logged before a crash is there. A destination that fails
 * (disk full, closed pipe) is given up with one line on stderr, and never takes the broker with it.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import type { LogConfig } from './config/config.ts'
import { strftime } from './strftime.ts'

/** Mosquitto's log types, which stand for levels and, in part, for subjects. */
export type LogType = 'error' | 'warning' | 'notice' | 'information' | 'debug' | 'subscribe' | 'unsubscribe'

/** What a JSON line has besides time, level, event and message. Never payloads or passwords. */
export type LogFields = Record<string, string | number | boolean | null | undefined>

/** A stream that lines go to: process.stdout, process.stderr, or a test's. */
export interface LineStream {
  write(text: string): unknown
}

interface Destination {
  write(line: string): void
  /** After a signal: the file may have been moved away by a log rotation. */
  reopen(): void
  close(): void
}

const HARMFUL: RegExp = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** What JSON leaves as it is; escaped it reads the same. */
const escapeInJson = (json: string): string =>
  json.replace(HARMFUL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

/**
 * Text that may come from a client, made harmless on a terminal and in a log: control characters, line separators
 * and those that turn the direction of writing are shown as escapes, so that nobody can forge a line.
 */
export function escapeControls(text: string): string {
  return text.replace(HARMFUL, (character) => {
    const code = character.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

export class Logger {
  readonly #config: LogConfig
  readonly #destinations: Destination[]
  readonly #now: () => number

  /**
   * @param streams stdout and stderr
   * @throws Error with a Node error code when the log file cannot be opened
   */
  constructor(config: LogConfig, streams: { stdout: LineStream; stderr: LineStream }, now: () => number = Date.now) {
    this.#config = config
    this.#now = now
    const failed = (what: string, error: unknown): void => {
      streams.stderr.write(`recado: cannot write the log to ${what}: ${(error as Error).message}\n`)
    }
    this.#destinations = config.destinations.map(([kind, path]) =>
      kind === 'file'
        ? new FileDestination(path!, failed)
        : new StreamDestination(kind === 'stdout' ? streams.stdout : streams.stderr),
    )
  }

  /** Whether a line of this type would be written: ask before building an expensive one. */
  has(type: LogType): boolean {
    return this.#config.types.has(type)
  }

  /** @param message one sentence for people; @param event the site's name for machines */
  log(type: LogType, event: string, message: string, fields?: LogFields): void {
    if (!this.#config.types.has(type) || this.#destinations.length === 0) return
    const nowMs = this.#now()
    const line =
      this.#config.format === 'json' ? this.#json(nowMs, type, event, message, fields) : this.#text(nowMs, message)
    for (const destination of this.#destinations) destination.write(line)
  }

  reopen(): void {
    for (const destination of this.#destinations) destination.reopen()
  }

  close(): void {
    for (const destination of this.#destinations) destination.close()
    this.#destinations.length = 0
  }

  #text(nowMs: number, message: string): string {
    const { timestamp, timestampFormat } = this.#config
    const text = escapeControls(message)
    if (!timestamp) return `${text}\n`
    if (timestampFormat === null) return `${Math.floor(nowMs / 1000)}: ${text}\n`
    return `${strftime(timestampFormat, new Date(nowMs))}: ${text}\n`
  }

  #json(nowMs: number, level: LogType, event: string, message: string, fields: LogFields | undefined): string {
    // The message is escaped like text, so that it reads the same in both forms.
    const time = this.#config.timestamp ? new Date(nowMs).toISOString() : undefined
    return `${escapeInJson(JSON.stringify({ time, level, event, message: escapeControls(message), ...fields }))}\n`
  }
}

class StreamDestination implements Destination {
  readonly #stream: LineStream
  constructor(stream: LineStream) {
    this.#stream = stream
  }
  write(line: string): void {
    this.#stream.write(line)
  }
  reopen(): void {
    // Streams are not ours to reopen.
  }
  close(): void {
    // Nor to close.
  }
}

class FileDestination implements Destination {
  readonly #path: string
  readonly #failed: (what: string, error: unknown) => void
  #file: number | null
  constructor(path: string, failed: (what: string, error: unknown) => void) {
    this.#path = path
    this.#failed = failed
    this.#file = openSync(path, 'a', 0o640)
  }
  write(line: string): void {
    if (this.#file === null) return
    try {
      writeSync(this.#file, line)
    } catch (error) {
      this.#failed(this.#path, error)
      this.close()
    }
  }
  reopen(): void {
    this.close()
    try {
      this.#file = openSync(this.#path, 'a', 0o640)
    } catch (error) {
      this.#failed(this.#path, error)
    }
  }
  close(): void {
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
  }
}
