/**
 * The answers that the broker owes and gives: CONNACK, acknowledgements, SUBACK and UNSUBACK, PUBREL, and the DISCONNECT that
 * says why.
 *
 * Sources: MQTT 5.0 sections 3.2, 3.4 to 3.7, 3.9, 3.11, 3.14, 4.3 and 4.6.
 */
import { goOn } from './connects.ts'
import { checkTold, IDENTIFIER_REJECTED } from './identifiers.ts'
import type { Model } from './model.ts'
import { RATE } from './rates.ts'
import type { Expectation, ModelConnection, ModelSession, Publication, Subscription } from './state.ts'
import type { AckPacket, OutPacket } from './types.ts'

/** Reason Codes with which a server ends a connection (3.14.2.1); after any other mistake, one of 0x80 or more. */
const REASONS: Readonly<Record<string, number>> = {
  'taken over': 0x8e,
  'keep alive': 0x8d,
  'shutting down': 0x8b,
  [RATE]: 0x96,
  'memory is short': 0x97,
  'credentials are over': 0x87,
}

/** Every packet to a client but PUBLISH. */
export function checkAnswer(model: Model, connection: ModelConnection, packet: OutPacket): void {
  switch (packet.type) {
    case 'CONNACK':
      checkConnack(model, connection, packet)
      break
    case 'PUBREL':
      checkPubrel(model, connection, packet)
      break
    case 'PUBACK':
    case 'PUBREC':
    case 'PUBCOMP':
    case 'PINGRESP':
      checkAck(model, connection, packet.type, 'packetId' in packet ? packet.packetId : 0, packet)
      break
    case 'SUBACK':
    case 'UNSUBACK':
      checkSuback(model, connection, packet.type, packet.packetId, packet.reasonCodes)
      break
    case 'DISCONNECT':
      checkDisconnect(model, connection, packet.reasonCode)
      break
  }
}

/** Whether 3.1 and 3.1.1 refuse rightly: for most refusals several return codes are as good. [MQTT-3.1.1:3.1.3-8] */
function isRefusedRightly({ isV5, refusals }: ModelConnection, reasonCode: number): boolean {
  return isV5
    ? refusals.includes(reasonCode)
    : refusals.some((each) => each !== IDENTIFIER_REJECTED || reasonCode === 2)
}

function checkConnack(model: Model, connection: ModelConnection, packet: OutPacket & { type: 'CONNACK' }): void {
  const { reasonCode, sessionPresent, hasResponses } = packet
  // [MQTT-3.1.2-28]
  if (hasResponses && connection.connect?.wantsResponses !== true)
    model.fail('acknowledgements', `${connection.name}: CONNACK has Response Information, and nobody has asked for it`)
  if (connection.isConnackSent) model.fail('acknowledgements', `${connection.name}: a second CONNACK`)
  connection.isConnackSent = true
  if (connection.connect === null) return // answers bytes that were no CONNECT
  if (connection.state === 'waiting') goOn(model, connection, reasonCode)
  if (connection.state === 'refused') {
    // One that waits may also be taken over, or meet a shutdown.
    const isRight = isRefusedRightly(connection, reasonCode) || [...connection.mayEnd].some((why) => why !== 'refused')
    if (reasonCode === 0 || !isRight)
      model.fail('sessions', `${connection.name}: CONNACK ${reasonCode}, not ${connection.refusals}`)
    return
  }
  if (reasonCode !== 0) {
    if (connection.mayEnd.size === 0) model.fail('sessions', `${connection.name}: CONNACK refuses with ${reasonCode}`)
  } else if (sessionPresent !== connection.sessionPresent) {
    model.fail(
      'sessions',
      `${connection.name}: CONNACK has Session Present ${sessionPresent}, not ${connection.sessionPresent}`,
    )
  } else {
    checkTold(model, connection, packet.assignedClientId)
    const { session } = connection
    // While the disk fails nothing is promised.
    if (session === null || !connection.hasWaited) return
    session.promisedSeq = connection.connectedSeq
    if (session.isDurable) session.isPromised = true
  }
}

/** Whether the disk fails, or failed while a slow reader held this answer up. */
function mayHaveFailed(
  { isFailing, recoveredMs }: Model,
  { blockedSinceMs }: ModelConnection,
  publication: Publication | null,
): boolean {
  const wasHeldUp = blockedSinceMs >= 0 && blockedSinceMs <= recoveredMs
  return isFailing || (wasHeldUp && publication !== null && publication.atMs <= recoveredMs)
}

function checkAck(model: Model, connection: ModelConnection, type: string, packetId: number, packet: OutPacket): void {
  const at = connection.owed.findIndex((each) => each.type === type)
  const owed = connection.owed[at]
  if (owed === undefined || owed.packetId !== packetId) {
    model.fail(
      'acknowledgements',
      `${connection.name}: ${type} ${packetId}, expected ${owed?.packetId ?? 'none'} [MQTT-4.6.0-2]`,
    )
    return
  }
  connection.owed.splice(at, 1)
  if (type === 'PINGRESP') return
  const { reasonCode } = packet as AckPacket
  if (type !== 'PUBREC' || reasonCode >= 0x80) connection.session!.fromClient.delete(packetId)
  const { publication, held } = owed
  if (publication?.isRefused) {
    model.cover(`${type.toLowerCase()}.refused`)
  }
  // What was on its way to a disk that fails is refused; whoever has got it keeps it.
  const isRefusedByDisk = type === 'PUBACK' && reasonCode === 0x97 && mayHaveFailed(model, connection, publication)
  if (isRefusedByDisk) model.cover('puback.disk-fails')
  if (connection.isV5 && !isRefusedByDisk && !owed.allowed.includes(reasonCode))
    model.fail(
      'acknowledgements',
      `${connection.name}: ${type} ${packetId} has Reason Code ${reasonCode}, not ${owed.allowed}`,
    )
  if (type === 'PUBACK' && connection.unacknowledged > 0) connection.unacknowledged--
  if (type === 'PUBREC' && reasonCode >= 0x80) {
    if (held?.connection === connection && connection.unacknowledged > 0) connection.unacknowledged--
    if (held !== null) connection.session!.held.delete(packetId)
  }
  if (type === 'PUBCOMP' && held !== null) held.isReleasePromised = true
  if (publication === null || reasonCode >= 0x80) return
  publication.isAcknowledged = true
  const states = model.retained.get(publication.topic)
  const state = states?.find(({ by }) => by === publication)
  if (state !== undefined) state.isPromised = true
}

