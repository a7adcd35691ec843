/**
 * The sending side of QoS 1 and 2: which messages are in flight, and what each waits for.
 *
 * One per session, on the broker as on the client; it outlives connections. Does no I/O: `handleX` takes the packet
 * that came in and returns the message that it was for; the caller sends the next packet and stores the change. The
 * state of a message lies in the message itself (`InFlight`), so that nothing is allocated for one.
 *
 * Invariants: a message is in flight exactly while `flow` is not Idle, and exactly then its Packet Identifier is taken;
 * never more than `receiveMaximum` are outstanding on a connection when the caller asks `hasQuota()` before `send()`
 * and resends by `nextResend()`.
 *
 * A connection that resumes the session: set `receiveMaximum`, call `resume()`, then send what `nextResend()` returns
 * until it is null, and call it again whenever an acknowledgement has come in: the new Receive Maximum may be smaller
 * than the number in flight. New messages wait meanwhile (`hasQuota()` is false), so order is kept.
 *
 * Source: MQTT 5.0 sections 4.3, 4.4, 4.6 and 4.9; MQTT 3.1.1 sections 4.3, 4.4 and 4.6.
 */
import { PacketIdMap } from './packet-ids.ts'
import { ReasonCode } from './reason-codes.ts'

/** Packet that a message in flight waits for. The numbers are stored on disk: they must never change their meaning. */
export const Flow = { Idle: 0, AwaitPuback: 1, AwaitPubrec: 2, AwaitPubcomp: 3 } as const

/** Fields of a message that is sent at QoS 1 or 2. Only `Sender` writes them (and recovery, before `restore`). */
export interface InFlight {
  /** Packet Identifier: 1 to 65,535 while in flight. Keeps its value afterwards. */
  packetId: number
  /** State, one of `Flow`; Idle when not in flight. */
  flow: number
  /** Order in which to resend: grows with every PUBLISH sent and with the first PUBREC of each message. */
  flightOrder: number
}

/** Empty list of messages to resend, shared by the senders that have none. */
const NOTHING: readonly never[] = []

/**
 * Sender of a session. `Other` is the type of other values in the same map of Packet Identifiers (a client's SUBSCRIBE
 * and UNSUBSCRIBE): objects without a field `flow`.
 */
export class Sender<T extends InFlight, Other extends object = never> {
  /** Most messages that may be outstanding on the connection: the other side's Receive Maximum, 1 to 65,535. */
  receiveMaximum: number
  readonly #ids: PacketIdMap<T | Other>
  #inflight = 0
  /** Number of messages in flight that were sent on this connection. */
  #outstanding = 0
  #lastOrder = 0
  /** Messages that were in flight when the connection began, in order; empty when all have been sent again. */
  #resend: readonly T[] = NOTHING
  #resendNext = 0
  /** `flightOrder` of the message that was sent again last, and of the last one that is to be. */
  #resentTo = 0
  #resendTo = 0

  constructor(receiveMaximum: number, ids: PacketIdMap<T | Other> = new PacketIdMap()) {
    this.receiveMaximum = receiveMaximum
    this.#ids = ids
  }

  /**
   * Takes a Packet Identifier for something else than a message, such as a SUBSCRIBE: no message gets it until `free`.
   * Throws `MqttError` ERR_MQTT_PACKET_IDS.
   */
  take(other: Other): number {
    return this.#ids.allocate(other)
  }

  /** Frees a Packet Identifier that `take` returned. Returns its value; null for one of a message, or a free one. */
  free(packetId: number): Other | null {
    const held = this.#ids.get(packetId)
    if (held === undefined || (held as T).flow !== undefined) return null
    this.#ids.delete(packetId)
    return held as Other
  }

  /** Number of messages that have a Packet Identifier, whether sent on this connection or not. */
  get inflight(): number {
    return this.#inflight
  }

  /** Number of messages in flight that were sent on this connection. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** Messages in flight that were sent on this connection, in order. */
  unanswered(): T[] {
    return this.inOrder().filter((item) => !this.awaitsResend(item))
  }

  /** Returns true when a new message may be sent now. Section 4.9. */
  hasQuota(): boolean {
    // Resends come first [MQTT-4.6.0-1]. Only PUBLISH asks for quota [MQTT-3.3.4-8] [MQTT-3.3.4-10]. [MQTT-4.9.0-2]
    // [MQTT-3.3.4-7] [MQTT-3.3.4-9]
    return this.#outstanding < this.receiveMaximum && this.#resend.length === 0
  }

  /**
   * Takes a message that is Idle into flight and returns its Packet Identifier. Does not look at the quota: see
   * `hasQuota`. Throws `MqttError` ERR_MQTT_PACKET_IDS.
   */
  send(item: T, qos: 1 | 2): number {
    // [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-3.1.1:4.3.2-1]
    const packetId = this.#ids.allocate(item)
    item.packetId = packetId
    item.flow = qos === 1 ? Flow.AwaitPuback : Flow.AwaitPubrec
    item.flightOrder = ++this.#lastOrder
    this.#inflight++
    this.#outstanding++
    return packetId
  }

  /** Gives the next message the first free Packet Identifier after this number (0 to 65,535). */
  startAfter(packetId: number): void {
    this.#ids.startAfter(packetId)
  }

