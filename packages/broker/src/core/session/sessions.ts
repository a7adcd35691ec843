/**
 * All sessions by Client Identifier: who has one, who takes one over, and when it ends.
 *
 * Invariant: at most one connection per Client Identifier [MQTT-3.1.4-3], and a session is in `#byClientId` from the
 * CONNECT that made it until it ends: with its connection, by expiry, by Clean Start, or by an administrator.
 *
 * Sources: MQTT 5.0 sections 3.1.2.4, 3.1.2.11.2, 3.1.4 and 4.1.
 */
import { ReasonCode, type Will } from '@recado/protocol'
import { type BrokerEvents, Table } from '../../ports.ts'
import { clientInfoOf } from '../base/client-info.ts'
import type { Connection } from '../connection/connection.ts'
import type { Core } from '../core.ts'
import { LocalPledge } from '../journal/pending-ack.ts'
import { encodeSession, type SessionRecord } from '../journal/records.ts'
import { NEVER_EXPIRES, Session } from './session.ts'
import type { PendingWill } from './wills.ts'

/** What a CONNECT has made of a session, before its CONNACK leaves. */
export interface Opening {
  readonly connection: Connection
  readonly session: Session
  readonly sessionPresent: boolean
  /** What the session had before, for the case that the client is not let in: only then it counts. */
  readonly earlierExpirySeconds: number
  readonly earlierOwner: string | null
  readonly earlierWill: PendingWill | null
  /** CONNACK promises something that is not on disk yet. */
  readonly mustWait: boolean
}

export class Sessions {
  readonly #core: Core
  readonly #byClientId: Map<string, Session> = new Map()
  /** By Client Identifier: ends of sessions that are on their way to the disk, and must be there before a CONNACK says that there is none. */
  readonly #ends: Map<string, LocalPledge> = new Map()

