/**
 * Numbers of each listener: connections, and what came and went by them.
 *
 * `Connections` has one. Nothing is counted per packet: a connection counts for itself (`Traffic`), and is added here
 * when it has closed; the open ones are added up when somebody asks. Invariant: no more than `LISTENERS_MAX` names are
 * kept; listeners beyond that count together, under ''.
 */
import type { Traffic } from './traffic.ts'

/** Names are an embedder's, who may take another one for each connection. */
const LISTENERS_MAX = 1_000

/** Numbers of one listener. Counters are since the broker started, also over the end and new beginning of the listener. */
export interface ListenerView {
  /** Name of the listener. */
  readonly listener: string
  /** Open connections, those without a CONNECT included. */
  connections: number
  /** Connected clients. */
  clients: number
  connectionsOpened: number
  /** Connections that ended before they had a successful CONNACK. */
  connectionsRefused: number
  bytesReceived: number
  bytesSent: number
  /** PUBLISH packets. */
  messagesReceived: number
  /** PUBLISH packets. */
  messagesSent: number
}

/** Part of a connection that is counted. */
interface Counted {
  readonly listener: string
  readonly isActive: boolean
  readonly traffic: Traffic
}

export class ListenerCounts {
  /** Numbers of connections that have closed. */
  readonly #closed: Map<string, ListenerView> = new Map()

  refused(listener: string): void {
    this.#of(this.#closed, listener).connectionsRefused++
  }

  closed(connection: Counted): void {
    const counts = this.#of(this.#closed, connection.listener)
    add(counts, connection.traffic)
    if (connection.traffic.connectedAtMs === 0) counts.connectionsRefused++
  }

  /** Adds up all listeners that have had a connection, by name. */
  views(open: Iterable<Counted>): ListenerView[] {
    const views = new Map<string, ListenerView>()
    for (const [name, counts] of this.#closed) views.set(name, { ...counts })
    for (const { listener, isActive, traffic } of open) {
      const counts = this.#of(views, listener)
      counts.connections++
      if (isActive) counts.clients++
      add(counts, traffic)
    }
    return [...views.values()].sort((a, b) => (a.listener < b.listener ? -1 : 1))
  }

  #of(all: Map<string, ListenerView>, listener: string): ListenerView {
    const known = all.get(listener)
    if (known !== undefined) return known
    if (all.size >= LISTENERS_MAX && listener !== '') return this.#of(all, '')
    const counts = {
      ...{ listener, connections: 0, clients: 0, connectionsOpened: 0, connectionsRefused: 0 },
      ...{ bytesReceived: 0, bytesSent: 0, messagesReceived: 0, messagesSent: 0 },
    }
    all.set(listener, counts)
    return counts
  }
}

function add(counts: ListenerView, traffic: Traffic): void {
  counts.connectionsOpened++
  counts.bytesReceived += traffic.bytesReceived
  counts.bytesSent += traffic.bytesSent
  counts.messagesReceived += traffic.messagesReceived
  counts.messagesSent += traffic.messagesSent
}
