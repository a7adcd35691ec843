/**
 * `recado tree`: the topics of a server with their last values and rates. On a terminal it is shown in place, again each second; into a pipe or a file
 * it is printed once, after some seconds of listening.
 *
 * Called by `main.ts`. The invariant: the terminal is as it was afterwards, however it ends.
 */
import { type Client, type Message, MqttError, SubscribeError } from '@recado/client'
import { isTopicFilter } from '@recado/protocol'
import { textOf } from '../argument-bytes.ts'
import { type Command, isGiven, longHelpRow, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import type { Io } from '../io.ts'
import { connection, identity, tls } from './connection-options.ts'
import type { CliIo } from './io.ts'
import { printJson } from './json-text.ts'
import { ownPayload } from './message-json.ts'
import { connectFailure, reasonText } from './mosquitto-messages.ts'
import { atof, type ToolOption } from './option-spec.ts'
import { PayloadDecoder } from './payload-decoding.ts'
import { runTool } from './store-folder.ts'
import { isTerminal, safeLine, safeText } from './terminal.ts'
import { ArgumentError, makeClient, prepare } from './tool-client.ts'
import { type Decoding, decodings, defaultOptions, type ToolOptions } from './tool-options.ts'
import { TopicTree } from './topic-tree.ts'

const SECONDS_DEFAULT = 2
const MANNER = { program: 'recado tree', mosquitto: null }

/** Rows of the tables of `recado sub`, without the URL, whose topic is that of a message. */
const rows = (group: { readonly options: readonly ToolOption[] }): ToolOption[] =>
  group.options.filter(({ names, isHidden }) => isHidden !== true && !names.includes('-L'))

const connectionRows = [...rows(connection), ...rows(identity), ...rows(tls)]

export const command: Command = {
  name: 'tree',
  summary: 'shows the topics of a server as a tree, with their last values and rates.',
  usage: ['[-h HOST] [-p PORT] [-t FILTER ...] [options]'],
  introduction: `  {program} -h broker.example
  {program} -t 'home/#' --for 10 > home.txt
  {program} --json | jq '.topics[].topic'`,
  groups: [
    {
      title: 'Topics',
      options: [
        {
          names: ['-t', '--topic'],
          value: 'FILTER',
          help: 'Topic Filter; may be repeated (default: #, which is all but $SYS)',
          repeats: true,
        },
        {
          names: ['-q', '--qos'],
          value: 'QOS',
          help: 'highest QoS to receive (default: 0)',
          completes: ['0', '1', '2'],
        },
      ],
    },
    {
      title: 'Output',
      options: [
        {
          names: ['--for'],
          value: 'SECONDS',
          help: `listen so long, then print and end (default: ${SECONDS_DEFAULT}; on a terminal until Ctrl-C)`,
        },
        { names: ['--depth'], value: 'LEVELS', help: 'show so many levels (default: all, on a terminal what fits)' },
        {
          names: ['--decode'],
          value: 'FORM',
          help: 'what payloads are: auto (default), json, cbor, msgpack or sparkplug',
          completes: decodings,
        },
        {
          names: ['--json'],
          help: 'one JSON document: {"topics": [{"topic", "payload", "rate", ...}], "untracked": 0}',
        },
        longHelpRow,
      ],
    },
    { title: 'Connection', options: rows(connection) },
    { title: 'Identity of the client', options: rows(identity) },
    { title: 'TLS', options: rows(tls) },
  ],
  notes: `Rates are messages a second, smoothed over some seconds; what the server had kept is no message. Of more than 20,000 topics the others are counted.
Exit code: 0; 1 for wrong arguments and unreachable servers; when the server refuses the connection, the code that it gave.`,
}

export function runTree(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    try {
      return await new Tree(parsed, io).run()
    } catch (error) {
      if (!(error instanceof ArgumentError)) throw error
      io.stderr.write(error.message)
      return 1
    }
  })
}

