/**
 * The arguments of `recado bench conn|pub|sub|pair`: names and meanings of emqtt-bench and MQTTX where they agree with
 * each other and with mosquitto_pub, one table for parsing and for suggestions.
 *
 * Called by `bench.ts`. Invariant: the result can be run; every foreseen fault is a `BenchArgumentError` of one line.
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { isTopicFilter, isTopicName, type QoS } from '@recado/protocol'
import { didYouMean } from '../config/suggest.ts'
import { benchKinds, command } from './bench-command.ts'
import { PAYLOAD_HEADER_BYTES } from './bench-payload.ts'

export type BenchCommand = (typeof benchKinds)[number]

export interface BenchOptions {
  readonly command: BenchCommand
  readonly host: string
  readonly port: number
  readonly protocolVersion: 3 | 4 | 5
  /** Number of connections of `conn`, `pub` and `sub`; of publishers of `pair`. */
  readonly count: number
  /** Number of subscribers of `pair`. */
  readonly subscribers: number
  /** Connections opened per second; 0 opens them as fast as they are answered. */
  readonly connectRate: number
  /** Milliseconds between two messages of one publisher; 0 sends as fast as possible. */
  readonly intervalMs: number
  /** First number that stands for %i. */
  readonly startNumber: number
  readonly payloadBytes: number
  readonly qos: QoS
  readonly retain: boolean
  /** Template of Topic Names, in `sub` of Topic Filters. */
  readonly topic: string
  /** Template of the Topic Filters of `pair`'s subscribers. */
  readonly filter: string
  readonly cleanStart: boolean
  readonly keepAliveSeconds: number
  readonly username: string | undefined
  readonly password: string | undefined
  /** Template of Client Identifiers; in `pair` it is followed by `-pub` or `-sub`. */
  readonly clientId: string
  /** Number of messages to publish (`pub`, `pair`) or receive (`sub`) in all; 0 for no limit. */
  readonly limit: number
  readonly inflightMax: number
  readonly window: number
  /** Measured seconds; 0 measures until a signal. */
  readonly durationSeconds: number
  readonly warmupSeconds: number
  /** Addresses of this machine to connect from, in turn. */
  readonly localAddresses: readonly string[]
  readonly json: boolean
  readonly quiet: boolean
}

export class BenchArgumentError extends Error {}

export type ParsedBench = { kind: 'help' } | { kind: 'version' } | { kind: 'run'; options: BenchOptions }

/** Options in the form of Node's `parseArgs`. */
const optionTable: Record<string, { type: 'string' | 'boolean'; short?: string }> = Object.fromEntries(
  command.groups
    .flatMap(({ options }) => options)
    .map(({ names, value }) => {
      const short = names.length > 1 ? { short: names[0]!.slice(1) } : {}
      return [names.at(-1)!.slice(2), { type: value === undefined ? 'boolean' : 'string', ...short }]
    }),
)

type Name = string
const commands: readonly string[] = benchKinds
const COUNT_MAX = 1_000_000
const PAYLOAD_MAX = 268_435_455 - 65_537 - 4
const DEFAULT_TOPIC = 'recado/bench/%i'

/** Parses the arguments. @throws BenchArgumentError */
export function parseBench(argv: readonly string[]): ParsedBench {
  const [kind, ...rest] = argv
  if (kind === undefined || kind === '--help') return { kind: 'help' }
  if (kind === '--version') return { kind: 'version' }
  if (!commands.includes(kind)) {
    throw new BenchArgumentError(
      `unknown command "${kind}"${didYouMean(kind, commands)}; there are ${commands.join(', ')}`,
    )
  }
  const values = tokens(rest)
  if (values.has('help')) return { kind: 'help' }
  if (values.has('version')) return { kind: 'version' }
  return { kind: 'run', options: optionsOf(kind as BenchCommand, values) }
}

function tokens(argv: readonly string[]): Map<Name, string> {
  const parsed = parseArgs({ args: [...argv], options: optionTable, strict: false, tokens: true })
  const values = new Map<Name, string>()
  for (const token of parsed.tokens) {
    if (token.kind === 'positional') throw new BenchArgumentError(`"${token.value}" is not an option`)
    if (token.kind === 'option-terminator') continue
    const option = Object.hasOwn(optionTable, token.name) ? optionTable[token.name] : undefined
    if (option === undefined) {
      const names = Object.keys(optionTable).map((name) => `--${name}`)
      throw new BenchArgumentError(`unknown option "${token.rawName}"${didYouMean(token.rawName, names)}`)
    }
    if (option.type === 'boolean') {
      if (token.value !== undefined) throw new BenchArgumentError(`${token.rawName} takes no value`)
    } else if (token.value === undefined) {
      throw new BenchArgumentError(`${token.rawName} needs a value`)
    }
    values.set(token.name as Name, token.value ?? 'true')
  }
  return values
}

