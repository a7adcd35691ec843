/**
 * Reason Codes on the wire: `Connection` and `handleSubscribe` ask before they answer. Invariant: a server sends only
 * codes in the table of its packet (2.4).
 */
import { isReasonCodeOf, PacketType, ReasonCode } from '@recado/protocol'

/**
 * Returns the Reason Code, if a server may send it in this packet; a failure that it may not send becomes Unspecified
 * error, or a code with the same meaning for a client that is not connected yet.
 */
export function reasonCodeFor(packetType: number, reasonCode: ReasonCode): ReasonCode {
  if (packetType === PacketType.CONNACK) {
    if (reasonCode === ReasonCode.ServerShuttingDown) return ReasonCode.ServerUnavailable
    if (reasonCode === ReasonCode.SessionTakenOver) return ReasonCode.ServerBusy
  }
  return isReasonCodeOf(packetType, 5, 'server', reasonCode) ? reasonCode : ReasonCode.UnspecifiedError
}
