/**
 * Deliveries: subscribers that are owed a message, and whether a PUBLISH of the broker was owed.
 *
 * Sources: MQTT 5.0 sections 3.3.1 (DUP, RETAIN), 3.3.2.3 (properties), 3.3.4, 3.8.3.1, 4.3, 4.6, 4.8.2, 4.9.
 */

import { checkInflightBytes } from './bytes.ts'
import { passOn } from './given-up.ts'
import type { Model } from './model.ts'
import { short } from './model.ts'
import { hasOffer, identifiersOf, newOffers, offerOf } from './offers.ts'
import { checkOrder, hasNoOrder, isInOrder, isOvertaking } from './order.ts'
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
    if (isDenied && life.isIdentified) continue
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
    if (hasMatched && own.length === 0) continue
    if (own.length === 0) continue
    instance.hasMatches = true
    if (own.length > 1) model.cover('deliver.overlapping')
    const qos = Math.min(instance.qos, Math.max(...own.map((each) => each.qos))) as QoS
    if (qos < instance.qos) model.cover('deliver.lower-qos')
    const retain = instance.retain && own.some(({ retainAsPublished }) => retainAsPublished)
    const identifiers = identifiersOf(own)
    const expectation = new Expectation(instance, life, qos, retain, identifiers, model.seq, null, null)
    expectation.mayWait = model.isReviewed(life.clientId)
    if (isDenied) expectation.isOptional = true
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

function findResent(model: Model, link: Link, life: Life, packet: PublishPacket, failed: Failed): Expectation | null {
  const expectation = life.flight.get(packet.packetId)
  const list = life.expectations.get(keyOf(packet)) ?? []
  const identifiers = [...packet.identifiers].sort((a, b) => a - b).join()
  const isAlike = (each: Expectation): boolean =>
    each.retain === packet.retain &&
    (!link.isV5 || (each.identifiers === identifiers && each.instance.passedOn === packet.passedOn))
  if (expectation !== undefined && expectation.instance.key === keyOf(packet) && expectation.qos === packet.qos) {
    // Before 5.0 nobody sees Subscription Identifiers and properties: which of several it was shows now.
    // Or a crash has taken the one that had this id, and another one has it now.
    const isUnsure = link.isV5 && (!life.isV5 || life.forgottenIds.has(packet.packetId)) && !isAlike(expectation)
    const meant = isUnsure
      ? list.find((each) => each.qos === packet.qos && each.progress !== 'cancelled' && isAlike(each))
      : undefined
    if (meant !== undefined) {
      meant.swapWith(expectation)
      return findResent(model, link, life, packet, failed)
    }
    const twin = earlierTwin(link, life, packet, expectation)
    if (twin !== undefined) return twin
    if (expectation.sentOn === link) failed('exactly once', 'sent twice on one connection')
    else if (expectation.progress === 'released') failed('exactly once', 'sent again after PUBREL [MQTT-4.3.3-6]')
    else if (expectation.progress === 'received') failed('exactly once', 'sent again after PUBREC [MQTT-4.3.3-6]')
    model.cover('out.resent')
    return expectation
  }
  // The broker was about to send it when the connection was lost: the flag says that it might have been sent.
  const early = list.filter(
    ({ qos, progress, seq }) => qos === packet.qos && progress === 'pending' && seq < link.connectedSeq,
  )
  // One that another member has got is not meant, unless that was another one.
  const open = early.filter(({ isOpen }) => isOpen)
  const unsentAlike = open.find(isAlike)
  // The broker may have been about to send it when it crashed: then it comes with DUP, and first.
  if (life.crashes > 0) {
    const all = list.filter(
      (each) =>
        each.qos === packet.qos &&
        each.seq < life.lastCrashSeq &&
        (each.progress === 'pending' || (each.mayComeAgain && each.progress !== 'cancelled')),
    )
    const candidates = all.filter(({ isOpen }) => isOpen)
    const hadThisId = candidates.filter((each) => each.wasSent && each.packetId === packet.packetId)
    const alike = candidates.filter(isAlike)
    const next = (some: Expectation[]): Expectation | undefined =>
      some.find((each) => isInOrder(link, life, each)) ?? some[0]
    const candidate =
      // Two may have had it, one after the other: then the one that looks like this.
      next(hadThisId.filter(isAlike)) ??
      next(hadThisId) ??
      next(alike) ??
      (unsentAlike === undefined ? (all.find((each) => isAlike(each) && giveBack(each)) ?? candidates[0]) : undefined)
    if (candidate !== undefined) {
      if (expectation !== undefined && !life.forgottenIds.has(packet.packetId) && expectation !== candidate) {
        failed('packet ids', 'the id is in use [MQTT-2.2.1-4]')
        return null
      }
      model.cover('out.resent-after-crash')
      return candidate
    }
  }
  const unsent = unsentAlike ?? early.find((each) => isAlike(each) && giveBack(each)) ?? open[0]
  if (unsent !== undefined && (expectation === undefined || life.forgottenIds.has(packet.packetId))) return unsent
  failed(
    'exactly once',
    expectation === undefined ? 'DUP, and it is not in flight' : 'DUP, and the id is another message',
  )
  return null
}

