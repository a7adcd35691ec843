/**
 * `memory()`: a session store that lasts as long as the object. For a session that outlives a `Client` but not the
 * process, and for tests of programs that use a durable store elsewhere.
 */
import type { OpenedRows, RowChanges, RowStore } from './rows.ts'
import type { SessionStore } from './session-store.ts'
import { lockedError, StoredSession } from './stored-session.ts'

export class MemoryRows implements RowStore {
  readonly name: string = 'in memory'
  readonly #rows = new Map<number, Uint8Array>()
  #isOpen = false

  open(): Promise<OpenedRows> {
    if (this.#isOpen) return Promise.reject(lockedError(this.name, 'another client of this program'))
    this.#isOpen = true
    const rows = [...this.#rows].sort(([a], [b]) => a - b)
    return Promise.resolve({ rows, quarantined: null })
  }

  write(changes: RowChanges): Promise<void> {
    if (!this.#isOpen) return Promise.reject(new Error('it is not open'))
    for (const [key, row] of changes) {
      if (row === null) this.#rows.delete(key)
      else this.#rows.set(key, row)
    }
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#isOpen = false
    return Promise.resolve()
  }
}

/**
 * Makes a session store that lasts as long as the process or tab: for tests, and to pass a session from one client to
 * the next.
 */
export function memory(): SessionStore {
  return new StoredSession(new MemoryRows())
}
