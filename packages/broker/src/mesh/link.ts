/**
 * A link to one other Core: numbered records in both directions, each handled there once and in order, as long as both
 * processes live.
 *
 * What a record belongs to is its key: source Core, source epoch, destination Core, destination epoch, number. An epoch
 * grows with each process of a Core. When the other Core has a new one, the link begins anew: a snapshot of what it must
 * know, then the messages that its predecessor has not acknowledged, in their order. Acknowledgements are cumulative:
 * `received` (it need not come again) and `safe` (its rows are on the disk, or its sessions have it). What is not
 * received is sent again after a while, or when the other side says that something is missing.
 *
 * `Mesh` has one for each other Core and handles the records. Invariants: a record is handled when all before it have
 * been; what cannot be handled is never skipped in silence, but reported by `Failed` before it counts as safe; a frame of
 * an earlier process changes nothing.
 */
import { ByteWriter } from '@recado/protocol'
import type { Context } from '../core/base/context.ts'
import type { Gated } from '../core/base/faults.ts'
import { Timer } from '../core/base/timer-wheel.ts'
import type { Forward } from '../core/journal/forward.ts'
import type { PendingAnswer } from '../core/journal/pending-ack.ts'
import type { Bus } from '../ports.ts'
import { ASK, type Frame, HEAD_BYTES, RESEND, RecordType, writeHead } from './frame.ts'
import { MessageReader, numberRecord } from './records.ts'

/** Milliseconds after which what has not been received is sent again; doubled each time until something comes. */
const RESEND_MS = 300
const RESEND_MS_MAX = 5_000
/** Bytes that may be on their way, not received yet. */
const WINDOW_BYTES = 1024 * 1024
/** Bytes of a frame, unless one record is longer. */
const FRAME_BYTES = 64 * 1024
/** Bytes of messages at QoS 0 of one turn; more are dropped. */
const ONCE_BYTES_MAX = 1024 * 1024
/** Places before the head of the queue after which they are given back. */
const DONE_PLACES_MAX = 1_024

/** A record until it is safe there. */
interface OutRecord {
  readonly bytes: Uint8Array
  /** Message that it carries; null for what a snapshot says as well. */
  readonly forward: Forward | null
  /** Called when it has been received; null: nobody waits for that. */
  readonly onReceived: (() => void) | null
}

/** `Mesh`, as its links see it. */
export interface LinkOwner {
  readonly id: number
  readonly epoch: number
  /** The other Core is another process: whatever was between this one and its predecessor is over. */
  begins(link: Link): void
  /** Pushes all records that the other Core must have first. */
  pushSnapshot(link: Link): void
  /** Handles a numbered record; calls `link.done` when it is safe. `behindMs`: our time less the sender's. */
  handle(link: Link, number: number, type: number, body: Uint8Array, behindMs: number): void
  /** Handles a message at QoS 0. */
  handleOnce(link: Link, body: Uint8Array, behindMs: number): void
  /** Whether records may be taken now; `gated` opens when they may again. */
  holdsBack(gated: Gated): boolean
  /** Something of this link has become safe. */
  onSafe(): void
}

export class Link {
  /** Number of the other Core. */
  readonly core: number
  readonly reader: MessageReader = new MessageReader()
  readonly #owner: LinkOwner
  readonly #context: Context
  readonly #bus: Bus
  readonly #writer: ByteWriter = new ByteWriter(FRAME_BYTES)
  readonly #timer: Timer
  /** Epoch of the other Core; 0: not known yet. */
  #peerEpoch = 0
  /** Grows when the link begins anew. */
  #incarnation = 0
  /** Whether the other Core has answered to this process in its present epoch. */
  isEstablished = false
  /** Records that are not safe, from `#head` on; the first has the number `#safe + 1`. */
  #queue: OutRecord[] = []
  #head = 0
  #safe = 0
  /** Numbers of the last record that has been sent, and that has been received. */
  #sent = 0
  #received = 0
  /** Bytes of records that are not safe, and of those on their way. */
  bytes = 0
  #sentBytes = 0
  /** Answers that wait until a record has been received, in the order of the numbers. */
  #waiting: { number: number; gated: Gated }[] = []
  #once: Uint8Array[] = []
  #onceBytes = 0
  #pauseMs = RESEND_MS
  #isSpeaking = false
  /** Next number of the other direction, and the last one that is safe with all before it. */
  #next = 1
  #safeHere = 0
  readonly #doneHere: Set<number> = new Set()
  /** Something is missing, and the other side has not been told. */
  #isMissing = false
  /** The other side has been told, and nothing has come since. */
  #isToldMissing = false
  #isHeldBack = false
  /** The other side is to say how far it has come: what it said may be lost. */
  #asks = false

  constructor(core: number, owner: LinkOwner, context: Context, bus: Bus) {
    this.core = core
    this.#owner = owner
    this.#context = context
    this.#bus = bus
    this.#timer = new Timer(() => this.#timedOut())
  }

