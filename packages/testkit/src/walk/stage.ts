/** What a lane of the random walk stands on: a broker, how it behaves by design, and its ends and starts. Made by `run.ts`. */
import type { Version } from './codec.ts'

/** What brokers differ in, by design. */
export interface Manner {
  readonly versions: readonly Version[]
  /** A message comes once to a client, however many of its subscriptions match. */
  readonly isOnce: boolean
  /** A QoS 2 message is passed on when PUBREL comes, not when PUBLISH does: section 4.3.3 has both. */
  readonly isOnPubrel: boolean
  /** Nothing that was acknowledged may be lost by kill -9. */
  readonly isDurable: boolean
}

export interface Stage {
  readonly port: number
  readonly manner: Manner
  /** Nothing of what is owed has come for this long: it is lost. */
  readonly quietMs: number
  readonly isStopping: () => boolean
  /** Resolves when the broker runs; rejects when it does not any more. */
  readonly running: () => Promise<void>
  readonly restart: (how: 'term' | 'kill') => Promise<void>
}