/**
 * Returns the earlier one of two messages with one content and one Packet Identifier. At QoS 1 an acknowledged
 * identifier is used again at once. When a crash takes the acknowledgement, the earlier message is there again, and
 * goes first; which of the two this is cannot be told.
 */
function earlierTwin(
  link: Link,
  life: Life,
  { packetId, qos, retain }: PublishPacket,
  expectation: Expectation,
): Expectation | undefined {
  if (qos !== 1 || !life.forgottenIds.has(packetId)) return undefined
  return life.expectations
    .get(expectation.instance.key)!
    .find(
      (each) =>
        each.instance.index < expectation.instance.index &&
        each.qos === 1 &&
        each.packetId === packetId &&
        each.retain === retain &&
        each.identifiers === expectation.identifiers &&
        each.progress === 'done' &&
        each.mayComeAgain &&
        isInOrder(link, life, each),
    )
}

function findNew(model: Model, link: Link, life: Life, packet: PublishPacket, failed: Failed): Expectation | null {
  const list = life.expectations.get(keyOf(packet)) ?? []
  const identifiers = [...packet.identifiers].sort((a, b) => a - b).join()
  const open = list.filter(({ isOpen }) => isOpen)
  const { isV5 } = link
  const fits = (each: Expectation): boolean =>
    each.qos === packet.qos &&
    each.retain === packet.retain &&
    (!isV5 ||
      (each.identifiers === identifiers &&
        each.instance.passedOn === packet.passedOn &&
        (each.instance.wasPublishedAgain || isExpiryRight(model, link, each.instance, packet)) &&
        !isTooLate(model, link, each)))
  // At QoS 0 what has just been published comes first: it has replaced what was retained, which need not come any more.
  const isOfNow = (each: Expectation): boolean =>
    each.qos === 0 && each.madeOn === link && !model.hasQueuedQoS0 && fits(each)
  const freeOne = open.find((each) => fits(each) && hasNoOrder(each))
  const best =
    open.find((each) => isOfNow(each) && each.forSubscription === null) ??
    open.find(isOfNow) ??
    // Those that have an order first. The earliest, also where another member seems to have got that: the later one must not come
    // before it. One that would overtake another is not meant if it need not be.
    list.find(
      (each) =>
        fits(each) &&
        !hasNoOrder(each) &&
        isInOrder(link, life, each) &&
        (freeOne === undefined || !isOvertaking(life, each)) &&
        (each.isOpen || (each.progress === 'pending' && giveBack(each))),
    ) ??
    freeOne ??
    open.find((each) => fits(each) && each.progress === 'pending') ??
    open.find(fits)
  if (best !== undefined) return best
  for (const each of list) if (fits(each) && each.progress === 'pending' && giveBack(each)) return each
  // Of two publications of the same content the later one seems to have come before, and the earlier one is too old now.
  for (const older of open) {
    const later = list.find(
      (each) => each.wasSent && each.looksLike(older) && fits(each) && older.instance.expiresAtMs > each.sentMs,
    )
    if (later === undefined || older.progress !== 'pending') continue
    older.swapWith(later)
    return later
  }
  const wrong = open.find(({ qos }) => qos === packet.qos) ?? open[0]
  if (wrong !== undefined) return wrong
  if (passOn(model, packet.topic)) return findNew(model, link, life, packet, failed)
  explain(model, life, packet, list, failed)
  return null
}

