/**
 * The final check: when every fault is over, every client with a session is connected and acknowledges, and nothing is
 * on its way any more, all owed messages have come.
 */
import type { Model } from './model.ts'
import { short } from './model.ts'
import type { Expectation, GroupDue, Instance, Life } from './state.ts'

export function checkSettled(model: Model): void {
  for (const link of model.links) {
    if (link.state !== 'open') continue
    for (const { type, packetId } of link.owed)
      model.fail('acknowledgements', `${link.name}: ${type} ${packetId} has never come`)
  }
  for (const life of model.lives.values()) if (life.link !== null) checkLife(model, life)
  for (const group of model.groups) {
    const { instance, takenBy, isOptional } = group
    if (takenBy !== null || isOptional || instance.isRefused || instance.isWill) continue
    if (!instance.isAcknowledged || instance.qos === 0 || instance.expiresAtMs <= model.nowMs) continue
    const members = instance.expectations.filter((each) => each.group === group)
    if (!mayBeLost(group) && !mayHaveCome(members))
      model.fail(
        'no loss',
        `$share/${group.shareName}/${group.filter} has not got ${instance.topic} ${short(instance.payload)}`,
      )
  }
}

/**
 * One of these was sent, perhaps: what the model takes for another one of the same content, to the same client and at the same
 * QoS, may have been it, if that one need not have come, or may have come in the place of a third, and so on.
 */
function mayHaveCome(wanted: readonly Expectation[], asked: Set<Expectation> = new Set()): boolean {
  for (const one of wanted) {
    const { life, qos, instance } = one
    for (const each of life.expectations.get(instance.key)!) {
      if (!each.wasSent || each.sentSeq < instance.seq || asked.has(each)) continue
      // After a crash the subscription may have been as it was, or as it is.
      const isAlike = life.crashes > 0 ? each.qos === qos : each === one || each.looksLike(one)
      if (!isAlike) continue
      asked.add(each)
      const { group } = each
      if (isSpare(each)) return true
      const others = group === null ? [each] : group.instance.expectations.filter((other) => other.group === group)
      if (mayHaveCome(others, asked)) return true
    }
  }
  return false
}

/** Whether it need not have come. */
function isSpare({ isOptional, group, instance }: Expectation): boolean {
  return isOptional || !instance.isAcknowledged || (group !== null && (group.isOptional || mayBeLost(group)))
}

/** A member that may have been chosen need not get the message any more. */
function mayBeLost(group: GroupDue): boolean {
  const { instance } = group
  return instance.expectations.some(
    ({ group: each, qos, life }) =>
      each === group &&
      (qos === 0 || life.link === null || life.isOver || (life.drops.get(`${instance.topic}\n${qos}`) ?? 0) > 0),
  )
}

function checkLife(model: Model, life: Life): void {
  const drops = new Map(life.drops)
  for (const list of life.expectations.values()) {
    // What was sent as one that need not come may have been another of the same content that must.
    const spare = [0, 0, 0]
    for (const each of list) {
      const { timesSent, qos, instance, forSubscription } = each
      if (qos === 0 || timesSent === 0) continue
      const isReplaced = forSubscription !== null && !isRetained(model, instance)
      spare[qos]! += isReplaced || isSpare(each) ? timesSent : timesSent - 1
    }
    for (const expectation of list) {
      const { instance, qos, progress } = expectation
      if (expectation.isOver || qos === 0) continue
      // What the broker has forgotten in a crash to have sent is owed like what it has not sent.
      if (progress !== 'pending' && !expectation.mayComeAgain) {
        if (life.flight.get(expectation.packetId) === expectation && !life.forgottenIds.has(expectation.packetId))
          model.fail('no loss', `${life.clientId}: ${describe(expectation)} is ${progress}, and its flow does not end`)
        continue
      }
      if (!isOwed(model, life, expectation) || spare[qos]!-- > 0) continue
      const key = `${instance.topic}\n${qos}`
      const left = drops.get(key) ?? 0
      if (left > 0) drops.set(key, left - 1)
      else
        model.fail(
          expectation.forSubscription === null ? 'no loss' : 'retained',
          `${life.clientId} has not got ${describe(expectation)}`,
        )
    }
  }
}

function isOwed(
  model: Model,
  life: Life,
  { instance, isOptional, group, forSubscription, madeOn }: Expectation,
): boolean {
  if (isOptional || group !== null || instance.expiresAtMs <= model.nowMs) return false
  if (forSubscription === null)
    return !instance.isRefused && instance.isAcknowledged && (instance.qos > 0 || instance.isWill)
  return isRetained(model, instance) && forSubscription.toSeq === Number.POSITIVE_INFINITY && madeOn === life.link
}

/** Whether it is the retained message of its topic now. */
function isRetained({ retained }: Model, instance: Instance): boolean {
  return retained.get(instance.topic)?.at(-1)?.instance === instance
}

function describe({ instance, qos }: Expectation): string {
  return `${instance.topic} ${short(instance.payload)} of ${instance.publisherId} at QoS ${qos}`
}
