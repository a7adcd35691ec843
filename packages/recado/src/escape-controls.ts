/**
 * Text of strangers, made harmless for a terminal and a log.
 *
 * Called by the log, and by the tools that show topics and identifiers; a file of its own, so that a tool does not load
 * the log. Invariant: what comes out is one line, and has no character that a terminal obeys.
 */

/** Control characters, line separators, and those that turn the direction of writing. */
export const HARMFUL: RegExp = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/**
 * Escapes text that may come from a client, for a terminal and a log: control characters, line separators and those
 * that turn the direction of writing become escapes, so that no client can forge a line.
 */
export function escapeControls(text: string): string {
  return text.replace(HARMFUL, (character) => {
    const code = character.charCodeAt(0)
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
}
