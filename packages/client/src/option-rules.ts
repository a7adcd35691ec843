/**
 * Rules for each option: a table for each type of options. `arguments.ts` has the rules and checks options against the
 * tables.
 */
import {
  anything,
  callback,
  either,
  flag,
  listOf,
  object,
  oneOf,
  optionsOf,
  PacketType,
  type Rule,
  type Rules,
  signal,
  text,
  textOrBytes,
  whole,
} from '@recado/protocol'
import { propertiesOf, reasonCodeOf } from './arguments.ts'
import type { Decode } from './decode.ts'
import type {
  Authentication,
  CloseOptions,
  ConnectOptions,
  Credentials,
  PublishOptions,
  QueueOptions,
  ReconnectOptions,
  RequestOptions,
  RespondOptions,
  SendOptions,
  SubscribeOptions,
  UnsubscribeOptions,
  WillOptions,
} from './options.ts'
import type { TlsOptions } from './transports/transport.ts'

const MANY = Number.MAX_SAFE_INTEGER
/** Longest time of a timer in milliseconds. */
const TIMER_MS_MAX = 0x7fff_ffff
/** Largest packet of MQTT in bytes: a fixed header of five and a Remaining Length of 268,435,455. */
export const PACKET_SIZE_MAX = 268_435_460
const WILL = 0

const qos = oneOf(0, 1, 2)
const milliseconds = whole(0, TIMER_MS_MAX)
const withoutEnd: Rule = {
  must: 'a whole number from 0, or Infinity',
  holds: (value) => value === Number.POSITIVE_INFINITY || whole(0, MANY).holds(value, ''),
}
const decode: Rule = {
  must: '"bytes", "text", "json", a Standard Schema or a function',
  holds: (value) =>
    value === 'bytes' ||
    value === 'text' ||
    value === 'json' ||
    typeof value === 'function' ||
    (object.holds(value, '') && '~standard' in (value as object)),
}
const tlsVersion = oneOf('TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3')

const reconnectRules: Rules<ReconnectOptions> = {
  minMs: milliseconds,
  maxMs: milliseconds,
  stableMs: milliseconds,
  attemptsMax: withoutEnd,
  retry: callback,
}

const queueRules: Rules<QueueOptions> = {
  messagesMax: whole(0, MANY),
  bytesMax: whole(0, MANY),
  overflow: oneOf('error', 'drop-oldest'),
  offlineQoS0: flag,
}

const willRules: Rules<WillOptions> = {
  topic: anything,
  payload: textOrBytes,
  qos,
  retain: flag,
  properties: propertiesOf(WILL),
}

const tlsRules: Rules<TlsOptions> = {
  ca: either(textOrBytes, listOf(textOrBytes)),
  cert: textOrBytes,
  key: textOrBytes,
  pfx: textOrBytes,
  passphrase: text,
  servername: text,
  rejectUnauthorized: flag,
  checkServerIdentity: either(flag, callback),
  keylog: callback,
  secureContext: object,
  alpnProtocols: listOf(text),
  ciphers: text,
  minVersion: tlsVersion,
  maxVersion: tlsVersion,
  psk: optionsOf<NonNullable<TlsOptions['psk']>>({ identity: text, key: textOrBytes }),
}

export const credentialRules: Rules<Credentials> = { username: text, password: textOrBytes }

export const connectRules: Rules<ConnectOptions> = {
  url: anything,
  signal,
  protocolVersion: oneOf(5, 4, 3),
  clientId: text,
  cleanStart: flag,
  sessionExpiryIntervalSeconds: whole(0, 0xffff_ffff),
  keepAliveSeconds: whole(0, 65_535),
  connectTimeoutMs: whole(1, TIMER_MS_MAX),
  ...credentialRules,
  credentials: callback,
  transformUrl: callback,
  authentication: optionsOf<Authentication>({ method: text, respond: callback, finish: callback }),
  will: optionsOf(willRules),
  receiveMaximum: whole(1, 65_535),
  inflightMax: whole(1, 65_535),
  topicAliasMaximum: whole(0, 65_535),
  topicAliases: flag,
  topicCharacters: oneOf('usual', 'any'),
  maximumPacketSize: whole(2, PACKET_SIZE_MAX),
  properties: propertiesOf(PacketType.CONNECT),
  reconnect: either(oneOf(false), optionsOf(reconnectRules)),
  retryFirst: flag,
  followServerReference: flag,
  queue: optionsOf(queueRules),
  store: { must: 'a session store', holds: (value) => object.holds(value, '') && 'saveReceived' in (value as object) },
  tls: optionsOf(tlsRules),
  localAddress: text,
  noDelay: flag,
  dial: callback,
  webSocket: callback,
  trace: callback,
}

/** Rules for `SendOptions`. Properties are checked when they are encoded, which is at once. */
export const sendRules: Rules<SendOptions> = { qos, retain: flag, properties: object, signal }
export const publishRules: Rules<PublishOptions> = { ...sendRules, until: oneOf('delivered', 'stored') }
export const requestRules: Rules<RequestOptions<Decode>> = { ...publishRules, decode, responseTopic: text }
/**
 * Returns true for the most frequent options, in a tenth of the time of `checkOptions`, because this runs once per
 * message.
 */
export function isUsual(options: PublishOptions): boolean {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return false
  for (const name in options) {
    if (name === 'qos') {
      const { qos } = options
      if (qos !== 0 && qos !== 1 && qos !== 2) return false
    } else if (name === 'retain') {
      if (typeof options.retain !== 'boolean') return false
    } else if (name !== 'properties' || typeof options.properties !== 'object' || options.properties === null)
      return false
  }
  return true
}

/** Rules for the value that a responder returns. */
export const responseRules: Rules<{ payload?: unknown; qos?: unknown; properties?: unknown }> = {
  payload: textOrBytes,
  qos,
  properties: propertiesOf(PacketType.PUBLISH, 'topicAlias', 'subscriptionIdentifiers'),
}

const { ack, ...subscribeRulesWithoutAck }: Rules<SubscribeOptions<Decode>> = {
  qos,
  noLocal: flag,
  retainAsPublished: flag,
  retainHandling: oneOf(0, 1, 2),
  properties: propertiesOf(PacketType.SUBSCRIBE),
  identifier: flag,
  partial: flag,
  ack: oneOf('auto', 'manual'),
  decode,
  onInvalid: either(oneOf('error', 'skip'), callback),
  literal: flag,
  bufferMax: whole(1, MANY),
  overflow: oneOf('backpressure', 'drop-oldest', 'error'),
  signal,
}
export const subscribeRules: Rules<SubscribeOptions<Decode>> = { ...subscribeRulesWithoutAck, ack }
export const respondRules: Rules<RespondOptions<Decode>> = {
  ...subscribeRulesWithoutAck,
  concurrencyMax: whole(1, MANY),
}

export const unsubscribeRules: Rules<UnsubscribeOptions> = {
  literal: flag,
  properties: propertiesOf(PacketType.UNSUBSCRIBE),
  signal,
}

export const closeRules: Rules<CloseOptions> = {
  drainMs: milliseconds,
  reasonCode: reasonCodeOf(PacketType.DISCONNECT),
  properties: propertiesOf(PacketType.DISCONNECT),
  signal,
}
