/**
 * A turn: everything that happens between the first input of an event-loop iteration and its end.
 *
 * Work is done once per turn instead of once per packet: the clock is read once, and every connection with packets to
 * send is written to once. Every input from outside (a chunk, a timer, a decision, a call of the embedder) begins the
 * turn; the clock's `defer` ends it.
 *
 * Where chunks come one by one, each in its own iteration, nothing can be gathered and the callback that ends the turn
 * is a tenth of all work. So after `ALONE` turns of one chunk each the next ones end with their chunk, and only two
 * after every `ALONE` wait for more chunks, to find out whether that is still so. This decides how soon packets are
 * written, never which or in which order.
 *
 * All connections share the work of one iteration: `TURN_WORK` units, about a microsecond or less each. A connection
 * that finds them used up, or has had its own share, waits in line and goes on in the next turns, in the order of the
 * line; sockets are read and written in between. The longer the line, the smaller each share, so that no connection
 * waits for more than a few turns. One with few bytes does not wait in line (`ReadGate`): that is work ahead of the
 * allowance, at most as much again.
 *
 * New connections have a line of their own: a session that is resumed costs as much as hundreds of packets, and when
 * thousands come back at once, only `NEWCOMERS_MAX` of them begin in an iteration (`admit`).
 *
 * An error in one of the called objects ends that one only (`Faulty`).
 *
 * Invariants: a connection with unsent bytes that is not blocked is in `#speakers`; a turn that has begun ends.
 */
import type { Clock } from '../../ports.ts'
import type { Faults, Faulty } from './faults.ts'

/** Turns of one chunk until the next ones end with theirs; and how many of those until two wait for company. */
export const ALONE = 32
/**
 * Work units of all connections in an iteration of the event loop, a unit being a packet or as much work: some
 * milliseconds.
 */
export const TURN_WORK = 8_000
/**
 * Work of one connection in a turn where nobody is in line. A socket hands in up to 2 MB at a time, which are a million PINGREQ: everybody else would wait for
 * them.
 */
const SHARE_MAX = 2_000
/** Connections that may begin to be read in an iteration. */
export const NEWCOMERS_MAX = 16
/** Places for connections with packets to send that are kept from turn to turn. */
const SPEAKERS_KEPT = 1_024
/** Work of one connection in a turn, however long the line is. */
export const SHARE_MIN = 16

interface Speaker extends Faulty {
  flush(): void
}

export interface Latecomer extends Faulty {
  goOnInNextTurn(): void
}

export class Turn {
  readonly #clock: Clock
  /** Connections with packets to send, `#speakers[0 .. #speakerCount)`; null behind them, so that nothing is held. */
  #speakers: (Speaker | null)[] = []
  #speakerCount = 0
  #spare: (Speaker | null)[] = []
  /** Connections in line, in the order in which they continue. */
  #latecomers: Latecomer[] = []
  /** New connections in line, in the order in which they came. */
  #newcomers: Latecomer[] = []
  /** New connections that may still begin in this iteration. */
  #admissions = NEWCOMERS_MAX
  #isResumeDue = false
  #open = false
  /** Chunks of this turn. */
  #chunks = 0
  /** Turns in a row that had one chunk and nothing else. */
  #alone = 0
  readonly #end: () => void
  readonly #resume: () => void
  readonly #endTurn: (() => void) | null
  /** Number of the turn. */
  number = 0
  /** The time of this turn. */
  nowMs: number
  /** Work that is left for this iteration; below 0: so much has been done ahead. */
  workLeft: number = TURN_WORK
  /** Work of one connection in this turn. */
  share: number = SHARE_MAX

