/**
 * Sentences of `why` as templates with values, so that a page can say them in another language.
 *
 * The files of `why/` make them by `say`; `textOf` is the sentence in English, and the dashboard translates the templates.
 * Invariant: the template of a `say` in the source is a key of its dictionary, whatever the values are.
 */

/** Value in a sentence: text or a number that stays as it is, or another sentence. */
export type SayingValue = string | number | Saying

/** A sentence, or a part of one. */
export interface Saying {
  /** English text with `{0}`, `{1}` … where the values stand. */
  readonly template: string
  readonly values: readonly SayingValue[]
}

/** Makes a sentence of a template literal. */
export function say({ raw }: TemplateStringsArray, ...values: readonly SayingValue[]): Saying {
  const template = raw.reduce((before, part, i) => `${before}{${i - 1}}${part}`)
  return { template, values }
}

/** Returns the sentence in English. */
export function textOf(saying: SayingValue): string {
  if (typeof saying === 'string') return saying
  if (typeof saying === 'number') return saying.toLocaleString('en')
  const { template, values } = saying
  return template.replace(/\{(\d+)\}/g, (_, at: string) => textOf(values[Number(at)]!))
}

/** Joins sentences by blanks; what is '' is left out. */
export function joined(sayings: readonly SayingValue[]): Saying {
  const said = sayings.filter((each) => each !== '')
  return { template: said.map((_, i) => `{${i}}`).join(' '), values: said }
}
