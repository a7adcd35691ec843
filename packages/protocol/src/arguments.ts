/**
 * Checks of arguments that TypeScript has not checked: options that do not exist (of another library, or mistyped),
 * values of the wrong type, outside a range or not in a list. Every function of the public API of client and broker
 * checks its arguments here before it does anything.
 *
 * A `Rule` says what a value must be, in words for the error message and as a test; `checkOptions` checks an object
 * against a table of rules. Messages use the names that the application has written: `queue.messagesMax`, `payload`.
 *
 * Invariant: a table has exactly the names of its type; the compiler reports a missing or an additional one.
 */
import { OptionError } from './errors.ts'

/** Requirement on a value. `check` may also throw an error with a message of its own. */
export interface Rule {
  readonly must: string
  readonly holds: (value: unknown, name: string) => boolean
}

/** Rule for each option of `Options`. */
export type Rules<Options> = { readonly [Name in keyof Required<Options>]: Rule }

/** Number of letters that two names must share at the beginning for one to be suggested in place of the other. */
const ALIKE = 4

// ---- what values must be

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
export const flag: Rule = { must: 'true or false', holds: (value) => typeof value === 'boolean' }
export const text: Rule = { must: 'a string', holds: (value) => typeof value === 'string' }
export const callback: Rule = { must: 'a function', holds: (value) => typeof value === 'function' }
export const anything: Rule = { must: '', holds: () => true }
export const object: Rule = { must: 'an object', holds: isObject }
export const textOrBytes: Rule = {
  must: 'a string or bytes (Uint8Array, another typed array, DataView or ArrayBuffer)',
  holds: (value) => typeof value === 'string' || bytesOf(value) !== null,
}
export const signal: Rule = {
  must: 'an AbortSignal',
  holds: (value) => isObject(value) && 'aborted' in value && 'addEventListener' in value,
}

export function whole(min: number, max: number): Rule {
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`
  const holds = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
  return { must: `a whole number ${range}`, holds }
}

export function oneOf(...choices: readonly unknown[]): Rule {
  const must = choices.map((choice) => JSON.stringify(choice)).join(' or ')
  return { must, holds: (value) => choices.includes(value) }
}

export function either(...rules: readonly Rule[]): Rule {
  const must = rules.map((rule) => rule.must).join(' or ')
  return { must, holds: (value, name) => rules.some((rule) => rule.holds(value, name)) }
}

export function listOf(rule: Rule): Rule {
  const holds = (value: unknown, name: string): boolean =>
    Array.isArray(value) && value.every((each) => rule.holds(each, name))
  return { must: `an array, each of it ${rule.must}`, holds }
}

/** Returns the rule for an object that has options of its own. */
export function optionsOf<Options>(rules: Rules<Options>): Rule {
  return {
    must: 'an object',
    holds: (value, name) => {
      if (!isObject(value) || Array.isArray(value)) return false
      checkOptions(value, rules, `${name}.`, name)
      return true
    },
  }
}

// ---- checking

/** Shows a value in an error message: shortened, and without ever throwing. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
    case 'function':
      return 'a function'
    case 'symbol':
      return 'a Symbol'
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? 'an array' : 'an object'
    default:
      return String(value)
  }
}

/** Throws an `OptionError` when the value breaks the rule. */
export function check(name: string, value: unknown, rule: Rule): void {
  if (!rule.holds(value, name)) throw new OptionError(`${name} must be ${rule.must}, not ${shown(value)}`)
}

/** Checks like `check`, but accepts `undefined`. */
export function checkIfGiven(name: string, value: unknown, rule: Rule): void {
  if (value !== undefined) check(name, value, rule)
}

/**
 * Checks each option against its rule. An option that is `undefined` counts as not given. Error messages put `where`
 * before the option's name. Throws `OptionError`.
 */
export function checkOptions(
  options: unknown,
  rules: Readonly<Record<string, Rule>>,
  where = '',
  name = 'options',
): void {
  if (!isObject(options) || Array.isArray(options)) {
    const hint =
      typeof options === 'function' && where === '' ? '; give the result of the function, not the function itself' : ''
    throw new OptionError(`${name} must be an object, not ${shown(options)}${hint}`)
  }
  for (const option in options) {
    const rule = Object.hasOwn(rules, option) ? rules[option] : undefined
    if (rule === undefined) throw unknownOption(option, rules, where)
    const value = (options as Record<string, unknown>)[option]
    if (value !== undefined && !rule.holds(value, where + option)) check(where + option, value, rule)
  }
}

function unknownOption(name: string, rules: object, where: string): OptionError {
  const alike = nearest(name, Object.keys(rules))
  return new OptionError(`there is no option ${where}${name}${alike === undefined ? '' : `; did you mean ${alike}?`}`)
}

/**
 * Returns the known name that was probably meant, or `undefined`: a name that differs in one place, by at most a third
 * of its letters, or (`byStart`) one with the same beginning.
 */
export function nearest(name: string, names: readonly string[], byStart = true): string | undefined {
  let best: string | undefined
  let least = Math.floor(name.length / 3) + 1
  for (const known of names) {
    const wrong = lettersWrong(name.toLowerCase(), known.toLowerCase())
    if (wrong >= least) continue
    best = known
    least = wrong
  }
  const start = name.slice(0, ALIKE).toLowerCase()
  return best ?? (byStart ? names.find((known) => known.toLowerCase().startsWith(start)) : undefined)
}

/** Counts the letters of the longer name between their common beginning and their common end. */
function lettersWrong(a: string, b: string): number {
  let same = 0
  while (same < a.length && a[same] === b[same]) same++
  let left = Math.min(a.length, b.length) - same
  let wrong = Math.max(a.length, b.length) - same
  for (let end = 1; left > 0 && a.at(-end) === b.at(-end); end++) {
    left--
    wrong--
  }
  return wrong
}

// ---- payloads

const encoder = new TextEncoder()
const NO_BYTES: Uint8Array = new Uint8Array(0)

/**
 * Returns the bytes of an array, buffer or view, or `null` for another value. Accepts also those of another realm (an
 * iframe, a sandbox of tests), which has classes of its own.
 */
function bytesOf(value: unknown): Uint8Array | null {
  try {
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    const isBuffer = isObject(value) && /ArrayBuffer\]$/.test(Object.prototype.toString.call(value))
    return isBuffer ? new Uint8Array(value as ArrayBuffer) : null
  } catch {
    throw new OptionError(
      'the bytes are gone: their ArrayBuffer was transferred elsewhere. Copy them before it is transferred',
    )
  }
}

/** Converts a payload to bytes: text becomes UTF-8, bytes are returned as they are. Throws `OptionError`. */
export function toBytes(value: unknown, name = 'payload'): Uint8Array {
  if (value === undefined) return NO_BYTES
  if (typeof value === 'string') return encoder.encode(value)
  // An array without bytes may have lost them: its buffer may have been transferred to another thread.
  if (value instanceof Uint8Array && value.length > 0) return value
  const bytes = bytesOf(value)
  if (bytes !== null) return bytes
  const hint = isObject(value) ? '; convert it with JSON.stringify()' : ''
  throw new OptionError(`${name} must be ${textOrBytes.must}, not ${shown(value)}${hint}`)
}