function optionsOf(command: BenchCommand, values: Map<Name, string>): BenchOptions {
  const whole = (name: Name, fallback: number, min: number, max: number): number => {
    const text = values.get(name)
    if (text === undefined) return fallback
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) {
      throw new BenchArgumentError(`--${name} ${text}: expected a whole number from ${min} to ${max}`)
    }
    return value
  }
  const seconds = (name: Name, fallback: number): number => {
    const text = values.get(name)
    if (text === undefined) return fallback
    const value = /^\d+(\.\d+)?s?$/.test(text) ? Number.parseFloat(text) : Number.NaN
    if (!(value <= 86_400 * 30)) throw new BenchArgumentError(`--${name} ${text}: expected a number of seconds`)
    return value
  }
  const count = whole('count', command === 'pair' ? 10 : 100, 1, COUNT_MAX)
  const subscribers = whole('subs', count, 1, COUNT_MAX)
  const topic = values.get('topic') ?? (command === 'sub' ? DEFAULT_TOPIC.replace('%i', '+') : DEFAULT_TOPIC)
  // With fewer subscribers than topics each of them takes all topics, so that no message is published in vain.
  const filter = values.get('filter') ?? (subscribers < count ? topic.replaceAll('%i', '+') : topic)
  const options: BenchOptions = {
    command,
    host: values.get('host') ?? 'localhost',
    port: whole('port', 1883, 1, 65_535),
    protocolVersion: versionOf(values.get('mqtt-version') ?? '5'),
    count,
    subscribers,
    connectRate: whole('connrate', 0, 0, 1_000_000),
    intervalMs: whole('interval', command === 'pair' ? 0 : 1_000, 0, 86_400_000),
    startNumber: whole('startnumber', 0, 0, Number.MAX_SAFE_INTEGER),
    payloadBytes: bytesOf(values.get('size') ?? '256'),
    qos: whole('qos', 0, 0, 2) as QoS,
    retain: values.has('retain'),
    topic,
    filter,
    cleanStart: booleanOf('clean', values.get('clean') ?? 'true'),
    keepAliveSeconds: whole('keepalive', 60, 0, 65_535),
    username: values.get('username'),
    password: values.get('password'),
    // The pid would not do: in two containers it is the same, and they would take over each other's sessions.
    clientId: values.get('client-id') ?? `recado-bench-${randomBytes(4).toString('hex')}-%i`,
    limit: whole('limit', 0, 0, Number.MAX_SAFE_INTEGER),
    inflightMax: whole('inflight', 32, 1, 65_535),
    window: whole('window', 64, 1, 1_000_000),
    durationSeconds: seconds('duration', command === 'pair' && !values.has('limit') ? 10 : 0),
    warmupSeconds: seconds('warmup', 0),
    localAddresses: (values.get('ifaddr') ?? '').split(',').filter((address) => address !== ''),
    json: values.has('json'),
    quiet: values.has('quiet'),
  }
  check(options, values)
  return options
}

function check(options: BenchOptions, values: Map<Name, string>): void {
  const { command, clientId, topic, filter } = options
  const clients = command === 'pair' ? Math.max(options.count, options.subscribers) : options.count
  if (clients > 1 && !clientId.includes('%i')) {
    const hint = /^\d+$/.test(clientId) ? ' (connections per second are -R)' : ''
    throw new BenchArgumentError(`--client-id ${clientId}: ${clients} clients need %i in it${hint}`)
  }
  const sample = (template: string): string => expandTemplate(template, options.startNumber, clientId, options.username)
  if (command === 'sub' && !isTopicFilter(sample(topic))) throw notA('topic', topic, 'Topic Filter')
  if ((command === 'pub' || command === 'pair') && !isTopicName(sample(topic))) throw notA('topic', topic, 'Topic Name')
  if (command === 'pair' && !isTopicFilter(sample(filter))) throw notA('filter', filter, 'Topic Filter')
  if (options.password !== undefined && options.username === undefined && options.protocolVersion < 5) {
    throw new BenchArgumentError('--password without --username needs MQTT 5.0') // [MQTT-3.1.1:3.1.2-22]
  }
  for (const name of ['subs', 'filter', 'window', 'warmup'] as const) {
    if (values.has(name) && command !== 'pair')
      throw new BenchArgumentError(`--${name} is for "recado bench pair" only`)
  }
}

function notA(name: string, value: string, what: string): BenchArgumentError {
  return new BenchArgumentError(`--${name} ${value}: not a ${what}`)
}

function versionOf(text: string): 3 | 4 | 5 {
  switch (text.replace(/^mqttv/, '')) {
    case '3':
    case '3.1':
    case '31':
      return 3
    case '4':
    case '3.1.1':
    case '311':
      return 4
    case '5':
    case '5.0':
      return 5
    default:
      throw new BenchArgumentError(`--mqtt-version ${text}: expected 3 (3.1), 4 (3.1.1) or 5`)
  }
}

function booleanOf(name: Name, text: string): boolean {
  if (text === 'true' || text === '1') return true
  if (text === 'false' || text === '0') return false
  throw new BenchArgumentError(`--${name} ${text}: expected true or false`)
}

function bytesOf(text: string): number {
  const [, digits, unit = ''] = /^(\d+)(k|m)?b?$/i.exec(text) ?? []
  const factor = { '': 1, k: 1024, m: 1024 * 1024 }[unit.toLowerCase()] ?? 1
  const value = Number(digits) * factor
  if (!(value >= PAYLOAD_HEADER_BYTES && value <= PAYLOAD_MAX)) {
    throw new BenchArgumentError(
      `--size ${text}: expected bytes from ${PAYLOAD_HEADER_BYTES} (which number and time take) to ${PAYLOAD_MAX}; 16K, 1M`,
    )
  }
  return value
}

/** Expands a template: %i is the number of the client, %c its Client Identifier, %u the user name. */
export function expandTemplate(template: string, index: number, clientId: string, username = ''): string {
  return template.replace(/%[icu]/g, (word) => {
    if (word === '%i') return String(index)
    return word === '%c' ? clientId.replaceAll('%i', String(index)) : username
  })
}
