/**
 * The numbers of the broker in the text form of OpenMetrics 1.0 and Prometheus 0.0.4.
 *
 * `GET /metrics` serves it. Names come from the metric table: `recado_`, the name in snake case, the unit, `_total` for a
 * counter. Milliseconds become seconds. The drops are one family with a label. Invariant: the number of series does not
 * grow with clients or topics.
 */
import { type ListenerView, type Metric, type MetricValues, metricTable } from '@recado/broker'
import { type Histogram, SECONDS_BOUNDS } from './histogram.ts'
import { familyOf } from './metric-names.ts'

/** Media type of OpenMetrics. */
export const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
/** Media type of Prometheus' own form. */
export const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8'

/** A further number, of the process. */
export interface Sample {
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  readonly help: string
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"')

const DROPPED = 'dropped.'

/** A metric of the table, with the part of its text that is always the same. */
interface Fixed {
  readonly name: keyof MetricValues & string
  readonly factor: number
  /** Lines before the value, and the name of the sample; `open` in OpenMetrics. */
  readonly open: string
  readonly plain: string
}

const fixed: readonly Fixed[] = (Object.entries(metricTable) as [keyof MetricValues & string, Metric][])
  .filter(([name]) => !name.startsWith(DROPPED))
  .map(([name, metric]) => {
    const family = familyOf(name, metric)
    const textOf = (isOpen: boolean): string =>
      `${headOf(family.name, metric.kind, metric.help, isOpen)}\n${sampleName(family.name, metric.kind)} `
    return { name, factor: family.factor, open: textOf(true), plain: textOf(false) }
  })
const drops: readonly (readonly [name: keyof MetricValues & string, text: string])[] = Object.keys(metricTable)
  .filter((name) => name.startsWith(DROPPED))
  .map((name) => [
    name as keyof MetricValues & string,
    `recado_dropped_messages_total{reason="${escapeLabel(name.slice(DROPPED.length))}"} `,
  ])

function headOf(name: string, kind: 'counter' | 'gauge' | 'histogram', help: string, isOpen: boolean): string {
  // In OpenMetrics a family has no _total, its sample has.
  const family = isOpen || kind !== 'counter' ? name : `${name}_total`
  return `# HELP ${family} ${escapeHelp(help)}\n# TYPE ${family} ${kind}`
}

function sampleName(name: string, kind: 'counter' | 'gauge'): string {
  return kind === 'counter' ? `${name}_total` : name
}

/** Listeners, and bridges, that have series of their own; those beyond are left out. */
export const SERIES_MAX = 100

/** Series of each listener. */
const ofListener: readonly (readonly [name: string, kind: 'counter' | 'gauge', help: string, keyof ListenerView])[] = [
  ['connections', 'gauge', 'Open network connections.', 'connections'],
  ['clients', 'gauge', 'Connected clients.', 'clients'],
  ['connections_opened', 'counter', 'Network connections that were accepted.', 'connectionsOpened'],
  ['connections_refused', 'counter', 'Connections that ended before a successful CONNACK.', 'connectionsRefused'],
  ['received_bytes', 'counter', 'Bytes received.', 'bytesReceived'],
  ['sent_bytes', 'counter', 'Bytes sent.', 'bytesSent'],
  ['messages_received', 'counter', 'PUBLISH packets that were received.', 'messagesReceived'],
  ['messages_sent', 'counter', 'PUBLISH packets that were sent.', 'messagesSent'],
]

/** Makes the series of the listeners. */
export function listenerSamples(listeners: readonly ListenerView[]): Sample[] {
  const shown = listeners.slice(0, SERIES_MAX)
  return ofListener.flatMap(([name, kind, help, key]) =>
    shown.map((view) => ({
      ...{ name: `recado_listener_${name}`, kind, help: `${help} By listener.` },
      ...{ value: view[key] as number, labels: { listener: view.listener } },
    })),
  )
}

/** Numbers of a scrape. */
export interface Scraped {
  readonly values: MetricValues
  readonly samples: readonly Sample[]
  readonly histograms: readonly Histogram[]
}

/** Writes the text. `isOpen`: OpenMetrics; otherwise the form of Prometheus 0.0.4. */
export function metricsText({ values, samples, histograms }: Scraped, isOpen: boolean): string {
  const lines: string[] = []
  const head = (name: string, kind: 'counter' | 'gauge' | 'histogram', help: string): void => {
    lines.push(headOf(name, kind, help, isOpen))
  }
  for (const { name, factor, open, plain } of fixed) {
    lines.push((isOpen ? open : plain) + numberText((values[name] ?? 0) * factor))
  }
  head('recado_dropped_messages', 'counter', 'Messages that did not reach a subscriber, by reason.')
  for (const [name, text] of drops) lines.push(text + numberText(values[name] ?? 0))
  let last = ''
  for (const { name, kind, help, value, labels = {} } of samples) {
    if (name !== last) head(name, kind, help)
    last = name
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
    lines.push(`${sampleName(name, kind)}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberText(value)}`)
  }
  for (const { name, help, buckets, sum, count } of histograms) {
    head(name, 'histogram', help)
    let below = 0
    for (const [at, bucket] of buckets.entries()) {
      below += bucket
      lines.push(`${name}_bucket{le="${numberText(SECONDS_BOUNDS[at] ?? Number.POSITIVE_INFINITY)}"} ${below}`)
    }
    lines.push(`${name}_sum ${numberText(sum)}`, `${name}_count ${count}`)
  }
  if (isOpen) lines.push('# EOF')
  return `${lines.join('\n')}\n`
}

/** Number as both forms have it. Factors leave nothing behind the twelfth digit. */
function numberText(value: number): string {
  if (Number.isSafeInteger(value)) return String(value)
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(Number(value.toPrecision(12)))
}
