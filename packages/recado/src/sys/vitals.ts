/**
 * How the process is: heap, resident memory, delays of the event loop, the data file and its disk. Read at the interval of `$SYS`, and nothing in between.
 *
 * `serve.ts` makes one while there are `$SYS` topics. The invariant: a disk that does not answer holds up nobody, what is known of it is then as old as its last
 * answer.
 */
import { stat, statfs } from 'node:fs/promises'
import { type EventLoopUtilization, type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** Of the event loop since the last reading. */
export interface EventLoop {
  readonly meanMs: number
  readonly p99Ms: number
  readonly maxMs: number
  /** 0: always idle, 1: always busy. */
  readonly utilization: number
}

export interface Disk {
  /** Of the data file. */
  readonly fileBytes: number
  /** What the broker's user may still use of the disk. */
  readonly freeBytes: number
}

export interface Vitals {
  readonly heapBytes: number
  readonly residentBytes: number
  readonly eventLoop: EventLoop
  /** null: nothing is kept, or the disk has not answered yet. */
  readonly disk: Disk | null
}

/** How often the delay of the event loop is sampled: often enough to see a pause, too seldom to be one. */
const SAMPLED_EVERY_MS = 50
const MS = 1e6

export class VitalSigns {
  readonly #dataFile: string | null
  readonly #delays: IntervalHistogram
  #utilization: EventLoopUtilization
  #disk: Disk | null = null
  #isAsking = false

  /** @param dataFile null: nothing is kept */
  constructor(dataFile: string | null) {
    this.#dataFile = dataFile
    this.#delays = monitorEventLoopDelay({ resolution: SAMPLED_EVERY_MS })
    this.#delays.enable()
    this.#utilization = performance.eventLoopUtilization()
  }

  read(): Vitals {
    const { heapUsed, external, rss } = process.memoryUsage()
    return { heapBytes: heapUsed + external, residentBytes: rss, eventLoop: this.#readLoop(), disk: this.#disk }
  }

  #readLoop(): EventLoop {
    const utilization = performance.eventLoopUtilization()
    const delays = this.#delays
    // A sample is the time from one to the next: what is over the interval is delay. NaN: none since the last reading.
    const delay = (nanoseconds: number): number => Math.max(0, (nanoseconds || 0) / MS - SAMPLED_EVERY_MS)
    const isEmpty = delays.count === 0
    const loop = {
      meanMs: isEmpty ? 0 : delay(delays.mean),
      p99Ms: isEmpty ? 0 : delay(delays.percentile(99)),
      maxMs: isEmpty ? 0 : delay(delays.max),
      utilization: performance.eventLoopUtilization(utilization, this.#utilization).utilization,
    }
    delays.reset()
    this.#utilization = utilization
    return loop
  }

  /** Asks the disk, for the next reading; at once when it is still being asked. */
  async askDisk(): Promise<void> {
    if (this.#dataFile === null || this.#isAsking) return
    this.#isAsking = true
    try {
      const [{ size }, { bavail, bsize }] = await Promise.all([stat(this.#dataFile), statfs(this.#dataFile)])
      this.#disk = { fileBytes: size, freeBytes: bavail * bsize }
    } catch {
      // Taken away, or out of reach: the store tells of it when it writes.
      this.#disk = null
    } finally {
      this.#isAsking = false
    }
  }

  stop(): void {
    this.#delays.disable()
  }
}
