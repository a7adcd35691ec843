/**
 * Decodes bytes to packets. This is the only place where the form of received packets is judged.
 *
 * Owned by a connection, of the broker (role 'server') or of a client (role 'client'). Chunks go in by `push`, packets
 * come out of `read`. A packet that lies whole in a chunk is decoded where it lies. One that is split over chunks is
 * put together once, in a buffer that grows as bytes arrive, and not by the length that a header merely announces; only
 * a connection that has sent a packet of that size before is trusted. A transport that can read into given memory reads
 * the rest of a large packet straight into that buffer (`nextRead`), and what follows it, which is decoded there.
 *
 * Invariants: a packet that `read` returns keeps every rule of its protocol version that can be judged from the packet,
 * its direction and "CONNECT comes first, once". The session judges the rest (Topic Alias Maximum, Receive Maximum,
 * unknown Packet Identifiers, Topic Filters). Only `ProtocolError` is thrown, whatever the bytes are, and after that
 * the decoder throws the same error again.
 *
 * The work for one type of packet is in `packet-bodies.ts` and `server-packets.ts`; PUBLISH and plain acknowledgements,
 * the hot path, are here.
 *
 * Sources: MQTT 5.0 chapters 2, 3 and section 4.13, MQTT 3.1.1 chapters 2 and 3, MQTT 3.1 sections 2 and 3.
 */
import { copy, decodeUtf8 } from './bytes.ts'
import { Cursor, couldBeTopicName, malformed, protocolError } from './cursor.ts'
import { ProtocolError } from './errors.ts'
import { acceptedHeaders, refuseHeader } from './fixed-headers.ts'
import { readPacketBody } from './packet-bodies.ts'
import { type PacketBuffer, type PacketBuffers, unpooledBuffers } from './packet-buffers.ts'
import {
  type Packet,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  packetTypeName,
  type QoS,
} from './packets.ts'
import { NO_PROPERTIES, type Properties } from './properties.ts'
import type { RawProperties, scanPublishProperties } from './raw-properties.ts'
import { ReasonCode } from './reason-codes.ts'
import { readConnect } from './server-packets.ts'
import { CACHED_TOPIC_BYTES_MAX, type TopicCache } from './topic-cache.ts'

export interface DecoderOptions {
  /** Role of the reader: 'server' reads packets of clients, 'client' packets of servers. */
  role: 'server' | 'client'
  /**
   * Protocol version. A client gives that of its CONNECT. A server's decoder learns it from the CONNECT, and uses this
   * value until then (default 4).
   */
  protocolVersion?: ProtocolVersion
  /** Whether the bytes begin after CONNECT and CONNACK, as those of stored packets do. Default false. */
  isConnected?: boolean
  /**
   * Largest packet in bytes, fixed header included. Default and upper limit: 268,435,460, the largest that MQTT allows.
   */
  maximumPacketSize?: number
  /** Largest packet that is not a PUBLISH, in bytes. Default: `maximumPacketSize`. */
  controlPacketSize?: number
  /**
   * Whether to refuse strings with disallowed code points (see `hasDisallowedCodePoint`), except in Client Identifier
   * and User Name. Decoders that share a topic cache must have the same value. Default false.
   */
  refuseDisallowedCodePoints?: boolean
  /** Most bytes of properties in one packet. Default: `maximumPacketSize`. */
  propertySize?: number
  /** Most Topic Filters in one SUBSCRIBE or UNSUBSCRIBE; more are refused with Quota Exceeded. Default: no limit. */
  topicFiltersMax?: number
  /**
   * Topic cache, shared by all connections. Without a cache every Topic Name is decoded anew and `topicField` is null.
   */
  topicCache?: TopicCache
  /**
   * Function that leaves the properties of a PUBLISH bytes where they can stay so (see `Publish.rawProperties`):
   * `scanPublishProperties`. Default: they are decoded. A client does not need it, and has not got its code.
   */
  scanProperties?: typeof scanPublishProperties
  /** Buffers for large packets that arrive in pieces. Default: arrays that the garbage collector frees. */
  buffers?: PacketBuffers
}

