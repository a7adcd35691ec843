/**
 * The journal: decides what is written to the store, when, and who waits for it.
 *
 * - Group commit: all changes up to the end of a turn are one batch; while it is being made safe the next one gathers.
 * - Write elision: a message that went out to live subscribers waits a moment; when all durable recipients have
 *   acknowledged it before it is written, it never is, and its publisher is acknowledged all the same.
 * - Gates: whatever promises that something is safe (an acknowledgement, the first QoS 2 PUBLISH, PUBREL) is handed in with
 *   the change and told when the batch that holds it is done.
 *
 * A message is written once, whoever waits for it (`MessageRow`); each recipient's progress is the delivery's `rowState`.
 * When the store fails, everything goes back into the next batch, which is tried again; meanwhile `isFailing` makes the
 * broker refuse what it could not keep, and nothing is acknowledged.
 *
 * Invariants: one batch at a time; a gate opens only after `done(null)` of the batch that was built after it was handed in.
 */
import { Flow } from '@recado/protocol'
import { type Clock, type Observer, type Store, Table } from '../../ports.ts'
import type { Faults } from '../base/faults.ts'
import type { Message } from '../base/message.ts'
import { encodeTime, TIME_KEY } from '../base/steady-clock.ts'
import type { Turn } from '../base/turn.ts'
import { bytesOfKey, type StoredEntry } from '../session/queue.ts'
import type { Session } from '../session/session.ts'
import { Batch, type Change, type Sweep } from './batch.ts'
import { Delivery, RowState } from './delivery.ts'
import { MessageRow, Receipt } from './message-row.ts'
import type { Gated, Pledge } from './pending-ack.ts'
import {
  decodeRecipients,
  encodeFlight,
  encodeMessageRow,
  encodeRetained,
  IN_FLIGHT_BIT,
  MessageRowReader,
  RowWriter,
  WILL_NUMBERS,
} from './records.ts'

/** How long a message that live subscribers have may wait for their acknowledgements. */
const ELISION_MS = 4
/** How long what only saves work after a crash (a row that is over, a packet id) may wait. */
const LAZY_MS = 50
const RETRY_MS = 1_000
/** Rows of ended sessions that one batch removes at most. */
const SWEEP_ROWS = 20_000
/** Publishers are not read while more than this waits to be written. */
const BACKLOG_BYTES_MAX = 32 * 1024 * 1024
/** What a row takes beside the bytes of its message. */
const ROW_OVERHEAD_BYTES = 64
const NO_VALUE: Uint8Array = Uint8Array.of(1)

export class Journal {
  readonly #store: Store
  readonly #turn: Turn
  readonly #clock: Clock
  observer: Observer | null
  readonly #faults: Faults
  readonly #rowWriter: RowWriter = new RowWriter()
  readonly #rowReader: MessageRowReader = new MessageRowReader()
  #nextPosition = 1
  #nextSessionNumber = 1
  #nextSubscriptionNumber = 1
  #nextWillNumber = WILL_NUMBERS
  #changes: Change[] = []
  #urgentRows: MessageRow[] = []
  /** Rows that may be elided, oldest first from `#lazyHead` on. */
  #lazyRows: MessageRow[] = []
  #lazyHead = 0
  #removals: Delivery[] = []
  #flights: Delivery[] = []
  #gated: Gated[] = []
  #sweeps: Sweep[] = []
  /** Recipients left of messages for several sessions, by position. */
  readonly #remaining: Map<number, number> = new Map()
  #lazySinceMs: number = Number.POSITIVE_INFINITY
  #isBusy = false
  #isTimerSet = false
  #isClosing = false
  /** The last batch of an orderly end has been built. */
  #isEndNoted = false
  #onIdle: (() => void) | null = null
  #backlogBytes = 0
  /** Of message rows on disk, as their keys tell them. */
  #storedBytes = 0
  #batchBytes = 0
  /** Of retained messages that no batch has taken yet. */
  #retainedBytes = 0
  #overloaded: Gated[] = []
  isFailing = false
  /** Called when the store has begun to fail. */
  onFailing: (() => void) | null = null
  /** The last time that is noted on disk. */
  notedMs: number = Number.NEGATIVE_INFINITY

  constructor(store: Store, turn: Turn, clock: Clock, observer: Observer | null, faults: Faults) {
    this.#store = store
    this.#turn = turn
    this.#clock = clock
    this.observer = observer
    this.#faults = faults
  }

