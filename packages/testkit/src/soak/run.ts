/**
 * A soak run: two brokers under mixed load for some minutes, sampled and judged. `main.ts` is its command,
 * `soak.peer.test.ts` a short one as a test.
 *
 * The steady broker lives for the whole run, so that a leak has time to show; the restarted one is stopped and killed
 * every minute or two. Every few minutes both settle: publishers pause, and every acknowledged message must be where it
 * is owed. Invariant: everything that was started is ended when `runSoak` settles, by its own pid.
 */
import { setTimeout as after } from 'node:timers/promises'
import { Random } from '../random.ts'
import { allOf, type Sample, SoakBroker, type SoakBrokerName } from './soak-broker.ts'
import { type Judged, judge } from './verdict.ts'

export interface SoakOptions {
  seconds: number
  seed: number
  onProgress?: (text: string) => void
  onFinding?: (text: string) => void
}

export interface SoakReport {
  seed: number
  seconds: number
  startedAt: string
  node: string
  brokers: Record<SoakBrokerName, { done: Record<string, unknown>; samples: readonly Sample[] }>
  /** Restarts, in seconds since the start. */
  restarts: readonly number[]
  trends: readonly (Omit<Judged, 'series' | 'measure'> & { measure: string; unit: string })[]
  violations: number
  growing: readonly string[]
  ok: boolean
}

export interface SoakResult {
  report: SoakReport
  columns: readonly (readonly Judged[])[]
}

/** Number of samples, approximately, whatever the length. */
const SAMPLES = 360
/** Number of samples for each count of live objects, which pauses the broker for half a second or more. */
const LIVE_EVERY = 12
const PROGRESS_MS = 30_000

export async function runSoak({ seconds, seed, onProgress, onFinding }: SoakOptions): Promise<SoakResult> {
  const random = new Random(seed)
  const startedMs = Date.now()
  const endMs = startedMs + seconds * 1_000
  const sampleMs = Math.max(1_000, Math.round((seconds * 1_000) / SAMPLES))
  const settleMs = Math.min(240_000, (seconds * 1_000) / 2)
  const restartMs = [Math.min(50_000, seconds * 200), Math.min(130_000, seconds * 400)] as const
  const onText = (text: string): void => onFinding?.(`${elapsed(startedMs)} ${text}`)
  const common = { sampleMs, onFinding: onText }
  const brokers: SoakBroker[] = []
  const restarts: number[] = []
  let endedMs = endMs
  try {
    for (const name of ['steady', 'restarted'] as const)
      brokers.push(
        await SoakBroker.open({
          ...common,
          name,
          random: random.fork(),
          liveEvery: name === 'steady' ? Math.min(LIVE_EVERY, seconds >> 2) : 0,
          restartMs: name === 'steady' ? null : restartMs,
        }),
      )
    await allOf(brokers.map((broker) => broker.start()))
    let settleAtMs = startedMs + settleMs
    let progressAtMs = startedMs + PROGRESS_MS
    // A short run on a busy machine goes on until its first restart, at most five times as long as it was to last.
    const latestMs = startedMs + 5_000 * seconds
    while (Date.now() < endMs || (restarts.length === 0 && Date.now() < latestMs)) {
      await after(500)
      for (const broker of brokers) {
        const before = broker.kills + broker.terminations
        await broker.step()
        if (broker.kills + broker.terminations > before) restarts.push((Date.now() - startedMs) / 1_000)
      }
      if (Date.now() >= settleAtMs) {
        await Promise.all(brokers.map((broker) => broker.settle()))
        settleAtMs = Date.now() + settleMs
      }
      if (Date.now() >= progressAtMs) {
        progressAtMs += PROGRESS_MS
        onProgress?.(`${elapsed(startedMs)} ${brokers.map(describe).join('; ')}`)
      }
    }
    await Promise.all(brokers.map((broker) => broker.settle()))
  } catch (error) {
    const [broker] = brokers
    if (broker === undefined) throw error
    broker.onFault('run', (error as Error).stack ?? String(error))
    for (const each of brokers) onText(each.describeBroker())
  } finally {
    endedMs = Date.now()
    await Promise.allSettled(brokers.map((broker) => broker.stop()))
  }
  return resultOf(brokers, { seed, startedMs, endedMs, restarts })
}

function resultOf(
  brokers: readonly SoakBroker[],
  {
    seed,
    startedMs,
    endedMs,
    restarts,
  }: { seed: number; startedMs: number; endedMs: number; restarts: readonly number[] },
): SoakResult {
  const columns = brokers.map((broker) => judge(broker.name, broker.samples))
  const judged = columns.flat()
  const growing = judged
    .filter(({ trend }) => trend?.isGrowing)
    .map(({ broker, measure }) => `${broker}: ${measure.name}`)
  const violations = brokers.reduce((sum, broker) => sum + broker.violationCount, 0)
  const report: SoakReport = {
    seed,
    seconds: Math.round((endedMs - startedMs) / 1_000),
    startedAt: new Date(startedMs).toISOString(),
    node: process.version,
    brokers: Object.fromEntries(
      brokers.map((broker) => [broker.name, { done: broker.describe(), samples: broker.samples }]),
    ) as unknown as SoakReport['brokers'],
    restarts,
    trends: judged
      .filter(({ trend }) => trend !== null)
      .map(({ broker, measure, trend }) => ({ broker, measure: measure.name, unit: measure.unit, trend })),
    violations,
    growing,
    ok: violations === 0 && growing.length === 0,
  }
  return { report, columns }
}

function describe(broker: SoakBroker): string {
  const last = broker.samples.at(-1)
  const memory = last?.rssBytes == null ? '' : `, ${Math.round(last.rssBytes / 1024 / 1024)} MiB`
  const restarts = broker.kills + broker.terminations
  return `${broker.name}: ${broker.acknowledged} acknowledged, ${broker.violationCount} violations${memory}${restarts > 0 ? `, ${restarts} restarts` : ''}`
}

function elapsed(startedMs: number): string {
  const seconds = Math.round((Date.now() - startedMs) / 1_000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
