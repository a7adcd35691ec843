/**
 * Encodes packets to bytes.
 *
 * For general use: `encode`, `encodeTo`, `encodedSize`. For the hot path: `writePublish`, `writePublishHead`,
 * `writeAck`, which take the parts of a packet as the caller has them (Topic Name and properties encoded once per
 * message, payload where it lies) and write to a connection's slab.
 *
 * Invariant: our own `Decoder` can read what is written. For a packet that it would refuse, `MqttError` ERR_MQTT_ENCODE
 * is thrown and the writer stays as it was. (The hot path trusts its caller: its parts come from here.) Fields that a
 * protocol version does not have are left out: properties before 5.0, Reason Codes of a PUBACK of 3.1.1.
 *
 * Sources: MQTT 5.0 and 3.1.1 chapters 2 and 3, MQTT 3.1 section 3.
 */
import { ByteWriter, cannotEncode, variableByteIntegerSize, writeVariableByteInteger } from './byte-writer.ts'
import { copy, utf8Length, writeUtf8 } from './bytes.ts'
import { couldBeTopicName } from './cursor.ts'
import type { MqttError } from './errors.ts'
import { isReasonCodeOf } from './packet-reason-codes.ts'
import {
  type Auth,
  type Connack,
  type Connect,
  type Disconnect,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type Puback,
  type Pubcomp,
  type Publish,
  type Pubrec,
  type Pubrel,
  packetTypeName,
  type QoS,
  type Suback,
  type Subscribe,
  type Unsuback,
  type Unsubscribe,
} from './packets.ts'
import {
  NO_PROPERTIES,
  type Properties,
  type PropertyDefinition,
  PropertyType,
  propertyByName,
  WILL_PROPERTIES,
} from './properties.ts'

export { ByteWriter } from './byte-writer.ts'

const REMAINING_LENGTH_MAX = 268_435_455
const HASH = 0x23
const PLUS = 0x2b
/** Largest scratch buffer in bytes that is kept after use. */
const SCRATCH_BYTES_MAX = 65_536

const SCRATCH_BYTES = 1024
/**
 * Scratch buffer for packets that are encoded to an array of their own. A function that uses it calls no other one that
 * does.
 */
let scratch: ByteWriter = new ByteWriter(SCRATCH_BYTES)

/** Property field of packets without properties: Property Length 0. Shared, must not be written to. */
const EMPTY_PROPERTY_FIELD: Uint8Array = new Uint8Array(1)

// --- hot path -----------------------------------------------------------------------------------------------------------

/**
 * Writes a PUBLISH. `topicField` is from `encodeTopicField` (or a decoded `Publish`), `propertyField` from
 * `encodeProperties(properties, 3)` and ignored before 5.0, `packetId` ignored at QoS 0.
 *
 * @throws {MqttError} ERR_MQTT_ENCODE if the packet is longer than MQTT allows
 */
export function writePublish(
  writer: ByteWriter,
  protocolVersion: ProtocolVersion,
  topicField: Uint8Array,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  propertyField: Uint8Array,
  buffer: Uint8Array,
  payloadStart: number,
  payloadEnd: number,
): void {
  const payloadLength = payloadEnd - payloadStart
  // Reserve room for the payload as well, so that the array does not grow twice.
  writer.reserve(payloadLength + topicField.length + propertyField.length + 7)
  writePublishHead(writer, protocolVersion, topicField, qos, retain, dup, packetId, propertyField, payloadLength)
  writer.raw(buffer, payloadStart, payloadEnd)
}

/**
 * Writes a PUBLISH like `writePublish`, but without its payload: the caller sends those `payloadLength` bytes right
 * after.
 */
