/**
 * Every seam of the broker in one file: what the core needs of its environment, and what it is told.
 *
 * The core calls these ports synchronously. An answer that takes time comes back later as an input: a callback that the
 * core handed over, never a promise. `broker.ts` joins the core with the adapters and with the embedder's hooks.
 *
 * A seam is here only where there are two real implementations. Policy (may it?), observation (it happened) and
 * transport are separate seams; an absent hook is `null` and costs nothing.
 */

import {
  type Connect,
  type Properties,
  type ProtocolVersion,
  type QoS,
  ReasonCode,
  type Subscription,
  type Will,
} from '@recado/protocol'

/** A client certificate that an authority of the listener has signed, and that was valid when the connection began. */
export interface ClientCertificate {
  /** Common name of its subject; undefined when it has none. */
  readonly commonName: string | undefined
  /** Subject as a distinguished name of RFC 2253, the most specific part first: `CN=ada,OU=sensors,O=Example`. */
  readonly subject: string
  /** Issuer, in the same form. */
  readonly issuer: string
  /** Upper-case hex digits. */
  readonly serialNumber: string
  /** SHA-256 of the certificate: upper-case hex digits in pairs, with colons between them. */
  readonly fingerprint256: string
  /** Subject alternative names as Node writes them, `DNS:ada.example, URI:urn:ada`; '' for none. */
  readonly subjectAltName: string
  /** The end of its validity, milliseconds since the epoch. */
  readonly validToMs: number
}

/**
 * Canonical form of an IP address, so that counts and rules by address see one form: RFC 5952 for IPv6, and an IPv4
 * address that is mapped into IPv6 as IPv4. `address` must be one.
 */
