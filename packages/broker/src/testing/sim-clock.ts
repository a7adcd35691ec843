/**
 * Simulated time: stands still until a test says `advance`.
 *
 * `runTurns` is the end of an event-loop iteration: what was deferred runs, in order, until nothing is left. `advance`
 * moves from alarm to alarm, so that nobody sees a time that has been jumped over.
 */
import assert from 'node:assert/strict'
import type { Clock } from '../ports.ts'

/** More turns than this in a row are a loop that never ends. */
const TURNS_MAX = 100_000

export class SimClock implements Clock {
  #nowMs: number
  #deferred: (() => void)[] = []
  #alarmAtMs = Number.POSITIVE_INFINITY
  #onAlarm: () => void = () => {}
  #delayed: { atMs: number; callback: () => void }[] = []
  /** Number of times that the alarm has rung: an idle broker must not wake up. */
  alarms = 0

  constructor(nowMs = 1_000_000_000) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback)
  }

  alarm(atMs: number, callback: () => void): void {
    this.#alarmAtMs = atMs
    this.#onAlarm = callback
  }

  after(delayMs: number, callback: () => void): void {
    this.#delayed.push({ atMs: this.#nowMs + delayMs, callback })
    this.#delayed.sort((a, b) => a.atMs - b.atMs)
  }

  /** When the alarm rings next; Infinity: never. */
  get alarmAtMs(): number {
    return this.#alarmAtMs
  }

  /** Runs what has been deferred, and what that defers, until nothing is left. */
  runTurns(): void {
    for (let turns = 0; this.#deferred.length > 0; turns++) {
      assert.ok(turns < TURNS_MAX, 'the turns do not come to an end')
      const deferred = this.#deferred
      this.#deferred = []
      for (const callback of deferred) callback()
    }
  }

  /** Lets time pass; alarms and delays call on their way, each in a turn of its own. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    this.runTurns()
    for (let calls = 0; ; calls++) {
      assert.ok(calls < TURNS_MAX, 'the alarms do not come to an end')
      const delayedAtMs = this.#delayed[0]?.atMs ?? Number.POSITIVE_INFINITY
      const atMs = Math.min(this.#alarmAtMs, delayedAtMs)
      if (atMs > untilMs) break
      this.#nowMs = Math.max(this.#nowMs, atMs)
      if (delayedAtMs <= this.#alarmAtMs) this.#delayed.shift()!.callback()
      else this.#ring()
      this.runTurns()
    }
    this.#nowMs = untilMs
  }

  #ring(): void {
    this.#alarmAtMs = Number.POSITIVE_INFINITY
    this.alarms++
    this.#onAlarm()
  }
}
