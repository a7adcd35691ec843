/**
 * The seam between a session and the disk: a `RowStore` is an ordered map from whole numbers to bytes, changed in atomic
 * batches, that one client at a time may use. Implementations: `memory.ts`, `lmdb.ts` (Node), `indexed-db.ts` (browsers);
 * what the rows mean is in `session-rows.ts`.
 *
 * Every implementation passes `testing/row-store-contract.ts`. Invariants:
 * - when `write` resolves, all changes of the batch survive a crash of the process (LMDB, IndexedDB with strict durability:
 *   also of the machine); when it rejects, none was made; batches are never reordered;
 * - between `open` and `close` nobody else can open the same store, in this process or another one; a process that dies gives
 *   it back without anybody's help;
 * - a store that is damaged is set aside and reported, and an empty one opened: a client always starts.
 */

/** Keys are whole numbers from 0 to this. */
export const ROW_KEY_MAX: number = 2 ** 52

/** What was there when the store was opened. */
export interface OpenedRows {
  /** All rows, in the order of their keys. The bytes are the caller's. */
  readonly rows: readonly (readonly [key: number, row: Uint8Array])[]
  /** Where a damaged store was put, for people; `null`: it was fine. */
  readonly quarantined: string | null
}

/** `null` deletes. */
export type RowChanges = ReadonlyMap<number, Uint8Array | null>

/** Where a session store keeps its rows: the seam for databases of your own. */
export interface RowStore {
  /** What and where, for messages. */
  readonly name: string
  /** Rejects with `SessionStoreError`: …_LOCKED, or …_STORE when it cannot be opened at all. */
  open(): Promise<OpenedRows>
  /** Called again only when the last call has settled. The bytes belong to the store. Rejects with what the system says. */
  write(changes: RowChanges): Promise<void>
  /** Called when no `write` is going on. Gives the lock back. It can be opened again. */
  close(): Promise<void>
}
