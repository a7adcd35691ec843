/**
 * An unbounded queue from callbacks (a child's output, a client's events) to `await`: the peer tests' only way to wait.
 *
 * Owned by the producer; one test reads. Invariant: every wait ends, either with the next item, or with the error given
 * to `fail`, or after `boundMs` with an error that names the awaited event and the producer's last output.
 */

/** Time in milliseconds that a test waits for one event. Only a broken peer or broker ever takes this long. */
export const boundMs: number = 120_000

interface Waiter<T> {
  resolve(item: T): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

export class Inbox<T> {
  readonly #items: T[] = []
  readonly #waiters: Waiter<T>[] = []
  readonly #what: string
  readonly #describe: () => string
  #error: Error | null = null

  /** @param describe returns context for an error: usually the tail of a child's output */
  constructor(what: string, describe: () => string = () => '') {
    this.#what = what
    this.#describe = describe
  }

  /** Number of items that have not been taken yet. */
  get size(): number {
    return this.#items.length
  }

  push(item: T): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) {
      this.#items.push(item)
      return
    }
    clearTimeout(waiter.timer)
    waiter.resolve(item)
  }

  /** Ends the queue: items in it can still be read, every later wait rejects. */
  fail(error: Error): void {
    this.#error ??= error
    for (const waiter of this.#waiters.splice(0)) {
      clearTimeout(waiter.timer)
      waiter.reject(this.#error)
    }
  }

  next(): Promise<T> {
    // By length: an item may well be undefined.
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift() as T)
    if (this.#error !== null) return Promise.reject(this.#error)
    // Made here, where the stack still shows the caller.
    const late = new Error(`no ${this.#what} within ${boundMs} ms`)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        late.message += `\n${this.#describe()}`
        reject(late)
      }, boundMs)
      const waiter: Waiter<T> = { resolve, reject, timer }
      this.#waiters.push(waiter)
    })
  }
}

/** Settles like `promise`, or rejects with an error that names `what` when it takes longer than `boundMs`. */
export async function bounded<T>(promise: Promise<T>, what: string, describe: () => string = () => ''): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${boundMs} ms\n${describe()}`)), boundMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
