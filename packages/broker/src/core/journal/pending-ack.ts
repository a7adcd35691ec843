/**
 * An acknowledgement that is owed and may not be sent before its promise is safe.
 *
 * `waits` counts the missing changes: rows of the message, its retained row, a change of the session. Each of these
 * calls `onSafe` when it is safe, most often the journal when a batch is done. Acknowledgements of a connection leave
 * in the order in which they came to be owed [MQTT-4.6.0-2] [MQTT-4.6.0-3]: they stand in a line (`AckOwner`), which
 * sends from its head.
 */
import type { Packet, ReasonCode } from '@recado/protocol'
import type { Faulty, Gated } from '../base/faults.ts'

/** The line in which an acknowledgement stands. */
export interface AckOwner extends Faulty {
  /** Sends the acknowledgements at the head of the line that wait for nothing any more. */
  settle(): void
}

/** An answer of any kind that waits until something is safe. */
export abstract class PendingAnswer implements Gated {
  /** Number of things that are not safe yet. */
  waits = 0
  abstract readonly owner: Faulty | null

  onSafe(): void {
    this.waits--
    if (this.waits === 0) this.onAllSafe()
  }

  protected abstract onAllSafe(): void
}

/** PUBACK, PUBREC or PUBCOMP to a client. */
export class PendingAck extends PendingAnswer {
  readonly owner: AckOwner
  readonly packetType: 4 | 5 | 7
  readonly packetId: number
  readonly reasonCode: ReasonCode
  /** Called when it has been sent, for a message that is followed; null: nobody waits for that. */
  readonly onSent: (() => void) | null

  constructor(
    owner: AckOwner,
    packetType: 4 | 5 | 7,
    packetId: number,
    reasonCode: ReasonCode,
    onSent: (() => void) | null = null,
  ) {
    super()
    this.owner = owner
    this.packetType = packetType
    this.packetId = packetId
    this.reasonCode = reasonCode
    this.onSent = onSent
  }

  protected onAllSafe(): void {
    this.owner.settle()
  }
}

/** SUBACK or UNSUBACK to a client; `afterwards` is called when it has been sent. */
export class PendingPacket extends PendingAnswer {
  readonly owner: AckOwner
  readonly packet: Packet
  readonly afterwards: (() => void) | null

  constructor(owner: AckOwner, packet: Packet, afterwards: (() => void) | null) {
    super()
    this.owner = owner
    this.packet = packet
    this.afterwards = afterwards
  }

  protected onAllSafe(): void {
    this.owner.settle()
  }
}

/** An answer that is no packet in a line: to a `broker.publish` of the embedding program, or a CONNECT that waits. */
export class PendingCallback extends PendingAnswer {
  readonly owner = null
  readonly #done: () => void
  constructor(done: () => void) {
    super()
    this.#done = done
  }

  protected onAllSafe(): void {
    this.#done()
  }
}
