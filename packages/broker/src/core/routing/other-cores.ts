/**
 * The other Cores of a broker, as the floors of this one know them. `Mesh` is the whole of it; a Core that is alone has
 * none.
 */
import type { Gated } from '../base/faults.ts'
import type { Message } from '../base/message.ts'
import type { ForwardId } from '../journal/forward.ts'
import type { PendingAnswer } from '../journal/pending-ack.ts'

export interface OtherCores {
  /** Whether the session of this Client Identifier is kept here. */
  isHome(clientId: string): boolean
  /** Makes an answer wait until every other Core knows the Topic Filters that subscribers have here now. */
  confirm(answer: PendingAnswer): void
  /** Forwards a message once more whose receipt an earlier process has left: its publisher has sent it again. */
  forwardAgain(message: Message, id: ForwardId): void
  /** Whether a publisher should not be read until `gated` opens: too much waits for other Cores. */
  holdBack(gated: Gated): boolean
}
