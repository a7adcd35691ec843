/** Export by OTLP, received by a server of the test's own. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { ApplicationMessage } from '@recado/broker'
import { connect } from '@recado/client'
import { serve } from '../testing/api.ts'
import { otlpError } from './otlp.ts'
import { contextOf } from './spans.ts'

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number }
}

interface ReceivedSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly Attribute[]
}

interface Point {
  readonly asInt?: number
  readonly asDouble?: number
  readonly count?: number
  readonly explicitBounds?: readonly number[]
  readonly attributes: readonly Attribute[]
}

interface ReceivedMetric {
  readonly name: string
  readonly unit: string
  readonly sum?: { readonly dataPoints: readonly Point[]; readonly isMonotonic: boolean }
  readonly gauge?: { readonly dataPoints: readonly Point[] }
  readonly histogram?: { readonly dataPoints: readonly Point[] }
}

/** A receiver of OTLP by HTTP in JSON. */
async function receiver(context: TestContext, status = 200) {
  const received: Record<string, unknown[]> = { '/v1/metrics': [], '/v1/traces': [] }
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    request.on('end', () => {
      received[request.url!]?.push(JSON.parse(text))
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
    })
  }).listen(0, '127.0.0.1')
  context.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  return { received, endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

// biome-ignore lint/suspicious/noExplicitAny: the form of OTLP is that of its receiver
type Received = any

const metricsIn = (all: readonly unknown[]): ReceivedMetric[] =>
  all.flatMap((each) =>
    (each as Received).resourceMetrics.flatMap((one: Received) =>
      one.scopeMetrics.flatMap((scope: Received) => scope.metrics),
    ),
  )
const spansIn = (all: readonly unknown[]): ReceivedSpan[] =>
  all.flatMap((each) =>
    (each as Received).resourceSpans.flatMap((one: Received) =>
      one.scopeSpans.flatMap((scope: Received) => scope.spans),
    ),
  )

test('metrics have the names of /metrics, and a traced message has spans below that of its publisher', async (context) => {
  const { received, endpoint } = await receiver(context)
  const { admin, mqttPort, ask } = await serve(context)
  await admin.exportBy({ endpoint: `${endpoint}/`, intervalSeconds: 3_600, hasSpans: true })
  const client = await connect(`mqtt://127.0.0.1:${mqttPort}`, { clientId: 'ada' })
  context.after(() => client.close())
  const messages = client.subscribe('t/#', { qos: 1 })
  await messages.ready
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const userProperties: [string, string][] = [
    ['traceparent', traceparent],
    ['tracestate', 'vendor=1'],
  ]
  await client.publish('t/traced', 'x', { qos: 1, properties: { userProperties } })
  const { value } = await messages.next()
  assert.deepEqual(value?.properties?.userProperties, userProperties, 'the context goes on unaltered')
  await client.publish('t/not', 'x', { qos: 1 })
  await client.publish('t/0', 'x', { properties: { userProperties: [['traceparent', traceparent]] } })
  await messages.next()
  await messages.next()
  const scraped = (await ask('/metrics')).text
  await admin.exportBy(null)

  const spans = spansIn(received['/v1/traces']!)
  assert.ok(spans.every(({ traceId }) => traceId === '0af7651916cd43dd8448eb211c80319c'))
  const routes = spans.filter(({ name }) => name === 'recado route')
  assert.equal(routes.length, 2)
  assert.ok(routes.every(({ parentSpanId }) => parentSpanId === 'b7ad6b7169203331'))
  const topics = routes.map(({ attributes }) => attributes.find(({ key }) => key === 'messaging.destination.name'))
  assert.deepEqual(topics.map((topic) => topic?.value.stringValue).sort(), ['t/0', 't/traced'])
  const deliveries = spans.filter(({ name }) => name === 'recado deliver')
  assert.deepEqual(deliveries.map(({ parentSpanId }) => parentSpanId).sort(), routes.map(({ spanId }) => spanId).sort())
  assert.ok(spans.every((span) => BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano)))

  const metrics = new Map(metricsIn(received['/v1/metrics']!).map((metric) => [metric.name, metric]))
  const count = metrics.get('recado.messages_received')
  assert.deepEqual(
    [count?.sum?.isMonotonic, count?.sum?.dataPoints[0]?.asInt ?? count?.sum?.dataPoints[0]?.asDouble],
    [true, 3],
  )
  assert.equal(metrics.get('recado.clients')?.gauge?.dataPoints.length, 1)
  assert.deepEqual([metrics.get('recado.store_lag')?.unit, metrics.get('recado.received')?.unit], ['s', 'By'])
  const latency = metrics.get('recado.publish_to_acknowledge')?.histogram?.dataPoints[0]
  assert.deepEqual([latency?.count, latency?.explicitBounds?.[0]], [2, 0.000_1])
  const reasons = metrics
    .get('recado.dropped_messages')
    ?.sum?.dataPoints.map(({ attributes }) => attributes[0]?.value.stringValue)
  assert.ok(reasons?.includes('queue-full'))
  // A collector puts _ for dots, and unit and _total behind.
  const units: Record<string, string> = { s: '_seconds', By: '_bytes' }
  for (const { name, unit, sum } of metrics.values()) {
    if (name.startsWith('recado.process.')) continue
    const prometheus = `${name.replaceAll('.', '_')}${units[unit] ?? ''}${sum?.isMonotonic ? '_total' : ''}`
    assert.match(scraped, new RegExp(`^# TYPE ${prometheus} `, 'm'))
  }
})

test('a receiver that refuses is said once in the log, and the broker goes on', async (context) => {
  const { endpoint } = await receiver(context, 400)
  const { admin, lines, ask } = await serve(context)
  await admin.exportBy({ endpoint })
  await admin.exportBy({ endpoint })
  await admin.exportBy(null)
  const said = lines.filter((line) => line.startsWith('warning otlp.failed'))
  assert.ok(
    said.length > 0 && said.every((line) => line.includes(`Export by OTLP to ${endpoint} fails: `)),
    String(lines),
  )
  assert.equal((await ask('/livez')).status, 200)
})

test('a package that is missing is named, with the command that installs all', () => {
  const cause = Object.assign(new Error("Cannot find package '@opentelemetry/sdk-metrics' imported from x"), {
    code: 'ERR_MODULE_NOT_FOUND',
  })
  assert.match(
    otlpError(cause).message,
    /^Export by OTLP needs packages of OpenTelemetry, and @opentelemetry\/sdk-metrics is not installed: npm install @opentelemetry\/api@1\.9 /,
  )
  assert.match(otlpError(new Error('broken')).message, /they cannot be loaded \(broken\): npm install /)
})

test('only a trace context that W3C knows, and that is recorded, is followed', () => {
  const trace = '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331'
  const parentOf = (...values: string[]): string | null => {
    const userProperties = values.map((value): [string, string] => ['traceparent', value])
    return contextOf({ properties: { userProperties } } as ApplicationMessage)?.parent.spanId ?? null
  }
  assert.equal(parentOf(`00-${trace}-01`), 'b7ad6b7169203331')
  assert.equal(parentOf(`cc-${trace}-01-more`), 'b7ad6b7169203331')
  for (const wrong of [
    `00-${trace}-00`,
    `ff-${trace}-01`,
    `00-${trace}-01-more`,
    `00-${trace.toUpperCase()}-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`,
    '',
  ]) {
    assert.equal(parentOf(wrong), null, wrong)
  }
  assert.equal(parentOf(), null)
})
