/**
 * The receiving side of QoS 1 and 2: which QoS 2 messages have come in and are not released, and how much of our
 * Receive Maximum the other side has used up.
 *
 * One per session, on the broker as on the client; outlives connections. Does no I/O. What a session has to keep is
 * `ids()`: messages are handed on when they come in (method A of the specifications' figure 4.3), so an identifier is all that a
 * QoS 2 message leaves behind until PUBREL.
 *
 * Invariant: a QoS 2 identifier is held from the first PUBLISH to PUBREL (or to a PUBREC that says failure), and while it is held
 * no PUBLISH with it is new [MQTT-4.3.3-10].
 *
 * Source: MQTT 5.0 sections 3.3.4, 4.3 and 4.9; MQTT 3.1.1 section 4.3.
 */
import { ProtocolError } from './errors.ts'
import { PacketIdMap } from './packet-ids.ts'
import { ReasonCode } from './reason-codes.ts'

export class Receiver {
  /** The Receive Maximum that we have announced, 1 to 65,535 (65,535 before 5.0, which has none). */
  receiveMaximum: number
  /** QoS 2 identifiers with the number of the connection on which their PUBLISH last came. */
  readonly #held: PacketIdMap<number> = new PacketIdMap<number>()
  #connection = 1
  #unacknowledged = 0

  constructor(receiveMaximum: number) {
    this.receiveMaximum = receiveMaximum
  }

  /** PUBLISHes of this connection that we have not yet answered with PUBACK, PUBCOMP or a failing PUBREC. */
  get unacknowledged(): number {
    return this.#unacknowledged
  }

  /**
   * A PUBLISH. True: a new message. False: a QoS 2 message that we have: answer PUBREC, deliver nothing.
   * `dup` does not decide: a PUBLISH with DUP may well be the first to arrive (section 3.3.1.1), and one
   * without is a duplicate all the same while its identifier is held.
   * Throws `ProtocolError` 0x93 when the other side sends more than our Receive Maximum [MQTT-3.3.4-7].
   */
  handlePublish(packetId: number, qos: 1 | 2, _dup: boolean): boolean {
    if (qos === 1) {
      // Each is a new message, whatever its identifier [MQTT-4.3.2-5] [MQTT-3.1.1:4.3.2-2]
      this.#count()
      return true
    }
    const connection = this.#held.get(packetId)
    if (connection === this.#connection) return false
    // Resent on a new connection it uses quota like any other PUBLISH, though it is not new
    this.#count()
    this.#held.set(packetId, this.#connection)
    return connection === undefined
  }

  /**
   * PUBACK was sent, or a PUBREC; `failed`: with a Reason Code of 0x80 or above. Frees the quota, and of a failed QoS 2
   * message the identifier: its flow is over. A PUBREC that says success changes nothing. For a message that came on a
   * connection before this one nothing is to be sent and this is not to be called, unless to free a failed QoS 2 identifier.
   */
  acknowledged(packetId: number, qos: 1 | 2, failed: boolean): void {
    if (qos === 1) {
      if (this.#unacknowledged > 0) this.#unacknowledged--
    } else if (failed) this.handlePubrel(packetId) // [MQTT-4.3.3-9]
  }

  /** PUBREL: frees identifier and quota. True: it was held. False: not (answer PUBCOMP all the same, in 5.0 with 0x92). */
  handlePubrel(packetId: number): boolean {
    const connection = this.#held.delete(packetId) // [MQTT-4.3.3-12] [MQTT-3.1.1:4.3.3-2]
    if (connection === this.#connection) this.#unacknowledged--
    return connection !== undefined
  }

  /** Is a QoS 2 message of this identifier waiting for PUBREL? */
  has(packetId: number): boolean {
    return this.#held.has(packetId)
  }

  /** The QoS 2 identifiers that wait for PUBREL, in no particular order: the state that a session keeps. */
  ids(): number[] {
    return this.#held.ids()
  }

  /** Recovery: this identifier was held. Uses no quota until it is published again. */
  restore(packetId: number): void {
    this.#held.set(packetId, 0)
  }

  /** A new connection: the quota starts anew (section 4.9), the identifiers stay held. */
  resume(): void {
    this.#connection++
    this.#unacknowledged = 0
  }

  /** The session has ended: nothing is held. */
  clear(): void {
    this.#held.clear()
    this.#unacknowledged = 0
  }

  #count(): void {
    if (this.#unacknowledged >= this.receiveMaximum) {
      throw new ProtocolError(
        ReasonCode.ReceiveMaximumExceeded,
        `more than ${this.receiveMaximum} PUBLISH packets without acknowledgement`,
      )
    }
    this.#unacknowledged++
  }
}
