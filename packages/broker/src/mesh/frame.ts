/**
 * Frames between Cores, as bytes: a head, and records one after the other.
 *
 * `Link` writes and reads them. The head says from which Core and epoch to which, how far the other direction has come,
 * and the number of the first numbered record; the others follow without gaps. Every number is big endian.
 *
 *     version 1 · flags 1 · from 2 · to 2 · epoch of from 4 · epoch of to 4 · time 8 · received 8 · safe 8 · first 8
 *     then records: type 1 · length 4 · body
 *
 * `version` is raised when a frame or a record gets another meaning; a frame of another version is refused. Invariant:
 * what `readFrame` returns lies within the bytes that it was given; anything else throws `FrameError`.
 */
import type { ByteWriter } from '@recado/protocol'

export const FRAME_VERSION = 1
export const HEAD_BYTES = 46
export const RECORD_HEAD_BYTES = 5

/** Flag: records have been lost, send all again that have not been received. */
export const RESEND = 1
/** Flag: say how far you have come. */
export const ASK = 2
const KNOWN_FLAGS = RESEND | ASK

/** Types of records. Those from `Once` on have no number: what is lost of them is not sent again. */
export const RecordType = {
  /** All Topic Filters of the Core follow, and the identifiers that it may use again. */
  SnapshotBegin: 1,
  SnapshotEnd: 2,
  FilterAdded: 3,
  FilterRemoved: 4,
  /** An Application Message at QoS 1 or 2. */
  Publish: 5,
  /** A message at QoS 2 never comes again. */
  Released: 6,
  /** Within a snapshot: a message at QoS 2 that may come again. */
  Unreleased: 7,
  /** A record of the other direction could not be given to all who should have it. */
  Failed: 8,
  /** A connection that has been accepted here, for a client that is at home there. */
  TunnelOpen: 9,
  /** Bytes of such a client, its end, and bytes to it that it has taken. */
  TunnelIn: 10,
  TunnelInEnd: 11,
  TunnelOutCredit: 12,
  /** Bytes to such a client, the end that home makes, and bytes of the client that home has taken. */
  TunnelOut: 13,
  TunnelOutEnd: 14,
  TunnelInCredit: 15,
  /** An Application Message at QoS 0. */
  Once: 0x80,
} as const

export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** Head of a frame. */
export interface FrameHead {
  flags: number
  from: number
  to: number
  /** Epoch of the Core that sends it. */
  fromEpoch: number
  /** Epoch of the Core that it is for, as the sender knows it; 0: it does not know it. */
  toEpoch: number
  /** Time of the sender, milliseconds since the Unix epoch. */
  nowMs: number
  /** Number of the last record of the other direction that has been received, and of the last that is safe. */
  received: number
  safe: number
  /** Number of the first numbered record of this frame. */
  first: number
}

export interface FrameRecord {
  readonly type: number
  /** Body, a view of the frame. */
  readonly body: Uint8Array
}

export interface Frame {
  readonly head: FrameHead
  readonly records: readonly FrameRecord[]
}

export function writeHead(writer: ByteWriter, head: FrameHead): void {
  writer.byte(FRAME_VERSION)
  writer.byte(head.flags)
  writer.twoByteInteger(head.from)
  writer.twoByteInteger(head.to)
  writer.fourByteInteger(head.fromEpoch)
  writer.fourByteInteger(head.toEpoch)
  writeNumber(writer, Math.floor(head.nowMs))
  writeNumber(writer, head.received)
  writeNumber(writer, head.safe)
  writeNumber(writer, head.first)
}

/** Writes a whole number up to 2^53 - 1 in eight bytes. */
export function writeNumber(writer: ByteWriter, value: number): void {
  writer.fourByteInteger(Math.floor(value / 0x1_0000_0000))
  writer.fourByteInteger(value % 0x1_0000_0000)
}

export function readNumber(bytes: Uint8Array, at: number): number {
  if (at + 8 > bytes.length) throw new FrameError('a number is cut short')
  const value = readUint32(bytes, at) * 0x1_0000_0000 + readUint32(bytes, at + 4)
  if (!Number.isSafeInteger(value)) throw new FrameError(`a number is too large: ${value}`)
  return value
}

export function readUint32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new FrameError('a number is cut short')
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** Returns a record as it stands in a frame. */
export function recordOf(type: number, body: Uint8Array): Uint8Array {
  const record = new Uint8Array(RECORD_HEAD_BYTES + body.length)
  writeRecordHead(record, type, body.length)
  record.set(body, RECORD_HEAD_BYTES)
  return record
}

export function writeRecordHead(record: Uint8Array, type: number, length: number): void {
  record[0] = type
  record[1] = length >>> 24
  record[2] = length >>> 16
  record[3] = length >>> 8
  record[4] = length
}

/** @throws {FrameError} when it is cut short, of an unknown version, or says what no frame says */
export function readFrame(bytes: Uint8Array): Frame {
  if (bytes.length < HEAD_BYTES) throw new FrameError(`a frame of ${bytes.length} bytes is cut short`)
  const version = bytes[0]!
  if (version !== FRAME_VERSION)
    throw new FrameError(`frames of version ${version} are not understood, only those of ${FRAME_VERSION}`)
  const head: FrameHead = {
    flags: bytes[1]! & KNOWN_FLAGS,
    from: readUint16(bytes, 2),
    to: readUint16(bytes, 4),
    fromEpoch: readUint32(bytes, 6),
    toEpoch: readUint32(bytes, 10),
    nowMs: readNumber(bytes, 14),
    received: readNumber(bytes, 22),
    safe: readNumber(bytes, 30),
    first: readNumber(bytes, 38),
  }
  if (head.safe > head.received) throw new FrameError(`record ${head.safe} is safe, and ${head.received} has come`)
  const records: FrameRecord[] = []
  for (let at = HEAD_BYTES; at < bytes.length; ) {
    if (at + RECORD_HEAD_BYTES > bytes.length) throw new FrameError('a record is cut short')
    const end = at + RECORD_HEAD_BYTES + readUint32(bytes, at + 1)
    if (end > bytes.length) throw new FrameError('a record is longer than its frame')
    records.push({ type: bytes[at]!, body: bytes.subarray(at + RECORD_HEAD_BYTES, end) })
    at = end
  }
  return { head, records }
}
