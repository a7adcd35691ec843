/**
 * Deliveries in flight to one client: sent, or about to be, and not acknowledged.
 *
 * `Session` has one; `Sender` (of the protocol package) knows the Packet Identifiers and the flows, this file the
 * memory of the messages. Invariant: `bytes` and `Holdings` count a message from the moment that it is in flight until
 * it is acknowledged, or needs to be remembered by its Packet Identifier only.
 */
import { Sender } from '@recado/protocol'
import type { Context } from '../base/context.ts'
import type { Delivery } from '../journal/delivery.ts'

/** Bytes in flight to one client while all messages in memory together are many. */
const SHORT_BYTES = 64 * 1024

export class Inflight {
  readonly #context: Context
  readonly sender: Sender<Delivery, object>
  /** Bytes of messages that may have to be sent again. */
  bytes = 0

  constructor(context: Context) {
    this.#context = context
    this.sender = new Sender<Delivery, object>(context.limits.inflightMax)
  }

  /** Whether one more may be sent. One message always may. */
  get hasRoom(): boolean {
    if (!this.sender.hasQuota() || this.bytes >= this.#context.limits.inflightBytesMax) return false
    return this.bytes < SHORT_BYTES || !this.#context.holdings.isShort
  }

  /** Takes back a delivery from the store that was in flight, and is to be sent again. */
  restore(delivery: Delivery): void {
    this.begin(delivery)
    this.sender.restore(delivery)
  }

  /** The delivery is in flight, with a message that may have to be sent again, or without one. */
  begin({ message }: Delivery): void {
    this.#context.metrics.inflight++
    if (message === null) return
    this.bytes += message.sizeBytes
    this.#context.holdings.hold(message)
  }

  /** The delivery is not in flight any more. */
  end(delivery: Delivery): void {
    this.#context.metrics.inflight--
    this.letGo(delivery)
  }

  /** Nothing is in flight any more. Messages have been let go of before. */
  clear(): void {
    this.#context.metrics.inflight -= this.sender.inflight
    this.sender.clear()
  }

  /** The delivery is in flight by its Packet Identifier only. */
  letGo(delivery: Delivery): void {
    const { message } = delivery
    if (message === null) return
    delivery.message = null
    this.bytes -= message.sizeBytes
    this.#context.holdings.letGo(message)
  }
}
