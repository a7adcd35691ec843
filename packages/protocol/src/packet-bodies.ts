/**
 * Bodies of packets: everything after the fixed header, read by packet type, except PUBLISH and plain acknowledgements.
 *
 * Called by `Decoder` with a cursor over the variable header and payload. Each `readX` reads one packet type in the
 * order of its bytes, so that the first broken rule decides the Reason Code, and ends with `finish`, which refuses
 * bytes that are left over.
 *
 * Sources: MQTT 5.0 and 3.1.1 chapter 3, MQTT 3.1 section 3.
 */
import { type Cursor, malformed, protocolError } from './cursor.ts'
import { isReasonCodeOf } from './packet-reason-codes.ts'
import {
  Auth,
  Connack,
  Disconnect,
  type Packet,
  PacketType,
  Pingreq,
  Pingresp,
  type ProtocolVersion,
  Puback,
  Pubcomp,
  Pubrec,
  Pubrel,
  packetTypeName,
  Suback,
  Unsuback,
} from './packets.ts'
import { NO_PROPERTIES } from './properties.ts'
import { ReasonCode } from './reason-codes.ts'
import { readSubscribe, readUnsubscribe } from './server-packets.ts'

/** Reads variable header and payload of every packet type but CONNECT and PUBLISH. */
export function readPacketBody(
  cursor: Cursor,
  type: number,
  version: ProtocolVersion,
  role: 'server' | 'client',
): Packet {
  const sender = role === 'server' ? 'client' : 'server'
  switch (type) {
    case PacketType.CONNACK:
      return readConnack(cursor, version)
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return readAck(cursor, type, version, sender)
    case PacketType.SUBSCRIBE:
      return readSubscribe(cursor, version)
    case PacketType.SUBACK:
      return readSuback(cursor, version)
    case PacketType.UNSUBSCRIBE:
      return readUnsubscribe(cursor, version)
    case PacketType.UNSUBACK:
      return readUnsuback(cursor, version)
    case PacketType.PINGREQ:
      cursor.finish()
      return new Pingreq()
    case PacketType.PINGRESP:
      cursor.finish()
      return new Pingresp()
    case PacketType.DISCONNECT:
      return readDisconnect(cursor, version, sender)
    case PacketType.AUTH:
      return readAuth(cursor, sender)
    default:
      throw protocolError(`${packetTypeName(type)} was not expected`) // fixed-headers.ts refuses these types
  }
}

function reasonCodeOf(cursor: Cursor, type: number, version: ProtocolVersion, sender: 'server' | 'client'): number {
  const code = cursor.byte('Reason Code')
  if (!isReasonCodeOf(type, version, sender, code))
    throw protocolError(`Reason Code 0x${code.toString(16)} is not allowed in ${packetTypeName(type)} of a ${sender}`)
  return code
}

function readConnack(cursor: Cursor, version: ProtocolVersion): Connack {
  const flags = cursor.byte('Connect Acknowledge Flags')
  // In 3.1 this byte is "not used".
  if (version !== 3 && (flags & 0xfe) !== 0) throw malformed('CONNACK has reserved flags set') // [MQTT-3.2.2-1]
  const sessionPresent = version !== 3 && flags === 1
  // A server of 3.1.1 answers a CONNECT of 5.0 in its own way: two bytes, "unacceptable protocol version"
  // ([MQTT-3.1.1:3.1.2-2]).
  if (version === 5 && cursor.end - cursor.position === 1 && cursor.bytes[cursor.position] === 1) {
    cursor.position++
    return new Connack(false, ReasonCode.UnsupportedProtocolVersion)
  }
  const reasonCode = reasonCodeOf(cursor, PacketType.CONNACK, version, 'server') // [MQTT-3.2.2-8]
  if (sessionPresent && reasonCode !== 0) throw protocolError('CONNACK refuses and has Session Present set') // [MQTT-3.2.2-6]
  const properties = version === 5 ? cursor.properties(PacketType.CONNACK) : NO_PROPERTIES
  cursor.finish()
  return new Connack(sessionPresent, reasonCode, properties)
}

/**
 * Whether a server refuses a PUBLISH with 0x95, Packet too large: in no table, but Mosquitto up to 2.1 does it over its
 * `message_size_limit`. Taken for an error, the same message would be sent after each connection, and none behind it.
 */
