/**
 * What follows the fixed header, read by packet type: everything but PUBLISH and plain acknowledgements.
 *
 * Called by `Decoder` with a cursor over the variable header and payload. Each `readX` reads one packet type in the order of
 * its bytes, so that the first rule that is broken decides the Reason Code, and ends with `finish`: no byte is left over.
 * A CONNECT is judged in the order that a server needs: protocol name and level first, since they decide how to answer.
 *
 * Sources: MQTT 5.0 and 3.1.1 chapter 3, MQTT 3.1 section 3.
 */
import { type Cursor, couldBeTopicName, malformed, protocolError } from './cursor.ts'
import { ProtocolError } from './errors.ts'
import { isReasonCodeOf } from './packet-reason-codes.ts'
import {
  Auth,
  Connack,
  Connect,
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
  type QoS,
  Suback,
  Subscribe,
  type Subscription,
  Unsuback,
  Unsubscribe,
  type Will,
} from './packets.ts'
import { NO_PROPERTIES, WILL_PROPERTIES } from './properties.ts'
import { ReasonCode } from './reason-codes.ts'

/**
 * A CONNECT with a protocol name or level that we do not speak. `protocolLevel` is the level byte (without Mosquitto's bridge
 * bit) when the protocol name is "MQTT" or "MQIsdp", else -1: from 5 on answer in the manner of 5.0, below in that of 3.1.1.
 */
export class UnsupportedProtocolVersionError extends ProtocolError {
  readonly protocolLevel: number
  constructor(protocolLevel: number, message: string) {
    super(ReasonCode.UnsupportedProtocolVersion, message)
    this.protocolLevel = protocolLevel
  }
}

/** Bit 7 of the protocol level, set by bridges of Mosquitto's kind. */
const BRIDGE = 0x80

function readProtocol(cursor: Cursor): { version: ProtocolVersion; isBridge: boolean } {
  const name = cursor.utf8String('Protocol Name')
  const level = cursor.byte('Protocol Level')
  const version = level & ~BRIDGE
  if (name === 'MQTT') {
    if (version === 4 || level === 5) return { version: version as 4 | 5, isBridge: level > BRIDGE }
    throw new UnsupportedProtocolVersionError(version, `protocol level ${version}`) // [MQTT-3.1.2-2]
  }
  if (name === 'MQIsdp') {
    if (version === 3) return { version, isBridge: level > BRIDGE }
    throw new UnsupportedProtocolVersionError(version, `protocol level ${version} of MQIsdp`)
  }
  throw new UnsupportedProtocolVersionError(-1, 'the protocol name is neither MQTT nor MQIsdp') // [MQTT-3.1.2-1]
}

/**
 * Sets `connection.protocolVersion` when it is known, so that an error after that is answered in the right version.
 * [MQTT-3.1.4-1] [MQTT-3.1.3-1]
 */
export function readConnect(cursor: Cursor, first: number, connection: { protocolVersion: ProtocolVersion }): Connect {
  const bodyStart = cursor.position
  const { version, isBridge } = readProtocol(cursor)
  connection.protocolVersion = version
  if (version !== 3 && (first & 0x0f) !== 0) throw malformed('flags in the header of CONNECT') // [MQTT-2.1.3-1]
  if (version === 5 && isPadded(cursor.bytes, bodyStart))
    throw malformed('Remaining Length takes more bytes than it needs') // [MQTT-1.5.5-1]
  const flags = cursor.byte('Connect Flags')
  const hasUsername = (flags & 0x80) !== 0
  const hasPassword = (flags & 0x40) !== 0
  const hasWill = (flags & 0x04) !== 0
  const willQos = (flags >> 3) & 3
  // 3.1 leaves bit 0 unused and ignores the Will bits when there is no Will.
  if (version !== 3) {
    if ((flags & 0x01) !== 0) throw malformed('the reserved Connect Flag is set') // [MQTT-3.1.2-3]
    if (!hasWill && (flags & 0x38) !== 0) throw malformed('Will QoS or Will Retain without Will Flag') // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  }
  if (willQos === 3 && (hasWill || version !== 3)) throw malformed('Will QoS 3') // [MQTT-3.1.2-12]
  if (version !== 5 && hasPassword && !hasUsername) throw malformed('a Password without a User Name') // [MQTT-3.1.1:3.1.2-22]
  const keepAliveSeconds = cursor.twoByteInteger('Keep Alive')
  const properties = version === 5 ? cursor.properties(PacketType.CONNECT) : NO_PROPERTIES
  // 3.1.2.11.10: "It is a Protocol Error to include Authentication Data if there is no Authentication Method."
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined)
    throw protocolError('Authentication Data without Authentication Method')
  const clientId = cursor.utf8String('Client Identifier') // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
  let will: Will | undefined
  if (hasWill) {
    const willProperties = version === 5 ? cursor.properties(WILL_PROPERTIES) : NO_PROPERTIES
    const topic = cursor.utf8String('Will Topic') // [MQTT-3.1.2-9] [MQTT-3.1.3-11]
    if (!couldBeTopicName(topic))
      throw new ProtocolError(ReasonCode.TopicNameInvalid, 'the Will Topic is empty or has a wildcard')
    const payload = cursor.binaryData('Will Payload')
    will = { topic, payload, qos: willQos as QoS, retain: (flags & 0x20) !== 0, properties: willProperties }
  }
  // In 3.1 the Remaining Length goes before the flags: a flag may be set and its field not there.
  const mayEnd = version === 3
  let username: string | undefined
  if (hasUsername && !(mayEnd && cursor.position === cursor.end)) username = cursor.utf8String('User Name') // [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.3-12]
  let password: Uint8Array | undefined
  if (hasPassword && !(mayEnd && cursor.position === cursor.end)) password = cursor.binaryData('Password') // [MQTT-3.1.2-18] [MQTT-3.1.2-19]
  cursor.finish()
  return new Connect({
    protocolVersion: version,
    cleanStart: (flags & 0x02) !== 0,
    keepAliveSeconds,
    clientId,
    will,
    username,
    password,
    properties,
    isBridge,
  })
}

