/**
 * Metrics and spans by OTLP over HTTP, with the packages of OpenTelemetry, which are optional peers.
 *
 * `admin.ts` calls `startOtlp`, which loads them. Names are such that a collector that exports to Prometheus makes the
 * names of `/metrics` of them. Invariants: nothing of it is loaded unless it is asked for; what cannot be sent is said in
 * the log once in a while, and never holds up a message.
 */
import { hostname } from 'node:os'
import type { Attributes, DiagLogger } from '@opentelemetry/api'
import { type Broker, type MessageWatch, type Metric, type MetricName, metricTable } from '@recado/broker'
import type { AdminHost } from '../host.ts'
import { SECONDS_BOUNDS } from '../metrics/histogram.ts'
import type { Latencies } from '../metrics/latencies.ts'
import { baseOf } from '../metrics/metric-names.ts'
import { Spans } from './spans.ts'

/** Options of the export. */
export interface OtlpOptions {
  /** Address of the receiver, as in `http://127.0.0.1:4318`; metrics go to `/v1/metrics` below it, spans to `/v1/traces`. */
  readonly endpoint: string
  /** Seconds from one export of the metrics to the next. Default 60. */
  readonly intervalSeconds?: number
  /** Whether messages with the user property `traceparent` get spans. Default false. */
  readonly hasSpans?: boolean
}

/** An export that runs. */
export interface Otlp {
  /** Follows messages for spans; null when there are none. */
  readonly watch: MessageWatch | null
  /** Sends what is left, for a few seconds at most, and ends. */
  stop(): Promise<void>
}

/** Error of an export that cannot begin: what is missing, and the command that installs it. */
export class OtlpError extends Error {}

const INTERVAL_SECONDS = 60
const STOP_MS = 3_000
/** Time between two lines of the log about an export that fails. */
const COMPLAINT_MS = 60_000
const DROPPED = 'dropped.'

const INSTALL =
  'npm install @opentelemetry/api@1.9 @opentelemetry/resources@2 @opentelemetry/sdk-metrics@2 @opentelemetry/sdk-trace-base@2 @opentelemetry/exporter-metrics-otlp-http@0.223 @opentelemetry/exporter-trace-otlp-http@0.223'

type Packages = Awaited<ReturnType<typeof packages>>

async function packages() {
  const [api, resources, metrics, traces, metricExport, traceExport] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-metrics-otlp-http'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ])
  return { api, resources, metrics, traces, metricExport, traceExport }
}

/** Returns the error that says why the packages cannot be loaded. */
export function otlpError(cause: Error & { code?: string }): OtlpError {
  // The second one is that of the bundled program, which is CommonJS.
  const isMissing = cause.code === 'ERR_MODULE_NOT_FOUND' || cause.code === 'MODULE_NOT_FOUND'
  const missing = isMissing ? /'(@opentelemetry\/[\w-]+)'/.exec(cause.message)?.[1] : undefined
  const why = missing === undefined ? `they cannot be loaded (${cause.message})` : `${missing} is not installed`
  return new OtlpError(`Export by OTLP needs packages of OpenTelemetry, and ${why}: ${INSTALL}`, { cause })
}

/** Begins to export. @throws OtlpError when a package is missing */
export async function startOtlp(
  broker: Broker,
  latencies: Latencies,
  host: Pick<AdminHost, 'version' | 'log'>,
  options: OtlpOptions,
): Promise<Otlp> {
  let loaded: Packages
  try {
    loaded = await packages()
  } catch (error) {
    throw otlpError(error as Error)
  }
  const { api, resources, traces, traceExport } = loaded
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } = resources
  api.diag.setLogger(loggerOf(host, options.endpoint), {
    logLevel: api.DiagLogLevel.WARN,
    suppressOverrideMessage: true,
  })
  const own = { 'service.name': 'recado', 'service.version': host.version, 'host.name': hostname() }
  const resource = defaultResource()
    .merge(resourceFromAttributes({ ...own, 'process.pid': process.pid }))
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say more than we know.
    .merge(detectResources({ detectors: [envDetector] }))
  const base = options.endpoint.endsWith('/') ? options.endpoint.slice(0, -1) : options.endpoint
  const intervalMs = (options.intervalSeconds ?? INTERVAL_SECONDS) * 1_000
  const meters = new loaded.metrics.MeterProvider({
    resource,
    readers: [
      new loaded.metrics.PeriodicExportingMetricReader({
        exporter: new loaded.metricExport.OTLPMetricExporter({ url: `${base}/v1/metrics` }),
        exportIntervalMillis: intervalMs,
        exportTimeoutMillis: Math.min(10_000, intervalMs),
      }),
    ],
  })
  measure(meters.getMeter('recado', host.version), broker, latencies)
  const tracers =
    options.hasSpans === true
      ? new traces.BasicTracerProvider({
          resource,
          // Whoever begins a trace decides whether it is recorded.
          sampler: new traces.ParentBasedSampler({ root: new traces.AlwaysOffSampler() }),
          spanProcessors: [
            new traces.BatchSpanProcessor(new traceExport.OTLPTraceExporter({ url: `${base}/v1/traces` })),
          ],
        })
      : null
  const spans = tracers === null ? null : new Spans(tracers.getTracer('recado', host.version), api)
  return {
    watch: spans,
    async stop() {
      latencies.onLatency = null
      spans?.end()
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, STOP_MS)
      })
      await Promise.race([Promise.allSettled([meters.shutdown(), tracers?.shutdown()]), late])
      clearTimeout(timer)
      api.diag.disable()
    },
  }
}