export function writePublishHead(
  writer: ByteWriter,
  protocolVersion: ProtocolVersion,
  topicField: Uint8Array,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  propertyField: Uint8Array,
  payloadLength: number,
): void {
  const topicLength = topicField.length
  const propertyLength = protocolVersion === 5 ? propertyField.length : 0
  const remainingLength = topicLength + (qos === 0 ? 0 : 2) + propertyLength + payloadLength
  if (remainingLength > REMAINING_LENGTH_MAX) throw tooLarge(remainingLength)
  writer.reserve(5 + remainingLength - payloadLength)
  const bytes = writer.bytes
  let p = writer.length
  bytes[p++] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
  p = writeVariableByteInteger(bytes, p, remainingLength)
  copy(topicField, 0, bytes, p, topicLength)
  p += topicLength
  if (qos !== 0) {
    bytes[p++] = packetId >> 8
    bytes[p++] = packetId
  }
  if (propertyLength === 1) bytes[p++] = 0
  else if (propertyLength !== 0) {
    copy(propertyField, 0, bytes, p, propertyLength)
    p += propertyLength
  }
  writer.length = p
}

/** Writes PUBACK, PUBREC, PUBREL or PUBCOMP in 4 bytes: Success, no properties. */
export function writeAck(writer: ByteWriter, packetType: 4 | 5 | 6 | 7, packetId: number): void {
  writer.reserve(4)
  const bytes = writer.bytes
  const p = writer.length
  bytes[p] = packetType === 6 ? 0x62 : packetType << 4
  bytes[p + 1] = 2
  bytes[p + 2] = packetId >> 8
  bytes[p + 3] = packetId
  writer.length = p + 4
}

// --- parts of packets -----------------------------------------------------------------------------------------------------

/**
 * Encodes a Topic Name as it stands in a PUBLISH: two length bytes and UTF-8. It may be empty (beside a Topic Alias).
 *
 * @throws {MqttError} ERR_MQTT_ENCODE over 65,535 bytes, with a wildcard, U+0000 or a lone surrogate
 */
export function encodeTopicField(topic: string): Uint8Array {
  return plainTopicField(topic) ?? otherTopicField(topic)
}

/** Longest Topic Name that is encoded in one loop. */
const PLAIN_TOPIC_LENGTH = 128

/** Encodes a Topic Name of ASCII in one loop; null for a long one, and one that is to be looked at closely. */
function plainTopicField(topic: string): Uint8Array | null {
  const { length } = topic
  if (length > PLAIN_TOPIC_LENGTH) return null
  const field = new Uint8Array(length + 2)
  field[1] = length
  for (let i = 0; i < length; i++) {
    const code = topic.charCodeAt(i)
    if (code === 0 || code > 0x7f || code === PLUS || code === HASH) return null
    field[i + 2] = code
  }
  return field
}

function otherTopicField(topic: string): Uint8Array {
  const length = utf8Length(topic)
  if (length < 0)
    throw cannotEncode('the Topic Name has U+0000 or a lone surrogate, which a string of MQTT must not have')
  if (length > 0xffff) throw cannotEncode(`the Topic Name has ${length} bytes of UTF-8; at most 65,535 are possible`)
  if (length > 0 && !couldBeTopicName(topic))
    throw cannotEncode(`the Topic Name "${topic.slice(0, 100)}" has a wildcard; only a Topic Filter may have one`) // [MQTT-3.3.2-2]
  const field = new Uint8Array(length + 2)
  field[0] = length >> 8
  field[1] = length
  writeUtf8(topic, length, field, 2)
  return field
}

/**
 * Encodes Property Length and properties, in the order in which the object has them. `packetType` 0 means the Will.
 * Without properties the result is a shared array: do not write to it.
 *
 * @throws {MqttError} ERR_MQTT_ENCODE for a property that may not stand in that packet or a value out of its range
 */
export function encodeProperties(properties: Properties, packetType: number): Uint8Array {
  if (properties === NO_PROPERTIES) return EMPTY_PROPERTY_FIELD
  const writer = takeScratch()
  try {
    writeProperties(writer, properties, packetType)
    return written(writer)
  } finally {
    giveScratch(writer)
  }
}

/** Joins two property fields to one, the properties of `first` before those of `second`. */
export function joinPropertyFields(first: Uint8Array, second: Uint8Array): Uint8Array {
  const firstStart = lengthBytes(first)
  const secondStart = lengthBytes(second)
  const writer = takeScratch()
  try {
    const at = writer.lengthAhead()
    writer.raw(first, firstStart, first.length)
    writer.raw(second, secondStart, second.length)
    writer.setLength(at)
    return written(writer)
  } finally {
    giveScratch(writer)
  }
}

