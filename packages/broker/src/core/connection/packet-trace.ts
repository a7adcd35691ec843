/**
 * Packets, reported one by one (`packet.received`, `packet.sent`): the debug log.
 *
 * `connection.ts` and `handle-publish.ts` call it behind `Context.isTracing`, which is false without an observer of
 * these events: then nothing is made per packet. Invariant: a report has no payload, no password and nothing that
 * outlives the packet.
 */
import { type Packet, PacketType, type Publish, type QoS, ReasonCode } from '@recado/protocol'
import type { ClientInfo, ReceivedPacket, TracedPacket } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import type { Message } from '../base/message.ts'

/** The connection whose packets are told of. */
export interface TracedConnection extends ClientInfo {
  readonly context: Context
}

/** Tells of a packet that has been received, unless it is a PUBLISH: that is told of later, with its real topic (`tracePublishReceived`). */
export function traceReceived(connection: TracedConnection, packet: Packet): void {
  if (packet.type === PacketType.PUBLISH) return
  tellReceived(connection, { ...describe(packet), isRefused: false })
}

export function tracePublishReceived(
  connection: TracedConnection,
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

export function traceSent(connection: TracedConnection, packet: Packet | TracedPacket): void {
  connection.context.observer?.['packet.sent']?.({ client: connection, packet: describe(packet) })
}

export function tracePublishSent(
  connection: TracedConnection,
  { topic, payloadLength }: Message,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
): void {
  const packet = { type: PacketType.PUBLISH, packetId, qos, retain, dup, topic, payloadBytes: payloadLength }
  connection.context.observer?.['packet.sent']?.({ client: connection, packet })
}

function tellReceived(connection: TracedConnection, packet: ReceivedPacket): void {
  connection.context.observer?.['packet.received']?.({ client: connection, packet })
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
