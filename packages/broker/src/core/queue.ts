/**
 * The deliveries that wait for one session: first in, first out, counted in messages and bytes.
 *
 * A ring that doubles when full and is let go when empty. Limits and policy are the session's; the queue only counts.
 */
import type { Delivery } from './delivery.ts'

const FIRST_CAPACITY = 16

export class Queue {
  #ring: (Delivery | undefined)[] = []
  #head = 0
  length = 0
  bytes = 0

  push(delivery: Delivery): void {
    if (this.length === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.length) & (this.#ring.length - 1)] = delivery
    this.length++
    this.bytes += delivery.message!.sizeBytes
  }

  peek(): Delivery | undefined {
    return this.length === 0 ? undefined : this.#ring[this.#head]
  }

  shift(): Delivery | undefined {
    if (this.length === 0) return undefined
    const delivery = this.#ring[this.#head]!
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.length--
    this.bytes -= delivery.message!.sizeBytes
    if (this.length === 0 && this.#ring.length > FIRST_CAPACITY) {
      this.#ring = []
      this.#head = 0
    }
    return delivery
  }

  /** Takes out all that `reject` says, keeping the order of the rest. */
  removeWhere(reject: (delivery: Delivery) => boolean): Delivery[] {
    const removed: Delivery[] = []
    for (let left = this.length; left > 0; left--) {
      const delivery = this.shift()!
      if (reject(delivery)) removed.push(delivery)
      else this.push(delivery)
    }
    return removed
  }

  clear(): Delivery[] {
    return this.removeWhere(() => true)
  }

  #grow(): void {
    const larger = new Array<Delivery | undefined>(Math.max(FIRST_CAPACITY, this.#ring.length * 2)).fill(undefined)
    for (let i = 0; i < this.length; i++) larger[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)]
    this.#ring = larger
    this.#head = 0
  }
}