/** Five bytes of fixed header and 268,435,455 bytes of Remaining Length. */
const PACKET_SIZE_MAX = 268_435_460
/** First size in bytes of the buffer for a split packet. It grows only as the bytes arrive. */
const FIRST_BUFFER_BYTES = 65_536
/** Size of the buffer for a split packet, as a multiple of the bytes that have arrived. */
const GROWTH = 4
/** Size in bytes from which a split packet is put together in one of `DecoderOptions.buffers`. */
const LARGE_BYTES = 8_192
/** Fewer bytes are not worth a read of their own. */
const NEXT_READ_BYTES_MIN = 4_096
const NO_BYTES: Uint8Array = new Uint8Array(0)

export class Decoder {
  /** Largest packet in bytes; a larger one is refused with Packet Too Large when its fixed header is known. */
  maximumPacketSize: number
  /** Largest packet that is not a PUBLISH, in bytes. */
  controlPacketSize: number
  readonly #role: 'server' | 'client'
  readonly #topicCache: TopicCache | null
  readonly #cursor: Cursor
  readonly #strict: boolean
  /** Most bytes of properties that stay bytes; -1: none do. */
  readonly #rawPropertyBytesMax: number
  readonly #scanProperties: typeof scanPublishProperties | null
  #version: ProtocolVersion
  /** Whether CONNECT (server) or CONNACK (client) has been read. */
  #connected: boolean
  /** Table with 256 entries: 1 for each first byte that is allowed in the present state. */
  #headers: Uint8Array
  #failure: unknown

  /** Chunk that is being read; its unread part is `#chunk[#position .. #end)`. */
  #chunk: Uint8Array
  #position: number
  #end: number
  /** Whether `#chunk` is memory of this decoder: a copy that it made, or `#buffer`. */
  #chunkKept: boolean
  /** Buffer that `#chunk` is, from its first byte to its last; null when `#chunk` is borrowed or a copy. */
  #buffer: PacketBuffer | null
  /** Whether a packet that begins at `#position` of `#buffer` is incomplete. */
  #isGathering: boolean
  /** Whether a transport may be reading into `#buffer`. */
  #isExposed: boolean
  /** Size in bytes of the largest split packet that has come as a whole. */
  #largestBytes: number
  /** Chunks after `#chunk`; the first `#waitingKept` of them are copies that this decoder made. */
  #waiting: Uint8Array[]
  #waitingKept: number
  #waitingBytes: number
  /** Number of bytes of `#waiting[0]` that have been copied to `#buffer`. */
  #waitingStart: number
  readonly #buffers: PacketBuffers

  /** Beginning of an incomplete small packet, `#partial[0 .. #partialLength)`; null when there is none. */
  #partial: Uint8Array | null
  #partialLength: number
  /** Size in bytes of the incomplete packet; 0 while its fixed header is incomplete. */
  #partialSize: number
  /** Type of the packet in which `read` found an error; 0 before that, or when its first byte is 0. */
  failedType: number

  constructor(options: DecoderOptions) {
    this.maximumPacketSize = options.maximumPacketSize ?? PACKET_SIZE_MAX
    this.#role = options.role
    this.#topicCache = options.topicCache ?? null
    this.controlPacketSize = options.controlPacketSize ?? PACKET_SIZE_MAX
    this.#strict = options.refuseDisallowedCodePoints ?? false
    this.#rawPropertyBytesMax = options.propertySize ?? PACKET_SIZE_MAX
    this.#scanProperties = options.scanProperties ?? null
    this.#cursor = new Cursor(options.propertySize ?? PACKET_SIZE_MAX, this.#strict, options.topicFiltersMax)
    this.#version = options.protocolVersion ?? 4
    this.#connected = options.isConnected ?? false
    this.#headers = acceptedHeaders(this.#role, this.#version, this.#connected)
    this.#failure = null
    this.#chunk = NO_BYTES
    this.#position = 0
    this.#end = 0
    this.#chunkKept = true
    this.#buffer = null
    this.#isGathering = false
    this.#isExposed = false
    this.#largestBytes = 0
    this.#waiting = []
    this.#waitingKept = 0
    this.#waitingBytes = 0
    this.#waitingStart = 0
    this.#buffers = options.buffers ?? unpooledBuffers
    this.#partial = null
    this.#partialLength = 0
    this.#partialSize = 0
    this.failedType = 0
  }

  /**
   * Protocol version. A server's decoder sets it as soon as it has read the protocol level of a CONNECT, so that an
   * error in the rest of that CONNECT can be answered in the right version. A client's decoder is given it.
   */
  get protocolVersion(): ProtocolVersion {
    return this.#version
  }

  set protocolVersion(version: ProtocolVersion) {
    this.#version = version
    this.#headers = acceptedHeaders(this.#role, version, this.#connected)
  }

