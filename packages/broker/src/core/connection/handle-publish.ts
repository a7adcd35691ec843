/**
 * PUBLISH and PUBREL from a client: resolve the Topic Alias, check flow control and limits, authorize, accept; in this order, so that the
 * authorizer always sees the real topic and a duplicate is never delivered.
 *
 * Sources: MQTT 5.0 sections 3.3, 4.3 and 4.9.
 */
import {
  PacketType,
  ProtocolError,
  type Publish,
  type Pubrel,
  propertiesOf,
  type QoS,
  ReasonCode,
} from '@recado/protocol'
import { ALLOW, type ClientInfo, type DropReason, PENDING, Table } from '../../ports.ts'
import { believedPath, isBrought, isOnPath, marksOf, pathIn, pathPropertyOf, withPath } from '../base/bridge-path.ts'
import { clientInfoOf } from '../base/client-info.ts'
import type { Context } from '../base/context.ts'
import { isDelayed, parseDelayed } from '../base/delay-topics.ts'
import type { Faulty, Gated } from '../base/faults.ts'
import type { Limits } from '../base/limits.ts'
import { Message, Taking } from '../base/message.ts'
import { copyOf } from '../base/payload-blocks.ts'
import { isReserved, isReservedFor } from '../base/reserved-topics.ts'
import { type ForwardId, forwardOf } from '../journal/forward.ts'
import type { Journal } from '../journal/journal.ts'
import { PendingAck } from '../journal/pending-ack.ts'
import type { DelayedMessages } from '../routing/delayed.ts'
import type { Intake } from '../routing/intake.ts'
import { isCertificate } from '../routing/sparkplug.ts'
import type { AcknowledgementCount } from '../session/outlet.ts'
import type { Session } from '../session/session.ts'
import type { AcknowledgementLine } from './acknowledgement-line.ts'
import type { Connection } from './connection.ts'
import { handleControl } from './handle-control.ts'
import { checkLevels, isClosedToAll, isOpenToAll } from './mosquitto-manner.ts'
import { tracePublishReceived } from './packet-trace.ts'

/** Client whose messages are accepted: a connection, or the remote broker of a bridge (`Relay`). */
export interface PublishingClient extends ClientInfo, Faulty {
  readonly context: Context
  readonly parts: { readonly journal: Journal | null; readonly intake: Intake; readonly delayed: DelayedMessages }
  readonly limits: Limits
  readonly session: Session | null
  readonly acknowledgements: AcknowledgementLine
  readonly isActive: boolean
  readonly isOpen: boolean
  /** Set where the paths of messages over bridges were looked at already: a bridge puts this broker on them. */
  readonly hasOwnPaths?: true
  /** Whether it is a bridge that has said in CONNECT who it is: the paths of its messages are those of the messages. */
  readonly bringsPaths?: boolean
  /** Publisher to be kept with its retained messages; absent for the client of the session. */
  readonly source?: ClientInfo
  readonly readGate: AcknowledgementCount & {
    pause(): void
    resume(): void
    tookWork(work: number): void
  }
  closeWith(reasonCode: ReasonCode, why: string): void
}

/** Longest topic whose permission is kept for each connection; a longer one is asked about each time. */
const KEPT_TOPIC_LENGTH = 1_024
const DOLLAR = 0x24
/** In the place of seconds: the message is not delayed, or its topic begins with `$delayed/` and is malformed. */
export const NOT_DELAYED = -1
const NO_DELAY = -2

