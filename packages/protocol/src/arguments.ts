/**
 * What is wrong with arguments that TypeScript has not checked: options that do not exist (of another library, or mistyped), values
 * of the wrong type, out of a range or a list. Every function of the public API of client and broker asks here, before it does anything.
 *
 * A `Rule` says what a value must be, in words that stand in the message and as a test; `checkOptions` takes an object through a
 * table of them. The names in the messages are those that the application has written: `queue.messagesMax`, `payload`.
 *
 * Invariant: a table has the names of its type; the compiler says so when one is missing or too many.
 */
import { OptionError } from './errors.ts'

/** What a value must be. `check` may also throw a message of its own. */
export interface Rule {
  readonly must: string
  readonly holds: (value: unknown, name: string) => boolean
}

/** For each option of `Options` what it must be. */
export type Rules<Options> = { readonly [Name in keyof Required<Options>]: Rule }

/** Letters that two names must begin with in common for one to be proposed for the other. */
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

/** An object of options of its own. */
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

/** For messages: short, and never an error itself. */
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

/** Throws `OptionError`. */
export function check(name: string, value: unknown, rule: Rule): void {
  if (!rule.holds(value, name)) throw new OptionError(`${name} must be ${rule.must}, not ${shown(value)}`)
}

/** As `check`; `undefined` is nothing to check. */
export function checkIfGiven(name: string, value: unknown, rule: Rule): void {
  if (value !== undefined) check(name, value, rule)
}

/** Options that are `undefined` are those that were not given. `where` stands before their names. Throws `OptionError`. */
export function checkOptions(
  options: unknown,
  rules: Readonly<Record<string, Rule>>,
  where = '',
  name = 'options',
): void {
  if (!isObject(options) || Array.isArray(options)) {
    const hint =
      typeof options === 'function' && where === '' ? '; what is called returns its result, or a promise of it' : ''
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
 * The name that was meant, as far as anybody can tell: one of which a third is wrong in one place, or (`byStart`) one that begins alike.
 * `undefined`: none.
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

/** Letters of the longer one between what both begin and what both end with. */
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

/** The bytes of what has some; `null`: it has none. Also of another realm (an iframe, a sandbox of tests), whose classes are others. */
function bytesOf(value: unknown): Uint8Array | null {
  try {
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    const isBuffer = isObject(value) && /ArrayBuffer\]$/.test(Object.prototype.toString.call(value))
    return isBuffer ? new Uint8Array(value as ArrayBuffer) : null
  } catch {
    throw new OptionError('the bytes are gone: their ArrayBuffer was transferred to somebody else')
  }
}

/** Text as UTF-8; bytes as they are. Throws `OptionError`. */
export function toBytes(value: unknown, name = 'payload'): Uint8Array {
  if (value === undefined) return NO_BYTES
  if (typeof value === 'string') return encoder.encode(value)
  // One without bytes may have lost them.
  if (value instanceof Uint8Array && value.length > 0) return value
  const bytes = bytesOf(value)
  if (bytes !== null) return bytes
  const hint = isObject(value) ? '; JSON.stringify() makes text of it' : ''
  throw new OptionError(`${name} must be ${textOrBytes.must}, not ${shown(value)}${hint}`)
}
