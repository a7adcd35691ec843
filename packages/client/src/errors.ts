/**
 * The errors of the client. `clientErrorCodes` names every `code` that is thrown here, in addition to those of
 * `@recado/protocol`, with its meaning and the remedy; docs/errors.md is generated from it.
 *
 * Promise: every rejection of this library is an `MqttError`, except the `reason` of an `AbortSignal`, which is passed
 * on as it is, and a `TypeError` for an argument of the wrong type.
 */
import { MqttError, type Properties, type ReasonCode, reasonCodeName } from '@recado/protocol'
import type { SchemaIssue } from './decode.ts'

/** Every `code` of an error of this package, with its meaning and the remedy: docs/errors.md. */
export const clientErrorCodes = {
  ERR_MQTT_UNREACHABLE:
    'The server cannot be reached: wrong host or port, no server there, or a firewall. `cause` has the error of the system.',
  ERR_MQTT_TLS:
    'The TLS handshake failed: untrusted or expired certificate, wrong host name, or no TLS on that port. See `cause`; `tls.ca` adds an authority.',
  ERR_MQTT_CONNECT_TIMEOUT: 'The server did not answer within `connectTimeoutMs`.',
  ERR_MQTT_CALLBACK:
    'A function of the application failed: `credentials`, `authentication.respond` or `transformUrl`. `cause` is the error that it threw. The client goes on reconnecting.',
  ERR_MQTT_CONNECTION_REFUSED:
    'The server answered CONNECT with a refusal: `reasonCode`, `reasonString`, `properties`.',
  ERR_MQTT_CONNECTION_LOST: 'The connection broke before the answer came. `cause` says why, where it is known.',
  ERR_MQTT_DISCONNECTED: 'The server sent DISCONNECT: `reasonCode`, `reasonString`, `properties`.',
  ERR_MQTT_KEEP_ALIVE: 'The server stopped answering PINGREQ; the connection was given up.',
  ERR_MQTT_SERVER_STALLED:
    'The server sends but does not read: too many acknowledgements wait. The connection was given up.',
  ERR_MQTT_CLOSED: 'The client is closed; connect again for a new one.',
  ERR_MQTT_PUBLISH_REFUSED: 'The server refused the message: `reasonCode`, `reasonString`, `properties`.',
  ERR_MQTT_SUBSCRIBE_REFUSED: 'The server refused a Topic Filter: `reasonCodes`, in the order of `topicFilters`.',
  ERR_MQTT_UNSUBSCRIBE_REFUSED: 'The server refused to unsubscribe: `reasonCodes`, in the order of `topicFilters`.',
  ERR_MQTT_QUEUE_FULL:
    'Too many messages wait to be sent (`queue.messagesMax`, `queue.bytesMax`). Await `publish` calls, or raise the limit.',
  ERR_MQTT_SET_ASIDE:
    'The server ended the connection each time right after this packet (`packet`, `topics`), which was set aside so that the rest can go on. `cause` is the error that ended the last connection; the packet may be too large for the server, or use a topic, a QoS or RETAIN that it does not take.',
  ERR_MQTT_MESSAGE_EXPIRED:
    'The Message Expiry Interval of a message was over before it could be sent; it was not sent.',
  ERR_MQTT_BUFFER_OVERFLOW:
    "A subscription with overflow: 'error' was read too slowly; it has ended. Read faster, or raise `bufferMax`.",
  ERR_MQTT_NO_RESPONDER: 'The topic of a request has no subscriber. Start the responder, or check the topic.',
  ERR_MQTT_PAYLOAD:
    'A payload is not of the form that `decode` asks for: `topic`, `issues`, `cause`. `onInvalid` decides what happens to such messages.',
  ERR_MQTT_SCRAM:
    'SCRAM-SHA-256 failed: the server has not proven that it knows the password, or asks for something that is not supported. `message` says which.',
  ERR_MQTT_SESSION_STORE:
    'The session store cannot be opened or written. `cause` has the error of the system. A connected client goes on and tries again; new QoS 1 and 2 messages are refused meanwhile.',
  ERR_MQTT_SESSION_STORE_LOCKED:
    'Another client, process or tab uses the session store. Close it first, or give each client a store of its own.',
  ERR_MQTT_SESSION_STORE_CORRUPT:
    'The session store was damaged. What could not be read has been set aside (`message` says where), and the client goes on with the rest.',
  ERR_MQTT_SESSION_STORE_MISMATCH:
    'The session store belongs to another Client Identifier. Use that one, or another store.',
  ERR_MQTT_NOT_SUPPORTED:
    'The server, its protocol version or this platform cannot do what was asked; `message` says which.',
} as const

type ClientErrorCode = keyof typeof clientErrorCodes

/** Error: no network connection could be opened. */
export class UnreachableError extends MqttError {
  override name: string = 'UnreachableError'
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_MQTT_UNREACHABLE' satisfies ClientErrorCode, message, options)
  }
}

/** Error: the TLS handshake failed. `cause` is the error of the system. */
export class TlsError extends MqttError {
  override name: string = 'TlsError'
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_MQTT_TLS' satisfies ClientErrorCode, message, options)
  }
}

