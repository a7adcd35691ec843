/**
 * The program's log: one call per event, as a line in Mosquitto's manner or as JSON, to stdout, stderr, a file, syslog and topics.
 *
 * `main.ts` makes one from the configuration; `observe.ts` feeds it with what happens in the broker. The invariants:
 * every site has an event name of its own (`client.connected`); one event is one line, whatever a client put into its
 * Client Identifier or topic; never a payload, never a password; nothing above `debug` per message;
 * no line is longer than LINE_BYTES_MAX, as in Mosquitto.
 *
 * Lines are written as they come, not collected: what was logged before a crash is there. No destination is waited for, and none
 * takes the broker with it when it fails (`log-stream.ts`).
 */
import type { LogConfig } from './config/log.ts'
import { escapeControls, HARMFUL } from './escape-controls.ts'
import { SyslogDestination, severities } from './log/syslog.ts'
import { type PublishLine, TopicDestination } from './log/topic.ts'
import { FileDestination, type LineStream, type LogDestination } from './log-stream.ts'
import { stackOf } from './stack.ts'
import { strftime } from './strftime.ts'

export type { LineStream } from './log-stream.ts'

/** Longest line in bytes, with its line feed. */
const LINE_BYTES_MAX = 999
/** Longest line with a stack in bytes; a pipe takes it whole. */
const STACK_BYTES_MAX = 4_000

/** Mosquitto's log types, which stand for levels and, in part, for subjects. */
export type LogType =
  | 'error'
  | 'warning'
  | 'notice'
  | 'information'
  | 'debug'
  | 'subscribe'
  | 'unsubscribe'
  | 'websockets'

/** Streams for lines, and syslog if that is not in /dev/log. */
export interface LogStreams {
  readonly stdout: LineStream
  readonly stderr: LineStream
  readonly syslogPath?: string
  /** Name of the program for syslog; default `recado`. */
  readonly name?: string
}

/** Fields of a JSON line besides time, level, event and message. Never payloads or passwords. */
export type LogFields = Record<string, string | number | boolean | null | undefined>

