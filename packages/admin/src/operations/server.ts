/** Operations about the broker itself: what it is, how it is set, what it counts, and how it is changed at run time. */
import { freemem, hostname, totalmem } from 'node:os'
import { metricTable } from '@recado/broker'
import { z } from 'zod'
import { type Operation, operation } from '../http/operation.ts'
import { done } from '../http/reply.ts'
import { SECONDS_BOUNDS } from '../metrics/histogram.ts'
import { seriesNames } from '../metrics/history.ts'
import { need, type Parts } from './parts.ts'
import { timeMs } from './views.ts'

const listener = z.object({
  name: z.string(),
  address: z.string(),
  protocol: z.string(),
  tls: z.boolean(),
  allowAnonymous: z.boolean(),
  certificateExpiresAtMs: timeMs.nullable(),
  traffic: z
    .object({
      connections: z.number().int(),
      clients: z.number().int(),
      connectionsOpened: z.number().int(),
      connectionsRefused: z.number().int().describe('Connections that ended before they had a successful CONNACK.'),
      bytesReceived: z.number(),
      bytesSent: z.number(),
      messagesReceived: z.number().describe('PUBLISH packets.'),
      messagesSent: z.number().describe('PUBLISH packets.'),
    })
    .nullable()
    .describe('Numbers since the broker started; null for HTTP, and before the first connection.'),
})
const bridge = z.object({
  name: z.string(),
  state: z.string(),
  address: z.string(),
  connections: z.number().describe('Times that the remote broker has accepted.'),
  lastError: z.string(),
  nextTrySeconds: z.number().nullable(),
  lagSeconds: z.number().describe('Seconds since the remote broker had all messages; 0 while it has.'),
  queuedMessages: z.number(),
  inFlight: z.number(),
})

