/**
 * The backlog of one session: messages that wait for its client, their limit, and the treatment of the next one when
 * the queue is full.
 *
 * `Session` has one. Limits are those of the session (`queueMessagesMax`, `queueBytesMax`, lower for a client without
 * User Name) and its share of what all queues together may hold. Invariant: `Router.fullSubscribers` counts this
 * session while `isFull` is true.
 */
import type { QoS } from '@recado/protocol'
import type { DropReason } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { hasShare } from '../base/holdings.ts'
import type { Message } from '../base/message.ts'
import type { Delivery } from '../journal/delivery.ts'
import type { DurableSession } from '../journal/durable-session.ts'
import type { Journal } from '../journal/journal.ts'
import type { Router } from '../routing/router.ts'
import { Queue } from './queue.ts'

/** Milliseconds from one look for expired messages in a full queue to the next. */
const EXPIRED_LOOK_MS = 1_000

/** The session whose backlog it is. */
export interface BacklogOwner extends DurableSession {
  readonly clientId: string
  /** Whether its client has given no User Name. */
  readonly isAnonymous: boolean
  /** Bytes of messages in flight. */
  readonly inflightBytes: number
  /** A delivery is given up. */
  discard(delivery: Delivery, reason: DropReason): void
  /** A message that is no delivery yet does not reach the client. */
  drop(message: Message, qos: QoS, reason: DropReason): void
}

export class Backlog {
  readonly #owner: BacklogOwner
  readonly #context: Context
  /** Journal; null when not durable. */
  readonly #journal: Journal | null
  readonly #router: Router
  readonly queue: Queue
  /** Whether publishers have to ask `Session.refuses`. */
  isFull = false
  #lookedForExpiredMs: number = Number.NEGATIVE_INFINITY

  constructor(owner: BacklogOwner, context: Context, router: Router, journal: Journal | null) {
    this.#owner = owner
    this.#context = context
    this.#router = router
    this.#journal = journal
    this.queue = new Queue(
      journal === null ? null : (entry) => journal.load(owner, entry),
      context.holdings,
      context.metrics,
    )
  }

  get #messagesMax(): number {
    const { queueMessagesMax, anonymousQueueMessagesMax } = this.#context.limits
    return this.#owner.isAnonymous ? Math.min(queueMessagesMax, anonymousQueueMessagesMax) : queueMessagesMax
  }

  get #bytesMax(): number {
    const { queueBytesMax, anonymousQueueBytesMax } = this.#context.limits
    return this.#owner.isAnonymous ? Math.min(queueBytesMax, anonymousQueueBytesMax) : queueBytesMax
  }

  get isHalfFull(): boolean {
    return this.queue.length * 2 >= this.#messagesMax || this.queue.bytes * 2 >= this.#bytesMax
  }

  /** Whether one more message of so many bytes may wait. */
  hasRoomFor(bytes: number): boolean {
    return this.#hasOwnRoomFor(bytes) && this.#hasShareFor(bytes)
  }

  #hasOwnRoomFor(bytes: number): boolean {
    return this.queue.length < this.#messagesMax && this.queue.bytes + bytes <= this.#bytesMax
  }

  /** True: the share of what all queues together may hold, on disk or in memory where nothing is on disk, leaves room for so many bytes. */
  #hasShareFor(bytes: number): boolean {
    const own = this.queue.bytes + this.#owner.inflightBytes
    if (this.#journal === null) return this.#context.holdings.hasShare(own, bytes)
    return hasShare(this.#context.limits.storedBytesMax, this.#journal.messageBytes, own, bytes)
  }

  /**
   * Makes a message wait, or drops it or others by the option `overflow`. `isInherited`: it has been acknowledged;
   * `isApart`: see `Journal.deliver`.
   */
  add(delivery: Delivery, isInherited: boolean, isApart: boolean): void {
    const message = delivery.message!
    const size = message.sizeBytes
    if (!isInherited && this.#context.memoryGuard?.refusesToKeep) {
      this.#owner.drop(message, delivery.qos, 'memory-full')
      return
    }
    if (!this.#hasOwnRoomFor(size)) {
      this.dropExpired()
      // A message that is too large for an empty queue displaces no other.
      if (this.#context.options.overflow === 'drop-oldest' && size <= this.#bytesMax) {
        while (this.queue.length > 0 && !this.#hasOwnRoomFor(size))
          this.#owner.discard(this.queue.shift()!, 'queue-full')
      }
      if (!this.#hasOwnRoomFor(size)) {
        this.#owner.drop(message, delivery.qos, 'queue-full')
        this.noteFullness()
        return
      }
    }
    // To drop older ones would make no room on disk before the next batch.
    if (!isInherited && !message.isTaken && !this.#hasShareFor(size)) {
      this.#owner.drop(message, delivery.qos, 'queues-full')
      return
    }
    if (this.#journal !== null) {
      delivery.session = this.#owner
      this.#journal.deliver(message, delivery, false, isApart)
    }
    this.queue.push(delivery)
    this.noteFullness()
    if (this.#context.observesQueues) this.#tell(message, delivery.qos)
  }

  #tell({ topic }: Message, qos: QoS): void {
    const { clientId } = this.#owner
    this.#context.observer?.['message.queued']?.({ clientId, topic, qos, queuedMessages: this.queue.length })
  }

  /** Lets go of messages that have expired. Looks through the queue, so once a second at most. */
  dropExpired(): void {
    const { nowMs } = this.#context.turn
    if (nowMs < this.#lookedForExpiredMs + EXPIRED_LOOK_MS) return
    this.#lookedForExpiredMs = nowMs
    for (const expired of this.queue.removeWhere((delivery) => delivery.message!.isExpired(nowMs))) {
      this.#owner.discard(expired, 'expired')
    }
    this.noteFullness()
  }

  /** Tells the router whether publishers have to ask `refuses`: until then a message of up to half a queue fits. */
  noteFullness(): void {
    const isFull =
      this.#context.options.overflow === 'reject' &&
      (this.queue.length >= this.#messagesMax || this.queue.bytes > this.#bytesMax / 2)
    if (isFull === this.isFull) return
    this.isFull = isFull
    this.#router.fullSubscribers += isFull ? 1 : -1
  }

  /** Stops, because the session has ended: publishers need not ask it any more. */
  stop(): void {
    if (this.isFull) this.#router.fullSubscribers--
    this.isFull = false
  }
}