/** Returns the number of bytes of the Variable Byte Integer that a field begins with. */
function lengthBytes(field: Uint8Array): number {
  let bytes = 1
  while (field[bytes - 1]! > 0x7f) bytes++
  return bytes
}

function writeProperties(writer: ByteWriter, properties: Properties, packetType: number): void {
  if (properties === NO_PROPERTIES) {
    writer.byte(0) // [MQTT-2.2.2-1]
    return
  }
  const at = writer.lengthAhead()
  for (const name in properties) {
    const value = (properties as Record<string, unknown>)[name]
    if (value === undefined) continue
    const definition = propertyByName.get(name)
    if (definition === undefined) throw cannotEncode(`there is no property ${name}`)
    if (((definition.packets >> packetType) & 1) === 0)
      throw cannotEncode(
        `${name} is not allowed in ${packetType === WILL_PROPERTIES ? 'a Will' : packetTypeName(packetType)}`,
      )
    writeProperty(writer, definition, value, packetType)
  }
  writer.setLength(at)
}

function writeProperty(writer: ByteWriter, definition: PropertyDefinition, value: unknown, packetType: number): void {
  const { id, name } = definition
  switch (definition.type) {
    case PropertyType.Byte:
      writer.byte(id)
      writer.byte(numberIn(value, definition))
      return
    case PropertyType.Boolean:
      if (typeof value !== 'boolean') throw cannotEncode(`${name} must be true or false, not ${String(value)}`)
      writer.byte(id)
      writer.byte(value ? 1 : 0)
      return
    case PropertyType.TwoByteInteger:
      writer.byte(id)
      writer.twoByteInteger(numberIn(value, definition))
      return
    case PropertyType.FourByteInteger:
      writer.byte(id)
      writer.fourByteInteger(numberIn(value, definition))
      return
    case PropertyType.VariableByteInteger: {
      const numbers = arrayOf(value, name)
      if (packetType === PacketType.SUBSCRIBE && numbers.length > 1)
        throw cannotEncode(`${name} has ${numbers.length} values; a SUBSCRIBE takes one`)
      for (const n of numbers) {
        writer.byte(id)
        writer.variableByteInteger(numberIn(n, definition))
      }
      return
    }
    case PropertyType.Utf8String:
      if (definition.isTopicName && !couldBeTopicName(String(value)))
        throw cannotEncode(`${name} is empty or has a wildcard`) // [MQTT-3.3.2-14]
      writer.byte(id)
      writer.utf8String(value as string, name)
      return
    case PropertyType.Utf8StringPair: // [MQTT-1.5.7-1]
      for (const pair of arrayOf(value, name)) {
        const [key, text] = arrayOf(pair, name)
        writer.byte(id)
        writer.utf8String(key as string, name)
        writer.utf8String(text as string, name)
      }
      return
    default:
      writer.byte(id)
      writer.binaryData(value as Uint8Array, name)
  }
}

function arrayOf(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw cannotEncode(`${name} must be an array, not ${typeof value}`)
  return value
}

function numberIn(value: unknown, definition: PropertyDefinition): number {
  return integerIn(value, definition.minimum, definition.maximum, definition.name)
}

function integerIn(value: unknown, minimum: number, maximum: number, name: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum)
    throw cannotEncode(`${name} must be an integer from ${minimum} to ${maximum}, not ${String(value)}`)
  return value
}

function tooLarge(remainingLength: number): MqttError {
  return cannotEncode(`a packet would have ${remainingLength} bytes after its fixed header; MQTT allows 268,435,455`)
}

// --- whole packets --------------------------------------------------------------------------------------------------------

/**
 * Encodes one packet to an array of exactly its size.
 *
 * @throws {MqttError} ERR_MQTT_ENCODE for what may not stand on the wire; the message names the field
 */
export function encode(packet: Packet, protocolVersion: ProtocolVersion): Uint8Array {
  const writer = takeScratch()
  try {
    encodeTo(writer, packet, protocolVersion)
    return written(writer)
  } finally {
    giveScratch(writer)
  }
}

