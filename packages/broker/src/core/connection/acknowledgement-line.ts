/**
 * The acknowledgements that a connection owes its client, in their order: PUBACK, PUBREC, PUBCOMP, SUBACK and UNSUBACK.
 *
 * An acknowledgement that promises something that is not safe yet waits here as a `PendingAck`, and later ones wait
 * behind it; when all of its changes are safe it calls `settle`, which sends from the head. Invariants: PUBACKs leave
 * in the order of their PUBLISH packets, and PUBRECs too [MQTT-4.6.0-2] [MQTT-4.6.0-3]; each is sent once, and none
 * after the connection has ended.
 */
import { type Packet, PacketType, type ProtocolVersion, ReasonCode } from '@recado/protocol'
import type { Faulty } from '../base/faults.ts'
import type { Journal } from '../journal/journal.ts'
import { type AckOwner, PendingAck, type PendingAnswer, PendingPacket } from '../journal/pending-ack.ts'
import type { Session } from '../session/session.ts'

/** The connection whose client is owed acknowledgements. */
export interface AckedConnection extends Faulty {
  readonly isActive: boolean
  readonly protocolVersion: ProtocolVersion
  readonly session: Session | null
  /** PUBACK, PUBREC or PUBCOMP. */
  sendAck(packetType: 4 | 5 | 7, packetId: number, reasonCode: ReasonCode): void
  /** Any other packet. */
  send(packet: Packet): void
}

export class AcknowledgementLine implements AckOwner {
  readonly #connection: AckedConnection
  readonly #journal: Journal | null
  /** Acknowledgements that are owed, in their order; only the head may be sent. */
  readonly #line: PendingAnswer[] = []
  #isSettling = false

  constructor(connection: AckedConnection, journal: Journal | null) {
    this.#connection = connection
    this.#journal = journal
  }

  /** Sends PUBACK, PUBREC or PUBCOMP that promises nothing that is still unsafe; behind those that are still owed. */
  acknowledge(
    packetType: 4 | 5 | 7,
    packetId: number,
    reasonCode: ReasonCode,
    onSent: (() => void) | null = null,
  ): void {
    if (this.#line.length > 0 && !(packetType === PacketType.PUBACK && this.#maySendPuback())) {
      this.#line.push(new PendingAck(this, packetType, packetId, reasonCode, onSent))
      return
    }
    this.#send(packetType, packetId, reasonCode)
    onSent?.()
  }

  /**
   * Whether a PUBACK need not wait behind acknowledgements that wait for the disk, because the store fails: only
   * PUBACKs must keep their order.
   */
  #maySendPuback(): boolean {
    if (!this.#journal?.isFailing) return false
    for (const pending of this.#line)
      if (pending instanceof PendingAck && pending.packetType === PacketType.PUBACK) return false
    return true
  }

  /** The acknowledgement stands in line from now on; it has something to wait for, or others are before it. */
  owe(pending: PendingAck | PendingPacket): void {
    this.#line.push(pending)
    this.settle()
  }

  get isOwing(): boolean {
    return this.#line.length > 0
  }

  fault(where: string, error: unknown): void {
    this.#connection.fault(where, error)
  }

  settle(): void {
    if (!this.#connection.isActive) {
      this.#line.length = 0
      return
    }
    // Sending one may make the next one safe, which calls this again: the loop gets there by itself.
    if (this.#isSettling) return
    this.#isSettling = true
    try {
      this.#settleHead()
    } catch (error) {
      this.#connection.fault('acknowledge', error)
    }
    this.#isSettling = false
  }

  #settleHead(): void {
    const connection = this.#connection
    let settled = 0
    while (connection.isActive && settled < this.#line.length && this.#line[settled]!.waits === 0) {
      const pending = this.#line[settled++]!
      if (pending instanceof PendingAck) {
        this.#send(pending.packetType, pending.packetId, pending.reasonCode)
        pending.onSent?.()
      } else if (pending instanceof PendingPacket) {
        connection.send(pending.packet)
        if (connection.isActive) pending.afterwards?.()
      }
    }
    this.#line.splice(0, settled)
  }

  /**
   * Reacts to a store that has begun to fail. QoS 1 messages on their way to it are refused: a subscriber that has got
   * one keeps it, and the publisher, which is told 0x97, may publish it again. At QoS 2 that would make two of one, so
   * PUBREC waits until the store works again; before MQTT 5.0 a refusal is impossible, and PUBACK waits too.
   */
  storeFailed(): void {
    const connection = this.#connection
    if (!connection.isActive || connection.protocolVersion < 5 || this.#line.length === 0) return
    const left: PendingAnswer[] = []
    for (const pending of this.#line) {
      if (!(pending instanceof PendingAck) || pending.packetType !== PacketType.PUBACK) {
        left.push(pending)
        continue
      }
      const { packetId, reasonCode, waits } = pending
      // The store calls it when it works again, and then nothing waits for it any more.
      pending.waits = 0
      this.#send(PacketType.PUBACK, packetId, waits > 0 ? ReasonCode.QuotaExceeded : reasonCode)
    }
    this.#line.splice(0, this.#line.length, ...left)
    this.settle()
  }

  #send(packetType: 4 | 5 | 7, packetId: number, reasonCode: ReasonCode): void {
    const connection = this.#connection
    // Before 5.0 a refusal is not on the wire: the flow goes on as if it had been accepted.
    const hasFailed = reasonCode >= 0x80 && connection.protocolVersion === 5
    if (packetType === PacketType.PUBACK) connection.session!.receiver.acknowledged(packetId, 1, hasFailed)
    else if (packetType === PacketType.PUBREC && hasFailed) connection.session!.receiver.acknowledged(packetId, 2, true)
    connection.sendAck(packetType, packetId, reasonCode)
  }
}
