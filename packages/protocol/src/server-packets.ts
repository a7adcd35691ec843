/**
 * Bodies of the packets that only servers read: CONNECT, SUBSCRIBE and UNSUBSCRIBE. Continues `packet-bodies.ts`, whose
 * `readPacketBody` calls this; it is a file of its own because the client's browser bundle leaves it out
 * (tools/build-browser.mjs).
 *
 * A CONNECT is judged in the order that a server needs: protocol name and level first, since they decide how to answer.
 *
 * Sources: MQTT 5.0 and 3.1.1 sections 3.1, 3.8 and 3.10, MQTT 3.1 section 3.
 */
import { type Cursor, couldBeTopicName, malformed, protocolError } from './cursor.ts'
import { ProtocolError } from './errors.ts'
import {
  Connect,
  PacketType,
  type ProtocolVersion,
  type QoS,
  Subscribe,
  type Subscription,
  Unsubscribe,
  type Will,
} from './packets.ts'
import { NO_PROPERTIES, WILL_PROPERTIES } from './properties.ts'
import { ReasonCode } from './reason-codes.ts'

/**
 * Error for a CONNECT with an unknown protocol name or level. `protocolLevel` is the level byte (without Mosquitto's
 * bridge bit) when the protocol name is "MQTT" or "MQIsdp", else -1. Answer 5 and above in the manner of 5.0, lower
 * ones in that of 3.1.1.
 */
export class UnsupportedProtocolVersionError extends ProtocolError {
  override name: string = 'UnsupportedProtocolVersionError'
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
    if (version === 4 || version === 5) return { version, isBridge: level > BRIDGE }
    throw new UnsupportedProtocolVersionError(version, `protocol level ${version} of MQTT is not known; 4 and 5 are`) // [MQTT-3.1.2-2]
  }
  if (name === 'MQIsdp') {
    if (version === 3) return { version, isBridge: level > BRIDGE }
    throw new UnsupportedProtocolVersionError(version, `protocol level ${version} of MQIsdp is not known; 3 is`)
  }
  throw new UnsupportedProtocolVersionError(-1, 'the protocol name is neither MQTT nor MQIsdp') // [MQTT-3.1.2-1]
}

/**
 * Reads a CONNECT. Sets `connection.protocolVersion` when it is known, so that an error after that is answered in the
 * right version. [MQTT-3.1.4-1] [MQTT-3.1.3-1]
 */
export function readConnect(cursor: Cursor, first: number, connection: { protocolVersion: ProtocolVersion }): Connect {
  const bodyStart = cursor.position
  const { version, isBridge } = readProtocol(cursor)
  connection.protocolVersion = version
  if (version !== 3 && (first & 0x0f) !== 0) throw malformed('CONNECT has flags in its fixed header') // [MQTT-2.1.3-1]
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
    if (!hasWill && (flags & 0x38) !== 0) throw malformed('CONNECT has Will QoS or Will Retain without Will Flag') // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  }
  if (willQos === 3 && (hasWill || version !== 3)) throw malformed('CONNECT has Will QoS 3') // [MQTT-3.1.2-12]
  if (version !== 5 && hasPassword && !hasUsername) throw malformed('CONNECT has a Password without a User Name') // [MQTT-3.1.1:3.1.2-22]
  const keepAliveSeconds = cursor.twoByteInteger('Keep Alive')
  const properties = version === 5 ? cursor.properties(PacketType.CONNECT) : NO_PROPERTIES
  // 3.1.2.11.10: "It is a Protocol Error to include Authentication Data if there is no Authentication Method."
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined)
    throw protocolError('CONNECT has Authentication Data without Authentication Method')
  // The server itself answers a Client Identifier or User Name that it does not like.
  const clientId = cursor.utf8String('Client Identifier', false) // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
  let will: Will | undefined
  if (hasWill) {
    const willProperties = version === 5 ? cursor.properties(WILL_PROPERTIES) : NO_PROPERTIES
    const topic = willTopicFrom(cursor)
    if (!couldBeTopicName(topic))
      throw new ProtocolError(ReasonCode.TopicNameInvalid, 'the Will Topic is empty or has a wildcard')
    const payload = cursor.binaryData('Will Payload')
    will = { topic, payload, qos: willQos as QoS, retain: (flags & 0x20) !== 0, properties: willProperties }
  }
  // In 3.1 the Remaining Length overrules the flags: a flag may be set and its field be absent.
  const mayEnd = version === 3
  let username: string | undefined
  if (hasUsername && !(mayEnd && cursor.position === cursor.end)) username = cursor.utf8String('User Name', false) // [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.3-12]
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

