/**
 * The outbox of one connection: packets that it has not yet handed to its transport.
 *
 * Packets are written one behind the other into a slab that is borrowed from the broker's pool for the turn, so an idle
 * connection holds no buffer. Large payloads go by reference, and the buffers that they lie in are held until they have
 * been sent. `flush` hands everything over in one write.
 *
 * Invariant: at most one write is held by the transport; while it is, packets gather here. `waitingBytes` counts both.
 * `outputBytesMax` limits it less the largest packet of the write that is held, so that a large message on its way to
 * the client does not keep out what comes behind it. The session calls `makeRoom` before it sends.
 */
import {
  ByteWriter,
  type PacketBuffer,
  type PacketBuffers,
  PacketType,
  type ProtocolVersion,
  type QoS,
  type ReasonCode,
  writeAck,
  writePublish,
  writePublishHead,
} from '@recado/protocol'
import type { Transport } from '../../ports.ts'
import type { Limits } from '../base/limits.ts'
import type { Message } from '../base/message.ts'
import type { Metrics } from '../base/metrics.ts'
import { Traffic } from './traffic.ts'

/** Payloads from this size on are not copied into the slab. */
const BY_REFERENCE_BYTES = 8 * 1024
/** A slab that has reached this size is handed over in mid-turn. */
const FLUSH_BYTES = 256 * 1024
const SLAB_BYTES = [1024, 4096, 16_384, 65_536, 262_144] as const
/** Slabs kept for reuse, of each size. */
const SLABS_KEPT = [1024, 512, 256, 128, 32] as const
/** Fixed header, packet id and Property Length of a PUBLISH, at most. */
const HEAD_BYTES = 16
const PINGRESP_BYTES = 2
const ACK_BYTES = 4
const NO_BYTES: Uint8Array = new Uint8Array(0)
/** Bytes that may wait for a slow reader however many there are. */
const OUTPUT_BYTES_MIN = 16 * 1024

/** Free slabs of all connections of a broker. */
export class SlabPool {
  readonly #free: ByteWriter[][] = SLAB_BYTES.map(() => [])

  take(bytes: number): ByteWriter {
    let size = 0
    while (size < SLAB_BYTES.length && SLAB_BYTES[size]! < bytes) size++
    if (size === SLAB_BYTES.length) return new ByteWriter(bytes)
    return this.#free[size]!.pop() ?? new ByteWriter(SLAB_BYTES[size]!)
  }

  give(slab: ByteWriter): void {
    const size = (SLAB_BYTES as readonly number[]).indexOf(slab.bytes.length)
    if (size < 0 || this.#free[size]!.length >= SLABS_KEPT[size]!) return
    slab.length = 0
    this.#free[size]!.push(slab)
  }
}

/** Memory that pieces lie in. */
type Lent = ByteWriter | PacketBuffer

/** The outbox holds the counts of its connection itself: for each message there is one object less to touch. */
export class Outbox extends Traffic {
  readonly #transport: Transport
  readonly #pool: SlabPool
  readonly #buffers: PacketBuffers
  readonly #metrics: Metrics
  readonly #onFirst: () => void
  #slab: ByteWriter | null = null
  /** End of the part of the slab that is a piece already. */
  #slabStart = 0
  /** Finished pieces before the rest of the slab. */
  #pieces: Uint8Array[] | null = null
  /** Slabs and buffers that the pieces lie in, but for the present slab; null: none. */
  #lent: Lent[] | null = null
  /** Slabs and buffers of the write that the transport holds. */
  #heldLent: Lent[] | null = null
  #pieceBytes = 0
  /** Bytes of the last flush: the size of the next slab. */
  #usualBytes = 0
  /** Bytes in `Metrics.outputBytes` that are this reader's; 0 unless it is blocked. */
  #noted = 0
  /** Size of the largest packet since the last flush, and in the write that the transport holds; 0: none is large. */
  #largestBytes = 0
  #heldLargestBytes = 0
  /** The transport holds a write of ours and will call `handleDrain`. */
  isBlocked = false

  /** `onFirst` is called when there is something to flush and was not before. */
  constructor(transport: Transport, pool: SlabPool, buffers: PacketBuffers, metrics: Metrics, onFirst: () => void) {
    super()
    this.#transport = transport
    this.#pool = pool
    this.#buffers = buffers
    this.#metrics = metrics
    this.#onFirst = onFirst
  }

