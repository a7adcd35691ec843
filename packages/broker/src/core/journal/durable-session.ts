/**
 * Durable session: the part of a session that the journal knows, which is no more than it needs to write its rows and
 * to report which changes are safe.
 *
 * `Session` implements it, two floors higher. The journal meets sessions in the deliveries that it writes.
 */
import type { InFlight } from '@recado/protocol'
import type { Faulty } from '../base/faults.ts'

export interface DurableSession {
  /** Number in the store. */
  readonly number: number
  /** Connection that ends when the consequences of a batch throw; null when the client is not connected. */
  readonly connection: Faulty | null
  /** Told when deliveries in it have reached the disk. */
  readonly queue: { noteStored(): void }
  /** Called when the change that the next packet of a delivery needs is on the disk. */
  onSafe(delivery: InFlight): void
}