type Meter = ReturnType<InstanceType<Packages['metrics']['MeterProvider']>['getMeter']>

/** Makes an instrument of each metric. */
function measure(meter: Meter, broker: Broker, latencies: Latencies): void {
  const dropped = meter.createObservableCounter('recado.dropped_messages', {
    description: 'Messages that did not reach a subscriber, by reason.',
    unit: '{message}',
  })
  const instruments = (Object.entries(metricTable) as [MetricName, Metric][])
    .filter(([name]) => !name.startsWith(DROPPED))
    .map(([name, metric]) => {
      const { words, unit, factor } = baseOf(name, metric)
      const options = { description: metric.help, unit: unit === 'seconds' ? 's' : unit === 'bytes' ? 'By' : '' }
      const instrument =
        metric.kind === 'counter'
          ? meter.createObservableCounter(`recado.${words}`, options)
          : meter.createObservableGauge(`recado.${words}`, options)
      return { name, factor, instrument }
    })
  const reasons = Object.keys(metricTable).filter((name) => name.startsWith(DROPPED))
  meter.addBatchObservableCallback(
    (result) => {
      const values = broker.metrics()
      for (const { name, factor, instrument } of instruments) result.observe(instrument, values[name] * factor)
      for (const name of reasons) {
        const attributes: Attributes = { reason: name.slice(DROPPED.length) }
        result.observe(dropped, values[name as MetricName], attributes)
      }
    },
    [dropped, ...instruments.map(({ instrument }) => instrument)],
  )
  meter
    .createObservableGauge('recado.process.resident_memory', { unit: 'By', description: 'Resident memory.' })
    .addCallback((result) => result.observe(process.memoryUsage.rss()))
  meter
    .createObservableCounter('recado.process.cpu', { unit: 's', description: 'CPU time of the process.' })
    .addCallback((result) => result.observe(cpuSeconds()))
  const histograms = new Map(
    latencies.all.map((histogram) => [
      histogram,
      meter.createHistogram(histogram.name.replace(/^recado_(.*)_seconds$/, 'recado.$1'), {
        description: histogram.help,
        unit: 's',
        advice: { explicitBucketBoundaries: [...SECONDS_BOUNDS] },
      }),
    ]),
  )
  latencies.onLatency = (histogram, seconds, times) => {
    const instrument = histograms.get(histogram)
    for (let i = 0; i < times; i++) instrument?.record(seconds)
  }
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Logger of the packages: what fails is said once in a while. */
function loggerOf({ log }: Pick<AdminHost, 'log'>, endpoint: string): DiagLogger {
  let saidAtMs = Number.NEGATIVE_INFINITY
  let unsaid = 0
  const say = (message: string): void => {
    const nowMs = performance.now()
    if (nowMs - saidAtMs < COMPLAINT_MS) {
      unsaid++
      return
    }
    const before = unsaid === 0 ? '' : ` (${unsaid} more since the last such line)`
    log('warning', 'otlp.failed', `Export by OTLP to ${endpoint} fails: ${reasonIn(message)}${before}`, { endpoint })
    saidAtMs = nowMs
    unsaid = 0
  }
  const nothing = (): void => undefined
  return { error: say, warn: say, info: nothing, debug: nothing, verbose: nothing }
}

/** The packages log errors as JSON, with their stack. */
function reasonIn(message: string): string {
  try {
    const { message: text, code } = JSON.parse(message) as { message?: string; code?: string }
    return [text, code].filter((part) => part !== undefined && part !== '').join(' ')
  } catch {
    return message.slice(0, 500)
  }
}
