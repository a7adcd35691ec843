/**
 * Sessions as rows of the store: the sessions themselves, their subscriptions, Wills and delayed messages with the client
 * that left them.
 *
 * `Sessions`, `Subscriptions`, `Wills` and `DelayedMessages` encode them, recovery decodes them, and so do the tools that read a store.
 * Sessions and subscriptions are JSON, for people who look into the store: they are few and change seldom. A change of
 * a layout raises `SCHEMA_VERSION` in the store's Meta row.
 */
import { ByteWriter, type Properties, type QoS, type Will } from '@recado/protocol'
import type { ClientInfo, Grants } from '../../ports.ts'
import { isGrants, UNKNOWN_GRANTS } from '../base/client-info.ts'
import { Message } from '../base/message.ts'
import {
  messageBytes,
  NO_BYTES,
  readMessage,
  readTime,
  readUint32,
  writeMessage,
  writeTime,
  writeUint32,
} from './message-records.ts'

/** Session Expiry Interval that never ends (3.1.2.11.2). */
export const NEVER_EXPIRES = 0xffff_ffff

export interface SessionRecord {
  clientId: string
  expirySeconds: number
  /** Time when the connection was lost, milliseconds since the epoch; 0: connected. */
  disconnectedAtMs: number
  /** User whose session it is; absent: not known. */
  owner?: string
  /** Text of the embedding program about its own session; absent for none. */
  note?: string
  /** Position up to which messages at QoS 0 may have been sent from the queue; absent: none was. */
  sentQoS0To?: number
}

export interface SubscriptionRecord {
  topicFilter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  subscriptionIdentifier: number
}

/** Wills of sessions that are not kept have numbers from here on: those of sessions are 32 bits long. */
export const WILL_NUMBERS: number = 2 ** 32

export interface WillRecord {
  will: Will
  /** Infinity: the client was connected. */
  dueAtMs: number
  /** Client that left it; null: a version that did not say so wrote the row. */
  client: ClientInfo | null
}

/** Encodes a Will with the time when it is due, and behind it the client that left it, in JSON. */
export function encodeWill(will: Will, dueAtMs: number, client: ClientInfo | null): Uint8Array {
  const { willDelayIntervalSeconds = 0, ...properties } = will.properties
  const message = Message.of({ ...will, properties: withoutExpiry(properties) }, null, 0)
  const who = client === null ? NO_BYTES : encodeJson(whoOf(client))
  const writer = new ByteWriter(16 + messageBytes(message) + who.length)
  writeTime(writer, dueAtMs)
  writeUint32(writer, willDelayIntervalSeconds)
  writeUint32(writer, properties.messageExpiryIntervalSeconds ?? 0xffff_ffff)
  writeMessage(writer, message)
  writer.bytes.set(who, writer.length)
  return writer.bytes.subarray(0, writer.length + who.length)
}

export function decodeWill(bytes: Uint8Array): WillRecord {
  const message = readMessage(bytes, 16)
  const properties: Properties = { ...message.properties, willDelayIntervalSeconds: readUint32(bytes, 8) }
  const expirySeconds = readUint32(bytes, 12)
  if (expirySeconds !== 0xffff_ffff) properties.messageExpiryIntervalSeconds = expirySeconds
  return {
    will: { topic: message.topic, payload: message.payload, qos: message.qos, retain: message.retain, properties },
    dueAtMs: readTime(bytes, 0),
    client: clientBehind(message),
  }
}

/** A message that waits for its time. */
export interface DelayedRecord {
  /** Milliseconds since the Unix epoch. */
  readonly dueAtMs: number
  /** Message whose expiry counts from the time when it is due. */
  readonly message: Message
  /** Client that published it; null: the embedding program. */
  readonly client: ClientInfo | null
}

/** Encodes a delayed message: the time when it is due, the message, and behind it the client that published it, in JSON. */
export function encodeDelayed({ dueAtMs, message, client }: DelayedRecord): Uint8Array {
  const who = client === null ? NO_BYTES : encodeJson(whoOf(client))
  const writer = new ByteWriter(8 + messageBytes(message) + who.length)
  writeTime(writer, dueAtMs)
  writeMessage(writer, message)
  writer.bytes.set(who, writer.length)
  return writer.bytes.subarray(0, writer.length + who.length)
}

export function decodeDelayed(bytes: Uint8Array): DelayedRecord {
  const message = readMessage(bytes, 8)
  return { dueAtMs: readTime(bytes, 0), message, client: clientBehind(message) }
}

/** Client that stands behind a message; null when none does. */
function clientBehind({ buffer, payloadEnd }: Message): ClientInfo | null {
  const who = buffer.subarray(payloadEnd)
  return who.length === 0 ? null : clientOf(decodeJson(who) as Who)
}

/** Client that left a Will or a delayed message, as far as it is asked about. */
export interface Who {
  readonly clientId: string
  readonly username?: string
  readonly listener: string
  /** A bridge of Mosquitto's kind. */
  readonly isBridge?: boolean
  /** Rights that came with the login; null when there were some, an embedder's own, which cannot be kept. */
  readonly grants?: Grants | null
}

export function whoOf({ clientId, username, listener, isBridge, grants }: ClientInfo): Who {
  const kept = isGrants(grants) ? { publish: grants.publish, subscribe: grants.subscribe } : null
  return {
    clientId,
    ...(username === undefined ? {} : { username }),
    listener,
    ...(isBridge ? { isBridge } : {}),
    ...(grants === undefined ? {} : { grants: kept }),
  }
}

export function clientOf({ clientId, username, listener, isBridge = false, grants: kept }: Who): ClientInfo {
  const grants = kept === null ? UNKNOWN_GRANTS : kept
  const unknown = { protocolVersion: 5, remoteAddress: '', peer: null, memo: null } as const
  return { clientId, username, listener, isBridge, grants, ...unknown }
}

function withoutExpiry({ messageExpiryIntervalSeconds: _, ...properties }: Properties): Properties {
  return properties
}

/**
 * Encodes a session. Sessions and subscriptions are few and change seldom: JSON, for people who look into the store.
 */
export function encodeSession(record: SessionRecord): Uint8Array {
  return encodeJson(record)
}

export function decodeSession(bytes: Uint8Array): SessionRecord {
  return decodeJson(bytes) as SessionRecord
}

export function encodeSubscription(record: SubscriptionRecord): Uint8Array {
  return encodeJson(record)
}

export function decodeSubscription(bytes: Uint8Array): SubscriptionRecord {
  return decodeJson(bytes) as SubscriptionRecord
}

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true })

function encodeJson(value: object): Uint8Array {
  return utf8Encoder.encode(JSON.stringify(value))
}

function decodeJson(bytes: Uint8Array): unknown {
  return JSON.parse(utf8Decoder.decode(bytes))
}