  /** Bytes here and in the transport that have not left the process. */
  get waitingBytes(): number {
    return (
      this.#pieceBytes +
      (this.#slab === null ? 0 : this.#slab.length - this.#slabStart) +
      (this.isBlocked ? this.#transport.bufferedBytes : 0)
    )
  }

  /** Bytes that wait behind the largest packet of the write that the transport holds. */
  #behind(waiting: number): number {
    return this.isBlocked ? waiting - Math.min(this.#heldLargestBytes, this.#transport.bufferedBytes) : waiting
  }

  /** Whether the client reads too slowly, and more waits for it than allowed. */
  isCongested(limits: Limits): boolean {
    return this.isBlocked && this.#behind(this.waitingBytes) > this.#bytesMax(limits)
  }

  /**
   * Makes room for one more packet, if writing the packets of this turn is enough, which tells nothing about the
   * client's speed. Returns false when more waits for this reader than allowed.
   */
  makeRoom(limits: Limits): boolean {
    const waiting = this.waitingBytes
    // Most often: without a division.
    if (waiting <= OUTPUT_BYTES_MIN && waiting <= limits.outputBytesMax) return true
    if (this.isBlocked) this.#note(waiting)
    if (this.#behind(waiting) <= this.#bytesMax(limits)) return true
    this.flush()
    return this.#behind(this.waitingBytes) <= this.#bytesMax(limits)
  }

  /**
   * Returns the share of a slow reader in the bytes that may wait for all: the first half is free for all, above it no
   * reader has more than what is still free, but for `OUTPUT_BYTES_MIN`.
   */
  #bytesMax({ outputBytesMax, outputTotalBytesMax }: Limits): number {
    const { outputBytes } = this.#metrics
    if (outputBytes <= outputTotalBytesMax / 2) return outputBytesMax
    return Math.min(outputBytesMax, Math.max(OUTPUT_BYTES_MIN, outputTotalBytesMax - outputBytes))
  }

  /** Notes how many bytes wait for this reader now, in the sum over all readers. */
  #note(bytes: number): void {
    this.#metrics.outputBytes += bytes - this.#noted
    this.#noted = bytes
  }

  /** Returns a slab with room for `bytes` more; write to it at once. */
  room(bytes: number): ByteWriter {
    const slab = this.#slab
    if (slab === null) {
      if (this.#pieces === null) this.#onFirst()
      this.#slab = this.#pool.take(Math.max(bytes, this.#usualBytes))
      return this.#slab
    }
    if (slab.length + bytes <= slab.bytes.length) return slab
    if (slab.length >= FLUSH_BYTES / 2 || this.#slabStart > 0) {
      if (!this.isBlocked && slab.length >= FLUSH_BYTES / 2) {
        this.flush()
        return this.room(bytes)
      }
      this.#cut()
      this.#lend(slab)
      this.#slab = this.#pool.take(bytes)
      this.#slabStart = 0
      return this.#slab
    }
    const larger = this.#pool.take(Math.max(slab.length + bytes, slab.bytes.length + 1))
    larger.bytes.set(slab.bytes.subarray(0, slab.length))
    larger.length = slab.length
    this.#pool.give(slab)
    this.#slab = larger
    return larger
  }

  publish(
    message: Message,
    version: ProtocolVersion,
    topicField: Uint8Array,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    propertyField: Uint8Array,
  ): void {
    const length = message.payloadEnd - message.payloadStart
    const metrics = this.#metrics
    metrics.messagesSent++
    metrics.packetsSent++
    metrics.payloadBytesSent += length
    this.messagesSent++
    const head = HEAD_BYTES + topicField.length + propertyField.length
    if (length < BY_REFERENCE_BYTES) {
      const slab = this.room(head + length)
      writePublish(
        slab,
        version,
        topicField,
        qos,
        retain,
        dup,
        packetId,
        propertyField,
        message.buffer,
        message.payloadStart,
        message.payloadEnd,
      )
      return
    }
    writePublishHead(this.room(head), version, topicField, qos, retain, dup, packetId, propertyField, length)
    this.#cut()
    const holder = message.lend(this.#buffers, this.isBlocked && this.#pieceBytes > FLUSH_BYTES)
    if (holder !== null) {
      holder.hold()
      this.#lend(holder)
    }
    this.#pieces!.push(message.payload)
    this.#pieceBytes += length
    if (head + length > this.#largestBytes) this.#largestBytes = head + length
    if (this.#pieceBytes >= FLUSH_BYTES && !this.isBlocked) this.flush()
  }

  /**
   * Writes a PUBLISH of MQTT 5.0 with the properties as they came (`Message.canSendRawProperties`), which lie before the
   * payload: both are one copy. Returns false for a payload that is to go by reference.
   */
  publishRaw(
    message: Message,
    topicField: Uint8Array,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    nowMs: number,
  ): boolean {
    const { buffer, payloadStart, payloadEnd } = message
    const { fieldBytes, expiryAt } = message.rawProperties!
    const length = payloadEnd - payloadStart
    if (length >= BY_REFERENCE_BYTES) return false
    const metrics = this.#metrics
    metrics.messagesSent++
    metrics.packetsSent++
    metrics.payloadBytesSent += length
    this.messagesSent++
    const start = payloadStart - fieldBytes
    const slab = this.room(HEAD_BYTES + topicField.length + fieldBytes + length)
    writePublish(slab, 5, topicField, qos, retain, dup, packetId, NO_BYTES, buffer, start, payloadEnd)
    if (expiryAt !== 0) {
      const seconds = message.expirySeconds(nowMs) // [MQTT-3.3.2-6]
      const { bytes } = slab
      const at = slab.length - length - fieldBytes + expiryAt + 1
      bytes[at] = seconds >>> 24
      bytes[at + 1] = seconds >>> 16
      bytes[at + 2] = seconds >>> 8
      bytes[at + 3] = seconds
    }
    return true
  }

  /** PUBACK, PUBREC, PUBREL or PUBCOMP; a Reason Code other than 0 is MQTT 5.0's. */
  ack(reasonCode: ReasonCode, packetType: 4 | 5 | 6 | 7, packetId: number): void {
    this.#metrics.packetsSent++
    if (reasonCode === 0) {
      writeAck(this.room(ACK_BYTES), packetType, packetId)
      return
    }
    const room = this.room(ACK_BYTES + 1)
    room.bytes[room.length++] = packetType << 4
    room.bytes[room.length++] = 3
    room.bytes[room.length++] = packetId >> 8
    room.bytes[room.length++] = packetId & 0xff
    room.bytes[room.length++] = reasonCode
  }

  pingresp(): void {
    this.#metrics.packetsSent++
    const room = this.room(PINGRESP_BYTES)
    room.bytes[room.length++] = PacketType.PINGRESP << 4
    room.bytes[room.length++] = 0
  }

  /** Hands everything to the transport, unless that still holds the last write. */
  flush(): void {
    if (this.isBlocked) return
    const slab = this.#slab
    const pieces = this.#pieces
    if (slab === null && pieces === null) return
    const lent = this.#lent
    this.#slab = null
    this.#pieces = null
    this.#lent = null
    this.#heldLargestBytes = this.#largestBytes
    this.#largestBytes = 0
    let taken: boolean
    if (pieces === null) {
      this.#usualBytes = slab!.length
      this.#metrics.bytesSent += slab!.length
      this.bytesSent += slab!.length
      taken = this.#transport.write(slab!.bytes.subarray(0, slab!.length))
    } else {
      if (slab !== null) {
        const rest = slab.length - this.#slabStart
        if (rest > 0) pieces.push(slab.bytes.subarray(this.#slabStart, slab.length))
        this.#pieceBytes += rest
        this.#slabStart = 0
      }
      this.#usualBytes = 0
      this.#metrics.bytesSent += this.#pieceBytes
      this.bytesSent += this.#pieceBytes
      this.#pieceBytes = 0
      taken = this.#transport.writeAll(pieces)
    }
    if (taken) {
      if (slab !== null) this.#pool.give(slab)
      if (lent !== null) this.#giveBack(lent)
    } else {
      this.isBlocked = true
      this.#heldLent = lent ?? []
      if (slab !== null) this.#heldLent.push(slab)
      this.#metrics.slowReaders++
      this.#note(this.#transport.bufferedBytes)
    }
  }

  /** The transport has let go of the last write. */
  handleDrain(): void {
    this.#unblock()
    this.flush()
  }

  #unblock(): void {
    if (!this.isBlocked) return
    this.#metrics.slowReaders--
    this.isBlocked = false
    this.#note(0)
    if (this.#heldLent !== null) this.#giveBack(this.#heldLent)
    this.#heldLent = null
  }

  #lend(part: Lent): void {
    this.#lent ??= []
    this.#lent.push(part)
  }

  /** Gives back what pieces lay in that have been sent, or never will be. */
  #giveBack(lent: readonly Lent[]): void {
    for (const part of lent) {
      if (part instanceof ByteWriter) this.#pool.give(part)
      else part.release()
    }
  }

  /** Discards packets that have not been handed over. The transport has closed, so it holds none any more. */
  discard(): void {
    this.#unblock()
    if (this.#slab !== null) this.#pool.give(this.#slab)
    if (this.#lent !== null) this.#giveBack(this.#lent)
    this.#slab = null
    this.#slabStart = 0
    this.#lent = null
    this.#pieces = null
    this.#pieceBytes = 0
    this.#largestBytes = 0
  }

  /** Makes a piece of what has been written to the slab since the last one. */
  #cut(): void {
    const slab = this.#slab!
    this.#pieces ??= []
    if (slab.length === this.#slabStart) return
    this.#pieces.push(slab.bytes.subarray(this.#slabStart, slab.length))
    this.#pieceBytes += slab.length - this.#slabStart
    this.#slabStart = slab.length
  }
}
