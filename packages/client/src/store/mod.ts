/** `@recado/client/store`: a session store in memory, and the seam for one of your own. */
import type { RowStore } from './rows.ts'
import type { SessionStore } from './session-store.ts'
import { StoredSession } from './stored-session.ts'

export { memory } from './memory.ts'
export type { OpenedRows, RowChanges, RowStore } from './rows.ts'
export type { SessionStore } from './session-store.ts'

/** A session store over rows that are kept somewhere of your own. */
export function sessionStore(rows: RowStore): SessionStore {
  return new StoredSession(rows)
}
