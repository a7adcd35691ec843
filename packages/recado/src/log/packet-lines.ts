/**
 * A line of the type debug for each packet, in Mosquitto's words.
 *
 * `observe.ts` asks for them when debug is logged, and only then. The invariant: no payload, no password.
 */
import type { ReceivedPacket, TracedPacket } from '@recado/broker'
import { PacketType, ReasonCode } from '@recado/protocol'
import { shortTopic } from './shortened.ts'

const names = new Map<number, string>(Object.entries(PacketType).map(([name, type]) => [type, name]))

/** `(d0, q1, r0, m1, 'a/b', ... (5 bytes))` */
const publish = ({ dup, qos, retain, packetId, topic, payloadBytes }: TracedPacket): string =>
  `(d${dup ? 1 : 0}, q${qos}, r${retain ? 1 : 0}, m${packetId ?? 0}, '${shortTopic(topic ?? '')}', ... (${payloadBytes} bytes))`

/** None for CONNECT: that the client has connected is told by itself. */
export function receivedLines(packet: ReceivedPacket, from: string): string[] {
  const { type, packetId, reasonCode } = packet
  const received = `Received ${names.get(type)} from ${from}`
  switch (type) {
    case PacketType.CONNECT:
      return []
    case PacketType.PUBLISH: {
      if (!packet.isRefused) return [`${received} ${publish(packet)}`]
      const what = reasonCode === ReasonCode.QuotaExceeded ? 'Dropped too large' : 'Denied'
      return [`${what} PUBLISH from ${from} ${publish(packet)}`]
    }
    case PacketType.PUBACK:
    case PacketType.PUBCOMP:
      return [`${received} (Mid: ${packetId}, RC:${reasonCode ?? 0})`]
    case PacketType.PUBREC:
    case PacketType.PUBREL:
      return [`${received} (Mid: ${packetId})`]
    default:
      return [received]
  }
}

export function sentLine(packet: TracedPacket, to: string): string {
  const { type, packetId, reasonCode, sessionPresent } = packet
  const sending = `Sending ${names.get(type)} to ${to}`
  switch (type) {
    case PacketType.CONNACK:
      return `${sending} (${sessionPresent ? 1 : 0}, ${reasonCode})`
    case PacketType.PUBLISH:
      return `${sending} ${publish(packet)}`
    case PacketType.PUBACK:
    case PacketType.PUBREC:
      return `${sending} (m${packetId}, rc${reasonCode ?? 0})`
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return `${sending} (m${packetId})`
    case PacketType.DISCONNECT:
      return `${sending} (rc${reasonCode})`
    default:
      return sending
  }
}