function checkSuback(
  model: Model,
  connection: ModelConnection,
  type: string,
  packetId: number,
  reasonCodes: readonly number[],
): void {
  const at = connection.owed.findIndex((each) => each.type === type)
  const owed = connection.owed[at]
  if (owed === undefined || owed.packetId !== packetId) {
    model.fail('acknowledgements', `${connection.name}: ${type} ${packetId}, expected ${owed?.packetId ?? 'none'}`)
    return
  }
  connection.owed.splice(at, 1)
  if (owed.reasonCodes.join() !== reasonCodes.join())
    model.fail('acknowledgements', `${connection.name}: ${type} says ${reasonCodes}, not ${owed.reasonCodes}`)
  for (const subscription of owed.subscriptions) subscription.isPromised = true
  for (const subscription of owed.ended) {
    subscription.isEndPromised = true
    forgetRetained(model, connection.session!, subscription)
  }
  if (connection.session!.isDurable) connection.session!.isPromised = true
}

/**
 * Forgets retained messages of an ended subscription whose sending has not begun: they do not come any more. At QoS 2
 * one may be on its way to the disk, at QoS 0 in a queue.
 */
function forgetRetained(model: Model, { expectations, isDurable, clientId }: ModelSession, ended: Subscription): void {
  const mayQueue = model.hasQueuedQoS0 || model.isReviewed(clientId)
  const hasBegun = ({ qos, mayWait }: Expectation): boolean =>
    (qos === 2 && isDurable) || (qos === 0 && (mayQueue || mayWait))
  for (const list of expectations.values())
    for (const each of list) {
      if (each.forSubscription !== ended || each.progress !== 'pending' || hasBegun(each)) continue
      const twin = list.find((other) => isPerhaps(each, other))
      if (twin === undefined) each.progress = 'cancelled'
      else {
        each.takePlaceOf(twin)
        twin.isOptional = true
      }
    }
}

/**
 * Whether a retained message may be the other one: for which subscription it came, or whether it was one that had just
 * been published again, cannot be told. So the one that seems to have come may have been the one that is given up.
 */
function isPerhaps(each: Expectation, other: Expectation): boolean {
  if (!other.wasSent || other.sentSeq <= each.seq || !other.looksLike(each)) return false
  // At QoS 0 what is published leaves in its turn, before what is retained.
  return each.qos > 0 || (other.progress === 'done' && other.forSubscription !== null)
}

function checkPubrel(model: Model, connection: ModelConnection, { packetId }: AckPacket): void {
  const session = connection.session!
  const expectation =
    session.flight.get(packetId)?.qos === 2 ? session.flight.get(packetId) : session.releasedWith(packetId)
  const stray = session.strayPubrecs.get(packetId) ?? 0
  if (expectation?.qos === 2 && expectation.progress === 'sent') wasGivenUp(session, expectation)
  if (expectation?.qos === 2 && (expectation.progress === 'received' || expectation.progress === 'released')) {
    if (expectation.progress === 'released') model.cover('pubrel.again')
    expectation.progress = 'released'
  } else if (stray > 0) {
    session.strayPubrecs.set(packetId, stray - 1)
  } else if (session.givenUp.packetIds.has(packetId)) {
    model.cover('pubrel.again')
  } else if (session.givenUp.count > 0) {
    session.givenUp.count--
    session.givenUp.packetIds.add(packetId)
  } else if (!connection.speaksLate || !session.hasReceived(packetId)) {
    model.fail('exactly once', `${connection.name}: PUBREL ${packetId} and no PUBREC came`)
  }
}

/** Marks this one as given up: among several in flight on one topic nothing tells which was. */
function wasGivenUp({ flight }: ModelSession, expectation: Expectation): void {
  for (const other of flight.values()) {
    if (!other.isGivenUp || other.progress !== 'received' || other.publication.topic !== expectation.publication.topic)
      continue
    expectation.progress = 'received'
    expectation.receivedSeq = other.receivedSeq
    expectation.isGivenUp = true
    other.progress = 'sent'
    other.receivedSeq = 0
    other.isGivenUp = false
    return
  }
}

function checkDisconnect(model: Model, connection: ModelConnection, reasonCode: number): void {
  model.cover(`disconnect.0x${reasonCode.toString(16)}`)
  const reasons = [...connection.mayEnd]
  const isRight = reasons.some((why) => (REASONS[why] === undefined ? reasonCode >= 0x80 : reasonCode === REASONS[why]))
  if (!isRight)
    model.fail(
      'closing',
      `${connection.name}: DISCONNECT 0x${reasonCode.toString(16)}, and what is wrong: ${reasons.join()}`,
    )
}
