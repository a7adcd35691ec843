/**
 * Figures of the process: heap, resident memory, delays of the event loop, the data file and its disk. Read at the
 * interval of `$SYS`, and nothing in between.
 *
 * `serve.ts` makes one while there are `$SYS` topics. Invariant: a disk that does not answer holds up nothing; its
 * figures are then as old as its last answer.
 */
import { stat, statfs } from 'node:fs/promises'
import { type EventLoopUtilization, type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** Figures of the event loop since the last reading. */
export interface EventLoop {
  readonly meanMs: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Utilization: 0 for always idle, 1 for always busy. */
  readonly utilization: number
}

export interface Disk {
  /** Size of the data file in bytes. */
  readonly fileBytes: number
  /** Bytes of the disk that the broker's user may still use. */
  readonly freeBytes: number
}

export interface Vitals {
  readonly heapBytes: number
  readonly residentBytes: number
  readonly eventLoop: EventLoop
  /** Figures of the disk; null when nothing is kept, or the disk has not answered yet. */
  readonly disk: Disk | null
}

/**
 * Interval in milliseconds for sampling the delay of the event loop: often enough to see a pause, too seldom to cause
 * one.
 */
const SAMPLED_EVERY_MS = 50
const MS = 1e6

export class VitalSigns {
  readonly #dataFile: string | null
  readonly #delays: IntervalHistogram
  #utilization: EventLoopUtilization
  #disk: Disk | null = null
  #isAsking = false

  /** @param dataFile path of the data file; null when nothing is kept */
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
    // A sample is the time from one to the next: the part over the interval is delay. NaN when there was none since the
    // last reading.
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

  /** Asks the disk, for the next reading; returns at once when it is still being asked. */
  async askDisk(): Promise<void> {
    if (this.#dataFile === null || this.#isAsking) return
    this.#isAsking = true
    try {
      const [{ size }, { bavail, bsize }] = await Promise.all([stat(this.#dataFile), statfs(this.#dataFile)])
      this.#disk = { fileBytes: size, freeBytes: bavail * bsize }
    } catch {
      // Removed, or out of reach: the store reports it when it writes.
      this.#disk = null
    } finally {
      this.#isAsking = false
    }
  }

  stop(): void {
    this.#delays.disable()
  }
}
