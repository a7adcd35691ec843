/**
 * Wills: the message that a client leaves for the case that it is lost.
 *
 * The Will of every client that is let in is on disk before its CONNACK leaves, with the client that left it; also of a
 * client whose session ends with its connection. `lost` is called when a connection ended without DISCONNECT 0x00. The
 * Will is published when its delay is over or the session ends, whichever comes first, and not at all when the client
 * is back before (3.1.3.2.2). Its properties start to count when it is published.
 *
 * When the broker starts again all clients that were connected are lost. No Will is published before `willGraceMs` is
 * over then, so that clients that had no delay have time to come back; of sessions that ended with the broker only the
 * Wills are left (`#orphans`).
 *
 * Invariant: the row of a Will is removed in the batch that has all its consequences on disk: the retained message, and
 * the messages for durable sessions. So a crash before or after publishes it once.
 *
 * Source: MQTT 5.0 section 3.1.2.5. [MQTT-3.1.2-8] [MQTT-3.1.3-9]
 */
import type { Will } from '@recado/protocol'
import { type ClientInfo, Table } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { Message, Taking } from '../base/message.ts'
import { isReserved } from '../base/reserved-topics.ts'
import { Timer } from '../base/timer-wheel.ts'
import type { Journal } from '../journal/journal.ts'
import { encodeWill, type WillRecord } from '../journal/session-records.ts'
import type { Intake } from '../routing/intake.ts'
import { leftMessage, mayStillPublish } from '../routing/left-behind.ts'
import type { WillRoom } from './will-room.ts'

/** The session of a client that leaves a Will. */
export interface WillOwner {
  readonly clientId: string
  /** Number in the store; 0: not durable. */
  readonly number: number
  /** Session Expiry Interval. */
  readonly expirySeconds: number
  /** Number of the row of its Will in the store; 0 for none. */
  willNumber: number
  /** Will that waits for its delay; null when there is none. */
  pendingWill: PendingWill | null
}

/** A Will whose client is gone, and that is not due yet. */
export interface PendingWill {
  readonly clientId: string
  /** Session; null when it ended with the broker. */
  readonly session: WillOwner | null
  readonly will: Will
  /** Client that left it; null: it is not known any more. */
  readonly client: ClientInfo | null
  /** Number of its row; 0: none. */
  readonly number: number
  readonly dueAtMs: number
  /** True: the Will has no delay, and waits only because the broker has just started. */
  readonly isGrace: boolean
  readonly timer: Timer
}

export class Wills {
  readonly #context: Context
  readonly #journal: Journal | null
  readonly #intake: Intake
  readonly #willRoom: WillRoom
  /** Wills of sessions that ended with the broker, by Client Identifier. */
  readonly #orphans: Map<string, PendingWill> = new Map()

  constructor(context: Context, journal: Journal | null, intake: Intake, willRoom: WillRoom) {
    this.#context = context
    this.#journal = journal
    this.#intake = intake
    this.#willRoom = willRoom
  }

  /** Wills that are left of sessions that ended with the broker and wait, by Client Identifier. */
  get orphans(): ReadonlyMap<string, PendingWill> {
    return this.#orphans
  }

  /** A client with a Will is about to be let in. */
  register(session: WillOwner, will: Will, client: ClientInfo): void {
    const journal = this.#journal
    if (journal === null) return
    if (session.willNumber === 0) session.willNumber = session.number === 0 ? journal.numbers.newWill() : session.number
    this.#store(session.willNumber, will, Number.POSITIVE_INFINITY, client)
  }

  /** The Will is not wanted any more. */
  forget(session: WillOwner): void {
    this.#remove(session.willNumber)
    session.willNumber = 0
  }

