/**
 * The journal: decides what is written to the store, when, and who waits for it.
 *
 * - Group commit: all changes up to the end of a turn are one batch; while it is being made safe the next one gathers.
 * - Write elision: a message that went out to live subscribers waits a moment; when all durable recipients have
 * acknowledged it before it is written, it never is, and its publisher is acknowledged all the same.
 * - Gates: a packet that promises that something is safe (an acknowledgement, the first QoS 2 PUBLISH, PUBREL) is
 * handed in with the change and called when the batch that holds it is done.
 *
 * A message is written once, whoever waits for it (`MessageRow`); each recipient's progress is the delivery's
 * `rowState`. When the store fails, everything goes back into the next batch, which is tried again; meanwhile
 * `isFailing` makes the broker refuse what it could not keep, and nothing is acknowledged.
 *
 * Invariants: one batch at a time; a gate opens only after `done(null)` of the batch that was built after it was handed
 * in.
 */
import { type Clock, type Store, Table } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import type { Faults, Gated } from '../base/faults.ts'
import type { Message } from '../base/message.ts'
import type { Turn } from '../base/turn.ts'
import { Batch, type Change, type LeftRows } from './batch.ts'
import { BatchWriter, ROW_OVERHEAD_BYTES } from './batch-writer.ts'
import { Delivery } from './delivery.ts'
import type { DurableSession } from './durable-session.ts'
import { forwardOf } from './forward.ts'
import { bytesOfKey, encodeRetained, MessageRowReader, type StoredEntry } from './message-records.ts'
import { MessageRow, type RowRecipient, RowState, rowOf } from './message-row.ts'
import type { PendingAnswer } from './pending-ack.ts'
import { type Receipt, type ReceivedIds, receiptOf } from './received-ids.ts'
import { RowNumbers } from './row-numbers.ts'

/** Milliseconds that a message which live subscribers have may wait for their acknowledgements. */
const ELISION_MS = 4
/** Milliseconds that what only saves work after a crash (a row that is over, a packet id) may wait. */
const LAZY_MS = 50
const RETRY_MS = 1_000
/** Publishers are not read while more than this waits to be written. */
const BACKLOG_BYTES_MAX = 32 * 1024 * 1024
export class Journal {
  readonly #store: Store
  readonly #context: Context
  readonly #turn: Turn
  readonly #clock: Clock
  readonly #faults: Faults
  readonly #writer: BatchWriter
  readonly numbers: RowNumbers = new RowNumbers()
  readonly #rowReader: MessageRowReader = new MessageRowReader()
  #changes: Change[] = []
  #urgentRows: MessageRow[] = []
  /** Rows that may be elided, oldest first from `#lazyHead` on. */
  #lazyRows: MessageRow[] = []
  #lazyHead = 0
  #removals: Delivery[] = []
  #flights: Delivery[] = []
  #gated: Gated[] = []
  #leftRows: LeftRows[] = []
  #lazySinceMs: number = Number.POSITIVE_INFINITY
  #isBusy = false
  #isTimerSet = false
  #isClosing = false
  /** The last batch of an orderly end has been built. */
  #isEndNoted = false
  #onIdle: (() => void) | null = null
  #backlogBytes = 0
  /** Bytes of message rows on disk, as their keys tell them. */
  #storedBytes = 0
  #batchBytes = 0
  /** Bytes of retained messages not yet in a batch. */
  #retainedBytes = 0
  #overloaded: Gated[] = []
  isFailing = false
  /** Called when the store has begun to fail. */
  onFailing: (() => void) | null = null
  /** The last time that is noted on disk. */
  notedMs: number = Number.NEGATIVE_INFINITY

  constructor(store: Store, context: Context) {
    this.#store = store
    this.#context = context
    this.#turn = context.turn
    this.#clock = context.clock
    this.#faults = context.faults
    this.#writer = new BatchWriter(store)
  }

  // --- what is to be kept -------------------------------------------------------------------------------------------

  /** A small change; `gate` opens when it is safe. */
  change(
    table: number,
    a: number,
    b: number,
    c: number,
    value: Uint8Array | null,
    gate: PendingAnswer | null = null,
  ): void {
    this.#changes.push({ table, a, b, c, value })
    if (gate !== null) this.gate(gate)
    else this.#lazy()
  }

  /** `gated` opens when all that has been handed in so far is safe. */
  gate(gated: Gated | PendingAnswer): void {
    if ('waits' in gated) gated.waits++
    this.#gated.push(gated)
    this.#turn.begin()
  }