/** True if the Remaining Length that ends at `bodyStart` has a last byte that says nothing. */
function isPadded(bytes: Uint8Array, bodyStart: number): boolean {
  // Only then is the byte before the last of the field one with a continuation bit: a first byte of a CONNECT has none.
  return bytes[bodyStart - 1] === 0 && bytes[bodyStart - 2]! > 0x7f
}

/** Variable header and payload of every packet type but CONNECT and PUBLISH. */
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
      throw protocolError(`packet type ${type}`) // fixed-headers.ts has let none of these through
  }
}

function reasonCodeOf(cursor: Cursor, type: number, version: ProtocolVersion, sender: 'server' | 'client'): number {
  const code = cursor.byte('Reason Code')
  if (!isReasonCodeOf(type, version, sender, code))
    throw protocolError(`Reason Code 0x${code.toString(16)} may not stand in packet type ${type} of a ${sender}`)
  return code
}

function readConnack(cursor: Cursor, version: ProtocolVersion): Connack {
  const flags = cursor.byte('Connect Acknowledge Flags')
  // In 3.1 this byte is "not used".
  if (version !== 3 && (flags & 0xfe) !== 0) throw malformed('reserved Connect Acknowledge Flags are set') // [MQTT-3.2.2-1]
  const sessionPresent = version !== 3 && flags === 1
  // A server of 3.1.1 answers our 5.0 in its own way: two bytes, "unacceptable protocol version" ([MQTT-3.1.1:3.1.2-2]).
  if (version === 5 && cursor.end - cursor.position === 1 && cursor.bytes[cursor.position] === 1) {
    cursor.position++
    return new Connack(false, ReasonCode.UnsupportedProtocolVersion)
  }
  const reasonCode = reasonCodeOf(cursor, PacketType.CONNACK, version, 'server') // [MQTT-3.2.2-8]
  if (sessionPresent && reasonCode !== 0) throw protocolError('Session Present in a CONNACK that refuses') // [MQTT-3.2.2-6]
  const properties = version === 5 ? cursor.properties(PacketType.CONNACK) : NO_PROPERTIES
  cursor.finish()
  return new Connack(sessionPresent, reasonCode, properties)
}