  /** Passes over the next Packet Identifier, for a message that is not sent. Throws `MqttError` ERR_MQTT_PACKET_IDS. */
  skip(item: T): void {
    this.#ids.delete(this.#ids.allocate(item))
  }

  /**
   * Handles a PUBACK with any Reason Code [MQTT-4.4.0-2]. Returns the message, now Idle; null when no QoS 1 message
   * with that identifier is in flight.
   */
  handlePuback(packetId: number): T | null {
    const item = this.get(packetId)
    if (item === null || item.flow !== Flow.AwaitPuback) return null
    // [MQTT-4.3.2-3]
    this.#end(item)
    return item
  }

  /**
   * Handles a PUBREC. 0x80 and above end the flow: the message is Idle. Otherwise it is AwaitPubcomp and PUBREL is to
   * be sent, also when it was sent before. Returns null when there is no QoS 2 message with that identifier (answer
   * PUBREL 0x92).
   */
  handlePubrec(packetId: number, reasonCode: ReasonCode): T | null {
    const item = this.get(packetId)
    if (item === null) return null
    if (item.flow === Flow.AwaitPubcomp) {
      // After our PUBREL a failure means nothing any more: the message was taken. Send PUBREL again.
      return item
    }
    if (item.flow !== Flow.AwaitPubrec) return null
    if (reasonCode >= ReasonCode.UnspecifiedError) {
      // [MQTT-4.3.3-4] [MQTT-4.4.0-2]: the identifier is free, no PUBREL follows
      this.#end(item)
      return item
    }
    if (this.awaitsResend(item)) this.#outstanding++
    item.flow = Flow.AwaitPubcomp // [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-3.1.1:4.3.3-1]
    // PUBRELs are resent in the order of the PUBRECs [MQTT-4.6.0-4]
    item.flightOrder = ++this.#lastOrder
    return item
  }

  /**
   * Handles a PUBCOMP with any Reason Code. Returns the message, now Idle; null when no message with that identifier
   * awaits it.
   */
  handlePubcomp(packetId: number): T | null {
    const item = this.get(packetId)
    if (item === null || item.flow !== Flow.AwaitPubcomp) return null
    this.#end(item)
    return item
  }

  /** Returns the message in flight with this identifier, or null. */
  get(packetId: number): T | null {
    const held = this.#ids.get(packetId) as T | undefined
    return held !== undefined && held.flow > Flow.Idle ? held : null
  }

  /**
   * Takes a message back into flight after a restart; recovery has set its `packetId` and `flow`. Call it in the order
   * of sending: it sets `flightOrder` anew. `send` does not allocate these identifiers meanwhile.
   */
  restore(item: T): void {
    this.#ids.set(item.packetId, item)
    item.flightOrder = ++this.#lastOrder
    this.#inflight++
    this.#outstanding++
  }

  /** Begins a new connection: the messages in flight are to be sent again [MQTT-4.4.0-1], the quota starts anew. */
  resume(): void {
    this.#resend = this.inOrder()
    this.#resendNext = 0
    this.#outstanding = 0
    this.#resentTo = 0
    this.#resendTo = this.#lastOrder
  }

  /**
   * Returns the next message to resend after `resume`: as PUBLISH with DUP when it is AwaitPuback or AwaitPubrec, as
   * PUBREL when it is AwaitPubcomp. Null when none is left, or when the quota is used up until an acknowledgement comes
   * in.
   */
  nextResend(): T | null {
    while (this.#resendNext < this.#resend.length) {
      const item = this.#resend[this.#resendNext]!
      if (this.awaitsResend(item)) {
        // Only PUBLISH uses quota; for a PUBREL the other side has the message already [MQTT-3.3.4-9]
        if (item.flow !== Flow.AwaitPubcomp && this.#outstanding >= this.receiveMaximum) return null
        this.#advance(item.flightOrder)
        this.#outstanding++
        return item
      }
      this.#advance(this.#resentTo)
    }
    return null
  }

  /** All messages in flight, in the order in which they are to be sent again [MQTT-4.6.0-1]. */
  inOrder(): T[] {
    const items: T[] = []
    for (const held of this.#ids.values()) if ((held as T).flow > Flow.Idle) items.push(held as T)
    return items.sort((a, b) => a.flightOrder - b.flightOrder)
  }

  /** Ends the flow of a message without an acknowledgement (it expired, or went to another member of its group). */
  remove(item: T): void {
    if (item.flow > Flow.Idle && this.#ids.get(item.packetId) === item) this.#end(item)
  }

  /** Ends the flows of all messages. Identifiers of `Other` values stay taken. */
  clear(): void {
    for (const item of this.inOrder()) this.#end(item)
    this.#resend = NOTHING
    this.#resendNext = 0
  }

  #end(item: T): void {
    if (!this.awaitsResend(item)) this.#outstanding--
    this.#ids.delete(item.packetId)
    item.flow = Flow.Idle
    this.#inflight--
  }

  /**
   * Returns true for a message that was in flight when the connection began and that `nextResend` has not returned yet.
   */
  awaitsResend(item: T): boolean {
    return item.flow > Flow.Idle && item.flightOrder <= this.#resendTo && item.flightOrder > this.#resentTo
  }

  #advance(flightOrder: number): void {
    this.#resentTo = flightOrder
    this.#resendNext++
    if (this.#resendNext === this.#resend.length) {
      this.#resend = NOTHING
      this.#resendNext = 0
      this.#resentTo = this.#resendTo
    }
  }
}
