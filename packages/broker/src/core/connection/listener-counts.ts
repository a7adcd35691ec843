/**
 * Numbers of each listener: connections, and what came and went by them.
 *
 * `Connections` has one. Nothing is counted per packet: a connection counts for itself (`Traffic`), and is added here
 * when it has closed; the open ones are added up when somebody asks, over several turns when they are many. Invariants:
 * no more than `LISTENERS_MAX` names are kept; listeners beyond that count together, under ''. A counter never falls from
 * one sum to the next, whatever closes meanwhile.
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
  /** Sum that is under way; null: none is. */
  #sum: ListenerSum | null = null
  #sums = 0

  refused(listener: string): void {
    countsOf(this.#closed, listener).connectionsRefused++
  }

  closed(connection: Counted): void {
    addClosed(this.#closed, connection)
    this.#sum?.closed(connection)
  }

  /** Begins to add up all listeners; a sum that is under way is left unfinished. */
  sum(open: Iterable<Counted>): ListenerSum {
    this.#sum = new ListenerSum(++this.#sums, this.#closed, open, () => {
      this.#sum = null
    })
    return this.#sum
  }
}

/** A sum of the numbers of all listeners that have had a connection. Each connection is as it was when it was counted. */
export class ListenerSum {
  readonly #number: number
  readonly #views: Map<string, ListenerView> = new Map()
  readonly #open: Iterator<Counted>
  readonly #done: () => void

  constructor(number: number, closed: ReadonlyMap<string, ListenerView>, open: Iterable<Counted>, done: () => void) {
    this.#number = number
    for (const [name, counts] of closed) this.#views.set(name, { ...counts })
    this.#open = open[Symbol.iterator]()
    this.#done = done
  }

  /** Counts the next open connection. Returns false when there are no more. */
  step(): boolean {
    const { value: connection, done } = this.#open.next()
    if (done === true) {
      this.#done()
      return false
    }
    const { listener, isActive, traffic } = connection as Counted
    traffic.countedIn = this.#number
    const counts = countsOf(this.#views, listener)
    counts.connections++
    if (isActive) counts.clients++
    add(counts, traffic)
    return true
  }

  /** A connection has closed: one that was not counted yet will not be found among the open ones. */
  closed(connection: Counted): void {
    if (connection.traffic.countedIn !== this.#number) addClosed(this.#views, connection)
  }

  /** Listeners by name. */
  get views(): ListenerView[] {
    return [...this.#views.values()].sort((a, b) => (a.listener < b.listener ? -1 : 1))
  }
}

function countsOf(all: Map<string, ListenerView>, listener: string): ListenerView {
  const known = all.get(listener)
  if (known !== undefined) return known
  if (all.size >= LISTENERS_MAX && listener !== '') return countsOf(all, '')
  const counts = {
    ...{ listener, connections: 0, clients: 0, connectionsOpened: 0, connectionsRefused: 0 },
    ...{ bytesReceived: 0, bytesSent: 0, messagesReceived: 0, messagesSent: 0 },
  }
  all.set(listener, counts)
  return counts
}

function addClosed(all: Map<string, ListenerView>, { listener, traffic }: Counted): void {
  const counts = countsOf(all, listener)
  add(counts, traffic)
  if (traffic.connectedAtMs === 0) counts.connectionsRefused++
}

function add(counts: ListenerView, traffic: Traffic): void {
  counts.connectionsOpened++
  counts.bytesReceived += traffic.bytesReceived
  counts.bytesSent += traffic.bytesSent
  counts.messagesReceived += traffic.messagesReceived
  counts.messagesSent += traffic.messagesSent
}
