/**
 * Reason Codes that may stand in each packet, for decoder and encoder.
 *
 * Invariant: exactly the tables of MQTT 5.0 sections 3.2.2.2, 3.4.2.1 to 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1,
 * and for 3.1.1 those of 3.2.2.3 and 3.9.3.
 */
import { PacketType, type ProtocolVersion } from './packets.ts'

function table(...codes: number[]): Uint8Array {
  const allowed = new Uint8Array(256)
  for (const code of codes) allowed[code] = 1
  return allowed
}

const pubackAndPubrec = table(0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
const pubrelAndPubcomp = table(0x00, 0x92)
const none = table()

// biome-ignore format: as the specification lists them
const connack = table(
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
  0x9c, 0x9d, 0x9f)
// biome-ignore format: as the specification lists them
const disconnectFromServer = table(
  0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
  0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2)
// biome-ignore format: as the specification lists them
const disconnectFromClient = table(
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99)
const suback = table(0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2)
const unsuback = table(0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91)
const authFromServer = table(0x00, 0x18)
const authFromClient = table(0x18, 0x19)
/** CONNACK return codes and SUBACK return codes of 3.1.1; 3.1 servers say 0x80 as well. */
const connackBefore5 = table(0, 1, 2, 3, 4, 5)
const subackBefore5 = table(0x00, 0x01, 0x02, 0x80)

/** Returns the table (1: allowed) for a packet type sent by a client or a server. */
function allowedIn(packetType: number, version: ProtocolVersion, sender: 'server' | 'client'): Uint8Array {
  switch (packetType) {
    case PacketType.CONNACK:
      return version === 5 ? connack : connackBefore5
    case PacketType.PUBACK:
    case PacketType.PUBREC:
      return pubackAndPubrec
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return pubrelAndPubcomp
    case PacketType.SUBACK:
      return version === 5 ? suback : subackBefore5
    case PacketType.UNSUBACK:
      return unsuback
    case PacketType.DISCONNECT:
      return sender === 'server' ? disconnectFromServer : disconnectFromClient
    case PacketType.AUTH:
      return sender === 'server' ? authFromServer : authFromClient
    default:
      return none
  }
}

/** Returns true when the sender may put this Reason Code (before 5.0: return code) into such a packet. */
export function isReasonCodeOf(
  packetType: number,
  version: ProtocolVersion,
  sender: 'server' | 'client',
  reasonCode: number,
): boolean {
  return allowedIn(packetType, version, sender)[reasonCode] === 1
}
