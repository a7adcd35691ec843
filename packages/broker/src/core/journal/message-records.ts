/**
 * Messages as rows of the store: the message table, deliveries in flight, retained messages.
 *
 * A message is kept as the PUBLISH packet of MQTT 5.0 that it would be on the wire, behind a head with its expiry time
 * and, in the message table, its recipients. A message for one session has that session's number in its key, so that
 * the queue of every session can be rebuilt from keys alone; one for several has 0 there.
 *
 * `BatchWriter` encodes them, `Journal` and recovery decode them, and so do the tools that read a store. A change of a
 * layout raises `SCHEMA_VERSION` in the store's Meta row.
 */
import {
  ByteWriter,
  Decoder,
  encodeTopicField,
  type Publish,
  type QoS,
  scanPublishProperties,
  TopicCache,
  writePublish,
} from '@recado/protocol'
import type { ClientInfo } from '../../ports.ts'
import { Message } from '../base/message.ts'
import { PayloadBlocks } from '../base/payload-blocks.ts'

/** One durable recipient of a message, as it was when the row was written. */
export interface Recipient {
  sessionNumber: number
  qos: QoS
  retain: boolean
  /** Both 0 when it was not in flight then. */
  packetId: number
  flow: number
  subscriptionIdentifiers: number[] | null
}

/** State of a delivery that was written before it was sent, or that is over while its message still waits for others. */
export interface FlightRecord {
  packetId: number
  flow: number
  isDone: boolean
}

/** Bit in the third number of a message's key: its one recipient was in flight when the row was written. */
export const IN_FLIGHT_BIT = 0x8000_0000

/** A delivery that is on disk only, by its key in the message table. */
export interface StoredEntry {
  position: number
  key: number
  /** Whether the message is for several sessions. */
  isMulti: boolean
}

/** Returns bytes of topic, payload and properties of a delivery on disk, from the third number of its key. */
export function bytesOfKey(key: number): number {
  return (key & ~IN_FLIGHT_BIT) >>> 0
}

const RECIPIENT_HEAD_BYTES = 9
const MESSAGE_HEAD_BYTES = 8
const PUBLISH_HEAD_BYTES = 16

/** Bytes that values of a batch are written into; they stay unchanged until the batch is done. */
export class RowWriter {
  #chunk: ByteWriter = new ByteWriter(0)
  readonly #used: ByteWriter[] = []
  readonly #free: ByteWriter[] = []
  static readonly #CHUNK_BYTES = 256 * 1024

