/**
 * Look-alikes: which of several messages a PUBLISH is, where its client cannot tell them apart (same topic, payload and QoS; for MQTT 5.0 also the
 * same properties and Subscription Identifiers).
 *
 * The argument. The broker is right if there is *some* assignment of what it has sent to what was owed under which nothing is wrong. The model keeps
 * one assignment, and looks for another one only when a packet does not fit it:
 *
 * - `findNew` takes, of those that fit, the one that leaves most choices open: at QoS 0 what has just been published, then the earliest in order, then
 *   those that have no order.
 * - `findResent` takes the message that has this Packet Identifier. When that one looks otherwise (a 5.0 client sees more than a 3.1.1 client did, or
 *   a crash has given the identifier to another one) it changes places with the one that looks like the packet (`swapWith`).
 * - `earlierTwin` is the case in which a crash has brought an earlier message with the same identifier back.
 * - `isStillToCome` does so for retained messages of which one of several comes, as each of the subscriptions wants it that took the place of
 *   each other: the one that has come may be that of another subscription.
 * - `giveBack` undoes a choice of a Shared Subscription: what another member seems to have got may have been a look-alike that is still open, or is when
 *   a third member is asked the same (`takePlaceOf`). It follows such chains, each message once, so it ends.
 * - `Sequence` (`order.ts`) searches for an order when the assignment as it stands has none.
 *
 * A change of places keeps these invariants: each flight is in one session's table once, and a group is taken by at most one expectation. So nothing is
 * sent twice under any assignment; what is lost is only the difference between look-alikes, which no client could see.
 */
import { isExpiryRight, isTooLate, toldExpiry } from './expiry.ts'
import { passOn } from './given-up.ts'
import type { Model } from './model.ts'
import { hasNoOrder, isInOrder, isOvertaking } from './order.ts'
import { mightBePublished } from './rights.ts'
import { type Expectation, keyOf, type ModelConnection, type ModelSession } from './state.ts'
import { matchesFilter } from './topics.ts'
import type { Failed, PublishPacket } from './types.ts'

/** Finds the message that is sent again; null: none could be, and `failed` has been told. */
export function findResent(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  packet: PublishPacket,
  failed: Failed,
): Expectation | null {
  const expectation = session.flight.get(packet.packetId)
  const list = session.expectations.get(keyOf(packet)) ?? []
  const identifiers = [...packet.identifiers].sort((a, b) => a - b).join()
  const isAlike = (each: Expectation): boolean =>
    each.retain === packet.retain &&
    (!connection.isV5 || (each.identifiers === identifiers && each.publication.isPassedOnWith(packet.passedOn)))
  if (expectation !== undefined && expectation.publication.key === keyOf(packet) && expectation.qos === packet.qos) {
    // Before 5.0 nobody sees Subscription Identifiers and properties: which of several it was shows now.
    // Or a crash has taken the one that had this id, and another one has it now.
    const isUnsure =
      connection.isV5 && (!session.isV5 || session.forgottenIds.has(packet.packetId)) && !isAlike(expectation)
    const meant = isUnsure
      ? list.find((each) => each.qos === packet.qos && each.progress !== 'cancelled' && isAlike(each))
      : undefined
    if (meant !== undefined) {
      meant.swapWith(expectation)
      return findResent(model, connection, session, packet, failed)
    }
    const twin = earlierTwin(connection, session, packet, expectation)
    if (twin !== undefined) return twin
    if (expectation.sentOn === connection) failed('exactly once', 'sent twice on one connection')
    else if (expectation.progress === 'released') failed('exactly once', 'sent again after PUBREL [MQTT-4.3.3-6]')
    else if (expectation.progress === 'received') failed('exactly once', 'sent again after PUBREC [MQTT-4.3.3-6]')
    model.cover('out.resent')
    return expectation
  }
  // The broker was about to send it when the connection was lost: the flag says that it might have been sent.
  const early = list.filter(
    ({ qos, progress, seq }) => qos === packet.qos && progress === 'pending' && seq < connection.connectedSeq,
  )
  // One that another member has got is not meant, unless that was another one.
  const open = early.filter(({ isOpen }) => isOpen)
  const unsentAlike = open.find(isAlike)
  // The broker may have been about to send it when it crashed: then it comes with DUP, and first.
  if (session.crashes > 0) {
    const all = list.filter(
      (each) =>
        each.qos === packet.qos &&
        each.seq < session.lastCrashSeq &&
        (each.progress === 'pending' || (each.mayComeAgain && each.progress !== 'cancelled')),
    )
    const candidates = all.filter(({ isOpen }) => isOpen)
    const hadThisId = candidates.filter((each) => each.wasSent && each.packetId === packet.packetId)
    const alike = candidates.filter(isAlike)
    const next = (some: Expectation[]): Expectation | undefined =>
      some.find((each) => isInOrder(connection, session, each)) ?? some[0]
    const had = next(hadThisId)
    // Before 5.0 nobody saw which of several it was: the one that looks like this has had the identifier.
    if (connection.isV5 && had?.sentOn?.isV5 === false && !hadThisId.some(isAlike)) {
      const meant = next(alike.filter(({ seq }) => seq < had.sentSeq))
      if (meant !== undefined) {
        meant.swapWith(had)
        return findResent(model, connection, session, packet, failed)
      }
    }
    const candidate =
      // Two may have had it, one after the other: then the one that looks like this.
      next(hadThisId.filter(isAlike)) ??
      had ??
      next(alike) ??
      (unsentAlike === undefined ? (all.find((each) => isAlike(each) && giveBack(each)) ?? candidates[0]) : undefined)
    if (candidate !== undefined) {
      if (expectation !== undefined && !session.forgottenIds.has(packet.packetId) && expectation !== candidate) {
        failed('packet ids', 'the id is in use [MQTT-2.2.1-4]')
        return null
      }
      model.cover('out.resent-after-crash')
      return candidate
    }
  }
  const unsent = unsentAlike ?? early.find((each) => isAlike(each) && giveBack(each)) ?? open[0]
  if (unsent !== undefined && (expectation === undefined || session.forgottenIds.has(packet.packetId))) return unsent
  failed(
    'exactly once',
    expectation === undefined ? 'DUP, and it is not in flight' : 'DUP, and the id is another message',
  )
  return null
}

