/**
 * Bytes and text: copying, comparing, UTF-8 in and out, in the way that is fastest where we run.
 *
 * The one file of this package that knows that Node exists: Node's `Buffer` has methods for cutting text out of bytes
 * that work on any `Uint8Array` and cost a third of a `TextDecoder`. They are looked for once, when this file is loaded; a
 * browser takes the standard way. Called by decoder, encoder and topic cache.
 *
 * Invariant: text that leaves here is well-formed (no U+0000, no surrogates, no overlong forms), whatever the bytes were,
 * and a byte order mark is text like any other.
 *
 * Sources: MQTT 5.0 and 3.1.1 sections 1.5.4 and 1.5.3 (UTF-8 Encoded String), RFC 3629.
 */
import { ProtocolError } from './errors.ts'
import { ReasonCode } from './reason-codes.ts'

type SliceText = (this: Uint8Array, start: number, end: number) => string

/** Node's method if it is there and takes a plain `Uint8Array`, else null. */
function nodeSlice(name: 'latin1Slice' | 'utf8Slice'): SliceText | null {
  const node = (globalThis as { Buffer?: { prototype?: Record<string, unknown> } }).Buffer
  const method = node?.prototype?.[name]
  if (typeof method !== 'function') return null
  try {
    const text: unknown = method.call(new Uint8Array([0x2f, 0x61, 0x62]), 1, 3)
    return text === 'ab' ? (method as SliceText) : null
  } catch {
    return null // A Buffer of another make (a polyfill), which wants its own receiver: the standard way it is.
  }
}

const latin1Slice = nodeSlice('latin1Slice')
const utf8Slice = nodeSlice('utf8Slice')
// ignoreBOM, which means: leave the byte order mark in the text. [MQTT-1.5.4-3]
const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true })
const textEncoder = new TextEncoder()

/**
 * Up to this many bytes a loop beats `set(subarray)`, which takes 40 ns whatever the length (Node 20; the loop: 16 ns
 * for 8 bytes, 39 for 64, 76 for 128; one byte a step: 78 for 64). Node's `Buffer.prototype.copy` is not faster.
 */
const COPY_LOOP_BYTES = 64

/** Copies `length` bytes. The ranges must lie inside the arrays; they may not overlap. */
export function copy(
  source: Uint8Array,
  sourceStart: number,
  target: Uint8Array,
  targetStart: number,
  length: number,
): void {
  if (length > COPY_LOOP_BYTES) {
    target.set(source.subarray(sourceStart, sourceStart + length), targetStart)
    return
  }
  let i = 0
  // Eight a step: half the time of one a step.
  for (const last = length - 7; i < last; i += 8) {
    const s = sourceStart + i
    const t = targetStart + i
    target[t] = source[s]!
    target[t + 1] = source[s + 1]!
    target[t + 2] = source[s + 2]!
    target[t + 3] = source[s + 3]!
    target[t + 4] = source[s + 4]!
    target[t + 5] = source[s + 5]!
    target[t + 6] = source[s + 6]!
    target[t + 7] = source[s + 7]!
  }
  for (; i < length; i++) target[targetStart + i] = source[sourceStart + i]!
}

/** Up to this many bytes `copyWords` beats `set(subarray)`: it takes 10 ns for 16 bytes, 27 for 64, 48 for 128 (Node 20 and 24). */
export const COPY_WORDS_BYTES = 112
/** A view of a larger array is not kept, because the array would be kept with it. */
const KEPT_VIEW_BYTES = 1 << 20
const NO_SOURCE: Uint8Array = new Uint8Array(0)
let lastSource: Uint8Array = NO_SOURCE
let lastView: DataView | null = null

/**
 * A view of `source` if it is the array of the call before, else null. So are the payloads of a chunk that was read, and the payload that
 * goes to many. An array that comes once gets no view of its own, which would cost more than it saves.
 */
