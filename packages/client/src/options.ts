/**
 * The options of `connect`, `publish`, `subscribe`, `unsubscribe` and `close`, with their defaults, and `resolveOptions`,
 * which checks them once so that nothing later has to.
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
 * Text is sent as UTF-8; of bytes (a `Uint8Array`, another typed array, a `DataView` or an `ArrayBuffer`) what they show. Bytes must not change
 * until the promise of the call settles.
 */
export type Payload = string | ArrayBufferView | ArrayBuffer | SharedArrayBuffer

/** The Will: what the server publishes when the connection ends without DISCONNECT (5.0 section 3.1.2.5). */
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

/** When and how often the client tries again. */
export interface ReconnectOptions {
  /** Shortest and longest pause before an attempt. Default 250 ms and 30 s, drawn with decorrelated jitter above a floor that rises to half of the longest. */
  minMs?: number
  maxMs?: number
  /**
   * A connection that holds for so long is a success: the pauses begin anew, and attempts are counted anew. Default 20 s. Until then they go
   * on growing, so that a server that accepts connections and ends them is not stormed.
   */
  stableMs?: number
  /** Attempts in a row without such a success before the client gives up. Default: no limit. */
  attemptsMax?: number
  /**
   * Whether to try again after this error. Default: always, except where trying again cannot help:
   *
   * - CONNACK with 0x81 Malformed Packet, 0x82 Protocol Error, 0x84 Unsupported Protocol Version, 0x85 Client Identifier not valid,
   *   0x8A Banned, 0x8C Bad authentication method; because of the Will or its size 0x90 Topic Name invalid, 0x95 Packet too
   *   large, 0x99 Payload format invalid, 0x9A Retain not supported, 0x9B QoS not supported;
   * - CONNACK with 0x86 Bad User Name or Password, 0x87 Not authorized, unless `credentials` is a function and a server has let us in before;
   * - DISCONNECT with 0x8E Session taken over; with 0x81, 0x82 and 0x87 only when nothing that we sent was unanswered, as otherwise
   *   it can be that packet (which is set aside, see `SetAsideError`);
   * - 0x9C Use another server and 0x9D Server moved without a Server Reference;
   * - a certificate that was never accepted, and an option that is not valid.
   *
   * Every other code is tried again: 0x80, 0x83, 0x88, 0x89, 0x8B, 0x8D, 0x8F, 0x93, 0x94, 0x96, 0x97, 0x98, 0x9E to 0xA2. Return codes
   * of 3.1 and 3.1.1 count as 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87.
   */
  retry?: (error: MqttError) => boolean
}

/** Limits of what waits to be sent. */
export interface QueueOptions {
  /** Messages that may wait to be sent. Default 10,000. */
  messagesMax?: number
  /** Bytes of topic and payload that may wait to be sent. Default 64 MiB. */
  bytesMax?: number
  /** When full: refuse the new message with `QueueFullError`, or drop the oldest waiting one with it. Default 'error'. */
  overflow?: 'error' | 'drop-oldest'
  /** `false`: while not connected, QoS 0 messages are refused with `ConnectionLostError` instead of queued. Default true. */
  offlineQoS0?: boolean
}

/** Enhanced authentication (5.0 section 4.12). */
export interface Authentication {
  method: string
  /**
   * Called with `undefined` for the data of CONNECT (or of a re-authentication), then with the data of each AUTH of the
   * server; returns what to send.
   */
  respond: (data: Uint8Array | undefined) => Uint8Array | undefined | Promise<Uint8Array | undefined>
  /**
   * Called with the data of the CONNACK that accepts, or of the AUTH that ends a re-authentication: throws when the server has not
   * proven who it is, and the connection is given up.
   */
  finish?: (data: Uint8Array | undefined) => void
}