/**
 * Returns the earlier one of two messages with one content and one Packet Identifier. At QoS 1 an acknowledged
 * identifier is used again at once. When a crash takes the acknowledgement, the earlier message is there again, and
 * goes first; which of the two this is cannot be told.
 */
function earlierTwin(
  connection: ModelConnection,
  session: ModelSession,
  { packetId, qos, retain }: PublishPacket,
  expectation: Expectation,
): Expectation | undefined {
  if (qos !== 1 || !session.forgottenIds.has(packetId)) return undefined
  return session.expectations
    .get(expectation.publication.key)!
    .find(
      (each) =>
        each.publication.index < expectation.publication.index &&
        each.qos === 1 &&
        each.packetId === packetId &&
        each.retain === retain &&
        each.identifiers === expectation.identifiers &&
        each.progress === 'done' &&
        each.mayComeAgain &&
        isInOrder(connection, session, each),
    )
}

/** Finds the message that is sent for the first time; null: none is owed, and `failed` has been told. */
export function findNew(
  model: Model,
  connection: ModelConnection,
  session: ModelSession,
  packet: PublishPacket,
  failed: Failed,
  isSecond = false,
): Expectation | null {
  const list = session.expectations.get(keyOf(packet)) ?? []
  const identifiers = [...packet.identifiers].sort((a, b) => a - b).join()
  const open = list.filter(({ isOpen }) => isOpen)
  const { isV5 } = connection
  const told = toldExpiry(model, connection, packet)
  const fits = (each: Expectation): boolean =>
    each.qos === packet.qos &&
    each.retain === packet.retain &&
    (!isV5 ||
      (each.identifiers === identifiers &&
        each.publication.isPassedOnWith(packet.passedOn) &&
        isExpiryRight(each.publication, told) &&
        !isTooLate(model, connection, each)))
  // At QoS 0 what has just been published comes first: it has replaced what was retained, which need not come any more.
  const isOfNow = (each: Expectation): boolean =>
    each.qos === 0 && each.madeOn === connection && !model.hasQueuedQoS0 && fits(each)
  // One that is retained, and whose publisher has lost the right to it, is not meant where another one looks the same.
  const freeOne = open.find((each) => fits(each) && hasNoOrder(each) && mightBePublished(model, each))
  const best =
    open.find((each) => isOfNow(each) && each.forSubscription === null) ??
    open.find(isOfNow) ??
    // Those that have an order first. The earliest, also where another member seems to have got that: the later one must not come
    // before it. One that would overtake another is not meant if it need not be.
    list.find(
      (each) =>
        fits(each) &&
        !hasNoOrder(each) &&
        isInOrder(connection, session, each) &&
        (freeOne === undefined || !isOvertaking(session, each)) &&
        (each.isOpen || (each.progress === 'pending' && giveBack(each))),
    ) ??
    freeOne ??
    open.find((each) => fits(each) && each.progress === 'pending') ??
    open.find(fits)
  if (best !== undefined) return best
  for (const each of list) if (fits(each) && each.progress === 'pending' && giveBack(each)) return each
  // So may one that was sent before a crash and comes again.
  for (const each of list) if (fits(each) && each.mayBeSent && giveBack(each)) return each
  // Of two publications of the same content the later one seems to have come before, and the earlier one is too old now.
  for (const older of open) {
    const later = list.find(
      (each) => each.wasSent && each.looksLike(older) && fits(each) && older.publication.expiresAtMs > each.sentMs,
    )
    if (later === undefined || older.progress !== 'pending') continue
    older.swapWith(later)
    return later
  }
  for (const each of list) if (fits(each) && isStillToCome(list, each)) return each
  if (!isSecond && passOn(model, packet.topic)) return findNew(model, connection, session, packet, failed, true)
  const wrong = open.find(({ qos }) => qos === packet.qos) ?? open[0]
  if (wrong !== undefined) return wrong
  explain(model, session, packet, list, failed)
  return null
}

