/**
 * Messages that the broker says to have dropped or refused: whether it may, and that it says so for each one that is missing.
 */

import { isPayloadTooLarge, isWillTooLarge, mayFillQueue, mayFillRetained } from './bytes.ts'
import { doubt } from './deliveries.ts'
import { hasHeirs, isUnsubscribed, passOn } from './given-up.ts'
import { mayBeCalled } from './identifiers.ts'
import type { Model } from './model.ts'
import { newOffers } from './offers.ts'
import { isTooLarge } from './sizes.ts'
import { isCertificate } from './sparkplug.ts'
import type { Expectation, ModelSession, Publication } from './state.ts'
import type { QoS } from './types.ts'

/** The broker says that it has dropped a message; `clientId` '' : that it has refused the one that it works on. */
export function checkDrop(model: Model, clientId: string, topic: string, qos: QoS, reason: string): void {
  model.cover(`dropped.${reason}`)
  const isPerhapsWill = reason === 'not-authorized' && model.wills.noteDenied(clientId, topic)
  // A Will and a delayed message may be meant alike: what is due comes first, because that must be dropped, or published, now.
  if (reason === 'not-authorized' && model.wills.withheld(clientId, topic, true)) return
  if (model.delayed.dropped(clientId, topic, qos, reason)) return
  if (reason === 'not-authorized' && model.wills.withheld(clientId, topic, false)) return
  if (reason === 'delayed-limit' && model.current?.isMalformed === true && model.current.topic === topic) return
  if (reason === 'withheld') {
    if (model.current?.withheld == null)
      model.fail('drops', `a message on ${topic} is withheld, and nobody asked for it`)
  } else if (reason === 'payload-over-limit') checkTooLarge(model, clientId, topic, qos)
  else if (clientId === '') discardFor(model, topic, qos, reason)
  // The subscriber may not have it; otherwise the publisher is meant, or what waits for a subscription that is gone.
  else if (reason !== 'not-authorized' || !model.rights.mayReceive(clientId, topic))
    noteDrop(model, clientId, topic, qos, reason)
  else {
    const session = model.sessions.get(clientId)
    if (session !== undefined && isUnsubscribed(session, topic) && isWaited(session, topic, qos))
      noteDrop(model, clientId, topic, qos, reason)
    else if (!isPerhapsWill && model.settings.mayPublish(clientId, session?.username ?? '', topic))
      model.fail('drops', `${clientId} may publish to ${topic}`)
  }
}

/** The message that the broker works on has too large a payload, or the Will of a CONNECT. */
function checkTooLarge(model: Model, clientId: string, topic: string, qos: QoS): void {
  const { current } = model
  for (const connection of model.connections) {
    const will = connection.connect?.will ?? null
    if (!mayBeCalled(model, connection, clientId)) continue
    if (connection.withheldTopic === topic || (will?.topic === topic && isWillTooLarge(model, will))) return
  }
  if (current?.topic !== topic || current.qos !== qos || !isPayloadTooLarge(model, current))
    model.fail('drops', `a message on ${topic} has too large a payload, and it has not`)
}

function noteDrop(model: Model, clientId: string, topic: string, qos: QoS, reason: string): void {
  const owners = [...model.sessions.values(), ...model.endedNow].filter((session) => session.clientId === clientId)
  let isRight = false
  for (const session of owners) {
    // With a session that is over its flows are: what was written before leaves all the same.
    if (!session.isOver && endsFlow(model, session, topic, qos, reason)) return
    const isConnected = session.connection?.isConnackSent === true
    if (reason === 'offline-qos0' && isConnected && isFromBefore(session, topic)) return
    countDrop(session, topic, qos)
    const isGivenUp = reason === 'packet-too-large' || reason === 'not-authorized'
    if (isGivenUp && qos === 2 && (session.crashes > 0 || session.wasBlocked)) session.givenUp.count++
    isRight ||= model.endedNow.includes(session) || mayDrop(model, session, topic, qos, reason)
  }
  if (reason === 'session-ended') return // the broker knows sessions that the model has let go
  if (!isRight) model.fail('drops', `a message to ${clientId} on ${topic} at QoS ${qos} is dropped: ${reason}`)
}

