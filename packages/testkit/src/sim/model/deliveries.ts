/**
 * Deliveries: subscribers that are owed a message, and whether a PUBLISH of the broker was owed.
 *
 * Sources: MQTT 5.0 sections 3.3.1 (DUP, RETAIN), 3.3.2.3 (properties), 3.3.4, 3.8.3.1, 4.3, 4.6, 4.8.2, 4.9.
 */

import { checkInflightBytes } from './bytes.ts'
import { isExpiryRight, isTooLate, toldExpiry } from './expiry.ts'
import { findNew, findResent, giveBack } from './look-alikes.ts'
import type { Model } from './model.ts'
import { short } from './model.ts'
import { earlierOffer, identifiersOf, markRedistributed, newOffers, offerOf } from './offers.ts'
import { checkOrder } from './order.ts'
import { checkRight, isWithheld } from './rights.ts'
import {
  Expectation,
  GroupDue,
  keyOf,
  type ModelConnection,
  type ModelSession,
  type Publication,
  type Subscription,
} from './state.ts'
import { matchesFilter } from './topics.ts'
import type { Failed, PublishPacket, QoS } from './types.ts'

/**
 * Notes that all matching subscribers are owed the message. Returns the QoS 0 deliveries that must leave in this turn.
 */
export function deliver(model: Model, publication: Publication): Expectation[] {
  const dueNow: Expectation[] = []
  const groups = new Map<string, { session: ModelSession; subscription: Subscription }[]>()
  for (const session of model.sessions.values()) {
    const isDenied = !model.rights.mayReceive(session.clientId, publication.topic)
    if (isDenied) model.cover('deliver.denied')
    // After a restart the broker does not know yet whose the session is: it asks when the client is back.
    // A Will is published while another user takes the session over: by the rights of the one or of the other.
    const isPassedOn = publication.isWill && model.rights.hasChangedAt(session.clientId, publication.topic, model.nowMs)
    if (isDenied && session.liveSubscriptions.some(({ filter }) => matchesFilter(filter, publication.topic)))
      publication.hasDenied = true
    if (isDenied && session.isIdentified && !isPassedOn) continue
    const own: Subscription[] = []
    let hasMatched = false
    for (const subscription of session.liveSubscriptions) {
      if (!matchesFilter(subscription.filter, publication.topic)) continue
      if (subscription.shareName !== null) {
        const name = `${subscription.shareName}\n${subscription.filter}`
        const members = groups.get(name) ?? []
        members.push({ session, subscription })
        groups.set(name, members)
        continue
      }
      hasMatched = true
      // [MQTT-3.8.3-3]
      if (subscription.noLocal && publication.publisher === session) model.cover('deliver.no-local')
      else own.push(subscription)
    }
    if (hasMatched && own.length === 0) {
      publication.hasNoLocal = true
      continue
    }
    if (own.length === 0) continue
    publication.hasMatches = true
    if (own.length > 1) model.cover('deliver.overlapping')
    const qos = Math.min(publication.qos, Math.max(...own.map((each) => each.qos))) as QoS
    if (qos < publication.qos) model.cover('deliver.lower-qos')
    const retain = publication.retain && own.some(({ retainAsPublished }) => retainAsPublished)
    const identifiers = identifiersOf(own)
    const expectation = new Expectation(publication, session, qos, retain, identifiers, model.seq, null, null)
    expectation.mayWait = model.isReviewed(session.clientId)
    if (isDenied || isPassedOn) expectation.isOptional = true
    if (mergeWithEarlier(session, publication, expectation)) continue
    session.add(expectation)
    if (qos === 0) {
      const mayWait =
        session.connection === null ||
        session.connection.blockedSinceMs >= 0 ||
        (model.hasQueuedQoS0 && hasWaiting(session))
      if (mayWait) expectation.isOptional = true
      else dueNow.push(expectation)
    }
    model.cover(session.connection === null ? `deliver.away-qos${qos}` : `deliver.qos${qos}`)
  }
  for (const [name, members] of groups) {
    publication.hasMatches = true
    const [shareName, filter] = name.split('\n') as [string, string]
    const earlier = publication.groups.find((each) => each.shareName === shareName && each.filter === filter)
    const group = earlier ?? new GroupDue(publication, shareName, filter)
    if (earlier === undefined) {
      publication.groups.push(group)
      model.groups.push(group)
    } else {
      // It comes once more because a crash may have lost it. Somebody may have it already, for good at QoS 2.
      group.isOptional = true
      if (earlier.takenBy?.qos === 2 && !earlier.takenBy.session.isOver) continue
      earlier.takenBy = null
    }
    for (const { session, subscription } of members) {
      const offer = earlierOffer(group, session, subscription)
      if (offer === undefined) session.add(offerOf(model, group, session, subscription))
      // What comes once more, after a crash, may have to wait now, where it left or was dropped at once before.
      else offer.mayWait ||= model.isReviewed(session.clientId)
    }
    model.cover(members.length > 1 ? 'deliver.shared' : 'deliver.shared-alone')
  }
  return dueNow
}

