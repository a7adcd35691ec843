/**
 * Messages that a member of a Shared Subscription has waiting or in flight and does not get: its subscription is gone, its rights are others now,
 * its packets have to be smaller, or its session ends. They go to another member (4.8.2). The broker says nothing of that, or says it afterwards, so
 * the model finds out when it sees such a message without an owner.
 */
import { redistributeSome } from './deliveries.ts'
import type { Model } from './model.ts'
import { markRedistributed, newOffers } from './offers.ts'
import { isTooLarge } from './sizes.ts'
import type { Expectation, ModelSession } from './state.ts'
import { matchesFilter } from './topics.ts'

/** Gives messages on this topic back to their groups. Returns false when there are none. */
export function passOn(model: Model, topic: string): boolean {
  let hasSome = false
  for (const session of model.sessions.values())
    for (const list of session.expectations.values())
      for (const each of list) {
        const { publication, group } = each
        if (publication.topic !== topic || group === null) continue
        const isGiven = isGivenUp(model, session, each)
        if (!isGiven && !isLeftOver(session, each)) continue
        each.passedOnSeq = model.seq
        if (isGiven) {
          model.cover('shared.given-up')
          each.progress = 'done'
          each.doneSeq = model.seq
          if (session.flight.get(each.packetId) === each) session.flight.delete(each.packetId)
        }
        const offers = newOffers(model, group)
        hasSome ||= isGiven || offers.length > 0
        group.takenBy = null
        group.isOptional = true
        for (const offer of offers) offer.session.add(offer)
        markRedistributed(group)
      }
  return hasSome || passOnExpiring(model, topic)
}

/**
 * The broker passes on what waits for a session before it says that the session has expired, and the embedding program
 * gets it at once. Only one of the sessions whose time is over need be the one: `Model.turnEnded` asks for its end.
 */
function passOnExpiring(model: Model, topic: string): boolean {
  const expiring: ModelSession[] = []
  for (const session of model.sessions.values()) {
    const { connection, opening, mayExpireAtMs } = session
    if (connection !== null || opening !== null || model.nowMs < mayExpireAtMs) continue
    for (const list of session.expectations.values())
      if (list[0]!.publication.topic === topic && redistributeSome(model, list)) expiring.push(session)
  }
  if (expiring.length > 0) model.expiring.push({ topic, sessions: expiring })
  return expiring.length > 0
}

/** Notes messages that have gone to their groups, where no member has got them yet. The client may become a member again. */
export function noteGivenUp(model: Model, session: ModelSession): void {
  for (const list of session.expectations.values())
    for (const each of list) each.wasGivenUp ||= isGivenUp(model, session, each)
}

function isGivenUp(model: Model, session: ModelSession, expectation: Expectation): boolean {
  const { group, sentOn, publication, isUnacknowledged, wasGivenUp } = expectation
  if (group?.takenBy !== expectation || !isUnacknowledged) return false
  if (wasGivenUp) return true
  if (session.connection === null || sentOn === session.connection) return false
  const { topic } = publication
  return (
    !model.rights.mayReceive(session.clientId, topic) ||
    isUnsubscribed(session, topic) ||
    hasEnded(session, expectation) ||
    isTooLarge(session, expectation)
  )
}

/**
 * Whether the subscription that it was chosen for has ended since, and was not replaced. The broker may have made the
 * same one again for a client that came back, but only after it had given up what was in flight.
 */
function hasEnded({ subscriptions }: ModelSession, { group, begunSeq }: Expectation): boolean {
  return subscriptions.some(
    ({ shareName, filter, toSeq }) =>
      toSeq !== Number.POSITIVE_INFINITY &&
      toSeq > begunSeq &&
      shareName === group?.shareName &&
      filter === group.filter &&
      !subscriptions.some(({ fromSeq }) => fromSeq === toSeq),
  )
}

/** Whether it waits for a client that is back, and its subscription has been withdrawn: members of now may get it. */
function isLeftOver(session: ModelSession, { group, progress, publication }: Expectation): boolean {
  return (
    progress === 'pending' &&
    group?.takenBy === null &&
    session.connection !== null &&
    isUnsubscribed(session, publication.topic)
  )
}

/** Whether a message in flight at QoS 1 goes to another member when its subscription is gone, and is not dropped. */
export function hasHeirs(model: Model, session: ModelSession, { group, qos, publication }: Expectation): boolean {
  const { topic } = publication
  if (group === null || qos !== 1 || !isUnsubscribed(session, topic)) return false
  for (const { clientId, isIdentified, liveSubscriptions } of model.sessions.values())
    if (
      (!isIdentified || model.rights.mayReceive(clientId, topic)) &&
      liveSubscriptions.some(({ shareName, filter }) => shareName === group.shareName && filter === group.filter)
    )
      return true
  return false
}

/**
 * Whether it waits still, and the subscription is gone: a client that comes to the session after a restart, or as
 * another user, may not be the one that was allowed to have it. The broker need not deliver it (3.10.4).
 */
export function isUnsubscribed(session: ModelSession, topic: string): boolean {
  return !session.subscriptions.some(
    ({ toSeq, filter }) => toSeq === Number.POSITIVE_INFINITY && matchesFilter(filter, topic),
  )
}
