/**
 * A growing buffer that packets are written to, with the data types of section 1.5.
 *
 * A connection owns one as its slab of bytes to send, and the encoder one for itself. Written bytes are
 * `bytes[0 .. length)`. Invariant: a method first makes room for all that it writes, so `bytes` may be another array after
 * any call; take it anew each time.
 */
import { COPY_WORDS_BYTES, copy, copyWords, utf8Length, viewOf, viewOfSame, writeUtf8 } from './bytes.ts'
import { MqttError } from './errors.ts'

export function cannotEncode(message: string): MqttError {
  return new MqttError('ERR_MQTT_ENCODE', message)
}

export class ByteWriter {
  bytes: Uint8Array
  length: number
  /** Array that `#view` looks at, `null` before there is a view: `bytes` may have been replaced since. */
  #viewed: Uint8Array | null = null
  #view: DataView | null = null

  /** @param bytes first array to write to, or its size in bytes */
  constructor(bytes: Uint8Array | number) {
    this.bytes = typeof bytes === 'number' ? new Uint8Array(bytes) : bytes
    this.length = 0
  }

  /**
   * Makes room for `n` more bytes. When there is too little, the array at least doubles and its contents are copied.
   */
  reserve(n: number): void {
    if (this.length + n > this.bytes.length) this.#grow(n)
  }

  #grow(n: number): void {
    const grown = new Uint8Array(Math.max(2 * this.bytes.length, this.length + n, 64))
    copy(this.bytes, 0, grown, 0, this.length)
    this.bytes = grown
  }

  /** Empties the writer and keeps its array. */
  reset(): void {
    this.length = 0
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  twoByteInteger(value: number): void {
    this.reserve(2)
    this.bytes[this.length++] = value >> 8
    this.bytes[this.length++] = value
  }

  fourByteInteger(value: number): void {
    this.twoByteInteger(Math.floor(value / 0x10000))
    this.twoByteInteger(value & 0xffff)
  }

  variableByteInteger(value: number): void {
    this.reserve(4)
    this.length = writeVariableByteInteger(this.bytes, this.length, value)
  }

  raw(source: Uint8Array, start: number, end: number): void {
    const size = end - start
    this.reserve(size)
    const view = size <= COPY_WORDS_BYTES ? viewOfSame(source) : null
    if (view === null) copy(source, start, this.bytes, this.length, size)
    else copyWords(view, start, this.#viewOfBytes(), this.length, size)
    this.length += size
  }

  #viewOfBytes(): DataView {
    if (this.#viewed !== this.bytes) {
      this.#viewed = this.bytes
      this.#view = viewOf(this.bytes)
    }
    return this.#view!
  }

  /** @throws {MqttError} ERR_MQTT_ENCODE over 65,535 bytes, and for U+0000 and lone surrogates [MQTT-1.5.4-1] [MQTT-1.5.4-2] */
  utf8String(text: string, what: string): void {
    if (typeof text !== 'string') throw cannotEncode(`${what} must be a string, not ${typeof text}`)
    const length = utf8Length(text)
    if (length < 0) throw cannotEncode(`${what} has U+0000 or a lone surrogate, which a string of MQTT must not have`)
    if (length > 0xffff) throw cannotEncode(`${what} has ${length} bytes of UTF-8; at most 65,535 are possible`)
    this.reserve(length + 2)
    const at = this.length
    this.bytes[at] = length >> 8
    this.bytes[at + 1] = length
    writeUtf8(text, length, this.bytes, at + 2)
    this.length = at + 2 + length
  }

  binaryData(data: Uint8Array, what: string): void {
    // An array of another realm, such as a sandbox for tests, is an instance of another class.
    const isBytes = data instanceof Uint8Array || Object.prototype.toString.call(data) === '[object Uint8Array]'
    if (!isBytes) throw cannotEncode(`${what} must be a Uint8Array, not ${typeof data}`)
    if (data.length > 0xffff) throw cannotEncode(`${what} has ${data.length} bytes; at most 65,535 are possible`)
    this.twoByteInteger(data.length)
    this.raw(data, 0, data.length)
  }

  /**
   * Leaves one byte for the length of what is written next, as most lengths fit into one. Returns its index, for
   * `setLength`.
   */
  lengthAhead(): number {
    this.reserve(1)
    return this.length++
  }

  /**
   * Writes the number of bytes since `lengthAhead` at that index, as a Variable Byte Integer. When it takes more than
   * one byte, the bytes behind it are moved.
   */
  setLength(at: number): void {
    const from = at + 1
    const size = this.length - from
    const width = variableByteIntegerSize(size)
    if (width > 1) {
      this.reserve(width - 1)
      this.bytes.copyWithin(at + width, from, this.length)
      this.length += width - 1
    }
    writeVariableByteInteger(this.bytes, at, size)
  }
}

/** Writes a Variable Byte Integer at index `at` and returns the index after it. */
export function writeVariableByteInteger(bytes: Uint8Array, at: number, value: number): number {
  let p = at
  let rest = value
  while (rest > 0x7f) {
    bytes[p++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[p++] = rest
  return p
}

/** Returns the number of bytes that a Variable Byte Integer takes, 1 to 4. */
export function variableByteIntegerSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}
