/**
 * How carefully messages are sent after connections that the server ended right after one of them: which one it was shows only
 * when nothing else is on its way. `Publisher` has one.
 *
 * Two connections in a row that end with the same message unanswered, and none answered, may have ended because of one. On the next one the
 * server is asked for a PINGRESP, so that it is known to be there; then the first message goes alone; with each answer twice as many may be on
 * their way, until there is no need for care any more. A message after which the connection ended `LOSSES_MAX` times is
 * set aside: at once where a server of 5.0 has said that it is the packet (`Blame` 'certain') and there was no other.
 *
 * Invariant: a message is set aside only if it was the only packet of ours that was unanswered, and the connection ended within
 * `SOON_MS` of it; what ends connections without regard to messages makes nothing but the pauses longer.
 */
import type { Blame } from './retry.ts'

/** Counted in three bits of the store's rows. */
const LOSSES_MAX = 4
/** From so many on care is needed. Until then the fault may be that of another message that was sent with it. */
export const LOSSES_SUSPECT = 2
const SOON_MS = 10_000
/** From so many on there is no limit but the server's. */
const WINDOW_END = 1 << 16

/** What is counted. */
interface Suspect {
  losses: number
}

export class Caution {
  /** Messages that may be unanswered at once. */
  window: number = Number.POSITIVE_INFINITY
  /** A message was answered on this connection. */
  hasAnswer = false
  /** QoS 0 messages were sent on this connection, about which nothing will ever be heard. */
  hasUnanswerable = false
  /** When the message was sent that goes alone. */
  sentMs = 0

  /** Only one message may be unanswered, and nothing else is sent meanwhile. */
  get isAlone(): boolean {
    return this.window === 1
  }

  begin(hasMessages: boolean): void {
    this.hasAnswer = false
    this.hasUnanswerable = false
    if (!hasMessages) this.window = Number.POSITIVE_INFINITY
  }

  /** A message was answered. */
  widen(): void {
    this.window = this.window * 2 >= WINDOW_END ? Number.POSITIVE_INFINITY : this.window * 2
  }

  /**
   * The connection has ended with these messages unanswered, the first of them `first`. `isOnly`: there was nothing else that the server
   * had not answered. Returns whether `first` is to be set aside; else its `losses` may have changed.
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
