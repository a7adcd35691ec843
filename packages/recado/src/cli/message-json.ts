/**
 * A message as JSON: `%j` and `%J` of mosquitto_sub's formats, and our own `--json`.
 *
 * Called by `output-format.ts`. Text is binary strings, a character per byte (`json-text.ts`).
 */
import type { Message, Properties } from '@recado/client'
import { textOf } from '../argument-bytes.ts'
import { strftime } from '../strftime.ts'
import { type Json, jsonNumber, jsonString, parseJson } from './json-text.ts'
import type { MosquittoVersion } from './manner.ts'
import { propertyNames } from './mosquitto-properties.ts'

/** Moment with nanoseconds: `Date` has milliseconds, JavaScript's clock microseconds. */
export interface Moment {
  readonly date: Date
  readonly nanoseconds: number
}

export const NULL: Json = { kind: 'text', text: 'null' }

function binary(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

export function binaryOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** Returns the payload for `%j`: text up to the first zero byte, where Mosquitto's JSON library ends a string. */
export function textPayload(message: Message): Json {
  if (message.payloadLength === 0) return NULL
  const text = binaryOf(message.payload)
  const zero = text.indexOf('\0')
  return jsonString(zero < 0 ? text : text.slice(0, zero))
}

/** Payload for `--json`: its own JSON, else its text; bytes that are no text are in a member of their own in base64. */
export function ownPayload(message: Message): [name: string, value: Json] {
  if (message.payloadLength === 0) return ['payload', NULL]
  const text = binaryOf(message.payload)
  const json = parseJson(text)
  if (json !== null) return ['payload', json]
  const isText = !/[\udc80-\udcff]/.test(textOf(message.payload))
  if (isText) return ['payload', jsonString(text)]
  return ['payload-base64', jsonString(Buffer.from(message.payload).toString('base64'))]
}

/** @param mosquitto '2.0' for its forms: a time that no parser accepts, and user properties as an object */
export function messageJson(
  message: Message,
  { date, nanoseconds }: Moment,
  [name, payload]: readonly [name: string, value: Json],
  mosquitto: MosquittoVersion | null,
): Json {
  const micro = String(Math.floor(nanoseconds / 1000)).padStart(6, '0')
  const zone = mosquitto === '2.0' ? 'Z%z' : '%z'
  const members: [string, Json][] = [
    ['tst', jsonString(strftime(`%Y-%m-%dT%H:%M:%S.${micro}${zone}`, date))],
    ['topic', jsonString(binary(message.topic))],
    ['qos', jsonNumber(message.qos)],
    ['retain', jsonNumber(message.retain ? 1 : 0)],
    ['payloadlen', jsonNumber(message.payloadLength)],
  ]
  if (message.qos > 0) members.push(['mid', jsonNumber(message.packetId)])
  const properties = propertiesJson(message.properties, mosquitto)
  if (properties.length > 0) members.push(['properties', { kind: 'object', members: properties }])
  members.push([name, payload])
  return { kind: 'object', members }
}

/** Properties in the order of the packet, in which the decoder has set the fields. */
function propertiesJson(properties: Properties, mosquitto: MosquittoVersion | null): [string, Json][] {
  const members: [string, Json][] = []
  for (const [field, value] of Object.entries(properties)) {
    const name = propertyNames.get(field)
    if (name === undefined || value === undefined) continue
    if (field === 'userProperties') members.push(['user-properties', pairsJson(value as [string, string][], mosquitto)])
    else if (field === 'subscriptionIdentifiers') {
      for (const identifier of value as number[]) members.push([name, jsonNumber(identifier)])
    } else if (value instanceof Uint8Array) members.push([name, jsonString(binaryOf(value))])
    else if (typeof value === 'string') members.push([name, jsonString(binary(value))])
    else if (typeof value === 'number') members.push([name, jsonNumber(value)])
  }
  return members
}

function pairsJson(pairs: readonly [string, string][], mosquitto: MosquittoVersion | null): Json {
  const members = pairs.map(([key, text]) => [binary(key), jsonString(binary(text))] as const)
  if (mosquitto === '2.0') return { kind: 'object', members }
  // A name may stand several times, and their order is significant.
  return { kind: 'array', items: members.map((member) => ({ kind: 'object', members: [member] })) }
}
