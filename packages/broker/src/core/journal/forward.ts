/**
 * A message on its way to other Cores of the broker (`mesh/`): how many of them have not acknowledged it, the answer that
 * waits for that, and at QoS 2 the identifier under which they know it.
 *
 * A peer makes one when it is given a message at QoS 1 or 2; the journal lets one at QoS 2 go when the receipt of the
 * message is safe, or a crash could make the same message two. Invariant: `open` counts the Cores that have not
 * acknowledged, and the answer is told once, when it comes to 0.
 */
import type { Gated } from '../base/faults.ts'
import type { ForwardProgress, Message } from '../base/message.ts'
import type { PendingAnswer } from './pending-ack.ts'

export const FORWARD_ID_BYTES = 10

/** Identifier of a message at QoS 2 among those of one Core. */
export class ForwardId {
  /** Epoch of the Core that has given the number. */
  readonly epoch: number
  readonly number: number
  /** Progress of the message; null: an earlier process has begun it. */
  forward: Forward | null = null
  /** Whether its publisher has released it. */
  isReleased = false
  /** Called when its publisher has released the message, or its session has ended: it never comes again. */
  onReleased: ((id: ForwardId) => void) | null = null

  constructor(epoch: number, number: number) {
    this.epoch = epoch
    this.number = number
  }

  /** Key in a map. */
  get key(): string {
    return `${this.epoch}.${this.number}`
  }
}

export abstract class Forward implements ForwardProgress, Gated {
  open = 0
  readonly owner = null
  readonly id: ForwardId | null
  /** Whether it leaves only when `onSafe` is called. */
  isGated = false
  /** Answer that waits; null for none. */
  #waiting: PendingAnswer | null = null

  constructor(id: ForwardId | null) {
    this.id = id
    if (id !== null) id.forward = this
  }

  /** The receipt is safe: the message may leave. */
  abstract onSafe(): void

  /** Makes an answer wait for all of them, in the place of one that was owed to an earlier connection. */
  owe(answer: PendingAnswer): void {
    if (this.open === 0) return
    const before = this.#waiting
    this.#waiting = answer
    answer.waits++
    before?.onSafe()
  }

  /** Whether an answer of this owner waits for it. */
  isOwedTo(owner: object): boolean {
    return this.#waiting?.owner === owner
  }

  /** One of the Cores has the message, as safe as it will be. */
  acknowledged(): void {
    this.open--
    if (this.open > 0) return
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.onSafe()
  }

  /** One of the Cores could not give it to all: its publisher must not be told that they have it. */
  failed(error: unknown): void {
    // When it comes again, all get it again.
    if (this.id !== null) this.id.forward = null
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.owner?.fault('forward', error)
  }
}

/** Progress of a message towards other Cores; null: none of them gets it. Only peers put it there. */
export function forwardOf({ forward }: Message): Forward | null {
  return forward === null || forward.open === 0 ? null : (forward as Forward)
}

export function encodeForwardId({ epoch, number }: ForwardId): Uint8Array {
  const view = new DataView(new ArrayBuffer(FORWARD_ID_BYTES))
  view.setUint32(0, epoch)
  view.setUint16(4, Math.floor(number / 0x1_0000_0000))
  view.setUint32(6, number >>> 0)
  return new Uint8Array(view.buffer)
}

/** Decodes the row of a receipt; null when the message has gone to no other Core. */
export function decodeForwardId(bytes: Uint8Array): ForwardId | null {
  if (bytes.length !== FORWARD_ID_BYTES) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, FORWARD_ID_BYTES)
  return new ForwardId(view.getUint32(0), view.getUint16(4) * 0x1_0000_0000 + view.getUint32(6))
}
