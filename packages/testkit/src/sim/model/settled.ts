/**
 * The final check: when every fault is over, every client with a session is connected and acknowledges, and nothing is
 * on its way any more, all owed messages have come.
 */
import type { Model } from './model.ts'
import { short } from './model.ts'
import type { Expectation, GroupDue, ModelSession, Publication } from './state.ts'

export function checkSettled(model: Model): void {
  for (const connection of model.connections) {
    if (connection.state !== 'open') continue
    for (const { type, packetId } of connection.owed)
      model.fail('acknowledgements', `${connection.name}: ${type} ${packetId} has never come`)
  }
  for (const session of model.sessions.values()) if (session.connection !== null) checkSession(model, session)
  for (const group of model.groups) {
    const { publication, takenBy, isOptional } = group
    if (takenBy !== null || isOptional || publication.isRefused || publication.isWill) continue
    if (!publication.isAcknowledged || publication.qos === 0 || publication.expiresAtMs <= model.nowMs) continue
    const members = publication.expectations.filter((each) => each.group === group)
    if (!mayBeLost(group) && !mayHaveCome(members))
      model.fail(
        'no loss',
        `$share/${group.shareName}/${group.filter} has not got ${publication.topic} ${short(publication.payload)}`,
      )
  }
}

/**
 * One of these was sent, perhaps: what the model takes for another one of the same content, to the same client and at the same
 * QoS, may have been it, if that one need not have come, or may have come in the place of a third, and so on.
 */
function mayHaveCome(wanted: readonly Expectation[], asked: Set<Expectation> = new Set()): boolean {
  for (const one of wanted) {
    const { session, qos, publication } = one
    for (const each of session.expectations.get(publication.key)!) {
      if (!each.wasSent || each.sentSeq < publication.seq || asked.has(each)) continue
      // After a crash the subscription may have been as it was, or as it is.
      const isAlike = session.crashes > 0 ? each.qos === qos : each === one || each.looksLike(one)
      if (!isAlike) continue
      asked.add(each)
      const { group } = each
      if (isSpare(each)) return true
      const others = group === null ? [each] : group.publication.expectations.filter((other) => other.group === group)
      if (mayHaveCome(others, asked)) return true
    }
  }
  return false
}

/** Whether it need not have come. */
function isSpare({ isOptional, group, publication }: Expectation): boolean {
  return isOptional || !publication.isAcknowledged || (group !== null && (group.isOptional || mayBeLost(group)))
}

/** A member that may have been chosen need not get the message any more. */
function mayBeLost(group: GroupDue): boolean {
  const { publication } = group
  return publication.expectations.some(
    ({ group: each, qos, session }) =>
      each === group &&
      (qos === 0 ||
        session.connection === null ||
        session.isOver ||
        (session.drops.get(`${publication.topic}\n${qos}`) ?? 0) > 0),
  )
}

function checkSession(model: Model, session: ModelSession): void {
  const drops = new Map(session.drops)
  for (const list of session.expectations.values()) {
    // What was sent as one that need not come may have been another of the same content that must.
    const spare = [0, 0, 0]
    for (const each of list) {
      const { timesSent, qos, publication, forSubscription } = each
      if (qos === 0 || timesSent === 0) continue
      const isReplaced = forSubscription !== null && !isRetained(model, publication)
      spare[qos]! += isReplaced || isSpare(each) ? timesSent : timesSent - 1
    }
    for (const expectation of list) {
      const { qos, progress } = expectation
      if (expectation.isOver || qos === 0) continue
      // What the broker has forgotten in a crash to have sent is owed like what it has not sent.
      if (progress !== 'pending' && !expectation.mayComeAgain) {
        if (session.flight.get(expectation.packetId) === expectation && !session.forgottenIds.has(expectation.packetId))
          model.fail(
            'no loss',
            `${session.clientId}: ${describe(expectation)} is ${progress}, and its flow does not end`,
          )
        continue
      }
      if (!isOwed(model, session, expectation)) continue
      // So may one that need not come and looks like this one as an earlier subscription wanted it.
      const spared = shapesOf(expectation).findLast((each) => spare[each.qos]! > 0)
      if (spared !== undefined) {
        spare[spared.qos]!--
        continue
      }
      if (!takeDrop(drops, expectation))
        model.fail(
          expectation.forSubscription === null ? 'no loss' : 'retained',
          `${session.clientId} has not got ${describe(expectation)}`,
        )
    }
  }
}

/** Forms in which it may come: one for each of the subscriptions that took the place of each other, its own one last. */
function shapesOf(expectation: Expectation): Expectation[] {
  return [...(expectation.alternatives ?? []).filter((each) => each !== expectation), expectation]
}

/**
 * Takes one of the drops that explain why it has not come. A retained message may have been dropped as an earlier
 * subscription wanted it, at another QoS: that drop explains nothing else.
 */
function takeDrop(drops: Map<string, number>, expectation: Expectation): boolean {
  for (const { publication, qos } of shapesOf(expectation)) {
    const key = `${publication.topic}\n${qos}`
    const left = drops.get(key) ?? 0
    if (left === 0) continue
    drops.set(key, left - 1)
    return true
  }
  return false
}

function isOwed(
  model: Model,
  session: ModelSession,
  { publication, isOptional, group, forSubscription, madeOn }: Expectation,
): boolean {
  if (isOptional || group !== null || publication.expiresAtMs <= model.nowMs) return false
  if (forSubscription === null)
    return !publication.isRefused && publication.isAcknowledged && (publication.qos > 0 || publication.isWill)
  return (
    isRetained(model, publication) &&
    forSubscription.toSeq === Number.POSITIVE_INFINITY &&
    madeOn === session.connection
  )
}

/** Whether it is the retained message of its topic now. */
function isRetained({ retained }: Model, publication: Publication): boolean {
  return retained.get(publication.topic)?.at(-1)?.publication === publication
}

function describe({ publication, qos }: Expectation): string {
  return `${publication.topic} ${short(publication.payload)} of ${publication.publisherId} at QoS ${qos}`
}
