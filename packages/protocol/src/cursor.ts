/**
 * A cursor over the bytes of one packet, with a method for each data type of section 1.5.
 *
 * Owned by a `Decoder`, used for everything but the hot path (PUBLISH and plain acknowledgements are read without it).
 * Invariant: `position` never passes `end`, and `end` never passes the end of the packet; reading more than there is
 * throws Malformed Packet. Returned values never borrow the packet's bytes.
 *
 * Sources: MQTT 5.0 section 1.5 (data representation), section 2.2.2 (properties).
 */
import { decodeUtf8 } from './bytes.ts'
import { ProtocolError } from './errors.ts'
import { NO_PROPERTIES, type Properties, PropertyType, propertyById } from './properties.ts'
import { type ReasonCode as Code, ReasonCode } from './reason-codes.ts'

export function malformed(message: string): ProtocolError {
  return new ProtocolError(ReasonCode.MalformedPacket, message)
}

export function protocolError(message: string): ProtocolError {
  return new ProtocolError(ReasonCode.ProtocolError, message)
}

export class Cursor {
  bytes: Uint8Array
  position: number
  end: number
  /** Largest number of Topic Filters in one SUBSCRIBE or UNSUBSCRIBE. */
  readonly topicFiltersMax: number
  readonly #propertyBytesMax: number
  readonly #strict: boolean
  /**
   * @param propertyBytesMax most bytes of properties in one packet; more are refused with Packet Too Large
   * @param strict refuses strings with disallowed code points (see `hasDisallowedCodePoint`)
   * @param topicFiltersMax most Topic Filters in one packet; more are refused with Quota Exceeded
   */
  constructor(
    propertyBytesMax: number = Number.POSITIVE_INFINITY,
    strict: boolean = false,
    topicFiltersMax: number = Number.POSITIVE_INFINITY,
  ) {
    this.topicFiltersMax = topicFiltersMax
    this.bytes = NO_BYTES
    this.position = 0
    this.end = 0
    this.#propertyBytesMax = propertyBytesMax
    this.#strict = strict
  }

  byte(what: string): number {
    if (this.position >= this.end) throw malformed(`${what} is missing`)
    return this.bytes[this.position++]!
  }

  twoByteInteger(what: string): number {
    const p = this.position
    if (p + 2 > this.end) throw malformed(`${what} is cut short`)
    this.position = p + 2
    return (this.bytes[p]! << 8) | this.bytes[p + 1]!
  }

  fourByteInteger(what: string): number {
    const high = this.twoByteInteger(what)
    return high * 0x10000 + this.twoByteInteger(what)
  }

  variableByteInteger(what: string): number {
    let value = 0
    for (let i = 0; i < 4; i++) {
      const b = this.byte(what)
      value |= (b & 0x7f) << (7 * i)
      if (b < 0x80) {
        if (b === 0 && i > 0) throw malformed(`${what} takes more bytes than it needs`) // [MQTT-1.5.5-1]
        return value
      }
    }
    throw malformed(`${what} is longer than 4 bytes`)
  }

  /**
   * Reads a UTF-8 Encoded String. With `strict` false it may have disallowed code points, because the caller checks
   * them.
   */
  utf8String(what: string, strict: boolean = this.#strict): string {
    const start = this.position + 2
    const end = start + this.twoByteInteger(what)
    if (end > this.end) throw malformed(`${what} is cut short`)
    this.position = end
    return decodeUtf8(this.bytes, start, end, strict)
  }

  /** Reads Binary Data into a copy, which may be kept longer than the chunk that it came in. */
  binaryData(what: string): Uint8Array {
    const start = this.position + 2
    const end = start + this.twoByteInteger(what)
    if (end > this.end) throw malformed(`${what} is cut short`)
    this.position = end
    // Buffer's slice would return a view; Uint8Array's returns a copy.
    return Uint8Array.prototype.slice.call(this.bytes, start, end)
  }

  packetIdentifier(): number {
    const packetId = this.twoByteInteger('Packet Identifier')
    if (packetId === 0) throw protocolError('Packet Identifier is 0') // [MQTT-2.2.1-3] [MQTT-2.2.1-4]
    return packetId
  }

