/**
 * Packets, told to whoever wants to know of each (`packet.received`, `packet.sent`): the debug log.
 *
 * `connection.ts` and `handle-publish.ts` call it behind `Core.isTracing`, which is false unless somebody listens: then nothing is made per packet. The
 * invariant: what is told has no payload, no password and nothing that outlives the packet.
 */
import { type Packet, PacketType, type Publish, type QoS, ReasonCode } from '@recado/protocol'
import type { Observer, ReceivedPacket, TracedPacket } from '../../ports.ts'
import type { Message } from '../base/message.ts'
import type { Connection } from './connection.ts'

export function isTracedBy(observer: Observer | null): boolean {
  return observer?.['packet.received'] !== undefined || observer?.['packet.sent'] !== undefined
}

/** Of PUBLISH it is told later, with its real topic: `tracePublishReceived`. */
export function traceReceived(connection: Connection, packet: Packet): void {
  if (packet.type === PacketType.PUBLISH) return
  tellReceived(connection, { ...describe(packet), isRefused: false })
}

export function tracePublishReceived(
  connection: Connection,
  { packetId, qos, retain, dup, payloadStart, payloadEnd }: Publish,
  topic: string,
  reasonCode: number,
): void {
  const isRefused = reasonCode !== ReasonCode.Success
  const payloadBytes = payloadEnd - payloadStart
  tellReceived(connection, {
    ...{ type: PacketType.PUBLISH, packetId, qos, retain, dup, topic, payloadBytes, reasonCode, isRefused },
  })
}

export function traceSent(connection: Connection, packet: Packet | TracedPacket): void {
  connection.core.observer?.['packet.sent']?.({ client: connection, packet: describe(packet) })
}

export function tracePublishSent(
  connection: Connection,
  { topic, payloadLength }: Message,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
): void {
  const packet = { type: PacketType.PUBLISH, packetId, qos, retain, dup, topic, payloadBytes: payloadLength }
  connection.core.observer?.['packet.sent']?.({ client: connection, packet })
}

function tellReceived(connection: Connection, packet: ReceivedPacket): void {
  connection.core.observer?.['packet.received']?.({ client: connection, packet })
}

function describe(packet: Packet | TracedPacket): TracedPacket {
  const { type } = packet
  const described: TracedPacket = { type }
  if ('packetId' in packet && packet.packetId !== undefined) described.packetId = packet.packetId
  if ('reasonCode' in packet && packet.reasonCode !== undefined) described.reasonCode = packet.reasonCode
  if ('sessionPresent' in packet && packet.sessionPresent !== undefined) {
    described.sessionPresent = packet.sessionPresent
  }
  if ('topicFilters' in packet && packet.topicFilters !== undefined) described.topicFilters = [...packet.topicFilters]
  return described
}
