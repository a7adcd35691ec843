/**
 * Time series of the broker's numbers: the last five minutes by the second, the last hour by ten seconds.
 *
 * `admin.ts` has one; `GET /api/v1/history` reads it. Invariant: its memory is fixed from the beginning.
 */
import { type Broker, type MetricName, metricTable } from '@recado/broker'

/** Series by name: a metric, or the sum of all drops. A counter is shown per second, a gauge as it was. */
const names = [
  'messagesReceived',
  'messagesSent',
  'bytesReceived',
  'bytesSent',
  'connectionsOpened',
  'connectionsRefused',
  'clients',
  'sessions',
  'subscriptions',
  'retainedMessages',
  'queuedMessages',
  'inflight',
  'slowReaders',
  'storedBytes',
  'storeLagMs',
  'storeBatches',
  'storeMs',
  'memoryLevel',
] as const satisfies readonly MetricName[]
const DROPPED = 'dropped'
const RESIDENT = 'residentBytes'

/** Names of all series. */
export const seriesNames: readonly string[] = [...names, DROPPED, RESIDENT]

const isCounter = (name: string): boolean =>
  name === DROPPED || (name !== RESIDENT && metricTable[name as MetricName].kind === 'counter')

/** Values of one step width. */
class Track {
  readonly stepSeconds: number
  readonly #size: number
  readonly #times: Float64Array
  readonly #values: Float64Array[]
  #next = 0
  #count = 0

  constructor(stepSeconds: number, size: number) {
    this.stepSeconds = stepSeconds
    // One more than is shown, for the rates of the first.
    this.#size = size + 1
    this.#times = new Float64Array(this.#size)
    this.#values = seriesNames.map(() => new Float64Array(this.#size))
  }

  add(atMs: number, values: readonly number[]): void {
    this.#times[this.#next] = atMs
    for (let i = 0; i < values.length; i++) this.#values[i]![this.#next] = values[i]!
    this.#next = (this.#next + 1) % this.#size
    this.#count = Math.min(this.#count + 1, this.#size)
  }

  /** @param sinceMs only values that are later */
  read(wanted: readonly string[], sinceMs: number): { atMs: number[]; series: Record<string, number[]> } {
    const order = Array.from(
      { length: this.#count },
      (_, i) => (this.#next - this.#count + i + this.#size) % this.#size,
    )
    // The one before the first that is shown is there for its rate.
    while (order.length > 1 && this.#times[order[1]!]! <= sinceMs) order.shift()
    const atMs = order.slice(1).map((at) => this.#times[at]!)
    const series: Record<string, number[]> = {}
    for (const name of wanted) {
      const values = this.#values[seriesNames.indexOf(name)]!
      series[name] = order.slice(1).map((at, i) => {
        if (!isCounter(name)) return values[at]!
        const before = order[i]!
        const seconds = (this.#times[at]! - this.#times[before]!) / 1_000
        return seconds > 0 ? Math.max(0, (values[at]! - values[before]!) / seconds) : 0
      })
    }
    return { atMs, series }
  }
}

export class History {
  readonly #tracks: readonly Track[] = [new Track(1, 300), new Track(10, 360)]
  readonly #broker: Broker
  readonly #timer: NodeJS.Timeout
  #ticks = 0

  constructor(broker: Broker) {
    this.#broker = broker
    this.#tick()
    this.#timer = setInterval(() => this.#tick(), 1_000).unref()
  }

  #tick(): void {
    const metrics = this.#broker.metrics()
    let dropped = 0
    for (const [name, value] of Object.entries(metrics)) if (name.startsWith('dropped.')) dropped += value
    const values = [...names.map((name) => metrics[name]), dropped, process.memoryUsage.rss()]
    const atMs = Date.now()
    for (const track of this.#tracks) if (this.#ticks % track.stepSeconds === 0) track.add(atMs, values)
    this.#ticks++
  }

  /** Returns values that are later than `sinceMs` by time, the oldest first. */
  read(
    stepSeconds: number,
    wanted: readonly string[],
    sinceMs = 0,
  ): { atMs: number[]; series: Record<string, number[]> } {
    return this.#tracks.find((track) => track.stepSeconds === stepSeconds)!.read(wanted, sinceMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
