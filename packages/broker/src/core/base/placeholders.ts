/** Placeholders of topics in a configuration: `%c` is the Client Identifier, `%u` the user name. */

/** Client as far as placeholders name it. */
export interface NamedClient {
  readonly clientId: string
  readonly username: string | undefined
}

/** Fills in %c and %u, in one pass; returns null when such a name is missing or has a wildcard. */
export function substituted(text: string, { clientId, username }: NamedClient): string | null {
  let isUsable = true
  const filled = text.replace(/%[cu]/g, (which) => {
    const name = which === '%c' ? clientId : username
    if (!name || /[+#]/.test(name)) isUsable = false
    return name ?? ''
  })
  return isUsable ? filled : null
}
