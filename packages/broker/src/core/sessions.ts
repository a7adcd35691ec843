/**
 * All sessions by Client Identifier: who has one, who takes one over, and when it ends.
 *
 * Invariant: at most one connection per Client Identifier [MQTT-3.1.4-3], and a session is in `#byClientId` from the
 * CONNECT that made it until it ends: with its connection, by expiry, by Clean Start, or by an administrator.
 *
 * Sources: MQTT 5.0 sections 3.1.2.4, 3.1.2.11.2, 3.1.4 and 4.1.
 */
import { ReasonCode, type Will } from '@recado/protocol'
import { type BrokerEvents, Table } from '../ports.ts'
import type { Connection } from './connection.ts'
import type { Core } from './core.ts'
import { LocalPledge } from './pledge.ts'
import { encodeSession, type SessionRecord } from './records.ts'
import { NEVER_EXPIRES, Session } from './session.ts'

/** The last connection that waits for the end of a session; it may have been closed meanwhile. */
interface PendingEnd {
  connection: Connection
  goOn: () => void
}

export class Sessions {
  readonly #core: Core
  readonly #byClientId: Map<string, Session> = new Map()
  /** Ends of sessions that are on their way to the disk while a CONNACK waits for them, or has: whoever comes next waits too. */
  readonly #ends: Map<string, PendingEnd> = new Map()

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

  /**
   * The session for a CONNECT. Whoever is connected with this Client Identifier is sent away first.
   * [MQTT-3.1.4-4] [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.3-2]
   */
  open(clientId: string, cleanStart: boolean, expirySeconds: number): { session: Session; sessionPresent: boolean } {
    const other = this.#byClientId.get(clientId)?.connection
    if (other) this.#takeOver(other)
    let session = this.#byClientId.get(clientId)
    if (session !== undefined && cleanStart) {
      this.end(session, 'clean-start')
      session = undefined
    }
    const sessionPresent = session !== undefined // [MQTT-3.2.2-2] [MQTT-3.1.1:3.2.2-1]
    if (session === undefined) {
      const { journal } = this.#core
      session = this.#add(clientId, journal === null || expirySeconds === 0 ? 0 : journal.newSessionNumber())
    }
    session.expirySeconds = expirySeconds
    this.#store(session, 0)
    this.#core.wills.cancel(session)
    return { session, sessionPresent }
  }

  /**
   * Ends the session that a Clean Start does not want. True: it was one on disk, and CONNACK has to wait until its end is safe
   * there, for a crash could bring it back, and its packet ids would make new messages duplicates. `goOn` is called then.
   */
  waitsForEnd(connection: Connection, cleanStart: boolean, goOn: () => void): boolean {
    const { journal } = this.#core
    if (journal === null) return false
    const { clientId } = connection
    const pending = this.#ends.get(clientId)
    pending?.connection.closeWith(ReasonCode.SessionTakenOver, 'the client has connected again')
    if (journal.isFailing) {
      this.#ends.delete(clientId)
      return false
    }
    if (pending !== undefined) {
      pending.connection = connection
      pending.goOn = goOn
      return true
    }
    const session = this.#byClientId.get(clientId)
    if (!cleanStart || session === undefined || session.number === 0) return false
    if (session.connection !== null) this.#takeOver(session.connection)
    // It may have ended with its connection.
    if (this.#byClientId.get(clientId) === session) this.end(session, 'clean-start')
    const end: PendingEnd = { connection, goOn }
    this.#ends.set(clientId, end)
    journal.gate(
      new LocalPledge(() => {
        if (this.#ends.get(clientId) !== end) return
        this.#ends.delete(clientId)
        end.goOn()
      }),
    )
    return true
  }

  /** The CONNECT timeout of a connection is over. True: it has waited for the disk, and has been refused for that. */
  refuseWaiting(connection: Connection): boolean {
    if (this.#ends.get(connection.clientId)?.connection !== connection) return false
    const what = 'the end of the earlier session cannot be kept'
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
  restore(number: number, { clientId, expirySeconds, disconnectedAtMs }: SessionRecord): Session {
    const session = this.#add(clientId, number)
    session.expirySeconds = expirySeconds
    const awaySinceMs = disconnectedAtMs === 0 ? this.#core.lostAtMs(expirySeconds) : disconnectedAtMs
    if (disconnectedAtMs === 0) this.#store(session, awaySinceMs)
    if (expirySeconds !== NEVER_EXPIRES) this.#core.wheel.set(session.expiryTimer, awaySinceMs + expirySeconds * 1000)
    return session
  }

  #add(clientId: string, number: number): Session {
    const session = new Session(this.#core, clientId, number)
    this.#byClientId.set(clientId, session)
    this.#core.metrics.sessions++
    return session
  }

  /** `disconnectedAtMs` 0: connected. */
  #store({ number, clientId, expirySeconds }: Session, disconnectedAtMs: number): void {
    if (number === 0) return
    const record = { clientId, expirySeconds, disconnectedAtMs: Math.floor(disconnectedAtMs) }
    this.#core.journal!.change(Table.Sessions, number, 0, 0, encodeSession(record))
  }

  /** Its connection is gone; before that nothing ends it [MQTT-4.1.0-1]. `will` is the Will that is now due, if any. [MQTT-3.1.2-23] */
  disconnected(session: Session, connection: Connection, will: Will | null): void {
    if (session.connection !== connection) return
    session.detach()
    if (will !== null) this.#core.wills.lost(session, will)
    // At a shutdown it waits for its delay already.
    else if (session.pendingWill === null) this.#core.wills.forget(session)
    if (session.expirySeconds === 0) {
      this.end(session, 'disconnected')
      return
    }
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
    this.#core.wills.publishPending(session)
    session.end()
    const { journal } = this.#core
    if (session.number !== 0 && journal !== null) {
      journal.change(Table.Sessions, session.number, 0, 0, null)
      journal.forgetReceived(session)
    }
    this.#core.observer?.['session.ended']?.({ clientId: session.clientId, why })
  }
}
