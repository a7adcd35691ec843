/**
 * The options of `connect`, `publish`, `subscribe`, `unsubscribe` and `close`, with their defaults, and
 * `resolveOptions`, which checks them once for all later code.
 */
import {
  callback,
  check,
  checkOptions,
  either,
  type MqttError,
  OptionError,
  object,
  type Packet,
  type Properties,
  type ProtocolVersion,
  type QoS,
  type ReasonCode,
  type Rule,
  text,
} from '@recado/protocol'
import { type TopicCharacters, topicName } from './arguments.ts'
import type { Decode, OnInvalid } from './decode.ts'
import { connectRules, PACKET_SIZE_MAX } from './option-rules.ts'
import { parseServerUrl } from './servers.ts'
import type { SessionStore } from './store/session-store.ts'
import type { DialStream, ServerAddress, TlsOptions, WebSocketConstructor } from './transports/transport.ts'

/**
 * Payload: text, which is sent as UTF-8, or bytes (a `Uint8Array`, another typed array, a `DataView` or an
 * `ArrayBuffer`). Bytes must not change until the promise of the call settles.
 */
export type Payload = string | ArrayBufferView | ArrayBuffer | SharedArrayBuffer

/** Will: the message that the server publishes when the connection ends without DISCONNECT (5.0 section 3.1.2.5). */
export interface WillOptions {
  topic: string
  payload?: Payload
  qos?: QoS
  retain?: boolean
  /** Properties of a PUBLISH and `willDelayIntervalSeconds` (5.0 section 3.1.3.2). */
  properties?: Properties
}

/** User Name and Password of CONNECT. */
export interface Credentials {
  username?: string | undefined
  password?: string | Uint8Array | undefined
}

/** Time and number of further attempts to connect. */
export interface ReconnectOptions {
  /**
   * Shortest and longest pause before an attempt. Default 250 ms and 30 s, drawn with decorrelated jitter above a floor
   * that rises to half of the longest.
   */
  minMs?: number
  maxMs?: number
  /**
   * Time in milliseconds after which a connection counts as a success: pauses and attempts start anew. Default 20 s.
   * Until then pauses go on growing, so that a server that accepts connections and ends them at once is not flooded.
   */
  stableMs?: number
  /** Number of attempts in a row without such a success after which the client gives up. Default: no limit. */
  attemptsMax?: number
  /**
   * Decides whether to try again after this error. Default: always, except where trying again cannot help:
   *
   * - CONNACK with 0x81 Malformed Packet, 0x82 Protocol Error, 0x84 Unsupported Protocol Version, 0x85 Client
   * Identifier not valid, 0x8A Banned, 0x8C Bad authentication method; because of the Will or its size 0x90 Topic Name
   * invalid, 0x95 Packet too large, 0x99 Payload format invalid, 0x9A Retain not supported, 0x9B QoS not supported;
   * - CONNACK with 0x86 Bad User Name or Password, 0x87 Not authorized, unless `credentials` is a function and a server
   * has accepted us before;
   * - DISCONNECT with 0x8E Session taken over; with 0x81, 0x82 and 0x87 only when no packet of ours was unanswered, as
   * otherwise that packet may be at fault (which is then set aside, see `SetAsideError`);
   * - 0x9C Use another server and 0x9D Server moved without a Server Reference;
   * - a certificate that was never accepted, and an option that is not valid.
   *
   * Every other code is tried again: 0x80, 0x83, 0x88, 0x89, 0x8B, 0x8D, 0x8F, 0x93, 0x94, 0x96, 0x97, 0x98, 0x9E to
   * 0xA2. Return codes of 3.1 and 3.1.1 count as follows: 1 as 0x84, 2 as 0x85, 3 as 0x88, 4 as 0x86, 5 as 0x87.
   */
  retry?: (error: MqttError) => boolean
}

/** Limits of the messages that wait to be sent. */
export interface QueueOptions {
  /** Number of messages that may wait to be sent. Default 10,000. */
  messagesMax?: number
  /** Bytes of topic and payload that may wait to be sent. Default 64 MiB. */
  bytesMax?: number
  /**
   * Treatment of a full queue: refuse the new message with `QueueFullError`, or drop the oldest waiting one with it.
   * Default 'error'.
   */
  overflow?: 'error' | 'drop-oldest'
  /**
   * Whether QoS 0 messages are queued while not connected; `false` refuses them with `ConnectionLostError`. Default
   * true.
   */
  offlineQoS0?: boolean
}

