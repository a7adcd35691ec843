/**
 * An outlet: the object through which a session sends, and all that it knows of the Network Connection of its client.
 *
 * `Connection` implements it, one floor higher; a test, or a client that is connected to another Core, may have another
 * one. The session calls `makeRoom` before each message that it sends.
 */
import type { QoS, ReasonCode } from '@recado/protocol'
import type { ClientInfo, DropReason } from '../../ports.ts'
import type { Faulty } from '../base/faults.ts'
import type { Limits } from '../base/limits.ts'
import type { Message } from '../base/message.ts'

/** Counts acknowledgements that are right and those that are not. */
export interface AcknowledgementCount {
  noteRightAcknowledgement(): void
  noteStray(): void
}

/** Writer of PUBLISH packets. */
export interface MessageWriter {
  /** Writes a PUBLISH. Returns false when it was not written, for the reason that `unsentReason` returns. */
  write(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    subscriptionIdentifiers: number[] | null,
  ): boolean
  unsentReason(message: Message): DropReason
}

export interface Outlet extends Faulty, ClientInfo {
  /** Whether it is the embedding program itself, whose rights nobody asks about. Absent: no. */
  readonly isProgram?: boolean
  /** Limits of its listener. */
  readonly limits: Limits
  readonly readGate: AcknowledgementCount
  /**
   * Makes room for one more message, if writing the gathered packets is enough. Returns false when the reader is too
   * slow.
   */
  makeRoom(): boolean
  readonly publishWriter: MessageWriter
  sendPubrel(packetId: number): void
  /** Writes waiting packets, and asks the session whether it has more. */
  flush(): void
  /** Ends the connection, with a packet that says why where the protocol has one. */
  closeWith(reasonCode: ReasonCode, why: string): void
  /** Ends the connection at once. */
  destroy(): void
}
