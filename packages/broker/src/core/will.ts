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
import type { Core } from './core.ts'
import { Message } from './message.ts'
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

  /** Publishes the Will now, or when its delay is over. A session that ends with the connection does not delay it. */
  lost(session: Session, will: Will): void {
    const delaySeconds = will.properties.willDelayIntervalSeconds ?? 0
    if (delaySeconds === 0 || session.expirySeconds === 0) {
      this.#publish(session, will)
      return
    }
    const timer = new Timer(() => this.publishPending(session))
    session.pendingWill = { will, timer }
    this.#core.wheel.set(timer, this.#core.turn.nowMs + delaySeconds * 1000)
  }

  /** The client is back. */
  cancel(session: Session): void {
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

  #publish(session: Session, will: Will): void {
    const { turn, metrics, observer } = this.#core
    const message = Message.of(will, session, turn.nowMs)
    metrics.willsPublished++
    observer?.['will.published']?.({ clientId: session.clientId, topic: will.topic })
    this.#core.accept(message)
  }
}
