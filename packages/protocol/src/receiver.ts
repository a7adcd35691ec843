/**
 * The receiving side of QoS 1 and 2: which QoS 2 messages have come in and are not released, and how much of our
 * Receive Maximum the other side has used.
 *
 * One per session, on the broker as on the client; it outlives connections. Does no I/O. A session that is stored has
 * to keep only `ids()`: messages are handed on when they come in (method A of the specifications' figure 4.3), so only
 * the identifier of a QoS 2 message is kept until PUBREL.
 *
 * Invariant: a QoS 2 identifier is held from the first PUBLISH to PUBREL (or to a PUBREC with a failure), and while it
 * is held no PUBLISH with it is new [MQTT-4.3.3-10].
 *
 * Source: MQTT 5.0 sections 3.3.4, 4.3 and 4.9; MQTT 3.1.1 section 4.3.
 */
import { ProtocolError } from './errors.ts'
import { PacketIdMap } from './packet-ids.ts'
import { ReasonCode } from './reason-codes.ts'

export class Receiver {
  /** Receive Maximum that we have announced, 1 to 65,535 (65,535 before 5.0, which has none). */
  receiveMaximum: number
  /** QoS 2 identifiers, each with the number of the connection on which its last PUBLISH came. */
  readonly #held: PacketIdMap<number> = new PacketIdMap<number>()
  #connection = 1
  #unacknowledged = 0

  constructor(receiveMaximum: number) {
    this.receiveMaximum = receiveMaximum
  }

  /** Number of PUBLISHes of this connection that we have not yet answered with PUBACK, PUBCOMP or a failing PUBREC. */
  get unacknowledged(): number {
    return this.#unacknowledged
  }

  /**
   * Handles a PUBLISH. Returns true for a new message, false for a QoS 2 message that is held already: answer PUBREC
   * and deliver nothing. `dup` does not decide: a PUBLISH with DUP may be the first to arrive (section 3.3.1.1), and
   * one without is a duplicate all the same while its identifier is held. Throws `ProtocolError` 0x93 when the other
   * side sends more than our Receive Maximum [MQTT-3.3.4-7].
   */
  handlePublish(packetId: number, qos: 1 | 2, _dup: boolean): boolean {
    if (qos === 1) {
      // Each is a new message, whatever its identifier. [MQTT-4.3.2-5] [MQTT-3.1.1:4.3.2-2]
      this.#count()
      return true
    }
    const connection = this.#held.get(packetId)
    if (connection === this.#connection) return false
    // Sent again on a new connection it uses quota like any other PUBLISH, though it is not new.
    this.#count()
    this.#held.set(packetId, this.#connection)
    return connection === undefined
  }

  /**
   * Notes that PUBACK or PUBREC was sent; `failed` means with a Reason Code of 0x80 or above. Frees the quota. For a
   * failed QoS 2 message it frees the identifier too, because its flow is over. A PUBREC with success changes nothing.
   * For a message of an earlier connection nothing is to be sent and this must not be called, except to free a failed
   * QoS 2 identifier.
   */
  acknowledged(packetId: number, qos: 1 | 2, failed: boolean): void {
    if (qos === 1) {
      if (this.#unacknowledged > 0) this.#unacknowledged--
    } else if (failed) this.handlePubrel(packetId) // [MQTT-4.3.3-9]
  }

  /**
   * Handles a PUBREL: frees identifier and quota. Returns true when the identifier was held; otherwise answer PUBCOMP
   * all the same, in 5.0 with 0x92.
   */
  handlePubrel(packetId: number): boolean {
    const connection = this.#held.delete(packetId) // [MQTT-4.3.3-12] [MQTT-3.1.1:4.3.3-2]
    if (connection === this.#connection) this.#unacknowledged--
    return connection !== undefined
  }

  /** Returns true when a QoS 2 message with this identifier waits for PUBREL. */
  has(packetId: number): boolean {
    return this.#held.has(packetId)
  }

  /** QoS 2 identifiers that wait for PUBREL, in no particular order: the state that a session keeps. */
  ids(): number[] {
    return this.#held.ids()
  }

  /** Restores an identifier that was held before a restart. It uses no quota until it is published again. */
  restore(packetId: number): void {
    this.#held.set(packetId, 0)
  }

  /** Begins a new connection: the quota starts anew (section 4.9), the identifiers stay held. */
  resume(): void {
    this.#connection++
    this.#unacknowledged = 0
  }

  /** Ends the session: nothing is held any more. */
  clear(): void {
    this.#held.clear()
    this.#unacknowledged = 0
  }

  #count(): void {
    if (this.#unacknowledged >= this.receiveMaximum) {
      throw new ProtocolError(
        ReasonCode.ReceiveMaximumExceeded,
        `more than ${this.receiveMaximum} PUBLISH packets were sent without waiting for acknowledgements`,
      )
    }
    this.#unacknowledged++
  }
}