/** Of `connect` and `createClient`. */
export interface ConnectOptions {
  /** One server or several, tried in order. */
  url?: string | URL | (string | URL)[]
  /** Ends the attempt to connect; has no effect once connected. */
  signal?: AbortSignal
  /** 5, 4 (3.1.1) or 3 (3.1). Default: 5, and 4 if the server refuses 5. */
  protocolVersion?: ProtocolVersion
  /** Default: the server assigns one (5.0), or a random one. */
  clientId?: string
  /** Start with a new session. Default true, with `store` false. Concerns the first connection only: reconnects resume. */
  cleanStart?: boolean
  /**
   * How long the server keeps the session after the network connection ends, 0xFFFFFFFF for ever (5.0). Default 300, and
   * `close()` ends it at once. When given, `close()` leaves the session as it is. With `store`: default 604,800 (7 days), and
   * `close()` leaves it.
   */
  sessionExpiryIntervalSeconds?: number
  /** Default 60; 0 turns it off. */
  keepAliveSeconds?: number
  /** From opening the socket to CONNACK. Default 30,000. */
  connectTimeoutMs?: number
  username?: string
  password?: string | Uint8Array
  /** Called before each attempt; its result wins over `username` and `password`. When it fails, the next attempt asks again. */
  credentials?: (signal: AbortSignal) => Credentials | Promise<Credentials>
  /**
   * Called before each attempt with the URL of the server (without user name and password); returns the one to connect to:
   * for URLs that are signed and expire.
   */
  transformUrl?: (href: string, signal: AbortSignal) => string | URL | Promise<string | URL>
  authentication?: Authentication
  will?: WillOptions
  /** Unacknowledged QoS 1 and 2 messages that the server may have on its way to us (5.0). Default 1,000. */
  receiveMaximum?: number
  /**
   * QoS 1 and 2 messages of ours that may be unacknowledged at once; the server's Receive Maximum if that is lower.
   * Default: as the server says (5.0), or 20, as before 5.0 servers cannot say what they take, and drop the rest.
   */
  inflightMax?: number
  /** Topic Aliases that the server may use (5.0). Default 32. */
  topicAliasMaximum?: number
  /** Whether to use Topic Aliases when the server allows them. Default true. */
  topicAliases?: boolean
  /**
   * `'any'`: also Topic Names and Filters with control characters and non-characters, for which servers may close the connection (5.0
   * section 1.5.4). Default `'usual'`: they are refused.
   */
  topicCharacters?: TopicCharacters
  /** Largest packet that we accept, in bytes. Default 256 MiB (all that MQTT allows). */
  maximumPacketSize?: number
  /** Further properties of CONNECT: User Properties, Request Problem Information … */
  properties?: Properties
  /** `false`: the client closes when the connection is lost. */
  reconnect?: ReconnectOptions | false
  /** Apply `reconnect` to the first connection as well, instead of rejecting when no server answers. Default false. */
  retryFirst?: boolean
  /** Go where a Server Reference points. Default true. */
  followServerReference?: boolean
  queue?: QueueOptions
  /**
   * Keeps the session when the process or tab ends, however it ends: QoS 1 and 2 messages that are not delivered go out
   * with the next client that has the same store, each once. `lmdb()` of `@recado/client/lmdb`, `indexedDb()` of
   * `@recado/client/indexeddb`, `memory()`. Default: nothing is kept.
   */
  store?: SessionStore
  tls?: TlsOptions
  localAddress?: string
  noDelay?: boolean
  /**
   * Opens the stream to the server: through a proxy, a tunnel, or whatever gives one. Called for `mqtt:`, `mqtts:` (TLS is then done on
   * it) and `mqtt+unix:` (Node only).
   */
  dial?: DialStream
  webSocket?: WebSocketConstructor
  /** Sees every packet sent and received. For debugging: it makes each message slower. */
  trace?: (direction: 'sent' | 'received', packet: Packet) => void
}

/** Of `client.send`. */
export interface SendOptions {
  /** Default 0. */
  qos?: QoS
  retain?: boolean
  /** Message Expiry Interval (the time that the message waits in the client counts), Content Type, Response Topic, Correlation Data, User Properties … (5.0) */
  properties?: Properties
  /** A message that still waits is not sent; one in flight goes on without anybody waiting for it. */
  signal?: AbortSignal
}

/** Of `client.publish`. */
export interface PublishOptions extends SendOptions {
  /**
   * What the promise waits for: the end of the flow ('delivered', default), or only that the message is safe in the client's
   * `store` ('stored'): then it will be delivered even if the process ends now; `client.onUndelivered` hears if the server
   * refuses it.
   */
  until?: 'delivered' | 'stored'
}

