/**
 * `mosquitto.db` from what a data folder of ours holds, for going back to Mosquitto: `recado export --format mosquitto.db`.
 *
 * Invariant: Mosquitto 2.0 and 2.1 read the file, and each client gets from it what it would have got here, but for what such a file
 * cannot hold, which is counted (`LeftBehind`). Payloads pass one by one; in memory are the deliveries, without their payloads.
 */
import type {
  StoreContents,
  StoredMessage,
  StoredRecipient,
  StoredRetainedMessage,
  StoredSession,
} from '@recado/broker'
import { encodeProperties, PacketType, type Properties, parseShare } from '@recado/protocol'
import {
  CHUNK_HEADER_BYTES,
  Chunk,
  Direction,
  HEADER_BYTES,
  HeadBytes,
  MAGIC,
  NEVER,
  State,
  SubscriptionBit,
  VERSION,
} from './layout.ts'

/** Counts of what the file cannot hold. */
export interface LeftBehind {
  wills: number
  delayed: number
  sharedSubscriptions: number
  /** QoS 2 messages of clients that are not released: one that is sent again would come twice. */
  unreleased: number
}

/** Counts of what the file holds. */
export interface Written {
  sessions: number
  subscriptions: number
  deliveries: number
  retained: number
}

interface Delivery {
  readonly messageId: number
  readonly recipient: StoredRecipient
}

const PACKET_IDS = 65_535
const STATE_OF = { PUBACK: State.WaitForPuback, PUBREC: State.WaitForPubrec, PUBCOMP: State.WaitForPubcomp } as const

/**
 * Yields the bytes of the file, one chunk of it after another. `left` and `written` are complete at the end.
 * `nowMs`: the sessions of connected clients count as ended then.
 */
export function* databaseBytes(
  contents: StoreContents,
  nowMs: number,
  written: Written,
  left: LeftBehind,
): Generator<Buffer> {
  const header = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(header)
  header.writeUInt32BE(VERSION, MAGIC.length + 4)
  yield header
  let lastId = 0
  const deliveries = new Map<string, Delivery[]>()
  const retainedIds: number[] = []
  // The first chunk has the last number, which is known when the messages have been counted.
  for (const _ of contents.messages()) lastId++
  for (const _ of contents.retained()) lastId++
  yield chunk(Chunk.Config, configHead(lastId))
  let id = 0
  for (const message of contents.messages()) {
    id++
    for (const recipient of message.recipients) {
      const own = deliveries.get(recipient.clientId) ?? []
      own.push({ messageId: id, recipient })
      deliveries.set(recipient.clientId, own)
    }
    yield messageChunk(id, message)
  }
  for (const message of contents.retained()) {
    retainedIds.push(++id)
    yield messageChunk(id, message)
  }
  const subscriptions: Buffer[] = []
  for (const session of contents.sessions()) {
    written.sessions++
    left.unreleased += session.receivedPacketIds.length
    if (session.will !== null) left.wills++
    const own = deliveries.get(session.clientId) ?? []
    written.deliveries += own.length
    yield* clientChunks(session, own, nowMs)
    for (const subscription of session.subscriptions) {
      if (parseShare(subscription.topicFilter) !== null) left.sharedSubscriptions++
      else subscriptions.push(subscriptionChunk(session.clientId, subscription))
    }
  }
  for (const _ of contents.wills()) left.wills++
  for (const _ of contents.delayed()) left.delayed++
  written.subscriptions = subscriptions.length
  yield* subscriptions
  for (const retainedId of retainedIds) {
    written.retained++
    const head = Buffer.alloc(HeadBytes.Retained)
    head.writeBigUInt64LE(BigInt(retainedId))
    yield chunk(Chunk.Retained, head)
  }
}

function configHead(lastId: number): Buffer {
  const head = Buffer.alloc(HeadBytes.Config)
  head.writeBigUInt64LE(BigInt(lastId))
  head.writeUInt8(1, 8)
  head.writeUInt8(8, 9)
  return head
}

function messageChunk(id: number, message: StoredMessage | StoredRetainedMessage): Buffer {
  const { topic, qos, retain, payload, expiresAtMs } = message
  const { messageExpiryIntervalSeconds: _, ...properties } = message.properties
  const topicBytes = Buffer.from(topic)
  const head = Buffer.alloc(HeadBytes.Message)
  head.writeBigUInt64LE(BigInt(id))
  head.writeBigInt64LE(BigInt(expiresAtMs === null ? 0 : Math.ceil(expiresAtMs / 1000)), 8)
  head.writeUInt32BE(payload.length, 16)
  head.writeUInt16BE(topicBytes.length, 26)
  head.writeUInt8(qos, 30)
  head.writeUInt8(retain || message.kind === 'retained' ? 1 : 0, 31)
  return chunk(Chunk.Message, head, topicBytes, payload, propertyField(properties))
}

