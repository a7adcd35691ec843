/**
 * The clock of the broker's machine, which may be set, and the time of the broker, which never goes back behind what is
 * noted on its disk (docs/durability.md).
 *
 * A change of the clock takes effect with the next start of the broker. Times are in milliseconds since the Unix epoch.
 */
import type { Core } from '@recado/broker/testing'
import type { Handle, Loop } from './loop.ts'

export class BrokerClock {
  readonly #loop: Loop
  /** Difference between the clock of the machine and the time of the loop. */
  skewMs = 0
  /** Change of that difference at the next start. */
  nextChangeMs = 0
  /** Difference between the time of the broker and that of the loop, by what is promised. */
  #shiftMs = 0
  /** Time of the batch that is on its way to the disk. */
  #writtenMs: number = Number.NEGATIVE_INFINITY
  /** Time of the last batch that is on the disk. */
  #notedMs: number = Number.NEGATIVE_INFINITY

  constructor(loop: Loop) {
    this.#loop = loop
  }

  /** The time of the broker. */
  get nowMs(): number {
    return this.#loop.nowMs + this.#shiftMs
  }

  /** The time that the clock of the machine shows. */
  get machineMs(): number {
    return this.#loop.nowMs + this.skewMs
  }

  /** Returns the clock and the timers of one process. `run` runs what it has asked for, if it is still there. */
  ofProcess(run: (callback: () => void) => void): ConstructorParameters<typeof Core>[2]['clock'] {
    const loop = this.#loop
    let alarm: Handle | null = null
    return {
      nowMs: () => this.machineMs,
      defer: (callback) => loop.defer(() => run(callback)),
      alarm: (atMs, callback) => {
        if (alarm !== null) loop.cancel(alarm)
        alarm = atMs === Number.POSITIVE_INFINITY ? null : loop.at(atMs - this.skewMs, () => run(callback))
      },
      after: (delayMs, callback) => {
        loop.after(delayMs, () => run(callback))
      },
    }
  }

  /** The broker starts. Returns true when its time goes on from the noted time, because the clock is behind that. */
  restart(hasDisk: boolean): boolean {
    this.skewMs += this.nextChangeMs
    this.nextChangeMs = 0
    const notedMs = hasDisk ? this.#notedMs - this.#loop.nowMs : Number.NEGATIVE_INFINITY
    this.#shiftMs = Math.max(this.skewMs, notedMs)
    return notedMs > this.skewMs
  }

  /** A batch with the present time is on its way to the disk. */
  noteWritten(): void {
    this.#writtenMs = this.nowMs
  }

  /** That batch is on the disk. Returns its time. */
  noteSafe(): number {
    this.#notedMs = this.#writtenMs
    return this.#writtenMs
  }

  /** The broker has another disk, which has no noted time. */
  forgetNoted(): void {
    this.#notedMs = Number.NEGATIVE_INFINITY
  }
}
