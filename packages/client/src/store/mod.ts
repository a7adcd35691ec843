/** `@recado/client/store`: a session store in memory, and the seam for one of your own. */
import { check, type Rule } from '@recado/protocol'
import type { RowStore } from './rows.ts'
import type { SessionStore } from './session-store.ts'
import { StoredSession } from './stored-session.ts'

export { memory } from './memory.ts'
export type { OpenedRows, RowChanges, RowStore } from './rows.ts'
export type { SessionStore } from './session-store.ts'

const rowStore: Rule = {
  must: 'a RowStore: an object with open, write and close',
  holds: (value) =>
    ['open', 'write', 'close'].every((name) => typeof (value as Record<string, unknown> | null)?.[name] === 'function'),
}

/** Makes a session store over rows of your own. */
export function sessionStore(rows: RowStore): SessionStore {
  check('rows', rows, rowStore)
  return new StoredSession(rows)
}
