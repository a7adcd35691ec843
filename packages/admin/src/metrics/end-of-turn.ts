/**
 * Items of a turn of the event loop that are handed over together at its end.
 *
 * `latencies.ts` and `spans.ts` have one each: the sockets are written to at the end of the turn. Invariant: an item is
 * handed over once a turn, however often it was added, in the order in which the items came.
 */
export class EndOfTurn<Item> {
  readonly #take: (items: Iterable<Item>) => void
  #items: Set<Item> = new Set()

  /** @param take called with the items of a turn */
  constructor(take: (items: Iterable<Item>) => void) {
    this.#take = take
  }

  add(item: Item): void {
    if (this.#items.size === 0) setImmediate(this.flush)
    this.#items.add(item)
  }

  /** Hands over the items at once. */
  readonly flush = (): void => {
    const items = this.#items
    this.#items = new Set()
    this.#take(items)
  }
}
