/**
 * The simulated event loop: time, what happens when, and the end of each iteration.
 *
 * Everything in a run is an event at a millisecond. Events of one millisecond run in the order in which they were asked for,
 * one or several in an iteration; then what was deferred. Promises (of the client library) are given the time to settle
 * between two iterations, so they settle in the same order in every run.
 */
import type { Chance } from './chance.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
  isCancelled: boolean
}

export type Handle = Event

const DEFERRALS_MAX = 100_000

export class Loop {
  nowMs: number
  events = 0
  /** Something may wait for a promise. */
  usesPromises = false
  readonly #chance: Chance
  readonly #heap: Event[] = []
  #order = 0
  #jumpMs = 0
  #deferred: (() => void)[] = []
  /** Called at the end of each iteration. */
  onTurnEnd: () => void = () => {}

  constructor(chance: Chance, nowMs: number) {
    this.#chance = chance
    this.nowMs = nowMs
  }

  after(delayMs: number, run: () => void): Handle {
    return this.at(this.nowMs + delayMs, run)
  }

  at(atMs: number, run: () => void): Handle {
    const event = { atMs: Math.ceil(Math.max(atMs, this.nowMs)), order: this.#order++, run, isCancelled: false }
    this.#push(event)
    return event
  }

  cancel(handle: Handle): void {
    handle.isCancelled = true
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback)
  }

  /** Nothing is late: all that was due has run. */
  get isOnTime(): boolean {
    const next = this.#heap[0]
    return next === undefined || next.atMs > this.nowMs
  }

  /**
   * The process stands still when this iteration is over: what was due meanwhile is late. Not in the middle of it, because
   * the broker reads the clock once for each.
   */
  jump(ms: number): void {
    this.#jumpMs += ms
  }

  /** Runs until a time, or until `isOver` says so. */
  async run(untilMs: number, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const first = this.#heap[0]
      if (first === undefined || first.atMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, first.atMs)
      do {
        const event = this.#pop()
        if (event.isCancelled) continue
        this.events++
        event.run()
        // As in Node: what waits for a promise goes on before the next callback.
        if (this.usesPromises) await settle()
      } while (!isOver() && this.#heap[0] !== undefined && this.#heap[0].atMs <= this.nowMs && this.#chance.of(0.6))
      this.#runDeferred()
      if (this.usesPromises) {
        await settle()
        this.#runDeferred()
      }
      this.onTurnEnd()
      this.nowMs += this.#jumpMs
      this.#jumpMs = 0
    }
    if (!isOver()) this.nowMs = Math.max(this.nowMs, untilMs)
  }

  #runDeferred(): void {
    for (let rounds = 0; this.#deferred.length > 0; rounds++) {
      if (rounds > DEFERRALS_MAX) throw new Error('the turns do not come to an end')
      const deferred = this.#deferred
      this.#deferred = []
      for (const callback of deferred) callback()
    }
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  #pop(): Event {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/**
 * Resolves when all promises that can be settled are. Node runs callbacks of `nextTick` when no microtask is left; the
 * second one is behind those that microtasks have asked for. Without a round of Node's event loop, which costs more.
 */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(() => queueMicrotask(() => process.nextTick(resolve)))
  })
}