export function handlePublish(connection: Connection, publish: Publish): void {
  const { context, parts, limits, session } = connection
  context.metrics.messagesReceived++
  connection.traffic.messagesReceived++
  context.metrics.payloadBytesReceived += publish.payloadEnd - publish.payloadStart
  const { aliasesIn } = connection
  let topic = publish.topic
  if (aliasesIn !== null) {
    topic = aliasesIn.resolve(publish)
    if (aliasesIn.bytes !== connection.aliasBytes && !parts.aliasRoom.note(connection, aliasesIn.bytes)) {
      context.metrics.aliasesGivenUp++
      connection.closeWith(ReasonCode.QuotaExceeded, 'the topics of Topic Aliases of all clients take too much memory')
      return
    }
  }
  let delaySeconds = NOT_DELAYED
  if (topic.charCodeAt(0) === DOLLAR && context.options.delayedPublish && isDelayed(topic)) {
    const delayed = parseDelayed(topic)
    delaySeconds = delayed?.seconds ?? NO_DELAY
    topic = delayed?.topic ?? topic
    publish.topicField = null
  }
  if (context.rewrites !== null) {
    const rewritten = context.rewrites.topicName(topic, connection)
    if (rewritten !== topic) {
      context.metrics.topicsRewritten++
      topic = rewritten
      publish.topicField = null
    }
  }
  const { mountPoint } = connection.settings
  if (mountPoint !== '') {
    topic = mountPoint + topic
    publish.topicField = null
  }
  checkLevels(context, topic, limits.topicLevelsMax, false)
  if (publish.qos > limits.maximumQoS) {
    throw new ProtocolError(
      ReasonCode.QoSNotSupported,
      `QoS is ${publish.qos}; the highest that is allowed is ${limits.maximumQoS}`,
    ) // [MQTT-3.2.2-11]
  }
  if (publish.retain && limits.retainedMessagesMax === 0) {
    throw new ProtocolError(ReasonCode.RetainNotSupported, 'retained messages are not available') // [MQTT-3.2.2-14]
  }
  if (publish.qos > 0 && !session!.receiver.handlePublish(publish.packetId, publish.qos as 1 | 2, publish.dup)) {
    // [MQTT-4.3.3-10] Known and not released yet: acknowledge again, deliver not again.
    context.metrics.duplicatesReceived++
    if (context.isTracing) tracePublishReceived(connection, publish, topic, ALLOW)
    acknowledgeAgain(connection, publish, topic, delaySeconds !== NOT_DELAYED)
    return
  }
  if (publish.payloadEnd - publish.payloadStart > limits.payloadBytesMax) {
    acceptPublish(connection, publish, topic, NOT_DELAYED, ReasonCode.QuotaExceeded)
    return
  }
  if (delaySeconds === NO_DELAY) {
    acceptPublish(connection, publish, topic, delaySeconds, ReasonCode.TopicNameInvalid)
    return
  }
  const { authorizer } = context
  if (topic.charCodeAt(0) === DOLLAR && context.options.sparkplugAware && isCertificate(topic)) {
    acceptPublish(connection, publish, topic, delaySeconds, ReasonCode.NotAuthorized)
    return
  }
  if (authorizer === null || isReserved(topic)) {
    const isRefused =
      (isReservedFor(connection, topic) && !isOpenToAll(context, topic)) || isClosedToAll(context, topic)
    if (isRefused && handleControl(connection, publish, topic)) return
    acceptPublish(connection, publish, topic, delaySeconds, isRefused ? ReasonCode.NotAuthorized : ALLOW)
    return
  }
  if (authorizer.isStable && connection.allowedTopic === topic) {
    acceptPublish(connection, publish, topic, delaySeconds, ALLOW)
    return
  }
  const verdict = authorizer.publish(connection, topic, publish.qos, publish.retain, (reasonCode) => {
    connection.decided(() => {
      session!.undecidedPacketId = 0
      acceptPublish(connection, publish, topic, delaySeconds, reasonCode)
    })
  })
  if (verdict === PENDING) {
    keepPublish(publish)
    if (publish.qos === 2) session!.undecidedPacketId = publish.packetId
    connection.readGate.pause()
  } else {
    if (verdict === ALLOW && topic.length <= KEPT_TOPIC_LENGTH) connection.allowedTopic = topic
    acceptPublish(connection, publish, topic, delaySeconds, verdict)
  }
}

export function acceptPublish(
  connection: PublishingClient,
  publish: Publish,
  topic: string,
  delaySeconds: number,
  verdict: number,
): void {
  const session = connection.session!
  try {
    acceptAndAnswer(connection, publish, topic, delaySeconds, verdict)
  } catch (error) {
    // It is not acknowledged, so it comes again, and is new then: a subscriber that has it may get it twice, but none
    // misses it.
    if (publish.qos === 2) forgetReceived(connection, session, publish.packetId)
    throw error
  }
}

/** The packet id of a QoS 2 message of ours that could not be taken is free. */
function forgetReceived({ parts }: PublishingClient, session: Session, packetId: number): void {
  session.receiver.acknowledged(packetId, 2, true)
  const { receivedIds } = session
  if (receivedIds?.release(packetId))
    parts.journal!.change(Table.Received, receivedIds.sessionNumber, packetId, 0, null)
}

