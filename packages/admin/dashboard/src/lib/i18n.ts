/**
 * Words of the page in the language that the reader has chosen.
 *
 * `en.ts` has every key, and the type of `es.ts` asks for the same ones. A text may have `{name}`, and two forms with a bar
 * between them where `n` decides: `{n} message|{n} messages`.
 */
import { en } from './en.ts'
import { es } from './es.ts'
import { fill, type Values } from './fill.ts'
import { type Language, language } from './preferences.ts'

export type Key = keyof typeof en

const dictionaries: Readonly<Record<Language, Readonly<Record<Key, string>>>> = { en, es }
/** Text of a key in the present language. A number is written as that language does. */
export function t(key: Key, values: Values = {}): string {
  const of = language.value
  return fill(dictionaries[of][key], values, of)
}

/** Text of a key that is made at run time, such as that of a reason; undefined when there is none. */
export function maybe(key: string, values: Values = {}): string | undefined {
  return Object.hasOwn(en, key) ? t(key as Key, values) : undefined
}

/** Returns the words for a reason why a message is dropped; its code where there are none. */
export const reasonName = (reason: string): string => maybe(`reason.${reason}`) ?? reason

/** Returns the words for a verdict on what becomes of a message; its code where there are none. */
export const verdictName = (verdict: string): string => maybe(`verdict.${verdict}`) ?? verdict

export type { Values } from './fill.ts'
