/**
 * An outlet: what a session sends through, and all that it knows of the Network Connection of its client.
 *
 * `Connection` implements it, one floor higher; a test, or a client that is connected to another Core, may have another. The session
 * calls `makeRoom` before each message that it sends.
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

export interface Outlet extends Faulty, ClientInfo {
  /** Limits of its listener. */
  readonly limits: Limits
  readonly readGate: AcknowledgementCount
  /** Makes room for one more message, where that takes no more than to hand over what has gathered. False: the reader is too slow. */
  makeRoom(): boolean
  /** Sends PUBLISH. False: not sent, for the reason that `unsentReason` says. */
  sendPublish(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    subscriptionIdentifiers: number[] | null,
  ): boolean
  unsentReason(message: Message): DropReason
  sendPubrel(packetId: number): void
  /** Writes what waits, and asks the session whether it has more. */
  flush(): void
  /** Ends the connection, with a packet that says why where the protocol has one. */
  closeWith(reasonCode: ReasonCode, why: string): void
  /** Ends the connection at once. */
  destroy(): void
}
