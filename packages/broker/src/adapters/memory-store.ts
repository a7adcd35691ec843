/**
 * A store that forgets everything when the process ends: for `persistence false`, for embedders and for tests.
 *
 * The core does not write to a store that is not persistent. It works all the same, so that the suite of all stores
 * (`testing/store-suite.ts`) runs on it and the simulated disk (`testing/sim-store.ts`) can build on it.
 */
import type { Store } from '../ports.ts'

interface Row {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly value: Uint8Array
}

export interface Change {
  readonly table: number
  readonly a: number
  readonly b: number
  readonly c: number
  /** Value to put; null removes the row. */
  readonly value: Uint8Array | null
}

/** Rows by table and key; sorted when they are scanned. */
class Tables {
  readonly #tables: Map<string, Row>[] = []

  get(table: number, a: number, b: number, c: number): Uint8Array | undefined {
    return this.#tables[table]?.get(keyOf(a, b, c))?.value
  }

  /** Applies changes. Copies the values: the caller may reuse its bytes afterwards. */
  apply(changes: readonly Change[]): void {
    for (const { table, a, b, c, value } of changes) {
      this.#tables[table] ??= new Map()
      if (value === null) this.#tables[table].delete(keyOf(a, b, c))
      else this.#tables[table].set(keyOf(a, b, c), { a, b, c, value: new Uint8Array(value) })
    }
  }

  rows(table: number): readonly Row[] {
    const rows = [...(this.#tables[table]?.values() ?? [])]
    return rows.sort((x, y) => x.a - y.a || x.b - y.b || x.c - y.c)
  }

  /** Takes over the rows of `other`, which may change afterwards. */
  become(other: Tables): void {
    this.#tables.length = 0
    for (const [table, rows] of other.#tables.entries()) if (rows !== undefined) this.#tables[table] = new Map(rows)
  }
}

function keyOf(a: number, b: number, c: number): string {
  return `${a}.${b}.${c}`
}

export class MemoryStore implements Store {
  get isPersistent(): boolean {
    return false
  }
  protected readonly tables: Tables = new Tables()
  #changes: Change[] | null = null
  #isWriting = false

  write(fill: () => void, done: (error: Error | null) => void): void {
    if (this.#isWriting || this.#changes !== null) throw new Error('assertion: the store has a batch already')
    const changes: Change[] = []
    this.#changes = changes
    try {
      fill()
    } finally {
      this.#changes = null
    }
    this.#isWriting = true
    this.commit(changes, (error) => {
      this.#isWriting = false
      done(error)
    })
  }

  /** Applies the changes, then calls `done`, later. */
  protected commit(changes: readonly Change[], done: (error: Error | null) => void): void {
    setImmediate(() => {
      this.tables.apply(changes)
      done(null)
    })
  }

  put(table: number, a: number, b: number, c: number, value: Uint8Array): void {
    this.#change({ table, a, b, c, value })
  }

  remove(table: number, a: number, b: number, c: number): void {
    this.#change({ table, a, b, c, value: null })
  }

  #change(change: Change): void {
    if (this.#changes === null) throw new Error('assertion: a store is changed only within fill')
    this.#changes.push(change)
  }

  get(table: number, a: number, b: number, c: number): Uint8Array | undefined {
    return this.tables.get(table, a, b, c)
  }

  scan(table: number, visit: (a: number, b: number, c: number, value: Uint8Array) => void): void {
    for (const { a, b, c, value } of this.tables.rows(table)) visit(a, b, c, value)
  }

  scanKeys(table: number, visit: (a: number, b: number, c: number) => void): void {
    for (const { a, b, c } of this.tables.rows(table)) visit(a, b, c)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Makes a store that keeps everything in memory and nothing beyond the process: as without a store. */
export function memory(): Store {
  return new MemoryStore()
}
