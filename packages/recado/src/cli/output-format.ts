/**
 * Output of messages in the forms of mosquitto_sub: the payload, `-v`, or the format of `-F`, as its manual page describes under "Output
 * format". `parseFormat` checks a format and takes it apart once; `MessagePrinter` makes the bytes for each message.
 *
 * All text in here is binary strings, a character per byte: widths count bytes as printf of C does, and a payload comes out
 * as it came in.
 */
import { endianness } from 'node:os'
import type { Message } from '@recado/client'
import { textOf } from '../argument-bytes.ts'
import { fixed } from '../c-float.ts'
import { strftime } from '../strftime.ts'
import type { CliIo } from './io.ts'
import { coloured, type Json, type Paint, parseJson, printJson } from './json-text.ts'
import type { Manner, MosquittoVersion } from './manner.ts'
import { binaryOf, type Moment, messageJson, NULL, ownPayload, textPayload } from './message-json.ts'
import type { PayloadDecoder } from './payload-decoding.ts'
import { hasColour, isTerminal, safeBinary, safeText } from './terminal.ts'
import type { Decoding, ToolOptions } from './tool-options.ts'

/** Flags, width and precision of a `%` sequence. */
interface Field {
  readonly letter: string
  readonly left: boolean
  readonly zero: boolean
  readonly width: number
  /** Precision; -1 for none. */
  readonly precision: number
  /** Separator between the digits of `%x`, after as many as the precision. */
  readonly separator: string
}

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'field'; readonly field: Field }
  | { readonly kind: 'time'; readonly letter: string }

/** Largest width and precision of a field. */
const WIDTH_MAX = 10_000