/** Escapes characters that JSON allows; the result means the same. */
const escapeInJson = (json: string): string =>
  json.replace(HARMFUL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** First characters of `text` that fit into `bytesMax` bytes of UTF-8, with an ellipsis when some do not. */
function cut(text: string, bytesMax: number): string {
  // No character has less than one byte for each of its units.
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text
  const bytes = Buffer.from(text.slice(0, bytesMax))
  let end = Math.max(0, bytesMax - 3)
  // Not in the middle of a character.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return `${bytes.toString('utf8', 0, end)}…`
}

export class Logger {
  #config: LogConfig
  #destinations: LogDestination[]
  readonly #streams: LogStreams
  #publish: PublishLine | null = null
  #hear: ((event: string, message: string) => void) | null = null
  readonly #now: () => number

  /**
   * Opens the log. A file that cannot be opened is a line on stderr, and errors go there as well. @param streams stdout
   * and stderr
   */
  constructor(config: LogConfig, streams: LogStreams, now: () => number = Date.now) {
    this.#config = config
    this.#streams = streams
    this.#now = now
    this.#destinations = this.#open(config)
  }

  #open(config: LogConfig): LogDestination[] {
    return config.destinations.map(([kind, path]) => this.#openOne(config, kind!, path))
  }

  #openOne({ facility, syslogFormat }: LogConfig, kind: string, path: string | undefined): LogDestination {
    const { stdout, stderr, syslogPath, name } = this.#streams
    const failed = (where: string, why: string): void =>
      void stderr.write(`recado: cannot write the log to ${where}: ${cut(escapeControls(why), 400)}\n`)
    switch (kind) {
      case 'file':
        return new FileDestination(path!, (error) => failed(path!, (error as Error).message))
      case 'syslog':
        return new SyslogDestination({
          ...{ facility, format: syslogFormat, now: this.#now },
          ...(syslogPath === undefined ? {} : { path: syslogPath }),
          ...(name === undefined ? {} : { name }),
          onFailure: (why) => failed('syslog', why),
        })
      case 'topic': {
        const destination = new TopicDestination()
        destination.attach(this.#publish)
        return destination
      }
      default:
        return new StreamDestination(kind === 'stdout' ? stdout : stderr)
    }
  }

  /** `log_dest topic` publishes by it from now on; null: by nobody. */
  publishBy(publish: PublishLine | null): void {
    this.#publish = publish
    for (const each of this.#destinations) if (each instanceof TopicDestination) each.attach(publish)
  }

  /** In whose words, and of which version. */
  get style(): Pick<LogConfig, 'style' | 'mosquittoVersion'> {
    return this.#config
  }

  /** Changes types, form and destinations. Unchanged destinations stay open. */
  configure(config: LogConfig): void {
    const isSame = destinationsText(config) === destinationsText(this.#config)
    this.#config = config
    if (isSame) return
    const before = this.#destinations
    this.#destinations = this.#open(config)
    for (const destination of before) destination.close()
  }

  /** Types that are logged. */
  get types(): string[] {
    return [...this.#config.types]
  }

  /** Logs these types from now on, to the same places, until the next `configure`. */
  setTypes(types: readonly string[]): void {
    this.#config = { ...this.#config, types: new Set(types) }
  }

  /** Whether a line of this type would be written: ask before building an expensive one. */
  has(type: LogType): boolean {
    return this.#config.types.has(type)
  }

  /** Calls `hear` with every line, written or not, until the returned function is called. One at a time. */
  overhear(hear: (event: string, message: string) => void): () => void {
    this.#hear = hear
    return () => {
      if (this.#hear === hear) this.#hear = null
    }
  }

  /** @param message one sentence for people; @param event the site's name for machines */
  log(type: LogType, event: string, message: string, fields?: LogFields): void {
    this.#hear?.(event, message)
    this.#write(type, event, message, fields, LINE_BYTES_MAX)
  }

  /** Logs an error of ours, with its stack. */
  fault(event: string, message: string, error: unknown, fields?: LogFields): void {
    this.#write('error', event, `${message}: ${stackOf(error)}`, fields, STACK_BYTES_MAX)
  }

  #write(type: LogType, event: string, message: string, fields: LogFields | undefined, bytesMax: number): void {
    if (!this.#config.types.has(type) || this.#destinations.length === 0) return
    const nowMs = this.#now()
    const line =
      this.#config.style === 'json'
        ? this.#json(nowMs, type, event, message, fields, bytesMax)
        : this.#text(nowMs, type, message, bytesMax)
    for (const destination of this.#destinations) destination.write(line, type, event)
    if (type === 'error' && this.#isBlind()) this.#streams.stderr.write(line)
  }

  /** A file or syslog that was asked for is not there, and stderr was not asked for: somebody has to see the errors. */
  #isBlind(): boolean {
    if (this.#config.destinations.some(([kind]) => kind === 'stderr')) return false
    return this.#destinations.some((each) => each.isOpen === false)
  }

  reopen(): void {
    for (const destination of this.#destinations) destination.reopen()
  }

  close(): void {
    for (const destination of this.#destinations) destination.close()
    this.#destinations.length = 0
  }

  #text(nowMs: number, type: LogType, message: string, bytesMax: number): string {
    const { timestamp, timestampFormat } = this.#config
    const time = timestampFormat === null ? `${Math.floor(nowMs / 1000)}` : strftime(timestampFormat, new Date(nowMs))
    // No line is longer than its bound, so no more of a message is read than fits into it. What belongs to the line before begins with a tab of ours.
    const escaped = (part: string): string => escapeControls(part.slice(0, bytesMax))
    const text = type === 'debug' && message.startsWith('\t') ? `\t${escaped(message.slice(1))}` : escaped(message)
    return `${cut(timestamp ? `${time}: ${text}` : text, bytesMax - 1)}\n`
  }

  #json(
    nowMs: number,
    level: LogType,
    event: string,
    message: string,
    fields: LogFields | undefined,
    bytesMax: number,
  ): string {
    // The message is escaped like text, so that it reads the same in both forms.
    const time = this.#config.timestamp ? new Date(nowMs).toISOString() : undefined
    for (let most = bytesMax; ; most >>= 1) {
      const shorter = Object.entries(fields ?? {}).map(([name, value]) => [
        name,
        typeof value === 'string' ? cut(value, most) : value,
      ])
      const text = cut(escapeControls(message.slice(0, most)), most)
      const line = `${escapeInJson(JSON.stringify({ time, level, event, message: text, ...Object.fromEntries(shorter) }))}\n`
      if (Buffer.byteLength(line) <= bytesMax || most < 8) return line
    }
  }
}

/** Text of the settings that make other destinations. */
const destinationsText = ({ destinations, facility, syslogFormat }: LogConfig): string =>
  JSON.stringify([destinations, facility, syslogFormat])

class StreamDestination implements LogDestination {
  readonly #stream: LineStream
  constructor(stream: LineStream) {
    this.#stream = stream
  }
  write(line: string, type: LogType): void {
    this.#stream.write(this.#stream.isJournal === true ? `<${severities[type]}>${line}` : line)
  }
  reopen(): void {
    // Streams are not ours to reopen.
  }
  close(): void {
    // Nor to close.
  }
}
