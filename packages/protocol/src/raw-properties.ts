/**
 * Properties of a PUBLISH as they came: bytes that have been validated, and the places of those that a server changes.
 *
 * A server passes the properties of an Application Message on unaltered, all but Message Expiry Interval and Topic
 * Alias. So its decoder (`DecoderOptions.rawProperties`) makes no objects of them: `scanPublishProperties` checks the
 * bytes, and `propertiesOf` decodes them where somebody asks.
 *
 * Invariant: what is accepted here is what `Cursor.properties` accepts. Whatever is unusual (a property that is not
 * allowed, a length that does not fit, a Subscription Identifier) is left to it, and so is every error.
 *
 * Source: MQTT 5.0 sections 2.2.2 and 3.3.2.3.
 */
import { variableByteIntegerSize, writeVariableByteInteger } from './byte-writer.ts'
import { copy, utf8Content } from './bytes.ts'
import { Cursor } from './cursor.ts'
import type { Properties } from './properties.ts'

/** Bytes of a Message Expiry Interval and of a Topic Alias with their identifiers. */
const EXPIRY_BYTES = 5
const ALIAS_BYTES = 3
const PLUS = 0x2b
const HASH = 0x23

/**
 * Description of a field of Property Length and properties, which lies right before the payload. Positions count from
 * its beginning.
 */
export class RawProperties {
  /** Bytes of the field, Property Length included. */
  readonly fieldBytes: number
  /** Bytes of the Property Length, 1 or 2. */
  readonly lengthBytes: number
  /** Position of the Message Expiry Interval, its identifier first; 0: there is none. */
  readonly expiryAt: number
  /** Position of the Topic Alias, its identifier first; 0: there is none. */
  readonly aliasAt: number
  /** Topic Alias; 0: there is none. */
  readonly topicAlias: number
  readonly hasUserProperties: boolean
  /** Whether a string has a code point that `hasDisallowedCodePoint` finds. */
  readonly hasDisallowedCodePoint: boolean

  constructor(
    fieldBytes: number,
    lengthBytes: number,
    expiryAt: number,
    aliasAt: number,
    topicAlias: number,
    hasUserProperties: boolean,
    hasDisallowed: boolean,
  ) {
    this.fieldBytes = fieldBytes
    this.lengthBytes = lengthBytes
    this.expiryAt = expiryAt
    this.aliasAt = aliasAt
    this.topicAlias = topicAlias
    this.hasUserProperties = hasUserProperties
    this.hasDisallowedCodePoint = hasDisallowed
  }

  /** Bytes of the properties that are passed on, without Property Length. */
  get passedOnBytes(): number {
    const own = (this.expiryAt === 0 ? 0 : EXPIRY_BYTES) + (this.aliasAt === 0 ? 0 : ALIAS_BYTES)
    return this.fieldBytes - this.lengthBytes - own
  }

  /** Returns the Message Expiry Interval in seconds of the field that begins at `start`; `undefined`: there is none. */
  expirySeconds(bytes: Uint8Array, start: number): number | undefined {
    if (this.expiryAt === 0) return undefined
    const at = start + this.expiryAt + 1
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  }

  /** Returns Property Length and the properties that are passed on, of the field that begins at `start`, as a copy. */
  passedOnField(bytes: Uint8Array, start: number): Uint8Array {
    const length = this.passedOnBytes
    const result = new Uint8Array(variableByteIntegerSize(length) + length)
    let at = writeVariableByteInteger(result, 0, length)
    const { expiryAt, aliasAt } = this
    const last = this.fieldBytes
    // Beginnings of what is left out; behind the end where there is none.
    const expiry = expiryAt === 0 ? last : expiryAt
    const alias = aliasAt === 0 ? last : aliasAt
    let from = this.lengthBytes
    while (from < last) {
      const to = Math.min(expiry < from ? last : expiry, alias < from ? last : alias)
      copy(bytes, start + from, result, at, to - from)
      at += to - from
      from = to + (to === expiry ? EXPIRY_BYTES : ALIAS_BYTES)
    }
    return result
  }

  /** Decodes all properties of the field that begins at `start`. */
  decode(bytes: Uint8Array, start: number): Properties {
    const cursor = new Cursor()
    cursor.bytes = bytes
    cursor.position = start
    cursor.end = start + this.fieldBytes
    return cursor.properties(3)
  }
}

/** The fields of a `Publish` that its properties are read from. */
export interface PropertySource {
  readonly properties: Properties
  readonly rawProperties: RawProperties | null
  readonly buffer: Uint8Array
  readonly payloadStart: number
}

/** Returns all properties of a PUBLISH, decoding those that are bytes. */
export function propertiesOf(publish: PropertySource): Properties {
  const { rawProperties } = publish
  if (rawProperties === null) return publish.properties
  return rawProperties.decode(publish.buffer, publish.payloadStart - rawProperties.fieldBytes)
}

