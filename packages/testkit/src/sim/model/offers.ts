/**
 * Offers: messages that members of a Shared Subscription are owed if they are chosen (4.8.2).
 */
import type { Model } from './model.ts'
import { Expectation, type GroupDue, type ModelSession, type Subscription } from './state.ts'
import type { QoS } from './types.ts'

/** Expectations of present members that have not been offered it, in case that they are chosen. */
export function newOffers(model: Model, group: GroupDue): Expectation[] {
  const offers: Expectation[] = []
  for (const session of model.sessions.values()) {
    for (const subscription of session.liveSubscriptions) {
      if (subscription.shareName !== group.shareName || subscription.filter !== group.filter) continue
      if (session.isIdentified && !model.rights.mayReceive(session.clientId, group.publication.topic)) continue
      if (earlierOffer(group, session, subscription) === undefined)
        offers.push(offerOf(model, group, session, subscription))
    }
  }
  return offers
}

/** Finds what a member was offered before and may still get. */
export function earlierOffer(
  group: GroupDue,
  session: ModelSession,
  subscription: Subscription,
): Expectation | undefined {
  const qos = Math.min(group.publication.qos, subscription.qos)
  const identifiers = identifiersOf([subscription])
  const retain = group.publication.retain && subscription.retainAsPublished
  return group.publication.expectations.find(
    (each) =>
      each.session === session &&
      each.group === group &&
      !each.isOver &&
      each.qos === qos &&
      each.retain === retain &&
      each.identifiers === identifiers,
  )
}

/** Expectation of a member in case that it is chosen. */
export function offerOf(model: Model, group: GroupDue, session: ModelSession, subscription: Subscription): Expectation {
  const { publication } = group
  const qos = Math.min(publication.qos, subscription.qos) as QoS
  const retain = publication.retain && subscription.retainAsPublished
  const offer = new Expectation(
    publication,
    session,
    qos,
    retain,
    identifiersOf([subscription]),
    model.seq,
    group,
    null,
  )
  offer.mayWait = model.isReviewed(session.clientId)
  return offer
}

export function identifiersOf(subscriptions: readonly Subscription[]): string {
  return subscriptions
    .map(({ identifier }) => identifier)
    .filter((identifier) => identifier !== 0)
    .sort((a, b) => a - b)
    .join()
}

/** Notes that a message comes to another member late, and out of order. */
export function markRedistributed(group: GroupDue): void {
  for (const each of group.publication.expectations) if (each.group === group) each.isRedistributed = true
}
