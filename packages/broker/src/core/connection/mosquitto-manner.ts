/**
 * Answers of Mosquitto where MQTT leaves a choice and we choose otherwise: for `CoreOptions.answers`.
 *
 * Asked where a packet is handled; nothing is asked, and nothing costs, with our own answers. Invariant: what the specification
 * forbids is not here, also where Mosquitto does it.
 */
import {
  PacketType,
  ProtocolError,
  type ProtocolVersion,
  ReasonCode,
  topicLevels,
  UnsupportedProtocolVersionError,
} from '@recado/protocol'
import type { Context } from '../base/context.ts'
import { isConnectionState } from '../base/reserved-topics.ts'

/** Packets whose errors 2.0 tells an MQTT 5.0 client of. */
const TOLD_BY_2_0: ReadonlySet<number> = new Set([
  0, // none that there is
  PacketType.PUBLISH,
  PacketType.SUBSCRIBE,
  PacketType.UNSUBSCRIBE,
  PacketType.DISCONNECT,
  PacketType.AUTH,
])

/** Whether a connection ends without a word after this error in a packet of this type. */
export function isUntold({ options }: Context, error: ProtocolError, packetType: number): boolean {
  // 2.1 says what is wrong with a CONNECT, but not with its Will.
  if (options.answers === 'mosquitto-2.1') {
    return packetType === PacketType.CONNECT && error.detail.includes('Will Topic')
  }
  if (options.answers !== 'mosquitto-2.0') return false
  if (error instanceof UnsupportedProtocolVersionError || error.reasonCode === ReasonCode.PacketTooLarge) return false
  return !TOLD_BY_2_0.has(packetType)
}

/** Reason Code for an error in a packet of this type: Mosquitto has others for a Topic Name with wildcards, and for a Packet Identifier of 0. */
export function codeFor({ options }: Context, { reasonCode, detail }: ProtocolError, packetType: number): ReasonCode {
  if (options.answers === 'recado') return reasonCode
  if (packetType === PacketType.PUBLISH && reasonCode === ReasonCode.TopicNameInvalid) {
    return options.answers === 'mosquitto-2.0' ? ReasonCode.ProtocolError : ReasonCode.MalformedPacket
  }
  const isOfFilters = packetType === PacketType.SUBSCRIBE || packetType === PacketType.UNSUBSCRIBE
  return isOfFilters && detail === 'Packet Identifier is 0' ? ReasonCode.MalformedPacket : reasonCode
}

/** Checks the levels of a topic or filter that a client sent: for Mosquitto a packet with too many is malformed. @throws ProtocolError */
export function checkLevels({ options }: Context, topic: string, levelsMax: number, isFilter: boolean): void {
  if (options.answers === 'recado' || topic.length < levelsMax || topicLevels(topic) <= levelsMax) return
  const isProtocolError = options.answers === 'mosquitto-2.0' && !isFilter
  const code = isProtocolError ? ReasonCode.ProtocolError : ReasonCode.MalformedPacket
  throw new ProtocolError(code, `more than ${levelsMax} levels in a topic`)
}

/** Whether any client may publish to a topic that is the broker's otherwise: the state of a bridge. */
export const isOpenToAll = ({ options }: Context, topic: string): boolean =>
  options.answers !== 'recado' && isConnectionState(topic)

/** Whether nobody may publish to a topic that is free otherwise: one that looks like a Shared Subscription. */
export const isClosedToAll = ({ options }: Context, topic: string): boolean =>
  options.answers !== 'recado' && topic.startsWith('$share/')

/** Reason Code for an empty Client Identifier where none is assigned. */
export const codeForEmptyId = ({ options }: Context, protocolVersion: ProtocolVersion): ReasonCode =>
  options.answers !== 'recado' && protocolVersion === 5
    ? ReasonCode.UnspecifiedError
    : ReasonCode.ClientIdentifierNotValid

/** Reason Code where there are as many sessions as are allowed. */
export const codeForSessionsMax = ({ options }: Context): ReasonCode =>
  options.answers === 'recado' ? ReasonCode.QuotaExceeded : ReasonCode.ServerBusy

/** Whether a client is told that as many clients are connected as are allowed: 2.1 closes the connection before it reads. */
export const isToldOfPlaces = ({ options }: Context): boolean => options.answers !== 'mosquitto-2.1'

/** Whether a client is told that its Will is on a topic of commands: for 2.1 it is no valid CONNECT. */
export const isToldOfControl = ({ options }: Context, topic: string): boolean =>
  options.answers !== 'mosquitto-2.1' || !topic.startsWith('$CONTROL/')
