/**
 * PUBLISH and PUBREL from a client: resolve the Topic Alias, admit, authorize, accept; in this order, so that the
 * authorizer always sees the real topic and a duplicate is never delivered.
 *
 * Sources: MQTT 5.0 sections 3.3, 4.3 and 4.9.
 */
import { PacketType, ProtocolError, type Publish, type Pubrel, ReasonCode } from '@recado/protocol'
import { ALLOW, PENDING, Table } from '../../ports.ts'
import { Message, Taking } from '../base/message.ts'
import { copyOf } from '../base/payload-blocks.ts'
import { isReserved, isReservedFor } from '../base/reserved-topics.ts'
import { AckPledge } from '../journal/pending-ack.ts'
import type { Session } from '../session/session.ts'
import type { Connection } from './connection.ts'
import { handleControl } from './handle-control.ts'
import { tracePublishReceived } from './packet-trace.ts'

/** A longer topic is not kept for each connection: it is asked about each time. */
const KEPT_TOPIC_LENGTH = 1_024

export function handlePublish(connection: Connection, publish: Publish): void {
  const { core, limits, session } = connection
  core.metrics.messagesReceived++
  connection.traffic.messagesReceived++
  core.metrics.payloadBytesReceived += publish.payloadEnd - publish.payloadStart
  const { aliasesIn } = connection
  let topic = publish.topic
  if (aliasesIn !== null) {
    topic = aliasesIn.resolve(publish)
    if (aliasesIn.bytes !== connection.aliasBytes && !core.aliasRoom.note(connection, aliasesIn.bytes)) {
      core.metrics.aliasesGivenUp++
      connection.closeWith(ReasonCode.QuotaExceeded, 'the topics of Topic Aliases of all clients take too much memory')
      return
    }
  }
  const { mountPoint } = connection.settings
  if (mountPoint !== '') {
    topic = mountPoint + topic
    publish.topicField = null
  }
  if (publish.qos > limits.maximumQoS) {
    throw new ProtocolError(ReasonCode.QoSNotSupported, `QoS ${publish.qos}, the highest is ${limits.maximumQoS}`) // [MQTT-3.2.2-11]
  }
  if (publish.retain && limits.retainedMessagesMax === 0) {
    throw new ProtocolError(ReasonCode.RetainNotSupported, 'retained messages are not available') // [MQTT-3.2.2-14]
  }
  if (publish.qos > 0 && !session!.receiver.handlePublish(publish.packetId, publish.qos as 1 | 2, publish.dup)) {
    // [MQTT-4.3.3-10] Known and not released yet: acknowledge again, deliver not again.
    core.metrics.duplicatesReceived++
    if (core.isTracing) tracePublishReceived(connection, publish, topic, ALLOW)
    acknowledgeAgain(connection, publish)
    return
  }
  if (publish.payloadEnd - publish.payloadStart > limits.payloadBytesMax) {
    acceptPublish(connection, publish, topic, ReasonCode.QuotaExceeded)
    return
  }
  const { authorizer } = core
  if (authorizer === null || isReserved(topic)) {
    const isRefused = isReservedFor(connection, topic)
    if (isRefused && handleControl(connection, publish, topic)) return
    acceptPublish(connection, publish, topic, isRefused ? ReasonCode.NotAuthorized : ALLOW)
    return
  }
  if (authorizer.isStable && connection.allowedTopic === topic) {
    acceptPublish(connection, publish, topic, ALLOW)
    return
  }
  const verdict = authorizer.publish(connection, topic, publish.qos, publish.retain, (reasonCode) => {
    connection.decided(() => {
      session!.undecidedPacketId = 0
      acceptPublish(connection, publish, topic, reasonCode)
    })
  })
  if (verdict === PENDING) {
    keepPublish(publish)
    if (publish.qos === 2) session!.undecidedPacketId = publish.packetId
    connection.reading.pause()
  } else {
    if (verdict === ALLOW && topic.length <= KEPT_TOPIC_LENGTH) connection.allowedTopic = topic
    acceptPublish(connection, publish, topic, verdict)
  }
}

function acceptPublish(connection: Connection, publish: Publish, topic: string, verdict: number): void {
  const session = connection.session!
  try {
    acceptAndAnswer(connection, publish, topic, verdict)
  } catch (error) {
    // It is not acknowledged, so it comes again, and is new then: whoever has it already may get it twice, but nobody misses it.
    if (publish.qos === 2) forgetReceived(connection, session, publish.packetId)
    throw error
  }
}

/** The packet id of a QoS 2 message of ours that could not be taken is free. */
function forgetReceived({ core }: Connection, session: Session, packetId: number): void {
  session.receiver.acknowledged(packetId, 2, true)
  if (session.receivedRows === null || core.journal === null) return
  if (core.journal.released(session, packetId)) core.journal.change(Table.Received, session.number, packetId, 0, null)
}

