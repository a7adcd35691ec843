/**
 * A queue in the order of time: a binary heap of entries by the time when they are due, and by number among those of
 * the same time.
 *
 * `DelayedMessages` has one. To add and to take the first costs O(log n).
 */
export interface Due {
  /** Milliseconds since the Unix epoch. */
  readonly dueAtMs: number
  /** Grows with each entry; tells those of one time apart. */
  readonly number: number
}

function isBefore(one: Due, other: Due): boolean {
  return one.dueAtMs === other.dueAtMs ? one.number < other.number : one.dueAtMs < other.dueAtMs
}

export class DueQueue<T extends Due> {
  readonly #heap: T[] = []

  get size(): number {
    return this.#heap.length
  }

  /** The entry that is due first; undefined when there is none. */
  get first(): T | undefined {
    return this.#heap[0]
  }

  add(entry: T): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(entry, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  /** Takes the first out; undefined when there is none. */
  shift(): T | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }

  /** Leaves only the entries for which `isWanted` says so. */
  keep(isWanted: (entry: T) => boolean): void {
    const wanted = this.#heap.filter(isWanted)
    this.#heap.length = 0
    for (const entry of wanted) this.add(entry)
  }
}
