/**
 * Measures the rates of connections that are being inspected, from their counters alone: a connection that is not
 * inspected costs nothing.
 *
 * `Inspector` asks it for each client that it returns. What it remembers of a connection is released with the
 * connection.
 */
import type { Connection } from '../core/connection/connection.ts'
import type { Traffic } from '../core/connection/traffic.ts'
import type { RatesView } from './views.ts'

/**
 * Shortest time in milliseconds over which a rate is measured when a client is inspected often; the longest is twice
 * that.
 */
const MARK_MS = 5_000

interface Mark extends Readonly<Omit<Traffic, 'connectedAtMs' | 'countedIn'>> {
  readonly atMs: number
}

export class RateMeter {
  readonly #marks: WeakMap<Connection, { older: Mark; newer: Mark }> = new WeakMap()

  /** Rates since a moment 5 to 10 s ago; of one that was not looked at meanwhile, since it was, or since its CONNACK. */
  ratesOf(connection: Connection, nowMs: number): RatesView {
    const { traffic } = connection
    const now = markOf(traffic, nowMs)
    let marks = this.#marks.get(connection)
    if (marks === undefined) {
      const begin = {
        atMs: traffic.connectedAtMs,
        bytesReceived: 0,
        bytesSent: 0,
        messagesReceived: 0,
        messagesSent: 0,
      }
      marks = { older: begin, newer: now }
      this.#marks.set(connection, marks)
    } else if (nowMs - marks.newer.atMs >= MARK_MS) {
      marks.older = marks.newer
      marks.newer = now
    }
    return ratesBetween(marks.older, now)
  }
}

function markOf({ bytesReceived, bytesSent, messagesReceived, messagesSent }: Traffic, atMs: number): Mark {
  return { atMs, bytesReceived, bytesSent, messagesReceived, messagesSent }
}

function ratesBetween(from: Mark, to: Mark): RatesView {
  const overSeconds = (to.atMs - from.atMs) / 1_000
  const perSecond = (count: number): number => (overSeconds > 0 ? count / overSeconds : 0)
  return {
    overSeconds,
    bytesReceived: perSecond(to.bytesReceived - from.bytesReceived),
    bytesSent: perSecond(to.bytesSent - from.bytesSent),
    messagesReceived: perSecond(to.messagesReceived - from.messagesReceived),
    messagesSent: perSecond(to.messagesSent - from.messagesSent),
  }
}
