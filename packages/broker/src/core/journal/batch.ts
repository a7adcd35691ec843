/**
 * What the journal writes to the store at once, and what it has to know of it until the store says how that ended.
 *
 * Only `Journal` makes one, fills it at the end of a turn, and takes back what is in it when the store has failed.
 */

import type { StoredEntry } from '../session/queue.ts'
import type { Session } from '../session/session.ts'
import type { Delivery } from './delivery.ts'
import type { MessageRow, Receipt } from './message-row.ts'
import type { Gated } from './pending-ack.ts'

export interface Change {
  readonly table: number
  readonly a: number
  readonly b: number
  readonly c: number
  /** null: remove. */
  readonly value: Uint8Array | null
}

/** Rows of an ended session that are on disk only. */
export interface Sweep {
  readonly session: Session
  /** The next row, see `Queue.takeStored`; null: none left. */
  next(): StoredEntry | null
}

export class Batch {
  /** The time that it notes. */
  nowMs = 0
  /** Bytes of message rows that it puts, less those that it removes. */
  storedBytes = 0
  changes: Change[] = []
  rows: MessageRow[] = []
  removals: Delivery[] = []
  flights: Delivery[] = []
  gated: Gated[] = []
  /** Whose packet ids it writes. */
  receipts: Receipt[] = []
  /** Rows of ended sessions that it removes. */
  swept: { session: Session; entry: StoredEntry }[] = []
}