/** Enhanced authentication (5.0 section 4.12). */
export interface Authentication {
  method: string
  /**
   * Returns the data to send. Called with `undefined` for the data of CONNECT (or of a re-authentication), then with
   * the data of each AUTH of the server.
   */
  respond: (data: Uint8Array | undefined) => Uint8Array | undefined | Promise<Uint8Array | undefined>
  /**
   * Checks the server's proof. Called with the data of the accepting CONNACK, or of the AUTH that ends a
   * re-authentication; throw when the server has not proven its identity, and the connection is given up.
   */
  finish?: (data: Uint8Array | undefined) => void
}

/** Options of `connect` and `createClient`. */
export interface ConnectOptions {
  /** Server or servers, tried in order. */
  url?: string | URL | (string | URL)[]
  /** Signal that ends the attempt to connect; has no effect once connected. */
  signal?: AbortSignal
  /** Protocol version: 5, 4 (3.1.1) or 3 (3.1). Default: 5, and 4 if the server refuses 5. */
  protocolVersion?: ProtocolVersion
  /** Client Identifier. Default: assigned by the server (5.0), or a random one. */
  clientId?: string
  /**
   * Whether to start with a new session. Default true, with `store` false. Concerns the first connection only:
   * reconnects resume.
   */
  cleanStart?: boolean
  /**
   * Time in seconds for which the server keeps the session after the network connection ends, 0xFFFFFFFF for ever
   * (5.0). Default 300, and `close()` ends it at once. When given, `close()` leaves the session as it is. With `store`:
   * default 604,800 (7 days), and `close()` leaves it.
   */
  sessionExpiryIntervalSeconds?: number
  /** Keep Alive in seconds. Default 60; 0 turns it off. */
  keepAliveSeconds?: number
  /** Time in milliseconds from opening the socket to CONNACK. Default 30,000. */
  connectTimeoutMs?: number
  username?: string
  password?: string | Uint8Array
  /**
   * Returns user name and password. Called before each attempt; its result wins over `username` and `password`. When it
   * fails, the next attempt calls it again.
   */
  credentials?: (signal: AbortSignal) => Credentials | Promise<Credentials>
  /**
   * Returns the URL to connect to, for URLs that are signed and expire. Called before each attempt with the URL of the
   * server (without user name and password).
   */
  transformUrl?: (href: string, signal: AbortSignal) => string | URL | Promise<string | URL>
  authentication?: Authentication
  will?: WillOptions
  /** Number of unacknowledged QoS 1 and 2 messages that the server may send (5.0). Default 1,000. */
  receiveMaximum?: number
  /**
   * Number of QoS 1 and 2 messages of ours that may be unacknowledged at once; the server's Receive Maximum if that is
   * lower. Default: the server's value (5.0), or 20, because servers before 5.0 cannot tell their limit and drop the
   * messages above it.
   */
  inflightMax?: number
  /** Number of Topic Aliases that the server may use (5.0). Default 32. */
  topicAliasMaximum?: number
  /** Whether to use Topic Aliases when the server allows them. Default true. */
  topicAliases?: boolean
  /**
   * Characters allowed in Topic Names and Filters. `'any'` includes control characters and non-characters, for which
   * servers may close the connection (5.0 section 1.5.4). Default `'usual'`: they are refused.
   */
  topicCharacters?: TopicCharacters
  /** Largest packet that we accept, in bytes. Default 256 MiB (the most that MQTT allows). */
  maximumPacketSize?: number
  /** Further properties of CONNECT: User Properties, Request Problem Information … */
  properties?: Properties
  /** Reconnecting after a lost connection. `false`: the client closes instead. */
  reconnect?: ReconnectOptions | false
  /**
   * Whether to apply `reconnect` to the first connection as well, instead of rejecting when no server answers. Default
   * false.
   */
  retryFirst?: boolean
  /** Whether to follow a Server Reference. Default true. */
  followServerReference?: boolean
  queue?: QueueOptions
  /**
   * Store that keeps the session when the process or tab ends, however it ends: undelivered QoS 1 and 2 messages are
   * sent by the next client with the same store, each once. `lmdb()` of `@recado/client/lmdb`, `indexedDb()` of
   * `@recado/client/indexeddb`, `memory()`. Default: nothing is kept.
   */
  store?: SessionStore
  tls?: TlsOptions
  localAddress?: string
  noDelay?: boolean
  /**
   * Opens the stream to the server, for example through a proxy or a tunnel. Called for `mqtt:`, `mqtts:` (TLS is then
   * done on it) and `mqtt+unix:` (Node only).
   */
  dial?: DialStream
  webSocket?: WebSocketConstructor
  /** Called with every packet sent and received. For debugging: it slows each message down. */
  trace?: (direction: 'sent' | 'received', packet: Packet) => void
}

