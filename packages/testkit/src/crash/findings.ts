/**
 * The findings of a crash or bridge run, as lines: those of one kind are told up to a limit, and counted for ever.
 *
 * Used by `run.ts` here and in `bridge/`.
 */

/** Number of findings of one kind that are told in full. */
const TOLD_MAX = 20

export class Findings {
  readonly #counts = new Map<string, number>()
  readonly #tell: (text: string) => void

  constructor(tell: (text: string) => void) {
    this.#tell = tell
  }

  add(kind: string, text: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    if (count <= TOLD_MAX) this.#tell(text)
    else if (count === TOLD_MAX + 1) this.#tell('and more of that kind')
  }
}