/** Returns options of the connection, as `recado sub` has them. @throws ToolError */
function optionsFrom(parsed: ParsedCommand): ToolOptions {
  const options = { ...defaultOptions('sub'), protocolVersion: 5 as const }
  for (const row of connectionRows) {
    const name = row.names.at(-1)!
    if (!isGiven(parsed, name)) continue
    const problem = row.apply(options, valueIn(parsed, name) ?? '', MANNER)
    if (problem !== undefined) throw new ToolError(problem.replace(/^Error: /, '').trim())
  }
  for (const filter of parsed.values.get('--topic') ?? []) {
    if (!isTopicFilter(filter))
      throw new ToolError(
        `-t ${filter}: not a Topic Filter (+ stands for one whole level, # for all levels at the end)`,
      )
    options.topics.push(filter)
  }
  if (options.topics.length === 0) options.topics.push('#')
  options.qos = Number(valueIn(parsed, '--qos') ?? 0) as 0 | 1 | 2
  return options
}

function numberOf(parsed: ParsedCommand, name: string, fallback: number): number {
  const word = valueIn(parsed, name)
  if (word === undefined) return fallback
  const number = /^\d+(?:\.\d+)?$/.test(word) ? atof(word) : 0
  if (number <= 0 || number > 1e6) throw new ToolError(`${name} needs a number above 0, not "${word}"`)
  return number
}