/** Returns the size of the packet in bytes, fixed header included. Throws like `encode`. */
export function encodedSize(packet: Packet, protocolVersion: ProtocolVersion): number {
  const writer = takeScratch()
  try {
    if (packet.type !== PacketType.PUBLISH) {
      encodeTo(writer, packet, protocolVersion)
      return writer.length
    }
    // A payload may be large and need not be copied to be measured.
    const remainingLength = writePublishVariableHeader(writer, packet, protocolVersion)
    return 1 + variableByteIntegerSize(remainingLength) + remainingLength
  } finally {
    giveScratch(writer)
  }
}

function takeScratch(): ByteWriter {
  scratch.reset()
  return scratch
}

function giveScratch(writer: ByteWriter): void {
  if (writer.bytes.length > SCRATCH_BYTES_MAX) scratch = new ByteWriter(SCRATCH_BYTES)
}

function written(writer: ByteWriter): Uint8Array {
  const result = new Uint8Array(writer.length)
  copy(writer.bytes, 0, result, 0, result.length)
  return result
}

/** Appends one packet. When it throws, the writer stays as it was. */
export function encodeTo(writer: ByteWriter, packet: Packet, protocolVersion: ProtocolVersion): void {
  const start = writer.length
  try {
    if (packet.type === PacketType.PUBLISH) {
      encodePublish(writer, packet, protocolVersion)
      return
    }
    writer.byte(firstByteOf(packet))
    const at = writer.lengthAhead()
    encodeBody(writer, packet, protocolVersion)
    const remainingLength = writer.length - at - 1
    if (remainingLength > REMAINING_LENGTH_MAX) throw tooLarge(remainingLength)
    writer.setLength(at)
  } catch (error) {
    writer.length = start
    throw error
  }
}

function firstByteOf(packet: Packet): number {
  const { type } = packet
  const flags =
    type === PacketType.PUBREL || type === PacketType.SUBSCRIBE || type === PacketType.UNSUBSCRIBE ? 0x02 : 0
  return (type << 4) | flags
}

function encodeBody(writer: ByteWriter, packet: Exclude<Packet, Publish>, version: ProtocolVersion): void {
  switch (packet.type) {
    case 1:
      encodeConnect(writer, packet, version)
      return
    case 2:
      encodeConnack(writer, packet, version)
      return
    case 4:
    case 5:
    case 6:
    case 7:
      encodeAck(writer, packet, version)
      return
    case 8:
      encodeSubscribe(writer, packet, version)
      return
    case 9:
    case 11:
      encodeSubackOrUnsuback(writer, packet, version)
      return
    case 10:
      encodeUnsubscribe(writer, packet, version)
      return
    case 12:
    case 13:
      return
    case 14:
      encodeDisconnect(writer, packet, version)
      return
    default:
      encodeAuth(writer, packet, version)
  }
}

function encodeConnect(writer: ByteWriter, packet: Connect, version: ProtocolVersion): void {
  if (packet.protocolVersion !== version)
    throw cannotEncode(`the CONNECT has protocol version ${packet.protocolVersion}, its connection ${version}`)
  const { will, username, password } = packet
  if (version !== 5 && password !== undefined && username === undefined)
    throw cannotEncode('a password needs a username before MQTT 5.0') // [MQTT-3.1.1:3.1.2-22]
  writer.utf8String(version === 3 ? 'MQIsdp' : 'MQTT', 'Protocol Name')
  writer.byte(packet.isBridge ? version | 0x80 : version)
  let flags = packet.cleanStart ? 0x02 : 0
  if (will !== undefined) flags |= 0x04 | (integerIn(will.qos, 0, 2, 'Will QoS') << 3) | (will.retain ? 0x20 : 0)
  if (password !== undefined) flags |= 0x40
  if (username !== undefined) flags |= 0x80
  writer.byte(flags)
  writer.twoByteInteger(integerIn(packet.keepAliveSeconds, 0, 0xffff, 'keepAliveSeconds'))
  if (version === 5) {
    if (packet.properties.authenticationData !== undefined && packet.properties.authenticationMethod === undefined)
      throw cannotEncode('authenticationData needs authenticationMethod')
    writeProperties(writer, packet.properties, PacketType.CONNECT)
  }
  writer.utf8String(packet.clientId, 'clientId')
  if (will !== undefined) {
    if (version === 5) writeProperties(writer, will.properties, WILL_PROPERTIES)
    if (!couldBeTopicName(will.topic)) throw cannotEncode('the Will Topic is empty or has a wildcard')
    writer.utf8String(will.topic, 'Will Topic')
    writer.binaryData(will.payload, 'Will Payload')
  }
  if (username !== undefined) writer.utf8String(username, 'username')
  if (password !== undefined) writer.binaryData(password, 'password')
}

