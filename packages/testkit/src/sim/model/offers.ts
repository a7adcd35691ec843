/**
 * Offers: messages that members of a Shared Subscription are owed if they are chosen (4.8.2).
 */
import type { Model } from './model.ts'
import { Expectation, type GroupDue, type Life, type Subscription } from './state.ts'
import type { QoS } from './types.ts'

/** Expectations of present members that have not been offered it, in case that they are chosen. */
export function newOffers(model: Model, group: GroupDue): Expectation[] {
  const offers: Expectation[] = []
  for (const life of model.lives.values()) {
    for (const subscription of life.liveSubscriptions) {
      if (subscription.shareName !== group.shareName || subscription.filter !== group.filter) continue
      if (life.isIdentified && !model.rights.mayReceive(life.clientId, group.instance.topic)) continue
      if (!hasOffer(group, life, subscription)) offers.push(offerOf(model, group, life, subscription))
    }
  }
  return offers
}

export function hasOffer(group: GroupDue, life: Life, subscription: Subscription): boolean {
  const qos = Math.min(group.instance.qos, subscription.qos)
  const identifiers = identifiersOf([subscription])
  const retain = group.instance.retain && subscription.retainAsPublished
  return group.instance.expectations.some(
    (each) =>
      each.life === life &&
      each.group === group &&
      !each.isOver &&
      each.qos === qos &&
      each.retain === retain &&
      each.identifiers === identifiers,
  )
}

/** Expectation of a member in case that it is chosen. */
export function offerOf(model: Model, group: GroupDue, life: Life, subscription: Subscription): Expectation {
  const { instance } = group
  const qos = Math.min(instance.qos, subscription.qos) as QoS
  const retain = instance.retain && subscription.retainAsPublished
  const offer = new Expectation(instance, life, qos, retain, identifiersOf([subscription]), model.seq, group, null)
  offer.mayWait = model.isReviewed(life.clientId)
  return offer
}

export function identifiersOf(subscriptions: readonly Subscription[]): string {
  return subscriptions
    .map(({ identifier }) => identifier)
    .filter((identifier) => identifier !== 0)
    .sort((a, b) => a - b)
    .join()
}