const letters = '%ACDEFIjJdflmpPqRrStUxX'
/** Behind the precision there may be a character that separates the digits of `%x`. */
const pattern = /%(-?)(0?)(\d*)(?:\.(\d*))?([!"#$&'()*+,\-./:;<=>?@[\]\\^_`{|}~ ])?(.)?|@(.)?|\\(.)?|[^%@\\]+/gs
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

/** Parts of a format, or the text of the error. `mosquitto`: 2.0 knows no separators and no floats. */
export function parseFormat(format: string, mosquitto: MosquittoVersion | null = null): readonly Part[] | string {
  const text = binary(format)
  const parts: Part[] = []
  for (const match of text.matchAll(pattern)) {
    const [whole, left, zero, width, precision, separator, letter, time, escaped] = match
    if (whole.startsWith('%')) {
      if (letter === undefined) return 'Error: Incomplete format specifier.'
      if (mosquitto === '2.0' && separator !== undefined) return `Error: Invalid format specifier '${separator}'.`
      if (!letters.includes(letter)) return `Error: Invalid format specifier '${letter}'.`
      const field: Field = {
        letter,
        left: left === '-',
        zero: zero === '0' && left !== '-',
        width: Number(width || 0),
        precision: precision === undefined ? -1 : Number(precision || 0),
        separator: separator ?? ' ',
      }
      for (const number of [field.width, field.precision]) {
        if (number > WIDTH_MAX)
          return `Error: The width or precision ${number} in the format is larger than ${WIDTH_MAX}.`
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

/** Payload for a terminal. */
const shown = (payload: Uint8Array): Uint8Array => Buffer.from(safeText(textOf(payload)))

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
  /** Version of Mosquitto whose forms apply where they differ: `%x` with a width, and JSON. Default: 2.1. */
  mosquitto?: MosquittoVersion | null
  /** Whether each message is a line of JSON. */
  json?: boolean
  /** Whether JSON has colours. */
  colour?: boolean
  /** Whether the output is a terminal: messages are shown without anything that it would obey. Default false. */
  isTerminal?: boolean
}

/** Returns the options of the printer for these arguments and this terminal. */
export function printerOptions(options: ToolOptions, io: CliIo, { mosquitto }: Manner): PrinterOptions {
  const { format, verbose, eol, pretty, json } = options
  const colour = mosquitto === null && hasColour(io.stdout, io.env ?? process.env)
  return { format, verbose, eol, pretty, json, mosquitto, colour, isTerminal: isTerminal(io.stdout) }
}

/** Fields whose text comes from other clients. */
const FOREIGN = 'CDPRpt'

export class MessagePrinter {
  readonly #parts: readonly Part[] | null
  readonly #verbose: boolean
  readonly #eol: boolean
  readonly #pretty: boolean
  readonly #isTerminal: boolean
  readonly #mosquitto: MosquittoVersion | null
  readonly #paint: Paint
  readonly #isJson: boolean
  #decoder: PayloadDecoder | null = null
  readonly #onError: (text: string) => void

  /**
   * @param options its `format` has passed `parseFormat`
   * @param onError called with the text for a message that cannot be printed
   */
  constructor(options: PrinterOptions, onError: (text: string) => void) {
    const parts = options.format === undefined ? null : parseFormat(options.format)
    if (typeof parts === 'string') throw new TypeError(parts)
    this.#parts = parts
    this.#verbose = options.verbose
    this.#eol = options.eol
    this.#pretty = options.pretty
    this.#isTerminal = options.isTerminal ?? false
    this.#mosquitto = options.mosquitto ?? null
    // On a terminal each token is escaped before it gets its colour.
    const safe: Paint = (token) => safeBinary(token, true)
    const safeColoured: Paint = (token, isName) => coloured(safeBinary(token, true), isName)
    this.#paint = options.colour ? safeColoured : this.#isTerminal ? safe : (token) => token
    this.#isJson = options.json ?? false
    this.#onError = onError
  }

  /** Decodes payloads before printing. The libraries are loaded only when they are needed. */
  async decodeFrom(decoding: Decoding | undefined): Promise<void> {
    if (decoding === undefined) return
    const { PayloadDecoder } = await import('./payload-decoding.ts')
    this.#decoder = new PayloadDecoder(decoding)
  }

  print(message: Message): Buffer {
    if (this.#isJson) {
      const decoded = this.#decode(message)
      const payload = decoded === null ? ownPayload(message) : (['payload', decoded] as const)
      return Buffer.from(`${this.#json(message, now(), payload)}\n`, 'latin1')
    }
    if (this.#parts !== null) return Buffer.from(this.#format(message, this.#parts), 'latin1')
    const payload = this.#payloadOf(message)
    // As in mosquitto_sub: an empty one has no line of its own.
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

  /** Returns the payload for an ordinary line. */
  #payloadOf(message: Message): Uint8Array {
    const decoded = this.#decode(message)
    if (decoded !== null) return Buffer.from(printJson(decoded, this.#pretty, this.#paint), 'latin1')
    return this.#isTerminal ? shown(message.payload) : message.payload
  }

  #decode(message: Message): Json | null {
    const decoded = this.#decoder?.decode(message) ?? null
    const complaint = decoded === null ? (this.#decoder?.complaint(message) ?? null) : null
    if (complaint !== null) this.#onError(complaint)
    return decoded
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
      case 'd':
      case 'f':
        return this.#float(message, field)
      case 'E':
        return optionalNumber(properties.messageExpiryIntervalSeconds, field)
      case 'F':
        return optionalNumber(properties.payloadFormatIndicator, field)
      case 'I':
        return padded(strftime('%FT%T%z', moment.date), field)
      case 'j':
        return this.#json(message, moment, ['payload', textPayload(message)])
      case 'J':
        return this.#jsonWithJson(message, moment)
      case 'l':
        return numberField(message.payloadLength, field)
      case 'm':
        return numberField(message.packetId, field)
      case 'P':
        return (properties.userProperties ?? []).map(([name, value]) => binary(`${name}:${value}`)).join(' ')
      case 'p':
        return payloadField(binaryOf(message.payload), field)
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
        const digits = field.letter === 'X' ? hex.toUpperCase() : hex
        return this.#mosquitto === '2.0' ? hexField20(digits, field) : hexField(digits, field)
      }
    }
  }

  /**
   * Returns the number in a payload of 4 or 8 bytes, in the order of this machine, as in Mosquitto: little-endian
   * wherever Node runs but on s390x.
   */
  #float({ payload, topic }: Message, field: Field): string {
    const isDouble = field.letter === 'd'
    const [length, name] = isDouble ? [8, 'double'] : [4, 'float']
    if (payload.length !== length) {
      this.#onError(`Error: requested ${name} printing, but non-${name} data received on topic ${topic}.\n`)
      return ''
    }
    const view = new DataView(payload.buffer, payload.byteOffset, length)
    const isLittle = endianness() === 'LE'
    const value = isDouble ? view.getFloat64(0, isLittle) : view.getFloat32(0, isLittle)
    return padNumber(fixed(value, field.precision), field)
  }

  #json(message: Message, moment: Moment, payload: readonly [name: string, value: Json]): string {
    return printJson(messageJson(message, moment, payload, this.#mosquitto), this.#pretty, this.#paint)
  }

  #jsonWithJson(message: Message, moment: Moment): string {
    const decoded = this.#decoder?.decode(message) ?? null
    const payload = decoded ?? (message.payloadLength === 0 ? NULL : parseJson(binaryOf(message.payload)))
    if (payload !== null) return this.#json(message, moment, ['payload', payload])
    this.#onError(`Error: Message payload is not valid JSON on topic ${message.topic}.\n`)
    return ''
  }
}

function nine({ nanoseconds }: Moment): string {
  return String(nanoseconds).padStart(9, '0')
}

const numberField = (value: number, field: Field): string => padNumber(String(value), field)

function padNumber(digits: string, { left, zero, width }: Field): string {
  if (left) return digits.padEnd(width)
  if (!zero || digits.length >= width) return digits.padStart(width)
  // The zeros stand behind the sign.
  return digits.startsWith('-') ? `-${digits.slice(1).padStart(width - 1, '0')}` : digits.padStart(width, '0')
}

function optionalNumber(value: number | undefined, field: Field): string {
  return value === undefined ? (field.zero ? '0' : ' ').repeat(field.width) : numberField(value, field)
}

function padded(text: string, { left, width, precision }: Field): string {
  const cut = precision < 0 ? text : text.slice(0, precision)
  return left ? cut.padEnd(width) : cut.padStart(width)
}

/** Returns the payload in a field: the width is also the largest number of bytes. */
function payloadField(text: string, { left, zero, width }: Field): string {
  if (width === 0) return text
  const cut = text.slice(0, width)
  return left ? cut.padEnd(width) : cut.padStart(width, zero ? '0' : ' ')
}

/** Formats hexadecimal digits as 2.0 does: as many bytes as the width, of which only whole ones in half of it appear. */
function hexField20(digits: string, { left, zero, width }: Field): string {
  if (width === 0) return digits
  const cut = digits.slice(0, Math.floor(Math.min(digits.length / 2, width) / 2) * 2)
  return left ? cut.padEnd(width) : cut.padStart(width, zero ? '0' : ' ')
}

/** Formats hexadecimal digits: at most as many bytes as the width, padded to it; a precision sets groups apart. */
function hexField(digits: string, { left, zero, width, precision, separator }: Field): string {
  const cut = width === 0 ? digits : digits.slice(0, width * 2)
  const padded = left ? cut : cut.padStart(width, zero ? '0' : ' ')
  const end = left ? ' '.repeat(Math.max(0, width - cut.length)) : ''
  if (precision < 1) return padded + end
  let text = ''
  for (let at = 0; at < padded.length; at += precision) {
    text += (at === 0 ? '' : separator) + padded.slice(at, at + precision)
  }
  return text + end
}
