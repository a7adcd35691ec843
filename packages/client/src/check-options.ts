/**
 * What is wrong with options that TypeScript has not checked: names that do not exist (of another library, or mistyped) and values
 * out of a list. Called by `resolveOptions` once per client, and by `Subscriber` once per subscription; never per message.
 *
 * Invariant: the lists are those of the types; the compiler says so when one is missing or too many.
 */
import type { Decode } from './decode.ts'
import { OptionError } from './errors.ts'
import type { ConnectOptions, QueueOptions, ReconnectOptions, SubscribeOptions, WillOptions } from './options.ts'
import type { TopicPattern } from './topic-pattern.ts'
import type { TlsOptions } from './transports/transport.ts'

type Names<Options> = Record<keyof Options, 1>

const connectNames: Names<ConnectOptions> = {
  url: 1,
  signal: 1,
  protocolVersion: 1,
  clientId: 1,
  cleanStart: 1,
  sessionExpiryIntervalSeconds: 1,
  keepAliveSeconds: 1,
  connectTimeoutMs: 1,
  username: 1,
  password: 1,
  credentials: 1,
  transformUrl: 1,
  authentication: 1,
  will: 1,
  receiveMaximum: 1,
  inflightMax: 1,
  topicAliasMaximum: 1,
  topicAliases: 1,
  maximumPacketSize: 1,
  properties: 1,
  reconnect: 1,
  retryFirst: 1,
  followServerReference: 1,
  queue: 1,
  store: 1,
  tls: 1,
  localAddress: 1,
  noDelay: 1,
  webSocket: 1,
  trace: 1,
}

const subscribeNames: Names<SubscribeOptions> = {
  qos: 1,
  noLocal: 1,
  retainAsPublished: 1,
  retainHandling: 1,
  properties: 1,
  identifier: 1,
  partial: 1,
  ack: 1,
  decode: 1,
  onInvalid: 1,
  literal: 1,
  bufferMax: 1,
  overflow: 1,
  signal: 1,
}

const reconnectNames: Names<ReconnectOptions> = { minMs: 1, maxMs: 1, stableMs: 1, attemptsMax: 1, retry: 1 }
const queueNames: Names<QueueOptions> = { messagesMax: 1, bytesMax: 1, overflow: 1, offlineQoS0: 1 }
const willNames: Names<WillOptions> = { topic: 1, payload: 1, qos: 1, retain: 1, properties: 1 }
const tlsNames: Names<TlsOptions> = {
  ca: 1,
  cert: 1,
  key: 1,
  passphrase: 1,
  servername: 1,
  rejectUnauthorized: 1,
  checkServerIdentity: 1,
  alpnProtocols: 1,
  ciphers: 1,
  minVersion: 1,
  maxVersion: 1,
  psk: 1,
}

/** Letters that two names must begin with in common for one to be proposed for the other. */
const ALIKE = 4

function checkNames(given: object | undefined, names: Readonly<Record<string, 1>>, where: string): void {
  for (const name in given) {
    if (Object.hasOwn(names, name)) continue
    const start = name.slice(0, ALIKE).toLowerCase()
    const alike = Object.keys(names).find((known) => known.toLowerCase().startsWith(start))
    throw new OptionError(`there is no option ${where}${name}${alike === undefined ? '' : `; did you mean ${alike}?`}`)
  }
}

function checkChoice(name: string, value: unknown, choices: readonly unknown[]): void {
  if (value === undefined || choices.includes(value)) return
  throw new OptionError(
    `${name} must be ${choices.map((choice) => JSON.stringify(choice)).join(' or ')}, not ${String(value)}`,
  )
}

/** Throws `OptionError`. */
export function checkConnectOptions(options: ConnectOptions): void {
  checkNames(options, connectNames, '')
  checkNames(options.reconnect || undefined, reconnectNames, 'reconnect.')
  checkNames(options.queue, queueNames, 'queue.')
  checkNames(options.will, willNames, 'will.')
  checkNames(options.tls, tlsNames, 'tls.')
  checkChoice('protocolVersion', options.protocolVersion, [5, 4, 3])
  checkChoice('queue.overflow', options.queue?.overflow, ['error', 'drop-oldest'])
}

/** Throws `OptionError`. */
export function checkSubscribeOptions(patterns: readonly TopicPattern[], options: SubscribeOptions<Decode>): void {
  checkNames(options, subscribeNames, '')
  const { decode, onInvalid, bufferMax } = options
  checkChoice('qos', options.qos, [0, 1, 2])
  checkChoice('retainHandling', options.retainHandling, [0, 1, 2])
  checkChoice('ack', options.ack, ['auto', 'manual'])
  checkChoice('overflow', options.overflow, ['backpressure', 'drop-oldest', 'error'])
  if (typeof onInvalid !== 'function') checkChoice('onInvalid', onInvalid, ['error', 'skip'])
  const isSchema = (typeof decode === 'object' || typeof decode === 'function') && '~standard' in decode
  if (typeof decode !== 'function' && !isSchema) checkChoice('decode', decode, ['bytes', 'text', 'json'])
  if (bufferMax !== undefined && !(Number.isInteger(bufferMax) && bufferMax >= 1)) {
    throw new OptionError(`bufferMax must be a whole number from 1, not ${String(bufferMax)}`)
  }
  // [MQTT-3.8.3-4]
  if (options.noLocal && patterns.some(({ topicFilter }) => topicFilter.startsWith('$share/'))) {
    throw new OptionError('noLocal cannot be used with a shared subscription')
  }
}
