/**
 * A batch: rows that the journal writes to the store at once, and the state that it needs until the store reports the
 * result.
 *
 * Only `Journal` makes one, fills it at the end of a turn, and takes back its contents when the store has failed.
 */
import type { Gated } from '../base/faults.ts'
import type { Delivery } from './delivery.ts'
import type { DurableSession } from './durable-session.ts'
import type { StoredEntry } from './message-records.ts'
import type { MessageRow } from './message-row.ts'
import type { Receipt } from './received-ids.ts'

/** One row of a small table. */
export interface Change {
  readonly table: number
  readonly a: number
  readonly b: number
  readonly c: number
  /** Value; null removes the row. */
  readonly value: Uint8Array | null
}

/** Rows of an ended session that are on disk only. */
export interface LeftRows {
  readonly session: DurableSession
  /** Returns the next row, see `Queue.handOutStored`; null when none is left. */
  next(): StoredEntry | null
}

export class Batch {
  /** Time that it notes, milliseconds since the epoch. */
  nowMs = 0
  /** Bytes of message rows that it puts, less those that it removes. */
  storedBytes = 0
  /** Bytes of message rows that it puts. */
  rowBytes = 0
  changes: Change[] = []
  rows: MessageRow[] = []
  removals: Delivery[] = []
  flights: Delivery[] = []
  gated: Gated[] = []
  /** Receipts whose Packet Identifiers it writes. */
  receipts: Receipt[] = []
  /** Rows of ended sessions that it removes. */
  removedLeftRows: { session: DurableSession; entry: StoredEntry }[] = []
}
