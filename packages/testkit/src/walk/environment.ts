/**
 * Environment of a lane of the random walk: a broker, its behaviour by design, and its ends and starts. Made by
 * `run.ts`.
 */
import type { Version } from './codec.ts'

/** Differences of brokers by design. */
export interface BrokerTraits {
  readonly versions: readonly Version[]
  /** Whether a message comes once to a client, however many of its subscriptions match. */
  readonly isOnce: boolean
  /** Whether a QoS 2 message is passed on when PUBREL comes, not when PUBLISH does: section 4.3.3 allows both. */
  readonly isOnPubrel: boolean
  /** Whether kill -9 must lose nothing that was acknowledged. */
  readonly isDurable: boolean
}

export interface LaneEnvironment {
  readonly port: number
  readonly traits: BrokerTraits
  /** Time in milliseconds without any owed message after which it counts as lost. */
  readonly quietMs: number
  readonly isStopping: () => boolean
  /** Resolves when the broker runs; rejects when it has ended for good. */
  readonly running: () => Promise<void>
  readonly restart: (how: 'term' | 'kill') => Promise<void>
}
