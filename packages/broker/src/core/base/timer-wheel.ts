/**
 * All timers of a broker: keep alive, CONNECT timeout, delayed Wills, session expiry.
 *
 * A hashed wheel of 1,024 slots of 100 ms; a timer further away than one round is met once a round and put back. Setting,
 * moving and clearing cost O(1) and no allocation: the timer is a link that its owner holds. The clock's single alarm
 * stands at the next slot that has a timer, so an idle broker does not wake up.
 *
 * Invariant: a timer fires at or at most two slots after its time, never before, and once.
 */
import type { Clock } from '../../ports.ts'
import type { Faults } from './faults.ts'

const SLOT_MS = 100
const SLOTS = 1024

export class Timer {
  atMs: number = Number.POSITIVE_INFINITY
  previous: Timer | null = null
  next: Timer | null = null
  readonly onTimer: (nowMs: number) => void
  constructor(onTimer: (nowMs: number) => void) {
    this.onTimer = onTimer
  }
  get isSet(): boolean {
    return this.next !== null
  }
}

export class TimerWheel {
  readonly #clock: Clock
  readonly #onAlarm: () => void
  readonly #faults: Faults | null
  /** Heads of circular lists, made when first used. */
  readonly #slots: (Timer | null)[] = new Array<Timer | null>(SLOTS).fill(null)
  /** The last tick (time / SLOT_MS) that has been worked off. */
  #tick: number
  #count = 0
  #alarmTick: number = Number.POSITIVE_INFINITY

  /**
   * @param onAlarm called by the clock; it should end in `advance`
   * @param faults receiver of errors that a timer throws; null passes them to the clock
   */
  constructor(clock: Clock, onAlarm: () => void, faults: Faults | null = null) {
    this.#clock = clock
    this.#onAlarm = onAlarm
    this.#faults = faults
    this.#tick = Math.floor(clock.nowMs() / SLOT_MS)
  }

  get size(): number {
    return this.#count
  }

  /** Sets or moves a timer. */
  set(timer: Timer, atMs: number): void {
    if (timer.next !== null) this.clear(timer)
    timer.atMs = atMs
    if (atMs === Number.POSITIVE_INFINITY) return
    const tick = Math.max(Math.ceil(atMs / SLOT_MS), this.#tick + 1)
    this.#link(timer, tick % SLOTS)
    this.#count++
    // A timer beyond this round is met when its slot comes by next, and stays until it is due.
    const visit = tick - this.#tick > SLOTS ? this.#tick + ((tick - this.#tick) % SLOTS || SLOTS) : tick
    if (visit < this.#alarmTick) this.#setAlarm(visit)
  }

  clear(timer: Timer): void {
    if (timer.next === null) return
    timer.previous!.next = timer.next
    timer.next.previous = timer.previous
    timer.previous = null
    timer.next = null
    this.#count--
  }

  /** Fires the timers that are due. Timers may be set and cleared meanwhile. */
  advance(nowMs: number): void {
    const target = Math.floor(nowMs / SLOT_MS)
    if (target - this.#tick > SLOTS) this.#tick = target - SLOTS
    while (this.#tick < target && this.#count > 0) {
      this.#tick++
      const head = this.#slots[this.#tick % SLOTS]!
      if (head === null || head.next === head) continue
      // Take the whole list first, so that a timer set again from its own callback is not met twice.
      const due = new Timer(() => {})
      due.next = head.next
      due.previous = head.previous
      due.next!.previous = due
      due.previous!.next = due
      head.next = head
      head.previous = head
      for (let timer = due.next!; timer !== due; timer = due.next!) {
        timer.previous!.next = timer.next
        timer.next!.previous = timer.previous
        if (timer.atMs <= nowMs) {
          timer.previous = null
          timer.next = null
          this.#count--
          this.#fire(timer, nowMs)
        } else {
          this.#link(timer, this.#tick % SLOTS)
        }
      }
    }
    if (this.#tick < target) this.#tick = target
    this.#setAlarm(this.#nextTick())
  }

  #fire(timer: Timer, nowMs: number): void {
    try {
      timer.onTimer(nowMs)
    } catch (error) {
      if (this.#faults === null) throw error
      this.#faults.note('timer', error)
    }
  }

  #link(timer: Timer, slot: number): void {
    let head = this.#slots[slot]!
    if (head === null) {
      head = new Timer(() => {})
      head.next = head
      head.previous = head
      this.#slots[slot] = head
    }
    timer.previous = head.previous
    timer.next = head
    head.previous!.next = timer
    head.previous = timer
  }

  #nextTick(): number {
    if (this.#count === 0) return Number.POSITIVE_INFINITY
    for (let tick = this.#tick + 1; tick <= this.#tick + SLOTS; tick++) {
      const head = this.#slots[tick % SLOTS]!
      if (head !== null && head.next !== head) return tick
    }
    return Number.POSITIVE_INFINITY
  }

  #setAlarm(tick: number): void {
    this.#alarmTick = tick
    this.#clock.alarm(tick === Number.POSITIVE_INFINITY ? tick : tick * SLOT_MS, this.#onAlarm)
  }
}
