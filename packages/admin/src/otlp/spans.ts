/**
 * Spans of messages that carry a W3C trace context: one for their way through the broker, one for each subscriber.
 *
 * `otlp.ts` has one where spans are on; it is a `MessageWatch`. The user properties `traceparent` and `tracestate` of a
 * message go on to its subscribers unaltered, as MQTT asks of a server [MQTT-3.3.2-17]: the broker's spans are children of
 * the publisher's, and so are the subscribers'. Invariant: only messages whose publisher has decided that the trace is
 * recorded are followed, and no more than `OPEN_MAX` at a time are not at their end.
 */
import type * as Api from '@opentelemetry/api'
import type { Span, SpanContext, Tracer } from '@opentelemetry/api'
import type { ApplicationMessage, ClientInfo, MessageWatch } from '@recado/broker'
import { EndOfTurn } from '../metrics/end-of-turn.ts'

const OPEN_MAX = 1_000
/** Subscribers of a message that have a span. */
const DELIVERIES_MAX = 20
const TOPIC_LENGTH_MAX = 1_000
/** [W3C Trace Context, 3.2.2]: version, trace-id, parent-id and flags; later versions may have more behind them. */
const TRACEPARENT = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:$|-)/
const RECORDED = 1

interface Followed {
  readonly span: Span
  deliveries: number
  /** Spans of subscribers that were written to in this turn. */
  written: Span[]
  isAtEnd: boolean
}

/** Returns the trace context of a message; null when it has none, or it is not recorded. */
export function contextOf({ properties }: ApplicationMessage): { parent: SpanContext; state: string | null } | null {
  const { userProperties } = properties
  if (userProperties === undefined) return null
  let parent: SpanContext | null = null
  let state: string | null = null
  for (const [name, value] of userProperties) {
    if (name === 'tracestate') state = value
    if (name !== 'traceparent') continue
    const match = TRACEPARENT.exec(value)
    if (match === null || (match[1] === '00' && value.length !== 55)) return null
    const traceFlags = Number.parseInt(match[4]!, 16)
    if ((traceFlags & RECORDED) === 0) return null
    parent = { traceId: match[2]!, spanId: match[3]!, traceFlags: RECORDED, isRemote: true }
  }
  return parent === null ? null : { parent, state }
}

export class Spans implements MessageWatch {
  readonly #tracer: Tracer
  readonly #api: typeof Api
  readonly #followed: WeakMap<ApplicationMessage, Followed> = new WeakMap()
  /** Messages whose span has not ended, the oldest first. */
  readonly #open: Set<Followed> = new Set()
  /** Messages that were written, acknowledged or at their end in this turn. */
  readonly #turn: EndOfTurn<Followed> = new EndOfTurn((turn) => this.#endTurn(turn))

  constructor(tracer: Tracer, api: typeof Api) {
    this.#tracer = tracer
    this.#api = api
  }

  published(client: ClientInfo | null, message: ApplicationMessage): boolean {
    const traced = contextOf(message)
    if (traced === null) return false
    const { parent, state } = traced
    const { createTraceState, ROOT_CONTEXT, SpanKind, trace } = this.#api
    const spanContext = state === null ? parent : { ...parent, traceState: createTraceState(state) }
    const options = { kind: SpanKind.INTERNAL, attributes: attributesOf(client, message) }
    const span = this.#tracer.startSpan('recado route', options, trace.setSpanContext(ROOT_CONTEXT, spanContext))
    const followed: Followed = { span, deliveries: 0, written: [], isAtEnd: message.qos === 0 }
    this.#followed.set(message, followed)
    this.#open.add(followed)
    if (this.#open.size > OPEN_MAX) this.#end(this.#open.values().next().value!)
    // Without an acknowledgement its way is at its end with this turn.
    if (message.qos === 0) this.#turn.add(followed)
    return true
  }

  delivered(client: ClientInfo, message: ApplicationMessage): void {
    const followed = this.#followed.get(message)
    if (followed === undefined || followed.deliveries++ >= DELIVERIES_MAX) return
    const { ROOT_CONTEXT, SpanKind, trace } = this.#api
    const attributes = { 'messaging.system': 'mqtt', 'messaging.client.id': client.clientId }
    const parent = trace.setSpan(ROOT_CONTEXT, followed.span)
    followed.written.push(this.#tracer.startSpan('recado deliver', { kind: SpanKind.INTERNAL, attributes }, parent))
    this.#turn.add(followed)
  }

  acknowledged(message: ApplicationMessage): void {
    const followed = this.#followed.get(message)
    if (followed === undefined) return
    followed.isAtEnd = true
    this.#turn.add(followed)
  }

  committed(): void {
    // A batch is of many messages.
  }

  /** Ends all spans. */
  end(): void {
    this.#turn.flush()
    for (const followed of this.#open) this.#end(followed)
  }

  #endTurn(turn: Iterable<Followed>): void {
    for (const followed of turn) {
      for (const span of followed.written) span.end()
      followed.written = []
      if (followed.isAtEnd) this.#end(followed)
    }
  }

  #end(followed: Followed): void {
    if (!this.#open.delete(followed)) return
    followed.span.setAttribute('recado.deliveries', followed.deliveries)
    followed.span.end()
  }
}

function attributesOf(client: ClientInfo | null, { topic, qos, retain, payload }: ApplicationMessage): Api.Attributes {
  return {
    'messaging.system': 'mqtt',
    'messaging.destination.name': topic.slice(0, TOPIC_LENGTH_MAX),
    ...(client === null ? {} : { 'messaging.client.id': client.clientId }),
    'messaging.message.body.size': payload.length,
    'mqtt.qos': qos,
    'mqtt.retain': retain,
  }
}