  /**
   * @param endTurn the steps at the end of a turn, in their order (`Core.endTurn`); null for `flush`, then
   * `measureLine`
   */
  constructor(clock: Clock, faults: Faults, endTurn: (() => void) | null = null) {
    this.#clock = clock
    this.#endTurn = endTurn
    this.nowMs = clock.nowMs()
    this.#end = () => {
      try {
        this.end()
      } catch (error) {
        // Or no turn would ever begin again.
        this.#open = false
        faults.note('end of a turn', error)
      }
      // Only here has an iteration ended: several turns of one chunk each may have been in it.
      this.workLeft = TURN_WORK
      // Who stands in line comes before who comes now.
      this.#admissions = this.#newcomers.length === 0 ? NEWCOMERS_MAX : 0
    }
    this.#resume = () => this.#goOn()
  }

  /** Begins a turn, unless one is open. Every input calls it. */
  begin(): void {
    if (this.#open) return
    this.#open = true
    this.number++
    this.nowMs = this.#clock.nowMs()
    this.#clock.defer(this.#end)
  }

  /** Begins a turn for a chunk of a connection. True: the chunk is the whole turn, and the connection calls `end`. */
  beginChunk(): boolean {
    if (this.#open) {
      this.#chunks++
      return false
    }
    // The end of the iteration tells how much many turns of it have done together.
    if (this.#alone < ALONE || this.workLeft < TURN_WORK / 2) {
      this.begin()
      this.#chunks = 1
      return false
    }
    // Two turns then have to wait: the first may have come in late, the second sees a whole iteration.
    this.#alone = this.#alone === 2 * ALONE ? ALONE - 2 : this.#alone + 1
    this.#open = true
    this.number++
    this.nowMs = this.#clock.nowMs()
    return true
  }

  /** The speaker is flushed once when the turn ends. */
  add(speaker: Speaker): void {
    this.begin()
    // The arrays keep their length: to empty and fill them is two calls of V8's runtime in every turn.
    this.#speakers[this.#speakerCount++] = speaker
  }

  /** Goes on in one of the next turns, when every other connection with input has been read once. */
  postpone(latecomer: Latecomer): void {
    this.begin()
    this.#latecomers.push(latecomer)
  }

  /** Returns whether a new connection may begin now. Otherwise it stands in line, and goes on in one of the next turns. */
  admit(newcomer: Latecomer): boolean {
    if (this.#admissions > 0) {
      this.#admissions--
      return true
    }
    this.begin()
    this.#newcomers.push(newcomer)
    return false
  }

  /** Lets those in line go on, as far as the work of this iteration goes: at least half of it is theirs. */
  #goOn(): void {
    this.#isResumeDue = false
    // Else the turn is that of the sockets, and ends by itself.
    const isTurn = !this.#open
    if (isTurn) {
      this.#open = true
      this.number++
      this.nowMs = this.#clock.nowMs()
    }
    this.#admissions = NEWCOMERS_MAX
    if (this.#newcomers.length > 0) {
      for (const newcomer of this.#newcomers.splice(0, NEWCOMERS_MAX)) this.#letGoOn(newcomer)
    }
    const line = this.#latecomers
    this.#latecomers = []
    this.workLeft = Math.max(this.workLeft, TURN_WORK / 2)
    let i = 0
    for (; i < line.length && this.workLeft > 0; i++) this.#letGoOn(line[i]!)
    if (i < line.length) this.#latecomers = line.slice(i).concat(this.#latecomers)
    if (isTurn) this.#end()
  }

  #letGoOn(latecomer: Latecomer): void {
    try {
      latecomer.goOnInNextTurn()
    } catch (error) {
      latecomer.fault('go on', error)
    }
  }

  end(): void {
    this.#open = false
    if (this.#chunks === 1) this.#alone++
    else if (this.#chunks > 1) this.#alone = 0
    this.#chunks = 0
    if (this.#endTurn !== null) {
      this.#endTurn()
    } else {
      this.flush()
      this.measureLine()
    }
  }

  /** Writes to every connection that has something to say. */
  flush(): void {
    const speakers = this.#speakers
    const count = this.#speakerCount
    this.#speakers = this.#spare
    this.#speakerCount = 0
    for (let i = 0; i < count; i++) {
      const speaker = speakers[i]!
      speakers[i] = null
      try {
        speaker.flush()
      } catch (error) {
        speaker.fault('flush', error)
      }
    }
    if (count > SPEAKERS_KEPT) speakers.length = 0
    this.#spare = speakers
  }

  /** Computes the share of those in line, and lets them go on after the sockets have been read. */
  measureLine(): void {
    const waiting = this.#latecomers.length
    this.share = waiting === 0 ? SHARE_MAX : Math.min(SHARE_MAX, Math.max(SHARE_MIN, Math.floor(TURN_WORK / waiting)))
    if ((waiting === 0 && this.#newcomers.length === 0) || this.#isResumeDue) return
    this.#isResumeDue = true
    // Only now: a callback that is deferred while sockets are being read still belongs to this turn.
    this.#clock.defer(this.#resume)
  }
}