  /** Like `gate`, unless every change is safe already. */
  gateChanges(answer: PendingAnswer): void {
    if (this.#isBusy || this.#changes.length > 0) this.gate(answer)
  }

  /**
   * Notes that a durable session gets a message. `isLive`: it has been sent, so its acknowledgement may come before the
   * disk. `isApart`: it gets a row of its own, because the session may get the message by another subscription as well.
   */
  deliver(message: Message, delivery: Delivery, isLive: boolean, isApart: boolean): void {
    let row = isApart ? null : rowOf(message)
    if (row === null) {
      row = this.#newRow(message)
      if (!isApart) message.row = row
    } else if (delivery.group !== null) {
      // A row knows its recipients by session: one that gets the message twice needs another row.
      while (row.has(delivery.session!)) {
        row.extra ??= this.#newRow(message)
        row = row.extra
      }
    }
    delivery.row = row
    delivery.position = row.position
    delivery.bytes = row.bytes
    delivery.rowState = RowState.Pending
    row.add(delivery)
    if (!isLive && !row.isUrgent) {
      row.isUrgent = true
      this.#urgentRows.push(row)
    }
  }

  #newRow(message: Message): MessageRow {
    const row = new MessageRow(message, this.numbers.newPosition(), this.#turn.nowMs)
    this.#lazyRows.push(row)
    this.#backlogBytes += row.bytes
    this.#turn.begin()
    return row
  }

  /** The session has the message, or will never get it. */
  complete(delivery: Delivery): void {
    const { rowState } = delivery
    if (rowState === RowState.None || rowState === RowState.Done) return
    delivery.rowState = RowState.Done
    if (rowState === RowState.Pending) {
      const row = delivery.row!
      row.undelivered--
      if (row.undelivered === 0) this.#noteSafe(row)
      return
    }
    this.#removals.push(delivery)
    this.#lazy()
  }

  /** A stored delivery has got a packet id or gone on in its flow. `gated`: it may be told so only when that is safe. */
  progress(delivery: Delivery, isGated: boolean): void {
    if (delivery.rowState !== RowState.Pending && !delivery.isFlightChanged) {
      delivery.isFlightChanged = true
      this.#flights.push(delivery)
    }
    if (isGated) {
      if (delivery.rowState === RowState.Pending && !delivery.row!.isUrgent) {
        delivery.row!.isUrgent = true
        this.#urgentRows.push(delivery.row!)
      }
      this.gate(delivery)
    } else {
      this.#lazy()
    }
  }

  /** Retains a message, or forgets it (`payload` empty). `replaced` is the position of the one before, 0 for none. */
  retain(message: Message | null, replaced: number): number {
    if (replaced !== 0) this.#changes.push({ table: Table.Retained, a: replaced, b: 0, c: 0, value: null })
    let position = 0
    if (message !== null) {
      position = this.numbers.newPosition()
      const value = encodeRetained(message)
      this.#retainedBytes += value.length
      this.#changes.push({ table: Table.Retained, a: position, b: 0, c: 0, value })
    }
    this.#lazy()
    return position
  }

  /** The message must be written with the next batch, acknowledged or not. */
  hurry(message: Message): void {
    for (let row = rowOf(message); row !== null; row = row.extra) {
      if (row.isUrgent) continue
      row.isUrgent = true
      this.#urgentRows.push(row)
    }
  }

  /** Time is noted soon, whether there is anything else to be written or not. */
  noteTime(): void {
    this.#lazy()
  }

  /** Together with the message, the Packet Identifier goes to the disk that its publisher, a durable session, used at QoS 2. */
  received(message: Message, ids: ReceivedIds, packetId: number): void {
    const forward = forwardOf(message)
    if (message.retain || forward !== null) {
      // No publisher may wait for it now; a later subscriber gets it all the same. Its rows go into the same batch.
      this.hurry(message)
      if (forward?.id) ids.noteForward(packetId, forward.id)
      this.receivedNow(ids, packetId)
      if (forward === null) return
      // Another Core that has it must be told the same identifier when the message comes again after a crash.
      forward.isGated = true
      this.gate(forward)
      return
    }
    ids.add(message, packetId, rowOf(message))
  }

  /** With the next batch, the Packet Identifier goes to the disk that a durable session used at QoS 2. */
  receivedNow(ids: ReceivedIds, packetId: number): void {
    this.change(Table.Received, ids.sessionNumber, packetId, 0, ids.valueOf(packetId))
    ids.stored.add(packetId)
  }

  /** Forgets the received identifiers of a publisher whose session has ended. */
  forgetReceived(ids: ReceivedIds): void {
    for (const packetId of ids.stored) this.change(Table.Received, ids.sessionNumber, packetId, 0, null)
    ids.clear()
  }

  /**
   * Makes an answer wait for the rows of its message, and for the retained one where `isRetained`. Returns true when
   * there is something to wait for.
   */
  owe(message: Message, answer: PendingAnswer, isRetained: boolean): boolean {
    for (let row = rowOf(message); row !== null; row = row.extra) {
      if (!row.isOpen) continue
      row.waiting = answer
      answer.waits++
    }
    if (isRetained) this.gate(answer)
    return answer.waits > 0
  }

  /**
   * Makes an answer wait for the rows of a message that has come once more, in the place of one that was owed to an earlier
   * connection. An answer of this `owner` waits already, and this one behind it.
   */
  oweAgain(receipt: Receipt | undefined, answer: PendingAnswer, owner: object | null): void {
    for (let row = receipt?.row ?? null; row !== null; row = row.extra) {
      if (!row.isOpen) continue
      if (owner !== null && row.waiting?.owner === owner) continue
      answer.waits++
      // It is owed to a connection that is gone.
      row.waiting?.onSafe()
      row.waiting = answer
    }
  }

  /** Removes the remaining rows of an ended session from the disk, a part with each batch. */
  removeLeftRows(left: LeftRows): void {
    this.#leftRows.push(left)
    this.#lazy()
  }

  /** Bytes of the messages that wait for durable sessions or are in flight to them: on disk, and on their way there. */
  get messageBytes(): number {
    return this.#storedBytes + this.#backlogBytes + this.#batchBytes
  }

  get #waitingBytes(): number {
    return this.#backlogBytes + this.#batchBytes + this.#retainedBytes
  }

