/**
 * `--decode` of `recado sub`, `rr` and `tree`: payloads that are JSON, CBOR (RFC 8949), MessagePack or Sparkplug B, as
 * JSON.
 *
 * Called by `output-format.ts` for each message. Values that JSON lacks have a form there: bytes are {"$base64": ...},
 * tags of CBOR {"$tag", "value"}, extensions of MessagePack {"$type", "$base64"}, other numbers are strings. Invariant:
 * decoding ends for any bytes, and returns null for a payload that cannot be decoded.
 */
import { decode as decodeMessagePack, ExtData } from '@msgpack/msgpack'
import type { Message } from '@recado/client'
import { decode as decodeCbor, Simple, Tag } from 'cbor2'
import { type Json, jsonNumber, jsonString, parseJson } from './json-text.ts'
import { isSparkplugTopic, SparkplugDecoder } from './sparkplug.ts'
import type { Decoding } from './tool-options.ts'

/** Deepest nesting of values that is shown, so that no payload can exhaust the stack. */
const NESTING_MAX = 200

type Form = Exclude<Decoding, 'auto'>

/** Names of forms for messages. */
const formNames: Record<Form, string> = { json: 'JSON', cbor: 'CBOR', msgpack: 'MessagePack', sparkplug: 'Sparkplug B' }

/** Forms by the Content Type that a publisher may give. */
const contentTypes: Readonly<Record<string, Form>> = {
  'application/json': 'json',
  'application/cbor': 'cbor',
  'application/msgpack': 'msgpack',
  'application/x-msgpack': 'msgpack',
  'application/vnd.msgpack': 'msgpack',
}

export class PayloadDecoder {
  readonly #decoding: Decoding
  readonly #sparkplug = new SparkplugDecoder()

  constructor(decoding: Decoding) {
    this.#decoding = decoding
  }

  /** Decodes a payload to JSON; null when it has another form. */
  decode(message: Message): Json | null {
    if (message.payloadLength === 0) return null
    const form = this.#decoding === 'auto' ? formOf(message) : this.#decoding
    if (form !== null) return this.#decodeAs(form, message)
    // By its appearance: a lone number could be anything.
    for (const each of ['cbor', 'msgpack'] as const) {
      const json = this.#decodeAs(each, message)
      if (json !== null && json.kind !== 'text') return json
    }
    return null
  }

  /** Complaint about a payload that does not have the requested form; null when there is none. */
  complaint({ topic, payloadLength }: Message): string | null {
    if (this.#decoding === 'auto' || payloadLength === 0) return null
    return `Error: Message payload is not valid ${formNames[this.#decoding]} on topic ${topic}.\n`
  }

  #decodeAs(form: Form, { topic, payload }: Message): Json | null {
    try {
      switch (form) {
        case 'json':
          return parseJson(Buffer.from(payload).toString('latin1'))
        case 'cbor':
          return toJson(decodeCbor(payload, { preferBigInt: false, saveOriginal: false }), 0)
        case 'msgpack': {
          // A length is not believed beyond the bytes that are there.
          const max = payload.length
          const limits = {
            maxArrayLength: max,
            maxMapLength: max,
            maxStrLength: max,
            maxBinLength: max,
            maxExtLength: max,
          }
          return toJson(decodeMessagePack(payload, { ...limits, useBigInt64: true }), 0)
        }
        default:
          return toJson(this.#sparkplug.decode(topic, payload), 0)
      }
    } catch {
      // Decoders throw all kinds of errors at other bytes.
      return null
    }
  }
}

/** Returns the form by the topic, the Content Type or the bytes; null when they may be CBOR or MessagePack. */
function formOf({ topic, payload, properties }: Message): Form | null {
  if (isSparkplugTopic(topic)) return 'sparkplug'
  const [type = ''] = (properties.contentType ?? '')
    .toLowerCase()
    .split(';', 1)
    .map((each) => each.trim())
  if (Object.hasOwn(contentTypes, type)) return contentTypes[type]!
  return isText(payload) ? 'json' : null
}

function isText(payload: Uint8Array): boolean {
  try {
    // Text has no control character other than white space.
    return !/[\x00-\x08\x0e-\x1f]/.test(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    return false
  }
}

const quoted = (text: string): Json => jsonString(Buffer.from(text, 'utf8').toString('latin1'))
const base64 = (bytes: Uint8Array): Json => quoted(Buffer.from(bytes).toString('base64'))
const object = (...members: [string, Json][]): Json => ({ kind: 'object', members })

function toJson(value: unknown, depth: number): Json {
  if (depth > NESTING_MAX) return quoted('...')
  switch (typeof value) {
    case 'string':
      return quoted(value)
    case 'number':
      return Number.isFinite(value) ? jsonNumber(value) : quoted(String(value))
    case 'bigint':
    case 'boolean':
      return { kind: 'text', text: String(value) }
    case 'object':
      return objectJson(value, depth)
    default:
      return { kind: 'text', text: 'null' }
  }
}

function objectJson(value: object | null, depth: number): Json {
  const deeper = depth + 1
  if (value === null) return { kind: 'text', text: 'null' }
  if (Array.isArray(value)) return { kind: 'array', items: value.map((item) => toJson(item, deeper)) }
  if (value instanceof Date) return quoted(Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString())
  if (value instanceof ExtData)
    return object(['$type', jsonNumber(value.type)], ['$base64', base64(value.data as Uint8Array)])
  if (value instanceof Tag)
    return object(['$tag', toJson(value.tag, deeper)], ['value', toJson(value.contents, deeper)])
  if (value instanceof Simple) return object(['$simple', jsonNumber(value.value)])
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value
    if (value instanceof Uint8Array) return object(['$base64', base64(value)])
    // Typed arrays of RFC 8746.
    if (!(value instanceof DataView))
      return { kind: 'array', items: Array.from(value as never, (item) => toJson(item, deeper)) }
    return object(['$base64', base64(new Uint8Array(buffer, byteOffset, byteLength))])
  }
  if (value instanceof RegExp || value instanceof URL) return quoted(String(value))
  if (value instanceof Number || value instanceof String || value instanceof Boolean)
    return toJson(value.valueOf(), deeper)
  const entries: Iterable<[unknown, unknown]> = value instanceof Map ? value : Object.entries(value)
  if (value instanceof Set) return { kind: 'array', items: Array.from(value, (item) => toJson(item, deeper)) }
  const members: [string, Json][] = []
  for (const [key, member] of entries) members.push([nameOf(key, deeper), toJson(member, deeper)])
  return { kind: 'object', members }
}

/** Returns the name of a member: a key that is no text becomes its JSON. */
function nameOf(key: unknown, depth: number): string {
  const text = typeof key === 'string' ? key : printedKey(toJson(key, depth))
  return Buffer.from(text, 'utf8').toString('latin1')
}

const printedKey = (json: Json): string => (json.kind === 'text' ? json.text.replace(/^"|"$/g, '') : json.kind)