/** Whether a message at QoS 0 may have been sent before a crash: the broker drops those, and owes none. */
function isFromBefore({ connection, expectations, lastCrashSeq }: ModelSession, topic: string): boolean {
  if (connection === null) return false
  for (const list of expectations.values())
    for (const { publication, qos, seq } of list)
      if (publication.topic === topic && qos === 0 && seq < lastCrashSeq) return true
  return false
}

function countDrop({ drops }: ModelSession, topic: string, qos: QoS): void {
  const key = `${topic}\n${qos}`
  drops.set(key, (drops.get(key) ?? 0) + 1)
}

/**
 * A message in flight that fitted by its Topic Alias, or was sent when more was allowed, cannot be sent again: its flow is over. The
 * packet id of a QoS 2 message is free when the client has let go of it: PUBREL follows. [MQTT-3.1.2-25]
 */
function endsFlow(model: Model, session: ModelSession, topic: string, qos: QoS, reason: string): boolean {
  const isExpired = reason === 'expired'
  if (reason !== 'packet-too-large' && reason !== 'not-authorized' && !isExpired) return false
  // Flows go on, and so are given up, in the order in which they have begun. [MQTT-4.6.0-1]
  const inOrder = [...session.flight.values()].sort((a, b) => a.begunSeq - b.begunSeq)
  // What another member inherits is not dropped: such a flow is meant only if no other is, and the broker may have forgotten
  // who shared it, or the client may not receive it in any case.
  const isInherited = (each: Expectation): boolean => reason === 'not-authorized' && hasHeirs(model, session, each)
  const mayBeDropped = ({ begunSeq }: Expectation): boolean =>
    session.lastCrashSeq > begunSeq || !model.rights.mayReceive(session.clientId, topic)
  const candidates = [
    ...inOrder.filter((each) => !isInherited(each)),
    ...inOrder.filter((each) => isInherited(each) && mayBeDropped(each)),
  ]
  for (const expectation of candidates) {
    const { publication, sentOn, progress, packetId, group } = expectation
    if (publication.topic !== topic || expectation.qos !== qos || progress !== 'sent' || sentOn?.state !== 'closed')
      continue
    if (reason === 'packet-too-large' && !isTooLarge(session, expectation)) continue
    // What is in flight does not expire, but what would go to another member of a Shared Subscription, because this one is
    // a member no more, has expired for that one.
    if (
      isExpired &&
      !(qos === 1 && group !== null && isUnsubscribed(session, topic) && mayHaveExpired(model, publication))
    )
      continue
    model.cover(`dropped.in-flight.${reason}`)
    // A crash may have taken it before: then it was another one that waited.
    if (session.forgottenIds.has(packetId)) countDrop(session, topic, qos)
    if (qos === 2) {
      expectation.progress = 'received'
      expectation.receivedSeq = model.seq
      expectation.isGivenUp = true
      return true
    }
    expectation.progress = 'done'
    expectation.doneSeq = model.seq
    session.flight.delete(packetId)
    session.forgottenIds.delete(packetId)
    return true
  }
  return false
}

function mayDrop(model: Model, session: ModelSession, topic: string, qos: QoS, reason: string): boolean {
  switch (reason) {
    case 'queue-full': {
      // Half of the queue is for what has been acknowledged.
      if (qos === 0 && model.isReviewed(session.clientId)) return true
      const inherited = inheritance(model, session).filter((each) => mayBeQueued(model, each))
      return mayFillQueue(model, [...waitingFor(model, session), ...inherited])
    }
    case 'expired':
      for (const list of session.expectations.values())
        for (const { publication } of list)
          if (publication.topic === topic && mayHaveExpired(model, publication)) return true
      return false
    case 'memory-full':
      // Only what is being published, or what a subscription asks for that is made anew: it stays retained. What waits is
      // never given up.
      return model.memory.level >= 2 && (isBeingPublished(model, topic) || isAskedFor(session, topic, qos))
    case 'slow-reader':
      return qos === 0 && (session.connection === null || session.connection.blockedSinceMs >= 0)
    case 'packet-too-large': {
      const isMeant = (each: Expectation): boolean =>
        each.publication.topic === topic && each.qos === qos && mayWait(each) && isTooLarge(session, each)
      const isSome = (): boolean =>
        [...session.expectations.values(), inheritance(model, session)].some((list) => list.some(isMeant))
      return isSome() || (passOn(model, topic) && isSome())
    }
    case 'offline-qos0': {
      const isAway = session.connection?.isConnackSent !== true || session.connection.isWillOut
      return qos === 0 && ((isAway && !model.settings.queueQoS0) || isFromBefore(session, topic))
    }
    case 'not-authorized':
      model.cover('deliver.denied-later')
      return !model.rights.mayReceive(session.clientId, topic) || isUnsubscribed(session, topic)
    default:
      return false
  }
}

