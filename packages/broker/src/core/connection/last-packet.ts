/**
 * The last packet of a connection that we end: CONNACK or DISCONNECT, with as much of a reason as the client takes.
 *
 * `Connection.closeWith` sends it. The invariants: DISCONNECT after CONNACK only [MQTT-3.14.0-1]; no packet is larger than the Maximum
 * Packet Size of the client, whose Reason String and User Properties are left out first.
 *
 * Sources: MQTT 5.0 sections 3.2.2.3, 3.14.2 and 4.13.
 */
import {
  Connack,
  connectReturnCodeOf,
  Disconnect,
  encodedSize,
  type Packet,
  PacketType,
  type Properties,
  type ProtocolVersion,
  ReasonCode,
  reasonCodeName,
} from '@recado/protocol'
import { reasonCodeFor } from './reason-code-for.ts'

/** The client that is told why. */
export interface ToldClient {
  readonly protocolVersion: ProtocolVersion
  readonly maximumPacketSize: number
  /** Whether the client wants Reason Strings. */
  readonly requestProblemInformation: boolean
}

/**
 * Reason String and User Properties for the client, unless it asked for none or they would make the packet too large.
 * [MQTT-3.1.2-29] [MQTT-3.2.2-19] [MQTT-3.14.2-3]
 */
export function withProblemInformation<T extends Packet>(
  { protocolVersion, maximumPacketSize, requestProblemInformation }: ToldClient,
  properties: Properties,
  reasonString: string | undefined,
  make: (properties: Properties) => T,
): T {
  if (protocolVersion === 5 && reasonString !== undefined && requestProblemInformation) {
    const packet = make({ ...properties, reasonString })
    if (encodedSize(packet, protocolVersion) <= maximumPacketSize) return packet
  }
  return make(properties)
}

/** Last packet of a connection, by its `phase`; null when there is none, or none that the client accepts. */
export function lastPacket(
  client: ToldClient,
  phase: 'silent' | 'connecting' | 'active',
  reasonCode: ReasonCode,
  why: string,
  properties: Properties,
): Connack | Disconnect | null {
  const packet = makePacket(client, phase, reasonCode, why, properties)
  if (packet === null) return null
  const { userProperties, ...rest } = packet.properties
  const isTooLarge = (): boolean => encodedSize(packet, client.protocolVersion) > client.maximumPacketSize
  // [MQTT-3.2.2-20] [MQTT-3.14.2-4]
  if (userProperties !== undefined && isTooLarge()) packet.properties = rest
  return isTooLarge() ? null : packet
}

function makePacket(
  client: ToldClient,
  phase: 'silent' | 'connecting' | 'active',
  reasonCode: ReasonCode,
  why: string,
  properties: Properties,
): Connack | Disconnect | null {
  // A Reason String says more than the Reason Code does, or nothing.
  const reasonString = why.toLowerCase() === reasonCodeName(reasonCode).toLowerCase() ? undefined : why
  if (phase === 'active') {
    if (client.protocolVersion !== 5) return null
    const code = reasonCodeFor(PacketType.DISCONNECT, reasonCode)
    return withProblemInformation(client, properties, reasonString, (all) => new Disconnect(code, all))
  }
  // Else without a word: [MQTT-3.1.1:3.2.2-6].
  if (phase === 'silent' && reasonCode !== ReasonCode.UnsupportedProtocolVersion) return null
  if (client.protocolVersion !== 5) return new Connack(false, connectReturnCodeOf(reasonCode)) // [MQTT-3.1.1:3.2.2-5]
  const code = reasonCodeFor(PacketType.CONNACK, reasonCode)
  return withProblemInformation(client, properties, reasonString, (all) => new Connack(false, code, all))
}
