/**
 * Bytes and text: copying, comparing, UTF-8 in and out, each in the way that is fastest on this platform.
 *
 * This is the only file of the package that knows about Node: Node's `Buffer` has methods that cut text out of any
 * `Uint8Array` in a third of the time of `TextDecoder`. They are looked up once, when this file is loaded; a browser
 * uses `TextDecoder`. Called by decoder, encoder and topic cache.
 *
 * Invariant: text that is returned is well-formed (no U+0000, no surrogates, no overlong forms), whatever the bytes
 * were, and a byte order mark is text like any other.
 *
 * Sources: MQTT 5.0 and 3.1.1 sections 1.5.4 and 1.5.3 (UTF-8 Encoded String), RFC 3629.
 */
import { ProtocolError } from './errors.ts'
import { ReasonCode } from './reason-codes.ts'

type SliceText = (this: Uint8Array, start: number, end: number) => string

/** Returns Node's method if it exists and accepts a plain `Uint8Array`, else `null`. */
function nodeSlice(name: 'latin1Slice' | 'utf8Slice'): SliceText | null {
  const node = (globalThis as { Buffer?: { prototype?: Record<string, unknown> } }).Buffer
  const method = node?.prototype?.[name]
  if (typeof method !== 'function') return null
  try {
    const text: unknown = method.call(new Uint8Array([0x2f, 0x61, 0x62]), 1, 3)
    return text === 'ab' ? (method as SliceText) : null
  } catch {
    return null // A Buffer of another make (a polyfill) accepts only its own instances: use TextDecoder.
  }
}

const latin1Slice = nodeSlice('latin1Slice')
const utf8Slice = nodeSlice('utf8Slice')
// ignoreBOM means: leave the byte order mark in the text. [MQTT-1.5.4-3]
const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true })
const textEncoder = new TextEncoder()

/**
 * Number of bytes up to which a loop is faster than `set(subarray)`, which takes 40 ns whatever the length (Node 20;
 * the loop: 16 ns for 8 bytes, 39 for 64, 76 for 128; with one byte a step 78 for 64). Node's `Buffer.prototype.copy`
 * is not faster.
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
  // Eight bytes a step take half the time of one byte a step.
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

/**
 * Number of bytes up to which `copyWords` is faster than `set(subarray)`: it takes 10 ns for 16 bytes, 27 for 64, 48
 * for 128 (Node 20 and 24).
 */
export const COPY_WORDS_BYTES = 112
/** Size in bytes of the largest array whose view is kept: the array stays in memory as long as its view. */
const KEPT_VIEW_BYTES = 1 << 20
const NO_SOURCE: Uint8Array = new Uint8Array(0)
let lastSource: Uint8Array = NO_SOURCE
let lastView: DataView | null = null

/**
 * Returns a view of `source` if the call before had the same array, else `null`. The payloads of one chunk, and a
 * payload for many subscribers, share their array. An array that comes only once gets no view, which would cost more
 * than it saves.
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

/** Copies like `copy`, between arrays that have views, four bytes a step: it takes half the time. */
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

/** Returns true when both arrays hold the same bytes. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/**
 * Classifies bytes: -1 when they are not a UTF-8 Encoded String of MQTT, 0 when all are ASCII, 1 when they are other
 * UTF-8, and with `strict` -2 when they hold a disallowed code point (see `hasDisallowedCodePoint`).
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

/**
 * Returns true when the character of several bytes that begins at `i` is a control character or a non-character. The
 * character may be cut short or malformed.
 */
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
 * Returns true when the text has a code point that a UTF-8 Encoded String should not have, and that a receiver may
 * refuse (section 1.5.4): a control character (U+0001 to U+001F, U+007F to U+009F) or a non-character (U+FDD0 to
 * U+FDEF, the last two of each plane).
 */
export function hasDisallowedCodePoint(text: string): boolean {
  // Most texts are printable ASCII; the expression takes five times as long to say so.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e) return DISALLOWED.test(text)
  }
  return false
}

/**
 * Tells what a string holds: 0 for UTF-8 without disallowed code points (see `hasDisallowedCodePoint`), 1 for UTF-8
 * with one, -1 for what is not a UTF-8 Encoded String of MQTT.
 */
export function utf8Content(bytes: Uint8Array, start: number, end: number): -1 | 0 | 1 {
  // Four bytes a step while all are printable ASCII: the highest bit stays 0 when 0x20 is taken away and when 1 is added.
  let i = start
  for (const last = end - 3; i < last; i += 4) {
    const four = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    if (((four | (four - 0x20202020) | (four + 0x01010101)) & 0x80808080) !== 0) break
  }
  const kind = inspectUtf8(bytes, i, end, true)
  if (kind >= 0) return 0
  return kind === -1 || inspectUtf8(bytes, i, end, false) < 0 ? -1 : 1
}

/** Returns true when the bytes are a UTF-8 Encoded String of MQTT: well-formed and without U+0000. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  return inspectUtf8(bytes, start, end, false) >= 0
}

/**
 * Decodes the text in `bytes[start .. end)`.
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

/**
 * Returns the number of bytes of the text in UTF-8; -1 if it has a lone surrogate or U+0000 and may not stand in MQTT.
 */
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

/** Number of bytes above which the platform's encoder is faster than a loop. */
const ENCODE_LOOP_BYTES = 128

/** Writes `text` to `target[at ..)`, which must have room. `length` is the result of `utf8Length` for this text. */
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

/** Encodes the text as UTF-8; returns `null` if it has a lone surrogate or U+0000 and may not stand in MQTT. */
export function encodeUtf8(text: string): Uint8Array | null {
  const length = utf8Length(text)
  if (length < 0) return null
  const bytes = new Uint8Array(length)
  writeUtf8(text, length, bytes, 0)
  return bytes
}