function encodeConnack(writer: ByteWriter, packet: Connack, version: ProtocolVersion): void {
  writeReasonCodeCheck(PacketType.CONNACK, version, packet.reasonCode)
  if (packet.sessionPresent && packet.reasonCode !== 0)
    throw cannotEncode('sessionPresent must be false in a CONNACK that refuses') // [MQTT-3.2.2-6]
  writer.byte(packet.sessionPresent && version !== 3 ? 1 : 0)
  writer.byte(packet.reasonCode)
  if (version === 5) writeProperties(writer, packet.properties, PacketType.CONNACK)
}

function writeReasonCodeCheck(type: number, version: ProtocolVersion, reasonCode: number): void {
  if (!isReasonCodeOf(type, version, 'server', reasonCode) && !isReasonCodeOf(type, version, 'client', reasonCode))
    throw cannotEncode(
      `Reason Code ${reasonCode} is not allowed in ${packetTypeName(type)} of protocol version ${version}`,
    )
}

function writePacketIdentifier(writer: ByteWriter, packetId: number): void {
  writer.twoByteInteger(integerIn(packetId, 1, 0xffff, 'packetId')) // [MQTT-2.2.1-3] [MQTT-2.2.1-4]
}

/** Writes Topic Name, Packet Identifier and properties. Returns the Remaining Length of the packet. */
function writePublishVariableHeader(writer: ByteWriter, packet: Publish, version: ProtocolVersion): number {
  const start = writer.length
  // `packet.topicField` is not used: `topic` may have been changed since.
  const { topic } = packet
  if (topic === '') {
    if (version !== 5 || packet.properties.topicAlias === undefined)
      throw cannotEncode('the Topic Name is empty and there is no Topic Alias')
  } else if (!couldBeTopicName(topic))
    throw cannotEncode(`the Topic Name "${topic.slice(0, 100)}" has a wildcard; only a Topic Filter may have one`) // [MQTT-3.3.2-2]
  writer.utf8String(topic, 'the Topic Name')
  // [MQTT-2.2.1-2] [MQTT-4.3.1-1]
  if (integerIn(packet.qos, 0, 2, 'qos') !== 0) writePacketIdentifier(writer, packet.packetId)
  else if (packet.dup) throw cannotEncode('dup must be false at QoS 0') // [MQTT-3.3.1-2]
  if (version === 5) writeProperties(writer, packet.properties, PacketType.PUBLISH)
  const remainingLength = writer.length - start + packet.payloadEnd - packet.payloadStart
  if (remainingLength > REMAINING_LENGTH_MAX) throw tooLarge(remainingLength)
  return remainingLength
}

function encodePublish(writer: ByteWriter, packet: Publish, version: ProtocolVersion): void {
  const start = writer.length
  const payloadLength = packet.payloadEnd - packet.payloadStart
  // Leave as many bytes as the Remaining Length will probably take. After a wrong guess the bytes up to the payload are
  // moved: those are few.
  const guess = variableByteIntegerSize(payloadLength + packet.topic.length + 5)
  writer.reserve(1 + guess)
  const headerStart = start + 1 + guess
  writer.length = headerStart
  const remainingLength = writePublishVariableHeader(writer, packet, version)
  const width = variableByteIntegerSize(remainingLength)
  writer.reserve(width + payloadLength)
  if (width !== guess) {
    writer.bytes.copyWithin(start + 1 + width, headerStart, writer.length)
    writer.length += width - guess
  }
  writer.bytes[start] = 0x30 | (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0)
  writeVariableByteInteger(writer.bytes, start + 1, remainingLength)
  writer.raw(packet.buffer, packet.payloadStart, packet.payloadEnd)
}

function encodeAck(writer: ByteWriter, packet: Puback | Pubrec | Pubrel | Pubcomp, version: ProtocolVersion): void {
  writePacketIdentifier(writer, packet.packetId)
  if (version === 5) writeReasonCodeAndProperties(writer, packet)
}