/** Whether the broker works on a message of this topic, or on a birth of Sparkplug that it keeps under this topic. */
function isBeingPublished({ current }: Model, topic: string): boolean {
  return current?.topic === topic || current?.certificate?.topic === topic
}

/** A message of the topic is due to it, at this QoS. */
function isWaited(session: ModelSession, topic: string, qos: QoS): boolean {
  for (const list of session.expectations.values())
    for (const each of list) if (each.publication.topic === topic && each.qos === qos && mayWait(each)) return true
  return false
}

/** A retained message of the topic is due to it, and has not been sent. */
function isAskedFor(session: ModelSession, topic: string, qos: QoS): boolean {
  for (const list of session.expectations.values())
    for (const { forSubscription, publication, qos: ofThis, progress } of list)
      if (forSubscription !== null && publication.topic === topic && ofThis === qos && progress === 'pending')
        return true
  return false
}

/**
 * Whether it may have expired. For one that was published again the time may have begun anew, when time went back in a
 * crash.
 */
function mayHaveExpired({ nowMs }: Model, { expiresAtMs, wasPublishedAgain }: Publication): boolean {
  return expiresAtMs <= nowMs || (wasPublishedAgain && expiresAtMs !== Number.POSITIVE_INFINITY)
}

/** The broker refuses the message that it works on. */
export function discardFor(model: Model, topic: string, qos: QoS, reason: string): void {
  const { current } = model
  const publication = current?.certificate?.topic === topic ? current.certificate : current
  if (publication === null || publication.topic !== topic || publication.qos !== qos) {
    model.fail('drops', `a message on ${topic} is refused (${reason}), and none is being published`)
    return
  }
  const owed = (): number[] | null => {
    for (const connection of model.connections)
      for (const each of connection.owed) if (each.publication === publication) return each.allowed as number[]
    return null
  }
  // A failing PUBREC ends the flow, so nobody may have got the message. [MQTT-4.3.3-4]
  const isToldAtQoS2 =
    qos === 2 &&
    [...model.connections].some(
      (connection) => connection.isV5 && connection.owed.some((each) => each.publication === publication),
    )
  if (publication.isDelayed) model.delayed.refused(publication)
  const isMemoryFull = reason === 'memory-full'
  // Somebody would have to wait for it, or it is only not retained: nobody can tell which.
  const isPerhapsRetainedOnly = isMemoryFull && publication.retain && !isToldAtQoS2
  const isRetainedOnly =
    isPerhapsRetainedOnly ||
    (reason === 'retained-limit' && !isToldAtQoS2) ||
    (reason === 'store-failed' && qos === 0 && !publication.isDelayed)
  if (!isRetainedOnly) freeId(model, publication)
  const isRight =
    (reason === 'queue-full' && model.settings.overflow === 'reject' && isSomebodyFull(model, publication)) ||
    (reason === 'store-failed' && model.isFailing && (!publication.isWill || isCertificate(topic))) ||
    (reason === 'memory-full' && isMemoryShort(model, publication)) ||
    (reason === 'retained-limit' && publication.retain && mayFillRetained(model)) ||
    (reason === 'delayed-limit' && publication.isDelayed && model.delayed.mayBeFull())
  if (!isRight) model.fail('drops', `a message on ${topic} is refused (${reason}), and nothing is wrong`)
  takeBackRetained(model, publication)
  const allowed = owed()
  if (allowed !== null) allowed.splice(0, allowed.length, 0x97)
  if (isPerhapsRetainedOnly && model.memory.level >= 2) doubt(publication)
  if (isRetainedOnly) return
  publication.isRefused = true
  if (publication.certificate !== null) takeBackCertificate(model, publication.certificate)
  for (const expectation of publication.expectations) {
    if (expectation.seq >= publication.publishedSeq) expectation.progress = 'cancelled'
    // It was published before a crash, and may be on its way, or retained, since then.
    else if (expectation.forSubscription === null) expectation.isOptional = true
  }
  for (const group of publication.groups) group.isOptional = true
  // Before 5.0 there is no way to tell: there is no acknowledgement, and the client sends it again.
  if (reason !== 'store-failed') return
  for (const connection of model.connections) {
    const at = connection.owed.findIndex((each) => each.publication === publication)
    if (at < 0 || connection.isV5) continue
    const { held, packetId } = connection.owed[at]!
    if (held !== null) connection.session!.held.delete(packetId)
    connection.owed.splice(at, 1)
    if (connection.unacknowledged > 0) connection.unacknowledged--
  }
}