  #store(number: number, will: Will, dueAtMs: number, client: ClientInfo | null): void {
    this.#journal!.change(Table.Wills, number, 0, 0, encodeWill(will, dueAtMs, client))
  }

  #remove(number: number): void {
    if (number !== 0) this.#journal!.change(Table.Wills, number, 0, 0, null)
  }

  /** Publishes the Will now, or when its delay is over. A session that ends with the connection does not delay it. */
  lost(session: WillOwner, will: Will, client: ClientInfo): void {
    const delaySeconds = will.properties.willDelayIntervalSeconds ?? 0
    if (delaySeconds === 0 || session.expirySeconds === 0) {
      this.forget(session)
      this.#publish(session.clientId, session, will, client)
      return
    }
    const dueAtMs = this.#context.turn.nowMs + delaySeconds * 1000
    const number = session.willNumber
    if (number !== 0) this.#store(number, will, dueAtMs, client)
    this.#wait(session.clientId, session, will, client, number, dueAtMs, false)
  }

  #wait(
    clientId: string,
    session: WillOwner | null,
    will: Will,
    client: ClientInfo | null,
    number: number,
    dueAtMs: number,
    isGrace: boolean,
  ): void {
    const timer = new Timer(() => {
      this.#take(pending)
      this.#publishPending(pending)
    })
    const pending: PendingWill = { clientId, session, will, client, number, dueAtMs, isGrace, timer }
    this.#put(pending)
  }

  #put(pending: PendingWill): void {
    this.#willRoom.hold(pending.will)
    if (pending.session === null) this.#orphans.set(pending.clientId, pending)
    else pending.session.pendingWill = pending
    this.#context.wheel.set(pending.timer, pending.dueAtMs)
  }

  #take(pending: PendingWill): void {
    this.#willRoom.letGo(pending.will)
    this.#context.wheel.clear(pending.timer)
    if (pending.session === null) this.#orphans.delete(pending.clientId)
    else pending.session.pendingWill = null
  }

  /**
   * Suspends a Will, because its client is back: it waits no longer, and its row is removed. The caller that lets the
   * client in gets it, and gives it back by `resume` if that fails.
   */
  suspend(clientId: string, session: WillOwner | null): PendingWill | null {
    const pending = session?.pendingWill ?? this.#orphans.get(clientId) ?? null
    if (session !== null) this.forget(session)
    if (pending === null) return null
    this.#take(pending)
    if (pending.session === null) this.#remove(pending.number)
    return pending
  }

  /** The client has not been let in after all. `isSessionThere`: the session that the Will is of has not ended meanwhile. */
  resume(pending: PendingWill, isSessionThere: boolean): void {
    const { clientId, session, number, will, dueAtMs, client, isGrace } = pending
    if (number !== 0) this.#store(number, will, dueAtMs, client)
    if (session !== null && isSessionThere) {
      session.willNumber = number
      this.#put(pending)
    } else {
      this.#wait(clientId, null, will, client, number, dueAtMs, isGrace)
    }
  }

  /** Publishes the Will, because another user has come with its Client Identifier. */
  publishOrphan(clientId: string): void {
    const pending = this.#orphans.get(clientId)
    if (pending === undefined) return
    this.#take(pending)
    this.#publishPending(pending)
  }

  /** The session ends. */
  publishPending(session: WillOwner): void {
    const pending = session.pendingWill
    if (pending === null) {
      this.forget(session)
      return
    }
    this.#take(pending)
    this.#publishPending(pending)
  }

  #publishPending({ clientId, session, will, client, number }: PendingWill): void {
    this.#remove(number)
    if (session !== null) session.willNumber = 0
    this.#publish(clientId, session, will, client)
  }

  /**
   * Takes back a Will from the store. `session` null: it ended with its connection, when the broker ended. In a row that an earlier version wrote there
   * is no `client`.
   */
  restore(number: number, session: WillOwner | null, { will, dueAtMs, client }: WillRecord): void {
    const clientId = session?.clientId ?? client?.clientId
    if (clientId === undefined) {
      this.#remove(number)
      return
    }
    const { nowMs } = this.#context.turn
    const { willGraceMs } = this.#context.limits
    const delaySeconds = session === null ? 0 : (will.properties.willDelayIntervalSeconds ?? 0)
    const fromNowMs = dueAtMs === Number.POSITIVE_INFINITY ? nowMs + delaySeconds * 1000 : dueAtMs
    const dueMs = Math.max(fromNowMs, nowMs + willGraceMs)
    if (session !== null) session.willNumber = number
    const pending = { clientId, session, will, client, number }
    if (dueMs <= nowMs) {
      this.#publishPending({ ...pending, dueAtMs: dueMs, isGrace: true, timer: NO_TIMER })
    } else {
      // The delay began when the broker was lost, however often it starts.
      if (dueAtMs === Number.POSITIVE_INFINITY) this.#store(number, will, fromNowMs, client)
      this.#wait(clientId, session, will, client, number, dueMs, delaySeconds === 0)
    }
  }

  /** With the RETAIN and the User Properties that it has. [MQTT-3.1.2-10] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.3-10] */
  #publish(clientId: string, session: WillOwner | null, will: Will, client: ClientInfo | null): void {
    const { turn, metrics, observer } = this.#context
    if (isReserved(will.topic) || (client !== null && !mayStillPublish(this.#context, client, will.topic))) {
      this.#context.dropped(clientId, will.topic, will.qos, 'not-authorized')
      return
    }
    const message = leftMessage(this.#context, client, Message.of(will, session, turn.nowMs))
    if (message === null) return
    metrics.willsPublished++
    observer?.['will.published']?.({ clientId, topic: message.topic })
    this.#intake.accept(message, Taking.Will)
    this.#journal?.hurry(message)
  }
}

const NO_TIMER = new Timer(() => {})
