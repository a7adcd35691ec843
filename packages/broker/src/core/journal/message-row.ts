/**
 * A message on its way to the store: who waits for it, and who waits for it to be safe.
 *
 * Made by the journal when the first durable session gets the message, forgotten when the message is written or when all
 * have acknowledged it before. From then on each delivery knows its own place in the store.
 *
 * Invariant: `undelivered` counts the recipients whose delivery is Pending; the pledge is kept at most once.
 */

import type { Message } from '../base/message.ts'
import type { Session } from '../session/session.ts'
import { type Delivery, RowState } from './delivery.ts'
import type { Pledge } from './pending-ack.ts'

/**
 * The packet id of a QoS 2 publisher whose session is durable: on disk together with the message, or a crash between the two
 * would make the message arrive twice. [MQTT-4.3.3-10] Also when another member of a Shared Subscription inherits it.
 */
export class Receipt {
  /** null: released by PUBREL, or the session has ended. */
  session: Session | null
  readonly packetId: number
  /** The first row that PUBREC stands for and that is not safe yet. */
  row: MessageRow | null

  constructor(session: Session, packetId: number, row: MessageRow | null) {
    this.session = session
    this.packetId = packetId
    this.row = row
  }
}

/** A message that durable sessions wait for, and what is still missing before it is safe. */
export class MessageRow {
  readonly message: Message
  readonly position: number
  /** Of its topic, payload and properties. */
  readonly bytes: number
  /** Durable recipients, most often one; both null once written: the deliveries know their row. */
  first: Delivery | null = null
  others: Delivery[] | null = null
  /** Recipients that have not acknowledged. */
  undelivered = 0
  pledge: Pledge | null = null
  /** The same message once more: for sessions that get it twice, by a shared subscription as well. */
  extra: MessageRow | null = null
  readonly sinceMs: number
  /** Somebody waits for it to be written, not only for acknowledgements. */
  isUrgent = false

  constructor(message: Message, position: number, sinceMs: number) {
    this.message = message
    this.position = position
    this.bytes = message.sizeBytes
    this.sinceMs = sinceMs
  }

  add(delivery: Delivery): void {
    if (this.first === null) this.first = delivery
    else if (this.others === null) this.others = [delivery]
    else this.others.push(delivery)
    this.undelivered++
  }

  has(session: Session): boolean {
    return this.first?.session === session || (this.others?.some((delivery) => delivery.session === session) ?? false)
  }

  /** Somebody has neither acknowledged it nor has it been written. */
  get isOpen(): boolean {
    return this.first !== null && this.undelivered > 0
  }

  forEach(visit: (delivery: Delivery) => void): void {
    if (this.first !== null) visit(this.first)
    if (this.others !== null) for (const delivery of this.others) visit(delivery)
  }

  /** Those who are not done with it; from now on they are being written. null: there are none. */
  takeWaiting(): { first: Delivery; others: Delivery[] | null } | null {
    let first: Delivery | null = null
    let others: Delivery[] | null = null
    for (let i = -1; i < (this.others?.length ?? 0); i++) {
      const delivery = i < 0 ? this.first : this.others![i]!
      if (delivery?.rowState !== RowState.Pending) continue
      delivery.rowState = RowState.Writing
      delivery.key = delivery.bytes
      if (first === null) {
        first = delivery
      } else {
        others ??= []
        others.push(delivery)
      }
    }
    return first === null ? null : { first, others }
  }

  /** Its recipients are told by their own state from now on. */
  forget(): void {
    this.first = null
    this.others = null
  }
}