/** Something waits for its turn, so that what comes now may have to wait behind it. */
function hasWaiting(session: ModelSession): boolean {
  for (const list of session.expectations.values()) for (const each of list) if (!each.isOver) return true
  return false
}

/** A crash may have lost the message altogether: who was owed it is owed it no more, unless it is published to them again. */
export function doubt(publication: Publication): void {
  for (const expectation of publication.expectations) expectation.isOptional = true
  for (const group of publication.groups) group.isOptional = true
}

/** A QoS 2 message that comes once more because a crash may have lost it: who has it already is not owed it twice. */
function mergeWithEarlier(session: ModelSession, publication: Publication, expectation: Expectation): boolean {
  if (expectation.qos === 0) return false
  const earlier = publication.expectations.find(
    (each) => each.session === session && each.group === null && each.forSubscription === null,
  )
  if (earlier === undefined) return false
  if (earlier.qos === 1) earlier.mayComeAgain = true
  const { qos, retain, identifiers } = expectation
  if (earlier.qos === qos && earlier.retain === retain && earlier.identifiers === identifiers) {
    earlier.isOptional = false
    return true
  }
  // The subscription has changed meanwhile: as it was, or as it is.
  earlier.isOptional = true
  expectation.isOptional = true
  return false
}

/** A new subscription gets what is retained. [MQTT-3.3.1-6] */
export function deliverRetained(model: Model, session: ModelSession, subscription: Subscription): void {
  for (const [topic, states] of model.retained) {
    const publication = states[states.length - 1]?.publication ?? null
    if (publication === null || !matchesFilter(subscription.filter, topic)) continue
    const isDenied = isWithheld(model, session, publication)
    if (isDenied) model.cover('retained.denied')
    const isExpired = publication.expiresAtMs <= model.nowMs
    if (isExpired) model.cover('retained.expired')
    // When it was published again its time began anew, perhaps.
    if (isExpired && !publication.wasPublishedAgain) continue
    const qos = Math.min(publication.qos, subscription.qos) as QoS
    const identifiers = identifiersOf([subscription])
    model.cover('retained.delivered')
    // [MQTT-3.3.1-8]
    const expectation = new Expectation(publication, session, qos, true, identifiers, model.seq, null, subscription)
    expectation.isOptional = isExpired || isDenied
    expectation.mayWait = model.isReviewed(session.clientId)
    expectation.askedMs = model.nowMs
    session.add(expectation)
  }
}

/** A session is over: what a Shared Subscription may have chosen it for goes to another member. (4.8.2) */
export function redistribute(model: Model, gone: ModelSession): void {
  for (const list of gone.expectations.values()) redistributeSome(model, list)
}

