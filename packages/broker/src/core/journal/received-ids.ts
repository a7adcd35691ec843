/**
 * Received Packet Identifiers of a durable session: those of QoS 2 messages that it has published and PUBREL has not released.
 *
 * They are on the disk together with their message, or a crash between the two would make the message arrive twice [MQTT-4.3.3-10].
 * `Session` has one set; the journal fills it in the batches that it writes. The invariant: an identifier is in `stored` from the
 * batch that writes it until PUBREL, and in `receipts` while its message is on its way to the disk.
 */
import { type Store, Table } from '../../ports.ts'
import type { Message, ReceivedId } from '../base/message.ts'
import { encodeForwardId, type ForwardId } from './forward.ts'
import type { MessageRow } from './message-row.ts'

/** Value of a row that says all in its key. */
export const NO_VALUE: Uint8Array = Uint8Array.of(1)

export class ReceivedIds {
  /** Number of the session in the store. */
  readonly sessionNumber: number
  /** Identifiers on the disk. */
  readonly stored: Set<number> = new Set()
  /** Identifiers on their way there. */
  readonly receipts: Map<number, Receipt> = new Map()
  /** Identifiers under which other Cores know some of these messages, by Packet Identifier; null: none of them does. */
  forwards: Map<number, ForwardId> | null = null

  constructor(sessionNumber: number) {
    this.sessionNumber = sessionNumber
  }

  /** Puts the row of an identifier into the store; only within `Store.write`. */
  put(store: Store, packetId: number): void {
    store.put(Table.Received, this.sessionNumber, packetId, 0, this.valueOf(packetId))
  }

  /** Returns the value of the row: how other Cores know the message. */
  valueOf(packetId: number): Uint8Array {
    const id = this.forwards?.get(packetId)
    return id === undefined ? NO_VALUE : encodeForwardId(id)
  }

  /** Notes how other Cores know a message. */
  noteForward(packetId: number, id: ForwardId): void {
    this.forwards ??= new Map()
    this.forwards.set(packetId, id)
  }

  /** Notes that the identifier goes to the disk with the rows of its message. */
  add(message: Message, packetId: number, row: MessageRow | null): void {
    const receipt = new Receipt(this, packetId, row)
    message.receipt = receipt
    this.receipts.set(packetId, receipt)
  }

  /**
   * Forgets an identifier for which PUBREL has come. Returns true when it is on the disk, and must be removed from
   * there before PUBCOMP.
   */
  release(packetId: number): boolean {
    const receipt = this.receipts.get(packetId)
    if (receipt !== undefined) receipt.ids = null
    this.receipts.delete(packetId)
    if (this.forwards !== null) this.#releaseForward(packetId)
    return this.stored.delete(packetId)
  }

  #releaseForward(packetId: number): void {
    const id = this.forwards!.get(packetId)
    this.forwards!.delete(packetId)
    id?.onReleased?.(id)
  }

  /** Forgets all of them; the session has ended. */
  clear(): void {
    this.stored.clear()
    if (this.forwards !== null) for (const packetId of [...this.forwards.keys()]) this.#releaseForward(packetId)
    for (const receipt of this.receipts.values()) receipt.ids = null
    this.receipts.clear()
  }
}

/** Packet Identifier of one QoS 2 message, kept with the message also when another member of a Shared Subscription inherits it. */
export class Receipt implements ReceivedId {
  /** Identifiers of the session; null when it was released by PUBREL, or the session has ended. */
  ids: ReceivedIds | null
  readonly packetId: number
  /** First row that PUBREC stands for and that is not safe yet. */
  row: MessageRow | null

  constructor(ids: ReceivedIds, packetId: number, row: MessageRow | null) {
    this.ids = ids
    this.packetId = packetId
    this.row = row
  }
}

/**
 * Returns the receipt of a message; null when its publisher has no durable session, or it was not published at QoS 2.
 */
export function receiptOf(message: Message): Receipt | null {
  return message.receipt as Receipt | null
}
