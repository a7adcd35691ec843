/**
 * Notes the time on disk while clients are connected whose sessions end some time after their connection: after a kill
 * the next broker knows approximately when they were lost, and Session Expiry runs on while it is down. [MQTT-4.1.0-2]
 *
 * Every batch notes the time (`SteadyClock`), so this only works where nothing else is written. The interval follows
 * the shortest of these expiry intervals: half of it, from every second to every minute, and not at all for sessions
 * that never expire.
 *
 * Invariant: between two notes there is no more than `noteEveryMs` of any connected session, and the duration of a
 * commit.
 */

import { Timer, type TimerWheel } from '../base/timer-wheel.ts'
import type { Journal } from './journal.ts'
import { NEVER_EXPIRES } from './session-records.ts'

/** Intervals are 1, 2, 4 … 64 seconds. */
const STEPS = 7

/** Returns the index of the interval that a session needs; -1 for none. */
function stepFor(expirySeconds: number): number {
  if (expirySeconds === 0 || expirySeconds === NEVER_EXPIRES) return -1
  return Math.min(STEPS - 1, Math.floor(Math.log2(Math.max(1, expirySeconds / 2))))
}

/** Milliseconds from one note of the time to the next while a client is connected whose session lasts so much longer; Infinity: never. */
export function noteEveryMs(expirySeconds: number): number {
  const step = stepFor(expirySeconds)
  return step < 0 ? Number.POSITIVE_INFINITY : 1000 * 2 ** step
}

export class TimeNotes {
  readonly #journal: Journal
  readonly #wheel: TimerWheel
  /** Connected clients by interval. */
  readonly #clients: number[] = new Array<number>(STEPS).fill(0)
  readonly #timer: Timer

  constructor(journal: Journal, wheel: TimerWheel) {
    this.#journal = journal
    this.#wheel = wheel
    this.#timer = new Timer((nowMs) => this.#onTimer(nowMs))
  }

  /**
   * Notes that a client is connected whose session lasts so much longer than its connection. Returns the argument for
   * `disconnected`.
   */
  connected(expirySeconds: number, nowMs: number): number {
    const step = stepFor(expirySeconds)
    if (step < 0) return step
    this.#clients[step]!++
    const atMs = nowMs + 1000 * 2 ** step
    if (!this.#timer.isSet || this.#timer.atMs > atMs) this.#wheel.set(this.#timer, atMs)
    return step
  }

  disconnected(step: number): void {
    if (step >= 0) this.#clients[step]!--
  }

  #onTimer(nowMs: number): void {
    const step = this.#clients.findIndex((count) => count > 0)
    if (step < 0) return
    const everyMs = 1000 * 2 ** step
    const dueAtMs = this.#journal.notedMs + everyMs
    if (dueAtMs <= nowMs) this.#journal.noteTime()
    this.#wheel.set(this.#timer, dueAtMs <= nowMs ? nowMs + everyMs : dueAtMs)
  }
}
