/**
 * The mark of one session on the disk up to which messages at QoS 0 may have been sent from its queue, so that a crash does
 * not bring one back that the client has: at QoS 0 a message arrives once or not at all.
 *
 * `Session` makes one when a message at QoS 0 that is on the disk, or on its way there, is the next in its queue. The
 * invariant: such a message leaves only when the mark on the disk is at its position or behind it. The mark is moved
 * past all messages of the queue in memory at once, so it costs a row for a thousand of them, and nothing for messages
 * that do not wait. When the client goes its row is written without the mark, in the batch that removes the rows of what was
 * sent, or a later one. After a crash the messages up to the mark are lost.
 *
 * Source: MQTT 5.0 section 4.3.1.
 */
import type { DropReason } from '../../ports.ts'
import type { Faulty, Gated } from '../base/faults.ts'
import type { Delivery } from '../journal/delivery.ts'

/** The session whose mark it is. */
export interface MarkedSession {
  readonly connection: Faulty | null
  /** Sends what may be sent now. */
  advance(): void
}

export interface MarkStore {
  /** Stores a session whose client is connected with its mark; `mark.onSafe` is called when it is on the disk. */
  storeMark(session: MarkedSession, mark: QoS0Mark): void
}

export class QoS0Mark implements Gated {
  readonly #session: MarkedSession
  readonly #store: MarkStore
  /** Mark that the broker before this one has left. */
  readonly #lostTo: number
  /** Mark that is on the disk. */
  #safeTo = 0
  /** Marks on their way to the disk, in their order; 0 for one that is not needed any more. */
  readonly #moves: number[] = []

  /** @param lostTo mark that the disk has; 0 for none */
  constructor(session: MarkedSession, store: MarkStore, lostTo: number) {
    this.#session = session
    this.#store = store
    this.#lostTo = lostTo
  }

  get owner(): Faulty | null {
    return this.#session.connection
  }

  /** Position for the row of the session; 0 for none. */
  get position(): number {
    return Math.max(this.#lostTo, this.#safeTo, ...this.#moves)
  }

  /** Returns the reason not to send a message that may have been sent before a crash; null for another one. */
  refusalOf({ qos, position }: Delivery): DropReason | null {
    return qos === 0 && position > 0 && position <= this.#lostTo ? 'offline-qos0' : null
  }

  /**
   * Whether the message of this position may leave, or is lost. If not the mark is moved to `last`, the position of the last
   * message in memory.
   */
  allows(position: number, last: number): boolean {
    if (position <= this.#safeTo || position <= this.#lostTo) return true
    if (!this.#moves.some((each) => each > 0)) {
      this.#moves.push(Math.max(position, last))
      this.#store.storeMark(this.#session, this)
    }
    return false
  }

  onSafe(): void {
    const position = this.#moves.shift() ?? 0
    if (position === 0) return
    this.#safeTo = position
    this.#session.advance()
  }

  /** Takes the mark back: the client has gone. */
  takeBack(): void {
    this.#safeTo = 0
    this.#moves.fill(0)
  }
}
