/**
 * A message on its way to the store: the recipients it is written for, and the answers that wait until it is safe.
 *
 * Made by the journal when the first durable session gets the message, forgotten when the message is written or when
 * all have acknowledged it before. From then on each delivery knows its own place in the store.
 *
 * Invariant: `undelivered` counts the recipients whose state is Pending; an answer that waits for it is kept at most
 * once.
 */
import type { Message, RowProgress } from '../base/message.ts'
import type { DurableSession } from './durable-session.ts'
import type { Recipient } from './message-records.ts'
import type { PendingAnswer } from './pending-ack.ts'

/**
 * State of a row. None: not durable. Pending: to be written. Writing: in the batch under way. Stored: on disk. Done: no
 * recipient waits for it.
 */
export const RowState = { None: 0, Pending: 1, Writing: 2, Stored: 3, Done: 4 } as const

/** A recipient of a row: `Delivery`, as far as a row knows it. */
export interface RowRecipient extends Recipient {
  readonly session: DurableSession | null
  /** One of `RowState`. */
  rowState: number
  row: MessageRow | null
  /** Third number of the key in the store. */
  key: number
  /** Bytes of topic, payload and properties. */
  bytes: number
  isMulti: boolean
}

/** Message that durable sessions wait for, with the changes that are missing before it is safe. */
export class MessageRow implements RowProgress {
  readonly message: Message
  readonly position: number
  /** Bytes of topic, payload and properties. */
  readonly bytes: number
  /** Durable recipients, most often one; both null once written: the deliveries know their row. */
  first: RowRecipient | null = null
  others: RowRecipient[] | null = null
  /** Recipients that have not acknowledged. */
  undelivered = 0
  /** Answer that waits for this row. */
  waiting: PendingAnswer | null = null
  /** Another row of the same message: for sessions that get it twice, by a Shared Subscription as well. */
  extra: MessageRow | null = null
  readonly sinceMs: number
  /** Whether it is to be written with the next batch, rather than wait for acknowledgements. */
  isUrgent = false

  constructor(message: Message, position: number, sinceMs: number) {
    this.message = message
    this.position = position
    this.bytes = message.sizeBytes
    this.sinceMs = sinceMs
  }

  add(recipient: RowRecipient): void {
    if (this.first === null) this.first = recipient
    else if (this.others === null) this.others = [recipient]
    else this.others.push(recipient)
    this.undelivered++
  }

  has(session: DurableSession): boolean {
    return this.first?.session === session || (this.others?.some((recipient) => recipient.session === session) ?? false)
  }

  get isOpen(): boolean {
    return this.first !== null && this.undelivered > 0
  }

  forEach(visit: (recipient: RowRecipient) => void): void {
    if (this.first !== null) visit(this.first)
    if (this.others !== null) for (const recipient of this.others) visit(recipient)
  }

  /**
   * Takes the recipients that are not done with it, whose rows are being written from now on; null when there are none.
   */
  takeWaiting(): { first: RowRecipient; others: RowRecipient[] | null } | null {
    let first: RowRecipient | null = null
    let others: RowRecipient[] | null = null
    for (let i = -1; i < (this.others?.length ?? 0); i++) {
      const recipient = i < 0 ? this.first : this.others![i]!
      if (recipient?.rowState !== RowState.Pending) continue
      recipient.rowState = RowState.Writing
      recipient.key = recipient.bytes
      if (first === null) {
        first = recipient
      } else {
        others ??= []
        others.push(recipient)
      }
    }
    return first === null ? null : { first, others }
  }

  /** Lets go of its recipients: their own state tells where they stand from now on. */
  forget(): void {
    this.first = null
    this.others = null
  }
}

/** First row of a message; null when no durable session waits for it. Only the journal puts rows there. */
export function rowOf(message: Message): MessageRow | null {
  return message.row as MessageRow | null
}
