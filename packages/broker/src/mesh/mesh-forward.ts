/**
 * A message on its way to peers: encoded once for all of them, and let go when nothing has to be safe here before.
 */
import { Forward, type ForwardId } from '../core/journal/forward.ts'
import type { Link } from './link.ts'

export class MeshForward extends Forward {
  readonly #record: Uint8Array
  readonly #done: (forward: MeshForward) => void
  readonly #links: Link[] = []
  #hasBegun = false

  /**
   * @param record the message
   * @param done called when all of them have acknowledged it
   */
  constructor(record: Uint8Array, id: ForwardId | null, done: (forward: MeshForward) => void) {
    super(id)
    this.#record = record
    this.#done = done
  }

  /** One more of them gets it. */
  add(link: Link): void {
    this.open++
    this.#links.push(link)
    if (this.#hasBegun) link.push(this.#record, this)
  }

  hasGoneTo(link: Link): boolean {
    return this.#links.includes(link)
  }

  /** Sends it. */
  begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    for (const link of this.#links) link.push(this.#record, this)
  }

  onSafe(): void {
    this.begin()
  }

  override acknowledged(): void {
    super.acknowledged()
    if (this.open === 0) this.#done(this)
  }
}
