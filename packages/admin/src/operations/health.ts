/** Operations for machines that watch the broker: metrics, and whether it lives and is ready. */
import { z } from 'zod'
import { type Operation, operation } from '../http/operation.ts'
import { Reply } from '../http/reply.ts'
import { listenerSamples, metricsText, OPEN_METRICS, PROMETHEUS_TEXT } from '../metrics/open-metrics.ts'
import type { ProcessSamples } from '../metrics/process-samples.ts'
import { programSamples } from '../metrics/program-samples.ts'
import type { Parts } from './parts.ts'

/** Operations of the group `health`. */
export function healthOperations(
  { broker, host, startedAtMs, latencies }: Parts,
  samples: ProcessSamples,
): Operation[] {
  return [
    operation({
      method: 'get',
      path: '/metrics',
      id: 'scrape',
      tag: 'health',
      role: 'viewer',
      summary: 'Metrics for Prometheus: OpenMetrics 1.0 when the client asks for it, otherwise text 0.0.4.',
      answer: z.string(),
      mediaType: PROMETHEUS_TEXT,
      example: {},
      async handle({ incoming }) {
        const isOpen = (incoming.headers.accept ?? '').includes('application/openmetrics-text')
        const ofListeners = listenerSamples(await broker.inspect.listeners())
        const scraped = {
          values: broker.metrics(),
          samples: [...samples.read(startedAtMs, host.version), ...(await programSamples(host)), ...ofListeners],
          histograms: latencies.all,
        }
        const text = metricsText(scraped, isOpen)
        return new Reply(200, text, { 'content-type': isOpen ? OPEN_METRICS : PROMETHEUS_TEXT })
      },
    }),
    operation({
      method: 'get',
      path: '/livez',
      id: 'isAlive',
      tag: 'health',
      role: null,
      summary: 'Answers 200 as long as the process works through its events.',
      answer: z.object({ status: z.literal('ok') }),
      example: {},
      handle: () => ({ status: 'ok' }),
    }),
    operation({
      method: 'get',
      path: '/readyz',
      id: 'isReady',
      tag: 'health',
      role: null,
      summary: 'Answers 200 when the broker can be used: listeners open, store writing, not stopping; otherwise 503.',
      answer: z.object({ status: z.enum(['ok', 'not ready']), problems: z.array(z.string()) }),
      problems: { 503: 'It cannot; the body says why, as in the answer with 200.' },
      example: {},
      handle() {
        const problems = host.problems?.() ?? []
        const isReady = problems.length === 0
        return new Reply(isReady ? 200 : 503, { status: isReady ? 'ok' : 'not ready', problems })
      },
    }),
  ]
}