function acceptAndAnswer(
  connection: PublishingClient,
  publish: Publish,
  topic: string,
  delaySeconds: number,
  verdict: number,
): void {
  if (connection.context.isTracing) tracePublishReceived(connection, publish, topic, verdict)
  if (verdict !== ALLOW) refuse(connection, publish, topic, delaySeconds, verdict)
  else if (hasComeBack(connection, publish, topic)) drop(connection, publish, topic, 'loop')
  else acceptMessage(connection, publish, topic, delaySeconds)
}

/**
 * Whether bridges have brought back a message that has been here before. The path of one that a client has published
 * with the properties of another message begins anew.
 */
function hasComeBack(connection: PublishingClient, publish: Publish, topic: string): boolean {
  if (connection.hasOwnPaths) return false
  const value = pathPropertyOf(publish)
  if (value === '') return false
  let path: string | null = pathIn(value)
  if (connection.bringsPaths !== true) {
    const { buffer, payloadStart, payloadEnd } = publish
    const payload = buffer.subarray(payloadStart, payloadEnd)
    const told = path
    path = believedPath(value, topic, payload, isReader(connection.session!))
    if (path === null) return true
    if (path !== told) {
      publish.properties = withPath(propertiesOf(publish), path, marksOf(topic, payload))
      publish.rawProperties = null
    }
  }
  const { identity } = connection.context
  return identity !== null && isOnPath(path, identity)
}

/** Whether a client reads messages as an application does: a bridge wants RETAIN as it was published. */
function isReader({ subscriptions }: Session): boolean {
  for (const { retainAsPublished } of subscriptions.values()) if (!retainAsPublished) return true
  return false
}

/** Drops a message that is acknowledged all the same: its publisher has nothing to do about it. */
export function drop(
  connection: PublishingClient,
  { qos, packetId }: Publish,
  topic: string,
  reason: DropReason,
): void {
  connection.context.dropped(connection.clientId, topic, qos, reason)
  if (qos > 0) connection.acknowledgements.acknowledge(acknowledgementOf(qos), packetId, ReasonCode.Success)
}

/** The message as the embedding program wants it to be; null: nobody gets it, and its publisher has its answer. */
function transformed(connection: PublishingClient, message: Message, packetId: number): Message | null {
  const { context } = connection
  const answer = context.transformer!.transform(connection, message)
  if (answer === null) return message
  if (typeof answer === 'object') return message.changed(answer)
  const { qos, topic } = message
  context.dropped(connection.clientId, topic, qos, 'withheld')
  if (qos === 0) return null
  if (qos === 2 && isTold(connection, answer)) connection.session!.receiver.acknowledged(packetId, 2, true)
  connection.acknowledgements.acknowledge(acknowledgementOf(qos), packetId, answer)
  return null
}

/** The publisher may not publish this, or it is too large. */
function refuse(
  connection: PublishingClient,
  { qos, packetId, payloadStart, payloadEnd }: Publish,
  topic: string,
  delaySeconds: number,
  reasonCode: number,
): void {
  const isTooLarge = payloadEnd - payloadStart > connection.limits.payloadBytesMax
  const otherwise = delaySeconds === NO_DELAY ? 'delayed-limit' : 'not-authorized'
  connection.context.dropped(connection.clientId, topic, qos, isTooLarge ? 'payload-over-limit' : otherwise)
  if (qos === 0) return
  // Before 5.0 there is no way to tell a client that it may not but to close; Mosquitto acknowledges, and so do we. [MQTT-3.1.1:3.3.5-2]
  if (qos === 2 && isTold(connection, reasonCode)) connection.session!.receiver.acknowledged(packetId, 2, true)
  connection.acknowledgements.acknowledge(acknowledgementOf(qos), packetId, reasonCode)
}

