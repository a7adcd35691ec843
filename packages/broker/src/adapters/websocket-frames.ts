/**
 * The WebSocket frames of a client, as a stream: the contents of binary messages come out as bytes, wherever frames
 * begin and end.
 *
 * `WebSocketTransport` passes chunks. MQTT does not care about frames [MQTT-6.0.0-2], so nothing is gathered: a payload
 * is unmasked in its chunk and moved up to the payload before it there, and all of it is handed on once. Invariants: no
 * more than a header and a control frame is ever kept, whatever lengths a client claims; a frame that breaks the rules
 * throws a `WebSocketError` with its close code, after earlier payload was handed on.
 *
 * Source: RFC 6455 section 5 and 7; MQTT 5.0 section 6.
 */

export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const
export const CloseCode = {
  Normal: 1000,
  ProtocolError: 1002,
  UnsupportedData: 1003,
  InvalidData: 1007,
  PolicyViolation: 1008,
  TooBig: 1009,
} as const

/** Error of the client, with the code to close with. */
export class WebSocketError extends Error {
  readonly closeCode: number
  constructor(closeCode: number, message: string) {
    super(`WebSocket: ${message}`)
    this.closeCode = closeCode
  }
}

export interface FrameHandler {
  /** Called at most once per chunk; the bytes are borrowed until it returns. */
  handlePayload(bytes: Uint8Array): void
  /** Called with the payload of a ping, which is borrowed until it returns. */
  handlePing(payload: Uint8Array): void
  /** Called last, for a Close frame. `code` is null when the client gave none. */
  handleCloseFrame(code: number | null): void
}

const FIN = 0x80
const RSV = 0x70
const MASK = 0x80
const CONTROL = 0x08
const CONTROL_BYTES_MAX = 125
const HEADER_BYTES_MAX = 14
const MASK_BYTES = 4
/** Size in bytes from which whole words are unmasked, and moved afterwards. */
const WORDS_FROM_BYTES = 32
const IS_LITTLE_ENDIAN: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Words of the buffer that was last read from: all connections on handles read into the same one. */
let words: Uint32Array = new Uint32Array(0)

function wordsOf(buffer: ArrayBufferLike): Uint32Array {
  if (words.buffer !== buffer) words = new Uint32Array(buffer, 0, buffer.byteLength >>> 2)
  return words
}

