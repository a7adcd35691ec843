/**
 * Sentences of the broker's `why` in another language: the broker sends an English template with values.
 *
 * Invariant: a sentence is whole in one language; one with a template that the dictionary lacks stays English.
 */
import type { Saying, SayingValue } from './types.ts'

/** Translates a sentence; null when the dictionary lacks a template of it. */
export function translate(
  saying: SayingValue,
  dictionary: Readonly<Record<string, string>>,
  language: string,
): string | null {
  if (typeof saying === 'string') return saying
  if (typeof saying === 'number') return new Intl.NumberFormat(language).format(saying)
  const template = templateOf(saying, dictionary)
  const values = saying.values.map((value) => translate(value, dictionary, language))
  if (template === null || values.includes(null)) return null
  return template.replace(/\{(\d+)\}/g, (_, at: string) => values[Number(at)] ?? '')
}

/** Template of another language; what has no words needs no translation. */
function templateOf({ template }: Saying, dictionary: Readonly<Record<string, string>>): string | null {
  if (Object.hasOwn(dictionary, template)) return dictionary[template]!
  return /\p{L}/u.test(template) ? null : template
}
