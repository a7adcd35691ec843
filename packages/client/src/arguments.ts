/**
 * What is wrong with arguments that TypeScript has not checked: options that do not exist (of another library, or mistyped), values
 * of the wrong type, out of a range or a list. Every function of the public API asks here, before it does anything.
 *
 * A `Rule` says what a value must be, in words that stand in the message and as a test; `checkOptions` takes an object through a
 * table of them. The names in the messages are those that the application has written: `queue.messagesMax`, `payload`.
 *
 * Invariant: a table has the names of its type; the compiler says so when one is missing or too many.
 */
import {
  encodeProperties,
  hasUnusualCharacter,
  isReasonCodeOf,
  MqttError,
  type Properties,
  parseTopicFilter,
  parseTopicName,
  type TopicFilter,
  type TopicName,
} from '@recado/protocol'
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

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
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

/** Properties that may stand in packets of this type. Throws `MqttError` ERR_MQTT_ENCODE. */
export function propertiesOf(packetType: number): Rule {
  return {
    must: 'an object',
    holds: (value) => isObject(value) && encodeProperties(value as Properties, packetType).length > 0,
  }
}

export function reasonCodeOf(packetType: number): Rule {
  const holds = (value: unknown): boolean => typeof value === 'number' && isReasonCodeOf(packetType, 5, 'client', value)
  return { must: 'a Reason Code that a client may send in this packet', holds }
}

// ---- checking

/** For messages: short, and never an error itself. */
function shown(value: unknown): string {
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
  const start = name.slice(0, ALIKE).toLowerCase()
  const alike = Object.keys(rules).find((known) => known.toLowerCase().startsWith(start))
  return new OptionError(`there is no option ${where}${name}${alike === undefined ? '' : `; did you mean ${alike}?`}`)
}

// ---- payloads

const encoder = new TextEncoder()
const NO_BYTES: Uint8Array = new Uint8Array(0)

/** The bytes of what has some; `null`: it has none. Also of another realm (an iframe, a sandbox of tests), whose classes are others. */
function bytesOf(value: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  const isBuffer = isObject(value) && /ArrayBuffer\]$/.test(Object.prototype.toString.call(value))
  return isBuffer ? new Uint8Array(value as ArrayBuffer) : null
}

/** Text as UTF-8; bytes as they are. Throws `OptionError`. */
export function toBytes(value: unknown, name = 'payload'): Uint8Array {
  if (value === undefined) return NO_BYTES
  if (typeof value === 'string') return encoder.encode(value)
  if (value instanceof Uint8Array) return value
  const bytes = bytesOf(value)
  if (bytes !== null) return bytes
  const hint = isObject(value) ? '; JSON.stringify() makes text of it' : ''
  throw new OptionError(`${name} must be ${textOrBytes.must}, not ${shown(value)}${hint}`)
}

// ---- topics

/** `'any'`: also control characters and non-characters, for which servers may close the connection (5.0 section 1.5.4). */
export type TopicCharacters = 'usual' | 'any'

/** Throws `OptionError`, or `MqttError` ERR_MQTT_TOPIC_NAME. */
export function topicName(topic: unknown, characters: TopicCharacters | undefined, name = 'topic'): TopicName {
  check(name, topic, text)
  const parsed = parseTopicName(topic as string)
  if (characters !== 'any') checkCharacters(parsed, 'ERR_MQTT_TOPIC_NAME')
  return parsed
}

/** Throws `MqttError` ERR_MQTT_TOPIC_FILTER. */
export function topicFilter(filter: string, characters: TopicCharacters | undefined): TopicFilter {
  const parsed = parseTopicFilter(filter)
  if (characters !== 'any') checkCharacters(parsed, 'ERR_MQTT_TOPIC_FILTER')
  return parsed
}

function checkCharacters(topic: string, code: 'ERR_MQTT_TOPIC_NAME' | 'ERR_MQTT_TOPIC_FILTER'): void {
  if (!hasUnusualCharacter(topic)) return
  const what = 'has a control character or a non-character, for which servers may close the connection'
  throw new MqttError(code, `${shown(topic)} ${what}; topicCharacters: 'any' sends it all the same`)
}
