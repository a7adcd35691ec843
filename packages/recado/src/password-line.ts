/**
 * A line of a password file, as those see it that change one: `recado passwd`, and the HTTP API on its behalf.
 */

/** Name of the user whose line it is; null for comments, and for lines that are none. */
export function userOf(line: string): string | null {
  const colon = line.indexOf(':')
  return line.startsWith('#') || colon <= 0 ? null : line.slice(0, colon).trim()
}
