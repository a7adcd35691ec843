/**
 * Detection of names that stand twice in an object of a JSON text. `JSON.parse` takes the last of them silently; other
 * readers take the first, so an answer that another program has checked may differ from ours (RFC 8259, section 4).
 *
 * `requests.ts` asks about texts that `JSON.parse` has accepted: the text is known to be JSON, and is bounded.
 */

export function hasSameNameTwice(json: string): boolean {
  /** Names of each open object; null for an open array. */
  const open: (Set<string> | null)[] = []
  let isNameNext = false
  for (let i = 0; i < json.length; i++) {
    const character = json[i]!
    if (character === '"') {
      const end = endOfString(json, i)
      if (isNameNext) {
        const names = open.at(-1)!
        // Escapes are other spellings of the same name.
        const name = JSON.parse(json.slice(i, end)) as string
        if (names.has(name)) return true
        names.add(name)
        isNameNext = false
      }
      i = end - 1
    } else if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : null)
      isNameNext = character === '{'
    } else if (character === '}' || character === ']') {
      open.pop()
      isNameNext = false
    } else if (character === ',') {
      isNameNext = open.at(-1) != null
    }
  }
  return false
}

/** Returns the index behind the quotation mark that ends the string that begins at `from`. */
function endOfString(json: string, from: number): number {
  let i = from + 1
  while (i < json.length && json[i] !== '"') i += json[i] === '\\' ? 2 : 1
  return i + 1
}
