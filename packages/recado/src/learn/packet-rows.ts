/**
 * The bytes of a Control Packet as rows for learners: where each field begins, its bytes, and what they mean.
 *
 * `recado learn` prints them, and the tables of docs/learn are made of them. Any well-formed packet of MQTT 3.1.1 and 5.0 is
 * explained to its last byte; of one that is not, the rest is one row.
 *
 * Sources: MQTT 3.1.1 and 5.0, chapters 2 and 3.
 */
import {
  type PropertyDefinition,
  PropertyType,
  packetTypeName,
  propertyById,
  type ReasonCode,
  reasonCodeName,
} from '@recado/protocol'

export type Language = 'en' | 'es'

/** One field of a packet. */
export interface PacketRow {
  /** Number of its first byte, from 1. */
  readonly at: number
  readonly bytes: Uint8Array
  /** Meaning, as Markdown: values are between backticks. */
  readonly meaning: string
}

interface Words {
  type(number: number, name: string, flags: string): string
  remaining(count: number): string
  length(field: string, count: number): string
  properties(count: number): string
  rest(count: number): string
}

const words: Record<Language, Words> = {
  en: {
    type: (number, name, flags) => `packet type ${number}, ${name}; flags ${flags}`,
    remaining: (count) => `Remaining Length: ${count} bytes follow`,
    length: (field, count) => `length of the ${field}: ${count}`,
    properties: (count) => `Property Length: ${count}`,
    rest: (count) => `${count} bytes that are no field of this packet`,
  },
  es: {
    type: (number, name, flags) => `tipo de paquete ${number}, ${name}; flags ${flags}`,
    remaining: (count) => `Remaining Length: siguen ${count} bytes`,
    length: (field, count) => `longitud de ${field}: ${count}`,
    properties: (count) => `Property Length: ${count}`,
    rest: (count) => `${count} bytes que no son un campo de este paquete`,
  },
}

const bits = (value: number, count: number): string => value.toString(2).padStart(count, '0')

/** Bytes in hexadecimal, with a space after each. */
export const hexOf = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')

const textOf = (bytes: Uint8Array): string => `\`${new TextDecoder().decode(bytes)}\``

/** A field of the packet reaches over its end. */
class TooShort extends Error {}

const connectFlagNames = [
  'reserved',
  'Clean Session',
  'Will Flag',
  null,
  null,
  'Will Retain',
  'Password Flag',
  'User Name Flag',
]

function connectFlags(flags: number, isV5: boolean): string {
  const names = connectFlagNames.filter((name, bit) => name !== null && (flags >> bit) & 1)
  if (flags & 4) names.push(`Will QoS ${(flags >> 3) & 3}`)
  const shown = names.map((name) => (isV5 && name === 'Clean Session' ? 'Clean Start' : name)).join(', ')
  return `Connect Flags \`${bits(flags, 8)}\`${shown === '' ? '' : `: ${shown}`}`
}

/** Name of a property as section 2.2.2.2 writes it: `Session Expiry Interval`. */
export function propertyTitle({ name }: PropertyDefinition): string {
  const title = name
    .replace(/Seconds$/, '')
    .replace(/^userProperties$/, 'userProperty')
    .replace(/^subscriptionIdentifiers$/, 'subscriptionIdentifier')
    .replace(/[A-Z](?![A-Z])/g, ' $&')
    .replace('Qo S', 'QoS')
  return title[0]!.toUpperCase() + title.slice(1)
}

const shortReturnCodes = [
  'Connection Accepted',
  'unacceptable protocol version',
  'identifier rejected',
  'Server unavailable',
  'bad user name or password',
  'not authorized',
]

/** Walks over a packet and gives each field a row. */
class Walk {
  readonly rows: PacketRow[] = []
  readonly bytes: Uint8Array
  readonly words: Words
  readonly isV5: boolean
  at = 0

