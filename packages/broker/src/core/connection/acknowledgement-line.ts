/**
 * The acknowledgements that a connection owes its client, in their order: PUBACK, PUBREC, PUBCOMP, SUBACK and UNSUBACK.
 *
 * What promises something that is not safe yet waits here as a `Pledge`, and what comes after it waits behind it; whoever makes a pledge good
 * calls `settle`, which sends from the head. The invariants: PUBACKs leave in the order of their PUBLISH packets, and PUBRECs too
 * [MQTT-4.6.0-2] [MQTT-4.6.0-3]; each is sent once, and none after the connection has ended.
 */
import { PacketType, ReasonCode } from '@recado/protocol'
import { AckPledge, PacketPledge, type Pledge } from '../journal/pending-ack.ts'
import type { Connection } from './connection.ts'

export class AcknowledgementLine {
  readonly #connection: Connection
  /** Only the head may be sent. */
  readonly #pledges: Pledge[] = []
  #isSettling = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** PUBACK, PUBREC or PUBCOMP that promises nothing more than what is so already; behind those that are still owed. */
  acknowledge(packetType: 4 | 5 | 7, packetId: number, reasonCode: ReasonCode): void {
    if (this.#pledges.length > 0 && !(packetType === PacketType.PUBACK && this.#maySendPuback())) {
      this.#pledges.push(new AckPledge(this.#connection, packetType, packetId, reasonCode))
      return
    }
    this.#send(packetType, packetId, reasonCode)
  }

  /** While the store fails a PUBACK need not wait behind what waits for the disk: only PUBACKs must keep their order. */
  #maySendPuback(): boolean {
    if (!this.#connection.core.journal?.isFailing) return false
    for (const pledge of this.#pledges)
      if (pledge instanceof AckPledge && pledge.packetType === PacketType.PUBACK) return false
    return true
  }

  /** The pledge stands in line from now on; it has something to wait for, or others are before it. */
  owe(pledge: AckPledge | PacketPledge): void {
    this.#pledges.push(pledge)
    this.settle()
  }

  /** Sends the acknowledgements at the head of the line that need not wait any more. */
  settle(): void {
    if (!this.#connection.isActive) {
      this.#pledges.length = 0
      return
    }
    // What follows one may make the next safe, and ask for it: the loop gets there by itself.
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
    while (connection.isActive && settled < this.#pledges.length && this.#pledges[settled]!.waits === 0) {
      const pledge = this.#pledges[settled++]!
      if (pledge instanceof AckPledge) {
        this.#send(pledge.packetType, pledge.packetId, pledge.reasonCode)
      } else if (pledge instanceof PacketPledge) {
        connection.send(pledge.packet)
        if (connection.isActive) pledge.afterwards?.()
      }
    }
    this.#pledges.splice(0, settled)
  }

  /**
   * The store has begun to fail. QoS 1 messages that were on their way to it are refused: who has got one keeps it, and the publisher,
   * who has been told 0x97, may publish it again. At QoS 2 that would make two of one, so PUBREC waits until the store works again;
   * before MQTT 5.0 there is no way to say no, and PUBACK waits too.
   */
  storeFailed(): void {
    const connection = this.#connection
    if (!connection.isActive || connection.protocolVersion < 5 || this.#pledges.length === 0) return
    const left: Pledge[] = []
    for (const pledge of this.#pledges) {
      if (!(pledge instanceof AckPledge) || pledge.packetType !== PacketType.PUBACK) {
        left.push(pledge)
        continue
      }
      const { packetId, reasonCode, waits } = pledge
      // When the store works again it is told so, and nobody waits for that any more.
      pledge.waits = 0
      this.#send(PacketType.PUBACK, packetId, waits > 0 ? ReasonCode.QuotaExceeded : reasonCode)
    }
    this.#pledges.splice(0, this.#pledges.length, ...left)
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
