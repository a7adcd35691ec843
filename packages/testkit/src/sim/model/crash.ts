/**
 * The effect of a crash of the broker: state that is lost, and state that must stay.
 *
 * The state up to the last batch that reached the disk (`flushedSeq`) is restored. Later changes are gone, unless an
 * acknowledgement has promised them: SUBACK, UNSUBACK, PUBACK, PUBREC, PUBCOMP, and of QoS 2 deliveries the Packet
 * Identifier.
 */
import type { Model } from './model.ts'
import { type Expectation, type Life, valueAt } from './state.ts'

/** However short a session's expiry is, the broker does not write for it more often than this allows. */
const MISTAKE_MS = 2_000

/** The broker is gone. */
export function crash(model: Model): void {
  const { flushedSeq } = model
  model.seq++
  model.crashes++
  model.crashedMs = model.nowMs
  model.cover('crash')
  for (const link of model.links) {
    link.state = 'closed'
    link.will = null
    if (link.life?.link === link) link.life.link = null
  }
  model.links.clear()
  const candidates = [...model.lives.values(), ...model.ended]
  model.lives.clear()
  model.ended = []
  for (const life of candidates) life.opening = null
  model.wills.clear()
  model.delayed.crash(flushedSeq)
  // Of the sessions that a client had one after the other, the last that the disk knows.
  candidates.sort((a, b) => a.fromSeq - b.fromSeq)
  for (const life of candidates) {
    const isKnown =
      life.isDurable &&
      (life.isPromised || life.fromSeq <= flushedSeq) &&
      life.toSeq > flushedSeq &&
      !life.isEndPromised
    if (isKnown) model.lives.set(life.clientId, life)
  }
  for (const life of model.lives.values()) {
    if (life.isOver) {
      // Its end has not reached the disk.
      model.cover('crash.session-revived')
      life.isRevived = true
      life.isEndAwaited = false
      life.toSeq = Number.POSITIVE_INFINITY
    }
    rollBack(model, life, flushedSeq)
  }
  for (const group of model.groups) {
    const { expectations } = group.instance
    if (expectations.some((each) => each.group === group && model.lives.get(each.life.clientId) !== each.life)) {
      group.isOptional = true
      if (group.takenBy !== null && model.lives.get(group.takenBy.life.clientId) !== group.takenBy.life)
        group.takenBy = null
    }
    // A session that was over is there again, and has what had been given to another member.
    if (expectations.some(({ group: each, life }) => each === group && life.isRevived)) {
      group.isOptional = true
      if (group.takenBy?.isRedistributed) group.takenBy = null
    }
  }
  for (const [topic, states] of model.retained) {
    const { isPersistent } = model.settings
    const kept = states.filter(({ seq, isPromised }) => isPersistent && (seq <= flushedSeq || isPromised))
    if (kept.length < states.length) model.cover('crash.retained-lost')
    if (kept.length === 0) model.retained.delete(topic)
    else model.retained.set(topic, kept)
  }
}

function rollBack(model: Model, life: Life, flushedSeq: number): void {
  life.link = null
  life.crashSeqs.push(model.seq)
  life.strayPubrecs.clear()
  life.subscriptions = life.subscriptions.filter(({ fromSeq, isPromised }) => fromSeq <= flushedSeq || isPromised)
  for (const subscription of life.subscriptions) {
    if (subscription.toSeq > flushedSeq && !subscription.isEndPromised) subscription.toSeq = Number.POSITIVE_INFINITY
  }
  dedupe(life)
  life.isIdentified = false
  life.flight.clear()
  life.forgottenIds.clear()
  for (const list of life.expectations.values()) {
    for (const expectation of list) rollBackExpectation(model, life, expectation, flushedSeq)
  }
  for (const [packetId, held] of life.held) {
    if (held.releasedSeq <= flushedSeq || held.isReleasePromised) {
      life.held.delete(packetId)
      continue
    }
    held.releasedSeq = Number.POSITIVE_INFINITY
    // What it made retained, or delayed, is on the disk together with its id.
    const { instance, seq } = held
    const isKept =
      (instance.retain || instance.isDelayed) && !instance.isRefused && (instance.isAcknowledged || seq <= flushedSeq)
    held.isUncertain ||= !isKept
  }
}

/** Removes the earlier one of two subscriptions with one Topic Filter. */
function dedupe(life: Life): void {
  const live = life.liveSubscriptions
  for (const [i, subscription] of live.entries()) {
    const isReplaced = live.slice(i + 1).some(({ topicFilter }) => topicFilter === subscription.topicFilter)
    if (isReplaced) subscription.toSeq = subscription.fromSeq
  }
}