/** Returns true when the Remaining Length that ends at `bodyStart` has a last byte that adds nothing. */
function isPadded(bytes: Uint8Array, bodyStart: number): boolean {
  // Only then has the byte before the last one a continuation bit: the first byte of a CONNECT has none.
  return bytes[bodyStart - 1] === 0 && bytes[bodyStart - 2]! > 0x7f
}

export function readSubscribe(cursor: Cursor, version: ProtocolVersion): Subscribe {
  const packetId = cursor.packetIdentifier()
  const properties = version === 5 ? cursor.properties(PacketType.SUBSCRIBE) : NO_PROPERTIES
  if (cursor.position === cursor.end) throw protocolError('SUBSCRIBE has no Topic Filter') // [MQTT-3.8.3-2]
  const subscriptions: Subscription[] = []
  while (cursor.position < cursor.end) {
    const topicFilter = readTopicFilter(cursor, subscriptions.length)
    const options = cursor.byte('Subscription Options')
    subscriptions.push(subscriptionOf(topicFilter, options, version))
  }
  return new Subscribe(packetId, subscriptions, properties)
}

function subscriptionOf(topicFilter: string, options: number, version: ProtocolVersion): Subscription {
  const qos = options & 3
  if (version !== 5) {
    // 3.1.1: malformed. 3.1 does not use the upper six bits. [MQTT-3.1.1:3.8.3-4]
    if (qos === 3 || (version === 4 && options > 3))
      throw malformed(`Requested QoS is ${options}; it must be 0, 1 or 2`)
    return { topicFilter, qos: qos as QoS, noLocal: false, retainAsPublished: false, retainHandling: 0 }
  }
  if ((options & 0xc0) !== 0) throw malformed('Subscription Options have reserved bits set') // [MQTT-3.8.3-5]
  if (qos === 3) throw protocolError('Subscription Options have Maximum QoS 3')
  const retainHandling = (options >> 4) & 3
  if (retainHandling === 3) throw protocolError('Subscription Options have Retain Handling 3')
  const noLocal = (options & 0x04) !== 0
  if (noLocal && topicFilter.startsWith('$share/')) throw protocolError('No Local is set for a Shared Subscription') // [MQTT-3.8.3-4]
  return {
    topicFilter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

/**
 * Reads a Topic Filter, well-formed and not empty [MQTT-4.7.3-1]. The session judges its wildcards, and answers for
 * each Topic Filter. `before` is the number of filters read before it.
 */
function readTopicFilter(cursor: Cursor, before: number): string {
  if (before >= cursor.topicFiltersMax) {
    const detail = `a packet has more than ${cursor.topicFiltersMax} Topic Filters, the most that are allowed`
    throw new ProtocolError(ReasonCode.QuotaExceeded, detail)
  }
  const topicFilter = cursor.utf8String('Topic Filter') // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
  if (topicFilter === '') throw malformed('a Topic Filter is empty')
  return topicFilter
}

export function readUnsubscribe(cursor: Cursor, version: ProtocolVersion): Unsubscribe {
  const packetId = cursor.packetIdentifier()
  const properties = version === 5 ? cursor.properties(PacketType.UNSUBSCRIBE) : NO_PROPERTIES
  if (cursor.position === cursor.end) throw protocolError('UNSUBSCRIBE has no Topic Filter') // [MQTT-3.10.3-2]
  const topicFilters: string[] = []
  while (cursor.position < cursor.end) topicFilters.push(readTopicFilter(cursor, topicFilters.length))
  return new Unsubscribe(packetId, topicFilters, properties)
}

/** Reads the Will Topic; an error says that it is in this field. [MQTT-3.1.2-9] [MQTT-3.1.3-11] */
function willTopicFrom(cursor: Cursor): string {
  try {
    return cursor.utf8String('Will Topic')
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.detail.startsWith('Will Topic')) throw error
    throw new ProtocolError(error.reasonCode, `Will Topic: ${error.detail}`)
  }
}