/**
 * Another member seems to have got it, but what that one got may have been for another of its subscriptions that is still
 * open, or is when a third member is asked the same: then this member may have it. Or what that one had not acknowledged when its
 * session ended was this one.
 */
function giveBack({ group }: Expectation, asked: Set<Expectation> = new Set()): boolean {
  const taken = group?.takenBy
  if (group === null || taken == null || asked.has(taken)) return false
  asked.add(taken)
  const { life } = taken
  const other = life.expectations.get(taken.instance.key)!.find(
    (each) =>
      each.looksLike(taken) &&
      // What has been published since then it cannot have been.
      each.seq < taken.sentSeq &&
      ((each.progress === 'pending' && (each.isOpen || giveBack(each, asked))) ||
        (each.mayComeAgain && each.isOpen) ||
        (life.isOver && each.isUnacknowledged && each.group?.takenBy == null)),
  )
  if (other === undefined) return false
  // What was sent before a crash and may come again has been sent all the same.
  if (other.progress === 'pending') other.takePlaceOf(taken)
  else other.swapWith(taken)
  group.takenBy = null
  if (other.group !== null) other.group.takenBy = other
  return true
}

/** Explains, as well as possible, why a PUBLISH was not owed. */
function explain(model: Model, life: Life, packet: PublishPacket, list: readonly Expectation[], failed: Failed): void {
  const shared = list.find(({ group }) => group?.takenBy != null)
  const had = list.find(({ progress }) => progress !== 'cancelled')
  if (shared !== undefined) {
    failed('exactly once', `another member of $share/${shared.group!.shareName} has got it [MQTT-4.8.2-2]`)
  } else if (had !== undefined) {
    failed('exactly once', `it has been sent (${had.progress})`)
  } else if (list.length > 0) {
    failed('only to whom it is due', 'its publisher was refused')
  } else {
    const isNoLocal = life.subscriptions.some(({ noLocal, filter }) => noLocal && matchesFilter(filter, packet.topic))
    const was = life.subscriptions.some(({ filter }) => matchesFilter(filter, packet.topic))
    const why = isNoLocal ? 'No Local [MQTT-3.8.3-3]' : was ? 'not subscribed at that time' : 'not subscribed'
    failed(
      packet.retain ? 'retained' : 'only to whom it is due',
      model.settings.mayPublish('', '', packet.topic) ? why : `${why}, or not allowed`,
    )
  }
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

/**
 * [MQTT-3.3.2-5]; not before its own turn is over, nor when onward delivery has begun: it was sent before, or its packet id had to
 * be on the disk first.
 */
function isTooLate({ nowMs }: Model, { blockedSinceMs }: Link, { instance, qos, life, wasSent }: Expectation): boolean {
  const { expiresAtMs, atMs, wasPublishedAgain } = instance
  if (wasSent || wasPublishedAgain || (qos === 2 && life.isDurable)) return false
  // What the transport holds may have been said since then, but not before it was published.
  const saidMs = blockedSinceMs >= 0 ? Math.max(blockedSinceMs, atMs) : nowMs
  return expiresAtMs <= saidMs && saidMs > atMs
}

/**
 * Whether the remaining Message Expiry Interval is right: in seconds, counted when the broker sent it, which may be
 * some time ago if the client does not read.
 */
function isExpiryRight(model: Model, link: Link, { expiresAtMs }: Instance, { expirySeconds }: PublishPacket): boolean {
  if (expiresAtMs === Number.POSITIVE_INFINITY || expirySeconds === null)
    return expiresAtMs === Number.POSITIVE_INFINITY && expirySeconds === null
  const left = (atMs: number): number => Math.max(0, Math.ceil((expiresAtMs - atMs) / 1000))
  const sinceMs = link.blockedSinceMs >= 0 ? link.blockedSinceMs : model.nowMs
  return expirySeconds >= left(model.nowMs) && expirySeconds <= left(sinceMs)
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
  if (!packet.dup || !expectation.wasSent) expectation.timesSent++
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