/** Error: the server did not accept the connection within `connectTimeoutMs`. */
export class ConnectTimeoutError extends MqttError {
  override name: string = 'ConnectTimeoutError'
  constructor(message: string) {
    super('ERR_MQTT_CONNECT_TIMEOUT' satisfies ClientErrorCode, message)
  }
}

function describe(reasonCode: ReasonCode, properties: Properties): string {
  const name = reasonCodeName(reasonCode)
  const { reasonString } = properties
  // Many servers repeat the name of the Reason Code.
  const isSaidTwice = reasonString === undefined || reasonString.toLowerCase() === name.toLowerCase()
  return isSaidTwice ? name : `${name} (${reasonString})`
}

/** Error: a function of the application threw, or its promise rejected; `cause` is that error. */
export class CallbackError extends MqttError {
  override name: string = 'CallbackError'
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_MQTT_CALLBACK' satisfies ClientErrorCode, message, options)
  }
}

/** Remedy for a refusal, by Reason Code. */
const refusalHints: Readonly<Record<number, string>> = {
  132: '; set protocolVersion to one that it knows',
  133: '; give another clientId',
  134: '; check username and password, or credentials',
  135: '; check username, password and clientId, and what they may do',
  140: '; check authentication.method',
  142: '; another client has connected with the same clientId: give each client its own',
}

/** Base of the errors that carry a Reason Code of the server. */
export class ReasonCodeError extends MqttError {
  override name: string = 'ReasonCodeError'
  readonly reasonCode: ReasonCode
  readonly reasonString: string | undefined
  readonly properties: Properties
  constructor(code: string, what: string, reasonCode: ReasonCode, properties: Properties, hint = '') {
    super(code, `${what}: ${describe(reasonCode, properties)}${hint}`)
    this.reasonCode = reasonCode
    this.reasonString = properties.reasonString
    this.properties = properties
  }
}

/**
 * Error: the server refused CONNECT. `reasonCode` is the 5.0 number also for a 3.1.1 server; `returnCode` is the byte
 * in the CONNACK.
 */
export class ConnectionRefusedError extends ReasonCodeError {
  override name: string = 'ConnectionRefusedError'
  readonly returnCode: number
  constructor(reasonCode: ReasonCode, returnCode: number, properties: Properties) {
    const code = 'ERR_MQTT_CONNECTION_REFUSED' satisfies ClientErrorCode
    super(code, 'the server refused the connection', reasonCode, properties, refusalHints[reasonCode])
    this.returnCode = returnCode
  }
}

/** Error: the server sent DISCONNECT. `reasonCode` gives the reason. */
export class DisconnectedError extends ReasonCodeError {
  override name: string = 'DisconnectedError'
  constructor(reasonCode: ReasonCode, properties: Properties) {
    const code = 'ERR_MQTT_DISCONNECTED' satisfies ClientErrorCode
    super(code, 'the server disconnected', reasonCode, properties, refusalHints[reasonCode])
  }
}

/** Error: the connection broke, or could not be made again, before the answer came. */
export class ConnectionLostError extends MqttError {
  override name: string = 'ConnectionLostError'
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_MQTT_CONNECTION_LOST' satisfies ClientErrorCode, message, options)
  }
}

/** Error: the connection was given up, because the server does not answer, or had reason to give us up. */
export class KeepAliveError extends MqttError {
  override name: string = 'KeepAliveError'
  constructor(message: string) {
    super('ERR_MQTT_KEEP_ALIVE' satisfies ClientErrorCode, message)
  }
}

/** Error: the server sends but does not read. */
export class ServerStalledError extends MqttError {
  override name: string = 'ServerStalledError'
  constructor(message: string) {
    super('ERR_MQTT_SERVER_STALLED' satisfies ClientErrorCode, message)
  }
}

/** Error: the client is closed. `cause` is the reason, except after `close()`. */
export class ClientClosedError extends MqttError {
  override name: string = 'ClientClosedError'
  constructor(message = 'the client is closed', options?: ErrorOptions) {
    super('ERR_MQTT_CLOSED' satisfies ClientErrorCode, message, options)
  }
}

/** Error: the server refused a message, by PUBACK, PUBREC or PUBCOMP with a Reason Code of 0x80 or more. */
export class PublishError extends ReasonCodeError {
  override name: string = 'PublishError'
  readonly topic: string
  constructor(topic: string, reasonCode: ReasonCode, properties: Properties) {
    super(
      'ERR_MQTT_PUBLISH_REFUSED' satisfies ClientErrorCode,
      'the server refused the message',
      reasonCode,
      properties,
    )
    this.topic = topic
  }
}

/**
 * Error: at least one Topic Filter was refused; the granted ones of the same call stay subscribed until it is closed.
 */