function isTooLarge(cursor: Cursor, type: number, sender: 'server' | 'client'): boolean {
  const isAnswer = type === PacketType.PUBACK || type === PacketType.PUBREC
  return isAnswer && sender === 'server' && cursor.bytes[cursor.position] === ReasonCode.PacketTooLarge
}

function readAck(cursor: Cursor, type: number, version: ProtocolVersion, sender: 'server' | 'client'): Packet {
  const packetId = cursor.packetIdentifier()
  let reasonCode = 0
  let properties = NO_PROPERTIES
  if (version === 5 && cursor.position < cursor.end) {
    reasonCode = isTooLarge(cursor, type, sender)
      ? cursor.byte('Reason Code')
      : reasonCodeOf(cursor, type, version, sender) // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
    // "If the Remaining Length is less than 4 there is no Property Length and the value of 0 is used."
    if (cursor.position < cursor.end) properties = cursor.properties(type)
  }
  cursor.finish()
  switch (type) {
    case PacketType.PUBACK:
      return new Puback(packetId, reasonCode, properties)
    case PacketType.PUBREC:
      return new Pubrec(packetId, reasonCode, properties)
    case PacketType.PUBREL:
      return new Pubrel(packetId, reasonCode, properties)
    default:
      return new Pubcomp(packetId, reasonCode, properties)
  }
}

function readSuback(cursor: Cursor, version: ProtocolVersion): Suback {
  const packetId = cursor.packetIdentifier()
  const properties = version === 5 ? cursor.properties(PacketType.SUBACK) : NO_PROPERTIES
  if (cursor.position === cursor.end) throw protocolError('SUBACK has no Reason Code')
  const reasonCodes: number[] = []
  while (cursor.position < cursor.end) reasonCodes.push(reasonCodeOf(cursor, PacketType.SUBACK, version, 'server')) // [MQTT-3.9.3-2]
  return new Suback(packetId, reasonCodes, properties)
}

function readUnsuback(cursor: Cursor, version: ProtocolVersion): Unsuback {
  const packetId = cursor.packetIdentifier()
  if (version !== 5) {
    cursor.finish()
    return new Unsuback(packetId, [])
  }
  const properties = cursor.properties(PacketType.UNSUBACK)
  if (cursor.position === cursor.end) throw protocolError('UNSUBACK has no Reason Code')
  const reasonCodes: number[] = []
  while (cursor.position < cursor.end) reasonCodes.push(reasonCodeOf(cursor, PacketType.UNSUBACK, version, 'server')) // [MQTT-3.11.3-2]
  return new Unsuback(packetId, reasonCodes, properties)
}

function readDisconnect(cursor: Cursor, version: ProtocolVersion, sender: 'server' | 'client'): Disconnect {
  if (version !== 5 || cursor.position === cursor.end) {
    cursor.finish()
    return new Disconnect()
  }
  const reasonCode = reasonCodeOf(cursor, PacketType.DISCONNECT, version, sender) // [MQTT-3.14.2-1]
  // "If the Remaining Length is less than 2, a value of 0 is used" for the Property Length.
  const properties = cursor.position < cursor.end ? cursor.properties(PacketType.DISCONNECT) : NO_PROPERTIES
  cursor.finish()
  if (sender === 'client' && properties.serverReference !== undefined)
    throw protocolError('DISCONNECT of a client has a Server Reference')
  if (sender === 'server' && properties.sessionExpiryIntervalSeconds !== undefined)
    throw protocolError('DISCONNECT of a server has a Session Expiry Interval') // [MQTT-3.14.2-2]
  return new Disconnect(reasonCode, properties)
}

function readAuth(cursor: Cursor, sender: 'server' | 'client'): Auth {
  // "The Reason Code and Property Length can be omitted if the Reason Code is 0x00 and there are no Properties."
  const isEmpty = cursor.position === cursor.end
  const reasonCode = isEmpty ? 0 : cursor.byte('Reason Code')
  if (!isReasonCodeOf(PacketType.AUTH, 5, sender, reasonCode))
    throw protocolError(`Reason Code 0x${reasonCode.toString(16)} is not allowed in AUTH of a ${sender}`) // [MQTT-3.15.2-1]
  if (isEmpty) return new Auth()
  const properties = cursor.properties(PacketType.AUTH)
  cursor.finish()
  // 3.15.2.2.2: "It is a Protocol Error to omit the Authentication Method".
  if (properties.authenticationMethod === undefined) throw protocolError('AUTH has no Authentication Method')
  return new Auth(reasonCode, properties)
}
