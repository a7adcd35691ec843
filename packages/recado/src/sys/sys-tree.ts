/**
 * The `$SYS` topics of a running broker, as Mosquitto publishes them: retained, at QoS 2, in text, at seconds of the
 * wall clock that are multiples of `sys_interval`, and only those that have changed since; uptime each time.
 *
 * `serve.ts` begins it before the first listener is open, so that a subscriber to `$SYS/#` gets something at once.
 * Invariants: all values come from one reading of counters that the broker keeps anyway; nothing is done between two
 * readings; a `sys_interval` of 0 removes the topics.
 */
import type { MetricValues } from '@recado/broker'
import { LOAD_WINDOWS, LoadAverage, type LoadWindow } from './load-average.ts'
import { type LoadTopic, loadTopics, type Reading, sysTopics, UPTIME_TOPIC, VERSION_TOPIC } from './sys-topics.ts'
import type { Vitals } from './vitals.ts'

export interface SysParts {
  /** Text of the topic `version`. */
  readonly version: string
  readonly hasStore: boolean
  readonly metrics: () => MetricValues
  readonly vitals: () => Vitals
  /** Topics that come and go, with their texts; absent for none. */
  readonly others?: () => Iterable<[topic: string, text: string]>
  /** Publishes, retained, at QoS 2; an empty payload removes the topic. */
  readonly publish: (topic: string, payload: string) => void
  /** Milliseconds of the wall clock, for when a reading is due. */
  readonly nowMs: () => number
  /** Milliseconds of a clock that is never set, for durations. */
  readonly steadyMs: () => number
  /** Calls back once, unless the returned function is called before, and keeps no process from ending. */
  readonly after: (ms: number, work: () => void) => () => void
}

interface Load {
  readonly topic: string
  readonly source: LoadTopic
  readonly average: LoadAverage
}

export class SysTree {
  readonly #parts: SysParts
  readonly #topics: typeof sysTopics
  readonly #loads: readonly Load[]
  /** Published text of each topic. */
  readonly #published: Map<string, string> = new Map()
  /** Topics of `SysParts.others` that are published. */
  #others: Set<string> = new Set()
  readonly #startedAtMs: number
  #lastMs: number
  #before: MetricValues
  #sessionsMax = 0
  #heapBytesMax = 0
  #intervalSeconds = 0
  #cancel: (() => void) | null = null

  constructor(parts: SysParts) {
    this.#parts = parts
    this.#topics = sysTopics.filter(({ isOfStore = false }) => parts.hasStore || !isOfStore)
    this.#loads = loadTopics.flatMap((source) =>
      (Object.keys(LOAD_WINDOWS) as LoadWindow[]).map((window) => ({
        topic: `$SYS/broker/load/${source.name}/${window}`,
        source,
        average: new LoadAverage(window),
      })),
    )
    this.#startedAtMs = parts.steadyMs()
    this.#lastMs = this.#startedAtMs
    this.#before = parts.metrics()
  }

  /** Publishes at once all that is not published yet, and from then on every `seconds`; 0 removes everything. */
  every(seconds: number): void {
    if (seconds === this.#intervalSeconds) return
    this.#intervalSeconds = seconds
    this.#cancel?.()
    this.#cancel = null
    if (seconds === 0) {
      for (const topic of this.#published.keys()) this.#parts.publish(topic, '')
      this.#published.clear()
      return
    }
    this.#say(VERSION_TOPIC, this.#parts.version)
    this.#update()
    this.#wait()
  }

  /** Values of the topics, by the first name of each, and the uptime in seconds; without rates, which are averages. */
  numbers(): Record<string, number> {
    const numbers: Record<string, number> = {}
    for (const name of [...this.#topics.map(({ names }) => names[0]!), ...this.#others]) {
      const text = this.#published.get(name)
      if (text !== undefined && text !== '' && Number.isFinite(Number(text))) numbers[name] = Number(text)
    }
    numbers[UPTIME_TOPIC] = this.#uptimeSeconds()
    return numbers
  }

  #uptimeSeconds(): number {
    return Math.floor((this.#parts.steadyMs() - this.#startedAtMs) / 1000)
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  /** Waits until the next second that is a multiple of the interval, counted from 1970. */
  #wait(): void {
    const { after, nowMs } = this.#parts
    const intervalMs = this.#intervalSeconds * 1000
    const now = nowMs()
    const dueAtMs = (Math.floor(now / intervalMs) + 1) * intervalMs
    const fire = (): void => {
      const leftMs = dueAtMs - nowMs()
      // A timer may be early by a millisecond; and where the clock was put back, the next multiple is another one.
      if (leftMs > 0 && leftMs < intervalMs) {
        this.#cancel = after(leftMs, fire)
        return
      }
      if (leftMs <= 0) this.#update()
      this.#wait()
    }
    this.#cancel = after(dueAtMs - now, fire)
  }

  #update(): void {
    const { steadyMs, metrics, vitals } = this.#parts
    const now = steadyMs()
    this.#say(UPTIME_TOPIC, `${this.#uptimeSeconds()} seconds`, true)
    const values = metrics()
    const signs = vitals()
    this.#sessionsMax = Math.max(this.#sessionsMax, values.sessions)
    this.#heapBytesMax = Math.max(this.#heapBytesMax, signs.heapBytes)
    const reading: Reading = {
      metrics: values,
      vitals: signs,
      before: this.#before,
      sessionsMax: this.#sessionsMax,
      heapBytesMax: this.#heapBytesMax,
    }
    this.#updateLoads(values, (now - this.#lastMs) / 1000)
    for (const { names, value } of this.#topics) {
      const text = value(reading)
      if (text !== null) for (const name of names) this.#say(name, text)
    }
    this.#before = values
    this.#lastMs = now
    this.updateOthers()
  }

  /** Publishes what has changed of the topics that come and go, and removes those that are gone. */
  updateOthers(): void {
    if (this.#intervalSeconds === 0) return
    const before = this.#others
    this.#others = new Set()
    for (const [topic, text] of this.#parts.others?.() ?? []) {
      before.delete(topic)
      this.#others.add(topic)
      this.#say(topic, text)
    }
    for (const topic of before) {
      this.#published.delete(topic)
      this.#parts.publish(topic, '')
    }
  }

  #updateLoads(values: MetricValues, seconds: number): void {
    for (const { topic, source, average } of this.#loads) {
      const delta = source.count(values) - source.count(this.#before)
      // A duration of zero, as at the start, gives no rate.
      const isMoved = seconds > 0 && average.update(delta, seconds)
      if (isMoved || !this.#published.has(topic)) this.#say(topic, average.text, true)
    }
  }

  #say(topic: string, text: string, isAlways = false): void {
    if (!isAlways && this.#published.get(topic) === text) return
    this.#published.set(topic, text)
    this.#parts.publish(topic, text)
  }
}
