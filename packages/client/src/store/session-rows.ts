/**
 * Encoding of a session in the rows of a `RowStore`. Called by `StoredSession` alone.
 *
 * A row is: version (1 byte), FNV-1a of the rest (4 bytes), contents. Keys are a kind and a number below 2^44:
 *
 *   Session   0           the Client Identifier
 *   Message   sequence    flow (1 byte), then the PUBLISH as MQTT 5.0 writes it; Packet Identifier 1 if it has none yet. With a
 *                         Message Expiry Interval 0x10 is added to the flow, and the date at which it is over follows it (8 bytes)
 *                         With `losses` 0x20 is added for each
 *   Flight    sequence    flow and losses (1 byte), Packet Identifier (2 bytes): newer than what the message's row says
 *   Received  packet id   fingerprint (4 bytes) of a QoS 2 message that the application has finished; earlier versions had none
 *   Damaged   key         a row that could not be read, unchanged, for an inspection by hand (all kinds from here on)
 *
 * Invariant: what `decodeRow` accepts was written by `encodeRow`; anything else is damage and never a message.
 */
import { ByteWriter, Decoder, PacketType, type Publish, writePublish } from '@recado/protocol'
import type { Storable } from './session-store.ts'

export const RowKind = { Session: 0, Message: 1, Flight: 2, Received: 3, Damaged: 15 } as const

const KIND_SPAN = 2 ** 44
const VERSION = 1
const HEAD_BYTES = 5
const NO_ID = 1
const HAS_EXPIRY = 0x10
const LOSSES_SHIFT = 5
const DATE_BYTES = 8

export function rowKey(kind: number, number: number): number {
  return kind * KIND_SPAN + number
}

export function kindOf(key: number): number {
  return Math.floor(key / KIND_SPAN)
}

export function numberOf(key: number): number {
  return key % KIND_SPAN
}

function fnv1a(bytes: Uint8Array, start: number, before = 0x811c9dc5): number {
  let hash = before
  for (let i = start; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash >>> 0
}

/** Fills in version and checksum. */
function sealed(row: Uint8Array): Uint8Array {
  row[0] = VERSION
  new DataView(row.buffer, row.byteOffset).setUint32(1, fnv1a(row, HEAD_BYTES))
  return row
}

/** Returns the contents of a row, or `null` if it is damaged. */
export function contentsOf(row: Uint8Array): Uint8Array | null {
  if (row.length < HEAD_BYTES || row[0] !== VERSION) return null
  const sum = new DataView(row.buffer, row.byteOffset).getUint32(1)
  return sum === fnv1a(row, HEAD_BYTES) ? row.subarray(HEAD_BYTES) : null
}

export function encodeClientId(clientId: string): Uint8Array {
  const text = new TextEncoder().encode(clientId)
  const row = new Uint8Array(HEAD_BYTES + text.length)
  row.set(text, HEAD_BYTES)
  return sealed(row)
}

export function decodeClientId(contents: Uint8Array): string {
  return new TextDecoder().decode(contents)
}

export function encodeReceived(fingerprint: number): Uint8Array {
  const row = new Uint8Array(HEAD_BYTES + 4)
  new DataView(row.buffer).setUint32(HEAD_BYTES, fingerprint)
  return sealed(row)
}

/** Returns the fingerprint; 0 when there is none. */
export function decodeReceived(contents: Uint8Array): number {
  return contents.length < 4 ? 0 : new DataView(contents.buffer, contents.byteOffset).getUint32(0)
}

/** Returns the fingerprint of topic and payload; never 0. */
export function fingerprintOf({ topic, payload }: Publish): number {
  return fnv1a(payload, 0, fnv1a(new TextEncoder().encode(topic), 0)) || 1
}

export function encodeFlight(message: Storable): Uint8Array {
  const { flow, packetId, losses } = message
  const row = new Uint8Array(HEAD_BYTES + 3)
  row[HEAD_BYTES] = flow | (losses << LOSSES_SHIFT)
  row[HEAD_BYTES + 1] = packetId >> 8
  row[HEAD_BYTES + 2] = packetId
  return sealed(row)
}

export function decodeFlight(contents: Uint8Array): { flow: number; losses: number; packetId: number } | null {
  const [first, high, low] = contents
  if (contents.length !== 3) return null
  const losses = first! >> LOSSES_SHIFT
  const flow = first! - (losses << LOSSES_SHIFT)
  return flow > 3 ? null : { flow, losses, packetId: (high! << 8) | low! }
}

/** Encodes a message. `expiresAt` is in milliseconds since 1970; Infinity for never. */
export function encodeMessage(message: Storable, expiresAt: number): Uint8Array {
  const { flow, losses, packetId, topicField, propertyField, payload, qos, retain } = message
  const hasExpiry = expiresAt !== Number.POSITIVE_INFINITY
  const size = HEAD_BYTES + 1 + DATE_BYTES + topicField.length + propertyField.length + payload.length + 8
  const writer = new ByteWriter(size)
  writer.bytes[HEAD_BYTES] = flow | (hasExpiry ? HAS_EXPIRY : 0) | (losses << LOSSES_SHIFT)
  writer.length = HEAD_BYTES + 1
  if (hasExpiry) {
    new DataView(writer.bytes.buffer, writer.bytes.byteOffset).setFloat64(writer.length, expiresAt)
    writer.length += DATE_BYTES
  }
  const id = flow === 0 ? NO_ID : packetId
  writePublish(writer, 5, topicField, qos, retain, false, id, propertyField, payload, 0, payload.length)
  return sealed(writer.bytes.slice(0, writer.length))
}

/** Decodes a message, or returns `null` for damage. `expiresAt` is as in `encodeMessage`. */
export function decodeMessage(
  contents: Uint8Array,
): { flow: number; losses: number; expiresAt: number; publish: Publish } | null {
  const first = contents[0]
  if (first === undefined) return null
  const losses = first >> LOSSES_SHIFT
  const hasExpiry = (first & HAS_EXPIRY) !== 0
  const flow = first - (losses << LOSSES_SHIFT) - (hasExpiry ? HAS_EXPIRY : 0)
  const start = hasExpiry ? 1 + DATE_BYTES : 1
  if (flow > 3 || contents.length < start) return null
  const view = new DataView(contents.buffer, contents.byteOffset)
  const expiresAt = hasExpiry ? view.getFloat64(1) : Number.POSITIVE_INFINITY
  const decoder = new Decoder({ role: 'server', protocolVersion: 5, isConnected: true })
  try {
    decoder.push(contents.subarray(start))
    const publish = decoder.read()
    return publish?.type === PacketType.PUBLISH && publish.qos > 0 ? { flow, losses, expiresAt, publish } : null
  } catch {
    // The checksum was right, so this row holds something else.
    return null
  }
}