function rollBackExpectation(model: Model, life: Life, expectation: Expectation, flushedSeq: number): void {
  const { instance, qos, progress } = expectation
  if (progress === 'cancelled') return
  if (life.isRevived) expectation.isOptional = true
  // Only what has been acknowledged to its publisher must be there.
  if (!instance.isAcknowledged || instance.qos === 0 || expectation.forSubscription !== null)
    expectation.isOptional = true
  // It is published again, unless the disk knows that it has been; then it has also what it led to.
  if (instance.isWill && instance.seq > flushedSeq) expectation.isOptional = true
  if (qos === 0) {
    expectation.isOptional = true
    // One that waited on disk may come twice around a crash: nobody waits for the disk at QoS 0.
    const mayHaveWaited = expectation.madeOn === null || expectation.mayWait || model.hasQueuedQoS0
    if (progress === 'done' && expectation.doneSeq > flushedSeq && mayHaveWaited) expectation.mayComeAgain = true
    return
  }
  if (progress === 'done' && expectation.doneSeq <= flushedSeq) return
  if (progress === 'done') expectation.isOptional = true
  if (qos === 1) {
    if (progress === 'pending') return
    const wasForgotten = expectation.mayComeAgain
    expectation.mayComeAgain = true
    if (progress === 'sent' && !wasForgotten) {
      life.flight.set(expectation.packetId, expectation)
      life.forgottenIds.add(expectation.packetId)
    }
    return
  }
  if (progress === 'pending') return
  if (progress === 'received' && expectation.receivedSeq > flushedSeq) expectation.progress = 'sent'
  if (progress === 'done') {
    // PUBCOMP has been forgotten: PUBREL comes again. A PUBREC that refused: PUBLISH comes again.
    expectation.progress = expectation.receivedSeq > 0 ? 'released' : 'sent'
    expectation.isOptional = true
    life.forgottenIds.add(expectation.packetId)
    if (life.flight.has(expectation.packetId)) return
  }
  life.flight.set(expectation.packetId, expectation)
}

/** Loses everything: its store is a new one, or there is none. */
export function loseAll(model: Model): void {
  model.lives.clear()
  model.ended = []
  model.retained.clear()
  model.wills.lose()
  model.delayed.lose()
  for (const group of model.groups) {
    group.isOptional = true
    group.takenBy = null
  }
}

/** The broker has started: whose time was over before that is not there, also for a client that is quick. [MQTT-4.1.0-2] */
export function checkOverdue(model: Model): void {
  for (const life of model.lives.values()) {
    if (!life.isOverdue) continue
    model.fail('expiry', `the session of ${life.clientId} was over before the broker started, and is there`)
  }
}

/** The broker is back. */
export function restart(model: Model): void {
  model.seq++
  model.isFailing = false
  for (const life of model.lives.values()) {
    const { nowMs } = model
    const flushedSeq = Math.max(model.flushedSeq, life.promisedSeq)
    const expiry = valueAt(life.expirySeconds, flushedSeq) ?? life.expirySeconds[0]!.value
    const noted = valueAt(life.away, flushedSeq) ?? null
    // One that was connected was lost after the last time that the disk knows. The broker may be wrong by as much again.
    const latestMs = Math.min(nowMs, model.crashedMs + Math.max(MISTAKE_MS, expiry * 1000))
    const away = noted ?? { earliestMs: Math.min(model.notedMs, latestMs), latestMs }
    life.expirySeconds.length = 0
    life.expirySeconds.push({ seq: 0, value: expiry })
    life.away.length = 0
    life.away.push({ seq: 0, value: noted })
    if (noted === null) life.away.push({ seq: model.seq, value: away })
    if (expiry === 0xffff_ffff) {
      life.isOverdue = false
      life.mayExpireAtMs = Number.POSITIVE_INFINITY
      life.dueAtMs = Number.POSITIVE_INFINITY
    } else {
      life.mayExpireAtMs = away.earliestMs + expiry * 1000
      const dueAtMs = away.latestMs + expiry * 1000
      life.isOverdue = dueAtMs <= nowMs
      life.dueAtMs = Math.max(nowMs, dueAtMs)
    }
    const owner = valueAt(life.owners, flushedSeq) ?? null
    life.owners.length = 0
    life.owners.push({ seq: 0, value: owner })
    const kept = valueAt(life.keptWill, flushedSeq) ?? null
    if (kept !== null) model.wills.restore(life, kept, false)
    else life.keptWill.length = 0
  }
  model.wills.restoreOrphans()
  model.delayed.restarted()
}
