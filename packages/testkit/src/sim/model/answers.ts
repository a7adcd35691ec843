/**
 * The answers that the broker owes and gives: CONNACK, acknowledgements, SUBACK and UNSUBACK, PUBREL, and the DISCONNECT that
 * says why.
 *
 * Sources: MQTT 5.0 sections 3.2, 3.4 to 3.7, 3.9, 3.11, 3.14, 4.3 and 4.6.
 */
import { checkTold, IDENTIFIER_REJECTED } from './identifiers.ts'
import type { Model } from './model.ts'
import { RATE } from './rates.ts'
import type { Expectation, Life, Link, Subscription } from './state.ts'
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
export function checkAnswer(model: Model, link: Link, packet: OutPacket): void {
  switch (packet.type) {
    case 'CONNACK':
      checkConnack(model, link, packet)
      break
    case 'PUBREL':
      checkPubrel(model, link, packet)
      break
    case 'PUBACK':
    case 'PUBREC':
    case 'PUBCOMP':
    case 'PINGRESP':
      checkAck(model, link, packet.type, 'packetId' in packet ? packet.packetId : 0, packet)
      break
    case 'SUBACK':
    case 'UNSUBACK':
      checkSuback(model, link, packet.type, packet.packetId, packet.reasonCodes)
      break
    case 'DISCONNECT':
      checkDisconnect(model, link, packet.reasonCode)
      break
  }
}

/** Whether 3.1 and 3.1.1 refuse rightly: for most refusals several return codes are as good. [MQTT-3.1.1:3.1.3-8] */
function isRefusedRightly({ isV5, refusals }: Link, reasonCode: number): boolean {
  return isV5
    ? refusals.includes(reasonCode)
    : refusals.some((each) => each !== IDENTIFIER_REJECTED || reasonCode === 2)
}

function checkConnack(model: Model, link: Link, packet: OutPacket & { type: 'CONNACK' }): void {
  const { reasonCode, sessionPresent, hasResponses } = packet
  // [MQTT-3.1.2-28]
  if (hasResponses && link.connect?.wantsResponses !== true)
    model.fail('acknowledgements', `${link.name}: CONNACK has Response Information, and nobody has asked for it`)
  if (link.isConnackSent) model.fail('acknowledgements', `${link.name}: a second CONNACK`)
  link.isConnackSent = true
  if (link.connect === null) return // answers bytes that were no CONNECT
  if (link.state === 'waiting') model.goOn(link, reasonCode)
  if (link.state === 'refused') {
    // One that waits may also be taken over, or meet a shutdown.
    const isRight = isRefusedRightly(link, reasonCode) || [...link.mayEnd].some((why) => why !== 'refused')
    if (reasonCode === 0 || !isRight)
      model.fail('sessions', `${link.name}: CONNACK ${reasonCode}, not ${link.refusals}`)
    return
  }
  if (reasonCode !== 0) {
    if (link.mayEnd.size === 0) model.fail('sessions', `${link.name}: CONNACK refuses with ${reasonCode}`)
  } else if (sessionPresent !== link.sessionPresent) {
    model.fail('sessions', `${link.name}: CONNACK has Session Present ${sessionPresent}, not ${link.sessionPresent}`)
  } else {
    checkTold(model, link, packet.assignedClientId)
    const { life } = link
    // While the disk fails nothing is promised.
    if (life === null || !link.hasWaited) return
    life.promisedSeq = link.connectedSeq
    if (life.isDurable) life.isPromised = true
  }
}

function checkAck(model: Model, link: Link, type: string, packetId: number, packet: OutPacket): void {
  const at = link.owed.findIndex((each) => each.type === type)
  const owed = link.owed[at]
  if (owed === undefined || owed.packetId !== packetId) {
    model.fail(
      'acknowledgements',
      `${link.name}: ${type} ${packetId}, expected ${owed?.packetId ?? 'none'} [MQTT-4.6.0-2]`,
    )
    return
  }
  link.owed.splice(at, 1)
  if (type === 'PINGRESP') return
  const { reasonCode } = packet as AckPacket
  if (type !== 'PUBREC' || reasonCode >= 0x80) link.life!.fromClient.delete(packetId)
  const { instance, held } = owed
  if (instance?.isRefused) {
    model.cover(`${type.toLowerCase()}.refused`)
  }
  // What was on its way to a disk that fails is refused; whoever has got it keeps it.
  const isRefusedByDisk = type === 'PUBACK' && reasonCode === 0x97 && model.isFailing
  if (isRefusedByDisk) model.cover('puback.disk-fails')
  if (link.isV5 && !isRefusedByDisk && !owed.allowed.includes(reasonCode))
    model.fail(
      'acknowledgements',
      `${link.name}: ${type} ${packetId} has Reason Code ${reasonCode}, not ${owed.allowed}`,
    )
  if (type === 'PUBACK' && link.unacknowledged > 0) link.unacknowledged--
  if (type === 'PUBREC' && reasonCode >= 0x80) {
    if (held?.link === link && link.unacknowledged > 0) link.unacknowledged--
    if (held !== null) link.life!.held.delete(packetId)
  }
  if (type === 'PUBCOMP' && held !== null) held.isReleasePromised = true
  if (instance === null || reasonCode >= 0x80) return
  instance.isAcknowledged = true
  const states = model.retained.get(instance.topic)
  const state = states?.find(({ by }) => by === instance)
  if (state !== undefined) state.isPromised = true
}