  /** Whether the publisher should not be read until `gated` opens. */
  holdBack(gated: Gated): boolean {
    if (this.#waitingBytes <= BACKLOG_BYTES_MAX) return false
    this.#overloaded.push(gated)
    return true
  }

  // --- reading back -------------------------------------------------------------------------------------------------

  /** Returns a delivery that was kept on disk only. `null`: its row is gone or cannot be read. */
  load(session: DurableSession, { position, key, isMulti }: StoredEntry): Delivery | null {
    const bytes = this.#store.get(Table.Messages, position, isMulti ? 0 : session.number, key)
    if (bytes === undefined) return null
    const row = this.understand(Table.Messages, position, () => this.#rowReader.read(bytes, session.number))
    if (row === null) return null
    const { recipient } = row
    const delivery = new Delivery(row.message, recipient.qos, recipient.retain, recipient.subscriptionIdentifiers, null)
    delivery.session = session
    delivery.position = position
    delivery.key = key
    delivery.bytes = bytesOfKey(key)
    delivery.isMulti = isMulti
    delivery.packetId = recipient.packetId
    delivery.flow = recipient.flow
    delivery.rowState = RowState.Stored
    return delivery
  }

  /**
   * Returns the result of `decode`; null, and the observer is told, when the row is damaged: one bad row must not stop
   * the rest.
   */
  understand<T>(table: number, row: number, decode: () => T): T | null {
    try {
      return decode()
    } catch (error) {
      this.#context.observer?.['store.row-damaged']?.({ table, row, error })
      return null
    }
  }

  /** A message row is on disk; `remaining`: of one for several sessions, how many of them wait for it. */
  restoreRow(position: number, key: number, remaining: number | null): void {
    this.#storedBytes += ROW_OVERHEAD_BYTES + bytesOfKey(key)
    if (remaining !== null) this.#writer.restoreRemaining(position, remaining)
  }

  // --- batches ------------------------------------------------------------------------------------------------------

  /** Ends a turn of the journal. */
  turnEnded(): void {
    if (this.#faults.isBroken) return
    this.#letHeldBackGoOn()
    this.#carefully('journal', () => {
      this.#dropElided()
      if (!this.#isBusy && this.#hasWork()) this.#write()
      else if (!this.#isBusy) this.#setTimer()
    })
  }

  /** Performs work after whose failure nothing is written any more, and durable work is refused. */
  #carefully(where: string, work: () => void): void {
    if (this.#faults.wholly(where, work)) return
    this.isFailing = true
    this.#onIdle?.()
    this.#onIdle = null
  }

  /** Writes all there is, then calls back. */
  close(onIdle: () => void): void {
    this.#isClosing = true
    this.#onIdle = onIdle
    this.#turn.begin()
    if (this.isFailing) onIdle()
  }

  #hasWork(): boolean {
    if (this.isFailing) return false
    if (this.#urgentRows.length > 0 || this.#gated.length > 0) return true
    const { nowMs } = this.#turn
    const oldest = this.#lazyRows[this.#lazyHead]
    if (oldest !== undefined && (this.#isClosing || nowMs - oldest.sinceMs >= ELISION_MS)) return true
    if (nowMs - this.#lazySinceMs >= (this.#isClosing ? 0 : LAZY_MS)) return true
    // How long it has been idle is noted as well.
    if (this.#isClosing && !this.#isEndNoted) return true
    if (this.#isClosing && this.#onIdle !== null) {
      const onIdle = this.#onIdle
      this.#onIdle = null
      onIdle()
    }
    return false
  }

  #lazy(): void {
    if (this.#lazySinceMs === Number.POSITIVE_INFINITY) {
      this.#lazySinceMs = this.#turn.nowMs
      this.#turn.begin()
    }
  }

  #setTimer(): void {
    if (this.#isTimerSet || this.isFailing) return
    const oldest = this.#lazyRows[this.#lazyHead]
    if (oldest === undefined && this.#lazySinceMs === Number.POSITIVE_INFINITY) return
    const dueAtMs = Math.min(
      oldest === undefined ? Number.POSITIVE_INFINITY : oldest.sinceMs + ELISION_MS,
      this.#lazySinceMs + LAZY_MS,
    )
    this.#isTimerSet = true
    this.#clock.after(Math.max(1, Math.ceil(dueAtMs - this.#turn.nowMs)), () => {
      this.#isTimerSet = false
      this.#turn.begin()
    })
  }

  #dropElided(): void {
    const rows = this.#lazyRows
    while (this.#lazyHead < rows.length) {
      const row = rows[this.#lazyHead]!
      if (row.isOpen && !row.isUrgent) break
      this.#lazyHead++
    }
    if (this.#lazyHead === rows.length) {
      rows.length = 0
      this.#lazyHead = 0
    } else if (this.#lazyHead >= 1024 && this.#lazyHead * 2 > rows.length) {
      rows.splice(0, this.#lazyHead)
      this.#lazyHead = 0
    }
  }

  #write(): void {
    this.#isEndNoted = this.#isClosing
    const batch = new Batch()
    batch.changes = this.#changes
    this.#batchBytes += this.#retainedBytes
    this.#retainedBytes = 0
    batch.gated = this.#gated
    batch.removals = this.#removals
    batch.flights = this.#flights
    this.#changes = []
    this.#gated = []
    this.#removals = []
    this.#flights = []
    this.#lazySinceMs = Number.POSITIVE_INFINITY
    this.#takeRows(batch)
    this.#isBusy = true
    this.#store.write(
      () => this.#fill(batch),
      (error) => {
        this.#turn.begin()
        if (this.#faults.isBroken) return
        this.#carefully('batch', () => {
          this.#isBusy = false
          this.#writer.reuseBuffers()
          if (error === null) this.#done(batch)
          else this.#failed(batch, error)
        })
      },
    )
  }

  /**
   * Urgent rows; older rows of the same sessions, or a crash would leave the later of two messages and lose the place of the
   * earlier one; and rows that have waited long enough for their acknowledgements. In the order of their positions.
   */
  #takeRows(batch: Batch): void {
    const takeUntilMs = this.#isClosing ? Number.POSITIVE_INFINITY : this.#turn.nowMs - ELISION_MS
    for (const row of this.#urgentRows) if (row.undelivered > 0) batch.rows.push(row)
    this.#urgentRows = []
    const sessions = new Set<DurableSession>()
    const add = (recipient: RowRecipient): void => void sessions.add(recipient.session!)
    const isLeft = this.#lazyRows.length > this.#lazyHead
    if (isLeft) for (const row of batch.rows) row.forEach(add)
    const left: MessageRow[] = []
    for (let i = this.#lazyRows.length - 1; i >= this.#lazyHead; i--) {
      const row = this.#lazyRows[i]!
      if (row.isUrgent || !row.isOpen) continue
      const isTaken =
        row.sinceMs <= takeUntilMs ||
        sessions.has(row.first!.session!) ||
        row.others?.some(({ session }) => sessions.has(session!))
      if (isTaken) {
        row.isUrgent = true
        batch.rows.push(row)
        row.forEach(add)
      } else {
        left.push(row)
      }
    }
    this.#lazyRows = left.reverse()
    this.#lazyHead = 0
    batch.rows.sort((a, b) => a.position - b.position)
  }

  #fill(batch: Batch): void {
    batch.nowMs = this.#turn.nowMs
    this.#writer.fill(batch, this.#leftRows)
    this.#batchBytes += batch.rowBytes
    this.#backlogBytes -= batch.rowBytes
    if (this.#leftRows.length > 0) this.#lazy()
  }

  #done(batch: Batch): void {
    this.notedMs = batch.nowMs
    this.#batchBytes = 0
    this.#storedBytes += batch.storedBytes
    if (this.isFailing) {
      this.isFailing = false
      this.#context.observer?.['store.recovered']?.({})
    }
    for (const row of batch.rows) {
      const { first, others } = row
      if (first === null) continue
      row.forEach(stored)
      row.forget()
      this.#noteSafe(row)
      first.session!.queue.noteStored()
      if (others !== null) for (const recipient of others) recipient.session!.queue.noteStored()
    }
    for (const gated of batch.gated) this.#faults.complete(gated)
  }

  /** Nothing of the batch is in the store: all of it belongs to the next one. */
  #failed(batch: Batch, error: Error): void {
    const wasFailing = this.isFailing
    if (!wasFailing) this.#context.observer?.['store.failed']?.({ error })
    this.isFailing = true
    this.#batchBytes = 0
    this.#changes = [...batch.changes, ...this.#changes]
    for (const { table, value } of batch.changes)
      if (table === Table.Retained && value !== null) this.#retainedBytes += value.length
    this.#gated = [...batch.gated, ...this.#gated]
    this.#removals = [...batch.removals, ...this.#removals]
    for (const { isMulti, position } of batch.removals) if (isMulti) this.#writer.recount(position)
    for (const { session, entry } of batch.removedLeftRows) {
      if (entry.isMulti) this.#writer.recount(entry.position)
      const again = [entry]
      this.#leftRows.push({ session, next: () => again.pop() ?? null })
    }
    for (const delivery of batch.flights) {
      if (delivery.isFlightChanged || delivery.rowState === RowState.Done) continue
      delivery.isFlightChanged = true
      this.#flights.push(delivery)
    }
    for (const { ids, packetId } of batch.receipts) ids?.stored.delete(packetId)
    const failedRows = new Set(batch.rows)
    // A recipient that acknowledged meanwhile has no row to be removed.
    this.#removals = this.#removals.filter((delivery) => delivery.row === null || !failedRows.has(delivery.row))
    for (const row of batch.rows) {
      row.isUrgent = true
      row.undelivered = 0
      this.#backlogBytes += row.bytes
      this.#writer.forgetRemaining(row.position)
      row.forEach((recipient) => {
        if (recipient.rowState === RowState.Writing) recipient.rowState = RowState.Pending
        if (recipient.rowState === RowState.Pending) row.undelivered++
      })
      if (row.undelivered === 0) this.#noteSafe(row)
    }
    this.#urgentRows = [...batch.rows, ...this.#urgentRows]
    if (!wasFailing) this.onFailing?.()
    if (this.#isClosing) {
      this.#onIdle?.()
      this.#onIdle = null
      return
    }
    this.#clock.after(RETRY_MS, () => {
      this.#turn.begin()
      if (!this.#isBusy && !this.#faults.isBroken) this.#carefully('journal', () => this.#write())
    })
  }

  /** Publishers go on when enough has been written, or acknowledged before. */
  #letHeldBackGoOn(): void {
    if (this.#overloaded.length === 0 || this.#waitingBytes > BACKLOG_BYTES_MAX) return
    const heldBack = this.#overloaded
    this.#overloaded = []
    for (const gated of heldBack) this.#faults.complete(gated)
  }

  /** All durable recipients have it, on disk or for themselves. */
  #noteSafe(row: MessageRow): void {
    if (row.first !== null) {
      // Elided: never written.
      this.#backlogBytes -= row.bytes
      row.forget()
    }
    const receipt = receiptOf(row.message)
    if (receipt !== null) while (receipt.row?.isOpen === false) receipt.row = receipt.row.extra
    if (row.message.row === row) row.message.row = row.extra
    const { waiting } = row
    row.waiting = null
    if (waiting !== null) this.#faults.complete(waiting)
  }
}

function stored(recipient: RowRecipient): void {
  if (recipient.rowState === RowState.Writing) recipient.rowState = RowState.Stored
  recipient.row = null
}