function* clientChunks(session: StoredSession, deliveries: readonly Delivery[], nowMs: number): Generator<Buffer> {
  const { clientId, expirySeconds, disconnectedAtMs, owner } = session
  const packetIds = new PacketIds(deliveries)
  const messages: Buffer[] = []
  // In flight first, as Mosquitto writes them.
  for (const isInFlight of [true, false]) {
    for (const delivery of deliveries) {
      const { packetId, awaits } = delivery.recipient
      if ((awaits !== null) !== isInFlight) continue
      messages.push(deliveryChunk(clientId, delivery, isInFlight ? packetId : packetIds.next()))
    }
  }
  const idBytes = Buffer.from(clientId)
  const usernameBytes = Buffer.from(owner ?? '')
  const head = Buffer.alloc(HeadBytes.Client)
  const endsAtMs = expirySeconds === NEVER ? 0 : (disconnectedAtMs ?? nowMs) + expirySeconds * 1000
  head.writeBigInt64LE(BigInt(Math.ceil(endsAtMs / 1000)), 0)
  head.writeUInt32BE(expirySeconds, 8)
  head.writeUInt16BE(packetIds.last, 12)
  head.writeUInt16BE(idBytes.length, 14)
  head.writeUInt16BE(usernameBytes.length, 18)
  yield chunk(Chunk.Client, head, idBytes, usernameBytes)
  yield* messages
}

function deliveryChunk(clientId: string, { messageId, recipient }: Delivery, packetId: number): Buffer {
  const { qos, retain, subscriptionIdentifiers, awaits } = recipient
  const idBytes = Buffer.from(clientId)
  const head = Buffer.alloc(HeadBytes.ClientMessage)
  head.writeBigUInt64LE(BigInt(messageId))
  head.writeUInt16BE(packetId, 8)
  head.writeUInt16BE(idBytes.length, 10)
  head.writeUInt8(qos, 12)
  head.writeUInt8(awaits === null ? State.Queued : STATE_OF[awaits], 13)
  head.writeUInt8((retain ? 0x10 : 0) | (awaits === null ? 0 : 1), 14)
  head.writeUInt8(Direction.Out, 15)
  const properties =
    subscriptionIdentifiers.length === 0 ? {} : { subscriptionIdentifiers: [...subscriptionIdentifiers] }
  return chunk(Chunk.ClientMessage, head, idBytes, propertyField(properties))
}

function subscriptionChunk(clientId: string, subscription: StoredSession['subscriptions'][number]): Buffer {
  const { topicFilter, qos, noLocal, retainAsPublished, subscriptionIdentifier } = subscription
  const idBytes = Buffer.from(clientId)
  const filterBytes = Buffer.from(topicFilter)
  const head = Buffer.alloc(HeadBytes.Subscription)
  head.writeUInt32BE(subscriptionIdentifier, 0)
  head.writeUInt16BE(idBytes.length, 4)
  head.writeUInt16BE(filterBytes.length, 6)
  head.writeUInt8(qos, 8)
  const options = (noLocal ? SubscriptionBit.NoLocal : 0) | (retainAsPublished ? SubscriptionBit.RetainAsPublished : 0)
  head.writeUInt8(options, 9)
  return chunk(Chunk.Subscription, head, idBytes, filterBytes)
}

/** Nothing at all without properties, as Mosquitto writes it. */
function propertyField(properties: Properties): Uint8Array {
  return Object.keys(properties).length === 0 ? new Uint8Array(0) : encodeProperties(properties, PacketType.PUBLISH)
}

function chunk(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(CHUNK_HEADER_BYTES)
  header.writeUInt32BE(type, 0)
  header.writeUInt32BE(
    parts.reduce((sum, part) => sum + part.length, 0),
    4,
  )
  return Buffer.concat([header, ...parts])
}

/** Packet Identifiers of a client's queued messages: Mosquitto gives them when it queues. */
class PacketIds {
  /** Last Packet Identifier that was given or is in flight. */
  last = 0
  readonly #used: Set<number> = new Set()

  constructor(deliveries: readonly Delivery[]) {
    for (const { recipient } of deliveries) {
      if (recipient.awaits === null) continue
      this.#used.add(recipient.packetId)
      this.last = Math.max(this.last, recipient.packetId)
    }
  }

  /** In a queue of more than 65,535 messages identifiers come again, as in Mosquitto. */
  next(): number {
    do this.last = (this.last % PACKET_IDS) + 1
    while (this.#used.has(this.last) && this.#used.size < PACKET_IDS)
    return this.last
  }
}
