/**
 * Messages at QoS 2 that one Core has forwarded in one of its epochs, by their numbers, until it releases them: one that
 * comes again is not delivered again.
 *
 * They are on the disk together with the rows of the message, as the Packet Identifiers that a client has used
 * (`ReceivedIds`): a crash keeps both or none. What has no rows here went to clients that a crash takes too.
 */

import type { Journal } from '../core/journal/journal.ts'
import { NO_VALUE, ReceivedIds } from '../core/journal/received-ids.ts'
import { type Store, Table } from '../ports.ts'

export class SeenIds extends ReceivedIds {
  readonly core: number
  readonly epoch: number

  constructor(core: number, epoch: number) {
    super(0)
    this.core = core
    this.epoch = epoch
  }

  has(number: number): boolean {
    return this.receipts.has(number) || this.stored.has(number)
  }

  get isEmpty(): boolean {
    return this.receipts.size + this.stored.size === 0
  }

  override put(store: Store, number: number): void {
    store.put(Table.Forwarded, number, this.core, this.epoch, NO_VALUE)
  }

  /** The number never comes again. */
  forget(number: number, journal: Journal | null): void {
    if (this.release(number)) journal!.change(Table.Forwarded, number, this.core, this.epoch, null)
  }

  /** Forgets all numbers but these. */
  keep(numbers: ReadonlySet<number>, journal: Journal | null): void {
    for (const number of [...this.stored, ...this.receipts.keys()])
      if (!numbers.has(number)) this.forget(number, journal)
  }
}