  constructor(bytes: Uint8Array, isV5: boolean, language: Language) {
    this.bytes = bytes
    this.isV5 = isV5
    this.words = words[language]
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length
  }

  take(count: number, meaning: string | ((part: Uint8Array) => string)): Uint8Array {
    if (this.at + count > this.bytes.length) throw new TooShort()
    const part = this.bytes.subarray(this.at, this.at + count)
    this.rows.push({ at: this.at + 1, bytes: part, meaning: typeof meaning === 'string' ? meaning : meaning(part) })
    this.at += count
    return part
  }

  /** A whole number of so many bytes, the highest first. */
  integer(name: string, count: number = 2): number {
    const part = this.take(count, (bytes) => `${name}: ${number(bytes)}`)
    return number(part)
  }

  /** A Variable Byte Integer. */
  variable(meaning: (value: number) => string): number {
    let count = 1
    while (count < 4 && (this.bytes[this.at + count - 1] ?? 0) & 0x80) count++
    let value = 0
    for (let i = 0; i < count; i++) value += ((this.bytes[this.at + i] ?? 0) & 0x7f) * 128 ** i
    this.take(count, meaning(value))
    return value
  }

  /** A field with two bytes of length before it. */
  field(name: string, isText: boolean = true): void {
    const length = number(this.take(2, (part) => this.words.length(name, number(part))))
    if (length > 0) this.take(length, (part) => (isText ? `${name}: ${textOf(part)}` : name))
  }

  reasonCode(name: string = 'Reason Code'): void {
    this.take(1, ([code]) => `${name} 0x${code!.toString(16).padStart(2, '0')}: ${reasonCodeName(code as ReasonCode)}`)
  }

  /** Properties of 5.0 behind their length; nothing before 5.0. */
  properties(): void {
    if (!this.isV5) return
    const end = this.variable((value) => this.words.properties(value)) + this.at
    while (this.at < end) {
      const row = propertyById[this.bytes[this.at]!]
      if (row === undefined) throw new TooShort()
      const title = propertyTitle(row)
      this.take(1, ([id]) => `Property 0x${id!.toString(16).padStart(2, '0')}: ${title}`)
      this.#value(row, title)
    }
  }

  #value({ type }: PropertyDefinition, title: string): void {
    if (type === PropertyType.Byte || type === PropertyType.Boolean) this.integer(title, 1)
    else if (type === PropertyType.TwoByteInteger) this.integer(title)
    else if (type === PropertyType.FourByteInteger) this.integer(title, 4)
    else if (type === PropertyType.VariableByteInteger) this.variable((value) => `${title}: ${value}`)
    else if (type === PropertyType.Utf8StringPair) {
      this.field(`${title}, name`)
      this.field(`${title}, value`)
    } else this.field(title, type === PropertyType.Utf8String)
  }
}

const number = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => sum * 256 + byte, 0)

function acknowledgement(walk: Walk): void {
  walk.integer('Packet Identifier')
  if (!walk.isAtEnd) walk.reasonCode()
  if (!walk.isAtEnd) walk.properties()
}

function subscriptionOptions(options: number, isV5: boolean): string {
  if (!isV5) return `Requested QoS: ${options}`
  const parts = [`Maximum QoS ${options & 3}`]
  if (options & 4) parts.push('No Local')
  if (options & 8) parts.push('Retain As Published')
  parts.push(`Retain Handling ${(options >> 4) & 3}`)
  return `Subscription Options \`${bits(options, 8)}\`: ${parts.join(', ')}`
}