  /** Number of bytes that were pushed and have not been read as part of a packet. */
  get bufferedBytes(): number {
    return this.#end - this.#position + this.#waitingBytes + this.#partialLength
  }

  /** Number of bytes of memory held for an incomplete packet. */
  get unfinishedBytes(): number {
    return (this.#partial === null ? 0 : this.#partial.length) + (this.#isGathering ? this.#chunk.length : 0)
  }

  /**
   * Memory that the next bytes of the connection may be read into, behind those that are there: the chunk that is
   * pushed then is the beginning of it. null: there is none, or so little that it is no use. It stays valid until the
   * next `push`; who has got it reads to no other place of it.
   */
  get nextRead(): Uint8Array | null {
    if (!this.#isGathering || this.#waiting.length > 0 || this.#chunk.length - this.#end < NEXT_READ_BYTES_MIN)
      return null
    this.#isExposed = true
    return this.#chunk.subarray(this.#end)
  }

  /** Releases all memory: nothing more will be read. */
  discard(): void {
    this.#drop()
  }

  /**
   * Takes the next bytes of the connection. They are borrowed: they must not change until `read` has returned null or
   * `keep` was called.
   */
  push(chunk: Uint8Array): void {
    if (this.#failure !== null) return
    if (this.#isExposed && this.#isNext(chunk)) {
      this.#end += chunk.length
      return
    }
    if (this.#position === this.#end && this.#waiting.length === 0) {
      if (this.#buffer !== null) this.#letGo()
      this.#chunk = chunk
      this.#position = 0
      this.#end = chunk.length
      this.#chunkKept = false
    } else if (chunk.length > 0) {
      this.#waiting.push(chunk)
      this.#waitingBytes += chunk.length
    }
  }

  /** Copies the bytes that were pushed and not read, so that the owner of the chunks may reuse them. */
  keep(): void {
    if (!this.#chunkKept) {
      this.#chunk = copyOf(this.#chunk, this.#position, this.#end)
      this.#end -= this.#position
      this.#position = 0
      this.#chunkKept = true
    }
    for (; this.#waitingKept < this.#waiting.length; this.#waitingKept++) {
      const chunk = this.#waiting[this.#waitingKept]!
      this.#waiting[this.#waitingKept] = copyOf(chunk, 0, chunk.length)
    }
  }

  /**
   * Returns the next packet, or null if it is incomplete; its bytes have then been copied. A PUBLISH whose `holder` is
   * not null lies in that buffer, which this decoder holds at least until the next call.
   *
   * @throws {ProtocolError} with the Reason Code to end the connection with; after that every call throws the same
   * error. An unknown protocol name or level is an `UnsupportedProtocolVersionError`.
   */
  read(): Packet | null {
    if (this.#failure !== null) throw this.#failure
    try {
      for (;;) {
        if (this.#partial !== null) {
          if (!this.#fillPartial()) return null
          const bytes = this.#partial
          // TypeScript believes that it is still there.
          if ((bytes as Uint8Array | null) === null) continue
          const packet = this.#decode(bytes, 0, this.#partialSize)
          this.#partial = null
          this.#partialLength = 0
          return packet
        }
        const bytes = this.#chunk
        const start = this.#position
        const end = this.#end
        if (start === end) {
          if (!this.#nextChunk()) return null
          continue
        }
        if (this.#headers[bytes[start]!] === 0) throw this.#refuse(bytes[start]!)
        const size = packetSize(bytes, start, end)
        if (size > this.maximumPacketSize) throw this.#tooLarge(size)
        if (size > this.controlPacketSize) this.#mustBePublish(bytes[start]!, size)
        if (size === 0 || size > end - start) {
          if (size < LARGE_BYTES) this.#startPartial(bytes, start, end, size)
          else if (!this.#gather(size)) return null
          continue
        }
        const packet = this.#decode(bytes, start, start + size)
        this.#position = start + size
        if (this.#isGathering) {
          this.#isGathering = false
          if (size > this.#largestBytes) this.#largestBytes = size
        }
        return packet
      }
    } catch (error) {
      this.#failure = error
      this.failedType = ((this.#partial === null ? this.#chunk[this.#position] : this.#partial[0]) ?? 0) >> 4
      this.#drop()
      throw error
    }
  }

  // --- chunks ---------------------------------------------------------------------------------------------------------

  #drop(): void {
    if (this.#buffer !== null) {
      // A transport may go on reading into it, to see the other side's end.
      if (this.#isExposed) this.#buffer.keep()
      this.#letGo()
    }
    this.#chunk = NO_BYTES
    this.#position = 0
    this.#end = 0
    this.#chunkKept = true
    this.#waiting = []
    this.#waitingKept = 0
    this.#waitingBytes = 0
    this.#waitingStart = 0
    this.#partial = null
    this.#partialLength = 0
    this.#partialSize = 0
  }

  /** Lets go of the buffer, whose packets have been read. */
  #letGo(): void {
    this.#buffer!.release()
    this.#buffer = null
    this.#isGathering = false
    this.#isExposed = false
  }

  /** Whether the chunk lies in `#buffer`, behind the bytes that are there. */
  #isNext(chunk: Uint8Array): boolean {
    const own = this.#chunk
    return chunk.buffer === own.buffer && chunk.byteOffset === own.byteOffset + this.#end
  }

  #nextChunk(): boolean {
    // A chunk that was read to its end is released: an idle connection holds no chunk.
    if (this.#buffer !== null) this.#letGo()
    if (this.#waiting.length === 0) {
      this.#chunk = NO_BYTES
      this.#position = 0
      this.#end = 0
      this.#chunkKept = true
      return false
    }
    // shift() is linear, but only a paused connection has chunks waiting here, and few: its peer was paused too.
    const chunk = this.#waiting.shift()!
    this.#waitingBytes -= chunk.length - this.#waitingStart
    this.#chunk = chunk
    this.#position = this.#waitingStart
    this.#waitingStart = 0
    this.#end = chunk.length
    this.#chunkKept = this.#waitingKept > 0
    if (this.#waitingKept > 0) this.#waitingKept--
    return true
  }

  /** Adds bytes to the large packet that begins at `#position`; returns true when it is complete. */
  #gather(size: number): boolean {
    if (size > PACKET_SIZE_MAX) throw this.#tooLarge(size)
    for (;;) {
      const missing = size - (this.#end - this.#position)
      if (missing <= 0) return true
      const room = this.#buffer === null ? 0 : this.#chunk.length - this.#end
      // One that does not fit behind others is moved while there is little of it.
      if (room === 0 || (room < missing && this.#position > 0)) {
        this.#move(size)
        continue
      }
      this.#isGathering = true
      if (this.#waiting.length === 0) return false
      const next = this.#waiting[0]!
      const count = Math.min(missing, room, next.length - this.#waitingStart)
      copy(next, this.#waitingStart, this.#chunk, this.#end, count)
      this.#end += count
      this.#waitingBytes -= count
      this.#waitingStart += count
      if (this.#waitingStart < next.length) continue
      this.#waiting.shift()
      this.#waitingStart = 0
      if (this.#waitingKept > 0) this.#waitingKept--
    }
  }

  /** Moves the incomplete packet of so many bytes to a buffer where more of it has room. */
  #move(size: number): void {
    const have = this.#end - this.#position
    const arrived = Math.max(FIRST_BUFFER_BYTES, GROWTH * have)
    const room = Math.min(size, Math.max(arrived, this.#largestBytes))
    const buffer = this.#buffers.take(Math.max(room, Math.min(arrived, this.#buffers.readAheadBytes)))
    copy(this.#chunk, this.#position, buffer.bytes, 0, have)
    if (this.#buffer !== null) this.#letGo()
    this.#buffer = buffer
    this.#chunk = buffer.bytes
    this.#chunkKept = true
    this.#position = 0
    this.#end = have
  }

  #startPartial(bytes: Uint8Array, start: number, end: number, size: number): void {
    const have = end - start
    const partial = new Uint8Array(size === 0 ? 5 : size)
    copy(bytes, start, partial, 0, have)
    this.#partial = partial
    this.#partialLength = have
    this.#partialSize = size
    this.#position = end
  }

  /** Adds bytes to `#partial`; returns true when its packet is complete, or has turned out to be large. */
  #fillPartial(): boolean {
    for (;;) {
      if (this.#position === this.#end && !this.#nextChunk()) return false
      const partial = this.#partial!
      if (this.#partialSize === 0) {
        // Copies one byte at a time: the header ends where its length says, not where the chunk does.
        partial[this.#partialLength++] = this.#chunk[this.#position++]!
        const size = packetSize(partial, 0, this.#partialLength)
        if (size > this.maximumPacketSize) throw this.#tooLarge(size)
        if (size > this.controlPacketSize) this.#mustBePublish(partial[0]!, size)
        if (size === 0) continue
        if (size > PACKET_SIZE_MAX) throw this.#tooLarge(size)
        if (size >= LARGE_BYTES) {
          this.#unread(partial)
          return true
        }
        this.#partialSize = size
        if (size > partial.length) {
          const whole = new Uint8Array(size)
          copy(partial, 0, whole, 0, this.#partialLength)
          this.#partial = whole
        }
      }
      const have = this.#partialLength
      const wanted = Math.min(this.#partialSize - have, this.#end - this.#position)
      copy(this.#chunk, this.#position, this.#partial!, have, wanted)
      this.#partialLength = have + wanted
      this.#position += wanted
      if (this.#partialLength === this.#partialSize) return true
    }
  }

  /** Puts the header of a large packet, which came in pieces, back in front of the rest of its chunk. */
  #unread(header: Uint8Array): void {
    const rest = this.#end - this.#position
    if (rest > 0) {
      this.#waiting.unshift(this.#chunk)
      this.#waitingStart = this.#position
      this.#waitingBytes += rest
      if (this.#chunkKept) this.#waitingKept++
    }
    this.#chunk = header
    this.#position = 0
    this.#end = this.#partialLength
    this.#chunkKept = true
    this.#partial = null
    this.#partialLength = 0
  }

  // --- packets --------------------------------------------------------------------------------------------------------

  /** Decodes the packet `bytes[start .. end)`, whose first byte and size have been checked. */
  #decode(bytes: Uint8Array, start: number, end: number): Packet {
    const first = bytes[start]!
    let p = start + 2
    if (bytes[start + 1]! > 0x7f) {
      while (bytes[p++]! > 0x7f);
      // The last byte adds nothing: MQTT 5.0 requires the shortest form, 3.1.1 and 3.1 do not. [MQTT-1.5.5-1] (A
      // CONNECT carries its version itself: readConnect checks this.)
      if (bytes[p - 1] === 0 && this.#version === 5 && first >> 4 !== 1)
        throw malformed('Remaining Length takes more bytes than it needs')
    }
    const type = first >> 4
    if (type === 3) return this.#decodePublish(bytes, first, p, end)
    if (type >= 4 && type <= 7 && end - p === 2) {
      const packetId = (bytes[p]! << 8) | bytes[p + 1]!
      if (packetId === 0) throw protocolError('Packet Identifier is 0') // [MQTT-2.2.1-3]
      switch (type) {
        case 4:
          return new Puback(packetId)
        case 5:
          return new Pubrec(packetId)
        case 6:
          return new Pubrel(packetId)
        default:
          return new Pubcomp(packetId)
      }
    }
    const cursor = this.#cursor
    cursor.bytes = bytes
    cursor.position = p
    cursor.end = end
    if (type === 1) {
      const packet = readConnect(cursor, first, this)
      this.#become()
      cursor.bytes = NO_BYTES
      return packet
    }
    const packet = readPacketBody(cursor, type, this.#version, this.#role)
    cursor.bytes = NO_BYTES
    if (type === 2) this.#become()
    return packet
  }

  #become(): void {
    this.#connected = true
    this.#headers = acceptedHeaders(this.#role, this.#version, true)
  }

  #decodePublish(bytes: Uint8Array, first: number, start: number, end: number): Publish {
    if (start + 2 > end) throw malformed('Topic Name is missing') // [MQTT-3.3.2-1]
    const topicLength = (bytes[start]! << 8) | bytes[start + 1]!
    let p = start + 2 + topicLength
    if (p > end) throw malformed('Topic Name is cut short')
    let topic = ''
    let topicField: Uint8Array | null = null
    const cache = this.#topicCache
    if (cache !== null && topicLength <= CACHED_TOPIC_BYTES_MAX && topicLength !== 0) {
      const known = cache.find(bytes, start, p)
      if (known !== null) {
        topic = known.topic
        topicField = known.topicField
      } else {
        topic = decodeTopicName(bytes, start + 2, p, this.#strict)
        topicField = cache.add(topic, bytes, start, p)
      }
    } else if (topicLength !== 0) topic = decodeTopicName(bytes, start + 2, p, this.#strict)
    const qos = ((first >> 1) & 3) as QoS
    let packetId = 0
    // [MQTT-2.2.1-2] [MQTT-3.1.1:2.3.1-1]
    if (qos !== 0) {
      if (p + 2 > end) throw malformed('Packet Identifier is cut short')
      packetId = (bytes[p]! << 8) | bytes[p + 1]!
      if (packetId === 0) throw protocolError('Packet Identifier is 0') // [MQTT-2.2.1-3]
      p += 2
    }
    let properties: Properties = NO_PROPERTIES
    let raw: RawProperties | null = null
    if (this.#version === 5) {
      if (p < end && bytes[p] === 0) p++
      else {
        const scan = this.#scanProperties
        if (scan !== null) raw = scan(bytes, p, end, this.#rawPropertyBytesMax, this.#strict)
        if (raw === null) {
          properties = this.#publishProperties(bytes, p, end)
          p = this.#cursor.position
        } else p += raw.fieldBytes
      }
    }
    // 3.3.2.1: "It is a Protocol Error if the Topic Name is zero length and there is no Topic Alias." [MQTT-4.7.3-1]
    if (topicLength === 0 && properties.topicAlias === undefined && (raw === null || raw.topicAlias === 0))
      throw protocolError('the Topic Name is empty and there is no Topic Alias')
    const publish = new Publish(
      topic,
      qos,
      (first & 1) === 1,
      // At QoS 0 DUP means nothing; only 3.1 allows it there.
      (first & 8) === 8 && qos !== 0,
      packetId,
      properties,
      topicField,
      bytes,
      p,
      end,
      raw,
    )
    if (this.#buffer !== null) publish.holder = this.#buffer
    return publish
  }

  /** Decodes the properties of a PUBLISH at `start`; the cursor's position is behind them then. */
  #publishProperties(bytes: Uint8Array, start: number, end: number): Properties {
    const cursor = this.#cursor
    cursor.bytes = bytes
    cursor.position = start
    cursor.end = end
    const properties = cursor.properties(3)
    cursor.bytes = NO_BYTES
    // Only a server may tell which subscription matched. [MQTT-3.3.4-6]
    if (properties.subscriptionIdentifiers !== undefined && this.#role === 'server')
      throw protocolError('a client may not send a Subscription Identifier in PUBLISH')
    return properties
  }

  #refuse(first: number): ProtocolError {
    return refuseHeader(first, this.#role, this.#version, this.#connected)
  }

  /**
   * Throws Packet Too Large for a packet other than PUBLISH above its own limit: filters, Reason Codes and properties
   * become objects many times their size on the wire, while a payload stays as it is.
   */
  #mustBePublish(first: number, size: number): void {
    if (first >> 4 === 3 || size > PACKET_SIZE_MAX) return
    throw new ProtocolError(
      ReasonCode.PacketTooLarge,
      `a ${packetTypeName(first >> 4)} has ${size} bytes; at most ${this.controlPacketSize} are allowed`,
    )
  }

  #tooLarge(size: number): ProtocolError {
    if (size > PACKET_SIZE_MAX) return malformed('Remaining Length is longer than 4 bytes')
    return new ProtocolError(
      ReasonCode.PacketTooLarge, // [MQTT-3.1.2-24] [MQTT-3.2.2-15]
      `a packet has ${size} bytes; at most ${this.maximumPacketSize} are allowed`,
    )
  }
}

/**
 * Size in bytes of the packet that begins at `start`, fixed header included. 0 while its Remaining Length is
 * incomplete; more than any limit if the length never ends.
 */
function packetSize(bytes: Uint8Array, start: number, end: number): number {
  let p = start + 1
  if (p >= end) return 0
  let b = bytes[p++]!
  if (b < 0x80) return b + 2
  let length = b & 0x7f
  for (let shift = 7; shift <= 21; shift += 7) {
    if (p >= end) return 0
    b = bytes[p++]!
    length |= (b & 0x7f) << shift
    if (b < 0x80) return p - start + length
  }
  return Number.POSITIVE_INFINITY
}

function decodeTopicName(bytes: Uint8Array, start: number, end: number, strict: boolean): string {
  const topic = decodeUtf8(bytes, start, end, strict)
  // [MQTT-3.3.2-2]
  if (!couldBeTopicName(topic)) throw new ProtocolError(ReasonCode.TopicNameInvalid, 'a Topic Name has a wildcard')
  return topic
}

function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const target = new Uint8Array(end - start)
  copy(bytes, start, target, 0, end - start)
  return target
}