  /** Throws unless all bytes have been read. */
  finish(): void {
    if (this.position !== this.end)
      throw malformed(`the packet has ${this.end - this.position} bytes after its last field`)
  }

  /**
   * Reads Property Length and properties of a packet of this type (`WILL_PROPERTIES` for a Will), and checks all rules
   * of the table.
   */
  properties(packetType: number): Properties {
    const length = this.variableByteInteger('Property Length')
    if (length === 0) return NO_PROPERTIES
    const packetEnd = this.end
    const end = this.position + length
    if (end > packetEnd) throw malformed('Property Length is greater than what is left of the packet')
    if (length > this.#propertyBytesMax)
      throw new ProtocolError(
        ReasonCode.PacketTooLarge,
        `the properties take ${length} bytes; at most ${this.#propertyBytesMax} are allowed`,
      )
    this.end = end
    const properties: Properties = {}
    while (this.position < end) this.#property(packetType, properties as Record<string, unknown>)
    this.end = packetEnd
    return properties
  }

  #property(packetType: number, properties: Record<string, unknown>): void {
    const id = this.variableByteInteger('Property Identifier')
    const definition = propertyById[id]
    if (definition === undefined) throw malformed(`there is no property 0x${id.toString(16)}`)
    const name = definition.name
    // "An Identifier which is not valid for its packet type" is malformed (2.2.2.2), twice the same is a Protocol Error.
    if (((definition.packets >> packetType) & 1) === 0) throw malformed(`${name} is not allowed in this packet`)
    const before = properties[name]
    // A SUBSCRIBE has one Subscription Identifier at most (3.8.2.1.2).
    if (before !== undefined && (!definition.repeats || (id === 0x0b && packetType === 8)))
      throw protocolError(`${name} occurs more than once`)
    switch (definition.type) {
      case PropertyType.Byte:
        properties[name] = inRange(this.byte(name), definition)
        return
      case PropertyType.Boolean:
        properties[name] = inRange(this.byte(name), definition) === 1
        return
      case PropertyType.TwoByteInteger:
        properties[name] = inRange(this.twoByteInteger(name), definition)
        return
      case PropertyType.FourByteInteger:
        properties[name] = inRange(this.fourByteInteger(name), definition)
        return
      case PropertyType.VariableByteInteger: {
        const value = inRange(this.variableByteInteger(name), definition)
        if (before === undefined) properties[name] = [value]
        else (before as number[]).push(value)
        return
      }
      case PropertyType.Utf8String: {
        const value = this.utf8String(name)
        if (definition.isTopicName && !couldBeTopicName(value))
          throw protocolError(`${name} is empty or has a wildcard`) // [MQTT-3.3.2-14]
        properties[name] = value
        return
      }
      case PropertyType.Utf8StringPair: {
        // [MQTT-1.5.7-1]
        const key = this.utf8String(name)
        const value = this.utf8String(name)
        if (before === undefined) properties[name] = [[key, value]]
        else (before as [string, string][]).push([key, value])
        return
      }
      default:
        properties[name] = this.binaryData(name)
    }
  }
}

/** Decodes a field of Property Length and properties, as `encodeProperties` makes it for this type of packet. */
export function decodeProperties(field: Uint8Array, packetType: number): Properties {
  const cursor = new Cursor()
  cursor.bytes = field
  cursor.end = field.length
  return cursor.properties(packetType)
}

const NO_BYTES: Uint8Array = new Uint8Array(0)

function inRange(
  value: number,
  definition: { name: string; minimum: number; maximum: number; outOfRange: Code },
): number {
  if (value < definition.minimum || value > definition.maximum)
    throw new ProtocolError(
      definition.outOfRange,
      `${definition.name} is ${value}; it must be from ${definition.minimum} to ${definition.maximum}`,
    )
  return value
}

/**
 * Returns true when the text is not empty and has no wildcards. Length and UTF-8 have been checked when it was read.
 * [MQTT-4.7.0-1] [MQTT-4.7.3-1]
 */
export function couldBeTopicName(text: string): boolean {
  return text.length > 0 && !text.includes('+') && !text.includes('#')
}