/**
 * Another member seems to have got it, but what that one got may have been for another of its subscriptions that is still
 * open, or is when a third member is asked the same: then this member may have it. Or what that one had not acknowledged when its
 * session ended was this one.
 */
export function giveBack({ group }: Expectation, asked: Set<Expectation> = new Set()): boolean {
  const taken = group?.takenBy
  if (group === null || taken == null || !wasAnother(taken, asked)) return false
  group.takenBy = null
  return true
}

/** What seems to have been sent was a look-alike: of those that are open, or of those that were a third one themselves. */
function wasAnother(taken: Expectation, asked: Set<Expectation>): boolean {
  if (asked.has(taken)) return false
  asked.add(taken)
  const { session } = taken
  // What has been published since then it cannot have been, nor what expires at another time than the client was told.
  const alike = session.expectations
    .get(taken.publication.key)!
    .filter((each) => each.looksLike(taken) && each.seq < taken.sentSeq && isExpiryRight(each.publication, taken.told))
  const other =
    alike.find(
      (each) =>
        (each.progress === 'pending' && (each.isOpen || giveBack(each, asked))) ||
        // One that was sent before a crash and one that was sent after it may be the same.
        (each.mayComeAgain && each.isOpen && session.hasCrashedBetween(each.begunSeq, taken.begunSeq)) ||
        (session.isOver && each.isUnacknowledged && each.group?.takenBy == null),
    ) ?? alike.find((each) => each.wasSent && wasAnother(each, asked))
  if (other === undefined) return false
  // What was sent before a crash and may come again has been sent all the same.
  if (other.progress === 'pending') other.takePlaceOf(taken)
  else other.swapWith(taken)
  if (other.group !== null) other.group.takenBy = other
  return true
}

/**
 * Whether a retained message is still to come, because what seemed to come in its place (`alternatives`) was that of
 * another subscription which looks the same. That one has come then, if need be in the place of a third.
 */
function isStillToCome(
  list: readonly Expectation[],
  { alternatives }: Expectation,
  asked: Set<readonly Expectation[]> = new Set(),
): boolean {
  const taken = alternatives?.find(({ wasSent, progress }) => wasSent && progress !== 'cancelled')
  if (alternatives == null || taken === undefined || asked.has(alternatives)) return false
  asked.add(alternatives)
  const other = list.find(
    (each) =>
      each.alternatives !== alternatives &&
      each.forSubscription !== null &&
      each.looksLike(taken) &&
      each.seq < taken.sentSeq &&
      (each.progress === 'pending' || (each.progress === 'cancelled' && isStillToCome(list, each, asked))),
  )
  if (other === undefined) return false
  other.takePlaceOf(taken)
  for (const each of other.alternatives ?? []) if (each.progress === 'pending') each.progress = 'cancelled'
  for (const each of alternatives) each.progress = 'pending'
  return true
}

/** Explains, as well as possible, why a PUBLISH was not owed. */
function explain(
  model: Model,
  session: ModelSession,
  packet: PublishPacket,
  list: readonly Expectation[],
  failed: Failed,
): void {
  const shared = list.find(({ group }) => group?.takenBy != null)
  const had = list.find(({ progress }) => progress !== 'cancelled')
  if (shared !== undefined) {
    failed('exactly once', `another member of $share/${shared.group!.shareName} has got it [MQTT-4.8.2-2]`)
  } else if (had !== undefined) {
    failed('exactly once', `it has been sent (${had.progress})`)
  } else if (list.length > 0) {
    failed('only to whom it is due', 'its publisher was refused')
  } else {
    const isNoLocal = session.subscriptions.some(
      ({ noLocal, filter }) => noLocal && matchesFilter(filter, packet.topic),
    )
    const was = session.subscriptions.some(({ filter }) => matchesFilter(filter, packet.topic))
    const why = isNoLocal ? 'No Local [MQTT-3.8.3-3]' : was ? 'not subscribed at that time' : 'not subscribed'
    failed(
      packet.retain ? 'retained' : 'only to whom it is due',
      model.settings.mayPublish('', '', packet.topic) ? why : `${why}, or not allowed`,
    )
  }
}
