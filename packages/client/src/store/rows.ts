/**
 * The seam between a session and the disk: a `RowStore` is an ordered map from whole numbers to bytes, changed in
 * atomic batches, that one client at a time may use. Implementations: `memory.ts`, `lmdb.ts` (Node), `indexed-db.ts`
 * (browsers); `session-rows.ts` defines the contents of the rows.
 *
 * Every implementation passes `testing/row-store-contract.ts`. Invariants:
 * - when `write` resolves, all changes of the batch survive a crash of the process (LMDB, IndexedDB with strict
 * durability: also of the machine); when it rejects, none was made; batches are never reordered;
 * - between `open` and `close` the same store cannot be opened again, in this process or another one; when a process
 * dies, its lock is released without help;
 * - a damaged store is set aside and reported, and an empty one opened: a client always starts.
 */

/** Largest key; keys are whole numbers from 0. */
export const ROW_KEY_MAX: number = 2 ** 52

/** Contents of the store when it was opened. */
export interface OpenedRows {
  /** All rows, in the order of their keys. The caller may keep the bytes. */
  readonly rows: readonly (readonly [key: number, row: Uint8Array])[]
  /** Place to which a damaged store was moved, for people; `null` when there was no damage. */
  readonly quarantined: string | null
}

/** Rows to write by key; `null` deletes. */
export type RowChanges = ReadonlyMap<number, Uint8Array | null>

/** Place where a session store keeps its rows: the seam for databases of your own. */
export interface RowStore {
  /** Kind and place of the store, for messages. */
  readonly name: string
  /** Opens the store. Rejects with `SessionStoreError`: …_LOCKED, or …_STORE when it cannot be opened at all. */
  open(): Promise<OpenedRows>
  /**
   * Writes a batch. Called again only when the last call has settled. The bytes belong to the store. Rejects with the
   * error of the system.
   */
  write(changes: RowChanges): Promise<void>
  /** Closes the store and releases the lock. Called when no `write` is going on. The store can be opened again. */
  close(): Promise<void>
}
