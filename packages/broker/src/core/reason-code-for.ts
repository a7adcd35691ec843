/**
 * Which Reason Code goes on the wire: `Connection` and `handleSubscribe` ask before they answer. The invariant: a server says only
 * what the table of its packet allows (2.4).
 */
import { isReasonCodeOf, ReasonCode } from '@recado/protocol'

/** The Reason Code, if a server may say so in this packet; a failure that it may not becomes Unspecified error. */
export function reasonCodeFor(packetType: number, reasonCode: ReasonCode): ReasonCode {
  return isReasonCodeOf(packetType, 5, 'server', reasonCode) ? reasonCode : ReasonCode.UnspecifiedError
}