function acceptAndAnswer(connection: Connection, publish: Publish, topic: string, verdict: number): void {
  const { core } = connection
  const { qos } = publish
  let reasonCode = verdict
  let message: Message | null = null
  if (core.isTracing) tracePublishReceived(connection, publish, topic, verdict)
  if (verdict === ALLOW) {
    message = Message.fromPublish(publish, topic, connection.session, core.turn.nowMs)
    if (publish.retain) message.source = connection.session!.client
    core.observer?.['message.published']?.({ client: connection, message })
    reasonCode = core.accept(message, qos > 0 && connection.protocolVersion === 5 ? Taking.Told : Taking.Untold)
    message.publisher = null
    connection.reading.tookWork(core.router.takeWork())
  } else {
    const isTooLarge = publish.payloadEnd - publish.payloadStart > connection.limits.payloadBytesMax
    core.dropped(connection.clientId, topic, qos, isTooLarge ? 'payload-over-limit' : 'not-authorized')
  }
  if (qos === 0) {
    // Nothing is owed, but what the disk has to take is taken from this client no faster than from others.
    if (message !== null && core.journal !== null && (message.row !== null || message.retain)) holdBack(connection)
    return
  }
  // At once: should the connection be lost before PUBREC says so, the message must be new when it comes again.
  const isTold = reasonCode >= ReasonCode.UnspecifiedError && connection.protocolVersion === 5
  if (qos === 2 && isTold) connection.session!.receiver.acknowledged(publish.packetId, 2, true)
  const { journal } = core
  // [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8]; an expired message is answered all the same [MQTT-4.3.3-13]
  const packetType = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC
  const isOverLimit = reasonCode === ReasonCode.TopicNameInvalid
  if (message !== null && connection.protocolVersion < 5 && (isOverLimit || isNotTaken(connection, reasonCode))) {
    // It cannot be told, and to acknowledge it would be a lie: when the message comes again it is new.
    connection.session!.receiver.acknowledged(publish.packetId, qos, true)
    // As for a malformed topic.
    if (isOverLimit) connection.closeWith(reasonCode, 'the topic is over a limit')
    return
  }
  if (qos === 2 && !isTold && message !== null) journal?.received(message, connection.session!, publish.packetId)
  // One that has been refused as a whole waits for nothing.
  const isRefused = isTold && message?.row === null
  if (journal !== null && message !== null && !isRefused && (message.row !== null || message.retain)) {
    const pledge = new AckPledge(connection, packetType, publish.packetId, reasonCode)
    journal.owe(message, pledge)
    connection.acknowledgements.owe(pledge)
    holdBack(connection)
  } else {
    // Before 5.0 there is no way to tell a client that it may not but to close; Mosquitto acknowledges, and so do we. [MQTT-3.1.1:3.3.5-2]
    connection.acknowledgements.acknowledge(packetType, publish.packetId, reasonCode)
  }
}

/** The fault is ours, of the disk or of the broker. */
function isNotTaken({ core }: Connection, reasonCode: number): boolean {
  if (reasonCode === ReasonCode.ImplementationSpecificError) return true
  return reasonCode === ReasonCode.QuotaExceeded && core.journal?.isFailing === true
}

/** A disk that does not keep up is felt by those who write. */
function holdBack(connection: Connection): void {
  const isHeld = connection.core.journal!.holdBack({
    connection,
    onSafe: () => {
      if (connection.isActive) connection.reading.resume()
    },
  })
  if (isHeld) connection.reading.pause()
}

/** PUBREC once more; not before all that it stands for is safe: the message, and what it has made retained. */
function acknowledgeAgain(connection: Connection, { packetId, retain }: Publish): void {
  const { journal } = connection.core
  if (journal === null) {
    connection.acknowledgements.acknowledge(PacketType.PUBREC, packetId, ReasonCode.Success)
    return
  }
  const pledge = new AckPledge(connection, PacketType.PUBREC, packetId, ReasonCode.Success)
  if (retain) journal.gateChanges(pledge)
  let row = connection.session!.receivedRows?.receipts.get(packetId)?.row ?? null
  for (; row !== null; row = row.extra) {
    if (!row.isOpen) continue
    // Sent twice on this connection: the first acknowledgement waits for the row, and this one behind it.
    if (row.pledge instanceof AckPledge && row.pledge.connection === connection) continue
    pledge.waits++
    // It is owed to a connection that is gone.
    row.pledge?.onSafe()
    row.pledge = pledge
  }
  connection.acknowledgements.owe(pledge)
}

/**
 * An unknown packet id is answered with success too: it is what a client resends whose PUBCOMP was lost, and to tell it
 * 0x92 would make a success look like a failure. [MQTT-4.3.3-11]
 */
export function handlePubrel(connection: Connection, pubrel: Pubrel): void {
  const { packetId } = pubrel
  const session = connection.session!
  const { journal } = connection.core
  const isHeld = session.receiver.handlePubrel(packetId)
  if (isHeld) connection.reading.noteRightAcknowledgement()
  else connection.reading.noteStray()
  if (!connection.isOpen) return
  const isDurable = journal !== null && session.receivedRows !== null
  const isStored = isDurable && journal.released(session, packetId)
  if (!isDurable || (isHeld && !isStored)) {
    connection.acknowledgements.acknowledge(PacketType.PUBCOMP, packetId, ReasonCode.Success)
    return
  }
  // After PUBCOMP the id may stand for another message: it must be forgotten before, also on disk.
  const pledge = new AckPledge(connection, PacketType.PUBCOMP, packetId, ReasonCode.Success)
  if (isStored) journal.change(Table.Received, session.number, packetId, 0, null, pledge)
  // It was released on an earlier connection, perhaps, and the disk has not been told yet.
  else journal.gateChanges(pledge)
  connection.acknowledgements.owe(pledge)
}

/** A PUBLISH whose bytes outlive the chunk that it came in. */
function keepPublish(publish: Publish): Publish {
  publish.buffer = copyOf(publish.buffer, publish.payloadStart, publish.payloadEnd)
  publish.payloadEnd -= publish.payloadStart
  publish.payloadStart = 0
  return publish
}