function checkSuback(model: Model, link: Link, type: string, packetId: number, reasonCodes: readonly number[]): void {
  const at = link.owed.findIndex((each) => each.type === type)
  const owed = link.owed[at]
  if (owed === undefined || owed.packetId !== packetId) {
    model.fail('acknowledgements', `${link.name}: ${type} ${packetId}, expected ${owed?.packetId ?? 'none'}`)
    return
  }
  link.owed.splice(at, 1)
  if (owed.reasonCodes.join() !== reasonCodes.join())
    model.fail('acknowledgements', `${link.name}: ${type} says ${reasonCodes}, not ${owed.reasonCodes}`)
  for (const subscription of owed.subscriptions) subscription.isPromised = true
  for (const subscription of owed.ended) {
    subscription.isEndPromised = true
    forgetRetained(model, link.life!, subscription)
  }
  if (link.life!.isDurable) link.life!.isPromised = true
}

/**
 * Forgets retained messages of an ended subscription whose sending has not begun: they do not come any more. At QoS 2
 * one may be on its way to the disk, at QoS 0 in a queue.
 */
function forgetRetained(model: Model, { expectations, isDurable, clientId }: Life, ended: Subscription): void {
  const mayQueue = model.hasQueuedQoS0 || model.isReviewed(clientId)
  const hasBegun = ({ qos, mayWait }: Expectation): boolean =>
    (qos === 2 && isDurable) || (qos === 0 && (mayQueue || mayWait))
  for (const list of expectations.values())
    for (const each of list) {
      if (each.forSubscription !== ended || each.progress !== 'pending' || hasBegun(each)) continue
      const twin = list.find(
        (other) => other.progress === 'done' && other.forSubscription !== null && isPerhaps(each, other),
      )
      if (twin === undefined) each.progress = 'cancelled'
      else {
        each.takePlaceOf(twin)
        twin.isOptional = true
      }
    }
}

/**
 * Whether a retained message at QoS 0 may be the other one: for which subscription it came cannot be told, so the one
 * that seems to have come may have been the one that is given up.
 */
function isPerhaps(each: Expectation, other: Expectation): boolean {
  return each.qos === 0 && other.sentSeq > each.seq && other.looksLike(each)
}

function checkPubrel(model: Model, link: Link, { packetId }: AckPacket): void {
  const life = link.life!
  const expectation = life.flight.get(packetId)?.qos === 2 ? life.flight.get(packetId) : life.releasedWith(packetId)
  const stray = life.strayPubrecs.get(packetId) ?? 0
  if (expectation?.qos === 2 && expectation.progress === 'sent') wasGivenUp(life, expectation)
  if (expectation?.qos === 2 && (expectation.progress === 'received' || expectation.progress === 'released')) {
    if (expectation.progress === 'released') model.cover('pubrel.again')
    expectation.progress = 'released'
  } else if (stray > 0) {
    life.strayPubrecs.set(packetId, stray - 1)
  } else if (life.givenUp.packetIds.has(packetId)) {
    model.cover('pubrel.again')
  } else if (life.givenUp.count > 0) {
    life.givenUp.count--
    life.givenUp.packetIds.add(packetId)
  } else if (!link.speaksLate || !life.hasReceived(packetId)) {
    model.fail('exactly once', `${link.name}: PUBREL ${packetId} and no PUBREC came`)
  }
}

/** Marks this one as given up: among several in flight on one topic nothing tells which was. */
function wasGivenUp({ flight }: Life, expectation: Expectation): void {
  for (const other of flight.values()) {
    if (!other.isGivenUp || other.progress !== 'received' || other.instance.topic !== expectation.instance.topic)
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

function checkDisconnect(model: Model, link: Link, reasonCode: number): void {
  model.cover(`disconnect.0x${reasonCode.toString(16)}`)
  const reasons = [...link.mayEnd]
  const isRight = reasons.some((why) => (REASONS[why] === undefined ? reasonCode >= 0x80 : reasonCode === REASONS[why]))
  if (!isRight)
    model.fail('closing', `${link.name}: DISCONNECT 0x${reasonCode.toString(16)}, and what is wrong: ${reasons.join()}`)
}
