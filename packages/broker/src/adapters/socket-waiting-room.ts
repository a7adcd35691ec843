/**
 * Connections for which there is no room, and may be in a moment.
 *
 * Whoever closes a connection and opens the next at once comes before the end of the first has been seen: the kernel tells of both in any
 * order, and a connection takes some turns of the event loop to close. `SocketListener` lets such a connection wait here, unread, until
 * another has closed. The invariants: none waits longer than WAIT_MS, and no more than WAITING_MAX wait; then they are refused as ever.
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

  /** Enters, waits or is refused. */
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

  /** A connection has closed. Those who count it may learn of that within this turn. */
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

  /** Refuses all. */
  close(): void {
    for (const [waiting, timer] of this.#waiting) {
      clearTimeout(timer)
      waiting.refuse()
    }
    this.#waiting.clear()
  }
}
