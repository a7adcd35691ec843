/**
 * One Application Message for one session at QoS 1 or 2: waiting in the session's queue, or in flight.
 *
 * `Sender` (of the protocol package) owns packetId, flow and flightOrder. A delivery that is in flight to a session
 * that ends with its connection can never be resent; then `message` is null and only the packet id is remembered.
 */
import { Flow, type InFlight, type QoS } from '@recado/protocol'
import type { Message } from './message.ts'
import type { SharedGroup } from './shared-groups.ts'

export class Delivery implements InFlight {
  packetId = 0
  flow: number = Flow.Idle
  flightOrder = 0
  message: Message | null
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: number[] | null
  /** The shared subscription that chose this session, for redistribution when the session ends (4.8.2). */
  readonly group: SharedGroup | null

  constructor(
    message: Message | null,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifiers: number[] | null,
    group: SharedGroup | null,
  ) {
    this.message = message
    this.qos = qos
    this.retain = retain
    this.subscriptionIdentifiers = subscriptionIdentifiers
    this.group = group
  }
}
