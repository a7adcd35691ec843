/**
 * All sessions by Client Identifier: their owners, takeovers, and ends.
 *
 * Invariant: at most one connection per Client Identifier [MQTT-3.1.4-3], and a session is in `#byClientId` from the
 * CONNECT that made it until it ends: with its connection, by expiry, by Clean Start, or by an administrator.
 *
 * Sources: MQTT 5.0 sections 3.1.2.4, 3.1.2.11.2, 3.1.4 and 4.1.
 */
import { ReasonCode, type Will } from '@recado/protocol'
import { type BrokerEvents, type ClientInfo, Table } from '../../ports.ts'
import { clientInfoOf } from '../base/client-info.ts'
import type { Context } from '../base/context.ts'
import type { Journal } from '../journal/journal.ts'
import { PendingCallback } from '../journal/pending-ack.ts'
import { encodeSession, NEVER_EXPIRES, type SessionRecord } from '../journal/session-records.ts'
import { noteEveryMs, TimeNotes } from '../journal/time-notes.ts'
import type { Router } from '../routing/router.ts'
import type { Outlet } from './outlet.ts'
import { type MarkedSession, QoS0Mark } from './qos0-mark.ts'
import { type PendingOpening, Session, type SessionParts } from './session.ts'
import { ReviewLine } from './subscription-review.ts'
import type { PendingWill, Wills } from './wills.ts'

/** Number of Packet Identifiers, 1 to 65,535. */
const PACKET_IDS = 65_535

/** State of a session between CONNECT and CONNACK. */
export interface Opening extends PendingOpening {
  readonly session: Session
  /** Values that the session had before, for the case that the client is not let in: only then they count. */
  readonly earlierExpirySeconds: number
  readonly earlierOwner: string | null
  readonly earlierWill: PendingWill | null
  /** CONNACK promises something that is not on disk yet. */
  readonly mustWait: boolean
}

export class Sessions implements SessionParts {
  readonly context: Context
  readonly journal: Journal | null
  readonly router: Router
  readonly timeNotes: TimeNotes | null
  readonly reviews: ReviewLine
  readonly #wills: Wills
  /** Client Identifiers of sessions of the embedding program: no client may have them. */
  readonly ofProgram: Set<string> = new Set()
  readonly #byClientId: Map<string, Session> = new Map()
  /** Ends of sessions by Client Identifier that are on their way to the disk, and must be there before a CONNACK says that there is none. */
  readonly #ends: Map<string, PendingCallback> = new Map()

  constructor(context: Context, journal: Journal | null, router: Router, wills: Wills) {
    this.context = context
    this.journal = journal
    this.router = router
    this.timeNotes = journal === null ? null : new TimeNotes(journal, context.wheel)
    this.reviews = new ReviewLine(context.turn)
    this.#wills = wills
  }

  get size(): number {
    return this.#byClientId.size
  }

  get(clientId: string): Session | undefined {
    return this.#byClientId.get(clientId)
  }

  values(): IterableIterator<Session> {
    return this.#byClientId.values()
  }

  /**
   * Whether the session with this client's Client Identifier is another user's. One without a known owner belongs to
   * the first user who comes.
   */
  isOthers({ clientId, username }: ClientInfo): boolean {
    if (this.context.options.sessionOwner === 'off') return false
    const owner = this.#byClientId.get(clientId)?.owner ?? null
    return owner !== null && owner !== (username ?? '')
  }