  // --- what is to be sent -------------------------------------------------------------------------------------------

  /** Sends a record, and again until it is received. */
  push(bytes: Uint8Array, forward: Forward | null = null, onReceived: (() => void) | null = null): void {
    this.#queue.push({ bytes, forward, onReceived })
    this.bytes += bytes.length
    this.speak()
  }

  /** Sends a message at QoS 0, once. Returns false when it is dropped. */
  pushOnce(bytes: Uint8Array): boolean {
    if (!this.isEstablished || this.#onceBytes + bytes.length > ONCE_BYTES_MAX) return false
    this.#once.push(bytes)
    this.#onceBytes += bytes.length
    this.speak()
    return true
  }

  /** Makes an answer wait until all records so far have been received. */
  confirm(answer: PendingAnswer): void {
    // A process that has not answered yet lets nobody in before it has the snapshot, which is among them.
    if (this.#received === this.#last) return
    answer.waits++
    this.#waiting.push({ number: this.#last, gated: answer })
  }

  /** Number of the last record. */
  get #last(): number {
    return this.#safe + this.#queue.length - this.#head
  }

  #at(number: number): OutRecord | undefined {
    return this.#queue[this.#head + number - this.#safe - 1]
  }

  /** Says something at the end of this turn, at least how far it has come. */
  speak(): void {
    if (this.#isSpeaking) return
    this.#isSpeaking = true
    this.#context.turn.add(this)
  }

  fault(where: string, error: unknown): void {
    this.#context.faults.note(where, error)
  }

  /** Writes one frame, or several when there is much. The turn calls it. */
  flush(): void {
    this.#isSpeaking = false
    const { turn, wheel } = this.#context
    do this.#writeFrame()
    while (this.#hasMore)
    if (this.#isWaiting && !this.#timer.isSet) wheel.set(this.#timer, turn.nowMs + this.#pauseMs)
  }

  /** Whether something has to come, which may be lost. */
  get #isWaiting(): boolean {
    return !this.isEstablished || this.#safe < this.#sent
  }

  /** Whether a record is there to be sent, and the window has room for it. */
  get #hasMore(): boolean {
    if (this.#peerEpoch === 0 || this.#sent === this.#last) return false
    return this.#sentBytes === 0 || this.#sentBytes + this.#at(this.#sent + 1)!.bytes.length <= WINDOW_BYTES
  }

  #writeFrame(): void {
    const writer = this.#writer
    writer.reset()
    const { id, epoch } = this.#owner
    writeHead(writer, {
      ...{ from: id, to: this.core, fromEpoch: epoch, toEpoch: this.#peerEpoch },
      flags: (this.#isMissing ? RESEND : 0) | (this.#asks ? ASK : 0),
      nowMs: this.#context.turn.nowMs,
      received: this.#next - 1,
      safe: this.#safeHere,
      first: this.#sent + 1,
    })
    this.#isToldMissing ||= this.#isMissing
    this.#isMissing = false
    this.#asks = false
    while (this.#hasMore) {
      const { bytes } = this.#at(this.#sent + 1)!
      if (writer.length > HEAD_BYTES && writer.length + bytes.length > FRAME_BYTES) break
      writer.raw(bytes, 0, bytes.length)
      this.#sent++
      this.#sentBytes += bytes.length
    }
    for (const bytes of this.#once) writer.raw(bytes, 0, bytes.length)
    this.#once = []
    this.#onceBytes = 0
    this.#bus.send(this.core, writer.bytes.subarray(0, writer.length))
  }

  #timedOut(): void {
    if (!this.#isWaiting) return
    this.#pauseMs = Math.min(2 * this.#pauseMs, RESEND_MS_MAX)
    this.#asks = true
    this.#sendAgain()
  }

  /** Sends again what has not been received. */
  #sendAgain(): void {
    this.#sent = this.#received
    this.#sentBytes = 0
    this.speak()
  }

  // --- what has come ------------------------------------------------------------------------------------------------

  onFrame({ head, records }: Frame): void {
    const { fromEpoch, toEpoch, flags, received, safe } = head
    // Of a process that is gone.
    if (fromEpoch < this.#peerEpoch) return
    if (fromEpoch > this.#peerEpoch) this.#begin(fromEpoch)
    if (toEpoch !== this.#owner.epoch) {
      // It does not know this process: it is told.
      this.speak()
      return
    }
    this.isEstablished = true
    this.#acknowledged(received, safe)
    if ((flags & RESEND) !== 0) this.#sendAgain()
    if ((flags & ASK) !== 0) this.speak()
    const behindMs = this.#context.turn.nowMs - head.nowMs
    let number = head.first
    for (const { type, body } of records) {
      if (type >= RecordType.Once) this.#takeOnce(body, behindMs)
      else this.#take(number++, type, body, behindMs)
    }
  }

  /** The other Core is another process now, which knows nothing of this one. */
  #begin(peerEpoch: number): void {
    const kept = this.#queue.slice(this.#head).filter(({ forward }) => forward !== null)
    this.#peerEpoch = peerEpoch
    this.#incarnation++
    this.isEstablished = false
    this.#next = 1
    this.#safeHere = 0
    this.#doneHere.clear()
    this.#isMissing = false
    this.#isToldMissing = false
    this.#queue = []
    this.#head = 0
    this.#safe = 0
    this.#sent = 0
    this.#received = 0
    this.#sentBytes = 0
    this.bytes = 0
    this.#once = []
    this.#onceBytes = 0
    this.#pauseMs = RESEND_MS
    this.#owner.begins(this)
    this.#owner.pushSnapshot(this)
    // What the predecessor was told, or was to be told, the snapshot says.
    for (const waiting of this.#waiting) waiting.number = this.#last
    for (const { bytes, forward } of kept) this.push(bytes, forward)
    this.speak()
  }

  #acknowledged(received: number, safe: number): void {
    if (received > this.#last) {
      this.fault('mesh', new Error(`Core ${this.core} has received record ${received} of ${this.#last}`))
      return
    }
    const receivedBefore = this.#received
    if (received > receivedBefore) {
      this.#received = received
      for (let number = receivedBefore + 1; number <= received; number++) {
        const { bytes, onReceived } = this.#at(number)!
        if (number <= this.#sent) this.#sentBytes -= bytes.length
        onReceived?.()
      }
      this.#sent = Math.max(this.#sent, received)
      this.#confirm()
      if (this.#hasMore) this.speak()
    }
    const hasProgress = received > receivedBefore || this.#safe < safe
    while (this.#safe < safe) {
      const { bytes, forward } = this.#queue[this.#head]!
      this.#queue[this.#head++] = DONE
      this.#safe++
      this.bytes -= bytes.length
      if (forward !== null) this.#tell(forward)
    }
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head >= DONE_PLACES_MAX && 2 * this.#head > this.#queue.length) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
    if (hasProgress) this.#restTimer()
    this.#owner.onSafe()
  }

  /** Something has come: what is still missing is asked for a while from now. */
  #restTimer(): void {
    this.#pauseMs = RESEND_MS
    const { turn, wheel } = this.#context
    if (this.#isWaiting) wheel.set(this.#timer, turn.nowMs + RESEND_MS)
    else wheel.clear(this.#timer)
  }

  /** Tells a message that it is safe there. What that leads to ends nothing else. */
  #tell(forward: Forward): void {
    try {
      forward.acknowledged()
    } catch (error) {
      this.fault('mesh', error)
    }
  }

  #confirm(): void {
    let count = 0
    while (count < this.#waiting.length && this.#waiting[count]!.number <= this.#received) count++
    for (const { gated } of this.#waiting.splice(0, count)) this.#context.faults.complete(gated)
  }

  #takeOnce(body: Uint8Array, behindMs: number): void {
    try {
      this.#owner.handleOnce(this, body, behindMs)
    } catch (error) {
      this.fault('mesh', error)
    }
  }

  #take(number: number, type: number, body: Uint8Array, behindMs: number): void {
    this.speak()
    if (number < this.#next) return
    if (number > this.#next) {
      if (!this.#isToldMissing && !this.#isHeldBack) this.#isMissing = true
      return
    }
    if (this.#isHeldBack || this.#holdsBack()) return
    this.#next++
    this.#isToldMissing = false
    const incarnation = this.#incarnation
    try {
      this.#owner.handle(this, number, type, body, behindMs)
    } catch (error) {
      this.fault('mesh', error)
      if (incarnation !== this.#incarnation) return
      // It counts as safe when the other side knows that it is not.
      this.push(numberRecord(RecordType.Failed, number), null, () => this.done(incarnation, number))
    }
  }

  /** The disk does not keep up: what comes is not taken, and comes again. */
  #holdsBack(): boolean {
    this.#isHeldBack = this.#owner.holdsBack({
      owner: this,
      onSafe: () => {
        this.#isHeldBack = false
        this.#isMissing = true
        this.speak()
      },
    })
    return this.#isHeldBack
  }

  get incarnation(): number {
    return this.#incarnation
  }

  /** A record of the other direction is safe. */
  done(incarnation: number, number: number): void {
    if (incarnation !== this.#incarnation) return
    if (number === this.#safeHere + 1) this.#safeHere++
    else this.#doneHere.add(number)
    while (this.#doneHere.size > 0 && this.#doneHere.delete(this.#safeHere + 1)) this.#safeHere++
    this.speak()
  }

  /** A record of ours could not be given to all who should have it. */
  failed(number: number): void {
    this.#at(number)?.forward?.failed(new Error(`Core ${this.core} could not deliver a message`))
  }
}

const DONE: OutRecord = { bytes: new Uint8Array(0), forward: null, onReceived: null }
