/**
 * One client of a lane, as the session outlives its connections: its sent and unacknowledged messages, and whether the
 * broker must still have its session.
 *
 * Used by `connection.ts` and `lane.ts`. Invariant: `outgoing` and `incoming` hold the state that a client keeps by
 * section 4.1, until the broker says that it has no session.
 */

import type { Connection } from './connection.ts'
import { FOREVER, type Message, type Retained, Subscriptions } from './model.ts'
import { NEVER } from './script.ts'

/**
 * Tolerance in milliseconds for a session that ends late: the broker may notice a closed connection late, on a machine
 * under load.
 */
const LATE_MS = 8_000
/**
 * Tolerance in milliseconds for a session that ends early: clocks of whole milliseconds, and events that our own
 * process notices late.
 */
const EARLY_MS = 500

/** Bytes that a packet to a client may have beside payload and topic: properties, identifiers, headers. */
const PACKET_SLACK = 60

export interface Outgoing {
  readonly message: Message
  /** Phase of the flow; release: PUBREC has come. */
  phase: 'publish' | 'release'
  /** Whether PUBREL waits until the script releases it. */
  isHeld: boolean
  /** Number of answers to PUBLISH that are still to come on this connection. */
  due: number
}

export interface Incoming {
  readonly qos: number
  readonly message: Message | null
  readonly connection: Connection
  /** Whether the session may be another one since: the id may be that of another message. */
  isDoubtful: boolean
  /** Whether PUBREC has been sent. */
  isReceived: boolean
}

export class Client {
  readonly number: number
  readonly clientId: string
  readonly subscriptions: Subscriptions
  /** Whether the broker has a session of it; null when unknown. */
  exists: boolean | null = false
  /** Least and greatest value that its Session Expiry Interval may have. */
  expiry: readonly [number, number] = [0, 0]
  owner: Connection | null = null
  readonly outgoing: Map<number, Outgoing> = new Map()
  readonly incoming: Map<number, Incoming> = new Map()
  /** QoS 2 messages that were refused, by Packet Identifier: when that is lost they come again. */
  readonly refused: Set<Message> = new Set()
  /** Time of a change of the session that was not waited for: a crash soon after may undo it. */
  unsafeSinceMs = 0
  /** Smallest Maximum Packet Size since everything was settled. */
  packetMax: number = FOREVER
  #nextPacketId = 1

  constructor(
    number: number,
    clientId: string,
    once: boolean,
    retained: Retained,
    found: (kind: string, text: string) => void,
  ) {
    this.number = number
    this.clientId = clientId
    this.subscriptions = new Subscriptions(number, once, retained, (kind, text) => found(kind, `${clientId}: ${text}`))
  }

  packetId(isFree: (id: number) => boolean): number {
    do this.#nextPacketId = (this.#nextPacketId % 65_535) + 1
    while (this.outgoing.has(this.#nextPacketId) || !isFree(this.#nextPacketId))
    return this.#nextPacketId
  }

  /** Whether a CONNECT without Clean Start must find a session. It was sent at `sentMs`, and now CONNACK has come. */
  expectsSession(previous: Connection | null, sentMs: number): boolean | null {
    if (this.exists !== true) return this.exists
    const [least, most] = this.expiry
    if (most === 0) return false
    const nowMs = performance.now()
    if (previous === null || previous.closeBeganMs === 0) return least > 0 ? true : null
    const sure = least === NEVER || (least > 0 && nowMs - previous.closeBeganMs < least * 1000 - EARLY_MS)
    if (sure) return true
    const isOver = most !== NEVER && previous.closedMs > 0 && sentMs - previous.closedMs > most * 1000 + LATE_MS
    return isOver ? false : null
  }

  /** Whether the message is smaller than any packet that this client would not accept. */
  fits({ payload, topic, properties }: Message): boolean {
    return payload.length + topic.length + PACKET_SLACK + (properties.length > 0 ? 120 : 0) < this.packetMax
  }

  /** Whether its session must outlive anything that the walk does. */
  get isDurable(): boolean {
    return this.exists === true && this.expiry[0] >= 600
  }

  /** Begins a new session, because the broker has none: the state of the one before is void. */
  begin(): void {
    this.subscriptions.reset()
    this.abandon()
    this.incoming.clear()
    this.refused.clear()
  }

  abandon(): void {
    for (const { message } of this.outgoing.values()) message.mayRepeat = true
    this.outgoing.clear()
  }

  /** Notes that the session may be another one from now on. */
  blur(tick: number): void {
    this.subscriptions.blur(tick)
    for (const { message } of this.outgoing.values()) message.mayRepeat = true
    for (const entry of this.incoming.values()) entry.isDoubtful = true
  }

  /** Whether its PUBLISH may still be on its way to the broker. */
  isSending(message: Message): boolean {
    for (const entry of this.outgoing.values()) if (entry.message === message) return true
    return message.doneAt === FOREVER && this.owner?.unconfirmed.includes(message) === true
  }
}
