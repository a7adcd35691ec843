/**
 * PUBLISH and PUBREL from a client: resolve the Topic Alias, admit, authorize, accept; in this order, so that the
 * authorizer always sees the real topic and a duplicate is never delivered.
 *
 * Sources: MQTT 5.0 sections 3.3, 4.3 and 4.9.
 */
import { PacketType, ProtocolError, type Publish, type Pubrel, ReasonCode } from '@recado/protocol'
import { ALLOW, PENDING } from '../ports.ts'
import { type Connection, keepPublish } from './connection.ts'
import { Message } from './message.ts'

export function handlePublish(connection: Connection, publish: Publish): void {
  const { core, session } = connection
  core.metrics.messagesReceived++
  const topic = connection.aliasesIn === null ? publish.topic : connection.aliasesIn.resolve(publish)
  if (publish.qos > core.limits.maximumQoS) {
    throw new ProtocolError(ReasonCode.QoSNotSupported, `QoS ${publish.qos}, the highest is ${core.limits.maximumQoS}`) // [MQTT-3.2.2-11]
  }
  if (publish.retain && core.limits.retainedMessagesMax === 0) {
    throw new ProtocolError(ReasonCode.RetainNotSupported, 'retained messages are not available') // [MQTT-3.2.2-14]
  }
  if (publish.qos > 0 && !session!.receiver.handlePublish(publish.packetId, publish.qos as 1 | 2, publish.dup)) {
    // [MQTT-4.3.3-10] Known and not released yet: acknowledge again, deliver not again.
    core.metrics.duplicatesReceived++
    connection.sendAck(PacketType.PUBREC, publish.packetId, ReasonCode.Success)
    return
  }
  const { authorizer } = core
  if (authorizer === null) {
    acceptPublish(connection, publish, topic, ALLOW)
    return
  }
  const verdict = authorizer.publish(connection, topic, publish.qos, publish.retain, (reasonCode) => {
    connection.decided(() => acceptPublish(connection, publish, topic, reasonCode))
  })
  if (verdict === PENDING) {
    keepPublish(publish)
    connection.pause()
  } else {
    acceptPublish(connection, publish, topic, verdict)
  }
}

function acceptPublish(connection: Connection, publish: Publish, topic: string, verdict: number): void {
  const { core } = connection
  const { qos } = publish
  let reasonCode = verdict
  if (verdict === ALLOW) {
    const message = Message.fromPublish(publish, topic, connection.session, core.turn.nowMs)
    core.observer?.['message.published']?.({ client: connection, message })
    reasonCode = core.accept(message, qos > 0 && connection.protocolVersion === 5)
  } else {
    core.dropped(connection.clientId, topic, qos, 'not-authorized')
  }
  if (qos === 0) return
  // Before 5.0 there is no way to say no but to close; Mosquitto acknowledges, and so do we. [MQTT-3.3.5-2]
  const failed = reasonCode >= 0x80 && connection.protocolVersion === 5
  const session = connection.session!
  if (qos === 1 || failed) session.receiver.acknowledged(publish.packetId, qos, failed)
  connection.sendAck(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, publish.packetId, reasonCode)
}

/**
 * An unknown packet id is answered with success too: it is what a client resends whose PUBCOMP was lost, and to tell it
 * 0x92 would make a success look like a failure. [MQTT-4.3.3-11]
 */
export function handlePubrel(connection: Connection, pubrel: Pubrel): void {
  if (!connection.session!.receiver.handlePubrel(pubrel.packetId)) connection.core.metrics.unknownPacketIds++
  connection.sendAck(PacketType.PUBCOMP, pubrel.packetId, ReasonCode.Success)
}
