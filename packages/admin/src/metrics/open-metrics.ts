/**
 * The numbers of the broker in the text form of OpenMetrics 1.0 and Prometheus 0.0.4.
 *
 * `GET /metrics` serves it. Names come from the metric table: `recado_`, the name in snake case, the unit, `_total` for a
 * counter. Milliseconds become seconds. The drops are one family with a label. Invariant: the number of series does not
 * grow with clients or topics.
 */
import { type Metric, type MetricValues, metricTable } from '@recado/broker'

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

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

interface Unit {
  /** Base unit, as the last word of the name. */
  readonly name: string
  readonly factor: number
  /** Word of the name that says the unit in the table. */
  readonly word: string
}

/** Units that a name carries; everything else is a count of things, which the name says already. */
const units: Readonly<Record<string, Unit>> = {
  milliseconds: { name: 'seconds', factor: 0.001, word: 'ms' },
  seconds: { name: 'seconds', factor: 1, word: 'seconds' },
  bytes: { name: 'bytes', factor: 1, word: 'bytes' },
}

interface Family {
  readonly name: string
  readonly factor: number
}

/** Makes the name of a metric: `payloadBytesSent` is `recado_payload_sent_bytes`. */
function familyOf(name: string, { unit }: Metric): Family {
  const base = units[unit]
  if (base === undefined) return { name: `recado_${snake(name)}`, factor: 1 }
  const words = snake(name)
    .split('_')
    .filter((word) => word !== base.word)
  return { name: ['recado', ...words, base.name].join('_'), factor: base.factor }
}

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"')

const DROPPED = 'dropped.'
const families: ReadonlyMap<string, Family> = new Map(
  Object.entries(metricTable)
    .filter(([name]) => !name.startsWith(DROPPED))
    .map(([name, metric]) => [name, familyOf(name, metric)]),
)

/** Writes the text. `isOpen`: OpenMetrics; otherwise the form of Prometheus 0.0.4. */
export function metricsText(values: MetricValues, samples: readonly Sample[], isOpen: boolean): string {
  const lines: string[] = []
  const head = (name: string, kind: 'counter' | 'gauge', help: string): void => {
    // In OpenMetrics a family has no _total, its sample has.
    const family = isOpen || kind === 'gauge' ? name : `${name}_total`
    lines.push(`# HELP ${family} ${escapeHelp(help)}`, `# TYPE ${family} ${kind}`)
  }
  const sampleName = (name: string, kind: 'counter' | 'gauge'): string => (kind === 'counter' ? `${name}_total` : name)
  for (const [name, metric] of Object.entries(metricTable) as [keyof MetricValues & string, Metric][]) {
    const family = families.get(name)
    if (family === undefined) continue
    head(family.name, metric.kind, metric.help)
    lines.push(`${sampleName(family.name, metric.kind)} ${numberText((values[name] ?? 0) * family.factor)}`)
  }
  head('recado_dropped_messages', 'counter', 'Messages that did not reach a subscriber, by reason.')
  for (const name of Object.keys(metricTable)) {
    if (!name.startsWith(DROPPED)) continue
    const reason = escapeLabel(name.slice(DROPPED.length))
    lines.push(`recado_dropped_messages_total{reason="${reason}"} ${numberText(values[name] ?? 0)}`)
  }
  let last = ''
  for (const { name, kind, help, value, labels = {} } of samples) {
    if (name !== last) head(name, kind, help)
    last = name
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
    lines.push(`${sampleName(name, kind)}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberText(value)}`)
  }
  if (isOpen) lines.push('# EOF')
  return `${lines.join('\n')}\n`
}

/** Number as both forms have it. Factors leave nothing behind the twelfth digit. */
function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(Number(value.toPrecision(12)))
}