/** Options of `client.send`. */
export interface SendOptions {
  /** QoS of the message. Default 0. */
  qos?: QoS
  retain?: boolean
  /**
   * Properties of the PUBLISH (5.0): Message Expiry Interval (the time that the message waits in the client counts),
   * Content Type, Response Topic, Correlation Data, User Properties …
   */
  properties?: Properties
  /** Signal that cancels a message that still waits. One in flight goes on, and its result is ignored. */
  signal?: AbortSignal
}

/** Options of `client.publish`. */
export interface PublishOptions extends SendOptions {
  /**
   * Event that the promise waits for: the end of the flow ('delivered', default), or only that the message is safe in
   * the client's `store` ('stored'). It will then be delivered even if the process ends now; `client.onUndelivered` is
   * called if the server refuses it.
   */
  until?: 'delivered' | 'stored'
}

/** Options of `client.subscribe`. */
export interface SubscribeOptions<Of extends Decode = 'bytes'> {
  /** Maximum QoS of the subscription. Default 0. */
  qos?: QoS
  /** Whether to leave out messages that this client itself publishes (5.0). */
  noLocal?: boolean
  /** Whether to keep the RETAIN flag as the publisher set it (5.0). */
  retainAsPublished?: boolean
  /** Retained messages: 0 send, 1 send if the subscription is new, 2 do not send (5.0). Default 0. */
  retainHandling?: 0 | 1 | 2
  /** User Properties of SUBSCRIBE (5.0). */
  properties?: Properties
  /**
   * Whether to send a Subscription Identifier. `false` sends none except that in `properties`, and finds this
   * subscription's messages by their topic. Default true: each subscription has its own, where the server allows (5.0).
   */
  identifier?: boolean
  /**
   * Whether to go on if only some of several Topic Filters are refused; `ready` then resolves with all reason codes.
   */
  partial?: boolean
  /**
   * Time of the acknowledgement. 'auto' (default): when the iterator hands the message out, or the handler is done with
   * it. 'manual': when `message.ack()` is called; a message that is never acknowledged comes again after a reconnect.
   */
  ack?: 'auto' | 'manual'
  /** Form of `message.value`: `'bytes'` (default), `'text'`, `'json'`, a Standard Schema or a function. */
  decode?: Of
  /**
   * Treatment of a payload that `decode` cannot read: `'skip'` (default; `client.onInvalidMessage` is called),
   * `'error'`, or a function that is called before it is skipped.
   */
  onInvalid?: OnInvalid
  /**
   * Whether to take the Topic Filters as they are: a level that begins with `:` is then no parameter. Default false.
   */
  literal?: boolean
  /** Number of messages that may wait for the reader. Default 1,000. */
  bufferMax?: number
  /**
   * Treatment of a full buffer: 'backpressure' (default) stops reading from the server, which holds up all
   * subscriptions of this client; 'drop-oldest' drops and counts in `dropped`; 'error' ends the subscription with
   * `BufferOverflowError`.
   */
  overflow?: 'backpressure' | 'drop-oldest' | 'error'
  /** Signal that unsubscribes, and ends the iteration with `signal.reason`. */
  signal?: AbortSignal
}

/** Options of `client.request`. The default `qos` is 1, so that a server can report a missing responder. */
export interface RequestOptions<Of extends Decode = 'bytes'> extends PublishOptions {
  /** Form of the response's `value`. A payload that does not fit rejects with `PayloadError`. */
  decode?: Of
  /** Topic for the response. Default: a topic of this client's own. */
  responseTopic?: string
  /** Signal that ends the wait: `AbortSignal.timeout(5_000)`. Without it a request waits until the client is closed. */
  signal?: AbortSignal
}

/** Options of `client.respond`. */
export interface RespondOptions<Of extends Decode = 'bytes'> extends Omit<SubscribeOptions<Of>, 'ack'> {
  /** Number of requests that are worked on at once. Default 16. */
  concurrencyMax?: number
}

