/**
 * One Application Message for one session at QoS 1 or 2: waiting in the session's queue, or in flight.
 *
 * `Sender` (of the protocol package) owns packetId, flow and flightOrder. A delivery that is in flight to a session
 * that ends with its connection can never be resent; then `message` is null and only the packet id is remembered.
 *
 * For a durable session the journal owns `rowState`, `row`, `position`, `key`, `isMulti` and the flight flags: where the
 * delivery stands in the store. `isGated`: its next packet must not leave before a batch is safe. `isSent`: its PUBLISH may have
 * reached the client, on this connection or an earlier one.
 */
import { Flow, type InFlight, type QoS } from '@recado/protocol'
import type { Faulty, Gated } from '../base/faults.ts'
import type { Message } from '../base/message.ts'
import type { DurableSession } from './durable-session.ts'
import { type MessageRow, type RowRecipient, RowState } from './message-row.ts'

/** Members of a Shared Subscription: one of them was chosen for a delivery, another may inherit it. */
export interface Heirs {
  /** Gives the message to another member. Returns false when there is none. */
  inherit(message: Message): boolean
}

export class Delivery implements InFlight, Gated, RowRecipient {
  packetId = 0
  flow: number = Flow.Idle
  flightOrder = 0
  /** Set for deliveries of durable sessions. */
  session: DurableSession | null = null
  rowState: number = RowState.None
  row: MessageRow | null = null
  position = 0
  key = 0
  bytes = 0
  isMulti = false
  isFlightChanged = false
  hasFlightRow = false
  isGated = false
  isSent = false
  message: Message | null
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: number[] | null
  /** The Shared Subscription that chose this session, for redistribution when the session ends (4.8.2). */
  readonly group: Heirs | null

  constructor(
    message: Message | null,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifiers: number[] | null,
    group: Heirs | null,
  ) {
    this.message = message
    this.qos = qos
    this.retain = retain
    this.subscriptionIdentifiers = subscriptionIdentifiers
    this.group = group
  }

  get sessionNumber(): number {
    return this.session!.number
  }

  get owner(): Faulty | null {
    return this.session!.connection
  }

  onSafe(): void {
    this.session!.onSafe(this)
  }
}