export class FrameReader {
  /** Number of frames without payload: control frames and empty parts. The owner resets it. */
  idleFrames = 0
  readonly #handler: FrameHandler
  readonly #header: Uint8Array = new Uint8Array(HEADER_BYTES_MAX)
  /** Number of header bytes so far. */
  #headerBytes = 0
  /** Number of header bytes in all; 2 until those are there. */
  #headerNeeds = 2
  #opcode = 0
  /** Number of payload bytes of this frame that are still to come. */
  #remaining = 0
  /** Index in the mask of the next payload byte. */
  #maskAt = 0
  /** Whether a message has begun and not ended. */
  #isInMessage = false
  /** Payload of the current control frame; null until the first one. */
  #control: Uint8Array | null = null
  #controlBytes = 0
  #isClosed = false
  /** Number of payload bytes of this chunk, which are unmasked and moved to its beginning. */
  #payloadEnd = 0

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  /** Reads a chunk, and writes to it. After a Close nothing is read. @throws WebSocketError */
  push(chunk: Uint8Array): void {
    if (this.#isClosed) return
    let failure: unknown = null
    try {
      this.#walk(chunk)
    } catch (error) {
      failure = error
    }
    const payloadEnd = this.#payloadEnd
    this.#payloadEnd = 0
    if (payloadEnd > 0) this.#handler.handlePayload(chunk.subarray(0, payloadEnd))
    if (failure !== null) throw failure
    // The payload before it goes first.
    if (this.#isClosed) this.#handler.handleCloseFrame(closeCodeOf(this.#controlPayload()))
  }

  #walk(chunk: Uint8Array): void {
    const end = chunk.length
    let at = 0
    while (at < end && !this.#isClosed) {
      if (this.#remaining === 0) {
        at = this.#readHeader(chunk, at)
        continue
      }
      const length = Math.min(this.#remaining, end - at)
      if (this.#opcode >= CONTROL) {
        this.#keepControl(chunk, at, length)
      } else {
        this.#unmask(chunk, at, length, this.#payloadEnd)
        this.#payloadEnd += length
      }
      at += length
      this.#remaining -= length
      if (this.#remaining === 0 && this.#opcode >= CONTROL) this.#endControl()
    }
  }

  /** Reads header bytes; returns where it stopped. */
  #readHeader(chunk: Uint8Array, from: number): number {
    const header = this.#header
    let at = from
    while (at < chunk.length && this.#headerBytes < this.#headerNeeds) {
      header[this.#headerBytes++] = chunk[at++]!
      if (this.#headerBytes === 2) this.#headerNeeds = this.#judgeStart(header[0]!, header[1]!)
    }
    if (this.#headerBytes < this.#headerNeeds) return at
    this.#remaining = this.#lengthOf(header)
    this.#maskAt = 0
    this.#headerBytes = 0
    this.#headerNeeds = 2
    if (this.#remaining === 0 || this.#opcode >= CONTROL) this.idleFrames++
    if (this.#opcode >= CONTROL) {
      this.#controlBytes = 0
      if (this.#remaining === 0) this.#endControl()
    }
    return at
  }

  /** Checks the first two bytes of a frame; returns the length of its header. */
  #judgeStart(first: number, second: number): number {
    const opcode = first & 0x0f
    const isFinal = (first & FIN) !== 0
    const shortLength = second & 0x7f
    if ((first & RSV) !== 0) throw new WebSocketError(CloseCode.ProtocolError, 'a reserved bit is set')
    if ((second & MASK) === 0) throw new WebSocketError(CloseCode.ProtocolError, 'a frame is not masked')
    switch (opcode) {
      case Opcode.Continuation:
        if (!this.#isInMessage)
          throw new WebSocketError(CloseCode.ProtocolError, 'a continuation frame has no message before it')
        this.#isInMessage = !isFinal
        break
      case Opcode.Binary:
        if (this.#isInMessage) throw new WebSocketError(CloseCode.ProtocolError, 'a message begins within another')
        this.#isInMessage = !isFinal
        break
      case Opcode.Text:
        // [MQTT-6.0.0-1]
        throw new WebSocketError(CloseCode.UnsupportedData, 'a text frame came; MQTT needs binary frames')
      case Opcode.Close:
      case Opcode.Ping:
      case Opcode.Pong:
        if (!isFinal) throw new WebSocketError(CloseCode.ProtocolError, 'a control frame is fragmented')
        if (shortLength > CONTROL_BYTES_MAX)
          throw new WebSocketError(CloseCode.ProtocolError, 'a control frame is too long')
        break
      default:
        throw new WebSocketError(CloseCode.ProtocolError, `a frame has the unknown opcode ${opcode}`)
    }
    this.#opcode = opcode
    return 2 + (shortLength === 127 ? 8 : shortLength === 126 ? 2 : 0) + MASK_BYTES
  }

  /** Returns the length of the payload; leaves the mask at the beginning of the header. */
  #lengthOf(header: Uint8Array): number {
    const shortLength = header[1]! & 0x7f
    let length = shortLength
    if (shortLength === 126) {
      length = (header[2]! << 8) | header[3]!
      mustNeed(length >= 126)
    } else if (shortLength === 127) {
      if (header[2]! >= 0x80)
        throw new WebSocketError(CloseCode.ProtocolError, 'the length of a frame has its highest bit set')
      length = 0
      for (let i = 2; i < 10; i++) length = length * 256 + header[i]!
      mustNeed(length > 0xffff)
      if (length > Number.MAX_SAFE_INTEGER)
        throw new WebSocketError(CloseCode.TooBig, 'a frame has more than 2^53 bytes')
    }
    header.copyWithin(0, this.#headerNeeds - MASK_BYTES, this.#headerNeeds)
    return length
  }

  /** Unmasks `length` bytes from `from` on and puts them at `to`, which is not behind `from`. */
  #unmask(chunk: Uint8Array, from: number, length: number, to: number): void {
    const mask = this.#header
    let maskAt = this.#maskAt
    this.#maskAt = (maskAt + length) & 3
    if (length < WORDS_FROM_BYTES) {
      for (let i = 0; i < length; i++) {
        chunk[to + i] = chunk[from + i]! ^ mask[maskAt]!
        maskAt = (maskAt + 1) & 3
      }
      return
    }
    const end = from + length
    let at = from
    for (; (chunk.byteOffset + at) & 3; at++) {
      chunk[at] = chunk[at]! ^ mask[maskAt]!
      maskAt = (maskAt + 1) & 3
    }
    const m0 = mask[maskAt]!
    const m1 = mask[(maskAt + 1) & 3]!
    const m2 = mask[(maskAt + 2) & 3]!
    const m3 = mask[(maskAt + 3) & 3]!
    const word = IS_LITTLE_ENDIAN ? m0 | (m1 << 8) | (m2 << 16) | (m3 << 24) : (m0 << 24) | (m1 << 16) | (m2 << 8) | m3
    const all = wordsOf(chunk.buffer)
    const firstWord = (chunk.byteOffset + at) >>> 2
    const endWord = firstWord + ((end - at) >>> 2)
    for (let i = firstWord; i < endWord; i++) all[i]! ^= word
    for (at += (endWord - firstWord) * 4; at < end; at++) {
      chunk[at] = chunk[at]! ^ mask[maskAt]!
      maskAt = (maskAt + 1) & 3
    }
    if (to !== from) chunk.copyWithin(to, from, end)
  }

  #keepControl(chunk: Uint8Array, from: number, length: number): void {
    this.#control ??= new Uint8Array(CONTROL_BYTES_MAX)
    for (let i = 0; i < length; i++) {
      this.#control[this.#controlBytes++] = chunk[from + i]! ^ this.#header[this.#maskAt]!
      this.#maskAt = (this.#maskAt + 1) & 3
    }
  }

  #controlPayload(): Uint8Array {
    return this.#control === null ? NOTHING : this.#control.subarray(0, this.#controlBytes)
  }

  #endControl(): void {
    if (this.#opcode === Opcode.Ping) this.#handler.handlePing(this.#controlPayload())
    else if (this.#opcode === Opcode.Close) this.#isClosed = true
  }
}

const NOTHING: Uint8Array = new Uint8Array(0)

/** Checks that a length takes as few bytes as it needs (RFC 6455, 5.2): two readers may read two forms in two ways. */
function mustNeed(isNeeded: boolean): void {
  if (!isNeeded)
    throw new WebSocketError(CloseCode.ProtocolError, 'the length of a frame takes more bytes than it needs')
}

function closeCodeOf(payload: Uint8Array): number | null {
  if (payload.length === 0) return null
  if (payload.length === 1) throw new WebSocketError(CloseCode.ProtocolError, 'a Close frame has half a code')
  const code = (payload[0]! << 8) | payload[1]!
  const isKnown = (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999)
  if (!isKnown)
    throw new WebSocketError(CloseCode.ProtocolError, `a Close frame has the code ${code}, which is not allowed`)
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(payload.subarray(2))
  } catch {
    throw new WebSocketError(CloseCode.InvalidData, 'the reason in a Close frame is not UTF-8')
  }
  return code
}

/** Largest header in bytes of a frame that we send. */
export const SERVER_HEADER_BYTES_MAX = 10

/** Writes the header of a whole, unmasked frame at `at`; returns where it ends. */
export function writeFrameHeader(bytes: Uint8Array, at: number, opcode: number, length: number): number {
  bytes[at] = FIN | opcode
  if (length < 126) {
    bytes[at + 1] = length
    return at + 2
  }
  if (length < 65_536) {
    bytes[at + 1] = 126
    bytes[at + 2] = length >> 8
    bytes[at + 3] = length & 0xff
    return at + 4
  }
  bytes[at + 1] = 127
  for (let i = at + 9, rest = length; i >= at + 2; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256
  return at + 10
}

/** Returns the end of the frame of ours that begins at `at`, which may be behind the last of `bytes`. */
export function serverFrameEnd(bytes: Uint8Array, at: number): number {
  const shortLength = bytes[at + 1]! & 0x7f
  if (shortLength < 126) return at + 2 + shortLength
  const lengthEnd = at + (shortLength === 126 ? 4 : 10)
  if (lengthEnd > bytes.length) return bytes.length
  let length = 0
  for (let i = at + 2; i < lengthEnd; i++) length = length * 256 + bytes[i]!
  return lengthEnd + length
}

/** Returns a whole control frame. */
export function controlFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(2 + payload.length)
  writeFrameHeader(frame, 0, opcode, payload.length)
  frame.set(payload, 2)
  return frame
}

export const closeFrame = (code: number | null): Uint8Array =>
  controlFrame(Opcode.Close, code === null ? NOTHING : Uint8Array.of(code >> 8, code & 0xff))