  constructor(core: Core) {
    this.#core = core
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

  /** The session with this client's Client Identifier is another user's. One that is not known to be anybody's is whose who comes first. */
  isOthers({ clientId, username }: Connection): boolean {
    if (this.#core.options.sessionOwner === 'off') return false
    const owner = this.#byClientId.get(clientId)?.owner ?? null
    return owner !== null && owner !== (username ?? '')
  }

  /** Of a Will that is left of a session. */
  #isOthersWill(clientId: string, username: string | undefined): boolean {
    const left = this.#core.wills.orphans.get(clientId)?.client ?? null
    return this.#core.options.sessionOwner !== 'off' && left !== null && (left.username ?? '') !== (username ?? '')
  }

  /**
   * The session for a CONNECT, with its Will. Whoever is connected with this Client Identifier, or about to be, is sent away first.
   * `accept` or `abandon` follows: when the disk has what CONNACK promises (`mustWait`), or at once.
   * [MQTT-3.1.4-4] [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.3-2]
   */
  open(connection: Connection, cleanStart: boolean, expirySeconds: number, will: Will | null): Opening {
    const { journal, wills, wheel } = this.#core
    const { clientId } = connection
    this.#sendAway(clientId)
    let session = this.#byClientId.get(clientId)
    let earlierWill: PendingWill | null = null
    if (session !== undefined && cleanStart) {
      // It waits for nothing but its client, who is back.
      if (session.pendingWill?.isGrace) earlierWill = wills.suspend(clientId, session)
      this.end(session, 'clean-start')
      if (session.number !== 0) this.#mustEnd(clientId)
      session = undefined
    }
    const sessionPresent = session !== undefined // [MQTT-3.2.2-2] [MQTT-3.1.1:3.2.2-1]
    if (this.#isOthersWill(clientId, connection.username)) wills.publishOrphan(clientId)
    earlierWill ??= wills.suspend(clientId, session ?? null)
    session ??= this.#add(clientId, journal === null || expirySeconds === 0 ? 0 : journal.newSessionNumber())
    const { expirySeconds: earlierExpirySeconds, owner: earlierOwner } = session
    session.owner = this.#ownerOf(earlierOwner, !sessionPresent, connection.username)
    session.expirySeconds = expirySeconds
    wheel.clear(session.expiryTimer)
    this.#store(session, 0)
    if (will !== null) wills.register(session, will, connection)
    const isPromise = session.number !== 0 || session.willNumber !== 0
    // Of a failing disk nothing is promised here: a session that is there already is there all the same (`mayOpen`).
    const mustWait = journal !== null && !journal.isFailing && (isPromise || this.#ends.has(clientId))
    const opening = { connection, session, sessionPresent, earlierExpirySeconds, earlierOwner, earlierWill, mustWait }
    session.opening = opening
    return opening
  }

  /** Whoever comes first to a session that is not known to be anybody's makes it theirs, if they have a user name. */
  #ownerOf(owner: string | null, isNew: boolean, username: string | undefined): string | null {
    if (this.#core.options.sessionOwner === 'off') return null
    return owner ?? username ?? (isNew ? '' : null)
  }

  /** While the store is failing nothing can be promised that is not on disk already. */
  mayOpen(clientId: string, cleanStart: boolean, expirySeconds: number, will: Will | null): boolean {
    if (!this.#core.journal?.isFailing) return true
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

  /** The end of a session is on its way to the disk: no CONNACK without a session leaves before it is there. */
  #mustEnd(clientId: string): void {
    const end = new LocalPledge(() => {
      if (this.#ends.get(clientId) === end) this.#ends.delete(clientId)
    })
    this.#ends.set(clientId, end)
    this.#core.journal!.gate(end)
  }

  /** The client is let in: CONNACK leaves now. */
  accept({ session }: Opening): void {
    session.opening = null
  }

  /** The client is not let in, or has gone before it was: the session is what it was. */
  abandon({ session, sessionPresent, earlierExpirySeconds, earlierOwner, earlierWill }: Opening): void {
    const { wills } = this.#core
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
    if (earlierWill !== null) wills.resume(earlierWill)
  }

  /** The CONNECT timeout of a connection is over. True: it has waited for the disk, and has been refused for that. */
  refuseWaiting(connection: Connection): boolean {
    if (connection.opening === null) return false
    const what = 'what CONNACK promises cannot be kept'
    if (this.#core.journal!.isFailing) connection.closeWith(ReasonCode.QuotaExceeded, `the store is failing, ${what}`)
    else connection.closeWith(ReasonCode.ServerBusy, `the store has not answered in time, ${what} yet`)
    return true
  }

  #takeOver(other: Connection): void {
    const { clientId, remoteAddress } = other
    this.#core.metrics.sessionsTakenOver++
    this.#core.observer?.['session.taken-over']?.({ clientId, remoteAddress })
    other.closeWith(ReasonCode.SessionTakenOver, 'the client has connected again')
  }

  /** From the store: a session whose client is away since `disconnectedAtMs`; 0: since the broker stopped, or somewhat earlier. */
  restore(number: number, { clientId, expirySeconds, disconnectedAtMs, owner }: SessionRecord): Session {
    const session = this.#add(clientId, number)
    session.owner = owner ?? null
    session.expirySeconds = expirySeconds
    const awaySinceMs = disconnectedAtMs === 0 ? this.#core.lostAtMs(expirySeconds) : disconnectedAtMs
    if (disconnectedAtMs === 0) this.#store(session, awaySinceMs)
    session.lastEnd = { atMs: awaySinceMs, byClient: false, reasonCode: null, why: '' }
    if (expirySeconds !== NEVER_EXPIRES) this.#core.wheel.set(session.expiryTimer, awaySinceMs + expirySeconds * 1000)
    return session
  }

  #add(clientId: string, number: number): Session {
    const session = new Session(this.#core, clientId, number)
    this.#byClientId.set(clientId, session)
    this.#core.metrics.sessions++
    this.#core.metrics.sessionBytes += session.ownBytes
    return session
  }

  /** `disconnectedAtMs` 0: connected. */
  #store({ number, clientId, expirySeconds, owner }: Session, disconnectedAtMs: number): void {
    if (number === 0) return
    const record: SessionRecord = { clientId, expirySeconds, disconnectedAtMs: Math.floor(disconnectedAtMs) }
    if (owner !== null) record.owner = owner
    this.#core.journal!.change(Table.Sessions, number, 0, 0, encodeSession(record))
  }

  /** Its connection is gone; before that nothing ends it [MQTT-4.1.0-1]. `will` is the Will that is now due, if any. [MQTT-3.1.2-23] */
  disconnected(session: Session, connection: Connection, will: Will | null): void {
    if (session.connection !== connection) return
    session.detach()
    const { faults, wills } = this.#core
    const lose = (): void => wills.lost(session, will!, clientInfoOf(connection))
    if (will !== null) faults.attempt('Will', lose, session.clientId)
    // At a shutdown it waits for its delay already.
    else if (session.pendingWill === null) this.#core.wills.forget(session)
    if (session.expirySeconds === 0) {
      this.end(session, 'disconnected')
      return
    }
    this.#leaveAlone(session)
  }

  /** Its client is away from now on. */
  #leaveAlone(session: Session): void {
    const { nowMs } = this.#core.turn
    this.#store(session, nowMs)
    if (session.expirySeconds !== NEVER_EXPIRES) {
      this.#core.wheel.set(session.expiryTimer, nowMs + session.expirySeconds * 1000)
    }
  }

  /** Recovery: whose time was over before the broker came back. None of them is present to a client that is quick. */
  endExpired(): void {
    const { nowMs } = this.#core.turn
    for (const session of [...this.#byClientId.values()]) if (session.expiryTimer.atMs <= nowMs) this.expire(session)
  }

  /** [MQTT-4.1.0-2] */
  expire(session: Session): void {
    this.#core.turn.begin()
    this.#core.metrics.sessionsExpired++
    this.end(session, 'expired')
  }

  end(session: Session, why: BrokerEvents['session.ended']['why']): void {
    this.#byClientId.delete(session.clientId)
    const { faults, journal, wills } = this.#core
    faults.attempt('Will', () => wills.publishPending(session), session.clientId)
    faults.attempt('end of a session', () => session.end(), session.clientId)
    if (session.number !== 0 && journal !== null) {
      journal.change(Table.Sessions, session.number, 0, 0, null)
      journal.forgetReceived(session)
    }
    this.#core.observer?.['session.ended']?.({ clientId: session.clientId, why })
  }
}