export function canonicalAddress(address: string): string {
  if (!address.includes(':')) return address
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(text)
  if (mapped === null) return text
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)]
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`
}

/** Peer as the layers below MQTT know it, and have checked. */
export interface Peer {
  /**
   * Version of TLS, as in `TLSv1.3`, between the peer and us or a proxy that speaks for it; null when not encrypted.
   */
  readonly tlsVersion: string | null
  /** Common name of the client certificate, which we or the proxy have checked; null for none. */
  readonly commonName: string | null
  /** The client certificate; null when there is none, or when a proxy has it. */
  readonly certificate: ClientCertificate | null
  /** Identity of the pre-shared key; null without one. */
  readonly pskIdentity: string | null
  /** The host name that the peer asked for (SNI); null when it did not say. */
  readonly serverName: string | null
  /**
   * Proxy that it came through, when `remoteAddress` is from a PROXY header or one of HTTP; null when it came directly.
   */
  readonly proxyAddress: string | null
}

/** An ordered, lossless byte stream to one client: TCP, a unix socket, TLS, WebSocket, or a simulated one. [MQTT-4.2.0-1] */
export interface Transport {
  /** Address of the peer for people and for policy, as in `127.0.0.1:50123`; '' when it has none. */
  readonly remoteAddress: string
  /** Name of the listener that accepted it. */
  readonly listener: string
  /** Peer as far as it has shown who it is; null for plain TCP and unix sockets, which know no more than the address. */
  readonly peer: Peer | null
  /** Bytes handed to `write` that have not left this process yet. */
  readonly bufferedBytes: number
  /**
   * Sends bytes. `true`: they are taken and the buffer may be reused at once. `false`: the transport holds on to the
   * buffer until it calls `onDrain`; until then nothing more should be written.
   */
  write(bytes: Uint8Array): boolean
  /** Like `write` for several pieces in one system call where that is possible. */
  writeAll(pieces: readonly Uint8Array[]): boolean
  /**
   * Sends buffered bytes, then closes. Nothing more goes to `onData`, and later writes are ignored. `onClose` follows.
   */
  end(): void
  /** Closes at once, without sending buffered bytes. `onClose` follows. */
  destroy(): void
  /** Stops and starts `onData`. */
  pause(): void
  resume(): void
}

/** Handler of a transport: the connection that it belongs to. */
export interface TransportHandler {
  /** The chunk is borrowed: it stays unchanged until this call returns. */
  onData(chunk: Uint8Array): void
  /**
   * Memory that the next chunk may be read into, from its first byte on; null or absent: none. Asked after `onData` by a
   * transport that can read into given memory. It is reserved until the next `onData`, or until `onClose`.
   */
  readonly nextRead?: Uint8Array | null
  onDrain(): void
  /** Exactly once, the last call. `error` when the transport failed, `null` when the peer or we closed it. */
  onClose(error: Error | null): void
}

/** Time and the end of the turn. Milliseconds since the epoch; never goes back within a process. */
export interface Clock {
  nowMs(): number
  /** Calls back when all input that is readable now has been read: the end of the turn. */
  defer(callback: () => void): void
  /** Calls back at `atMs`. There is one alarm: a later call replaces it, Infinity takes it away. */
  alarm(atMs: number, callback: () => void): void
  /** Calls back once after `delayMs`, for work that may not wait for the alarm's 100 ms. */
  after(delayMs: number, callback: () => void): void
}

/** The tables of a store. The numbers are stored: they never change their meaning. */
export const Table = {
  /** Schema version and counters. */
  Meta: 0,
  Sessions: 1,
  Subscriptions: 2,
  Messages: 3,
  Flights: 4,
  Received: 5,
  Retained: 6,
  Wills: 7,
  Delayed: 8,
  /** Messages at QoS 2 that other Cores have forwarded and have not released. */
  Forwarded: 9,
} as const

/**
 * Store of what must survive a broker: tables of rows, each under a key of three whole numbers (`a` up to 2^48-1,
 * `b` and `c` up to 2^32-1) that orders the table. What the rows mean is the core's (`message-records.ts` and `session-records.ts` of `core/journal`).
 *
 * The core writes one batch at a time and waits for it before it starts the next.
 */
export interface Store {
  /** Whether it keeps anything beyond the process; if not, the core does not write to it at all. */
  readonly isPersistent: boolean
  /**
   * Applies all `put` and `remove` that `fill` makes, atomically, then calls `done`, never from within this call: `null` when
   * they are safe (as the store's durability says), the error when nothing of them was applied. One call at a time.
   */
  write(fill: () => void, done: (error: Error | null) => void): void
  /** Puts a row; only within `fill`. The value must not change before `done`. */
  put(table: number, a: number, b: number, c: number, value: Uint8Array): void
  /** Removes a row; only within `fill`. A row that is not there is no error. */
  remove(table: number, a: number, b: number, c: number): void
  /**
   * Returns the value of a row that has been written and is done; the bytes are valid until the next call of the store.
   */
  get(table: number, a: number, b: number, c: number): Uint8Array | undefined
  /** All rows of a table in the order of their keys; the bytes are valid until `visit` returns. */
  scan(table: number, visit: (a: number, b: number, c: number, value: Uint8Array) => void): void
  /** Like `scan` without the values, and much cheaper. */
  scanKeys(table: number, visit: (a: number, b: number, c: number) => void): void
  /** After the last `done`. */
  close(): Promise<void>
}

/**
 * Way of frames from one Core to the others of its broker (`mesh/`): in order from one process to another one, never
 * twice, but a frame may be lost.
 */
export interface Bus {
  /** Sends a frame to the Core with this number. The bytes may be reused when the call returns. */
  send(to: number, frame: Uint8Array): void
}

/** Memory of the whole process, for `memoryBytesMax`. */
export interface ProcessMemory {
  /** Returns bytes in use, garbage included. */
  usedBytes(): number
  /** Lets go of all garbage, at once. Returns how many milliseconds that has taken. */
  collect(): number
}

/** Source of random identifiers. */
export interface Random {
  /** `count` random bytes as lower-case hex digits; used for assigned Client Identifiers. */
  hex(count: number): string
}

/** Client that is connected, or was. Read-only for hooks. */
export interface ClientInfo {
  readonly clientId: string
  readonly username: string | undefined
  readonly protocolVersion: ProtocolVersion
  /** True: it says that it is a bridge of Mosquitto's kind, bit 7 of the protocol level. Anybody may say so. */
  readonly isBridge: boolean
  readonly remoteAddress: string
  readonly listener: string
  /** Peer as TLS or a proxy has it; null without either. */
  readonly peer: Peer | null
  /** Rights that authentication has given the client (`ConnectDecision.grants`), for the authorizer. */
  readonly grants: unknown
  /** Value of the authorizer: its own results for this client; it must know itself when they are out of date. */
  memo: unknown
}

/** End of a connection of a client. */
export interface ConnectionEnd {
  /** Milliseconds since the epoch. */
  readonly atMs: number
  /** The client has sent DISCONNECT; else the broker has ended the connection, or it was lost. */
  readonly byClient: boolean
  /** Reason Code; null when it is not known any more, because the broker has been started again since. */
  readonly reasonCode: ReasonCode | null
  readonly why: string
}

/** An Application Message, as observers and the embedding program see it. */
export interface ApplicationMessage {
  readonly topic: string
  readonly qos: QoS
  /** The RETAIN flag as it was published. */
  readonly retain: boolean
  /** Borrowed while a turn runs: `keep()` the message to hold on to it. */
  readonly payload: Uint8Array
  readonly payloadLength: number
  /** Without Topic Alias, Subscription Identifier and Message Expiry Interval. */
  readonly properties: Properties
  /** Milliseconds since the epoch; Infinity: never. */
  readonly expiresAtMs: number
  /** Makes payload and properties the message's own. Returns the message. */
  keep(): ApplicationMessage
}

/** Request of a CONNECT. `connect.password` is the only place where the password stands. */
export interface ConnectRequest {
  readonly connect: Connect
  /**
   * Client Identifier that will be used: the client's own, or the assigned one. Where it is the user name, CONNECT's
   * until the login.
   */
  readonly clientId: string
  /**
   * Whether the Client Identifier is to be the user name of the login (`clientIdFromUsername`): ask `clientIdOf`.
   * Default: false.
   */
  readonly isClientIdUsername?: boolean
  readonly remoteAddress: string
  readonly listener: string
  /** Peer as TLS or a proxy has it; null without either. */
  readonly peer: Peer | null
  /**
   * The user name that the client's certificate or pre-shared key has proven, on a listener that takes it for the user name
   * (`usernameFrom`): it holds instead of CONNECT's, and no password is needed. null elsewhere.
   */
  readonly identity: string | null
}

/** Returns the Client Identifier of the client when it has logged in as `username`. */
export function clientIdOf({ clientId, isClientIdUsername }: ConnectRequest, username: string | undefined): string {
  return isClientIdUsername === true && username ? username : clientId
}

/** Rights that come with a login, as of a token: Topic Filters, in which %c is the Client Identifier and %u the user name. */
export interface Grants {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** The answer to a CONNECT. `reasonCode` 0 (the default) lets the client in. */
export interface ConnectDecision {
  reasonCode?: ReasonCode
  /** Sent to MQTT 5.0 clients unless they asked for no problem information. */
  reasonString?: string
  /** With `reasonCode` 0x9C or 0x9D: where to connect instead (4.11). */
  serverReference?: string
  /**
   * User who has logged in, when that is not the user name of CONNECT: for policy, sessions and observation from here on. The name that a certificate or
   * pre-shared key has proven (`usernameFrom`) cannot be changed: another one refuses the client.
   */
  username?: string
  /** Sent when the client asked for it (3.2.2.3.15). */
  responseInformation?: string
  userProperties?: [name: string, value: string][]
  /** Rights of the client, in the words of its authorizer (`Grants` for `byGrants`): `ClientInfo.grants`. */
  grants?: unknown
  /** End of the credentials, milliseconds since the epoch: the connection ends with them, with 0x87. Default: never. */
  expiresAtMs?: number
  /** Credential that let the client in; the authenticator gets it back in `isStillValid`. */
  credential?: unknown
}

/** The one answer to every failed login, whatever its fault: an attacker who guesses learns nothing. */
export const REFUSED: ConnectDecision = { reasonCode: ReasonCode.NotAuthorized, reasonString: 'not authorized' }
export const BUSY: ConnectDecision = {
  reasonCode: ReasonCode.ServerBusy,
  reasonString: 'too many logins are waiting: try again later',
}
export const UNAVAILABLE: ConnectDecision = {
  reasonCode: ReasonCode.ServerUnavailable,
  reasonString: 'logins cannot be checked now: try again later',
}

export interface Authenticator {
  /** Calls `decide` exactly once, at once or later. Until then the connection is not read. */
  authenticate(request: ConnectRequest, decide: (decision: ConnectDecision) => void): void
  /** True: a client that was let in with `credential` would be let in again. Asked when what clients log in with has changed. */
  isStillValid?(client: ClientInfo, credential: unknown): boolean
  /**
   * Whether the user still exists. Asked before the Will of a client is published that is gone, perhaps since before
   * the broker started. Absent: a client that was let in once counts as known.
   */
  isKnown?(client: ClientInfo): boolean
}

export interface LoginQueueOptions {
  /** Logins that may wait, of all networks and of one. */
  readonly waitingMax: number
  readonly waitingPerNetworkMax: number
  /** Logins of a network that may fail in a second, twice that in a burst; 0 for no limit. */
  readonly failuresPerSecondMax: number
}

/** Logins that wait for their turn, which goes by network: an IPv4 address, a /64 of IPv6. */
export interface LoginQueue<T> {
  readonly length: number
  /** The network has as many waiting as it may, or too many of its logins have failed: refuse at once, it costs nothing. */
  isRefusing(remoteAddress: string): boolean
  /** Adds an item. Returns the item that has to go for it, which may be the item itself; null when there is room. */
  push(remoteAddress: string, item: T): T | null
  /** Returns the next one, of the network whose turn it is. */
  shift(): T | undefined
  takeAll(): T[]
  /** A login from there was wrong. */
  failed(remoteAddress: string): void
}
export type MakeLoginQueue = <T>(options: LoginQueueOptions) => LoginQueue<T>

/** One step of an enhanced authentication (4.12). */
export interface AuthenticationStep {
  readonly method: string
  readonly data: Uint8Array | undefined
  /** The first step comes with CONNECT, or with AUTH 0x19 (re-authentication); the others with AUTH 0x18. */
  readonly phase: 'connect' | 're-authenticate' | 'continue'
  readonly request: ConnectRequest
  /** User that the client is so far, at a re-authentication and after it; undefined at CONNECT. */
  readonly username: string | undefined
  /** State of the authenticator's own, from step to step of one exchange. */
  state: unknown
}

/**
 * Answer of a step. `reasonCode` 0x18 asks for another step, 0 accepts, anything else refuses. `username` alone is the
 * user: the user name in a CONNECT with an Authentication Method has not been checked. At a re-authentication another
 * name than before ends the connection.
 */
export interface AuthenticationAnswer extends ConnectDecision {
  data?: Uint8Array
}

export interface EnhancedAuthenticator {
  /** The Authentication Methods on offer; a CONNECT with another is refused with 0x8C. */
  readonly methods: readonly string[]
  step(step: AuthenticationStep, answer: (answer: AuthenticationAnswer) => void): void
  /** Same as `Authenticator.isStillValid`, for clients that have come in by AUTH packets. */
  isStillValid?(client: ClientInfo, credential: unknown): boolean
}

/** Verdict of an authorizer: a Reason Code (0 allows), or PENDING when `decide` will be called later. */
export type Verdict = number
export const ALLOW: Verdict = 0
export const PENDING: Verdict = -1

export interface Authorizer {
  /**
   * True: the answer of `publish` depends on the client and the topic alone, and holds until `Core.recheck` or until the client logs in again: the
   * core need not ask for every message.
   */
  readonly isStable?: boolean
  /** The Topic Name is the real one, a Topic Alias already resolved. */
  publish(
    client: ClientInfo,
    topic: string,
    qos: QoS,
    retain: boolean,
    decide: (reasonCode: ReasonCode) => void,
  ): Verdict
  /** A CONNECT with a Will: a refusal refuses the CONNECT. Absent: as `publish`. When it is published `mayPublish` is asked. */
  will?(client: ClientInfo, will: Will, decide: (reasonCode: ReasonCode) => void): Verdict
  /**
   * Once for each Topic Filter of a SUBSCRIBE. A granted subscription may be lowered with `subscription.qos`. `isAgain`: it was granted before, see
   * `decidesAtSubscribe`.
   */
  subscribe(
    client: ClientInfo,
    subscription: Subscription,
    decide: (reasonCode: ReasonCode) => void,
    isAgain: boolean,
  ): Verdict
  /**
   * Whether the client may end a subscription. Asked once for each Topic Filter of an UNSUBSCRIBE; `false` is 0x87, and
   * the subscription stays. Absent: yes.
   */
  mayUnsubscribe?(client: ClientInfo, topicFilter: string): boolean
  /**
   * Whether the client may receive messages of this topic. Asked once for each client and topic, and again when
   * `Core.recheck` reports that the answers have changed. Absent: a granted subscription receives all messages that
   * match it.
   */
  mayReceive?(client: ClientInfo, topic: string): boolean
  /**
   * True: rights to receive are decided when this client subscribes, not by `mayReceive`: `subscribe` is asked again about each subscription of its session
   * when that is resumed, and after `Core.recheck`. Until then nothing is sent to it; what is refused ends (`subscription.withdrawn`). 0x80, 0x83, 0x88,
   * 0x89 and 0x97 are no answer: they are asked about again after 2 s. Absent: no.
   */
  decidesAtSubscribe?(client: ClientInfo): boolean
  /**
   * Whether the client, which may be gone by now, may still publish to this topic. Asked before its Will is published,
   * and before its retained message is sent. Absent: a right that was granted once stays.
   */
  mayPublish?(client: ClientInfo, topic: string): boolean
}

/** New contents of a message; what is absent stays. */
export interface MessageChanges {
  readonly topic?: string
  /** Belongs to the message from then on. */
  readonly payload?: Uint8Array
  readonly retain?: boolean
  readonly properties?: MessageProperties
}

/** Changes messages of clients before anybody gets them. */
export interface Transformer {
  /**
   * Called for each message of a client that is allowed, and for each Will. Returns other contents; null to leave it as it is; or
   * the Reason Code for its publisher when nobody is to get it: 0 as if it had been delivered.
   */
  transform(client: ClientInfo, message: ApplicationMessage): MessageChanges | ReasonCode | null
}

/** Controller that takes messages to a topic below `$CONTROL/` for commands; no subscriber gets them. */
export interface Controller {
  /**
   * The authorizer has allowed it. The payload may be kept. Calls `done` exactly once, later: 0, or the Reason Code to refuse with. Until then
   * the connection of the client is not read.
   */
  handle(client: ClientInfo, topic: string, payload: Uint8Array, done: (reasonCode: ReasonCode) => void): void
}

/** Reason why a message was not delivered. Each is a counter, `dropped.<reason>` in the metrics. */
export type DropReason =
  | 'queue-full'
  | 'queues-full'
  | 'slow-reader'
  | 'packet-too-large'
  /** A control character or non-character in a topic or property of what was stored or imported: `allow_control_characters`. */
  | 'disallowed-code-point'
  | 'expired'
  | 'session-ended'
  /** An operator has emptied the queue of the session: `Broker.drainQueue`. */
  | 'drained'
  | 'retained-limit'
  | 'not-authorized'
  | 'offline-qos0'
  | 'topic-over-limit'
  | 'payload-over-limit'
  | 'store-failed'
  | 'memory-full'
  /** Over a limit of delayed messages, or there is no such delay: `delayedPublish`. */
  | 'delayed-limit'
  /** The hook `transform` has left it out, or has failed. */
  | 'withheld'
  /** The remote broker of a bridge has answered with a failure, or does not take such messages. */
  | 'refused-by-remote'
  /** A message that came by a bridge had been here before. */
  | 'loop'

/** Packet for a log: the fields that tell it from others. Never a payload or a password. */
export interface TracedPacket {
  /** Packet type as in the first byte of the packet: 3 is PUBLISH. */
  type: number
  packetId?: number
  reasonCode?: number
  /** Session Present of CONNACK. */
  sessionPresent?: boolean
  /** Topic Name of PUBLISH without Topic Alias, and the length of its payload. */
  topic?: string
  payloadBytes?: number
  qos?: QoS
  retain?: boolean
  dup?: boolean
  /** Topic Filters of UNSUBSCRIBE. */
  topicFilters?: readonly string[]
}

/** A packet that was received, for a log. */
export interface ReceivedPacket extends TracedPacket {
  /** True: the PUBLISH is not taken, because its client may not publish there, or it is too large. */
  isRefused: boolean
}

/** Whether a new subscription gets retained messages; if not, the reason. [MQTT-3.3.1-10] [MQTT-3.3.1-11] */
export type RetainedAnswer = 'sent' | 'not-new' | 'not-wanted' | 'shared' | 'refused'

/** Events for logs and statistics, one name per site. */
export interface BrokerEvents {
  /** `transport`: how its connections are read and written (see `SocketListenerOptions.transport`). */
  'listener.started': { listener: string; address: string; transport: 'handle' | 'socket' }
  'listener.stopped': { listener: string }
  'connection.opened': { remoteAddress: string; listener: string }
  'connection.refused': {
    remoteAddress: string
    listener: string
    clientId: string
    reasonCode: ReasonCode
    why: string
  }
  'connection.failed': {
    remoteAddress: string
    listener: string
    clientId: string
    reasonCode: ReasonCode
    why: string
  }
  'client.connected': {
    client: ClientInfo
    cleanStart: boolean
    sessionPresent: boolean
    keepAliveSeconds: number
    sessionExpirySeconds: number
    /** Will as CONNECT has it; null: none. */
    will: Will | null
  }
  /** `reasonCode` is the client's own (`byClient`) or the one that we ended the connection with. */
  'client.disconnected': { client: ClientInfo; byClient: boolean; reasonCode: ReasonCode; why: string }
  'session.taken-over': { clientId: string; remoteAddress: string }
  'session.ended': { clientId: string; why: 'expired' | 'clean-start' | 'disconnected' | 'removed' }
  /** `retained`: whether retained messages are sent to it; else why not: Retain Handling 1 or 2, or it is shared. */
  'subscription.made': {
    client: ClientInfo
    topicFilter: string
    qos: QoS
    reasonCode: ReasonCode
    retained: RetainedAnswer
  }
  'subscription.ended': { client: ClientInfo; topicFilter: string }
  /** A subscription was allowed once and is not any more: asked about as its session was resumed, or as rights have changed. The client is not told. */
  'subscription.withdrawn': { client: ClientInfo; topicFilter: string; reasonCode: ReasonCode }
  'will.published': { clientId: string; topic: string }
  /** A message to `$delayed/SECONDS/topic` has waited, and is published now. `clientId` is '' for one of the embedding program. */
  'delayed.published': { clientId: string; topic: string; number: number }
  /** Event per message: only with an observer for it. The payload is borrowed. */
  'message.published': { client: ClientInfo | null; message: ApplicationMessage }
  /**
   * Event per packet: only with an observer for it. For PUBLISH it comes when it is decided whether the message is
   * accepted. Borrowed.
   */
  'packet.received': { client: ClientInfo; packet: ReceivedPacket }
  'packet.sent': { client: ClientInfo; packet: TracedPacket }
  /** A subscriber does not get its own message: its subscriptions that match have No Local. [MQTT-3.8.3-3] */
  'message.withheld': { clientId: string; topic: string; topicFilter: string }
  /** The member that a Shared Subscription has chosen for a message. `topicFilter` has `$share/name/`. */
  'message.shared': { clientId: string; topic: string; topicFilter: string }
  /** A message waits in the queue of a session, which has so many now. */
  'message.queued': { clientId: string; topic: string; qos: QoS; queuedMessages: number }
  /** `isForSubscriber`: the client is one that should have got it; otherwise the one that published it. */
  'message.dropped': { clientId: string; topic: string; qos: QoS; reason: DropReason; isForSubscriber?: true }
  /** The memory ceiling has come nearer, or is further away: see `core/base/memory-guard.ts` for the levels. */
  'memory.level': { level: number; usedBytes: number; limitBytes: number }
  /** The store does not write: durable work is refused until `store.recovered`. */
  'store.failed': { error: Error }
  'store.recovered': Record<string, never>
  /** The store's files could not be used and have been put aside. */
  'store.quarantined': { path: string; reason: string }
  /** A row that cannot be understood has been passed over. */
  'store.row-damaged': { table: number; row: number; error: unknown }
  /**
   * The store has been read, as the broker started, and had so much. `clockBehindMs`: milliseconds that the clock of the machine is behind the
   * time that the store has noted; 0: it is not.
   */
  'store.loaded': { sessions: number; messages: number; retained: number; clockBehindMs: number }
  /** A hook threw or rejected: our embedder's bug, answered to the client with 0x80 or 0x83. */
  'hook.failed': { hook: string; error: unknown }
  /**
   * Error that the core has thrown where it should not: our bug. One connection, or the one piece of work that `where`
   * names, has ended. `isFatal`: no durable work is acknowledged any more, and the process should end; a new one starts
   * from the disk. `clientId` is '' when it is no client's, or not known.
   */
  'core.failed': { where: string; clientId: string; error: unknown; isFatal: boolean }
}
/** Functions that are called when something happens, by the name of the event. */
export type Observer = { [Name in keyof BrokerEvents]?: (event: BrokerEvents[Name]) => void }

/**
 * Follows some messages on their way through the broker, for latencies and spans. Messages that were read back from the
 * disk are no longer followed.
 */
export interface MessageWatch {
  /**
   * A client publishes the message, or the embedding program (null), and it is being accepted. `messages`: number of
   * messages that it stands for, those before it that were not told of and itself. Returns true: it is to be followed.
   * Borrowed unless it is.
   */
  published(client: ClientInfo | null, message: ApplicationMessage, messages: number): boolean
  /** A followed message was written for a subscriber: it leaves at the end of this turn. */
  delivered(client: ClientInfo, message: ApplicationMessage): void
  /** PUBACK or PUBREC of a followed message was written for its publisher. */
  acknowledged(message: ApplicationMessage): void
  /** The store has made a batch safe, in so many milliseconds. */
  committed(milliseconds: number): void
}

/** A watch at work (`Broker.watch`). */
export interface Watching {
  /**
   * Messages from one that the watch is told of to the next, up to 1,000,000,000; default 1: all. It may be set at any
   * time. Setting throws MqttError ERR_MQTT_OPTION.
   */
  every: number
  /** Messages that have been published since the watch began. */
  readonly messages: number
  /** Ends the watch; a second call does nothing. */
  end(): void
}

/** Message properties that an embedder may set on `broker.publish`. */
export type MessageProperties = Pick<
  Properties,
  | 'payloadFormatIndicator'
  | 'messageExpiryIntervalSeconds'
  | 'contentType'
  | 'responseTopic'
  | 'correlationData'
  | 'userProperties'
>