/** Writes Reason Code and properties of a packet that may leave out both, or the second one. */
function writeReasonCodeAndProperties(
  writer: ByteWriter,
  packet: Puback | Pubrec | Pubrel | Pubcomp | Disconnect | Auth,
): void {
  writeReasonCodeCheck(packet.type, 5, packet.reasonCode)
  const start = writer.length
  writer.byte(packet.reasonCode)
  const propertiesStart = writer.length
  writeProperties(writer, packet.properties, packet.type)
  if (writer.length > propertiesStart + 1) return
  // Without properties (one byte, the Property Length) leave out both: an AUTH has both fields or none.
  if (packet.reasonCode === 0) writer.length = start
  else if (packet.type !== PacketType.AUTH) writer.length = propertiesStart
}

function encodeSubscribe(writer: ByteWriter, packet: Subscribe, version: ProtocolVersion): void {
  if (packet.subscriptions.length === 0) throw cannotEncode('a SUBSCRIBE needs at least one subscription') // [MQTT-3.8.3-2]
  writePacketIdentifier(writer, packet.packetId)
  if (version === 5) writeProperties(writer, packet.properties, PacketType.SUBSCRIBE)
  for (const subscription of packet.subscriptions) {
    const { topicFilter } = subscription
    if (topicFilter === '') throw cannotEncode('a Topic Filter is empty') // [MQTT-4.7.3-1]
    writer.utf8String(topicFilter, 'Topic Filter')
    let options = integerIn(subscription.qos, 0, 2, 'qos of a subscription')
    if (version === 5) {
      if (subscription.noLocal) {
        if (topicFilter.startsWith('$share/')) throw cannotEncode('noLocal is not allowed for a Shared Subscription') // [MQTT-3.8.3-4]
        options |= 0x04
      }
      if (subscription.retainAsPublished) options |= 0x08
      options |= integerIn(subscription.retainHandling, 0, 2, 'retainHandling') << 4
    }
    writer.byte(options)
  }
}

function encodeSubackOrUnsuback(writer: ByteWriter, packet: Suback | Unsuback, version: ProtocolVersion): void {
  writePacketIdentifier(writer, packet.packetId)
  if (packet.type === PacketType.UNSUBACK && version !== 5) return
  if (packet.reasonCodes.length === 0) throw cannotEncode('a SUBACK or UNSUBACK needs at least one Reason Code')
  if (version === 5) writeProperties(writer, packet.properties, packet.type)
  for (const reasonCode of packet.reasonCodes) {
    writeReasonCodeCheck(packet.type, version, reasonCode) // [MQTT-3.9.3-2] [MQTT-3.11.3-2]
    writer.byte(reasonCode)
  }
}

function encodeUnsubscribe(writer: ByteWriter, packet: Unsubscribe, version: ProtocolVersion): void {
  if (packet.topicFilters.length === 0) throw cannotEncode('an UNSUBSCRIBE needs at least one Topic Filter') // [MQTT-3.10.3-2]
  writePacketIdentifier(writer, packet.packetId)
  if (version === 5) writeProperties(writer, packet.properties, PacketType.UNSUBSCRIBE)
  for (const topicFilter of packet.topicFilters) {
    if (topicFilter === '') throw cannotEncode('a Topic Filter is empty') // [MQTT-4.7.3-1]
    writer.utf8String(topicFilter, 'Topic Filter')
  }
}

function encodeDisconnect(writer: ByteWriter, packet: Disconnect, version: ProtocolVersion): void {
  if (version === 5) writeReasonCodeAndProperties(writer, packet) // [MQTT-3.14.2-1]
}

function encodeAuth(writer: ByteWriter, packet: Auth, version: ProtocolVersion): void {
  if (version !== 5) throw cannotEncode('AUTH needs MQTT 5.0')
  const bodyStart = writer.length
  writeReasonCodeAndProperties(writer, packet) // [MQTT-3.15.2-1]
  if (writer.length > bodyStart && packet.properties.authenticationMethod === undefined)
    throw cannotEncode('an AUTH with a Reason Code or properties needs authenticationMethod')
}