class Tree {
  readonly #options: ToolOptions
  readonly #io: Io
  readonly #seconds: number
  readonly #depth: number
  readonly #decoder: PayloadDecoder
  readonly #tree = new TopicTree()
  /** Last messages, for `--json`, which shows more of them than a line. */
  readonly #payloads = new Map<string, readonly [name: string, text: string]>()
  readonly #isJson: boolean
  readonly #isLive: boolean
  #code = 0
  #failure = ''
  #end: () => void = () => {}
  readonly #ended = new Promise<void>((resolve) => {
    this.#end = resolve
  })

  constructor(parsed: ParsedCommand, io: Io) {
    this.#io = io
    this.#options = optionsFrom(parsed)
    this.#isJson = isGiven(parsed, '--json')
    this.#isLive = isTerminal(io.stdout) && !this.#isJson
    this.#seconds = numberOf(parsed, '--for', this.#isLive ? Number.POSITIVE_INFINITY : SECONDS_DEFAULT)
    this.#depth = numberOf(parsed, '--depth', Number.POSITIVE_INFINITY)
    this.#decoder = new PayloadDecoder((valueIn(parsed, '--decode') ?? 'auto') as Decoding)
  }

  async run(): Promise<number> {
    const { signals } = this.#io
    await prepare(this.#options, this.#io as CliIo)
    const client = makeClient(this.#options, MANNER, {
      reconnect: this.#isLive ? { minMs: 1_000, maxMs: 1_000 } : false,
    })
    signals.on('SIGINT', this.#end)
    signals.on('SIGTERM', this.#end)
    try {
      await this.#listen(client)
    } finally {
      signals.off('SIGINT', this.#end)
      signals.off('SIGTERM', this.#end)
      await client.close({ drainMs: 0 })
    }
    if (this.#code === 0) this.#print()
    else this.#io.stderr.write(this.#failure)
    return this.#code
  }

  async #listen(client: Client): Promise<void> {
    const { topics, qos } = this.#options
    const subscription = client.subscribe(topics, { qos, identifier: false, literal: true }, (message) =>
      this.#take(message),
    )
    const denied = subscription.ready.then(
      () => undefined,
      (error: unknown) => this.#fail(error),
    )
    try {
      await client.connect()
    } catch (error) {
      this.#fail(error)
      return
    }
    await Promise.race([denied, this.#ended])
    void client.closed.then((why) => {
      if (why !== null) this.#fail(why)
    })
    const timer = Number.isFinite(this.#seconds) ? setTimeout(this.#end, this.#seconds * 1_000) : null
    const ticker = setInterval(() => {
      try {
        this.#tick()
      } catch (error) {
        this.#fail(error)
      }
    }, 1_000)
    if (this.#isLive) this.#io.stdout.write(ENTER)
    try {
      await this.#ended
    } finally {
      clearInterval(ticker)
      if (timer !== null) clearTimeout(timer)
      if (this.#isLive) this.#io.stdout.write(LEAVE)
    }
  }

  #fail(error: unknown): void {
    if (this.#code !== 0) return
    const { text, exitCode } =
      error instanceof SubscribeError
        ? { text: `The subscription was denied: ${reasonText(error.reasonCode)}.\n`, exitCode: 1 }
        : error instanceof MqttError
          ? connectFailure(error, false)
          : { text: `Error: ${safeLine((error as Error).message)}\n`, exitCode: 1 }
    this.#code = exitCode
    // Printed when the terminal is as it was: what the other screen shows is gone with it.
    this.#failure = text
    this.#end()
  }

  #take(message: Message): void {
    const json = this.#decoder.decode(message)
    const text = json === null ? payloadText(message) : Buffer.from(printJson(json, false), 'latin1').toString()
    this.#tree.add(message.topic, text, message)
    if (!this.#isJson) return
    const [name, own] = json === null ? ownPayload(message) : (['payload', json] as const)
    this.#payloads.set(message.topic, [name, Buffer.from(printJson(own, false), 'latin1').toString()])
    // As many as the tree has: what it does not show is not needed.
    if (this.#payloads.size > this.#tree.topics) this.#payloads.delete(message.topic)
  }

  #tick(): void {
    this.#tree.tick(1)
    if (!this.#isLive) return
    const { columns = 80, rows: height = 24 } = this.#io.stdout as { columns?: number; rows?: number }
    const depth = Math.min(this.#depth, this.#tree.depthFor(height - 2))
    const lines = this.#tree.lines(depth).map((line) => safeText(line).replaceAll('\t', ' '))
    const shown =
      lines.length > height - 1 ? [...lines.slice(0, height - 2), `... ${lines.length - height + 2} more lines`] : lines
    const text = shown.map((line) => `${[...line].slice(0, columns).join('')}\x1b[K\r\n`).join('')
    this.#io.stdout.write(`\x1b[H${text}${this.#statusLine()}\x1b[K\x1b[J`)
  }

  #statusLine(): string {
    const { topics, untracked } = this.#tree
    const rate = this.#tree.list().reduce((sum, each) => sum + each.rate, 0)
    return `${topics} topics, ${rate.toFixed(1)} messages/s${untracked > 0 ? `, ${untracked} messages of others` : ''}`
  }

  #print(): void {
    const { stdout } = this.#io
    if (this.#isJson) {
      stdout.write(`${this.#document()}\n`)
      return
    }
    const shows = (line: string): string => (isTerminal(stdout) ? safeText(line) : line)
    for (const line of this.#tree.lines(this.#depth)) stdout.write(`${shows(line)}\n`)
    if (this.#tree.untracked > 0) stdout.write(`${this.#tree.untracked} messages of other topics\n`)
  }

  /** Payloads are JSON already. */
  #document(): string {
    const topics = this.#tree.list().map(({ topic, retain, qos, count, rate }) => {
      const [name, text] = this.#payloads.get(topic) ?? ['payload', 'null']
      const head = JSON.stringify({ topic, retain, qos, messages: count, rate: Number(rate.toFixed(3)) })
      return `${head.slice(0, -1)},"${name}":${text}}`
    })
    return `{"topics":[${topics.join(',')}],"untracked":${this.#tree.untracked}}`
  }
}

/** Another screen without a cursor, and back. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[H\x1b[J'
const LEAVE = '\x1b[?25h\x1b[?1049l'

/** Bytes that are no text are their number and the first of them. */
function payloadText({ payload }: Message): string {
  const text = textOf(payload)
  if (!/[\udc80-\udcff\x00-\x08]/.test(text)) return text
  const hex = Buffer.from(payload.subarray(0, 16)).toString('hex')
  return `${payload.length} bytes: ${hex}${payload.length > 16 ? '...' : ''}`
}
