/**
 * A message on its way out, with the fields that `Publisher`, `Sender` and the session store need, and the promise of
 * its `publish`.
 *
 * Invariant: `promise` is settled once; only the store writes the fields that it owns (`sequence`, `storedIn`,
 * `hasFlightRow`).
 */
import { Flow, NO_PROPERTIES, type Properties, type QoS, type ReasonCode } from '@recado/protocol'
import { deferred, quiet } from './abort.ts'
import type { Storable } from './store/session-store.ts'

/** End of a message's flow. At QoS 0 the message was written to the network. */
export interface PublishResult {
  /** Reason Code: 0, or 0x10 when the server has no matching subscribers (5.0; servers need not tell). */
  readonly reasonCode: ReasonCode
  readonly reasonString: string | undefined
  /** Properties of the PUBACK or PUBCOMP. */
  readonly properties: Properties
  /** Packet Identifier; 0 at QoS 0. */
  readonly packetId: number
}

/** Message that `client.onUndelivered` is called with. */
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
  /**
   * Reason Code and properties of a PUBREC that said more than success; the PUBCOMP that comes last does not repeat
   * them.
   */
  reasonCode: ReasonCode = 0
  answer: Properties = NO_PROPERTIES
  /** Whether its `signal` has cancelled the message while it waited. */
  cancelled = false
  /**
   * Whether no caller has the promise: the message is from an earlier process, or the promise was settled when it was
   * stored.
   */
  unwatched = false
  /** Time at which the Message Expiry Interval is over, on the clock of `Environment.now`; Infinity without one. */
  expiresAt: number = Number.POSITIVE_INFINITY
  /** Number of connections that ended right after this message was sent. */
  losses = 0
  /** Position of the store that must be safe before the message may be written to the network. */
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

  /**
   * Rejects without a report, because the client is closed, which the application has asked for or learns elsewhere.
   */
  failQuietly(error: unknown): void {
    quiet(this.promise)
    this.fail(error)
  }
}

export function resultOf(item: Outgoing, reasonCode: ReasonCode, properties: Properties): PublishResult {
  return { reasonCode, reasonString: properties.reasonString, properties, packetId: item.packetId }
}