/** Options of `client.unsubscribe` and `subscription.unsubscribe`. */
export interface UnsubscribeOptions {
  /** Whether to take the Topic Filters as they are, as in `SubscribeOptions`. */
  literal?: boolean
  properties?: Properties
  signal?: AbortSignal
}

/** Options of `client.close`. */
export interface CloseOptions {
  /** Time in milliseconds to wait for messages on their way to be acknowledged. Default 5,000; 0 does not wait. */
  drainMs?: number
  /** Reason Code of DISCONNECT. 0x04 lets the server publish the Will (5.0). Default 0. */
  reasonCode?: ReasonCode
  /** Properties of DISCONNECT, for example another Session Expiry Interval (5.0). */
  properties?: Properties
  /** Signal that ends the wait: the client closes at once. */
  signal?: AbortSignal
}

/** `ConnectOptions` after checks and with all defaults. */
export interface ResolvedOptions extends ConnectOptions {
  servers: ServerAddress[]
  cleanStart: boolean
  keepAliveSeconds: number
  connectTimeoutMs: number
  receiveMaximum: number
  topicAliasMaximum: number
  topicAliases: boolean
  maximumPacketSize: number
  reconnectOptions: Required<Pick<ReconnectOptions, 'minMs' | 'maxMs' | 'stableMs' | 'attemptsMax'>> & ReconnectOptions
  queueOptions: Required<QueueOptions>
}

/**
 * Checks the options and adds the defaults. Throws `OptionError`, or `MqttError` ERR_MQTT_TOPIC_NAME for the Will
 * Topic.
 */
export function resolveOptions(target: string | URL | ConnectOptions, more: ConnectOptions = {}): ResolvedOptions {
  checkOptions(more, connectRules)
  const isUrl = typeof target === 'string' || isUrlObject(target)
  if (!isUrl) check('the first argument', target, either(oneOfUrls, object))
  const options: ConnectOptions = isUrl ? { ...more, url: target } : { ...target, ...more }
  if (!isUrl) checkOptions(options, connectRules)
  if (options.url === undefined) throw new OptionError('no server: give a URL such as mqtt://host')
  const servers = (Array.isArray(options.url) ? options.url : [options.url]).map(parseServerUrl)
  const { will, authentication, reconnect, queue, topicCharacters, properties = {} } = options
  if (will !== undefined) {
    topicName(will.topic, topicCharacters, 'will.topic')
    const { responseTopic } = will.properties ?? {}
    if (responseTopic !== undefined) topicName(responseTopic, topicCharacters, 'will.properties.responseTopic')
  }
  if (authentication !== undefined) {
    check('authentication.method', authentication.method, text)
    check('authentication.respond', authentication.respond, callback)
  }
  return {
    ...options,
    servers,
    cleanStart: options.cleanStart ?? options.store === undefined,
    keepAliveSeconds: options.keepAliveSeconds ?? 60,
    connectTimeoutMs: options.connectTimeoutMs ?? 30_000,
    receiveMaximum: options.receiveMaximum ?? properties.receiveMaximum ?? 1_000,
    topicAliasMaximum: options.topicAliasMaximum ?? properties.topicAliasMaximum ?? 32,
    topicAliases: options.topicAliases ?? true,
    maximumPacketSize: options.maximumPacketSize ?? properties.maximumPacketSize ?? PACKET_SIZE_MAX,
    reconnectOptions: {
      minMs: 250,
      maxMs: 30_000,
      stableMs: 20_000,
      attemptsMax: Number.POSITIVE_INFINITY,
      ...given(reconnect || {}),
    },
    queueOptions: {
      messagesMax: 10_000,
      bytesMax: 64 * 1024 * 1024,
      overflow: 'error',
      offlineQoS0: true,
      ...given(queue ?? {}),
    },
  }
}

const oneOfUrls: Rule = { must: 'a URL', holds: () => false }

/** Returns true for a `URL`, also for one of another realm, such as a sandbox for tests. */
function isUrlObject(target: unknown): target is URL {
  return Object.prototype.toString.call(target) === '[object URL]'
}

/** Returns the options without those that are `undefined`. */
function given<Options extends object>(
  options: Options,
): { [Name in keyof Options]: Exclude<Options[Name], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof Options]: Exclude<Options[Name], undefined> }
}
