/**
 * Deliveries: subscribers that are owed a message, and whether a PUBLISH of the broker was owed.
 *
 * Sources: MQTT 5.0 sections 3.3.1 (DUP, RETAIN), 3.3.2.3 (properties), 3.3.4, 3.8.3.1, 4.3, 4.6, 4.8.2, 4.9.
 */

import { checkInflightBytes } from './bytes.ts'
import { isExpiryRight, isTooLate } from './expiry.ts'
import { findNew, findResent, giveBack } from './look-alikes.ts'
import type { Model } from './model.ts'
import { short } from './model.ts'
import { hasOffer, identifiersOf, newOffers, offerOf } from './offers.ts'
import { checkOrder } from './order.ts'
import { checkRight, isWithheld } from './rights.ts'
import { Expectation, GroupDue, type Instance, keyOf, type Life, type Link, type Subscription } from './state.ts'
import { matchesFilter } from './topics.ts'
import type { Failed, PublishPacket, QoS } from './types.ts'

/**
 * Notes that all matching subscribers are owed the message. Returns the QoS 0 deliveries that must leave in this turn.
 */
export function deliver(model: Model, instance: Instance): Expectation[] {
  const dueNow: Expectation[] = []
  const groups = new Map<string, { life: Life; subscription: Subscription }[]>()
  for (const life of model.lives.values()) {
    const isDenied = !model.rights.mayReceive(life.clientId, instance.topic)
    if (isDenied) model.cover('deliver.denied')
    // After a restart the broker does not know yet whose the session is: it asks when the client is back.
    // A Will is published while another user takes the session over: by the rights of the one or of the other.
    const isPassedOn = instance.isWill && model.rights.hasChangedAt(life.clientId, instance.topic, model.nowMs)
    if (isDenied && life.liveSubscriptions.some(({ filter }) => matchesFilter(filter, instance.topic)))
      instance.hasDenied = true
    if (isDenied && life.isIdentified && !isPassedOn) continue
    const own: Subscription[] = []
    let hasMatched = false
    for (const subscription of life.liveSubscriptions) {
      if (!matchesFilter(subscription.filter, instance.topic)) continue
      if (subscription.shareName !== null) {
        const name = `${subscription.shareName}\n${subscription.filter}`
        const members = groups.get(name) ?? []
        members.push({ life, subscription })
        groups.set(name, members)
        continue
      }
      hasMatched = true
      // [MQTT-3.8.3-3]
      if (subscription.noLocal && instance.publisher === life) model.cover('deliver.no-local')
      else own.push(subscription)
    }
    if (hasMatched && own.length === 0) {
      instance.hasNoLocal = true
      continue
    }
    if (own.length === 0) continue
    instance.hasMatches = true
    if (own.length > 1) model.cover('deliver.overlapping')
    const qos = Math.min(instance.qos, Math.max(...own.map((each) => each.qos))) as QoS
    if (qos < instance.qos) model.cover('deliver.lower-qos')
    const retain = instance.retain && own.some(({ retainAsPublished }) => retainAsPublished)
    const identifiers = identifiersOf(own)
    const expectation = new Expectation(instance, life, qos, retain, identifiers, model.seq, null, null)
    expectation.mayWait = model.isReviewed(life.clientId)
    if (isDenied || isPassedOn) expectation.isOptional = true
    if (mergeWithEarlier(life, instance, expectation)) continue
    life.add(expectation)
    if (qos === 0) {
      const mayWait = life.link === null || life.link.blockedSinceMs >= 0 || (model.hasQueuedQoS0 && hasWaiting(life))
      if (mayWait) expectation.isOptional = true
      else dueNow.push(expectation)
    }
    model.cover(life.link === null ? `deliver.away-qos${qos}` : `deliver.qos${qos}`)
  }
  for (const [name, members] of groups) {
    instance.hasMatches = true
    const [shareName, filter] = name.split('\n') as [string, string]
    const earlier = instance.groups.find((each) => each.shareName === shareName && each.filter === filter)
    const group = earlier ?? new GroupDue(instance, shareName, filter)
    if (earlier === undefined) {
      instance.groups.push(group)
      model.groups.push(group)
    } else {
      // It comes once more because a crash may have lost it. Somebody may have it already, for good at QoS 2.
      group.isOptional = true
      if (earlier.takenBy?.qos === 2 && !earlier.takenBy.life.isOver) continue
      earlier.takenBy = null
    }
    for (const { life, subscription } of members) {
      if (!hasOffer(group, life, subscription)) life.add(offerOf(model, group, life, subscription))
    }
    model.cover(members.length > 1 ? 'deliver.shared' : 'deliver.shared-alone')
  }
  return dueNow
}

