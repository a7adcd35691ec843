/**
 * A simulated disk: a store whose batches become durable when the test says so, that fails when the test says so, and that forgets
 * at a crash whatever is not durable. Deterministic: nothing happens by itself.
 *
 * It also attacks what the contract of `Store` allows a store to do, so that a core that relies on more is found out: bytes from
 * `get` and `scan` are spoilt as soon as they may be, and values that change between `put` and `done` are an assertion.
 */
import { MemoryStore } from '../adapters/memory-store.ts'

interface Change {
  readonly table: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly value: Uint8Array | null
}

interface Pending {
  readonly changes: readonly Change[]
  /** The values as they were when `fill` returned. */
  readonly copies: readonly (Uint8Array | null)[]
  readonly done: (error: Error | null) => void
}

/** Fate of the batch on its way at a crash: both can happen on a real disk, and `done` has been called in neither. */
export type AtCrash = 'lost' | 'durable'

export class SimStore extends MemoryStore {
  /** Batches that became durable. */
  commits = 0
  /** Batches that were asked for, with the failed ones. */
  writes = 0
  /** While set, every batch fails with it: a full disk, an I/O error. */
  failure: Error | null = null
  /** Called when a batch has been handed over; an automatic disk completes it from here, later. */
  onWrite: (() => void) | null = null
  #pending: Pending | null = null
  #isDead = false
  #lent: Uint8Array | null = null

  override get isPersistent(): boolean {
    return true
  }

  get isWriting(): boolean {
    return this.#pending !== null
  }

  protected override commit(changes: readonly Change[], done: (error: Error | null) => void): void {
    this.#alive()
    this.writes++
    this.#pending = { changes, copies: changes.map(({ value }) => value && new Uint8Array(value)), done }
    this.onWrite?.()
  }

  /** Completes the batch on its way: durable, or failed as `failure` says. False: there is none. */
  step(): boolean {
    const pending = this.#pending
    if (pending === null) return false
    this.#pending = null
    this.#spoil()
    this.#check(pending)
    const { failure } = this
    if (failure === null) this.#makeDurable(pending)
    pending.done(failure)
    return true
  }

  /** Completes batches, and those that they lead to, until there is none or `stepsMax` are done. Returns how many. */
  flush(stepsMax = 1_000): number {
    let steps = 0
    while (steps < stepsMax && this.step()) steps++
    return steps
  }

  /** The power goes. This store is dead; the returned one is what a new process finds on the disk. */
  crash(inFlight: AtCrash = 'lost'): SimStore {
    this.#alive()
    if (this.#pending !== null && inFlight === 'durable') this.#makeDurable(this.#pending)
    this.#pending = null
    this.#isDead = true
    const survivor = new SimStore()
    survivor.tables.become(this.tables)
    return survivor
  }

  #makeDurable({ changes, copies }: Pending): void {
    this.commits++
    this.tables.apply(changes.map((change, i) => ({ ...change, value: copies[i] ?? null })))
  }

  #check({ changes, copies }: Pending): void {
    for (const [i, { table, a, b, c, value }] of changes.entries()) {
      if (value !== null && Buffer.compare(value, copies[i] as Uint8Array) !== 0) {
        throw new Error(`assertion: the value of row ${table}: ${a}.${b}.${c} changed before the batch was done`)
      }
    }
  }

  override get(table: number, a: number, b: number, c: number): Uint8Array | undefined {
    this.#alive()
    this.#spoil()
    return this.#lend(super.get(table, a, b, c))
  }

  override scan(table: number, visit: (a: number, b: number, c: number, value: Uint8Array) => void): void {
    this.#alive()
    this.#spoil()
    super.scan(table, (a, b, c, value) => {
      const copy = new Uint8Array(value)
      visit(a, b, c, copy)
      copy.fill(0xdd)
    })
  }

  override scanKeys(table: number, visit: (a: number, b: number, c: number) => void): void {
    this.#alive()
    this.#spoil()
    super.scanKeys(table, visit)
  }

  override write(fill: () => void, done: (error: Error | null) => void): void {
    this.#alive()
    this.#spoil()
    super.write(fill, done)
  }

  #lend(value: Uint8Array | undefined): Uint8Array | undefined {
    this.#lent = value === undefined ? null : new Uint8Array(value)
    return this.#lent ?? undefined
  }

  /** Overwrites bytes that were lent until this call. */
  #spoil(): void {
    this.#lent?.fill(0xdd)
    this.#lent = null
  }

  #alive(): void {
    if (this.#isDead) throw new Error('assertion: the machine that this store ran on is down')
  }
}
