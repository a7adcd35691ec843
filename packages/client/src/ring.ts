/**
 * A first-in first-out queue in a circular array that grows by doubling and never shifts. Holds queued messages
 * (`Publisher`), buffered messages (`Subscription`) and unacknowledged ones (`Inbox`).
 */
export class Ring<T> {
  #slots: (T | undefined)[] = new Array(16)
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(value: T): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.#size) & (this.#slots.length - 1)] = value
    this.#size++
  }

  peek(): T | undefined {
    return this.#slots[this.#head]
  }

  /** Returns the value at `index`, counted from the oldest. */
  at(index: number): T | undefined {
    return index < this.#size ? this.#slots[(this.#head + index) & (this.#slots.length - 1)] : undefined
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined
    const value = this.#slots[this.#head]
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    this.#size--
    // A burst must not keep its memory for ever.
    if (this.#size === 0 && this.#slots.length > 4096) this.clear()
    return value
  }

  /** Adds a value before the oldest. */
  unshift(value: T): void {
    if (this.#size === this.#slots.length) this.#grow()
    this.#head = (this.#head - 1) & (this.#slots.length - 1)
    this.#slots[this.#head] = value
    this.#size++
  }

  clear(): void {
    this.#slots = new Array(16)
    this.#head = 0
    this.#size = 0
  }

  #grow(): void {
    const old = this.#slots
    const slots = new Array<T | undefined>(old.length * 2)
    for (let i = 0; i < this.#size; i++) slots[i] = old[(this.#head + i) & (old.length - 1)]
    this.#slots = slots
    this.#head = 0
  }
}
