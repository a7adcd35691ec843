/**
 * The effect of a crash of the broker: state that is lost, and state that must stay.
 *
 * The state up to the last batch that reached the disk (`flushedSeq`) is restored. Later changes are gone, unless an
 * acknowledgement has promised them: SUBACK, UNSUBACK, PUBACK, PUBREC, PUBCOMP, and of QoS 2 deliveries the Packet
 * Identifier.
 */
import type { Model } from './model.ts'
import { type Expectation, type ModelSession, valueAt } from './state.ts'

/** However short a session's expiry is, the broker does not write for it more often than this allows. */
const MISTAKE_MS = 2_000

/** The broker is gone. */
export function crash(model: Model): void {
  const { flushedSeq } = model
  model.seq++
  model.crashes++
  model.crashedMs = model.nowMs
  model.cover('crash')
  for (const connection of model.connections) {
    connection.state = 'closed'
    connection.will = null
    if (connection.session?.connection === connection) connection.session.connection = null
  }
  model.connections.clear()
  model.expiring = []
  const candidates = [...model.sessions.values(), ...model.ended]
  model.sessions.clear()
  model.ended = []
  for (const session of candidates) session.opening = null
  model.wills.clear()
  model.delayed.crash(flushedSeq)
  // Of the sessions that a client had one after the other, the last that the disk knows.
  candidates.sort((a, b) => a.fromSeq - b.fromSeq)
  for (const session of candidates) {
    const isKnown =
      session.isDurable &&
      (session.isPromised || session.fromSeq <= flushedSeq) &&
      session.toSeq > flushedSeq &&
      !session.isEndPromised
    if (isKnown) model.sessions.set(session.clientId, session)
  }
  for (const session of model.sessions.values()) {
    if (session.isOver) {
      // Its end has not reached the disk.
      model.cover('crash.session-revived')
      session.isRevived = true
      session.isEndAwaited = false
      session.toSeq = Number.POSITIVE_INFINITY
    }
    rollBack(model, session, flushedSeq)
  }
  for (const group of model.groups) {
    const { expectations } = group.publication
    if (
      expectations.some((each) => each.group === group && model.sessions.get(each.session.clientId) !== each.session)
    ) {
      group.isOptional = true
      if (group.takenBy !== null && model.sessions.get(group.takenBy.session.clientId) !== group.takenBy.session)
        group.takenBy = null
    }
    // A session that was over is there again, and has what had been given to another member. So has a member whose
    // message went to another one, when that has not reached the disk.
    const isBack = ({ session, passedOnSeq }: Expectation): boolean => session.isRevived || passedOnSeq > flushedSeq
    if (expectations.some((each) => each.group === group && isBack(each))) {
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

function rollBack(model: Model, session: ModelSession, flushedSeq: number): void {
  session.connection = null
  session.crashSeqs.push(model.seq)
  session.strayPubrecs.clear()
  session.subscriptions = session.subscriptions.filter(({ fromSeq, isPromised }) => fromSeq <= flushedSeq || isPromised)
  for (const subscription of session.subscriptions) {
    if (subscription.toSeq > flushedSeq && !subscription.isEndPromised) subscription.toSeq = Number.POSITIVE_INFINITY
  }
  dedupe(session)
  session.isIdentified = false
  session.flight.clear()
  session.forgottenIds.clear()
  for (const list of session.expectations.values()) {
    for (const expectation of list) rollBackExpectation(model, session, expectation, flushedSeq)
  }
  for (const [packetId, held] of session.held) {
    if (held.releasedSeq <= flushedSeq || held.isReleasePromised) {
      session.held.delete(packetId)
      continue
    }
    held.releasedSeq = Number.POSITIVE_INFINITY
    // What it made retained, or delayed, is on the disk together with its id.
    const { publication, seq } = held
    const isKept =
      (publication.retain || publication.isDelayed) &&
      !publication.isRefused &&
      (publication.isAcknowledged || seq <= flushedSeq)
    held.isUncertain ||= !isKept
  }
}

/** Removes the earlier one of two subscriptions with one Topic Filter. */
function dedupe(session: ModelSession): void {
  const live = session.liveSubscriptions
  for (const [i, subscription] of live.entries()) {
    const isReplaced = live.slice(i + 1).some(({ topicFilter }) => topicFilter === subscription.topicFilter)
    if (isReplaced) subscription.toSeq = subscription.fromSeq
  }
}

function rollBackExpectation(model: Model, session: ModelSession, expectation: Expectation, flushedSeq: number): void {
  const { publication, qos, progress } = expectation
  if (progress === 'cancelled') return
  if (session.isRevived) expectation.isOptional = true
  expectation.withdrawnMs = null
  expectation.wasGivenUp = false
  // Only what has been acknowledged to its publisher must be there.
  if (!publication.isAcknowledged || publication.qos === 0 || expectation.forSubscription !== null)
    expectation.isOptional = true
  // It is published again, unless the disk knows that it has been; then it has also what it led to.
  if (publication.isWill && publication.seq > flushedSeq) expectation.isOptional = true
  if (qos === 0) {
    expectation.isOptional = true
    // One that waited on the disk may come twice around a crash if it was sent while the disk failed: only then nobody waits for it.
    const mayHaveWaited = expectation.madeOn === null || expectation.mayWait || model.hasQueuedQoS0
    const mayBeUnknown = expectation.wasSentUnsafely && expectation.doneSeq > flushedSeq
    if (progress === 'done' && mayBeUnknown && mayHaveWaited) expectation.mayComeAgain = true
    return
  }
  if (progress === 'done' && expectation.doneSeq <= flushedSeq) return
  if (progress === 'done') expectation.isOptional = true
  if (qos === 1) {
    if (progress === 'pending') return
    const wasForgotten = expectation.mayComeAgain
    expectation.mayComeAgain = true
    if (progress === 'sent' && !wasForgotten) {
      session.flight.set(expectation.packetId, expectation)
      session.forgottenIds.add(expectation.packetId)
    }
    return
  }
  if (progress === 'pending') return
  if (progress === 'received' && expectation.receivedSeq > flushedSeq) expectation.progress = 'sent'
  if (progress === 'done') {
    // PUBCOMP has been forgotten: PUBREL comes again. A PUBREC that refused: PUBLISH comes again.
    expectation.progress = expectation.receivedSeq > 0 ? 'released' : 'sent'
    expectation.isOptional = true
    session.forgottenIds.add(expectation.packetId)
    if (session.flight.has(expectation.packetId)) return
  }
  session.flight.set(expectation.packetId, expectation)
}

/** Loses everything: its store is a new one, or there is none. */
export function loseAll(model: Model): void {
  model.sessions.clear()
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
  for (const session of model.sessions.values()) {
    if (!session.isOverdue) continue
    model.fail('expiry', `the session of ${session.clientId} was over before the broker started, and is there`)
  }
}

/** The broker is back. */
export function restart(model: Model): void {
  model.seq++
  model.isFailing = false
  for (const session of model.sessions.values()) {
    const { nowMs } = model
    const flushedSeq = Math.max(model.flushedSeq, session.promisedSeq)
    const expiry = valueAt(session.expirySeconds, flushedSeq) ?? session.expirySeconds[0]!.value
    const noted = valueAt(session.away, flushedSeq) ?? null
    // One that was connected was lost after the last time that the disk knows. The broker may be wrong by as much again.
    const latestMs = Math.min(nowMs, model.crashedMs + Math.max(MISTAKE_MS, expiry * 1000))
    const away = noted ?? { earliestMs: Math.min(model.notedMs, latestMs), latestMs }
    session.expirySeconds.length = 0
    session.expirySeconds.push({ seq: 0, value: expiry })
    session.away.length = 0
    session.away.push({ seq: 0, value: noted })
    if (noted === null) session.away.push({ seq: model.seq, value: away })
    if (expiry === 0xffff_ffff) {
      session.isOverdue = false
      session.mayExpireAtMs = Number.POSITIVE_INFINITY
      session.dueAtMs = Number.POSITIVE_INFINITY
    } else {
      session.mayExpireAtMs = away.earliestMs + expiry * 1000
      const dueAtMs = away.latestMs + expiry * 1000
      session.isOverdue = dueAtMs <= nowMs
      session.dueAtMs = Math.max(nowMs, dueAtMs)
    }
    const owner = valueAt(session.owners, flushedSeq) ?? null
    session.owners.length = 0
    session.owners.push({ seq: 0, value: owner })
    const kept = valueAt(session.keptWill, flushedSeq) ?? null
    if (kept !== null) model.wills.restore(session, kept, false)
    else session.keptWill.length = 0
  }
  model.wills.restoreOrphans()
  model.delayed.restarted()
}