  /** True: the Will that is left of a session is another user's. */
  #isOthersWill(clientId: string, username: string | undefined): boolean {
    const left = this.#wills.orphans.get(clientId)?.client ?? null
    return this.context.options.sessionOwner !== 'off' && left !== null && (left.username ?? '') !== (username ?? '')
  }

  /**
   * Opens the session for a CONNECT, with its Will. A client that is connected with this Client Identifier, or about to
   * be, is disconnected first. `letIn` or `abandon` follows: when the promise of CONNACK is on the disk (`mustWait`),
   * or at once. [MQTT-3.1.4-4] [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.3-2]
   */
  open(connection: Outlet, cleanStart: boolean, expirySeconds: number, will: Will | null): Opening {
    const { journal, context } = this
    const wills = this.#wills
    const { clientId } = connection
    this.#sendAway(clientId)
    let session = this.#byClientId.get(clientId)
    let earlierWill: PendingWill | null = null
    if (session !== undefined && cleanStart) {
      // The Will waits for nothing but its client, which is back, unless this is another user.
      if (session.pendingWill?.isGrace && !this.isOthers(connection)) earlierWill = wills.suspend(clientId, session)
      this.end(session, 'clean-start')
      if (session.number !== 0) this.#mustEnd(clientId)
      session = undefined
    }
    const sessionPresent = session !== undefined // [MQTT-3.2.2-2] [MQTT-3.1.1:3.2.2-1]
    if (this.#isOthersWill(clientId, connection.username)) wills.publishOrphan(clientId)
    earlierWill ??= wills.suspend(clientId, session ?? null)
    session ??= this.#add(clientId, journal === null || expirySeconds === 0 ? 0 : journal.numbers.newSession())
    const { expirySeconds: earlierExpirySeconds, owner: earlierOwner } = session
    session.owner = this.#ownerOf(earlierOwner, !sessionPresent, connection.username)
    session.expirySeconds = expirySeconds
    context.wheel.clear(session.expiryTimer)
    this.#store(session, 0)
    if (will !== null) wills.register(session, will, connection)
    const isPromise = session.number !== 0 || session.willNumber !== 0
    // Of a failing disk nothing is promised here: a session that is there already is there all the same (`mayOpen`).
    const mustWait = journal !== null && !journal.isFailing && (isPromise || this.#ends.has(clientId))
    const opening = { connection, session, sessionPresent, earlierExpirySeconds, earlierOwner, earlierWill, mustWait }
    session.opening = opening
    return opening
  }

  /** Owner of a session: a user who comes first to one that is not known to be anybody's makes it theirs. */
  #ownerOf(owner: string | null, isNew: boolean, username: string | undefined): string | null {
    if (this.context.options.sessionOwner === 'off') return null
    return owner ?? username ?? (isNew ? '' : null)
  }

  /** While the store is failing nothing can be promised that is not on disk already. */
  mayOpen(clientId: string, cleanStart: boolean, expirySeconds: number, will: Will | null): boolean {
    if (!this.journal?.isFailing) return true
    const known = this.#byClientId.get(clientId)
    if (will !== null) return false
    if (expirySeconds === 0) return true
    if (cleanStart || known === undefined || known.number === 0) return false
    // One that ends with its connection ends when that is taken over, and so does one that is only being begun.
    return known.opening === null
      ? known.connection === null || known.expirySeconds !== 0
      : known.opening.sessionPresent
  }

  #sendAway(clientId: string): void {
    const session = this.#byClientId.get(clientId)
    if (session?.connection) this.#takeOver(session.connection)
    else if (session?.opening) this.#takeOver(session.opening.connection)
  }

  /**
   * Notes that the end of a session is on its way to the disk: no CONNACK that reports no session leaves before it is
   * there.
   */
  #mustEnd(clientId: string): void {
    const end = new PendingCallback(() => {
      if (this.#ends.get(clientId) === end) this.#ends.delete(clientId)
    })
    this.#ends.set(clientId, end)
    this.journal!.gate(end)
  }

  /** The client is let in: CONNACK leaves now. */
  letIn({ session }: Opening): void {
    session.opening = null
  }

  /** Undoes the opening, because the client is not let in, or has gone before: the session is as it was. */
  abandon({ session, sessionPresent, earlierExpirySeconds, earlierOwner, earlierWill }: Opening): void {
    const wills = this.#wills
    session.opening = null
    wills.forget(session)
    if (!sessionPresent) {
      this.end(session, 'disconnected')
      if (session.number !== 0) this.#mustEnd(session.clientId)
    } else {
      session.expirySeconds = earlierExpirySeconds
      session.owner = earlierOwner
      this.#leaveAlone(session)
    }
    if (earlierWill !== null) wills.resume(earlierWill, this.#byClientId.get(session.clientId) === earlierWill.session)
  }

  #takeOver(other: Outlet): void {
    const { clientId, remoteAddress } = other
    this.context.metrics.sessionsTakenOver++
    this.context.observer?.['session.taken-over']?.({ clientId, remoteAddress })
    other.closeWith(ReasonCode.SessionTakenOver, 'the client has connected again')
  }

  /** Takes back a session from the store whose client is away since `disconnectedAtMs`; 0: since the broker stopped, or somewhat earlier. */
  restore(number: number, record: SessionRecord): Session {
    const { clientId, expirySeconds, disconnectedAtMs, owner, note, sentQoS0To = 0 } = record
    const session = this.#add(clientId, number)
    if (sentQoS0To > 0) session.qos0Mark = new QoS0Mark(session, this, sentQoS0To)
    session.owner = owner ?? null
    session.note = note ?? null
    session.expirySeconds = expirySeconds
    const awaySinceMs = disconnectedAtMs === 0 ? this.#lostAtMs(expirySeconds) : disconnectedAtMs
    if (disconnectedAtMs === 0) this.#store(session, awaySinceMs)
    session.lastEnd = { atMs: awaySinceMs, byClient: false, reasonCode: null, why: '' }
    const { options, turn, wheel } = this.context
    // Which identifier was given last is not kept. The time is most probably ahead of it, or far from it: a client that still
    // knows one of before takes a new message for that one, as mosquitto_sub 2.0.11 does.
    if (options.answers === 'recado') session.sender.startAfter(Math.floor(turn.nowMs) % PACKET_IDS)
    if (expirySeconds !== NEVER_EXPIRES) wheel.set(session.expiryTimer, awaySinceMs + expirySeconds * 1000)
    return session
  }

  /**
   * Recovery: when a client was lost that was connected as the broker before this one ended, of a session that lasts so much longer:
   * never before it was, and at most twice `noteEveryMs` after it. One whose session never expires counts as lost now.
   */
  #lostAtMs(expirySeconds: number): number {
    const { notedMs, turn } = this.context
    const lostAtMs = notedMs + 2 * noteEveryMs(expirySeconds)
    return Number.isFinite(lostAtMs) ? Math.min(turn.nowMs, lostAtMs) : turn.nowMs
  }

  #add(clientId: string, number: number): Session {
    const session = new Session(this, clientId, number)
    this.#byClientId.set(clientId, session)
    this.context.metrics.sessions++
    this.context.metrics.sessionBytes += session.ownBytes
    return session
  }

  /** Keeps a text of the embedding program about its session. */
  note(session: Session, note: string): void {
    if (session.note === note) return
    session.note = note
    this.#store(session, 0)
  }

  /** Stores a session whose client is connected, with its mark, which is told when that is safe. */
  storeMark(session: MarkedSession, mark: QoS0Mark): void {
    this.#store(session as Session, 0)
    this.journal!.gate(mark)
  }

  /** Stores the session; `disconnectedAtMs` is 0 while it is connected. */
  #store({ number, clientId, expirySeconds, owner, note, qos0Mark }: Session, disconnectedAtMs: number): void {
    if (number === 0) return
    const record: SessionRecord = { clientId, expirySeconds, disconnectedAtMs: Math.floor(disconnectedAtMs) }
    if (owner !== null) record.owner = owner
    if (note !== null) record.note = note
    const sentQoS0To = qos0Mark?.position ?? 0
    if (sentQoS0To > 0) record.sentQoS0To = sentQoS0To
    this.journal!.change(Table.Sessions, number, 0, 0, encodeSession(record))
  }

  /** Takes the connection from a session, which nothing ends before that [MQTT-4.1.0-1]. `will` is the Will that is now due, if any. [MQTT-3.1.2-23] */
  disconnected(session: Session, connection: Outlet, will: Will | null): void {
    if (session.connection !== connection) return
    session.detach()
    const { faults } = this.context
    const wills = this.#wills
    const lose = (): void => this.loseWill(session, connection, will!)
    if (will !== null) faults.attempt('Will', lose, session.clientId)
    // At a shutdown it waits for its delay already.
    else if (session.pendingWill === null) wills.forget(session)
    if (session.expirySeconds === 0) {
      this.end(session, 'disconnected')
      return
    }
    this.#leaveAlone(session)
  }

  /** A client is lost: its Will is published now, or after its delay. */
  loseWill(session: Session, client: ClientInfo, will: Will): void {
    this.#wills.lost(session, will, clientInfoOf(client))
  }

  /** Notes that the client is away from now on, and starts the Session Expiry Interval. */
  #leaveAlone(session: Session): void {
    const { nowMs } = this.context.turn
    this.#store(session, nowMs)
    if (session.expirySeconds !== NEVER_EXPIRES) {
      this.context.wheel.set(session.expiryTimer, nowMs + session.expirySeconds * 1000)
    }
  }

  /** Recovery: whose time was over before the broker came back. None of them is present to a client that is quick. */
  endExpired(): void {
    const { nowMs } = this.context.turn
    for (const session of [...this.#byClientId.values()]) if (session.expiryTimer.atMs <= nowMs) this.expire(session)
  }

  /** [MQTT-4.1.0-2] */
  expire(session: Session): void {
    this.context.turn.begin()
    this.context.metrics.sessionsExpired++
    this.end(session, 'expired')
  }

  /** Drops what waits for a session, as an administrator asks. Returns the number of messages; null without a session. */
  drain(clientId: string): number | null {
    return this.#byClientId.get(clientId)?.drain() ?? null
  }

  /** Removes a session and ends its connection, as an administrator asks. Returns false when there is none. */
  remove(clientId: string): boolean {
    const session = this.#byClientId.get(clientId)
    if (session === undefined) return false
    const connection = session.connection ?? session.opening?.connection
    const remove = (): void => {
      connection?.closeWith(ReasonCode.AdministrativeAction, 'ended by an administrator')
      if (this.#byClientId.get(clientId) === session) this.end(session, 'removed')
    }
    if (!this.context.faults.attempt('removal of a session', remove, clientId)) connection?.destroy()
    return true
  }

  end(session: Session, why: BrokerEvents['session.ended']['why']): void {
    this.#byClientId.delete(session.clientId)
    const { journal, context } = this
    const { faults } = context
    faults.attempt('Will', () => this.#wills.publishPending(session), session.clientId)
    faults.attempt('end of a session', () => session.end(), session.clientId)
    if (session.number !== 0 && journal !== null) {
      journal.change(Table.Sessions, session.number, 0, 0, null)
      journal.forgetReceived(session.receivedIds!)
    }
    this.context.observer?.['session.ended']?.({ clientId: session.clientId, why })
  }
}
