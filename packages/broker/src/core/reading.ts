/**
 * Whether a connection is read at the moment: what stops it, what lets it go on, and how much of a turn it may use.
 *
 * Each bit of `Stop` has its own reason to stop and to go on: a decision that takes time (an asynchronous hook, a disk that does not
 * keep up), a client that does not read our answers, a rate limit (`Throttle`), the end of its share of a turn. A stopped
 * connection does not read from its socket, so TCP holds the client back, and order survives.
 *
 * Called by `Connection` for chunks and packets, by the `handle…` functions for decisions and for packets that are the work of
 * many, by `Turn` and `Throttle`.
 *
 * Invariant: while a bit is set the transport of an open connection is paused; when the last is cleared it goes on.
 */
import { ReasonCode } from '@recado/protocol'
import type { Connection } from './connection.ts'
import type { Outbox } from './outbox.ts'
import { type Throttle, type Throttled, throttleFor } from './throttle.ts'
import type { Latecomer } from './turn.ts'

const Stop = { Decision: 1, Reader: 2, Rate: 4, Turn: 8 } as const

/**
 * Packets of one connection that are handled in one turn. A socket hands in up to 2 MB at a time, which are a million
 * PINGREQ: everybody else would wait for them.
 */
const PACKETS_A_TURN = 2_000
/** Acknowledgements of unknown identifiers that a connection may send: from the first number on they count for `messagesPerSecondMax`. */
const STRAYS_FREE = 1_000
const STRAYS_MAX = 65_535

export class Reading implements Throttled, Latecomer {
  readonly #connection: Connection
  readonly #outbox: Outbox
  /** null: no rate limit. */
  readonly #throttle: Throttle | null
  /** Bits of `Stop`. */
  #stops = 0
  /** At this count of all packets its share of the turn `#lastTurn` is used up. */
  #lastPacket = 0
  #packetsLeft = PACKETS_A_TURN
  #lastTurn = 0
  /** Acknowledgements of what nobody has sent, less those of what somebody has. */
  #strayAcknowledgements = 0

  constructor(connection: Connection, outbox: Outbox) {
    this.#connection = connection
    this.#outbox = outbox
    this.#throttle = throttleFor(this, connection.limits, connection.core)
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
    if (this.#throttle !== null) this.#throttle.noteBytes(count)
  }

  /** Packets are about to be read. `packetsReceived` counts those of all connections, here and below. */
  begin(packetsReceived: number): void {
    const { turn } = this.#connection.core
    if (this.#lastTurn !== turn.number) {
      this.#lastTurn = turn.number
      this.#packetsLeft = PACKETS_A_TURN
    }
    this.#lastPacket = packetsReceived + this.#packetsLeft
  }

  /** A packet has been handled. False: no more for now. */
  goesOn(packetType: number, packetsReceived: number): boolean {
    const connection = this.#connection
    const throttle = this.#throttle
    if (throttle !== null) throttle.notePacket(packetType)
    if (this.#stops !== 0 || !connection.isOpen) return false
    if (throttle?.check()) return false
    const outbox = this.#outbox
    if (outbox.isBlocked && outbox.waitingBytes > 2 * connection.limits.outputBytesMax) {
      // Messages have stopped long before; this is a client that asks, and does not read the answers.
      this.#stop(Stop.Reader)
      return false
    }
    if (packetsReceived >= this.#lastPacket) {
      this.#stop(Stop.Turn)
      connection.core.turn.postpone(this)
      return false
    }
    return true
  }

  /** All whole packets have been handled; also what is not a packet yet has come in. */
  checkRate(): void {
    if (this.#throttle !== null && this.#connection.isOpen) this.#throttle.check()
  }

  /** What is left of its share counts for the next chunk of this turn. */
  noteShare(packetsReceived: number): void {
    this.#packetsLeft = this.#lastPacket - packetsReceived
  }

  /** A packet is the work of so many more: each Topic Filter of a SUBSCRIBE counts, in a turn and for rate limits. */
  spend(packets: number): void {
    this.#lastPacket -= packets
    this.#throttle?.spend(packets)
  }

  /** Its message was the work of so many more for the broker, which is nobody's rate but this connection's turn. */
  tookWork(packets: number): void {
    this.#lastPacket -= packets
  }

  /**
   * An acknowledgement of an identifier that is not in use. Some are left over from a lost session, as many as there are identifiers;
   * somebody who sends more of them than of others keeps us busy for nothing, and no rate counts acknowledgements.
   */
  noteStray(): void {
    const { metrics } = this.#connection.core
    metrics.unknownPacketIds++
    this.#strayAcknowledgements++
    if (this.#strayAcknowledgements > STRAYS_FREE) this.spend(1)
    if (this.#strayAcknowledgements <= STRAYS_MAX) return
    metrics.rateDisconnects++
    this.#connection.closeWith(
      ReasonCode.MessageRateTooHigh,
      `more than ${STRAYS_MAX} acknowledgements of what was not sent`,
    )
  }

  /** One that is right makes up for one that was not. */
  noteRightAcknowledgement(): void {
    if (this.#strayAcknowledgements > 0) this.#strayAcknowledgements--
  }

  // --- reasons to stop, and to go on --------------------------------------------------------------------------------

  /** A decision is awaited: until `resume`, or `Connection.decided`. */
  pause(): void {
    this.#stop(Stop.Decision)
  }

  /** Goes on with what has arrived meanwhile. */
  resume(): void {
    this.#go(Stop.Decision)
  }

  /** The decision is there; `goOn` follows when it has been acted upon. True: it was awaited. */
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

  /** The next turn has begun. */
  goOnInNextTurn(): void {
    this.#go(Stop.Turn)
  }

  /** Not read for so long: its listener has a rate of new connections. */
  wait(ms: number): void {
    this.#throttle!.wait(ms)
  }

  /** A throttle's: over a rate. */
  holdForRate(): void {
    this.#connection.core.metrics.rateHolds++
    this.#stop(Stop.Rate)
  }

  releaseFromRate(): void {
    this.#go(Stop.Rate)
  }

  endForRate(): void {
    const { core, limits } = this.#connection
    core.metrics.rateDisconnects++
    this.#connection.closeWith(ReasonCode.MessageRateTooHigh, `over a rate limit for ${limits.rateGraceMs} ms`)
  }

  /** The transport has closed. */
  end(): void {
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
