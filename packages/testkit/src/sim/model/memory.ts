/**
 * The memory ceiling (ADR 0009): from 80 % nothing new is begun, from 90 % nothing more is kept, at 100 % who has most bytes
 * waiting is closed. A level ends 5 % below where it began. What is used includes garbage, so a level is entered after a
 * collection only (but for the last), at most one in a second. What has been acknowledged is never given up.
 */
import type { Model } from './model.ts'

const ENTER = [0, 0.8, 0.9, 1] as const
const LEAVE = 0.05
const COLLECT_MS = 1_000
/** Interval in milliseconds of its looks, five a second, with a timer that may be late. */
const LOOK_MS = 700

export class MemoryCeiling {
  level = 0
  /** Shares of the limit. */
  #live = 0
  #garbage = 0
  #sinceMs = 0
  #collectedMs = Number.NEGATIVE_INFINITY

  /** Notes a change of the used memory. */
  used(live: number, garbage: number, nowMs: number): void {
    this.#live = live
    this.#garbage = garbage
    this.#sinceMs = nowMs
  }

  get share(): number {
    return this.#live + this.#garbage
  }

  collected(nowMs: number): void {
    this.#garbage = 0
    this.#collectedMs = nowMs
  }

  /** The broker is another process. */
  restart(nowMs: number): void {
    this.level = 0
    this.#sinceMs = nowMs
    this.#collectedMs = Number.NEGATIVE_INFINITY
  }

  /** The first has come: nobody was there who could have used more, and while nothing is short it does not look then. */
  watched(nowMs: number): void {
    if (this.level === 0) this.#sinceMs = nowMs
  }

  /** The broker says so. */
  changed(model: Model, level: number): void {
    const right = this.#levelOf(this.share)
    model.cover(`memory.level-${level}`)
    if (level !== right) model.fail('bounds', `the memory level is ${level} at ${this.share}, not ${right}`)
    if (level > this.level && level < 3 && this.#garbage > 0)
      model.fail('bounds', `the memory level is ${level}, and it may be garbage`)
    this.level = level
  }

  checkTime(model: Model): void {
    const { nowMs } = model
    if (model.connections.size === 0) this.watched(nowMs)
    if (nowMs - this.#sinceMs <= LOOK_MS) return
    const most = this.#levelOf(this.share)
    if (most < this.level) model.fail('bounds', `the memory level is ${this.level} at ${this.share}`)
    const mayCollectMs = this.#collectedMs + COLLECT_MS
    if (nowMs - mayCollectMs > LOOK_MS && this.#levelOf(this.#live) > this.level)
      model.fail('bounds', `the memory level is ${this.level} at ${this.#live} without garbage`)
  }

  #levelOf(share: number): number {
    let level = 0
    for (const each of [1, 2, 3] as const) if (share >= ENTER[each] - (this.level >= each ? LEAVE : 0)) level = each
    return level
  }
}
