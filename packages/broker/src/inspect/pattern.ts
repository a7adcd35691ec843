/**
 * Patterns of queries: text in which `*` stands for any characters, also none. Everything else means itself.
 *
 * `Inspector` makes one for each field of a query. Takes time in proportion to pattern and text together, whatever the pattern: it may
 * come from the network.
 */
export class Pattern {
  readonly #pieces: readonly string[]

  constructor(pattern: string) {
    this.#pieces = pattern.split('*')
  }

  /** The only text that matches; null: the pattern has a `*`. */
  get literal(): string | null {
    return this.#pieces.length === 1 ? this.#pieces[0]! : null
  }

  matches(text: string): boolean {
    const pieces = this.#pieces
    const first = pieces[0]!
    if (pieces.length === 1) return text === first
    const last = pieces[pieces.length - 1]!
    const end = text.length - last.length
    if (!text.startsWith(first) || !text.endsWith(last)) return false
    let at = first.length
    for (let i = 1; i < pieces.length - 1; i++) {
      const found = text.indexOf(pieces[i]!, at)
      if (found < 0) return false
      at = found + pieces[i]!.length
    }
    return at <= end
  }
}

/** Returns true when a text meets a query. An absent text (`null`) meets only a query without this field. */
export function isAsked(pattern: Pattern | null, text: string | null | undefined): boolean {
  return pattern === null || (text !== null && text !== undefined && pattern.matches(text))
}

export function patternOf(text: string | undefined): Pattern | null {
  return text === undefined ? null : new Pattern(text)
}
