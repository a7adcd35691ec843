/**
 * Puts a batch into the store, row by row: the layout of keys is known here and in `message-records.ts`, the rest of the journal knows none.
 *
 * `Journal` has one and calls `fill` from within `Store.write`. The invariant: of a message for several sessions `#remaining` counts
 * the recipients that are not done with it, so that its row goes with the last of them.
 */
import { Flow } from '@recado/protocol'
import { type Store, Table } from '../../ports.ts'
import { encodeTime, TIME_KEY } from '../base/steady-clock.ts'
import type { Batch, LeftRows } from './batch.ts'
import {
  bytesOfKey,
  decodeRecipients,
  encodeFlight,
  encodeMessageRow,
  IN_FLIGHT_BIT,
  RowWriter,
} from './message-records.ts'
import { type MessageRow, RowState } from './message-row.ts'
import { receiptOf } from './received-ids.ts'

/** Rows of ended sessions that one batch removes at most. */
const LEFT_ROWS_MAX = 20_000
/** Bytes that a row takes beside those of its message. */
export const ROW_OVERHEAD_BYTES = 64

export class BatchWriter {
  readonly #store: Store
  readonly #rowWriter: RowWriter = new RowWriter()
  /** Recipients left of messages for several sessions, by position. */
  readonly #remaining: Map<number, number> = new Map()

  constructor(store: Store) {
    this.#store = store
  }

  /** Puts all rows of a batch into the store; only within `Store.write`. Rows are taken out of `leftRows` as far as the batch has room for them. */
  fill(batch: Batch, leftRows: LeftRows[]): void {
    const store = this.#store
    store.put(Table.Meta, TIME_KEY, 0, 0, encodeTime(batch.nowMs))
    for (const { table, a, b, c, value } of batch.changes) {
      if (value === null) store.remove(table, a, b, c)
      else store.put(table, a, b, c, value)
    }
    for (const row of batch.rows) this.#putRow(row, batch)
    for (const delivery of batch.flights) {
      delivery.isFlightChanged = false
      if (delivery.rowState === RowState.Done) continue
      delivery.hasFlightRow = true
      store.put(
        Table.Flights,
        delivery.position,
        delivery.session!.number,
        0,
        encodeFlight({ packetId: delivery.packetId, flow: delivery.flow, isDone: false }),
      )
    }
    for (const { position, session, key, isMulti, hasFlightRow } of batch.removals)
      this.#removeRow(batch, position, session!.number, key, isMulti, hasFlightRow)
    this.#removeLeftRows(batch, leftRows)
  }

  /** The batch is done, or has failed: its buffers may be used again. */
  reuseBuffers(): void {
    this.#rowWriter.reuse()
  }

  /** A row for `count` sessions is on the disk. */
  restoreRemaining(position: number, count: number): void {
    this.#remaining.set(position, count)
  }

  /** A recipient that was counted as gone is not: the batch has failed. */
  recount(position: number): void {
    this.#remaining.set(position, (this.#remaining.get(position) ?? 0) + 1)
  }

  /** The row is not on the disk: the batch has failed. */
  forgetRemaining(position: number): void {
    this.#remaining.delete(position)
  }

  #putRow(row: MessageRow, batch: Batch): void {
    const waiting = row.takeWaiting()
    if (waiting === null) return
    const { first, others } = waiting
    let sessionNumber = 0
    // It may have been written with others before, in a batch that failed.
    first.isMulti = others !== null
    if (others === null) {
      sessionNumber = first.sessionNumber
      if (first.flow !== Flow.Idle) first.key = (first.key | IN_FLIGHT_BIT) >>> 0
    } else {
      this.#remaining.set(row.position, others.length + 1)
      for (const recipient of others) recipient.isMulti = true
    }
    // A recipient from now on needs another row.
    row.message.row = null
    const value = encodeMessageRow(this.#rowWriter, row.message, first, others)
    this.#store.put(Table.Messages, row.position, sessionNumber, first.key, value)
    batch.storedBytes += ROW_OVERHEAD_BYTES + row.bytes
    batch.rowBytes += row.bytes
    const receipt = receiptOf(row.message)
    const ids = receipt?.ids ?? null
    if (receipt === null || ids === null || ids.stored.has(receipt.packetId)) return
    ids.put(this.#store, receipt.packetId)
    ids.stored.add(receipt.packetId)
    batch.receipts.push(receipt)
  }

  #removeRow(
    batch: Batch,
    position: number,
    sessionNumber: number,
    key: number,
    isMulti: boolean,
    hasFlightRow: boolean,
  ): void {
    const store = this.#store
    const bytes = ROW_OVERHEAD_BYTES + bytesOfKey(key)
    if (!isMulti) {
      batch.storedBytes -= bytes
      store.remove(Table.Messages, position, sessionNumber, key)
      if (hasFlightRow) store.remove(Table.Flights, position, sessionNumber, 0)
      return
    }
    const remaining = (this.#remaining.get(position) ?? 1) - 1
    if (remaining > 0) {
      this.#remaining.set(position, remaining)
      store.put(Table.Flights, position, sessionNumber, 0, encodeFlight({ packetId: 0, flow: 0, isDone: true }))
      return
    }
    // The last recipient: remove the message, and the record of earlier recipients.
    this.#remaining.delete(position)
    batch.storedBytes -= bytes
    const row = store.get(Table.Messages, position, 0, key)
    if (row !== undefined) {
      for (const recipient of decodeRecipients(row).recipients)
        store.remove(Table.Flights, position, recipient.sessionNumber, 0)
    }
    store.remove(Table.Messages, position, 0, key)
  }

  #removeLeftRows(batch: Batch, leftRows: LeftRows[]): void {
    let left = LEFT_ROWS_MAX
    while (left > 0 && leftRows.length > 0) {
      const next = leftRows[0]!
      for (let row = next.next(); ; row = next.next()) {
        if (row === null) {
          leftRows.shift()
          break
        }
        this.#removeRow(batch, row.position, next.session.number, row.key, row.isMulti, true)
        batch.removedLeftRows.push({ session: next.session, entry: row })
        if (--left === 0) break
      }
    }
  }
}