  /** Returns a writer with room for `bytes`. */
  room(bytes: number): ByteWriter {
    if (this.#chunk.length + bytes <= this.#chunk.bytes.length) return this.#chunk
    const chunk =
      bytes > RowWriter.#CHUNK_BYTES
        ? new ByteWriter(bytes)
        : (this.#free.pop() ?? new ByteWriter(RowWriter.#CHUNK_BYTES))
    this.#used.push(chunk)
    this.#chunk = chunk
    return chunk
  }

  /** The batch is done: the bytes may be overwritten. */
  reuse(): void {
    for (const chunk of this.#used) {
      chunk.length = 0
      if (chunk.bytes.length === RowWriter.#CHUNK_BYTES && this.#free.length < 16) this.#free.push(chunk)
    }
    this.#used.length = 0
    this.#chunk = new ByteWriter(0)
  }
}

/** Infinity, "never", is stored as 0. */
export function writeTime(writer: ByteWriter, timeMs: number): void {
  const time = timeMs === Number.POSITIVE_INFINITY ? 0 : Math.floor(timeMs)
  writeUint32(writer, Math.floor(time / 0x1_0000_0000))
  writeUint32(writer, time >>> 0)
}

export function readTime(bytes: Uint8Array, at: number): number {
  const time = readUint32(bytes, at) * 0x1_0000_0000 + readUint32(bytes, at + 4)
  return time === 0 ? Number.POSITIVE_INFINITY : time
}

export function writeUint32(writer: ByteWriter, value: number): void {
  const { bytes } = writer
  bytes[writer.length++] = value >>> 24
  bytes[writer.length++] = value >>> 16
  bytes[writer.length++] = value >>> 8
  bytes[writer.length++] = value
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

export function writeMessage(writer: ByteWriter, message: Message): void {
  writeTime(writer, message.expiresAtMs)
  // The packet id of the record means nothing; QoS 1 and 2 must have one.
  writePublish(
    writer,
    5,
    message.topicField,
    message.qos,
    message.retain,
    false,
    1,
    message.storedPropertyField,
    message.buffer,
    message.payloadStart,
    message.payloadEnd,
  )
}

export function messageBytes(message: Message): number {
  return (
    MESSAGE_HEAD_BYTES +
    PUBLISH_HEAD_BYTES +
    message.topicField.length +
    message.storedPropertyBytes +
    message.payloadLength
  )
}

/** Returns a decoder of stored packets; one that has thrown is dead. */
function newDecoder(): Decoder {
  const topicCache = new TopicCache(256)
  return new Decoder({
    role: 'client',
    protocolVersion: 5,
    isConnected: true,
    topicCache,
    scanProperties: scanPublishProperties,
  })
}

/** Reads a message; `blocks`, where there are some, take its bytes. */
export function readMessage(
  bytes: Uint8Array,
  at: number,
  decoder: Decoder = newDecoder(),
  blocks: PayloadBlocks | null = null,
): Message {
  // The store's bytes are borrowed, and the message outlives them.
  const start = at + MESSAGE_HEAD_BYTES
  decoder.push(blocks === null ? bytes.slice(start) : blocks.viewOfCopy(bytes, start, bytes.length))
  return Message.restored(decoder.read() as Publish, readTime(bytes, at))
}

/** Returns a row of the message table. */
export function encodeMessageRow(
  rows: RowWriter,
  message: Message,
  first: Recipient,
  others: readonly Recipient[] | null,
): Uint8Array {
  let bytes = 4 + messageBytes(message) + recipientBytes(first)
  if (others !== null) for (const recipient of others) bytes += recipientBytes(recipient)
  const writer = rows.room(bytes)
  const start = writer.length
  writeUint32(writer, 1 + (others?.length ?? 0))
  writeRecipient(writer, first)
  if (others !== null) for (const recipient of others) writeRecipient(writer, recipient)
  writeMessage(writer, message)
  return writer.bytes.subarray(start, writer.length)
}

/** More than fit into the count are not sent again after a crash. */
const IDENTIFIERS_MAX = 255

function recipientBytes({ subscriptionIdentifiers }: Recipient): number {
  return RECIPIENT_HEAD_BYTES + 4 * Math.min(subscriptionIdentifiers?.length ?? 0, IDENTIFIERS_MAX)
}

function writeRecipient(writer: ByteWriter, recipient: Recipient): void {
  const { packetId, flow, subscriptionIdentifiers } = recipient
  writeUint32(writer, recipient.sessionNumber)
  writer.bytes[writer.length++] = recipient.qos | (recipient.retain ? 4 : 0)
  writer.bytes[writer.length++] = packetId >> 8
  writer.bytes[writer.length++] = packetId & 0xff
  writer.bytes[writer.length++] = flow
  const count = Math.min(subscriptionIdentifiers?.length ?? 0, IDENTIFIERS_MAX)
  writer.bytes[writer.length++] = count
  for (let i = 0; i < count; i++) writeUint32(writer, subscriptionIdentifiers![i]!)
}

/** Returns the recipient at `at`; the next one begins `recipientBytes` further on. */
function readRecipient(bytes: Uint8Array, at: number): Recipient {
  const flags = bytes[at + 4]!
  let subscriptionIdentifiers: number[] | null = null
  for (let i = 0; i < bytes[at + 8]!; i++) {
    subscriptionIdentifiers ??= []
    subscriptionIdentifiers.push(readUint32(bytes, at + RECIPIENT_HEAD_BYTES + 4 * i))
  }
  return {
    sessionNumber: readUint32(bytes, at),
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    packetId: (bytes[at + 5]! << 8) | bytes[at + 6]!,
    flow: bytes[at + 7]!,
    subscriptionIdentifiers,
  }
}

/** The recipients of a message row, and where the message begins. */
export function decodeRecipients(bytes: Uint8Array): { recipients: Recipient[]; end: number } {
  const recipients: Recipient[] = []
  let at = 4
  for (let left = readUint32(bytes, 0); left > 0; left--) {
    if (at + RECIPIENT_HEAD_BYTES > bytes.length) throw new RangeError('a message row is cut short')
    recipients.push(readRecipient(bytes, at))
    at += RECIPIENT_HEAD_BYTES + 4 * bytes[at + 8]!
  }
  return { recipients, end: at }
}

export function decodeMessageRow(bytes: Uint8Array): { message: Message; recipients: Recipient[] } {
  const { recipients, end } = decodeRecipients(bytes)
  return { message: readMessage(bytes, end), recipients }
}

/** Reads message rows for one of their recipients each: the way of every message that was not in memory. */
export class MessageRowReader {
  #decoder: Decoder = newDecoder()
  readonly #blocks: PayloadBlocks = new PayloadBlocks()

  /**
   * Reads the message for a session; null when the session is not among the recipients. Throws when the row is damaged.
   */
  read(bytes: Uint8Array, sessionNumber: number): { message: Message; recipient: Recipient } | null {
    let found = -1
    let at = 4
    for (let left = readUint32(bytes, 0); left > 0; left--) {
      if (at + RECIPIENT_HEAD_BYTES > bytes.length) throw new RangeError('a message row is cut short')
      if (readUint32(bytes, at) === sessionNumber) found = at
      at += RECIPIENT_HEAD_BYTES + 4 * bytes[at + 8]!
    }
    if (found < 0) return null
    try {
      return { message: readMessage(bytes, at, this.#decoder, this.#blocks), recipient: readRecipient(bytes, found) }
    } catch (error) {
      this.#decoder = newDecoder()
      throw error
    }
  }
}

/**
 * Encodes a retained message; behind it, where rights of publishers are checked again, the client that published it.
 */
export function encodeRetained(message: Message): Uint8Array {
  const source = message.source === null ? NO_BYTES : encodeSource(message.source)
  const writer = new ByteWriter(messageBytes(message) + source.length)
  writeMessage(writer, message)
  for (const byte of source) writer.bytes[writer.length++] = byte
  return writer.bytes.subarray(0, writer.length)
}

export function decodeRetained(bytes: Uint8Array): Message {
  const message = readMessage(bytes, 0)
  message.source = decodeSource(message.buffer.subarray(message.payloadEnd))
  return message
}

export const NO_BYTES: Uint8Array = new Uint8Array(0)

/** Encodes the publisher. Rights that came with a login are not kept: such a client is not checked after a restart. */
function encodeSource({ clientId, username, listener, grants }: ClientInfo): Uint8Array {
  if (grants !== undefined) return NO_BYTES
  const fields = [clientId, listener, ...(username === undefined ? [] : [username])].map(encodeTopicField)
  return Uint8Array.from(fields.flatMap((field) => [...field]))
}

/** Decodes the publisher; null when it was not kept. */
function decodeSource(bytes: Uint8Array): ClientInfo | null {
  const fields: string[] = []
  for (let at = 0; at + 2 <= bytes.length; ) {
    const end = at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!)
    fields.push(new TextDecoder().decode(bytes.subarray(at + 2, end)))
    at = end
  }
  const [clientId, listener, username] = fields
  if (clientId === undefined || listener === undefined) return null
  const unknown = { protocolVersion: 5, remoteAddress: '', peer: null, grants: undefined, memo: null } as const
  return { clientId, username, listener, isBridge: false, ...unknown }
}

export function encodeFlight(flight: FlightRecord): Uint8Array {
  return Uint8Array.of(flight.packetId >> 8, flight.packetId & 0xff, flight.flow, flight.isDone ? 1 : 0)
}

export function decodeFlight(bytes: Uint8Array): FlightRecord {
  return { packetId: (bytes[0]! << 8) | bytes[1]!, flow: bytes[2]!, isDone: bytes[3] === 1 }
}
