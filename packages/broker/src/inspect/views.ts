/**
 * Views that an inspector returns: plain objects that describe a client, a session, a subscription or a message at one
 * moment. They do not change afterwards, and changing them does not affect the broker.
 *
 * `Inspector` fills them with the functions here, which only read. Times are milliseconds since the Unix epoch; `null`
 * means absent.
 */
import { Flow, type ProtocolVersion, parseShare, type QoS, type Will } from '@recado/protocol'
import type { Message } from '../core/base/message.ts'
import { copyOf } from '../core/base/payload-blocks.ts'
import type { Connection } from '../core/connection/connection.ts'
import type { Delivery } from '../core/journal/delivery.ts'
import { NEVER_EXPIRES } from '../core/journal/session-records.ts'
import type { DelayedMessage } from '../core/routing/delayed.ts'
import type { SubscriptionEntry } from '../core/routing/subscriber.ts'
import type { Session } from '../core/session/session.ts'
import type { ConnectionEnd, MessageProperties, Peer } from '../ports.ts'

/** Counts of a connection since its CONNACK. */
export interface TrafficView {
  readonly bytesReceived: number
  readonly bytesSent: number
  /** PUBLISH packets. */
  readonly messagesReceived: number
  readonly messagesSent: number
}

/** Traffic of a connection per second, on average over the last `overSeconds`. */
export interface RatesView extends TrafficView {
  readonly overSeconds: number
}

/** A Will without its payload. */
export interface WillView {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly payloadBytes: number
  readonly delaySeconds: number
}

/** A session, of a connected client or of one that is away. */
export interface SessionView {
  readonly clientId: string
  /**
   * Owner of the session: the user who created it where sessions have owners, otherwise the connected user; `null` when
   * there is no user name or it is not known.
   */
  readonly username: string | null
  readonly isConnected: boolean
  /**
   * End of the last connection; for a connected client, of the one before. `null` when none has ended since the broker
   * started.
   */
  readonly lastEnd: ConnectionEnd | null
  /** True when the session is in the store and survives the end of the broker. */
  readonly isDurable: boolean
  /** Session Expiry Interval; null: it never ends. 0: it ends with the connection. */
  readonly expirySeconds: number | null
  /** When it ends if its client does not come back; null: never, or its client is connected. */
  readonly expiresAtMs: number | null
  readonly subscriptions: number
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** QoS 1 and 2 messages that were sent and are not acknowledged to the end. */
  readonly inflight: number
  readonly inflightBytes: number
  /** QoS 1 and 2 messages from the client that are not acknowledged to the end. */
  readonly receiving: number
  /** Messages for it that were dropped since the broker started, for whatever reason. */
  readonly droppedMessages: number
  /** Whether it may still have its subscriptions is being asked: nothing is sent meanwhile. */
  readonly isHeld: boolean
  /** A Will whose delay is not over; the client is away. */
  readonly pendingWill: (WillView & { readonly dueAtMs: number }) | null
}

/** A connected client. */
export interface ClientView {
  readonly clientId: string
  /** null: it is anonymous. */
  readonly username: string | null
  readonly protocolVersion: ProtocolVersion
  readonly isBridge: boolean
  readonly remoteAddress: string
  readonly listener: string
  /** Identity that TLS or a proxy reports; `null` without either. */
  readonly peer: Peer | null
  readonly connectedAtMs: number
  /** null: what it has logged in with does not expire. */
  readonly loginExpiresAtMs: number | null
  /** 0: none. */
  readonly keepAliveSeconds: number
  /** QoS 1 and 2 messages that it takes before it has acknowledged any. */
  readonly receiveMaximum: number
  /** null: any size. */
  readonly maximumPacketSize: number | null
  readonly traffic: TrafficView
  readonly rates: RatesView
  /** Bytes that wait to be sent to it, and of packets from it that are not complete. */
  readonly waitingBytes: number
  /** True when the client reads too slowly: QoS 0 is dropped, QoS 1 and 2 wait in its queue. */
  readonly isCongested: boolean
  /** The broker does not read from it just now: a decision is awaited, it is over a rate, or it does not read answers. */
  readonly isPaused: boolean
  readonly will: WillView | null
  readonly session: SessionView
}

/** A subscription of a session. */
export interface SubscriptionView {
  readonly clientId: string
  readonly isConnected: boolean
  /** Topic Filter as the client wrote it, with `$share/name/`, and with the mount point of its listener. */
  readonly topicFilter: string
  /** null: it is not a Shared Subscription. */
  readonly shareName: string | null
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** null: none. */
  readonly subscriptionIdentifier: number | null
}

/** A message with the beginning of its payload. */
export interface MessageView {
  readonly topic: string
  /** QoS at which it was published. */
  readonly qos: QoS
  readonly retain: boolean
  /** Copy of the first bytes of the payload, as many as were asked for. */
  readonly payload: Uint8Array
  /** Bytes of the whole payload. */
  readonly payloadBytes: number
  readonly properties: MessageProperties
  /** null: never. */
  readonly expiresAtMs: number | null
}

/** A message that waits for its time, and is published then. */
export interface DelayedView {
  /** Number for `Broker.cancelDelayed`. */
  readonly number: number
  /** Client that published it; null: the embedding program. */
  readonly clientId: string | null
  /** Time when it is published, milliseconds since the Unix epoch. */
  readonly dueAtMs: number
  readonly message: MessageView
}

/** A message that waits for a session. */
export interface QueuedView {
  /** QoS at which it will be sent. */
  readonly qos: QoS
  readonly retain: boolean
  /** null: it is on the disk and cannot be read. */
  readonly message: MessageView | null
}

