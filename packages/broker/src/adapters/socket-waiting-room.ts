/**
 * Connections for which there is no room now, but may be in a moment.
 *
 * When a client closes a connection and opens the next at once, the new one may arrive before the end of the first has
 * been seen: the kernel reports both in any order, and a connection takes some turns of the event loop to close.
 * `SocketListener` lets such a connection wait here, unread, until another one has closed. Invariants: none waits
 * longer than WAIT_MS, and no more than WAITING_MAX wait; then they are refused.
 */

const WAIT_MS = 100
const WAITING_MAX = 64

export interface Waiting {
  hasRoom(): boolean
  enter(): void
  refuse(): void
}

export class WaitingRoom {
  readonly #waiting: Map<Waiting, NodeJS.Timeout> = new Map()
  #isDue = false

  /** Lets a connection in, lets it wait, or refuses it. */
  take(waiting: Waiting): void {
    if (waiting.hasRoom()) {
      waiting.enter()
    } else if (this.#waiting.size >= WAITING_MAX) {
      waiting.refuse()
    } else {
      const giveUp = (): void => {
        this.#waiting.delete(waiting)
        waiting.refuse()
      }
      this.#waiting.set(waiting, setTimeout(giveUp, WAIT_MS))
    }
  }

  /** Notes that a connection has closed. The counters may learn of it later in this turn. */
  noteRoom(): void {
    if (this.#isDue || this.#waiting.size === 0) return
    this.#isDue = true
    setImmediate(() => this.#retry())
  }

  #retry(): void {
    this.#isDue = false
    for (const [waiting, timer] of this.#waiting) {
      if (!waiting.hasRoom()) continue
      clearTimeout(timer)
      this.#waiting.delete(waiting)
      waiting.enter()
    }
  }

  /** Refuses all that wait. */
  close(): void {
    for (const [waiting, timer] of this.#waiting) {
      clearTimeout(timer)
      waiting.refuse()
    }
    this.#waiting.clear()
  }
}