/** Of `client.subscribe`. */
export interface SubscribeOptions<Of extends Decode = 'bytes'> {
  /** Default 0. */
  qos?: QoS
  /** Not to get what this client publishes itself (5.0). */
  noLocal?: boolean
  /** Keep the RETAIN flag as the publisher set it (5.0). */
  retainAsPublished?: boolean
  /** Retained messages: 0 send, 1 send if the subscription is new, 2 do not send (5.0). Default 0. */
  retainHandling?: 0 | 1 | 2
  /** User Properties of SUBSCRIBE (5.0). */
  properties?: Properties
  /**
   * `false`: send no Subscription Identifier (but what `properties` has), and find this subscription's messages by their
   * topic. Default true: each subscription has its own, where the server allows (5.0).
   */
  identifier?: boolean
  /** With several Topic Filters: go on if only some are refused; `ready` then resolves with all reason codes. */
  partial?: boolean
  /**
   * 'auto' (default): acknowledged when the iterator hands the message out, or the handler is done with it.
   * 'manual': when `message.ack()` is called; what is never acknowledged comes again after a reconnect.
   */
  ack?: 'auto' | 'manual'
  /** What `message.value` is made of the payload by: `'bytes'` (default), `'text'`, `'json'`, a Standard Schema or a function. */
  decode?: Of
  /** When that fails: `'skip'` (default; `client.onInvalidMessage` is told), `'error'`, or a function that is told and skips. */
  onInvalid?: OnInvalid
  /** The Topic Filters are taken as they are: a level that begins with `:` is no parameter. Default false. */
  literal?: boolean
  /** Messages that wait for the reader. Default 1,000. */
  bufferMax?: number
  /**
   * When the buffer is full: 'backpressure' (default) stops reading from the server, which holds up all subscriptions of
   * this client; 'drop-oldest' drops and counts in `dropped`; 'error' ends the subscription with `BufferOverflowError`.
   */
  overflow?: 'backpressure' | 'drop-oldest' | 'error'
  /** Unsubscribes, and ends the iteration with `signal.reason`. */
  signal?: AbortSignal
}

/** Of `client.request`. Default `qos` 1, so that a server can say that nobody is there to answer. */
export interface RequestOptions<Of extends Decode = 'bytes'> extends PublishOptions {
  /** What `value` of the response is made by. A payload that does not fit rejects with `PayloadError`. */
  decode?: Of
  /** Where the response is to be sent. Default: a topic of this client's own. */
  responseTopic?: string
  /** Gives up waiting: `AbortSignal.timeout(5_000)`. Without it a request waits until the client is closed. */
  signal?: AbortSignal
}

/** Of `client.respond`. */
export interface RespondOptions<Of extends Decode = 'bytes'> extends Omit<SubscribeOptions<Of>, 'ack'> {
  /** Requests that are worked on at once. Default 16. */
  concurrencyMax?: number
}

/** Of `client.unsubscribe` and `subscription.unsubscribe`. */
export interface UnsubscribeOptions {
  /** As in `SubscribeOptions`. */
  literal?: boolean
  properties?: Properties
  signal?: AbortSignal
}

/** Of `client.close`. */
export interface CloseOptions {
  /** How long to wait for messages on their way to be acknowledged. Default 5,000; 0: do not wait. */
  drainMs?: number
  /** Of DISCONNECT. 0x04 lets the server publish the Will (5.0). Default 0. */
  reasonCode?: ReasonCode
  /** Properties of DISCONNECT, for example another Session Expiry Interval (5.0). */
  properties?: Properties
  /** Stop waiting: close at once. */
  signal?: AbortSignal
}

/** `ConnectOptions` checked and with all defaults. */
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

/** Throws `OptionError`, or `MqttError` ERR_MQTT_TOPIC_NAME for the Will Topic. */
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

/** Also a `URL` of another realm, such as a sandbox for tests. */
function isUrlObject(target: unknown): target is URL {
  return Object.prototype.toString.call(target) === '[object URL]'
}

/** Without those that are `undefined`. */
function given<Options extends object>(
  options: Options,
): { [Name in keyof Options]: Exclude<Options[Name], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof Options]: Exclude<Options[Name], undefined> }
}
