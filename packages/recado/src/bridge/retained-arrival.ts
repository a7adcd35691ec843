/**
 * Finds out when the retained messages of new subscriptions have all come.
 *
 * A remote broker sends them behind SUBACK, as fast as they are acknowledged, and a crash makes it forget the rest. No
 * packet says which is the last one. So `BridgeLink` sends a PINGREQ when nothing is unacknowledged: if no message at
 * QoS 1 or 2 comes before the answer, the remote broker had room and nothing to send. On a line that is never so quiet,
 * a minute without a retained message has to do. Invariant: `done` is called once at most, and not after `end`.
 */
import type { Relay } from '@recado/broker'
import type { Connection, Environment, Timer } from '@recado/client/low-level'
import type { Publish } from '@recado/protocol'

/** Milliseconds from one question to the next. */
const PAUSE_MS = 1_000
/** Milliseconds without a retained message after which all have come. */
const QUIET_MS = 60_000

export interface ArrivalParts {
  readonly connection: Connection
  readonly environment: Environment
  readonly relay: Relay
  readonly done: () => void
}

export class RetainedArrival {
  readonly #parts: ArrivalParts
  #messages = 0
  /** Time of the last retained message, or of the beginning. */
  #retainedMs: number
  #timer: Timer | null = null
  #isOver = true

  constructor(parts: ArrivalParts) {
    this.#parts = parts
    this.#retainedMs = parts.environment.now()
  }

  /** Begins: the remote broker has answered all SUBSCRIBE packets. */
  start(): void {
    this.#retainedMs = this.#parts.environment.now()
    if (!this.#isOver) return
    this.#isOver = false
    this.#ask()
  }

  end(): void {
    this.#isOver = true
    if (this.#timer !== null) this.#parts.environment.clearTimer(this.#timer)
    this.#timer = null
  }

  /** Notes a message of the remote broker. */
  received({ qos, retain }: Publish): void {
    if (qos > 0) this.#messages++
    if (retain) this.#retainedMs = this.#parts.environment.now()
  }

  #ask(): void {
    const { connection, environment, relay } = this.#parts
    if (environment.now() >= this.#retainedMs + QUIET_MS) {
      this.#done()
      return
    }
    if (relay.isAnswering) {
      this.#askLater()
      return
    }
    const before = this.#messages
    connection.ping(() => {
      if (this.#isOver) return
      if (this.#messages === before) this.#done()
      else this.#askLater()
    })
  }

  #askLater(): void {
    this.#timer = this.#parts.environment.setTimer(() => {
      this.#timer = null
      this.#ask()
    }, PAUSE_MS)
  }

  #done(): void {
    this.end()
    this.#parts.done()
  }
}
