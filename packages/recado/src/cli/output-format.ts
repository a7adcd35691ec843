/**
 * How mosquitto_sub prints a message: the payload, `-v`, or the format of `-F`, as its manual page describes under "Output
 * format". `parseFormat` checks a format and takes it apart once; `MessagePrinter` makes the bytes for each message.
 *
 * All text in here is binary strings, a character per byte: widths count bytes as printf of C does, and a payload comes out
 * as it came in.
 */
import type { Message, Properties } from '@recado/client'
import { textOf } from '../argument-bytes.ts'
import { strftime } from '../strftime.ts'
import { type Json, jsonNumber, jsonString, parseJson, printJson } from './json-text.ts'
import { propertyNames } from './mosquitto-properties.ts'
import { safeBinary, safeText } from './terminal.ts'

/** Flags, width and precision of a `%` sequence. */
interface Field {
  readonly letter: string
  readonly left: boolean
  readonly zero: boolean
  readonly width: number
  /** -1: none. */
  readonly precision: number
}

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'field'; readonly field: Field }
  | { readonly kind: 'time'; readonly letter: string }

const letters = '%ACDEFIjJlmpPqRrStUxX'
const escapes: Readonly<Record<string, string>> = {
  '\\': '\\',
  '0': '\0',
  a: '\x07',
  e: '\x1b',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}

/** The parts of a format, or the text of the error. */
export function parseFormat(format: string): readonly Part[] | string {
  const text = binary(format)
  const parts: Part[] = []
  const pattern = /%(-?)(0?)(\d*)(?:\.(\d*))?(.)?|@(.)?|\\(.)?|[^%@\\]+/gs
  for (const match of text.matchAll(pattern)) {
    const [whole, left, zero, width, precision, letter, time, escaped] = match
    if (whole.startsWith('%')) {
      if (letter === undefined) return 'Error: Incomplete format specifier.'
      if (!letters.includes(letter)) return `Error: Invalid format specifier '${letter}'.`
      const field: Field = {
        letter,
        left: left === '-',
        zero: zero === '0' && left !== '-',
        width: Number(width || 0),
        precision: precision === undefined ? -1 : Number(precision || 0),
      }
      parts.push({ kind: 'field', field })
    } else if (whole.startsWith('@')) {
      if (time === undefined) return 'Error: Incomplete format specifier.'
      parts.push(time === '@' ? { kind: 'text', text: '@' } : { kind: 'time', letter: time })
    } else if (whole.startsWith('\\')) {
      if (escaped === undefined) return 'Error: Incomplete escape specifier.'
      const character = Object.hasOwn(escapes, escaped) ? escapes[escaped] : undefined
      if (character === undefined) return `Error: Invalid escape specifier '${escaped}'.`
      parts.push({ kind: 'text', text: character })
    } else parts.push({ kind: 'text', text: whole })
  }
  return parts
}

