/**
 * Messages that a member of a Shared Subscription had in flight and may not be sent again: its subscription is gone, its rights are others now, or its
 * packets have to be smaller. At QoS 1 they go to another member when the client is back (4.8.2); the broker says nothing of that, so the model finds
 * out when it sees such a message without an owner.
 */
import type { Model } from './model.ts'
import { newOffers } from './offers.ts'
import { isTooLarge } from './sizes.ts'
import type { Expectation, ModelSession } from './state.ts'
import { matchesFilter } from './topics.ts'

/** Gives messages on this topic back to their groups. False: there are none. */
export function passOn(model: Model, topic: string): boolean {
  let hasSome = false
  for (const session of model.sessions.values())
    for (const list of session.expectations.values())
      for (const each of list) {
        if (each.publication.topic !== topic || !isGivenUp(model, session, each)) continue
        hasSome = true
        const group = each.group!
        model.cover('shared.given-up')
        each.progress = 'done'
        each.doneSeq = model.seq
        if (session.flight.get(each.packetId) === each) session.flight.delete(each.packetId)
        group.takenBy = null
        group.isOptional = true
        for (const offer of newOffers(model, group)) offer.session.add(offer)
        for (const other of group.publication.expectations) if (other.group === group) other.isRedistributed = true
      }
  return hasSome
}

function isGivenUp(model: Model, session: ModelSession, expectation: Expectation): boolean {
  const { group, sentOn, publication, isUnacknowledged } = expectation
  if (
    group?.takenBy !== expectation ||
    !isUnacknowledged ||
    session.connection === null ||
    sentOn === session.connection
  )
    return false
  const { topic } = publication
  return (
    !model.rights.mayReceive(session.clientId, topic) ||
    isUnsubscribed(session, topic) ||
    isTooLarge(session, expectation)
  )
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
