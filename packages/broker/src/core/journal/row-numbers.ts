/**
 * Numbers of new rows: positions of messages, and numbers of sessions, subscriptions and Wills.
 *
 * `Journal` has one. The invariant: a number is given out once in the life of a store; recovery says which it has found (`restore`).
 */
import { WILL_NUMBERS } from './session-records.ts'

export class RowNumbers {
  #position = 1
  #session = 1
  #subscription = 1
  #will = WILL_NUMBERS

  newPosition(): number {
    return this.#position++
  }

  newSession(): number {
    return this.#session++
  }

  newSubscription(): number {
    return this.#subscription++
  }

  /** Returns the number for the Will of a session that has none. */
  newWill(): number {
    return this.#will++
  }

  /** Restores the numbers that recovery has found, 0 for none; new ones go on after them. */
  restore(position: number, session: number, subscription: number): void {
    this.#position = Math.max(this.#position, position + 1)
    this.#session = Math.max(this.#session, session + 1)
    this.#subscription = Math.max(this.#subscription, subscription + 1)
  }

  restoreWill(number: number): void {
    this.#will = Math.max(this.#will, number + 1)
  }
}
