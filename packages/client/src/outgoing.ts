/**
 * A message on its way out, with what `Publisher`, `Sender` and the session store must know of it, and the promise of its `publish`.
 *
 * Invariant: `promise` is settled once; fields that the store owns (`sequence`, `storedIn`, `hasFlightRow`) only the store writes.
 */
import { Flow, NO_PROPERTIES, type Properties, type QoS, type ReasonCode } from '@recado/protocol'
import { deferred, quiet } from './abort.ts'
import type { Storable } from './store/session-store.ts'

/** How the flow of a message ended. At QoS 0: written to the network. */
export interface PublishResult {
  /** 0, or 0x10 when the server has no matching subscribers (5.0; servers need not say so). */
  readonly reasonCode: ReasonCode
  readonly reasonString: string | undefined
  /** Of the PUBACK or PUBCOMP. */
  readonly properties: Properties
  /** 0 at QoS 0. */
  readonly packetId: number
}

/** For `client.onUndelivered`. */
export interface UndeliveredMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
}

export const QOS_0_RESULT: PublishResult = Object.freeze({
  reasonCode: 0,
  reasonString: undefined,
  properties: NO_PROPERTIES,
  packetId: 0,
})
export class Outgoing implements Storable, UndeliveredMessage {
  packetId = 0
  flow: number = Flow.Idle
  flightOrder = 0
  sequence = 0
  storedIn = 0
  hasFlightRow = false
  /** Reason Code and properties of a PUBREC that said more than success; PUBCOMP comes last but says nothing of it. */
  reasonCode: ReasonCode = 0
  answer: Properties = NO_PROPERTIES
  /** Given up by its `signal` while it waited. */
  cancelled = false
  /** Nobody has its promise: it is of a process before this one, or was settled when it was stored. */
  unwatched = false
  /** When its Message Expiry Interval is over, in the time of `Environment.now`; Infinity: it has none. */
  expiresAt: number = Number.POSITIVE_INFINITY
  /** Connections that ended right after it was sent. */
  losses = 0
  /** It may be written to the network when this position of the store is safe. */
  gate = 0
  stopWatching: (() => void) | null = null
  payload: Uint8Array
  readonly topic: string
  readonly topicField: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: Properties
  readonly propertyField: Uint8Array
  readonly promise: Promise<PublishResult>
  readonly resolve: (result: PublishResult) => void
  readonly reject: (error: unknown) => void

  constructor(
    topic: string,
    topicField: Uint8Array,
    payload: Uint8Array,
    qos: QoS,
    retain: boolean,
    properties: Properties,
    propertyField: Uint8Array,
  ) {
    this.topic = topic
    this.topicField = topicField
    this.payload = payload
    this.qos = qos
    this.retain = retain
    this.properties = properties
    this.propertyField = propertyField
    const { promise, resolve, reject } = deferred<PublishResult>()
    this.promise = promise
    this.resolve = resolve
    this.reject = reject
  }

  get bytes(): number {
    return this.topicField.length + this.payload.length
  }

  settle(result: PublishResult): void {
    this.stopWatching?.()
    this.resolve(result)
  }

  fail(error: unknown): void {
    this.stopWatching?.()
    this.reject(error)
  }

  /** Because the client is closed, which the application has wanted or hears elsewhere. */
  failQuietly(error: unknown): void {
    quiet(this.promise)
    this.fail(error)
  }
}

export function resultOf(item: Outgoing, reasonCode: ReasonCode, properties: Properties): PublishResult {
  return { reasonCode, reasonString: properties.reasonString, properties, packetId: item.packetId }
}