/** A message that was sent and is not acknowledged to the end. */
export interface InFlightView {
  readonly packetId: number
  readonly qos: QoS
  readonly waitsFor: 'PUBACK' | 'PUBREC' | 'PUBCOMP'
  /** null: it need not be sent again, only its Packet Identifier is remembered. */
  readonly message: MessageView | null
}

/**
 * Fate of a message for one subscription. `gets`: it is sent at once; `waits`: in its queue; `not-chosen`:
 * another member of the Shared Subscription would get it; the others say why it is not sent.
 */
export type Verdict =
  | 'gets'
  | 'waits'
  | 'not-chosen'
  | 'no-local'
  | 'not-authorized'
  | 'offline-qos0'
  | 'slow-reader'
  | 'queue-full'

/** A subscription that a Topic Name matches, and what becomes of a message for it. */
export interface RecipientView extends SubscriptionView {
  /** QoS at which it would be sent. */
  readonly deliveredQoS: QoS
  readonly verdict: Verdict
}

/** Subscriptions that a Topic Name matches. */
export interface RecipientsView {
  /** Subscriptions, at most 1,000. */
  readonly recipients: readonly RecipientView[]
  /** Number of all. */
  readonly total: number
  /** Subscriptions of the embedding program that match as well. */
  readonly programSubscriptions: number
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)

export function willView({ topic, qos, retain, payload, properties }: Will): WillView {
  const delaySeconds = properties.willDelayIntervalSeconds ?? 0
  return { topic, qos, retain, payloadBytes: payload.length, delaySeconds }
}

/** The user whose session it is, or who is connected to it. */
export function userOf(session: Session): string | null {
  return session.connection?.username ?? (session.owner || null)
}

export function sessionView(session: Session): SessionView {
  const { clientId, connection, expirySeconds, expiryTimer, queue, sender, pendingWill } = session
  return {
    clientId,
    username: userOf(session),
    isConnected: connection !== null,
    lastEnd: session.lastEnd,
    isDurable: session.isDurable,
    expirySeconds: expirySeconds === NEVER_EXPIRES ? null : expirySeconds,
    expiresAtMs: expiryTimer.isSet ? expiryTimer.atMs : null,
    subscriptions: session.subscriptions.size,
    queuedMessages: queue.length,
    queuedBytes: queue.bytes,
    inflight: sender.inflight,
    inflightBytes: session.inflightBytes,
    receiving: session.receiver.unacknowledged,
    droppedMessages: session.droppedMessages,
    isHeld: session.isHeld,
    pendingWill: pendingWill === null ? null : { ...willView(pendingWill.will), dueAtMs: pendingWill.dueAtMs },
  }
}

export function clientView(connection: Connection, session: Session, rates: RatesView): ClientView {
  const { traffic, will } = connection
  const { connectedAtMs, bytesReceived, bytesSent, messagesReceived, messagesSent } = traffic
  return {
    clientId: connection.clientId,
    username: connection.username ?? null,
    protocolVersion: connection.protocolVersion,
    isBridge: connection.isBridge,
    remoteAddress: connection.remoteAddress,
    listener: connection.listener,
    peer: connection.peer,
    connectedAtMs,
    loginExpiresAtMs: finite(connection.expiresAtMs),
    // One and a half times as long is waited.
    keepAliveSeconds:
      finite(connection.keepAliveTimeoutMs) === null ? 0 : Math.round(connection.keepAliveTimeoutMs / 1_500),
    receiveMaximum: session.sender.receiveMaximum,
    maximumPacketSize: finite(connection.maximumPacketSize),
    traffic: { bytesReceived, bytesSent, messagesReceived, messagesSent },
    rates,
    waitingBytes: connection.waitingBytes,
    isCongested: connection.isCongested,
    isPaused: connection.readGate.isStopped,
    will: will === null ? null : willView(will),
    session: sessionView(session),
  }
}

export function subscriptionView(session: Session, entry: SubscriptionEntry): SubscriptionView {
  const { topicFilter, qos, noLocal, retainAsPublished, subscriptionIdentifiers } = entry
  return {
    clientId: session.clientId,
    isConnected: session.connection !== null,
    topicFilter,
    shareName: parseShare(topicFilter)?.shareName ?? null,
    qos,
    noLocal,
    retainAsPublished,
    subscriptionIdentifier: subscriptionIdentifiers?.[0] ?? null,
  }
}

export function messageView(message: Message, payloadBytesMax: number): MessageView {
  const { topic, qos, retain, payloadStart, payloadEnd, expiresAtMs, payloadLength, properties } = message
  return {
    topic,
    qos,
    retain,
    payload: copyOf(message.buffer, payloadStart, Math.min(payloadEnd, payloadStart + payloadBytesMax)),
    payloadBytes: payloadLength,
    properties: { ...properties },
    expiresAtMs: finite(expiresAtMs),
  }
}

export function queuedView(delivery: Delivery | null, payloadBytesMax: number): QueuedView {
  if (delivery === null) return { qos: 1, retain: false, message: null }
  const { qos, retain, message } = delivery
  return { qos, retain, message: message === null ? null : messageView(message, payloadBytesMax) }
}

export function inFlightView(delivery: Delivery, payloadBytesMax: number): InFlightView {
  const { packetId, qos, flow, message } = delivery
  return {
    packetId,
    qos,
    waitsFor: flow === Flow.AwaitPuback ? 'PUBACK' : flow === Flow.AwaitPubrec ? 'PUBREC' : 'PUBCOMP',
    message: message === null ? null : messageView(message, payloadBytesMax),
  }
}

export function delayedView(
  { number, client, dueAtMs, message }: DelayedMessage,
  payloadBytesMax: number,
): DelayedView {
  return { number, clientId: client?.clientId ?? null, dueAtMs, message: messageView(message, payloadBytesMax) }
}
