/**
 * Durable session: a session as far as the journal knows it, which is no more than it takes to write its rows and to tell it what is safe.
 *
 * `Session` implements it, two floors higher. The journal meets sessions in the deliveries that it writes.
 */
import type { InFlight } from '@recado/protocol'
import type { Faulty } from '../base/faults.ts'

export interface DurableSession {
  /** Number in the store. */
  readonly number: number
  /** Ends when what a batch leads to throws; null: nobody is connected. */
  readonly connection: Faulty | null
  /** Told when deliveries in it have reached the disk. */
  readonly queue: { noteStored(): void }
  /** Called when the disk has what the next packet of a delivery rests on. */
  onSafe(delivery: InFlight): void
}
