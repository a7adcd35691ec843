/**
 * The bytes of a turn as WebSocket frames: one for each MQTT packet, all of them in one write.
 *
 * Several packets in a frame are legal [MQTT-6.0.0-2], but some clients read one of them and wait for the next frame
 * (Paho C and C++ up to 1.3.15), so that packets that have arrived wait for others that have not. `WebSocketTransport`
 * passes the pieces that it is given; whole packets get a frame each, and other bytes get one together. Small pieces
 * are copied behind their headers into a buffer that all connections of a thread share and that is left to a write
 * which has to keep it; a large piece goes by reference.
 *
 * Invariant: the payloads of the frames, one behind the other, are exactly the pieces.
 *
 * Source: RFC 6455 section 5; MQTT 5.0 section 6.
 */
import { packetEnd } from '@recado/protocol'
import type { Transport } from '../ports.ts'
import { Opcode, SERVER_HEADER_BYTES_MAX, writeFrameHeader } from './websocket-frames.ts'

/** Size in bytes from which a piece of a packet is not copied: another piece of a write costs as much. */
const BY_REFERENCE_BYTES = 8 * 1024
/** Size in bytes below which a loop is faster than `set`. */
const LOOP_BYTES = 48
const BUFFER_BYTES_MIN = 256
const BUFFER_BYTES_MAX = 512 * 1024
const NOTHING: Uint8Array = new Uint8Array(0)

let buffer: Uint8Array = NOTHING
/** Index in `buffer` up to which its bytes are in `finished` already. */
let cutAt = 0
let used = 0
/** Pieces of the write before the bytes of `buffer` from `cutAt` on. */
let finished: Uint8Array[] = []

/** Makes room for `bytes` more. */
function reserve(bytes: number): void {
  if (used + bytes <= buffer.length) return
  cut()
  let size = BUFFER_BYTES_MIN
  while (size < bytes) size *= 2
  // Not filled with zeros: no byte of it is sent before it has been written.
  buffer = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer)
  cutAt = 0
  used = 0
}

function cut(): void {
  if (used > cutAt) finished.push(buffer.subarray(cutAt, used))
  cutAt = used
}

function append(piece: Uint8Array, from: number, end: number): void {
  const length = end - from
  if (length >= BY_REFERENCE_BYTES) {
    cut()
    finished.push(piece.subarray(from, end))
    return
  }
  reserve(length)
  if (length < LOOP_BYTES) {
    for (let i = from; i < end; i++) buffer[used++] = piece[i]!
    return
  }
  buffer.set(from === 0 && end === piece.length ? piece : piece.subarray(from, end), used)
  used += length
}

/** Sends the pieces as frames. Returns the result of the transport's `write`, which holds for the pieces too. */
export function writeFrames(transport: Transport, pieces: readonly Uint8Array[]): boolean {
  let left = 0
  for (let i = 0; i < pieces.length; i++) left += pieces[i]!.length
  if (left === 0) return true
  // Mostly enough for all: then it is one piece.
  reserve(Math.min(left + (left >>> 4), BUFFER_BYTES_MAX) + SERVER_HEADER_BYTES_MAX)
  /** Number of bytes still missing in the frame whose header is written. */
  let frameLeft = 0
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i]!
    let at = 0
    while (at < piece.length) {
      if (frameLeft === 0) {
        frameLeft = Math.min(packetEnd(piece, at) - at, left)
        reserve(SERVER_HEADER_BYTES_MAX)
        used = writeFrameHeader(buffer, used, Opcode.Binary, frameLeft)
      }
      const end = Math.min(at + frameLeft, piece.length)
      append(piece, at, end)
      frameLeft -= end - at
      left -= end - at
      at = end
    }
  }
  cut()
  const frames = finished
  finished = []
  cutAt = 0
  used = 0
  const isTaken = frames.length === 1 ? transport.write(frames[0]!) : transport.writeAll(frames)
  // The transport keeps the bytes that it was given.
  if (!isTaken) buffer = NOTHING
  return isTaken
}
