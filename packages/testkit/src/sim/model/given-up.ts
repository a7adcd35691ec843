/**
 * Messages that a member of a Shared Subscription had in flight and may not be sent again: its subscription is gone, its rights are others now, or its
 * packets have to be smaller. At QoS 1 they go to another member when the client is back (4.8.2); the broker says nothing of that, so the model finds
 * out when it sees such a message without an owner.
 */
import type { Model } from './model.ts'
import { newOffers } from './offers.ts'
import { isTooLarge } from './sizes.ts'
import type { Expectation, Life } from './state.ts'
import { matchesFilter } from './topics.ts'

/** Gives messages on this topic back to their groups. False: there are none. */
export function passOn(model: Model, topic: string): boolean {
  let hasSome = false
  for (const life of model.lives.values())
    for (const list of life.expectations.values())
      for (const each of list) {
        if (each.instance.topic !== topic || !isGivenUp(model, life, each)) continue
        hasSome = true
        const group = each.group!
        model.cover('shared.given-up')
        each.progress = 'done'
        each.doneSeq = model.seq
        if (life.flight.get(each.packetId) === each) life.flight.delete(each.packetId)
        group.takenBy = null
        group.isOptional = true
        for (const offer of newOffers(model, group)) offer.life.add(offer)
        for (const other of group.instance.expectations) if (other.group === group) other.isRedistributed = true
      }
  return hasSome
}

function isGivenUp(model: Model, life: Life, expectation: Expectation): boolean {
  const { group, sentOn, instance, isUnacknowledged } = expectation
  if (group?.takenBy !== expectation || !isUnacknowledged || life.link === null || sentOn === life.link) return false
  const { topic } = instance
  return !model.rights.mayReceive(life.clientId, topic) || isUnsubscribed(life, topic) || isTooLarge(life, expectation)
}

/**
 * Whether it waits still, and the subscription is gone: a client that comes to the session after a restart, or as
 * another user, may not be the one that was allowed to have it. The broker need not deliver it (3.10.4).
 */
export function isUnsubscribed(life: Life, topic: string): boolean {
  return !life.subscriptions.some(
    ({ toSeq, filter }) => toSeq === Number.POSITIVE_INFINITY && matchesFilter(filter, topic),
  )
}
