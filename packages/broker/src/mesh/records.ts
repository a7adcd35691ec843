/**
 * Bodies of records: messages, Topic Filters, identifiers. `Mesh` encodes and decodes them; `frame.ts` knows nothing of
 * them.
 *
 * A message is kept as the PUBLISH packet of MQTT 5.0 that it would be on the wire, as in the store
 * (`message-records.ts`), behind flags and, at QoS 2, its identifier. Its time of expiry is by the clock of the sender,
 * whose time is in the head of the frame: `Decoded` has it by our own.
 */
import { ByteWriter, Decoder, PacketType, scanPublishProperties, TopicCache } from '@recado/protocol'
import { Message } from '../core/base/message.ts'
import type { ForwardId } from '../core/journal/forward.ts'
import { messageBytes, readTime, writeMessage } from '../core/journal/message-records.ts'
import {
  FrameError,
  RECORD_HEAD_BYTES,
  RecordType,
  readNumber,
  readUint32,
  recordOf,
  writeNumber,
  writeRecordHead,
} from './frame.ts'

const DISALLOWED = 1
const TAKEN = 2
const ID = 4
const ID_BYTES = 12
const TIME_BYTES = 8

/** Bytes of a block. */
const BLOCK_BYTES = 64 * 1024

/**
 * Writes messages as records, into blocks that many records share: an array for each would cost more than all the rest. A
 * block lives as long as one of its records.
 */
export class MessageRecords {
  #block: ByteWriter = new ByteWriter(0)

  /** Returns the record of a message. `id`: at QoS 2. */
  write(message: Message, id: ForwardId | null): Uint8Array {
    const writer = this.#room(RECORD_HEAD_BYTES + 1 + ID_BYTES + messageBytes(message))
    const start = writer.length
    writer.length += RECORD_HEAD_BYTES
    writer.byte(
      (message.hasDisallowedCodePoint ? DISALLOWED : 0) | (message.isTaken ? TAKEN : 0) | (id === null ? 0 : ID),
    )
    if (id !== null) writeId(writer, id)
    writeMessage(writer, message)
    const record = writer.bytes.subarray(start, writer.length)
    const type = message.qos === 0 ? RecordType.Once : RecordType.Publish
    writeRecordHead(record, type, record.length - RECORD_HEAD_BYTES)
    return record
  }

  /** Returns a writer with room for so many bytes. */
  #room(bytes: number): ByteWriter {
    const block = this.#block
    if (block.length + bytes <= block.bytes.length) return block
    // A large one has its own, and the block goes on.
    if (bytes > BLOCK_BYTES / 4) return new ByteWriter(bytes)
    this.#block = new ByteWriter(BLOCK_BYTES)
    return this.#block
  }
}

function writeId(writer: ByteWriter, { epoch, number }: ForwardId): void {
  writer.fourByteInteger(epoch)
  writeNumber(writer, number)
}

/** Returns a record about a message at QoS 2. */
export function idRecord(type: number, id: ForwardId): Uint8Array {
  const writer = new ByteWriter(ID_BYTES)
  writeId(writer, id)
  return recordOf(type, writer.bytes)
}

export function filterRecord(type: number, topicFilter: string): Uint8Array {
  return recordOf(type, new TextEncoder().encode(topicFilter))
}

export function numberRecord(type: number, value: number): Uint8Array {
  const writer = new ByteWriter(8)
  writeNumber(writer, value)
  return recordOf(type, writer.bytes)
}

export function filterOf(body: Uint8Array): string {
  return new TextDecoder().decode(body)
}

/** Identifier of a message, as another Core has given it. */
export interface ForeignId {
  readonly epoch: number
  readonly number: number
}

export function idOf(body: Uint8Array, at = 0): ForeignId {
  return { epoch: readUint32(body, at), number: readNumber(body, at + 4) }
}

/** Reads messages of one link. */
export class MessageReader {
  #decoder: Decoder = newDecoder()

  /**
   * @param behindMs milliseconds that our time is ahead of the sender's
   * @throws {FrameError} when it is no message
   */
  read(body: Uint8Array, behindMs: number): { message: Message; id: ForeignId | null } {
    const flags = body[0] ?? 0
    const id = (flags & ID) === 0 ? null : idOf(body, 1)
    const at = id === null ? 1 : 1 + ID_BYTES
    if (at + TIME_BYTES > body.length) throw new FrameError('a message is cut short')
    try {
      this.#decoder.push(body.subarray(at + TIME_BYTES))
      const packet = this.#decoder.read()
      if (packet?.type !== PacketType.PUBLISH) throw new FrameError('a record has no whole message')
      const message = Message.forwarded(packet, readTime(body, at) + behindMs)
      message.hasDisallowedCodePoint = (flags & DISALLOWED) !== 0
      message.isTaken = (flags & TAKEN) !== 0
      return { message, id }
    } catch (error) {
      this.#decoder = newDecoder()
      throw error
    }
  }
}

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
