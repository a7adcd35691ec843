/**
 * The disk of a simulated client: rows that outlive its processes, a lock that does not, and faults. It takes its time, is
 * full, fails a batch; the batch on its way when the process dies is there as a whole or lost as a whole.
 *
 * Each call, and the end of each, is a step at which the process may die (`touch`). What belongs to a dead process is told
 * nothing any more.
 */
import { SessionStoreError } from '@recado/client'
import type { OpenedRows, RowChanges, RowStore } from '@recado/client/store'

/** Owner of the rows. */
export interface DiskUser {
  readonly isDead: boolean
  /** Notes a use of the disk: the process may die of it. */
  touch(): void
  /** It has the rows now. */
  opened(): void
}

export class ClientDisk {
  readonly rows: Map<number, Uint8Array> = new Map()
  /** So many have been written. */
  batches = 0
  /** Every call fails with this while it is set. */
  failure: Error | null = null
  readonly #after: (delayMs: number, run: () => void) => void
  readonly #latencyMs: () => number
  #holder: SimRows | null = null
  #writing: RowChanges | null = null

  /** `after`: how time goes by; `latencyMs`: how long the next call takes. */
  constructor(after: (delayMs: number, run: () => void) => void, latencyMs: () => number) {
    this.#after = after
    this.#latencyMs = latencyMs
  }

  get isLocked(): boolean {
    return this.#holder !== null
  }

  get isWriting(): boolean {
    return this.#writing !== null
  }

  /** Keys of the stored rows, and of those in the batch on its way. */
  get keys(): Set<number> {
    const keys = new Set(this.rows.keys())
    for (const [key, row] of this.#writing ?? []) if (row !== null) keys.add(key)
    return keys
  }

  rowsFor(user: DiskUser): RowStore {
    return new SimRows(this, user)
  }

  /** The process is gone, and its lock with it: what it was writing is there, or not. */
  crash(user: DiskUser, isLastBatchDurable: boolean): void {
    if (this.#holder?.user !== user) return
    if (this.#writing !== null && isLastBatchDurable && this.failure === null) this.#apply(this.#writing)
    this.#writing = null
    this.#holder = null
  }

  /** Loses the file, as when it is deleted. */
  lose(): void {
    this.rows.clear()
  }

  // --- for SimRows --------------------------------------------------------------------------------------------------

  /** A call that takes its time; what it does happens at the end of it, all at once. */
  call<T>(user: DiskUser, perform: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (user.isDead) return
      user.touch()
      if (user.isDead) return
      this.#after(this.#latencyMs(), () => {
        if (user.isDead) return
        user.touch()
        if (user.isDead) return
        try {
          if (this.failure !== null) throw this.failure
          resolve(perform())
        } catch (error) {
          reject(error as Error)
        }
      })
    })
  }

  open(rows: SimRows, user: DiskUser): Promise<OpenedRows> {
    return this.call(user, () => {
      if (this.#holder !== null) {
        const message = 'the simulated disk is in use: close the store first'
        throw new SessionStoreError('ERR_MQTT_SESSION_STORE_LOCKED', message)
      }
      this.#holder = rows
      user.opened()
      const found = [...this.rows].sort(([a], [b]) => a - b).map(([key, row]) => [key, row.slice()] as const)
      return { rows: found, quarantined: null }
    })
  }

  write(rows: SimRows, user: DiskUser, changes: RowChanges): Promise<void> {
    if (this.#holder !== rows) return Promise.reject(new Error('it is not open'))
    if (this.#writing !== null) return Promise.reject(new Error('a batch is being written already'))
    // Dead in this very call: nothing was handed over.
    if (user.isDead) return new Promise(() => {})
    const written = this.call(user, () => this.#apply(changes))
    if (user.isDead) return written
    this.#writing = changes
    return written.finally(() => {
      this.#writing = null
    })
  }

  close(rows: SimRows, user: DiskUser): Promise<void> {
    if (this.#holder !== rows) return Promise.resolve()
    // Nobody keeps a lock because the disk is full.
    return this.call(user, () => {}).finally(() => {
      if (this.#holder === rows) this.#holder = null
    })
  }

  #apply(changes: RowChanges): void {
    this.batches++
    for (const [key, row] of changes) {
      if (row === null) this.rows.delete(key)
      else this.rows.set(key, row.slice())
    }
  }
}

class SimRows implements RowStore {
  readonly name = 'on the simulated disk'
  readonly #disk: ClientDisk
  readonly user: DiskUser

  constructor(disk: ClientDisk, user: DiskUser) {
    this.#disk = disk
    this.user = user
  }

  open(): Promise<OpenedRows> {
    return this.#disk.open(this, this.user)
  }

  write(changes: RowChanges): Promise<void> {
    return this.#disk.write(this, this.user, changes)
  }

  close(): Promise<void> {
    return this.#disk.close(this, this.user)
  }
}
