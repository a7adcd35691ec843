/**
 * Messages of one publisher, topic and QoS come in the order in which they were published: on a connection, and for the first
 * time over all connections of a session. Of two that look the same nobody can tell which one has come.
 *
 * Source: MQTT 5.0 section 4.6. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
 */
import type { Expectation, ModelConnection, ModelSession } from './state.ts'
import type { Failed } from './types.ts'

/** Number of ways to tell look-alikes apart that are tried; among more there is one. */
const TRIES_MAX = 20_000

/**
 * Messages that have been sent of one publisher, topic and QoS: several streams, each with an order of its own, and
 * messages without an order.
 */
export class Sequence {
  readonly #sent: Expectation[] = []
  readonly #last: Map<string, number> = new Map()
  /** Whether one that has come must have been another one that looks the same: `#last` does not know of that. */
  #hasChangedPlaces = false

  /** Whether it would come after nothing of its stream that is later. */
  fits(expectation: Expectation): boolean {
    return expectation.publication.index >= (this.#last.get(streamOf(expectation)) ?? 0)
  }

  /** False: it comes after a later one, whichever of those that look the same has come. */
  add(expectation: Expectation): boolean {
    this.#sent.push(expectation)
    if (hasNoOrder(expectation)) return true
    const fits = this.fits(expectation)
    if (fits) this.#last.set(streamOf(expectation), expectation.publication.index)
    if (fits && !this.#hasChangedPlaces) return true
    this.#hasChangedPlaces = true
    return this.#isInSomeOrder()
  }

  /** Messages that are still to come, or seem to have come on another connection: one of these may have come instead. */
  #mayHaveCome(): Set<Expectation> {
    const others = new Set<Expectation>()
    for (const { session, publication } of this.#sent)
      for (const each of session.expectations.get(publication.key) ?? [])
        if ((each.progress === 'pending' && each.isOpen) || each.wasSent) others.add(each)
    for (const each of this.#sent) others.delete(each)
    return others
  }

  #isInSomeOrder(): boolean {
    const left = [...this.#sent, ...this.#mayHaveCome()].sort((a, b) => a.publication.index - b.publication.index)
    const last = new Map<string, number>()
    let tries = 0
    const isPossible = (at: number): boolean => {
      if (at === this.#sent.length || ++tries > TRIES_MAX) return true
      const come = this.#sent[at]!
      const tried = new Set<string>()
      for (const [i, each] of left.entries()) {
        // In one stream those that look the same come in their order: the first is enough.
        const stream = hasNoOrder(each) ? '' : streamOf(each)
        const before = last.get(stream) ?? 0
        if (tried.has(stream) || !(each === come || isTwin(each, come))) continue
        if (stream !== '' && each.publication.index < before) continue
        tried.add(stream)
        left.splice(i, 1)
        last.set(stream, each.publication.index)
        if (isPossible(at + 1)) return true
        last.set(stream, before)
        left.splice(i, 0, each)
      }
      return false
    }
    return isPossible(0)
  }
}

function isTwin(one: Expectation, other: Expectation): boolean {
  return one.looksLike(other) && one.publication.key === other.publication.key
}

/** Whether it would come after nothing that is later. */
export function isInOrder(connection: ModelConnection, session: ModelSession, expectation: Expectation): boolean {
  const key = keyOfSequence(expectation)
  if (connection.sent.get(key)?.fits(expectation) === false) return false
  return expectation.wasSent || session.firstSent.get(key)?.fits(expectation) !== false
}

/** An earlier one is owed that has not been sent. */
export function isOvertaking({ expectations }: ModelSession, expectation: Expectation): boolean {
  const key = keyOfSequence(expectation)
  const stream = streamOf(expectation)
  for (const list of expectations.values())
    for (const each of list) {
      const isOwed = each.progress === 'pending' && !each.wasSent && !each.isOptional && each.isOpen
      if (!isOwed || each.publication.index >= expectation.publication.index || hasNoOrder(each)) continue
      if (keyOfSequence(each) === key && streamOf(each) === stream) return true
    }
  return false
}

/** Retained messages of a new subscription have their own, and of Wills of one client nobody can tell which is which. */
export function hasNoOrder({ publication, forSubscription, isRedistributed }: Expectation): boolean {
  return forSubscription !== null || isRedistributed || publication.wasPublishedAgain || publication.isWill
}

/** Per publisher, topic and QoS. */
function keyOfSequence({ publication, qos }: Expectation): string {
  return `${publication.publisherId}\n${publication.topic}\n${publication.qos}\n${qos}`
}

/** A Shared Subscription is a stream of its own. */
function streamOf({ group }: Expectation): string {
  return group === null ? 'own' : `${group.shareName}/${group.filter}`
}

/** Per publisher, topic and QoS. (4.6) */
export function checkOrder(
  connection: ModelConnection,
  session: ModelSession,
  expectation: Expectation,
  failed: Failed,
): void {
  const { publication, wasSent } = expectation
  const key = keyOfSequence(expectation)
  if (!sequenceOf(connection.sent, key).add(expectation))
    failed('order', `after a later message of ${publication.publisherId} [MQTT-4.6.0-6]`)
  if (!wasSent && !mayBeBack(session, expectation) && !sequenceOf(session.firstSent, key).add(expectation))
    failed('order', `for the first time after a later message of ${publication.publisherId}`)
}

/** Whether it has been dropped, and a crash has taken that back. */
function mayBeBack({ drops, lastCrashSeq }: ModelSession, { seq, publication, qos }: Expectation): boolean {
  return seq < lastCrashSeq && (drops.get(`${publication.topic}\n${qos}`) ?? 0) > 0
}

function sequenceOf(sequences: Map<string, Sequence>, key: string): Sequence {
  let sequence = sequences.get(key)
  if (sequence === undefined) {
    sequence = new Sequence()
    sequences.set(key, sequence)
  }
  return sequence
}
