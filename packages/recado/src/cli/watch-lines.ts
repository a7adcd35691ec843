/**
 * `recado sub --watch`: each topic has a line of the terminal, in the order in which they came first, and later
 * messages are written there anew.
 *
 * Called by `sub.ts` with the printed text. Invariant: a topic keeps its line; beyond `TOPICS_MAX` all share the last
 * one.
 */

const TOPICS_MAX = 10_000
/** Line below that of the server. */
const FIRST_LINE = 2

export class WatchLines {
  readonly #lines = new Map<string, number>()

  /** Clears the terminal. */
  begin(server: string): Buffer {
    return Buffer.from(`\x1b[2J\x1b[1;1HBroker: ${server}\n`)
  }

  at(topic: string, printed: Buffer): Buffer {
    let line = this.#lines.get(topic)
    if (line === undefined) {
      line = FIRST_LINE + Math.min(this.#lines.size, TOPICS_MAX)
      if (this.#lines.size < TOPICS_MAX) this.#lines.set(topic, line)
    }
    const last = FIRST_LINE + this.#lines.size - 1
    // The rest of a longer line is cleared; the cursor is left below all lines.
    return Buffer.concat([Buffer.from(`\x1b[${line};1H\x1b[K`), printed, Buffer.from(`\x1b[${last};1H\n`)])
  }
}