function acceptMessage(connection: PublishingClient, publish: Publish, topic: string, delaySeconds: number): void {
  if (delaySeconds !== NOT_DELAYED) {
    acceptDelayed(connection, publish, topic, delaySeconds)
    return
  }
  const { context, parts } = connection
  const { journal } = parts
  const { qos, packetId } = publish
  const session = connection.session!
  const received = Message.fromPublish(publish, topic, session, context.turn.nowMs)
  const message = context.transformer === null ? received : transformed(connection, received, packetId)
  if (message === null) return
  if (message.retain) message.source = connection.source ?? session.client
  if (context.observesMessages) context.observer?.['message.published']?.({ client: connection, message })
  if (context.watching?.next(connection, message)) message.isWatched = true
  const taking = qos > 0 && connection.protocolVersion === 5 ? Taking.Told : Taking.Untold
  const { reasonCode, hasRows, isRetained, isForwarded, owesDisk, work } = parts.intake.accept(message, taking)
  message.letGo()
  connection.readGate.tookWork(work)
  if (qos === 0) {
    // Nothing is owed, but a client's messages for the disk are read no faster than those of others.
    if (journal !== null && owesDisk) holdBack(connection, journal)
    return
  }
  if (isNotTaken(connection, reasonCode) && isOfBridge(connection, publish)) {
    // A bridge drops what is refused, and its session has what comes behind. It sends all of it again, in order.
    session.receiver.acknowledged(packetId, qos, true)
    connection.closeWith(reasonCode, 'a message of a bridge cannot be stored: it has to come again')
    return
  }
  const isFailure = isTold(connection, reasonCode)
  // At once: should the connection be lost before PUBREC says so, the message must be new when it comes again.
  if (qos === 2 && isFailure) session.receiver.acknowledged(packetId, 2, true)
  const isOverLimit = reasonCode === ReasonCode.TopicNameInvalid
  if (connection.protocolVersion < 5 && (isOverLimit || isNotTaken(connection, reasonCode))) {
    // It cannot be told, and to acknowledge it would be a lie: when the message comes again it is new.
    session.receiver.acknowledged(packetId, qos, true)
    // As for a malformed topic.
    if (isOverLimit) connection.closeWith(reasonCode, 'the topic is longer or has more levels than allowed')
    return
  }
  if (qos === 2 && !isFailure && session.receivedIds !== null) journal!.received(message, session.receivedIds, packetId)
  const onSent = message.isWatched ? (): void => context.watching?.watch.acknowledged(message) : null
  // One that has been refused as a whole waits for nothing.
  if (isForwarded || (journal !== null && owesDisk && (hasRows || !isFailure))) {
    const pending = new PendingAck(connection.acknowledgements, acknowledgementOf(qos), packetId, reasonCode, onSent)
    journal?.owe(message, pending, isRetained)
    if (isForwarded) forwardOf(message)!.owe(pending)
    connection.acknowledgements.owe(pending)
    holdBack(connection, journal)
  } else {
    connection.acknowledgements.acknowledge(acknowledgementOf(qos), packetId, reasonCode, onSent)
  }
}

/** Keeps a message until it is due. It is acknowledged when it is on the disk, with the Packet Identifier of QoS 2. */
function acceptDelayed(connection: PublishingClient, publish: Publish, topic: string, delaySeconds: number): void {
  const { parts, acknowledgements } = connection
  const { journal, delayed } = parts
  const { qos, packetId } = publish
  const session = connection.session!
  const message = Message.fromPublish(publish, topic, null, delayed.dueAtMs(delaySeconds))
  const pending =
    journal === null || qos === 0
      ? null
      : new PendingAck(acknowledgements, acknowledgementOf(qos), packetId, ReasonCode.Success)
  const reasonCode = delayed.add(message, session.client ?? clientInfoOf(connection), delaySeconds, pending)
  if (qos === 0) return
  if (reasonCode !== ReasonCode.Success) {
    if (connection.protocolVersion < 5 && isNotTaken(connection, reasonCode)) {
      // To acknowledge it would be a lie: when it comes again it is new.
      session.receiver.acknowledged(packetId, qos, true)
      return
    }
    if (qos === 2 && isTold(connection, reasonCode)) session.receiver.acknowledged(packetId, 2, true)
    acknowledgements.acknowledge(acknowledgementOf(qos), packetId, reasonCode)
    return
  }
  if (qos === 2 && session.receivedIds !== null) journal!.receivedNow(session.receivedIds, packetId)
  if (pending === null) acknowledgements.acknowledge(acknowledgementOf(qos), packetId, ReasonCode.Success)
  else acknowledgements.owe(pending)
}

/** The publisher hears of a failure; before 5.0 there is no way to say it. */
function isTold({ protocolVersion }: PublishingClient, reasonCode: number): boolean {
  return reasonCode >= ReasonCode.UnspecifiedError && protocolVersion === 5
}

/** [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8]; an expired message is answered all the same [MQTT-4.3.3-13] */
function acknowledgementOf(qos: QoS): 4 | 5 {
  return qos === 1 ? PacketType.PUBACK : PacketType.PUBREC
}

/** The fault is ours, of the disk or of the broker. */
function isNotTaken({ parts }: PublishingClient, reasonCode: number): boolean {
  if (reasonCode === ReasonCode.ImplementationSpecificError) return true
  return reasonCode === ReasonCode.QuotaExceeded && parts.journal?.isFailing === true
}