export function viewOfSame(source: Uint8Array): DataView | null {
  if (source !== lastSource) {
    lastSource = source.buffer.byteLength <= KEPT_VIEW_BYTES ? source : NO_SOURCE
    lastView = null
    return null
  }
  lastView ??= viewOf(source)
  return lastView
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** As `copy`, between arrays of which there are views, four bytes a step: in half the time. */
export function copyWords(
  source: DataView,
  sourceStart: number,
  target: DataView,
  targetStart: number,
  length: number,
): void {
  let i = 0
  for (const last = length - 3; i < last; i += 4) target.setUint32(targetStart + i, source.getUint32(sourceStart + i))
  for (; i < length; i++) target.setUint8(targetStart + i, source.getUint8(sourceStart + i))
}

/** True if both hold the same bytes. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/**
 * -1 if the bytes are not a UTF-8 Encoded String of MQTT, 0 if they are all ASCII, 1 if not. With `strict` -2 if it has a disallowed
 * code point (see `hasDisallowedCodePoint`).
 */
function inspectUtf8(bytes: Uint8Array, start: number, end: number, strict: boolean): -2 | -1 | 0 | 1 {
  let kind: 0 | 1 = 0
  let i = start
  const controlsEnd = strict ? 0x20 : 0x01
  const del = strict ? 0x7f : -1
  while (i < end) {
    const b = bytes[i]!
    if (b < 0x80) {
      // U+0000 [MQTT-1.5.4-2]
      if (b < controlsEnd || b === del) return b === 0 ? -1 : -2
      i++
      continue
    }
    kind = 1
    if (strict && isDisallowed(bytes, i, end)) return -2
    // 0x80 to 0xBF: a continuation byte without a head; 0xC0 and 0xC1: overlong. [MQTT-1.5.4-1]
    if (b < 0xc2) return -1
    if (b < 0xe0) {
      if (i + 1 >= end || (bytes[i + 1]! & 0xc0) !== 0x80) return -1
      i += 2
    } else if (b < 0xf0) {
      if (i + 2 >= end) return -1
      const c = bytes[i + 1]!
      if ((c & 0xc0) !== 0x80 || (bytes[i + 2]! & 0xc0) !== 0x80) return -1
      if (b === 0xe0 && c < 0xa0) return -1 // overlong
      if (b === 0xed && c > 0x9f) return -1 // U+D800 to U+DFFF [MQTT-1.5.4-1]
      i += 3
    } else if (b < 0xf5) {
      if (i + 3 >= end) return -1
      const c = bytes[i + 1]!
      if ((c & 0xc0) !== 0x80 || (bytes[i + 2]! & 0xc0) !== 0x80 || (bytes[i + 3]! & 0xc0) !== 0x80) return -1
      if (b === 0xf0 && c < 0x90) return -1 // overlong
      if (b === 0xf4 && c > 0x8f) return -1 // above U+10FFFF
      i += 4
    } else return -1
  }
  return kind
}

/** Does a character of several bytes begin at `i` that is a control character or no character? It may be cut short or malformed. */
function isDisallowed(bytes: Uint8Array, i: number, end: number): boolean {
  const b = bytes[i]!
  // U+0080 to U+009F
  if (b === 0xc2) return i + 1 < end && bytes[i + 1]! < 0xa0
  if (b < 0xef || i + 2 >= end) return false
  const [c, d] = [bytes[i + 1]!, bytes[i + 2]!]
  // U+FDD0 to U+FDEF; U+FFFE and U+FFFF
  if (b === 0xef) return c === 0xb7 ? d >= 0x90 && d <= 0xaf : c === 0xbf && d >= 0xbe
  // The last two of each of the other planes
  return (c & 0x0f) === 0x0f && d === 0xbf && i + 3 < end && bytes[i + 3]! >= 0xbe
}

const DISALLOWED = /[\u0001-\u001f\u007f-\u009f\p{Noncharacter_Code_Point}]/u

/**
 * Does the text have one of the code points that a UTF-8 Encoded String should not have, and that a receiver may refuse (section 1.5.4): a
 * control character (U+0001 to U+001F, U+007F to U+009F) or a non-character (U+FDD0 to U+FDEF, the last two of each plane)?
 */
export function hasDisallowedCodePoint(text: string): boolean {
  return DISALLOWED.test(text)
}

/** True if the bytes are a UTF-8 Encoded String of MQTT: well-formed and without U+0000. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  return inspectUtf8(bytes, start, end, false) >= 0
}

/**
 * The text in `bytes[start .. end)`.
 *
 * @param strict refuses disallowed code points too (see `hasDisallowedCodePoint`)
 * @throws {ProtocolError} Malformed Packet if it is not well-formed UTF-8 or holds U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2]
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number, strict: boolean = false): string {
  if (start === end) return ''
  const kind = inspectUtf8(bytes, start, end, strict)
  if (kind === -2)
    throw new ProtocolError(ReasonCode.MalformedPacket, 'a string has a control character or a non-character')
  if (kind < 0) throw new ProtocolError(ReasonCode.MalformedPacket, 'a string is not well-formed UTF-8 or holds U+0000')
  if (kind === 0) {
    if (latin1Slice !== null) return latin1Slice.call(bytes, start, end)
  } else if (utf8Slice !== null) return utf8Slice.call(bytes, start, end)
  return textDecoder.decode(bytes.subarray(start, end))
}

/** Bytes that `text` takes in UTF-8; -1 if it cannot stand in MQTT: it has a lone surrogate or U+0000. */
export function utf8Length(text: string): number {
  let length = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < 0x80) {
      if (c === 0) return -1
      length++
    } else if (c < 0x800) length += 2
    else if (c < 0xd800 || c > 0xdfff) length += 3
    else {
      if (c > 0xdbff || ++i === text.length) return -1
      const low = text.charCodeAt(i)
      if (low < 0xdc00 || low > 0xdfff) return -1
      length += 4
    }
  }
  return length
}

/** Above this many bytes the platform's encoder beats a loop of our own. */
const ENCODE_LOOP_BYTES = 128

/** Writes `text`, for which `utf8Length` has said `length`, to `target[at ..)`; there must be room. */
export function writeUtf8(text: string, length: number, target: Uint8Array, at: number): void {
  if (length > ENCODE_LOOP_BYTES) {
    textEncoder.encodeInto(text, target.subarray(at, at + length))
    return
  }
  if (length === text.length) {
    for (let i = 0; i < length; i++) target[at + i] = text.charCodeAt(i)
    return
  }
  let p = at
  for (let i = 0; i < text.length; i++) {
    let c = text.charCodeAt(i)
    if (c < 0x80) {
      target[p++] = c
      continue
    }
    if (c < 0x800) target[p++] = 0xc0 | (c >> 6)
    else {
      if (c >= 0xd800 && c <= 0xdfff) {
        c = 0x10000 + ((c & 0x3ff) << 10) + (text.charCodeAt(++i) & 0x3ff)
        target[p++] = 0xf0 | (c >> 18)
        target[p++] = 0x80 | ((c >> 12) & 0x3f)
      } else target[p++] = 0xe0 | (c >> 12)
      target[p++] = 0x80 | ((c >> 6) & 0x3f)
    }
    target[p++] = 0x80 | (c & 0x3f)
  }
}

/** `text` in UTF-8, or null if it cannot stand in MQTT (a lone surrogate or U+0000). */
export function encodeUtf8(text: string): Uint8Array | null {
  const length = utf8Length(text)
  if (length < 0) return null
  const bytes = new Uint8Array(length)
  writeUtf8(text, length, bytes, 0)
  return bytes
}
