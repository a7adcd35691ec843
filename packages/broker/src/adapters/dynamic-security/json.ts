/**
 * JSON as Mosquitto's dynamic security plugin reads and writes it, which uses the library cJSON: names are found
 * without regard to case, a value of the wrong type is an error or the default, files are laid out with tabs.
 *
 * `model.ts` and the commands read by it, `file.ts` writes. Pure; nothing here throws but `parseJson`.
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [name: string]: Json
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
export const isArray = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

/** @throws SyntaxError */
export const parseJson = (text: string): Json => JSON.parse(text) as Json

/** Returns the member with that name, or undefined. */
export function member(object: Json, name: string): Json | undefined {
  if (!isObject(object)) return undefined
  if (Object.hasOwn(object, name)) return object[name]
  const lower = name.toLowerCase()
  for (const key of Object.keys(object)) if (key.toLowerCase() === lower) return object[key]
  return undefined
}

/**
 * Returns a text member; undefined when it is absent, null when it is no text. A text with U+0000 is none: no client can
 * have such a name, and Mosquitto would read it from the file as another, shorter name.
 */
export function textMember(object: Json, name: string): string | undefined | null {
  const value = member(object, name)
  if (value === undefined) return undefined
  return typeof value === 'string' && !value.includes('\0') ? value : null
}

/** The text, or undefined when there is none that can be used. */
export const givenText = (object: Json, name: string): string | undefined => textMember(object, name) ?? undefined

/** Returns a number as a C int; the default where it is absent, or no number. */
export function wholeMember(object: Json, name: string, otherwise: number): number {
  const value = member(object, name)
  if (typeof value !== 'number') return otherwise
  return Math.max(-2_147_483_648, Math.min(2_147_483_647, Math.trunc(value)))
}

/** Returns a boolean member; undefined when it is absent, null when it is neither true nor false. */
export function flagMember(object: Json, name: string): boolean | undefined | null {
  const value = member(object, name)
  return value === undefined || typeof value === 'boolean' ? value : null
}

/** Members without those that are undefined, in this order. */
export function objectOf(members: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as JsonObject
}

/**
 * Laid out as `cJSON_Print` does it: an object's members on lines of their own, an array's elements behind each other.
 */
export function printed(value: Json, depth = 0): string {
  if (isArray(value)) return `[${value.map((element) => printed(element, depth + 1)).join(', ')}]`
  if (!isObject(value)) return JSON.stringify(value)
  const members = Object.entries(value).map(
    ([name, each]) => `${'\t'.repeat(depth + 1)}${JSON.stringify(name)}:\t${printed(each, depth + 1)}`,
  )
  const end = `\n${'\t'.repeat(depth)}}`
  return members.length === 0 ? `{${end}` : `{\n${members.join(',\n')}${end}`
}
