/**
 * Which Reason Code goes on the wire: `Connection` and `handleSubscribe` ask before they answer. The invariant: a server says only
 * what the table of its packet allows (2.4).
 */
import { isReasonCodeOf, PacketType, ReasonCode } from '@recado/protocol'

/**
 * The Reason Code, if a server may say so in this packet; a failure that it may not becomes Unspecified error, or what means the same to a client that is not
 * connected yet.
 */
export function reasonCodeFor(packetType: number, reasonCode: ReasonCode): ReasonCode {
  if (packetType === PacketType.CONNACK) {
    if (reasonCode === ReasonCode.ServerShuttingDown) return ReasonCode.ServerUnavailable
    if (reasonCode === ReasonCode.SessionTakenOver) return ReasonCode.ServerBusy
  }
  return isReasonCodeOf(packetType, 5, 'server', reasonCode) ? reasonCode : ReasonCode.UnspecifiedError
}
