/**
 * Puts values into the texts of the dictionaries, and chooses the form for a number.
 */

export type Values = Readonly<Record<string, string | number>>

const rules = new Map<string, Intl.PluralRules>()

function isOne(value: number, language: string): boolean {
  let of = rules.get(language)
  if (of === undefined) {
    of = new Intl.PluralRules(language)
    rules.set(language, of)
  }
  return of.select(value) === 'one'
}

/** Text with its values. Of two forms with a bar between them the first is for one, by the value `n`. */
export function fill(text: string, values: Values, language: string): string {
  const forms = text.split('|')
  const { n } = values
  const form = forms.length > 1 && typeof n === 'number' && !isOne(n, language) ? forms[1]! : forms[0]!
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name]
    if (value === undefined) return whole
    return typeof value === 'number' ? new Intl.NumberFormat(language).format(value) : value
  })
}