export class SubscribeError extends ReasonCodeError {
  override name: string = 'SubscribeError'
  readonly topicFilters: readonly string[]
  readonly reasonCodes: readonly ReasonCode[]
  constructor(topicFilters: readonly string[], reasonCodes: readonly ReasonCode[], properties: Properties) {
    const failed = reasonCodes.findIndex((reasonCode) => reasonCode >= 0x80)
    const what = `the server refused to subscribe to ${JSON.stringify(topicFilters[failed])}`
    super('ERR_MQTT_SUBSCRIBE_REFUSED' satisfies ClientErrorCode, what, reasonCodes[failed] ?? 0x80, properties)
    this.topicFilters = topicFilters
    this.reasonCodes = reasonCodes
  }
}

/** Error: the server refused to unsubscribe from at least one Topic Filter. */
export class UnsubscribeError extends ReasonCodeError {
  override name: string = 'UnsubscribeError'
  readonly topicFilters: readonly string[]
  readonly reasonCodes: readonly ReasonCode[]
  constructor(topicFilters: readonly string[], reasonCodes: readonly ReasonCode[], properties: Properties) {
    const failed = reasonCodes.findIndex((reasonCode) => reasonCode >= 0x80)
    const what = `the server refused to unsubscribe from ${JSON.stringify(topicFilters[failed])}`
    super('ERR_MQTT_UNSUBSCRIBE_REFUSED' satisfies ClientErrorCode, what, reasonCodes[failed] ?? 0x80, properties)
    this.topicFilters = topicFilters
    this.reasonCodes = reasonCodes
  }
}

/** Error: more messages wait to be sent than `queue.messagesMax` or `queue.bytesMax` allows. */
export class QueueFullError extends MqttError {
  override name: string = 'QueueFullError'
  constructor(message: string) {
    super('ERR_MQTT_QUEUE_FULL' satisfies ClientErrorCode, message)
  }
}

/**
 * Error: the server ended the connection each time after this packet. It is not sent any more, so that the packets
 * behind it can go on. `cause` is the error that ended the last connection.
 */
export class SetAsideError extends MqttError {
  override name: string = 'SetAsideError'
  readonly packet: 'PUBLISH' | 'SUBSCRIBE' | 'UNSUBSCRIBE'
  /** Topic Name, or Topic Filters. */
  readonly topics: readonly string[]
  constructor(packet: 'PUBLISH' | 'SUBSCRIBE' | 'UNSUBSCRIBE', topics: readonly string[], cause: MqttError) {
    const what = `the server ended the connection after ${packet} of ${JSON.stringify(topics.join(', '))}`
    super('ERR_MQTT_SET_ASIDE' satisfies ClientErrorCode, `${what}, which is not sent again: ${cause.message}`, {
      cause,
    })
    this.packet = packet
    this.topics = topics
  }
}

/** Error: the Message Expiry Interval was over before the message could be sent. */
export class MessageExpiredError extends MqttError {
  override name: string = 'MessageExpiredError'
  constructor(message: string) {
    super('ERR_MQTT_MESSAGE_EXPIRED' satisfies ClientErrorCode, message)
  }
}

/** Error: a subscription with `overflow: 'error'` was read too slowly. */
export class BufferOverflowError extends MqttError {
  override name: string = 'BufferOverflowError'
  constructor(message: string) {
    super('ERR_MQTT_BUFFER_OVERFLOW' satisfies ClientErrorCode, message)
  }
}

/** Error: a request has no responder; the server said 0x10 No matching subscribers. */
export class NoResponderError extends MqttError {
  override name: string = 'NoResponderError'
  constructor(message: string) {
    super('ERR_MQTT_NO_RESPONDER' satisfies ClientErrorCode, message)
  }
}

/** Error: `decode` could not read the payload of a message. */
export class PayloadError extends MqttError {
  override name: string = 'PayloadError'
  readonly topic: string
  /** Issues that a Standard Schema reports, each with its place. */
  readonly issues: readonly SchemaIssue[]
  constructor(topic: string, problem: string, issues: readonly SchemaIssue[], cause?: unknown) {
    const [first] = issues
    const path = first?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.') ?? ''
    const detail = first === undefined ? '' : `: ${path === '' ? '' : `${path}: `}${first.message}`
    const message = `the payload of ${JSON.stringify(topic)} ${problem}${detail}`
    super('ERR_MQTT_PAYLOAD' satisfies ClientErrorCode, message, cause === undefined ? undefined : { cause })
    this.topic = topic
    this.issues = issues
  }
}

/** Error: this server, its version of MQTT or this platform cannot do what was asked. */
export class NotSupportedError extends MqttError {
  override name: string = 'NotSupportedError'
  /** Property of CONNACK that a message does not fit, such as `maximumQoS`; null where there is none. */
  readonly limit: 'maximumQoS' | 'retainAvailable' | 'maximumPacketSize' | null
  constructor(message: string, options?: ErrorOptions, limit: NotSupportedError['limit'] = null) {
    super('ERR_MQTT_NOT_SUPPORTED' satisfies ClientErrorCode, message, options)
    this.limit = limit
  }
}

/** Error of the option `store`; `code` says which. */
export class SessionStoreError extends MqttError {
  override name: string = 'SessionStoreError'
  constructor(code: ClientErrorCode & `ERR_MQTT_SESSION_STORE${string}`, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}