  // --- what is to be kept -------------------------------------------------------------------------------------------

  newSessionNumber(): number {
    return this.#nextSessionNumber++
  }

  /** For the Will of a session that has no number. */
  newWillNumber(): number {
    return this.#nextWillNumber++
  }

  newSubscriptionNumber(): number {
    return this.#nextSubscriptionNumber++
  }

  /** A small change; `gate` opens when it is safe. */
  change(table: number, a: number, b: number, c: number, value: Uint8Array | null, gate: Pledge | null = null): void {
    this.#changes.push({ table, a, b, c, value })
    if (gate !== null) this.gate(gate)
    else this.#lazy()
  }

  /** `gated` opens when all that has been handed in so far is safe. */
  gate(gated: Gated | Pledge): void {
    if ('waits' in gated) gated.waits++
    this.#gated.push(gated)
    this.#turn.begin()
  }

  /** Like `gate`, unless every change is safe already. */
  gateChanges(pledge: Pledge): void {
    if (this.#isBusy || this.#changes.length > 0) this.gate(pledge)
  }

  /** A durable session gets a message. `isLive`: it has been sent, so its acknowledgement may come before the disk. */
  deliver(message: Message, delivery: Delivery, isLive: boolean): void {
    let row = message.row
    if (row === null) {
      row = this.#newRow(message)
      message.row = row
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
    const row = new MessageRow(message, this.#nextPosition++, this.#turn.nowMs)
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
      if (row.undelivered === 0) this.#isSafe(row)
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

  /** Retains a message, or forgets it (`payload` empty). `replaced` is the position of the one before, 0: none. */
  retain(message: Message | null, replaced: number): number {
    if (replaced !== 0) this.#changes.push({ table: Table.Retained, a: replaced, b: 0, c: 0, value: null })
    let position = 0
    if (message !== null) {
      position = this.#nextPosition++
      const value = encodeRetained(message)
      this.#retainedBytes += value.length
      this.#changes.push({ table: Table.Retained, a: position, b: 0, c: 0, value })
    }
    this.#lazy()
    return position
  }

  /** The message must be written with the next batch, acknowledged or not. */
  hurry(message: Message): void {
    for (let { row } = message; row !== null; row = row.extra) {
      if (row.isUrgent) continue
      row.isUrgent = true
      this.#urgentRows.push(row)
    }
  }

  /** Time is noted soon, whether there is anything else to be written or not. */
  noteTime(): void {
    this.#lazy()
  }

  /** Together with the message, remember the packet id that a stored session's QoS 2 publisher used. */
  received(message: Message, session: Session, packetId: number): void {
    const { receivedRows } = session
    if (receivedRows === null) return
    if (message.retain) {
      // Nobody may wait for it now; whoever subscribes later gets it all the same. Its rows go into the same batch.
      this.hurry(message)
      this.change(Table.Received, session.number, packetId, 0, NO_VALUE)
      receivedRows.stored.add(packetId)
      return
    }
    message.receipt = new Receipt(session, packetId, message.row)
    receivedRows.receipts.set(packetId, message.receipt)
  }

  /** PUBREL has come for a packet id of a durable session. True: it is on disk, and must be removed from there before PUBCOMP. */
  released(session: Session, packetId: number): boolean {
    const { stored, receipts } = session.receivedRows!
    const receipt = receipts.get(packetId)
    if (receipt !== undefined) receipt.session = null
    receipts.delete(packetId)
    return stored.delete(packetId)
  }

  /** A publisher's session has ended: nothing of what it sent needs to be remembered any more. */
  forgetReceived(session: Session): void {
    const { stored, receipts } = session.receivedRows!
    for (const packetId of stored) this.change(Table.Received, session.number, packetId, 0, null)
    stored.clear()
    for (const receipt of receipts.values()) receipt.session = null
    receipts.clear()
  }

  /** The acknowledgement of a message waits for its row. False: there is nothing to wait for. */
  owe(message: Message, pledge: Pledge): boolean {
    for (let { row } = message; row !== null; row = row.extra) {
      if (!row.isOpen) continue
      row.pledge = pledge
      pledge.waits++
    }
    if (message.retain) this.gate(pledge)
    return pledge.waits > 0
  }

  /** Removes what an ended session still has on disk, a part with each batch. */
  sweep(sweep: Sweep): void {
    this.#sweeps.push(sweep)
    this.#lazy()
  }

  /** Bytes of the messages that wait for durable sessions or are in flight to them: on disk, and on their way there. */
  get messageBytes(): number {
    return this.#storedBytes + this.#backlogBytes + this.#batchBytes
  }

  get #waitingBytes(): number {
    return this.#backlogBytes + this.#batchBytes + this.#retainedBytes
  }

  /** True: the publisher should be read no more until `gated` opens. */
  holdBack(gated: Gated): boolean {
    if (this.#waitingBytes <= BACKLOG_BYTES_MAX) return false
    this.#overloaded.push(gated)
    return true
  }

  // --- reading back -------------------------------------------------------------------------------------------------

  /** A delivery that was kept on disk only. `null`: its row is gone or cannot be read. */
  load(session: Session, { position, key, isMulti }: StoredEntry): Delivery | null {
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

  /** What `decode` makes of a row; null, and somebody is told, when it is damaged: one bad row must not stop the rest. */
  understand<T>(table: number, row: number, decode: () => T): T | null {
    try {
      return decode()
    } catch (error) {
      this.observer?.['store.row-damaged']?.({ table, row, error })
      return null
    }
  }

  /** Recovery says what it has found: numbers go on after these. */
  restore(position: number, sessionNumber: number, subscriptionNumber: number): void {
    this.#nextPosition = Math.max(this.#nextPosition, position + 1)
    this.#nextSessionNumber = Math.max(this.#nextSessionNumber, sessionNumber + 1)
    this.#nextSubscriptionNumber = Math.max(this.#nextSubscriptionNumber, subscriptionNumber + 1)
  }

  restoreWill(number: number): void {
    this.#nextWillNumber = Math.max(this.#nextWillNumber, number + 1)
  }

  /** A message row is on disk; `remaining`: of one for several sessions, how many of them wait for it. */
  restoreRow(position: number, key: number, remaining: number | null): void {
    this.#storedBytes += ROW_OVERHEAD_BYTES + bytesOfKey(key)
    if (remaining !== null) this.#remaining.set(position, remaining)
  }

  // --- batches ------------------------------------------------------------------------------------------------------

  /** At the end of every turn. */
  turnEnded(): void {
    if (this.#faults.isBroken) return
    this.#releaseHeldBack()
    this.#carefully('journal', () => {
      this.#dropElided()
      if (!this.#isBusy && this.#hasWork()) this.#write()
      else if (!this.#isBusy) this.#setTimer()
    })
  }

  /** Should it throw, nothing is written any more, and what must be kept is refused. */
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
          this.#rowWriter.release()
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
    const sessions = new Set<Session>()
    const add = (delivery: Delivery): void => void sessions.add(delivery.session!)
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
    const store = this.#store
    batch.nowMs = this.#turn.nowMs
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
    this.#sweepSome(batch)
  }

  #putRow(row: MessageRow, batch: Batch): void {
    const waiting = row.takeWaiting()
    if (waiting === null) return
    const { first, others } = waiting
    let sessionNumber = 0
    // It may have been written with others before, in a batch that failed.
    first.isMulti = others !== null
    if (others === null) {
      sessionNumber = first.session!.number
      if (first.flow !== Flow.Idle) first.key = (first.key | IN_FLIGHT_BIT) >>> 0
    } else {
      this.#remaining.set(row.position, others.length + 1)
      for (const delivery of others) delivery.isMulti = true
    }
    // Whoever gets the message from now on needs another row.
    row.message.row = null
    const value = encodeMessageRow(this.#rowWriter, row.message, first, others)
    this.#store.put(Table.Messages, row.position, sessionNumber, first.key, value)
    batch.storedBytes += ROW_OVERHEAD_BYTES + row.bytes
    this.#batchBytes += row.bytes
    this.#backlogBytes -= row.bytes
    const { receipt } = row.message
    if (receipt === null || receipt.session === null) return
    const { stored } = receipt.session.receivedRows!
    if (stored.has(receipt.packetId)) return
    this.#store.put(Table.Received, receipt.session.number, receipt.packetId, 0, NO_VALUE)
    stored.add(receipt.packetId)
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
    // The last recipient: the message goes, and with it what says who was done before.
    this.#remaining.delete(position)
    batch.storedBytes -= bytes
    const row = store.get(Table.Messages, position, 0, key)
    if (row !== undefined) {
      for (const recipient of decodeRecipients(row).recipients)
        store.remove(Table.Flights, position, recipient.sessionNumber, 0)
    }
    store.remove(Table.Messages, position, 0, key)
  }

  #sweepSome(batch: Batch): void {
    let left = SWEEP_ROWS
    while (left > 0 && this.#sweeps.length > 0) {
      const sweep = this.#sweeps[0]!
      for (let row = sweep.next(); ; row = sweep.next()) {
        if (row === null) {
          this.#sweeps.shift()
          break
        }
        this.#removeRow(batch, row.position, sweep.session.number, row.key, row.isMulti, true)
        batch.swept.push({ session: sweep.session, entry: row })
        if (--left === 0) break
      }
    }
    if (this.#sweeps.length > 0) this.#lazy()
  }

  #done(batch: Batch): void {
    this.notedMs = batch.nowMs
    this.#batchBytes = 0
    this.#storedBytes += batch.storedBytes
    if (this.isFailing) {
      this.isFailing = false
      this.observer?.['store.recovered']?.({})
    }
    for (const row of batch.rows) {
      const { first, others } = row
      if (first === null) continue
      row.forEach(stored)
      row.forget()
      this.#isSafe(row)
      first.session!.queue.noteStored()
      if (others !== null) for (const delivery of others) delivery.session!.queue.noteStored()
    }
    for (const gated of batch.gated) this.#faults.complete(gated)
  }

  /** Nothing of the batch is in the store: all of it belongs to the next one. */
  #failed(batch: Batch, error: Error): void {
    const wasFailing = this.isFailing
    if (!wasFailing) this.observer?.['store.failed']?.({ error })
    this.isFailing = true
    this.#batchBytes = 0
    this.#changes = [...batch.changes, ...this.#changes]
    for (const { table, value } of batch.changes)
      if (table === Table.Retained && value !== null) this.#retainedBytes += value.length
    this.#gated = [...batch.gated, ...this.#gated]
    this.#removals = [...batch.removals, ...this.#removals]
    for (const { isMulti, position } of batch.removals) if (isMulti) this.#recount(position)
    for (const { session, entry } of batch.swept) {
      if (entry.isMulti) this.#recount(entry.position)
      const again = [entry]
      this.#sweeps.push({ session, next: () => again.pop() ?? null })
    }
    for (const delivery of batch.flights) {
      if (delivery.isFlightChanged || delivery.rowState === RowState.Done) continue
      delivery.isFlightChanged = true
      this.#flights.push(delivery)
    }
    for (const { session, packetId } of batch.receipts) session?.receivedRows?.stored.delete(packetId)
    const failedRows = new Set(batch.rows)
    // Who acknowledged meanwhile has no row to be removed.
    this.#removals = this.#removals.filter((delivery) => delivery.row === null || !failedRows.has(delivery.row))
    for (const row of batch.rows) {
      row.isUrgent = true
      row.undelivered = 0
      this.#backlogBytes += row.bytes
      this.#remaining.delete(row.position)
      row.forEach((delivery) => {
        if (delivery.rowState === RowState.Writing) delivery.rowState = RowState.Pending
        if (delivery.rowState === RowState.Pending) row.undelivered++
      })
      if (row.undelivered === 0) this.#isSafe(row)
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

  /** A recipient that was counted as gone is not. */
  #recount(position: number): void {
    this.#remaining.set(position, (this.#remaining.get(position) ?? 0) + 1)
  }

  /** Publishers go on when enough has been written, or acknowledged before. */
  #releaseHeldBack(): void {
    if (this.#overloaded.length === 0 || this.#waitingBytes > BACKLOG_BYTES_MAX) return
    const released = this.#overloaded
    this.#overloaded = []
    for (const gated of released) this.#faults.complete(gated)
  }

  /** All durable recipients have it, on disk or for themselves. */
  #isSafe(row: MessageRow): void {
    if (row.first !== null) {
      // Elided: never written.
      this.#backlogBytes -= row.bytes
      row.forget()
    }
    const { receipt } = row.message
    if (receipt !== null) while (receipt.row?.isOpen === false) receipt.row = receipt.row.extra
    if (row.message.row === row) row.message.row = row.extra
    const { pledge } = row
    row.pledge = null
    if (pledge !== null) this.#faults.complete(pledge)
  }
}

function stored(delivery: Delivery): void {
  if (delivery.rowState === RowState.Writing) delivery.rowState = RowState.Stored
  delivery.row = null
}
