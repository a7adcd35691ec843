/**
 * The end of connections whose answer nobody reads: Node waits for them for ever.
 *
 * `app.ts` and `dashboard.ts` call it before they write an answer. Streams and backups are not among them: they may pause,
 * and need a login. Once the answer has been taken, Node's time for the next request holds.
 */
import type { ServerResponse } from 'node:http'

/** Time without a byte that goes out, after which the connection is closed. */
export const UNREAD_MS = 60_000

export function endIfUnread({ socket }: ServerResponse): void {
  socket?.setTimeout(UNREAD_MS)
}
