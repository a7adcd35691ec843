/**
 * An acknowledgement that is owed and may not be given before what it promises is safe.
 *
 * `waits` counts what is still missing: the message's row, its retained row, a change of the session. Who makes one of
 * these safe calls `fulfil`. Acknowledgements of a connection leave in the order in which they came to be owed
 * [MQTT-4.6.0-2] [MQTT-4.6.0-3]: the connection holds its pledges in a line and sends from the head.
 */
import type { Packet, ReasonCode } from '@recado/protocol'
import type { Connection } from '../connection/connection.ts'

/** Something that waits for a batch to be safe. */
export interface Gated {
  onSafe(): void
  /** Whose connection ends when `onSafe` throws; null: nobody's. */
  readonly connection: Connection | null
}

export abstract class Pledge implements Gated {
  waits = 0
  abstract readonly connection: Connection | null

  onSafe(): void {
    this.waits--
    if (this.waits === 0) this.onFulfilled()
  }

  protected abstract onFulfilled(): void
}

/** PUBACK, PUBREC or PUBCOMP to a client. */
export class AckPledge extends Pledge {
  readonly connection: Connection
  readonly packetType: 4 | 5 | 7
  readonly packetId: number
  readonly reasonCode: ReasonCode

  constructor(connection: Connection, packetType: 4 | 5 | 7, packetId: number, reasonCode: ReasonCode) {
    super()
    this.connection = connection
    this.packetType = packetType
    this.packetId = packetId
    this.reasonCode = reasonCode
  }

  protected onFulfilled(): void {
    this.connection.acknowledgements.settle()
  }
}

/** SUBACK or UNSUBACK to a client; `afterwards` is done when it has been sent. */
export class PacketPledge extends Pledge {
  readonly connection: Connection
  readonly packet: Packet
  readonly afterwards: (() => void) | null

  constructor(connection: Connection, packet: Packet, afterwards: (() => void) | null) {
    super()
    this.connection = connection
    this.packet = packet
    this.afterwards = afterwards
  }

  protected onFulfilled(): void {
    this.connection.acknowledgements.settle()
  }
}

/** What is no packet in the line: the answer to a `broker.publish` of the embedding program, a CONNECT that waits. */
export class LocalPledge extends Pledge {
  readonly connection = null
  readonly #done: () => void
  constructor(done: () => void) {
    super()
    this.#done = done
  }

  protected onFulfilled(): void {
    this.#done()
  }
}