/** Whether a bridge has sent the message: it says so itself, or the message has a path over brokers. */
function isOfBridge(connection: PublishingClient, publish: Publish): boolean {
  return connection.isBridge || isBrought(pathIn(pathPropertyOf(publish)))
}

/** Slows down publishers when the disk, or another Core, does not keep up. */
function holdBack(connection: PublishingClient, journal: Journal | null): void {
  const gated: Gated = {
    owner: connection,
    onSafe: () => {
      if (connection.isActive) connection.readGate.resume()
    },
  }
  if (journal?.holdBack(gated) === true || connection.parts.intake.others?.holdBack(gated) === true)
    connection.readGate.pause()
}

/**
 * Sends PUBREC once more; not before everything is safe that it stands for: the message, and the retained or delayed
 * one, and that other Cores have it.
 */
export function acknowledgeAgain(
  connection: PublishingClient,
  publish: Publish,
  topic: string,
  isDelayed: boolean,
): void {
  const { acknowledgements, session } = connection
  const { packetId, retain } = publish
  const { journal } = connection.parts
  if (journal === null) {
    acknowledgements.acknowledge(PacketType.PUBREC, packetId, ReasonCode.Success)
    return
  }
  const pending = new PendingAck(acknowledgements, PacketType.PUBREC, packetId, ReasonCode.Success)
  const receivedIds = session!.receivedIds
  const id = receivedIds?.forwards?.get(packetId)
  if (retain || isDelayed || id !== undefined) journal.gateChanges(pending)
  journal.oweAgain(receivedIds?.receipts.get(packetId), pending, acknowledgements)
  if (id !== undefined) forwardAgain(connection, publish, topic, id, pending)
  acknowledgements.owe(pending)
}

/** Makes PUBREC wait for other Cores, which are given the message once more when an earlier process has begun that. */
function forwardAgain(
  connection: PublishingClient,
  publish: Publish,
  topic: string,
  id: ForwardId,
  pending: PendingAck,
): void {
  const { context, parts, session } = connection
  if (id.forward === null) {
    const received = Message.fromPublish(publish, topic, session, context.turn.nowMs)
    const answer = context.transformer?.transform(connection, received) ?? null
    // Withheld now: who has it has it.
    if (typeof answer === 'number') return
    parts.intake.others?.forwardAgain(answer === null ? received : received.changed(answer), id)
  }
  const { forward } = id
  // Sent twice on this connection: the first acknowledgement waits, and this one behind it.
  if (forward !== null && !forward.isOwedTo(connection.acknowledgements)) forward.owe(pending)
}

/**
 * Handles PUBREL. An unknown Packet Identifier is answered with success too: a client resends it after a lost PUBCOMP,
 * and 0x92 would make a success look like a failure. [MQTT-4.3.3-11]
 */
export function handlePubrel(connection: PublishingClient, pubrel: Pubrel): void {
  const { packetId } = pubrel
  const session = connection.session!
  const { journal } = connection.parts
  const isHeld = session.receiver.handlePubrel(packetId)
  if (isHeld) connection.readGate.noteRightAcknowledgement()
  else connection.readGate.noteStray()
  if (!connection.isOpen) return
  const { receivedIds } = session
  const isStored = receivedIds?.release(packetId) === true
  if (receivedIds === null || (isHeld && !isStored)) {
    connection.acknowledgements.acknowledge(PacketType.PUBCOMP, packetId, ReasonCode.Success)
    return
  }
  // After PUBCOMP the id may stand for another message: it must be forgotten before, also on disk.
  const pending = new PendingAck(connection.acknowledgements, PacketType.PUBCOMP, packetId, ReasonCode.Success)
  if (isStored) journal!.change(Table.Received, receivedIds.sessionNumber, packetId, 0, null, pending)
  // It was released on an earlier connection, perhaps, and the disk has not been told yet.
  else journal!.gateChanges(pending)
  connection.acknowledgements.owe(pending)
}

/** A PUBLISH whose bytes outlive the chunk that it came in. */
function keepPublish(publish: Publish): Publish {
  // Properties that are bytes lie before the payload.
  const start = publish.payloadStart - (publish.rawProperties?.fieldBytes ?? 0)
  publish.buffer = copyOf(publish.buffer, start, publish.payloadEnd)
  publish.holder = null
  publish.payloadEnd -= start
  publish.payloadStart -= start
  return publish
}
