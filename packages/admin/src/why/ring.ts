/**
 * A ring of the last so many entries, in memory of fixed size.
 *
 * `decisions.ts` has one for each kind of decision, `audit.ts` one of changes. Invariant: an entry that is added takes the
 * place of the oldest. Texts from outside are cut before they are added.
 */

/** Characters that are kept of a topic or a Client Identifier. */
const TEXT_MAX = 512

export class Ring<Entry> {
  readonly #entries: Entry[] = []
  readonly #size: number
  #next = 0

  constructor(size: number) {
    this.#size = size
  }

  get length(): number {
    return this.#entries.length
  }

  add(entry: Entry): void {
    if (this.#size === 0) return
    this.#entries[this.#next] = entry
    this.#next = this.#next + 1 === this.#size ? 0 : this.#next + 1
  }

  /** Oldest entry where others were there before it; undefined: none has been lost. */
  get oldestLeft(): Entry | undefined {
    return this.#entries.length === this.#size ? this.#entries[this.#next] : undefined
  }

  /** Entries, latest first. */
  *latest(): Generator<Entry> {
    const { length } = this.#entries
    for (let i = 1; i <= length; i++) yield this.#entries[(this.#next - i + this.#size) % this.#size]!
  }
}

/** Whether a text is short enough to be kept whole. */
export const isKeptWhole = (text: string): boolean => text.length <= TEXT_MAX

/** Text that is kept: a long one is cut, and copied so that it does not keep the whole alive. */
export const kept = (text: string): string =>
  isKeptWhole(text) ? text : Buffer.from(text.slice(0, TEXT_MAX)).toString()
