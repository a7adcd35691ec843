/** A changing value that can be read, listened to or iterated over. `Client` has one for its state. */
import { type Deferred, deferred, quiet, reasonOf, whenAborted } from './abort.ts'
import { Ring } from './ring.ts'

class Watcher<T> {
  readonly seen = new Ring<T>()
  waiting: Deferred<IteratorResult<T, undefined>> | null = null
  onEnd: (() => void) | null = null
}

export class StateWatch<T> {
  #current: T
  #ended = false
  readonly #tell: (call: () => void) => void
  readonly #listeners = new Set<(value: T) => void>()
  readonly #watchers = new Set<Watcher<T>>()

  /** @param tell calls a listener and catches its errors */
  constructor(initial: T, tell: (call: () => void) => void) {
    this.#current = initial
    this.#tell = tell
  }

  get current(): T {
    return this.#current
  }

  set(value: T): void {
    this.#current = value
    for (const watcher of this.#watchers) {
      if (watcher.waiting === null) watcher.seen.push(value)
      else {
        watcher.waiting.resolve({ value, done: false })
        watcher.waiting = null
      }
    }
    for (const listener of [...this.#listeners]) this.#tell(() => listener(value))
  }

  /** Ends the changes: iterations end after the values that they have not read. */
  end(): void {
    this.#ended = true
    for (const watcher of this.#watchers) {
      watcher.onEnd?.()
      watcher.waiting?.resolve({ value: undefined, done: true })
    }
    this.#watchers.clear()
    this.#listeners.clear()
  }

  listen(listener: (value: T) => void): () => void {
    if (!this.#ended) this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Iterates over the present value and those that follow. An abort of `signal` is thrown by a waiting `next()`, or by
   * the following one.
   */
  iterate(signal?: AbortSignal): AsyncIterableIterator<T> {
    const watcher = new Watcher<T>()
    watcher.seen.push(this.#current)
    if (!this.#ended) this.#watchers.add(watcher)
    let aborted = false
    const stop = whenAborted(signal, (reason) => {
      // A waiting reader gets the reason now, otherwise the next call does; only once.
      aborted = watcher.waiting === null
      this.#watchers.delete(watcher)
      if (watcher.waiting !== null) quiet(watcher.waiting.promise)
      watcher.waiting?.reject(reason)
      watcher.waiting = null
    })
    watcher.onEnd = stop
    const iterator: AsyncIterableIterator<T> = {
      next: () => {
        if (aborted) {
          aborted = false
          watcher.seen.clear()
          return Promise.reject(reasonOf(signal!))
        }
        const value = watcher.seen.shift()
        if (value !== undefined) return Promise.resolve({ value, done: false })
        if (!this.#watchers.has(watcher)) return Promise.resolve({ value: undefined, done: true })
        watcher.waiting = deferred<IteratorResult<T, undefined>>()
        return watcher.waiting.promise
      },
      return: () => {
        stop()
        this.#watchers.delete(watcher)
        watcher.waiting?.resolve({ value: undefined, done: true })
        return Promise.resolve({ value: undefined, done: true })
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }
}
