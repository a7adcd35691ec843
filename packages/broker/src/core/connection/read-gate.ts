/**
 * The read gate of a connection: whether it is read at the moment, what stops it, what lets it go on, and how much of a turn it may use.
 *
 * Each bit of `Stop` has its own reason to stop and to go on: a decision that takes time (an asynchronous hook, a disk that does not
 * keep up), a client that does not read our answers, a rate limit (`Throttle`), the end of its share of a turn. A stopped
 * connection does not read from its socket, so TCP holds the client back, and order survives.
 *
 * Called by `Connection` for chunks and packets, by the `handle…` functions for decisions and for packets that are the work of
 * many, by `Turn` and `Throttle`.
 *
 * What it may do in a turn is the smallest of its share of this turn and what all others have left of it (`Turn`). A packet that is the work of many is
 * interrupted when that is used up, and its rest comes first when the connection goes on.
 *
 * Invariant: while a bit is set the transport of an open connection is paused; when the last is cleared it goes on.
 */
import { type Packet, ReasonCode } from '@recado/protocol'
import type { Context } from '../base/context.ts'
import type { Faulty } from '../base/faults.ts'
import type { Limits } from '../base/limits.ts'
import { type Latecomer, SHARE_MIN, TURN_WORK } from '../base/turn.ts'
import type { AcknowledgementCount } from '../session/outlet.ts'
import type { Outbox } from './outbox.ts'
import { type ListenerThrottles, type Throttle, type Throttled, throttleFor } from './throttle.ts'

const Stop = { Decision: 1, Reader: 2, Rate: 4, Turn: 8 } as const

/** Bytes that a connection may send without standing in line behind those who have sent much. */
const LIGHT_BYTES = 2_048
/** Acknowledgements of unknown identifiers that a connection may send: from the first number on they count for `messagesPerSecondMax`. */
const STRAYS_FREE = 1_000
const STRAYS_MAX = 65_535

/** The connection that is read, or not. */
export interface GatedConnection extends Faulty {
  readonly listener: string
  readonly limits: Limits
  readonly transport: { pause(): void }
  readonly isOpen: boolean
  /** Goes on with bytes that have arrived meanwhile. */
  readOn(): void
  /** Goes on with a packet that has been interrupted. */
  workOn(action: () => void): void
  closeWith(reasonCode: ReasonCode, why: string): void
}

export class ReadGate implements Throttled, Latecomer, AcknowledgementCount {
  readonly #connection: GatedConnection
  readonly #context: Context
  readonly #outbox: Outbox
  /** Throttle; null without a rate limit. */
  readonly #throttle: Throttle | null
  /** Bits of `Stop`. */
  #stops = 0
  /** Count of all packets at which its work for now is used up. */
  #lastPacket = 0
  /** So much it was when that began. */
  #share = 0
  /** Work that is left for it in the turn `#lastTurn`. */
  #workLeft = 0
  #lastTurn = 0
  /** Whether none of its packets has been handled yet. */
  #isNew = true
  /** The rest of a packet that is the work of many; before all else when it goes on. */
  #rest: (() => void) | null = null
  /** Number of acknowledgements without a message, less the number of those with one. */
  #strayAcknowledgements = 0

  constructor(connection: GatedConnection, outbox: Outbox, context: Context, throttles: ListenerThrottles) {
    this.#connection = connection
    this.#context = context
    this.#outbox = outbox
    this.#throttle = throttleFor(this, connection.limits, context, throttles)
  }

  get listener(): string {
    return this.#connection.listener
  }

  get isStopped(): boolean {
    return this.#stops !== 0
  }

