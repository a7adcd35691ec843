/**
 * The store with a stopwatch: the number of batches and rows that it has made safe, their duration, and the lag of the
 * disk.
 *
 * `Core` puts it between the `Journal` and the store. Invariant: measuring costs two readings of the clock for a batch,
 * and nothing for a message.
 */
import type { Clock, Store } from '../../ports.ts'
import type { MessageCountdown } from '../base/message-countdown.ts'
import type { Metrics } from '../base/metrics.ts'

/** Part of the context that measuring needs. */
export interface MeasuringContext {
  readonly clock: Clock
  readonly metrics: Metrics
  readonly watching: MessageCountdown | null
}

export class MeasuredStore implements Store {
  readonly isPersistent = true
  readonly #store: Store
  readonly #context: MeasuringContext
  /** Time when the oldest batch was begun that is not safe; NaN: all are. */
  #unsafeSinceMs: number = Number.NaN
  /** Rows of the batch that is being filled. */
  #rows = 0

  constructor(store: Store, context: MeasuringContext) {
    this.#store = store
    this.#context = context
  }

  /** Milliseconds since the oldest batch that is not safe was begun; 0: all are. Grows while the store fails. */
  get lagMs(): number {
    return Number.isNaN(this.#unsafeSinceMs) ? 0 : Math.max(0, this.#context.clock.nowMs() - this.#unsafeSinceMs)
  }

  write(fill: () => void, done: (error: Error | null) => void): void {
    this.#rows = 0
    if (Number.isNaN(this.#unsafeSinceMs)) this.#unsafeSinceMs = this.#context.clock.nowMs()
    this.#store.write(fill, (error) => {
      if (error === null) {
        const { metrics, watching } = this.#context
        const { lagMs } = this
        metrics.storeBatches++
        metrics.storeRows += this.#rows
        metrics.storeMs += lagMs
        watching?.watch.committed(lagMs)
        this.#unsafeSinceMs = Number.NaN
      }
      done(error)
    })
  }

  put(table: number, a: number, b: number, c: number, value: Uint8Array): void {
    this.#rows++
    this.#store.put(table, a, b, c, value)
  }

  remove(table: number, a: number, b: number, c: number): void {
    this.#rows++
    this.#store.remove(table, a, b, c)
  }

  get(table: number, a: number, b: number, c: number): Uint8Array | undefined {
    return this.#store.get(table, a, b, c)
  }

  scan(table: number, visit: (a: number, b: number, c: number, value: Uint8Array) => void): void {
    this.#store.scan(table, visit)
  }

  scanKeys(table: number, visit: (a: number, b: number, c: number) => void): void {
    this.#store.scanKeys(table, visit)
  }

  close(): ReturnType<Store['close']> {
    return this.#store.close()
  }
}
