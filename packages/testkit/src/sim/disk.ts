/**
 * The disk of a simulated machine: a `SimStore` that takes its time, fails, and dies with the machine at any call.
 *
 * Every call of the broker, and every row that it hands over, is a step at which the machine may crash (`onTouch`). After
 * that the broker that runs on is a ghost: it is given nothing and what it writes goes nowhere.
 */
import type { SimStore } from '@recado/broker/testing'
import type { Loop } from './loop.ts'

/** Callback for a row of a Store. */
type Visit = (a: number, b: number, c: number, value: Uint8Array) => void

export interface DiskOwner {
  isDead(): boolean
  onTouch(): void
  /** A batch has been handed over; the number goes with it to `onDurable`. */
  onWrite(): number
  onDurable(seq: number): void
  onDone(error: Error | null): void
  /** Duration of the batch in milliseconds. */
  latencyMs(): number
}

export class Disk {
  readonly isPersistent = true
  readonly #loop: Loop
  readonly #owner: DiskOwner
  readonly store: SimStore
  #writtenSeq = 0
  /** The broker is handing over a batch. */
  isFilling = false

  constructor(loop: Loop, owner: DiskOwner, store: SimStore) {
    this.#loop = loop
    this.#owner = owner
    this.store = store
    store.onWrite = () => this.#complete()
  }

  #complete(): void {
    this.#writtenSeq = this.#owner.onWrite()
    this.#loop.after(this.#owner.latencyMs(), () => {
      if (this.#owner.isDead()) return
      this.#owner.onTouch()
      if (this.#owner.isDead()) return
      const { failure } = this.store
      if (failure === null) this.#owner.onDurable(this.#writtenSeq)
      this.#owner.onDone(failure)
      this.store.step()
    })
  }

  /** The power goes: what the next process finds. */
  crash(isLastBatchDurable: boolean): SimStore {
    if (this.store.isWriting && isLastBatchDurable && this.store.failure === null) {
      this.#owner.onDurable(this.#writtenSeq)
      return this.store.crash('durable')
    }
    return this.store.crash('lost')
  }

  write(fill: () => void, done: (error: Error | null) => void): void {
    if (this.#dies()) return
    this.isFilling = true
    try {
      this.store.write(fill, (error) => {
        if (!this.#owner.isDead()) done(error)
      })
    } catch (error) {
      // Crashed in the middle of it: nothing has been written.
      if (!this.#owner.isDead()) throw error
    }
    this.isFilling = false
  }

  put(table: number, a: number, b: number, c: number, value: Uint8Array): void {
    if (this.#dies()) return
    this.store.put(table, a, b, c, value)
  }

  remove(table: number, a: number, b: number, c: number): void {
    if (!this.#dies()) this.store.remove(table, a, b, c)
  }

  get(table: number, a: number, b: number, c: number): Uint8Array | undefined {
    return this.#dies() ? undefined : this.store.get(table, a, b, c)
  }

  scan(table: number, visit: Visit): void {
    if (!this.#dies()) this.store.scan(table, visit)
  }

  scanKeys(table: number, visit: (a: number, b: number, c: number) => void): void {
    if (!this.#dies()) this.store.scanKeys(table, visit)
  }

  async close(): Promise<void> {}

  #dies(): boolean {
    if (this.#owner.isDead()) return true
    this.#owner.onTouch()
    return this.#owner.isDead()
  }
}