/** Something waits for its turn, so that what comes now may have to wait behind it. */
function hasWaiting(life: Life): boolean {
  for (const list of life.expectations.values()) for (const each of list) if (!each.isOver) return true
  return false
}

/** A crash may have lost the message altogether: who was owed it is owed it no more, unless it is published to them again. */
export function doubt(instance: Instance): void {
  for (const expectation of instance.expectations) expectation.isOptional = true
  for (const group of instance.groups) group.isOptional = true
}

/** A QoS 2 message that comes once more because a crash may have lost it: who has it already is not owed it twice. */
function mergeWithEarlier(life: Life, instance: Instance, expectation: Expectation): boolean {
  if (expectation.qos === 0) return false
  const earlier = instance.expectations.find(
    (each) => each.life === life && each.group === null && each.forSubscription === null,
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
export function deliverRetained(model: Model, life: Life, subscription: Subscription): void {
  for (const [topic, states] of model.retained) {
    const instance = states[states.length - 1]?.instance ?? null
    if (instance === null || !matchesFilter(subscription.filter, topic)) continue
    const isDenied = isWithheld(model, life, instance)
    if (isDenied) model.cover('retained.denied')
    const isExpired = instance.expiresAtMs <= model.nowMs
    if (isExpired) model.cover('retained.expired')
    // When it was published again its time began anew, perhaps.
    if (isExpired && !instance.wasPublishedAgain) continue
    const qos = Math.min(instance.qos, subscription.qos) as QoS
    const identifiers = identifiersOf([subscription])
    model.cover('retained.delivered')
    // [MQTT-3.3.1-8]
    const expectation = new Expectation(instance, life, qos, true, identifiers, model.seq, null, subscription)
    expectation.isOptional = isExpired || isDenied
    expectation.mayWait = model.isReviewed(life.clientId)
    expectation.askedMs = model.nowMs
    life.add(expectation)
  }
}

/** A session is over: what a Shared Subscription may have chosen it for goes to another member. (4.8.2) */
export function redistribute(model: Model, gone: Life): void {
  for (const list of gone.expectations.values()) {
    for (const expectation of list) {
      const { group } = expectation
      // QoS 0 that does not wait has left, or been dropped, when it came.
      if (group === null || (expectation.qos === 0 && !model.hasQueuedQoS0 && !expectation.mayWait)) continue
      // Of two that look the same the other one may have been acknowledged: `giveBack` finds out.
      const isDoubtful = list.some((each) => each.isUnacknowledged && each.looksLike(expectation))
      if (expectation.isOver && !(isDoubtful && expectation.progress === 'done')) continue
      if (group.takenBy !== null && group.takenBy !== expectation && !giveBack(expectation)) continue
      // [MQTT-4.8.2-5]: QoS 2 in flight stays with this client. One that was not sent may go to others: it may have been this one, where another one
      // that looks the same waits.
      const mayWait = list.some((each) => each.progress === 'pending' && each.looksLike(expectation))
      if (group.takenBy === expectation && expectation.qos === 2 && !mayWait) continue
      if (!expectation.isOver) {
        group.takenBy = null
        group.isOptional = true
      }
      model.cover('shared.redistributed')
      for (const each of newOffers(model, group)) each.life.add(each)
      for (const each of group.instance.expectations) if (each.group === group) each.isRedistributed = true
    }
  }
}

/** The broker sends a PUBLISH. */
export function checkDelivery(model: Model, link: Link, packet: PublishPacket): void {
  const life = link.life!
  const topic = topicOf(model, link, packet)
  if (topic === null) return
  const wire: PublishPacket = { ...packet, topic }
  const what = `${link.name} (${life.clientId}): PUBLISH ${packet.packetId} QoS ${packet.qos}${packet.dup ? ' DUP' : ''} ${topic} ${short(packet.payload)}`
  const failed: Failed = (checker, why) => model.fail(checker, `${what}: ${why}`)
  if (link.speaksLate) {
    if (!life.expectations.has(keyOf(wire))) failed('only to whom it is due', 'on a connection that is over')
    return
  }
  let expectation: Expectation | null
  if (packet.qos > 0 && packet.dup) expectation = findResent(model, link, life, wire, failed)
  else {
    if (packet.qos > 0 && life.flight.has(packet.packetId) && !life.forgottenIds.has(packet.packetId)) {
      const other = life.flight.get(packet.packetId)!
      const isSame = other.instance.key === keyOf(wire)
      failed('packet ids', isSame ? 'sent again without DUP [MQTT-3.3.1-1]' : 'the id is in use [MQTT-2.2.1-4]')
      return
    }
    expectation = findNew(model, link, life, wire, failed)
  }
  if (expectation === null) return
  checkContent(model, link, expectation, wire, failed)
  const denial = checkRight(model, link, life, expectation, packet.dup)
  if (denial !== null) failed('only to whom it is due', denial)
  checkOrder(link, life, expectation, failed)
  note(model, link, life, expectation, wire, failed)
}

/** [MQTT-3.3.2-10] and what follows: aliases of this connection. */
function topicOf(model: Model, link: Link, packet: PublishPacket): string | null {
  const { topic, topicAlias } = packet
  if (topicAlias === 0) return topic
  model.cover('out.alias')
  const maximum = Math.min(link.connect!.topicAliasMaximum, link.settings.topicAliasSendMax)
  if (topicAlias > maximum) {
    model.fail('content', `${link.name}: Topic Alias ${topicAlias}, the maximum is ${maximum} [MQTT-3.1.2-26]`)
    return null
  }
  if (topic !== '') {
    link.aliasesOut.set(topicAlias, topic)
    return topic
  }
  const known = link.aliasesOut.get(topicAlias)
  if (known !== undefined) return known
  model.fail('content', `${link.name}: unknown Topic Alias ${topicAlias}`)
  return null
}

function checkContent(model: Model, link: Link, expectation: Expectation, packet: PublishPacket, failed: Failed): void {
  const { instance, qos, retain, identifiers, forSubscription, life } = expectation
  // The subscription may have changed between the first time and the second.
  if (instance.wasPublishedAgain) return
  if (qos !== packet.qos) failed('content', `its QoS is ${qos} [MQTT-3.8.4-8]`)
  if (retain !== packet.retain)
    failed(forSubscription === null ? 'content' : 'retained', `RETAIN is ${retain} [MQTT-3.3.1-12] [MQTT-3.3.1-13]`)
  if (!link.isV5) return
  const given = [...packet.identifiers].sort((a, b) => a - b).join()
  if (given !== identifiers && !life.isRevived)
    failed('content', `Subscription Identifiers are ${given}, not ${identifiers} [MQTT-3.3.4-4]`)
  if (packet.passedOn !== instance.passedOn)
    failed('content', `properties are ${packet.passedOn}, not ${instance.passedOn}`)
  const { nowMs } = model
  // With DUP it was on its way before.
  if (!packet.dup && isTooLate(model, link, expectation))
    failed('expiry', `it expired ${nowMs - instance.expiresAtMs} ms ago [MQTT-3.3.2-5]`)
  // Its publisher may have sent it again, so that the time began anew, and nobody can tell which of the two this is.
  const twins = life.expectations.get(instance.key) ?? []
  if (!twins.some((each) => isExpiryRight(model, link, each.instance, packet))) {
    const left = instance.expiresAtMs - nowMs
    failed('expiry', `Message Expiry Interval ${packet.expirySeconds}, and it has ${left} ms [MQTT-3.3.2-6]`)
  }
}

function note(
  model: Model,
  link: Link,
  life: Life,
  expectation: Expectation,
  packet: PublishPacket,
  failed: Failed,
): void {
  const { group } = expectation
  if (!packet.dup || !expectation.wasSent) {
    expectation.timesSent++
    expectation.begunSeq = model.seq
  }
  expectation.wasSent = true
  expectation.sentSeq = model.seq
  expectation.sentMs = model.nowMs
  // A session that is over has had its share given to another one.
  if (group !== null && !life.isOver) group.takenBy = expectation
  if (packet.qos === 0) {
    if (model.nowMs > expectation.instance.atMs && link.blockedSinceMs < 0) expectation.mayWait = true
    expectation.progress = 'done'
    expectation.doneSeq = model.seq
    return
  }
  // Sent anew after a crash, under another id perhaps.
  if (expectation.packetId !== packet.packetId && life.flight.get(expectation.packetId) === expectation) {
    life.flight.delete(expectation.packetId)
    life.forgottenIds.delete(expectation.packetId)
    if (packet.qos === 2)
      failed('exactly once', `it had the id ${expectation.packetId}: the client takes it for another message`)
  }
  checkInflightBytes(model, life, link, expectation)
  expectation.mayComeAgain = false
  expectation.progress = 'sent'
  expectation.packetId = packet.packetId
  expectation.sentOn = link
  life.forgottenIds.delete(packet.packetId)
  life.flight.set(packet.packetId, expectation)
  link.outstanding.add(packet.packetId)
  const maximum = Math.min(link.connect!.receiveMaximum, link.settings.inflightMax)
  if (link.outstanding.size > maximum)
    failed('receive maximum', `${link.outstanding.size} in flight, the maximum is ${maximum}`)
  if (link.outstanding.size === maximum) model.cover('out.receive-maximum-reached')
  if (link.connect!.maximumPacketSize !== Number.POSITIVE_INFINITY) model.cover('out.maximum-packet-size')
}
