/**
 * The bounds of a soak run: the series that must be flat, and how flat. Used by `run.ts`; `chart.ts` draws the same
 * series.
 *
 * The bounds are for the growth over the second half of the run. Counts (sessions, open files) may vary by a few, as
 * clients come and go; memory by the variation of V8's heap; the file by the messages that wait for absent subscribers.
 * Latency is judged above that of an echo server, which has the machine's share.
 */
import type { Sample, SoakBrokerName } from './soak-broker.ts'
import { type Bound, type Point, type Trend, trendOf } from './trend.ts'

export interface Measure {
  readonly name: string
  readonly unit: 'MiB' | '' | 'ms' | '%'
  readonly brokers: readonly SoakBrokerName[]
  readonly of: (sample: Sample) => number | null
  /** Bound; `null` for a series that is shown and not judged. */
  readonly bound: Bound | null
}

const MiB = 1024 * 1024
const mib = (bytes: number | null | undefined): number | null => (bytes == null ? null : bytes / MiB)
const both: readonly SoakBrokerName[] = ['steady', 'restarted']
const steady: readonly SoakBrokerName[] = ['steady']
const live =
  (name: string) =>
  ({ live: counts }: Sample): number | null =>
    counts?.[name] ?? null

export const measures: readonly Measure[] = [
  {
    name: 'heap in use',
    unit: 'MiB',
    brokers: steady,
    of: (s) => mib(s.liveHeapBytes),
    bound: { part: 0.05, floor: 1 },
  },
  {
    name: 'own memory',
    unit: 'MiB',
    brokers: steady,
    of: (s) => mib(s.anonymousBytes),
    bound: { part: 0.08, floor: 8 },
  },
  { name: 'resident memory', unit: 'MiB', brokers: both, of: (s) => mib(s.rssBytes), bound: null },
  { name: 'open files', unit: '', brokers: both, of: (s) => s.fds, bound: { part: 0.1, floor: 6 } },
  { name: 'handles', unit: '', brokers: steady, of: (s) => s.handles, bound: { part: 0.1, floor: 6 } },
  { name: 'Session objects', unit: '', brokers: steady, of: live('Session'), bound: { part: 0.1, floor: 6 } },
  { name: 'Connection objects', unit: '', brokers: steady, of: live('Connection'), bound: { part: 0.1, floor: 6 } },
  { name: 'subscriptions', unit: '', brokers: steady, of: live('SubscriptionEntry'), bound: { part: 0.1, floor: 8 } },
  { name: 'Message objects', unit: '', brokers: steady, of: live('Message'), bound: { part: 0.2, floor: 300 } },
  {
    name: 'sessions at start',
    unit: '',
    brokers: ['restarted'],
    of: (s) => s.loaded?.sessions ?? null,
    bound: { part: 0.1, floor: 8 },
  },
  {
    name: 'messages waiting at start',
    unit: '',
    brokers: ['restarted'],
    of: (s) => s.loaded?.messages ?? null,
    bound: { part: 0.5, floor: 500 },
  },
  { name: 'data file', unit: 'MiB', brokers: both, of: (s) => mib(s.fileBytes), bound: { part: 0.1, floor: 2 } },
  { name: 'CPU', unit: '%', brokers: steady, of: (s) => s.cpuPercent, bound: { part: 0.25, floor: 3 } },
  {
    name: 'latency p50 above echo',
    unit: 'ms',
    brokers: both,
    of: (s) => (s.latencyP50Ms === null || s.echoP50Ms === null ? null : Math.max(0, s.latencyP50Ms - s.echoP50Ms)),
    bound: { part: 0.5, floor: 2 },
  },
  { name: 'echo p50', unit: 'ms', brokers: both, of: (s) => s.echoP50Ms, bound: null },
  { name: 'latency p99', unit: 'ms', brokers: both, of: (s) => s.latencyP99Ms, bound: null },
]

/** Shortest run in seconds that is judged; a shorter one is all warm-up, and shows losses only. */
export const JUDGED_FROM_SECONDS = 300

export interface Judged {
  readonly broker: SoakBrokerName
  readonly measure: Measure
  readonly series: readonly Point[]
  /** Trend; `null` for a series that is not judged, or in too short a run. */
  readonly trend: Trend | null
}

export function judge(broker: SoakBrokerName, samples: readonly Sample[]): Judged[] {
  return measures
    .filter(({ brokers }) => brokers.includes(broker))
    .map((measure) => {
      const series: Point[] = []
      for (const sample of samples) {
        const value = measure.of(sample)
        if (value !== null) series.push({ at: sample.at, value })
      }
      const isLong = (samples.at(-1)?.at ?? 0) >= JUDGED_FROM_SECONDS
      const trend = measure.bound === null || !isLong ? null : trendOf(series, measure.bound)
      return { broker, measure, series, trend }
    })
}