/** Does so for messages of one content. Returns whether another member may get one that it could not get before. */
export function redistributeSome(model: Model, list: readonly Expectation[]): boolean {
  let hasSome = false
  for (const expectation of list) {
    const { group } = expectation
    // QoS 0 that does not wait has left, or been dropped, when it came.
    if (group === null || (expectation.qos === 0 && !model.hasQueuedQoS0 && !expectation.mayWait)) continue
    // Of two that look the same the other one may have been acknowledged: `giveBack` finds out.
    const isDoubtful = list.some((each) => each.isUnacknowledged && each.looksLike(expectation))
    if (expectation.isOver && !(isDoubtful && expectation.progress === 'done')) continue
    const before = group.takenBy
    if (before !== null && before !== expectation && !giveBack(expectation)) continue
    // [MQTT-4.8.2-5]: QoS 2 in flight stays with this client. One that was not sent may go to others: it may have been this one, where another one
    // that looks the same waits.
    const mayWait = list.some((each) => each.progress === 'pending' && each.looksLike(expectation))
    if (group.takenBy === expectation && expectation.qos === 2 && !mayWait) continue
    if (!expectation.isOver) {
      group.takenBy = null
      group.isOptional = true
    }
    model.cover('shared.redistributed')
    const offers = newOffers(model, group)
    for (const each of offers) each.session.add(each)
    markRedistributed(group)
    // It may have had the message for another of its Shared Subscriptions, where the two look the same: then that one is
    // given to others, and the member that seemed to have got that one has got this one.
    for (const each of list)
      if (each.group !== null && each.progress === 'pending' && each.looksLike(expectation))
        markRedistributed(each.group)
    hasSome ||= offers.length > 0 || (before !== null && group.takenBy === null)
  }
  return hasSome
}

/** The broker sends a PUBLISH. */
export function checkDelivery(model: Model, connection: ModelConnection, packet: PublishPacket): void {
  const session = connection.session!
  const topic = topicOf(model, connection, packet)
  if (topic === null) return
  const wire: PublishPacket = { ...packet, topic }
  const what = `${connection.name} (${session.clientId}): PUBLISH ${packet.packetId} QoS ${packet.qos}${packet.dup ? ' DUP' : ''} ${topic} ${short(packet.payload)}`
  const failed: Failed = (checker, why) => model.fail(checker, `${what}: ${why}`)
  if (connection.speaksLate) {
    if (!session.expectations.has(keyOf(wire))) failed('only to whom it is due', 'on a connection that is over')
    return
  }
  let expectation: Expectation | null
  if (packet.qos > 0 && packet.dup) expectation = findResent(model, connection, session, wire, failed)
  else {
    if (packet.qos > 0 && session.flight.has(packet.packetId) && !session.forgottenIds.has(packet.packetId)) {
      const other = session.flight.get(packet.packetId)!
      const isSame = other.publication.key === keyOf(wire)
      failed('packet ids', isSame ? 'sent again without DUP [MQTT-3.3.1-1]' : 'the id is in use [MQTT-2.2.1-4]')
      return
    }
    expectation = findNew(model, connection, session, wire, failed)
  }
  if (expectation === null) return
  checkContent(model, connection, expectation, wire, failed)
  const denial = checkRight(model, connection, session, expectation, packet.dup)
  if (denial !== null) failed('only to whom it is due', denial)
  checkOrder(connection, session, expectation, failed)
  note(model, connection, session, expectation, wire, failed)
}

/** [MQTT-3.3.2-10] and what follows: aliases of this connection. */
function topicOf(model: Model, connection: ModelConnection, packet: PublishPacket): string | null {
  const { topic, topicAlias } = packet
  if (topicAlias === 0) return topic
  model.cover('out.alias')
  const maximum = Math.min(connection.connect!.topicAliasMaximum, connection.settings.topicAliasSendMax)
  if (topicAlias > maximum) {
    model.fail('content', `${connection.name}: Topic Alias ${topicAlias}, the maximum is ${maximum} [MQTT-3.1.2-26]`)
    return null
  }
  if (topic !== '') {
    connection.aliasesOut.set(topicAlias, topic)
    return topic
  }
  const known = connection.aliasesOut.get(topicAlias)
  if (known !== undefined) return known
  model.fail('content', `${connection.name}: unknown Topic Alias ${topicAlias}`)
  return null
}

