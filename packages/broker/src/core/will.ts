/**
 * Wills: the message that a client leaves for the case that it is lost.
 *
 * `lost` is called when a connection ended without DISCONNECT 0x00. The Will is published when its delay is over or the
 * session ends, whichever comes first, and not at all when the client is back before (3.1.3.2.2). Its properties start to
 * count when it is published.
 *
 * Source: MQTT 5.0 section 3.1.2.5. [MQTT-3.1.2-8] [MQTT-3.1.3-9]
 */
import type { Will } from '@recado/protocol'
import { Table } from '../ports.ts'
import type { Core } from './core.ts'
import { Message } from './message.ts'
import { encodeWill } from './records.ts'
import type { Session } from './session.ts'
import { Timer } from './timer-wheel.ts'

export interface PendingWill {
  readonly will: Will
  readonly timer: Timer
}

export class Wills {
  readonly #core: Core
  constructor(core: Core) {
    this.#core = core
  }

  /** A client with a Will has connected: one that may outlive its connection is kept with its session. */
  register(session: Session, will: Will): void {
    if ((will.properties.willDelayIntervalSeconds ?? 0) > 0) this.#store(session, will, Number.POSITIVE_INFINITY)
  }

  /** The Will is not wanted any more. */
  forget(session: Session): void {
    if (!session.hasWillRow) return
    session.hasWillRow = false
    this.#core.journal!.change(Table.Wills, session.number, 0, 0, null)
  }

  /** From the store. `dueAtMs` Infinity: the client was connected when the broker stopped. */
  restore(session: Session, will: Will, dueAtMs: number): void {
    session.hasWillRow = true
    if (dueAtMs === Number.POSITIVE_INFINITY) this.lost(session, will)
    else this.#wait(session, will, dueAtMs)
  }

  /** Publishes the Will now, or when its delay is over. A session that ends with the connection does not delay it. */
  lost(session: Session, will: Will): void {
    const delaySeconds = will.properties.willDelayIntervalSeconds ?? 0
    if (delaySeconds === 0 || session.expirySeconds === 0) {
      this.forget(session)
      this.#publish(session, will)
      return
    }
    const dueAtMs = this.#core.turn.nowMs + delaySeconds * 1000
    this.#store(session, will, dueAtMs)
    this.#wait(session, will, dueAtMs)
  }

  #wait(session: Session, will: Will, dueAtMs: number): void {
    const timer = new Timer(() => this.publishPending(session))
    session.pendingWill = { will, timer }
    this.#core.wheel.set(timer, dueAtMs)
  }

  #store(session: Session, will: Will, dueAtMs: number): void {
    if (session.number === 0) return
    session.hasWillRow = true
    this.#core.journal!.change(Table.Wills, session.number, 0, 0, encodeWill(will, dueAtMs))
  }

  /** The client is back. */
  cancel(session: Session): void {
    this.forget(session)
    if (session.pendingWill === null) return
    this.#core.wheel.clear(session.pendingWill.timer)
    session.pendingWill = null
  }

  /** The delay is over, or the session ends. */
  publishPending(session: Session): void {
    const pending = session.pendingWill
    if (pending === null) return
    this.cancel(session)
    this.#publish(session, pending.will)
  }

  /** With the RETAIN and the User Properties that it has. [MQTT-3.1.2-10] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.3-10] */
  #publish(session: Session, will: Will): void {
    const { turn, metrics, observer, authorizer } = this.#core
    const { client } = session
    if (client !== null && authorizer?.mayPublish?.(client, will.topic) === false) {
      this.#core.dropped(session.clientId, will.topic, will.qos, 'not-authorized')
      return
    }
    const message = Message.of(will, session, turn.nowMs)
    if (will.retain) message.source = client
    metrics.willsPublished++
    observer?.['will.published']?.({ clientId: session.clientId, topic: will.topic })
    this.#core.accept(message)
    message.publisher = null
  }
}
