/**
 * Names that stand twice in an object of a JSON text. `JSON.parse` takes the last of them and says nothing; other readers take the first, so what
 * somebody before us has checked may be another answer than ours (RFC 8259, section 4).
 *
 * `requests.ts` asks, of what `JSON.parse` has taken: the text is known to be JSON, and is bounded.
 */

/** A string, or a character that opens, closes or parts. Numbers and words have none of them. */
const TOKEN: RegExp = /"(?:[^"\\]|\\.)*"|[{}[\],]/g

export function hasSameNameTwice(json: string): boolean {
  /** Of each object or array that is open: its names; null for an array. */
  const open: (Set<string> | null)[] = []
  let isNameNext = false
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === '{' || token === '[') open.push(token === '{' ? new Set() : null)
    else if (token === '}' || token === ']') open.pop()
    else if (token !== ',' && isNameNext) {
      const names = open.at(-1)!
      // Escapes are ways to write the same name.
      const name = JSON.parse(token) as string
      if (names.has(name)) return true
      names.add(name)
    }
    isNameNext = (token === '{' || token === ',') && open.at(-1) != null
  }
  return false
}