  /** The client's silence is our doing. */
  get isHeldBack(): boolean {
    return (this.#stops & (Stop.Decision | Stop.Rate)) !== 0
  }

  // --- what comes in ------------------------------------------------------------------------------------------------

  noteBytes(count: number): void {
    this.#outbox.bytesReceived += count
    if (this.#throttle !== null) this.#throttle.noteBytes(count)
  }

  /**
   * Begins to read packets, of so many bytes. `packetsReceived` counts those of all connections, here and below.
   * Returns false when others have used up this turn.
   */
  begin(packetsReceived: number, bytes: number): boolean {
    const { turn } = this.#context
    if (this.#isNew && !turn.admit(this)) {
      this.#stop(Stop.Turn)
      return false
    }
    if (this.#lastTurn !== turn.number) {
      this.#lastTurn = turn.number
      this.#workLeft = turn.share
    }
    let share = turn.workLeft
    if (share <= 0) {
      if (bytes > LIGHT_BYTES || share <= -TURN_WORK) {
        this.postpone()
        return false
      }
      share = SHARE_MIN
    }
    if (this.#workLeft < share) share = this.#workLeft
    this.#share = share
    this.#lastPacket = packetsReceived + share
    return true
  }

  /** Notes that a packet has been handled. Returns false when no more may be handled now. */
  goesOn(packet: Packet, packetsReceived: number): boolean {
    const connection = this.#connection
    const throttle = this.#throttle
    // The type is read for a throttle only: packets have many shapes, so reading a field of any packet is a search.
    if (throttle !== null) throttle.notePacket(packet.type)
    if (this.#stops !== 0 || !connection.isOpen) return false
    if (throttle?.check()) return false
    const outbox = this.#outbox
    if (outbox.isBlocked && outbox.waitingBytes > 2 * connection.limits.outputBytesMax) {
      // Messages have stopped long before; this is a client that asks, and does not read the answers.
      this.#stop(Stop.Reader)
      return false
    }
    if (packetsReceived >= this.#lastPacket) {
      this.postpone()
      return false
    }
    return true
  }

  /** Checks the rates when all whole packets have been handled; the bytes of an incomplete one count too. */
  checkRate(): void {
    if (this.#throttle !== null && this.#connection.isOpen) this.#throttle.check()
  }

  /** Counts the work that has been done, for the next chunk of this turn and for all others. */
  end(packetsReceived: number): void {
    const done = this.#share - (this.#lastPacket - packetsReceived)
    this.#workLeft -= done
    if (done > 0) this.#isNew = false
    this.#context.turn.workLeft -= done
  }

  /** Stops the connection, whose share is used up, until one of the next turns. */
  postpone(): void {
    if ((this.#stops & Stop.Turn) !== 0) return
    this.#stop(Stop.Turn)
    this.#context.turn.postpone(this)
  }

  /** True: its share is used up. Asked in the middle of a packet that is the work of many. */
  get isUsedUp(): boolean {
    return this.#context.metrics.packetsReceived >= this.#lastPacket
  }

  /** Stops in the middle of a packet; `rest` is called when the connection goes on. */
  interrupt(rest: () => void): void {
    this.#rest = rest
    this.postpone()
  }

  /** A packet counts as so many more for rate limits: each Topic Filter of a SUBSCRIBE does. */
  spend(packets: number): void {
    this.#throttle?.spend(packets)
  }

  /** Counts a packet as the work of so many more for the turn of this connection, but not for a rate. */
  tookWork(packets: number): void {
    this.#lastPacket -= packets
  }

  /**
   * Notes an acknowledgement of an identifier that is not in use. Some are left over from a lost session, as many as
   * there are identifiers; a client that sends more of them than of others costs work for nothing, and no rate counts
   * acknowledgements.
   */
  noteStray(): void {
    const { metrics } = this.#context
    metrics.unknownPacketIds++
    this.#strayAcknowledgements++
    if (this.#strayAcknowledgements > STRAYS_FREE) {
      this.tookWork(1)
      this.spend(1)
    }
    if (this.#strayAcknowledgements <= STRAYS_MAX) return
    metrics.rateDisconnects++
    this.#connection.closeWith(
      ReasonCode.MessageRateTooHigh,
      `the client acknowledged more than ${STRAYS_MAX} messages that were not sent`,
    )
  }

  /** Counts an acknowledgement that is right, which makes up for one that was not. */
  noteRightAcknowledgement(): void {
    if (this.#strayAcknowledgements > 0) this.#strayAcknowledgements--
  }

  // --- reasons to stop, and to go on --------------------------------------------------------------------------------

  /** A decision is awaited: until `resume`, or `Connection.decided`. */
  pause(): void {
    this.#stop(Stop.Decision)
  }

  /** Goes on with bytes that have arrived meanwhile. */
  resume(): void {
    this.#go(Stop.Decision)
  }

  /** Notes the decision; `goOn` follows when it has been acted upon. Returns true when it was awaited. */
  noteDecision(): boolean {
    const wasPaused = (this.#stops & Stop.Decision) !== 0
    this.#stops &= ~Stop.Decision
    return wasPaused
  }

  goOn(): void {
    if (this.#stops === 0 && this.#connection.isOpen) this.#connection.readOn()
  }

  /** The client has read all that was handed to its transport. */
  drained(): void {
    if ((this.#stops & Stop.Reader) !== 0 && !this.#outbox.isBlocked) this.#go(Stop.Reader)
  }

  fault(where: string, error: unknown): void {
    this.#connection.fault(where, error)
  }

  /** Goes on, as the first in the line. */
  goOnInNextTurn(): void {
    const rest = this.#rest
    this.#rest = null
    if (rest === null || !this.#connection.isOpen) {
      this.#go(Stop.Turn)
      return
    }
    this.#stops &= ~Stop.Turn
    this.#connection.workOn(rest)
    this.goOn()
  }

  /** Stops reading for so many milliseconds: its listener has a rate of new connections. */
  wait(ms: number): void {
    this.#throttle!.wait(ms)
  }

  /** A throttle's: over a rate. */
  holdForRate(): void {
    this.#context.metrics.rateHolds++
    this.#stop(Stop.Rate)
  }

  goOnAfterRate(): void {
    this.#go(Stop.Rate)
  }

  endForRate(): void {
    const { limits } = this.#connection
    this.#context.metrics.rateDisconnects++
    this.#connection.closeWith(
      ReasonCode.MessageRateTooHigh,
      `the client was over a rate limit for ${limits.rateGraceMs} ms`,
    )
  }

  /** The transport has closed. */
  close(): void {
    this.#rest = null
    this.#throttle?.stop()
  }

  #stop(reason: number): void {
    if (this.#stops === 0) this.#connection.transport.pause()
    this.#stops |= reason
  }

  #go(reason: number): void {
    if ((this.#stops & reason) === 0 || !this.#connection.isOpen) return
    this.#stops &= ~reason
    this.goOn()
  }
}
