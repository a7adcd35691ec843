/**
 * Messages of one publisher, topic and QoS come in the order in which they were published: on a connection, and for the first
 * time over all connections of a session. Of two that look the same nobody can tell which one has come.
 *
 * Source: MQTT 5.0 section 4.6. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
 */
import { type Expectation, keyOf, type Life, type Link } from './state.ts'
import type { Failed } from './types.ts'

/** What has been sent of one publisher, topic and QoS, in order. */
export class Sequence {
  /** The latest of them. */
  last = 0
  readonly #sent: Expectation[] = []

  /** False: it comes after a later one, and would also if some that look the same changed places. */
  add(expectation: Expectation): boolean {
    this.#sent.push(expectation)
    const isLast = expectation.instance.index >= this.last
    if (isLast) this.last = expectation.instance.index
    return isLast || this.#isInSomeOrder()
  }

  /** If there is an order at all, it is one in which those that look the same come in theirs. */
  #isInSomeOrder(): boolean {
    const left = [...this.#sent].sort((a, b) => a.instance.index - b.instance.index)
    let last = 0
    for (const each of this.#sent) {
      const at = left.findIndex((other) => other === each || isTwin(other, each))
      const { index } = left.splice(at, 1)[0]!.instance
      if (index < last) return false
      last = index
    }
    return true
  }
}

function isTwin(one: Expectation, other: Expectation): boolean {
  return one.looksLike(other) && keyOf(one.instance) === keyOf(other.instance)
}

/** It would come after nothing that is later. */
export function isInOrder(link: Link, life: Life, expectation: Expectation): boolean {
  const { instance, wasSent } = expectation
  const key = orderKey(expectation)
  if (instance.index < (link.sent.get(key)?.last ?? 0)) return false
  return wasSent || instance.index >= (life.firstSent.get(key)?.last ?? 0)
}

/** An earlier one is owed that has not been sent. */
export function isOvertaking({ expectations }: Life, expectation: Expectation): boolean {
  const key = orderKey(expectation)
  for (const list of expectations.values())
    for (const each of list) {
      const isOwed = each.progress === 'pending' && !each.wasSent && !each.isOptional && each.isOpen
      if (isOwed && each.instance.index < expectation.instance.index && !hasNoOrder(each) && orderKey(each) === key)
        return true
    }
  return false
}

/** Retained messages of a new subscription have their own, and of Wills of one client nobody can tell which is which. */
export function hasNoOrder({ instance, forSubscription, isRedistributed }: Expectation): boolean {
  return forSubscription !== null || isRedistributed || instance.wasPublishedAgain || instance.isWill
}

/** Per publisher, topic and QoS; a Shared Subscription is a stream of its own. */
function orderKey({ instance, qos, group }: Expectation): string {
  const share = group === null ? '' : `${group.shareName}/${group.filter}`
  return `${instance.publisherId}\n${instance.topic}\n${instance.qos}\n${qos}\n${share}`
}

/** Per publisher, topic and QoS. (4.6) */
export function checkOrder(link: Link, life: Life, expectation: Expectation, failed: Failed): void {
  const { instance, wasSent } = expectation
  if (hasNoOrder(expectation)) return
  const key = orderKey(expectation)
  if (!sequenceOf(link.sent, key).add(expectation))
    failed('order', `after a later message of ${instance.publisherId} [MQTT-4.6.0-6]`)
  if (!wasSent && !sequenceOf(life.firstSent, key).add(expectation))
    failed('order', `for the first time after a later message of ${instance.publisherId}`)
}

function sequenceOf(sequences: Map<string, Sequence>, key: string): Sequence {
  let sequence = sequences.get(key)
  if (sequence === undefined) {
    sequence = new Sequence()
    sequences.set(key, sequence)
  }
  return sequence
}