function takeBackRetained(model: Model, publication: Publication): void {
  const { topic, retain } = publication
  if (!retain) return
  const states = model.retained.get(topic)
  if (states?.[states.length - 1]?.by === publication) states.pop()
  if (states?.length === 0) model.retained.delete(topic)
}

/** Of a birth that is refused nothing is kept. */
function takeBackCertificate(model: Model, certificate: Publication): void {
  takeBackRetained(model, certificate)
  certificate.isRefused = true
  for (const expectation of certificate.expectations) expectation.progress = 'cancelled'
  for (const group of certificate.groups) group.isOptional = true
}

/**
 * Whether memory is short: a new topic is not retained from level 1, nothing from level 2; nor is a message kept then
 * that would have to wait.
 */
function isMemoryShort(model: Model, { topic, retain, payload }: Publication): boolean {
  const { memory } = model
  const before = model.retained.get(topic)?.at(-2)?.publication ?? null
  // What has expired may be gone.
  const isNew = before === null || mayHaveExpired(model, before)
  return memory.level >= 2 || (memory.level >= 1 && retain && payload !== '' && isNew)
}

/** The packet id of a refused message is free. [MQTT-4.3.3-9] Before 5.0 nobody is told, and the flow goes on as if it had been accepted. */
export function freeId(model: Model, publication: Publication): void {
  for (const connection of model.connections) {
    const owed = connection.owed.find((each) => each.publication === publication)
    if (owed?.held == null || !connection.isV5) continue
    connection.session!.held.delete(owed.packetId)
    // It is processed no more: it counts anew when it comes again before PUBREC has left. (3.2.2.3.3)
    if (owed.held.connection === connection && connection.unacknowledged > 0) connection.unacknowledged--
    owed.held.connection = null
  }
}

/**
 * Messages that a member inherits from sessions that expire now (4.8.2): the broker reports its drops before it reports
 * that they have expired.
 */
function inheritance(model: Model, heir: ModelSession): Expectation[] {
  const inherited: Expectation[] = []
  for (const gone of model.sessions.values()) {
    if (gone === heir || gone.connection !== null || model.nowMs < gone.mayExpireAtMs) continue
    for (const list of gone.expectations.values())
      for (const each of list) {
        const { group, qos, progress } = each
        if (group === null || (group.takenBy !== null && group.takenBy !== each) || !mayWait(each)) continue
        // [MQTT-4.8.2-5]
        if (qos === 2 && progress !== 'pending') continue
        inherited.push(...newOffers(model, group).filter(({ session }) => session === heir))
      }
  }
  return inherited
}

/** Not over, or over and a crash may have taken that. */
function mayWait({ isOver, mayComeAgain, progress }: Expectation): boolean {
  return !isOver || (mayComeAgain && progress === 'done')
}

function isSomebodyFull(model: Model, publication: Publication): boolean {
  return publication.expectations.some(({ session }) => mayFillQueue(model, waitingFor(model, session)))
}

function waitingFor(model: Model, session: ModelSession): Expectation[] {
  const waiting: Expectation[] = []
  for (const list of session.expectations.values())
    for (const each of list) if (mayBeQueued(model, each)) waiting.push(each)
  return waiting
}

function mayBeQueued(model: Model, each: Expectation): boolean {
  return mayWait(each) && (each.qos > 0 || each.mayWait || model.hasQueuedQoS0)
}