const bodies: Record<string, (walk: Walk) => void> = {
  CONNECT(walk) {
    walk.field('Protocol Name')
    const [level] = walk.take(1, ([byte]) => {
      const name = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5.0' }[byte! & 0x7f]
      return `Protocol ${byte === 5 ? 'Version' : 'Level'} ${byte}${name === undefined ? '' : `: ${name}`}`
    })
    const isV5 = level === 5
    const flags = walk.take(1, ([byte]) => connectFlags(byte!, isV5))[0]!
    walk.integer('Keep Alive, s')
    walk.properties()
    walk.field('Client Identifier')
    if (flags & 0x04) {
      walk.properties()
      walk.field('Will Topic')
      walk.field(isV5 ? 'Will Payload' : 'Will Message')
    }
    if (flags & 0x80) walk.field('User Name')
    if (flags & 0x40) walk.field('Password', false)
  },
  CONNACK(walk) {
    walk.take(1, ([byte]) => `Session Present: ${byte}`)
    if (walk.isV5) walk.reasonCode('Connect Reason Code')
    else
      walk.take(
        1,
        ([code]) => `Connect Return Code: ${code}${code === 0 ? '' : `, ${shortReturnCodes[code!] ?? 'unknown'}`}`,
      )
    if (!walk.isAtEnd) walk.properties()
  },
  PUBLISH(walk) {
    walk.field('Topic Name')
    if (walk.bytes[0]! & 0x06) walk.integer('Packet Identifier')
    walk.properties()
    const left = walk.bytes.length - walk.at
    if (left > 0) walk.take(left, (part) => `Payload: ${textOf(part)}`)
  },
  SUBSCRIBE(walk) {
    walk.integer('Packet Identifier')
    walk.properties()
    while (!walk.isAtEnd) {
      walk.field('Topic Filter')
      walk.take(1, ([options]) => subscriptionOptions(options!, walk.isV5))
    }
  },
  UNSUBSCRIBE(walk) {
    walk.integer('Packet Identifier')
    walk.properties()
    while (!walk.isAtEnd) walk.field('Topic Filter')
  },
  SUBACK(walk) {
    walk.integer('Packet Identifier')
    walk.properties()
    while (!walk.isAtEnd) {
      if (walk.isV5) walk.reasonCode()
      else walk.take(1, ([code]) => `Return Code: ${code === 128 ? '128, Failure' : `QoS ${code}`}`)
    }
  },
  UNSUBACK(walk) {
    walk.integer('Packet Identifier')
    walk.properties()
    while (!walk.isAtEnd) walk.reasonCode()
  },
  PUBACK: acknowledgement,
  PUBREC: acknowledgement,
  PUBREL: acknowledgement,
  PUBCOMP: acknowledgement,
  DISCONNECT(walk) {
    if (!walk.isAtEnd) walk.reasonCode('Disconnect Reason Code')
    if (!walk.isAtEnd) walk.properties()
  },
  AUTH(walk) {
    if (!walk.isAtEnd) walk.reasonCode('Authenticate Reason Code')
    if (!walk.isAtEnd) walk.properties()
  },
}

/**
 * Returns the rows of one whole packet. `version` is that of the connection: 5 has properties, 3 and 4 have none. Bytes that
 * fit no field come last, as one row.
 */
export function packetRows(bytes: Uint8Array, version: 3 | 4 | 5, language: Language): PacketRow[] {
  const walk = new Walk(bytes, version === 5, language)
  const first = bytes[0] ?? 0
  const type = first >> 4
  const flagNames: string[] = []
  if (type === 3) {
    if (first & 8) flagNames.push('DUP')
    flagNames.push(`QoS ${(first >> 1) & 3}`)
    if (first & 1) flagNames.push('RETAIN')
  }
  const flags = `\`${bits(first & 15, 4)}\`${flagNames.length > 0 ? ` (${flagNames.join(', ')})` : ''}`
  try {
    walk.take(1, walk.words.type(type, packetTypeName(type), flags))
    walk.variable((value) => walk.words.remaining(value))
    bodies[packetTypeName(type)]?.(walk)
  } catch (error) {
    if (!(error instanceof TooShort)) throw error
  }
  const left = bytes.length - walk.at
  if (left > 0) walk.take(left, walk.words.rest(left))
  return walk.rows
}
