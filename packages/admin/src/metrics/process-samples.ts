/**
 * Numbers of the process, as metrics: memory, CPU, delay of the event loop, pauses of the garbage collector.
 *
 * `admin.ts` makes one at the start of the API, so that delays and pauses are known from then on; `/metrics` reads it.
 */
import { monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks'
import type { Sample } from './open-metrics.ts'

const NS = 1e-9
/** Interval in milliseconds at which the delay of the event loop is sampled. */
const SAMPLED_MS = 20

/** Numbers of the process; `stop` ends the sampling. */
export class ProcessSamples {
  readonly #delay = monitorEventLoopDelay({ resolution: SAMPLED_MS })
  #pauses = 0
  #pauseSeconds = 0
  readonly #observer: PerformanceObserver

  constructor() {
    this.#delay.enable()
    this.#observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        this.#pauses++
        this.#pauseSeconds += duration / 1_000
      }
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  read(startedAtMs: number, version: string): Sample[] {
    const { rss, heapUsed, external } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    const delay = (nanoseconds: number): number => Math.max(0, (nanoseconds || 0) * NS - SAMPLED_MS / 1_000)
    const loop = 'recado_event_loop_delay_seconds'
    const loopHelp = 'Delay of the event loop since the last scrape.'
    const isEmpty = this.#delay.count === 0
    const quantile = (q: number): number => (isEmpty ? 0 : delay(this.#delay.percentile(q * 100)))
    const samples: Sample[] = [
      {
        name: 'recado_build_info',
        kind: 'gauge',
        help: 'Version.',
        value: 1,
        labels: { version, node: process.version },
      },
      {
        name: 'process_start_time_seconds',
        kind: 'gauge',
        help: 'Start, since the Unix epoch.',
        value: startedAtMs / 1_000,
      },
      { name: 'process_cpu_seconds', kind: 'counter', help: 'CPU time of the process.', value: (user + system) / 1e6 },
      { name: 'process_resident_memory_bytes', kind: 'gauge', help: 'Resident memory.', value: rss },
      {
        name: 'recado_heap_bytes',
        kind: 'gauge',
        help: 'Heap and external memory in use.',
        value: heapUsed + external,
      },
      ...[0.5, 0.99, 1].map(
        (q): Sample => ({
          name: loop,
          kind: 'gauge',
          help: loopHelp,
          value: quantile(q),
          labels: { quantile: String(q) },
        }),
      ),
      {
        name: 'recado_event_loop_utilization',
        kind: 'gauge',
        help: 'Share of its life that the event loop was busy, 0 to 1.',
        value: performance.eventLoopUtilization().utilization,
      },
      { name: 'recado_gc_pauses', kind: 'counter', help: 'Pauses of the garbage collector.', value: this.#pauses },
      { name: 'recado_gc_pause_seconds', kind: 'counter', help: 'Length of those pauses.', value: this.#pauseSeconds },
    ]
    this.#delay.reset()
    return samples
  }

  stop(): void {
    this.#delay.disable()
    this.#observer.disconnect()
  }
}