function checkContent(
  model: Model,
  connection: ModelConnection,
  expectation: Expectation,
  packet: PublishPacket,
  failed: Failed,
): void {
  const { publication, qos, retain, identifiers, forSubscription, session } = expectation
  // The subscription may have changed between the first time and the second.
  if (publication.wasPublishedAgain) return
  if (qos !== packet.qos) failed('content', `its QoS is ${qos} [MQTT-3.8.4-8]`)
  if (retain !== packet.retain)
    failed(forSubscription === null ? 'content' : 'retained', `RETAIN is ${retain} [MQTT-3.3.1-12] [MQTT-3.3.1-13]`)
  if (!connection.isV5) return
  const given = [...packet.identifiers].sort((a, b) => a - b).join()
  if (given !== identifiers && !session.isRevived)
    failed('content', `Subscription Identifiers are ${given}, not ${identifiers} [MQTT-3.3.4-4]`)
  if (packet.passedOn !== publication.passedOn)
    failed('content', `properties are ${packet.passedOn}, not ${publication.passedOn}`)
  const { nowMs } = model
  // With DUP it was on its way before.
  if (!packet.dup && isTooLate(model, connection, expectation))
    failed('expiry', `it expired ${nowMs - publication.expiresAtMs} ms ago [MQTT-3.3.2-5]`)
  // Its publisher may have sent it again, so that the time began anew, and nobody can tell which of the two this is.
  const twins = session.expectations.get(publication.key) ?? []
  const told = toldExpiry(model, connection, packet)
  if (!twins.some((each) => !each.publication.wasPublishedAgain && isExpiryRight(each.publication, told))) {
    const left = publication.expiresAtMs - nowMs
    failed('expiry', `Message Expiry Interval ${packet.expirySeconds}, and it has ${left} ms [MQTT-3.3.2-6]`)
  }
}

function note(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  expectation: Expectation,
  packet: PublishPacket,
  failed: Failed,
): void {
  const { group } = expectation
  if (!packet.dup || !expectation.wasSent) {
    expectation.timesSent++
    expectation.begunSeq = model.seq
  }
  for (const each of expectation.alternatives ?? [])
    if (each !== expectation && each.progress === 'pending') each.progress = 'cancelled'
  expectation.wasSent = true
  expectation.wasSentUnsafely = model.isFailing
  expectation.sentSeq = model.seq
  expectation.sentMs = model.nowMs
  expectation.told = toldExpiry(model, connection, packet)
  // A session that is over has had its share given to another one.
  if (group !== null && !session.isOver) group.takenBy = expectation
  if (packet.qos === 0) {
    if (model.nowMs > expectation.publication.atMs && connection.blockedSinceMs < 0) expectation.mayWait = true
    expectation.progress = 'done'
    expectation.doneSeq = model.seq
    return
  }
  // Sent anew after a crash, under another id perhaps.
  if (expectation.packetId !== packet.packetId && session.flight.get(expectation.packetId) === expectation) {
    session.flight.delete(expectation.packetId)
    session.forgottenIds.delete(expectation.packetId)
    if (packet.qos === 2)
      failed('exactly once', `it had the id ${expectation.packetId}: the client takes it for another message`)
  }
  checkInflightBytes(model, session, connection, expectation)
  expectation.mayComeAgain = false
  expectation.progress = 'sent'
  expectation.packetId = packet.packetId
  expectation.sentOn = connection
  session.forgottenIds.delete(packet.packetId)
  session.flight.set(packet.packetId, expectation)
  connection.outstanding.add(packet.packetId)
  const maximum = Math.min(connection.connect!.receiveMaximum, connection.settings.inflightMax)
  if (connection.outstanding.size > maximum)
    failed('receive maximum', `${connection.outstanding.size} in flight, the maximum is ${maximum}`)
  if (connection.outstanding.size === maximum) model.cover('out.receive-maximum-reached')
  if (connection.connect!.maximumPacketSize !== Number.POSITIVE_INFINITY) model.cover('out.maximum-packet-size')
}