/** Operations of the group `server`. */
export function serverOperations({ broker, host, startedAtMs, history, latencies }: Parts): Operation[] {
  return [
    operation({
      method: 'get',
      path: '/api/v1/server',
      id: 'getServer',
      tag: 'server',
      role: 'viewer',
      summary: 'Version, uptime, process and limits of the broker.',
      answer: z.object({
        version: z.string(),
        node: z.string(),
        host: z.string(),
        pid: z.number().int(),
        startedAtMs: timeMs,
        uptimeSeconds: z.number(),
        memory: z.object({
          residentBytes: z.number(),
          heapBytes: z.number(),
          freeBytes: z.number(),
          totalBytes: z.number(),
        }),
        limits: z.record(z.string(), z.number().nullable()).describe('Limits by name; null for none.'),
      }),
      example: {},
      handle() {
        const { rss, heapUsed } = process.memoryUsage()
        const limits = Object.entries(broker.limits).map(([name, value]) => [
          name,
          Number.isFinite(value) ? value : null,
        ])
        return {
          version: host.version,
          node: process.version,
          host: hostname(),
          pid: process.pid,
          startedAtMs,
          uptimeSeconds: Math.floor((Date.now() - startedAtMs) / 1_000),
          memory: { residentBytes: rss, heapBytes: heapUsed, freeBytes: freemem(), totalBytes: totalmem() },
          limits: Object.fromEntries(limits),
        }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/metrics',
      id: 'getMetrics',
      tag: 'server',
      role: 'viewer',
      summary: 'All counters and gauges as JSON, with kind, unit and meaning.',
      answer: z.object({
        metrics: z.array(
          z.object({ name: z.string(), kind: z.string(), unit: z.string(), help: z.string(), value: z.number() }),
        ),
      }),
      example: {},
      handle() {
        const values = broker.metrics()
        const metrics = Object.entries(metricTable).map(([name, metric]) => ({
          name,
          ...metric,
          value: values[name] ?? 0,
        }))
        return { metrics }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/history',
      id: 'getHistory',
      tag: 'server',
      role: 'viewer',
      summary: 'Time series: the last 5 minutes by the second, or the last hour by 10 seconds.',
      query: z.strictObject({
        step: z.enum(['1', '10']).default('1').describe('Seconds from one value to the next.'),
        series: z
          .string()
          .max(1_000)
          .transform((text) => text.split(','))
          .refine((list) => list.every((name) => seriesNames.includes(name)), `take some of ${seriesNames.join(', ')}`)
          .optional()
          .describe('Names with commas between them; default all.'),
        since: z.coerce.number().min(0).default(0).describe('Only values later than this: the last `atMs` of before.'),
      }),
      answer: z.object({
        stepSeconds: z.number().int(),
        atMs: z.array(timeMs).describe('Time of each value, the oldest first.'),
        series: z.record(z.string(), z.array(z.number())).describe('Counters per second, gauges as they were.'),
      }),
      example: { query: 'step=10&series=messagesReceived,clients' },
      handle({ query: { step, series = seriesNames, since } }) {
        return { stepSeconds: Number(step), ...history.read(Number(step), series, since) }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/latencies',
      id: 'getLatencies',
      tag: 'server',
      role: 'viewer',
      summary: 'Histograms of latency since the broker started: of a sample of messages, and of all commits.',
      description: 'Subtract two answers to have those of the time in between.',
      answer: z.object({
        bounds: z.array(z.number()).describe('Upper bounds of the buckets in seconds; the last bucket has none.'),
        items: z.array(
          z.object({
            name: z
              .enum(['deliver', 'acknowledge', 'commit'])
              .describe('From PUBLISH to the sockets of subscribers, from PUBLISH to PUBACK or PUBREC, batches.'),
            buckets: z.array(z.number()).describe('Values in each bucket.'),
            count: z.number(),
            sum: z.number().describe('Seconds.'),
          }),
        ),
      }),
      example: {},
      handle() {
        const names = ['deliver', 'acknowledge', 'commit'] as const
        const items = names.map((name) => {
          const { buckets, count, sum } = latencies[name]
          return { name, buckets: [...buckets], count, sum }
        })
        return { bounds: SECONDS_BOUNDS, items }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/server/listeners',
      id: 'listListeners',
      tag: 'server',
      role: 'viewer',
      summary: 'Listeners: when their certificates end, and what came and went by them.',
      answer: z.object({ items: z.array(listener) }),
      problems: { 501: 'The program does not say.' },
      example: {},
      async handle() {
        const views = new Map((await broker.inspect.listeners()).map(({ listener, ...traffic }) => [listener, traffic]))
        const items = need(host, 'listeners')().map((each) => ({ ...each, traffic: views.get(each.name) ?? null }))
        return { items }
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/configuration',
      id: 'getConfiguration',
      tag: 'server',
      role: 'operator',
      summary: 'Options in force, where each one is set, and what the lints say. Secrets are left out.',
      answer: z.object({
        file: z.string().nullable(),
        settings: z.array(z.object({ name: z.string(), value: z.string(), from: z.string() })),
        lints: z.array(z.object({ level: z.string(), where: z.string(), text: z.string() })),
      }),
      problems: { 501: 'The program does not say.' },
      example: {},
      handle: () => need(host, 'configuration')(),
    }),
    operation({
      method: 'post',
      path: '/api/v1/reload',
      id: 'reload',
      tag: 'server',
      role: 'admin',
      summary: 'Reads the configuration and the files of logins, rights and certificates again, as SIGHUP does.',
      answer: z.object({
        isDone: z.boolean().describe('False: something could not be read and stays as it was; `lines` says what.'),
        lines: z.array(z.string()).describe('What the log says about it.'),
      }),
      problems: { 501: 'The program cannot.' },
      example: {},
      async handle({ audit }) {
        const reload = need(host, 'reload')
        const outcome = await reload()
        audit(outcome.isDone ? 'read configuration and files again' : 'tried to read configuration and files again')
        return outcome
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/log/types',
      id: 'getLogTypes',
      tag: 'server',
      role: 'viewer',
      summary: 'Types of events that are logged.',
      answer: z.object({ types: z.array(z.string()) }),
      problems: { 501: 'The program does not say.' },
      example: {},
      handle: () => ({ types: need(host, 'logTypes')() }),
    }),
    operation({
      method: 'put',
      path: '/api/v1/log/types',
      id: 'setLogTypes',
      tag: 'server',
      role: 'admin',
      summary: 'Logs these types from now on, until the configuration is read again.',
      body: z.strictObject({
        types: z
          .array(
            z.enum(['error', 'warning', 'notice', 'information', 'debug', 'subscribe', 'unsubscribe', 'websockets']),
          )
          .min(1),
      }),
      answer: null,
      problems: { 501: 'The program cannot.' },
      example: { body: { types: ['error', 'warning', 'notice', 'information'] } },
      handle({ body: { types }, audit }) {
        need(host, 'setLogTypes')(types)
        audit(`log the types ${types.join(', ')}`)
        return done()
      },
    }),
    operation({
      method: 'get',
      path: '/api/v1/bridges',
      id: 'listBridges',
      tag: 'server',
      role: 'viewer',
      summary: 'Bridges, their state and what waits for them.',
      answer: z.object({ items: z.array(bridge) }),
      problems: { 501: 'The program has no bridges.' },
      example: {},
      handle: () => ({ items: need(host, 'bridges')() }),
    }),
    operation({
      method: 'get',
      path: '/api/v1/durability',
      id: 'getDurability',
      tag: 'server',
      role: 'viewer',
      summary: 'What the store has written, how long it takes, and how far it is behind.',
      answer: z.object({
        batches: z.number(),
        rows: z.number(),
        rowsPerBatch: z.number().describe('On average since the broker started.'),
        commitMs: z.number().describe('Time until a batch was safe, on average since the broker started.'),
        lagMs: z.number().describe('Age of the oldest batch that is not safe yet.'),
        storedBytes: z.number(),
        disk: z.object({ fileBytes: z.number(), freeBytes: z.number() }).nullable(),
      }),
      example: {},
      async handle() {
        const { storeBatches, storeRows, storeMs, storeLagMs, storedBytes } = broker.metrics()
        const batches = Math.max(1, storeBatches)
        return {
          batches: storeBatches,
          rows: storeRows,
          rowsPerBatch: storeRows / batches,
          commitMs: storeMs / batches,
          lagMs: storeLagMs,
          storedBytes,
          disk: (await host.disk?.()) ?? null,
        }
      },
    }),
  ]
}