function binary(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** A payload for a terminal. */
const shown = (payload: Uint8Array): Uint8Array => Buffer.from(safeText(textOf(payload)))

function binaryOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** A moment: `Date` has milliseconds, JavaScript's clock microseconds. */
interface Moment {
  readonly date: Date
  readonly nanoseconds: number
}

function now(): Moment {
  const milliseconds = performance.timeOrigin + performance.now()
  const date = new Date(milliseconds)
  return { date, nanoseconds: Math.floor((milliseconds - Math.floor(milliseconds / 1000) * 1000) * 1000) * 1000 }
}

export interface PrinterOptions {
  format: string | undefined
  verbose: boolean
  eol: boolean
  pretty: boolean
  /** Somebody looks at it: what a message brings is shown without what a terminal would obey. Default false. */
  isTerminal?: boolean
}

/** Fields with what somebody else has written. */
const FOREIGN = 'CDPRpt'
const JSON_FIELDS = 'jJ'

export class MessagePrinter {
  readonly #parts: readonly Part[] | null
  readonly #verbose: boolean
  readonly #eol: boolean
  readonly #pretty: boolean
  readonly #isTerminal: boolean
  readonly #onError: (text: string) => void

  /** `onError` gets what could not be printed. `format` has passed `parseFormat`. */
  constructor(options: PrinterOptions, onError: (text: string) => void) {
    const parts = options.format === undefined ? null : parseFormat(options.format)
    if (typeof parts === 'string') throw new TypeError(parts)
    this.#parts = parts
    this.#verbose = options.verbose
    this.#eol = options.eol
    this.#pretty = options.pretty
    this.#isTerminal = options.isTerminal ?? false
    this.#onError = onError
  }

  print(message: Message): Buffer {
    if (this.#parts !== null) return Buffer.from(this.#format(message, this.#parts), 'latin1')
    const payload = this.#isTerminal ? shown(message.payload) : message.payload
    // As mosquitto_sub: an empty one has no line of its own.
    if (payload.length === 0) {
      return Buffer.from(this.#verbose && this.#eol ? `${this.#topicOf(message)} (null)\n` : '')
    }
    if (!this.#verbose && !this.#eol) return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    const head = this.#verbose ? Buffer.from(`${this.#topicOf(message)} `, 'utf8') : Buffer.alloc(0)
    const line = Buffer.allocUnsafe(head.length + payload.length + (this.#eol ? 1 : 0))
    line.set(head)
    line.set(payload, head.length)
    if (this.#eol) line[line.length - 1] = 0x0a
    return line
  }

  #topicOf({ topic }: Message): string {
    return this.#isTerminal ? safeText(topic) : topic
  }

  #format(message: Message, parts: readonly Part[]): string {
    // Every time in one line is the same.
    const moment = now()
    let line = ''
    for (const part of parts) {
      if (part.kind === 'text') line += part.text
      else if (part.kind === 'field') line += this.#shownField(message, part.field, moment)
      else if (part.letter === 'N') line += nine(moment)
      else line += strftime(`%${part.letter}`, moment.date)
    }
    return this.#eol ? `${line}\n` : line
  }

  #shownField(message: Message, field: Field, moment: Moment): string {
    const text = this.#field(message, field, moment)
    if (!this.#isTerminal) return text
    if (JSON_FIELDS.includes(field.letter)) return safeBinary(text, true)
    return FOREIGN.includes(field.letter) ? safeBinary(text) : text
  }

  #field(message: Message, field: Field, moment: Moment): string {
    const { properties } = message
    switch (field.letter) {
      case '%':
        return '%'
      case 'A':
        return optionalNumber(properties.topicAlias, field)
      case 'C':
        return properties.contentType === undefined
          ? ' '.repeat(field.width)
          : padded(binary(properties.contentType), field)
      case 'D':
        return properties.correlationData === undefined ? '' : binaryOf(properties.correlationData)
      case 'E':
        return optionalNumber(properties.messageExpiryIntervalSeconds, field)
      case 'F':
        return optionalNumber(properties.payloadFormatIndicator, field)
      case 'I':
        return padded(strftime('%FT%T%z', moment.date), field)
      case 'j':
        return printJson(messageJson(message, moment, jsonPayload(message)), this.#pretty)
      case 'J':
        return this.#jsonWithJson(message, moment)
      case 'l':
        return numberField(message.payloadLength, field)
      case 'm':
        return numberField(message.packetId, field)
      case 'P':
        return (properties.userProperties ?? []).map(([name, value]) => binary(`${name}:${value}`)).join(' ')
      case 'p':
        return payloadField(binaryOf(message.payload), field, false)
      case 'q':
        return String(message.qos)
      case 'R':
        return properties.responseTopic === undefined ? '' : padded(binary(properties.responseTopic), field)
      case 'r':
        return message.retain ? '1' : '0'
      case 'S':
        return optionalNumber(properties.subscriptionIdentifiers?.[0], field)
      case 't':
        return padded(binary(message.topic), field)
      case 'U':
        return `${Math.floor(moment.date.getTime() / 1000)}.${nine(moment)}`
      default: {
        const hex = Buffer.from(message.payload).toString('hex')
        return payloadField(field.letter === 'X' ? hex.toUpperCase() : hex, field, true)
      }
    }
  }

  #jsonWithJson(message: Message, moment: Moment): string {
    const payload = message.payloadLength === 0 ? NULL : parseJson(binaryOf(message.payload))
    if (payload !== null) return printJson(messageJson(message, moment, payload), this.#pretty)
    this.#onError(`Error: Message payload is not valid JSON on topic ${message.topic}.\n`)
    return ''
  }
}

const NULL: Json = { kind: 'text', text: 'null' }

function nine({ nanoseconds }: Moment): string {
  return String(nanoseconds).padStart(9, '0')
}

function numberField(value: number, { left, zero, width }: Field): string {
  const digits = String(value)
  if (left) return digits.padEnd(width)
  return digits.padStart(width, zero ? '0' : ' ')
}

function optionalNumber(value: number | undefined, field: Field): string {
  return value === undefined ? (field.zero ? '0' : ' ').repeat(field.width) : numberField(value, field)
}

function padded(text: string, { left, width, precision }: Field): string {
  const cut = precision < 0 ? text : text.slice(0, precision)
  return left ? cut.padEnd(width) : cut.padStart(width)
}

/** A width is also the most that is printed of a payload. */
function payloadField(text: string, { left, zero, width }: Field, isHex: boolean): string {
  if (width === 0) return text
  // Of hexadecimal text only whole bytes; and of a payload as many bytes as the width, as Mosquitto counts.
  const cut = isHex ? text.slice(0, Math.floor(Math.min(text.length / 2, width) / 2) * 2) : text.slice(0, width)
  return left ? cut.padEnd(width) : cut.padStart(width, zero ? '0' : ' ')
}

/** Up to the first zero byte: Mosquitto's JSON library ends a string there. */
function jsonPayload(message: Message): Json {
  if (message.payloadLength === 0) return NULL
  const text = binaryOf(message.payload)
  const zero = text.indexOf('\0')
  return jsonString(zero < 0 ? text : text.slice(0, zero))
}

function messageJson(message: Message, { date, nanoseconds }: Moment, payload: Json): Json {
  const micro = String(Math.floor(nanoseconds / 1000)).padStart(6, '0')
  const members: [string, Json][] = [
    ['tst', jsonString(strftime(`%Y-%m-%dT%H:%M:%S.${micro}Z%z`, date))],
    ['topic', jsonString(binary(message.topic))],
    ['qos', jsonNumber(message.qos)],
    ['retain', jsonNumber(message.retain ? 1 : 0)],
    ['payloadlen', jsonNumber(message.payloadLength)],
  ]
  if (message.qos > 0) members.push(['mid', jsonNumber(message.packetId)])
  const properties = propertiesJson(message.properties)
  if (properties.length > 0) members.push(['properties', { kind: 'object', members: properties }])
  members.push(['payload', payload])
  return { kind: 'object', members }
}

/** In the order of the packet, which is the order in which the decoder set the fields. */
function propertiesJson(properties: Properties): [string, Json][] {
  const members: [string, Json][] = []
  for (const [field, value] of Object.entries(properties)) {
    const name = propertyNames.get(field)
    if (name === undefined || value === undefined) continue
    if (field === 'userProperties') {
      const pairs = value as [string, string][]
      const entries = pairs.map(([key, text]) => [binary(key), jsonString(binary(text))] as const)
      members.push(['user-properties', { kind: 'object', members: entries }])
    } else if (field === 'subscriptionIdentifiers') {
      for (const identifier of value as number[]) members.push([name, jsonNumber(identifier)])
    } else if (value instanceof Uint8Array) members.push([name, jsonString(binaryOf(value))])
    else if (typeof value === 'string') members.push([name, jsonString(binary(value))])
    else if (typeof value === 'number') members.push([name, jsonNumber(value)])
  }
  return members
}