/** Whether a string that `stringEnd` has read since the last scan began has a disallowed code point. */
let sawDisallowed = false

/**
 * Checks the field of Property Length and properties that begins at `start`, of a packet that ends at `end`. Returns
 * `null` for what `Cursor.properties` has to judge.
 *
 * @param bytesMax most bytes of properties
 * @param strict refuses disallowed code points too
 */
export function scanPublishProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  bytesMax: number,
  strict: boolean,
): RawProperties | null {
  if (start + 2 > end) return null
  let length = bytes[start]!
  let lengthBytes = 1
  if (length > 0x7f) {
    const high = bytes[start + 1]!
    if (high === 0 || high > 0x7f) return null
    length = (length & 0x7f) | (high << 7)
    lengthBytes = 2
  }
  let p = start + lengthBytes
  const last = p + length
  if (last > end || length > bytesMax) return null
  let seen = 0
  let expiryAt = 0
  let aliasAt = 0
  let topicAlias = 0
  let hasUserProperties = false
  sawDisallowed = false
  while (p < last) {
    const id = bytes[p]!
    if (id === 0x26) {
      hasUserProperties = true
      p = stringEnd(bytes, p + 1, last, strict)
      if (p >= 0) p = stringEnd(bytes, p, last, strict)
      if (p < 0) return null
      continue
    }
    // Property Identifiers up to 9, and the Topic Alias in the place of another that is not allowed here.
    const bit = id === 0x23 ? 1 : id < 10 ? 1 << id : 0
    if (bit === 0 || (seen & bit) !== 0) return null
    seen |= bit
    switch (id) {
      case 0x01:
        if (p + 2 > last || bytes[p + 1]! > 1) return null
        p += 2
        break
      case 0x02:
        expiryAt = p - start
        p += EXPIRY_BYTES
        break
      case 0x03:
        p = stringEnd(bytes, p + 1, last, strict)
        break
      case 0x08: {
        const from = p + 3
        p = stringEnd(bytes, p + 1, last, strict)
        if (p === from) return null
        for (let i = from; i < p; i++) if (bytes[i] === PLUS || bytes[i] === HASH) return null // [MQTT-3.3.2-14]
        break
      }
      case 0x09:
        if (p + 3 > last) return null
        p += 3 + ((bytes[p + 1]! << 8) | bytes[p + 2]!)
        break
      case 0x23:
        if (p + ALIAS_BYTES > last) return null
        aliasAt = p - start
        topicAlias = (bytes[p + 1]! << 8) | bytes[p + 2]!
        if (topicAlias === 0) return null
        p += ALIAS_BYTES
        break
      default:
        return null
    }
    if (p < 0 || p > last) return null
  }
  const fieldBytes = lengthBytes + length
  return new RawProperties(fieldBytes, lengthBytes, expiryAt, aliasAt, topicAlias, hasUserProperties, sawDisallowed)
}

/** Returns the position behind the UTF-8 Encoded String that begins at `at`; -1 when it is not one, or cut short. */
function stringEnd(bytes: Uint8Array, at: number, last: number, strict: boolean): number {
  const start = at + 2
  if (start > last) return -1
  const end = start + ((bytes[at]! << 8) | bytes[at + 1]!)
  if (end > last) return -1
  const content = utf8Content(bytes, start, end)
  if (content === 0) return end
  if (content < 0 || strict) return -1
  sawDisallowed = true
  return end
}

/** Returns the value of the first User Property with this name, which is ASCII, in bytes; `null`: there is none. */
export function userPropertyOf(
  raw: RawProperties,
  bytes: Uint8Array,
  start: number,
  name: Uint8Array,
): { start: number; end: number } | null {
  const last = start + raw.fieldBytes
  let p = start + raw.lengthBytes
  while (p < last) {
    const id = bytes[p]!
    switch (id) {
      case 0x01:
        p += 2
        break
      case 0x02:
        p += EXPIRY_BYTES
        break
      case 0x23:
        p += ALIAS_BYTES
        break
      case 0x26: {
        const nameBytes = (bytes[p + 1]! << 8) | bytes[p + 2]!
        const at = p + 3 + nameBytes
        const valueBytes = (bytes[at]! << 8) | bytes[at + 1]!
        p = at + 2 + valueBytes
        if (nameBytes !== name.length) break
        let i = 0
        while (i < nameBytes && bytes[at - nameBytes + i] === name[i]) i++
        if (i === nameBytes) return { start: at + 2, end: p }
        break
      }
      default:
        p += 3 + ((bytes[p + 1]! << 8) | bytes[p + 2]!)
    }
  }
  return null
}
