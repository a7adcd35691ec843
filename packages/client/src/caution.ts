/**
 * Care in sending after connections that the server ended right after a message: which message was at fault shows only
 * when nothing else is on its way. `Publisher` owns one object.
 *
 * Two connections in a row that end with the same message unanswered, and with no message answered, may have ended
 * because of it. On the next one the server is first asked for a PINGRESP, so that it is known to be there; then the
 * first message goes alone; with each answer twice as many may be on their way, until care is no longer needed. A
 * message after which the connection ended `LOSSES_MAX` times is set aside. It is set aside at once where a server of
 * 5.0 has said that it is the packet (`Blame` 'certain') and there was no other.
 *
 * Invariant: a message is set aside only if it was our only unanswered packet, and the connection ended within
 * `SOON_MS` of it. A fault that ends connections regardless of messages only makes the pauses longer.
 */
import type { Blame } from './retry.ts'

/** Number of losses after which a message is set aside. Stored in three bits of the store's rows. */
const LOSSES_MAX = 4
/**
 * Number of losses from which care is needed. Below it another message that was sent together with this one may be at
 * fault.
 */
export const LOSSES_SUSPECT = 2
const SOON_MS = 10_000
/** Window size from which only the server's own limit applies. */
const WINDOW_END = 1 << 16

/** Message whose losses are counted. */
interface Suspect {
  losses: number
}

export class Caution {
  /** Number of messages that may be unanswered at once. */
  window: number = Number.POSITIVE_INFINITY
  /** Whether a message was answered on this connection. */
  hasAnswer = false
  /** Whether QoS 0 messages were sent on this connection, which the server never answers. */
  hasUnanswerable = false
  /** Time at which the message that goes alone was sent. */
  sentMs = 0

  /** Whether only one message may be unanswered, and nothing else is sent meanwhile. */
  get isAlone(): boolean {
    return this.window === 1
  }

  begin(hasMessages: boolean): void {
    this.hasAnswer = false
    this.hasUnanswerable = false
    if (!hasMessages) this.window = Number.POSITIVE_INFINITY
  }

  /** Widens the window because a message was answered. */
  widen(): void {
    this.window = this.window * 2 >= WINDOW_END ? Number.POSITIVE_INFINITY : this.window * 2
  }

  /**
   * Notes that the connection has ended with unanswered messages, the first of them `first`. `isOnly` means that the
   * server had no other packet of ours to answer. Returns whether `first` is to be set aside; otherwise its `losses`
   * may have changed.
   */
  lost(first: Suspect, isOnly: boolean, blame: Blame, nowMs: number): boolean {
    const only = isOnly && !this.hasUnanswerable
    if (only && blame === 'certain') first.losses = LOSSES_MAX
    else if (only && this.isAlone && nowMs - this.sentMs <= SOON_MS) first.losses++
    else if (!this.hasAnswer && first.losses < LOSSES_SUSPECT) first.losses++
    const isSuspect = !this.hasAnswer && first.losses >= LOSSES_SUSPECT
    if (isSuspect || this.window < WINDOW_END || blame === 'certain') this.window = 1
    return first.losses >= LOSSES_MAX
  }
}
