/**
 * A subscription of the program that embeds the broker: a subscriber like any session, without network, Packet
 * Identifier or queue. A handler that throws, or whose promise is rejected, is reported; the message
 * counts as delivered.
 */
import type { Message } from './core/base/message.ts'
import { Readiness, type Subscriber } from './core/routing/subscriber.ts'
import { reportRejection } from './hooks.ts'
import type { ApplicationMessage } from './ports.ts'

/** Function that takes the messages of a subscription of the embedding program. */
export type MessageHandler = (message: ApplicationMessage) => void

export class LocalSubscriber implements Subscriber {
  readonly isDurable: boolean = false
  readonly readiness: number = Readiness.Ready
  routeStamp = 0
  routeIndex = 0
  readonly #handler: (message: Message) => unknown
  readonly #failed: (error: unknown) => void
  readonly #rejected = (_hook: string, error: unknown): void => this.#failed(error)

  constructor(handler: (message: Message) => unknown, failed: (error: unknown) => void) {
    this.#handler = handler
    this.#failed = failed
  }

  refuses(): boolean {
    return false
  }

  fault(_where: string, error: unknown): void {
    this.#failed(error)
  }

  mayReceive(): boolean {
    return true
  }

  deliver(message: Message): void {
    try {
      reportRejection('', this.#handler(message.keep()), this.#rejected)
    } catch (error) {
      this.#failed(error)
    }
  }
}