function readAck(cursor: Cursor, type: number, version: ProtocolVersion, sender: 'server' | 'client'): Packet {
  const packetId = cursor.packetIdentifier()
  let reasonCode = 0
  let properties = NO_PROPERTIES
  if (version === 5 && cursor.position < cursor.end) {
    reasonCode = reasonCodeOf(cursor, type, version, sender) // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
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

function readSubscribe(cursor: Cursor, version: ProtocolVersion): Subscribe {
  const packetId = cursor.packetIdentifier()
  const properties = version === 5 ? cursor.properties(PacketType.SUBSCRIBE) : NO_PROPERTIES
  if (cursor.position === cursor.end) throw protocolError('a SUBSCRIBE without Topic Filter') // [MQTT-3.8.3-2]
  const subscriptions: Subscription[] = []
  while (cursor.position < cursor.end) {
    const topicFilter = readTopicFilter(cursor)
    const options = cursor.byte('Subscription Options')
    subscriptions.push(subscriptionOf(topicFilter, options, version))
  }
  return new Subscribe(packetId, subscriptions, properties)
}

function subscriptionOf(topicFilter: string, options: number, version: ProtocolVersion): Subscription {
  const qos = options & 3
  if (version !== 5) {
    // 3.1.1: malformed. 3.1 does not use the upper six bits. [MQTT-3.1.1:3.8.3-4]
    if (qos === 3 || (version === 4 && options > 3)) throw malformed(`Requested QoS ${options}`)
    return { topicFilter, qos: qos as QoS, noLocal: false, retainAsPublished: false, retainHandling: 0 }
  }
  if ((options & 0xc0) !== 0) throw malformed('reserved bits in the Subscription Options') // [MQTT-3.8.3-5]
  if (qos === 3) throw protocolError('Maximum QoS 3 in the Subscription Options')
  const retainHandling = (options >> 4) & 3
  if (retainHandling === 3) throw protocolError('Retain Handling 3')
  const noLocal = (options & 0x04) !== 0
  if (noLocal && topicFilter.startsWith('$share/')) throw protocolError('No Local on a Shared Subscription') // [MQTT-3.8.3-4]
  return {
    topicFilter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

/** Well-formed and not empty [MQTT-4.7.3-1]; its wildcards are judged by the session, which answers per Topic Filter. */
function readTopicFilter(cursor: Cursor): string {
  const topicFilter = cursor.utf8String('Topic Filter') // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
  if (topicFilter === '') throw malformed('a Topic Filter is empty')
  return topicFilter
}

function readSuback(cursor: Cursor, version: ProtocolVersion): Suback {
  const packetId = cursor.packetIdentifier()
  const properties = version === 5 ? cursor.properties(PacketType.SUBACK) : NO_PROPERTIES
  if (cursor.position === cursor.end) throw protocolError('a SUBACK without Reason Code')
  const reasonCodes: number[] = []
  while (cursor.position < cursor.end) reasonCodes.push(reasonCodeOf(cursor, PacketType.SUBACK, version, 'server')) // [MQTT-3.9.3-2]
  return new Suback(packetId, reasonCodes, properties)
}

function readUnsubscribe(cursor: Cursor, version: ProtocolVersion): Unsubscribe {
  const packetId = cursor.packetIdentifier()
  const properties = version === 5 ? cursor.properties(PacketType.UNSUBSCRIBE) : NO_PROPERTIES
  if (cursor.position === cursor.end) throw protocolError('an UNSUBSCRIBE without Topic Filter') // [MQTT-3.10.3-2]
  const topicFilters: string[] = []
  while (cursor.position < cursor.end) topicFilters.push(readTopicFilter(cursor))
  return new Unsubscribe(packetId, topicFilters, properties)
}

function readUnsuback(cursor: Cursor, version: ProtocolVersion): Unsuback {
  const packetId = cursor.packetIdentifier()
  if (version !== 5) {
    cursor.finish()
    return new Unsuback(packetId, [])
  }
  const properties = cursor.properties(PacketType.UNSUBACK)
  if (cursor.position === cursor.end) throw protocolError('an UNSUBACK without Reason Code')
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
    throw protocolError('a Server Reference in a DISCONNECT of a client')
  if (sender === 'server' && properties.sessionExpiryIntervalSeconds !== undefined)
    throw protocolError('a Session Expiry Interval in a DISCONNECT of a server') // [MQTT-3.14.2-2]
  return new Disconnect(reasonCode, properties)
}

function readAuth(cursor: Cursor, sender: 'server' | 'client'): Auth {
  // "The Reason Code and Property Length can be omitted if the Reason Code is 0x00 and there are no Properties."
  const isEmpty = cursor.position === cursor.end
  const reasonCode = isEmpty ? 0 : cursor.byte('Reason Code')
  if (!isReasonCodeOf(PacketType.AUTH, 5, sender, reasonCode))
    throw protocolError(`Reason Code 0x${reasonCode.toString(16)} in an AUTH of a ${sender}`) // [MQTT-3.15.2-1]
  if (isEmpty) return new Auth()
  const properties = cursor.properties(PacketType.AUTH)
  cursor.finish()
  // 3.15.2.2.2: "It is a Protocol Error to omit the Authentication Method".
  if (properties.authenticationMethod === undefined) throw protocolError('an AUTH without Authentication Method')
  return new Auth(reasonCode, properties)
}
