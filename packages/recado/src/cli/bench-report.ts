/**
 * The counts of a run of `recado bench`, and their forms: progress lines, the report, JSON.
 *
 * The histograms are Node's own (`createHistogram`): HdrHistogram in C, with three significant digits over the whole
 * range. Called by `bench.ts`; clients count into `Counts` and the histograms.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { BenchOptions } from './bench-options.ts'

/** Largest latency in microseconds, an hour; larger ones count as this. */
const LATENCY_MAX_US = 3_600_000_000

export interface Percentiles {
  count: number
  min: number
  mean: number
  p50: number
  p90: number
  p99: number
  p999: number
  max: number
}

/** Histogram of latencies in microseconds. */
export class LatencyHistogram {
  readonly #histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: LATENCY_MAX_US, figures: 3 })
  #min = Number.POSITIVE_INFINITY
  #max = 0

  record(microseconds: number): void {
    // Clocks of two machines may disagree: below 1 is 1.
    const value = microseconds < 1 ? 1 : microseconds > LATENCY_MAX_US ? LATENCY_MAX_US : Math.round(microseconds)
    if (value < this.#min) this.#min = value
    if (value > this.#max) this.#max = value
    this.#histogram.record(value)
  }

  reset(): void {
    this.#histogram.reset()
    this.#min = Number.POSITIVE_INFINITY
    this.#max = 0
  }

  /** Percentiles; `undefined` when nothing was recorded. */
  percentiles(): Percentiles | undefined {
    const histogram = this.#histogram
    if (histogram.count === 0) return undefined
    // A bucket reports its upper end; nothing is above the largest value itself.
    const at = (percentile: number): number => Math.min(histogram.percentile(percentile), this.#max)
    return {
      count: histogram.count,
      min: this.#min,
      mean: Math.round(histogram.mean * 10) / 10,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: this.#max,
    }
  }
}

/** Counts of the whole run. */
export interface Counts {
  connected: number
  connectFailures: number
  disconnects: number
  published: number
  received: number
  /** Number of messages from another tool, or from another run. */
  foreign: number
  duplicated: number
  outOfOrder: number
  /** Number of times that a publisher waited a second for deliveries that did not come, and went on. */
  stalls: number
}

export function newCounts(): Counts {
  return {
    connected: 0,
    connectFailures: 0,
    disconnects: 0,
    published: 0,
    received: 0,
    foreign: 0,
    duplicated: 0,
    outOfOrder: 0,
    stalls: 0,
  }
}

/** Result as `--json` prints it. Latencies are in microseconds. */
export interface BenchResult {
  command: string
  connections: number
  connectFailures: number
  disconnects: number
  connectsPerSecond: number
  connectUs?: Percentiles
  /** Length of the measured time in seconds; the totals are of the whole run. */
  elapsedSeconds: number
  /** Beginning of the measured time in milliseconds since the epoch, for programs that measure the server meanwhile. */
  measuredFromMs: number
  measuredToMs: number
  publishedPerSecond?: number
  receivedPerSecond?: number
  published?: number
  receivedTotal?: number
  /** Number of expected deliveries, only where publishers and subscribers are in one process (`pair`). */
  expected?: number
  lost?: number
  duplicated?: number
  outOfOrder?: number
  foreign?: number
  stalls?: number
  /** Latencies from publish to delivery. */
  latencyUs?: Percentiles
  /** Latencies from publish to PUBACK or PUBCOMP. */
  ackUs?: Percentiles
  /** Numbers of failed connections by reason. */
  failures?: Record<string, number>
}

/** Exit code. 1: the run was not possible. 2: it was, and the result is not as the QoS promises. */
export function exitCodeOf(result: BenchResult, options: BenchOptions): number {
  if (result.connections === 0) return 1
  const isBroken =
    result.connectFailures > 0 ||
    result.disconnects > 0 ||
    (result.outOfOrder ?? 0) > 0 ||
    (options.qos > 0 && (result.lost ?? 0) > 0) ||
    (options.qos === 2 && (result.duplicated ?? 0) > 0)
  return isBroken ? 2 : 0
}

export function formatCount(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(value >= 10 ? 1 : 2)
}

export function formatDuration(microseconds: number): string {
  if (microseconds < 1_000) return `${Math.round(microseconds)} us`
  if (microseconds < 10_000_000) return `${formatCount(microseconds / 1_000)} ms`
  return `${formatCount(microseconds / 1_000_000)} s`
}

function latencyLine(name: string, latency: Percentiles | undefined): string[] {
  if (latency === undefined) return []
  const parts = (['min', 'p50', 'p90', 'p99', 'p999', 'max'] as const).map(
    (key) => `${key === 'p999' ? 'p99.9' : key} ${formatDuration(latency[key])}`,
  )
  return [`${name.padEnd(12)} ${parts.join('  ')}`]
}

/** Returns the report for people, one fact a line. */
export function reportText(result: BenchResult): string {
  const lines: string[] = []
  const connects = `${formatCount(result.connections)} opened, ${formatCount(result.connectsPerSecond)}/s`
  const troubles = [
    result.connectFailures > 0 ? `, ${formatCount(result.connectFailures)} failed` : '',
    result.disconnects > 0 ? `, ${formatCount(result.disconnects)} lost later` : '',
  ]
  lines.push(`connections  ${connects}${troubles.join('')}`)
  lines.push(...latencyLine('  connect', result.connectUs))
  for (const [why, count] of Object.entries(result.failures ?? {}))
    lines.push(`  failed     ${formatCount(count)} x ${why}`)
  if (result.published !== undefined) {
    lines.push(`published    ${formatCount(result.published)}, ${formatCount(result.publishedPerSecond ?? 0)}/s`)
    lines.push(...latencyLine('  ack', result.ackUs))
  }
  if (result.receivedTotal !== undefined) {
    const of = result.expected === undefined ? '' : ` of ${formatCount(result.expected)}`
    lines.push(
      `received     ${formatCount(result.receivedTotal)}${of}, ${formatCount(result.receivedPerSecond ?? 0)}/s`,
    )
    lines.push(...latencyLine('  latency', result.latencyUs))
    const wrong = [
      `${formatCount(result.lost ?? 0)} lost`,
      `${formatCount(result.duplicated ?? 0)} duplicated`,
      `${formatCount(result.outOfOrder ?? 0)} out of order`,
      ...(result.foreign ? [`${formatCount(result.foreign)} not ours`] : []),
      ...(result.stalls ? [`${formatCount(result.stalls)} stalls`] : []),
    ]
    lines.push(`check        ${wrong.join(', ')}`)
  }
  lines.push(`measured     ${formatCount(result.elapsedSeconds)} s`)
  return `${lines.join('\n')}\n`
}
